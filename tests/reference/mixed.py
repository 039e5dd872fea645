"""The mixed model on dense matrices: REML from error contrasts, then statsmodels' GLS, one variant at a time."""

import numpy as np
import statsmodels.api as sm
from scipy import linalg, optimize


def reml_h(y, design, kernel):
    """h that maximises the likelihood of contrasts A'y with A'X = 0, the scale profiled out."""
    contrasts = linalg.null_space(design.T)
    z = contrasts.T @ y
    k = contrasts.T @ kernel @ contrasts

    def loss(h):
        v = h * k + (1 - h) * np.eye(len(z))
        return len(z) * np.log(z @ np.linalg.solve(v, z)) + np.linalg.slogdet(v)[1]

    grid = np.linspace(0, 0.9999, 60)
    best = grid[np.argmin([loss(h) for h in grid])]
    found = optimize.minimize_scalar(
        loss,
        bounds=(max(best - 0.02, 0), min(best + 0.02, 0.9999)),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return found.x if found.fun < loss(best) else best


def gls(y, design, kernel, h, *, robust=False):
    """Coefficient and standard error of the last column of the design, and degrees of freedom.

    The robust error is HC3 of the regression in the eigenbasis of the relatedness.
    """
    if robust:
        values, vectors = np.linalg.eigh(kernel)
        half = vectors.T / np.sqrt(h * values + 1 - h)[:, None]
        x = half @ design
        fit = sm.OLS(half @ y, x).fit()
        own = x[:, -1] - x[:, :-1] @ np.linalg.lstsq(x[:, :-1], x[:, -1], rcond=None)[0]
        # The constant is an eigenvector of a centred K: a coordinate with leverage 1 and no residual.
        left = 1 - fit.get_influence().hat_matrix_diag
        keep = left > 1e-6
        error = np.sqrt(np.sum((own * fit.resid)[keep] ** 2 / left[keep] ** 2)) / (own @ own)
        return fit.params[-1], error, fit.df_resid
    fit = sm.GLS(y, design, sigma=h * kernel + (1 - h) * np.eye(len(y))).fit()
    return fit.params[-1], fit.bse[-1], fit.df_resid


def relatedness(g):
    """Z Z' / m over the variants that vary; g (n, m) without missing calls."""
    z = (g - g.mean(0))[:, g.std(0) > 0] / g.std(0)[g.std(0) > 0]
    return z @ z.T / z.shape[1]
