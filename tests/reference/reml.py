"""Restricted maximum likelihood written out: a general optimiser on the log likelihood with a dense V."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize


def minus_log_likelihood(components, kernels, y, x):
    """Patterson and Thompson 1971: log|V| + log|X'V^-1X| + (y - Xb)'V^-1(y - Xb), halved."""
    v = sum(c * k for c, k in zip(components, kernels, strict=False)) + components[-1] * np.eye(len(y))
    factor = cho_factor(v, lower=True)
    vx = cho_solve(factor, x)
    b = np.linalg.solve(x.T @ vx, vx.T @ y)
    r = y - x @ b
    log_det = 2 * np.log(np.diag(factor[0])).sum() + np.linalg.slogdet(x.T @ vx)[1]
    return 0.5 * (log_det + r @ cho_solve(factor, r))


def reml(kernels, y, covariates=None):
    """Components (kernels, then residual), none negative, and standard errors from the observed information.

    y has NaN where missing; kernels are over all samples, covariates complete.
    """
    x = np.ones((len(y), 1)) if covariates is None else np.column_stack([np.ones(len(y)), covariates])
    known = np.isfinite(y)
    kernels = [k[np.ix_(known, known)] for k in kernels]
    x, scale = x[known], np.nanvar(y)
    y = y[known] / np.sqrt(scale)
    size = len(kernels) + 1
    bounds = [(0, None)] * (size - 1) + [(1e-4, None)]
    start = np.full(size, 1 / size)
    found = minimize(
        minus_log_likelihood, start, (kernels, y, x), method="L-BFGS-B", bounds=bounds,
        options={"ftol": 1e-11, "gtol": 1e-5},
    ).x  # fmt: skip
    step = 0.02
    at = np.maximum(found, step)
    hessian = np.empty((size, size))
    move = np.eye(size) * step / 2
    for i in range(size):
        for j in range(i + 1):
            values = [
                minus_log_likelihood(at + a * move[i] + b * move[j], kernels, y, x)
                for a in (1, -1)
                for b in (1, -1)
            ]
            hessian[i, j] = hessian[j, i] = (values[0] - values[1] - values[2] + values[3]) / step**2
    return found * scale, np.sqrt(np.diag(np.linalg.inv(hessian))) * scale
