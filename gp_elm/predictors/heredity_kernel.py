"""Heredity-weighted kernel: products of the lasso's loci, weighted by both coefficients (METHOD 7, 8).

For each trait, Q = (Z diag(|b|) Z')^2 element by element, with Z the standardised dosages of the loci that the lasso
selects (the 512 of largest effect, 128 in large cohorts) and b its coefficients: all products z_i z_j with weight
|b_i b_j|. Kernel ridge on what the lasso leaves gives f(z) = sum_s alpha_s (z' D z_s)^2 = z' A z with
A = D Z' diag(alpha) Z D, D = diag(|b|): a quadratic form of a few loci, kept as its largest squares.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from gp_elm.predictors.conjugate_gradient import solve_shifted
from gp_elm.predictors.linear import LinearPredictor
from gp_elm.predictors.quadratic_predictor import QuadraticPredictor, join_traits, squares_of
from gp_elm.streaming.sampler import validation_rows
from gp_elm.streaming.store import Store

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Grid of the share of the residual variance that is the kernel's, which sets the penalty; 0 leaves the lasso alone."""

SQUARES = 32
"""Squares kept a trait, those of most variance: all traits together are then about as large as a network."""

_LARGEST_KERNEL = 8_192  # samples; beyond, products go through the loci, of which fewer are taken
_MOST_LOCI, _FEW_LOCI = 512, 128
_TOLERANCE = 1e-4


def fit_heredity_kernel(
    store: Store,
    rows: ArrayLike,
    traits: Floats,
    lasso: LinearPredictor,
    *,
    sd: Floats,
    groups: NDArray[np.generic] | None,
    seed: int,
    squares: int = SQUARES,
    validation_fraction: float = 0.125,
    threads: int = 2,
) -> QuadraticPredictor:
    """Fit the kernel of each trait to what the lasso leaves.

    Parameters
    ----------
    store : Store
        The genotypes.
    rows : array of int, shape (n,)
        Rows of the store to fit on, those of the lasso.
    traits : ndarray of float64, shape (n, T)
        Traits of those rows, covariates taken out; NaN missing.
    lasso : LinearPredictor
        Fitted to the same samples; the prediction stands on it.
    sd : ndarray of float64, shape (m,)
        Standard deviation of each variant's dosage, as the lasso had it.
    groups : ndarray, shape (n,), optional
        Samples of one group stay on one side of the inner split that chooses the penalty.
    seed : int
        Seed of the inner split.
    squares : int
        Squares kept a trait.
    validation_fraction : float
        Share of the samples in the inner validation set.
    threads : int
        Traits fitted at the same time; the result does not depend on it.

    Returns
    -------
    QuadraticPredictor
        ``penalty`` is the share of the residual variance chosen. A trait for which the lasso selects no locus, or
        that the kernel does not help, keeps the lasso's prediction.
    """
    rows = np.asarray(rows, dtype=np.int64)
    validation = validation_rows(groups, len(rows), seed=seed, fraction=validation_fraction)
    residual = traits - lasso.predict(store, rows)

    def fit(t: int) -> tuple[Ints, Floats, Floats, float, float]:
        strength = np.abs(lasso.coefficients[t] * sd)
        most = _MOST_LOCI if len(rows) <= _LARGEST_KERNEL else _FEW_LOCI
        columns = np.sort(np.argsort(-strength, kind="stable")[: min(most, np.count_nonzero(strength))])
        known = np.isfinite(residual[:, t])
        weight = strength[columns]
        scale = np.sqrt(weight) / sd[columns]
        x = store.block(rows[known], columns=columns, center=lasso.center[columns], scale=scale)
        matrix, share = _fit_trait(x, residual[known, t], validation[known])
        # Eigenvalues in the metric of standardised dosages, so that the squares kept are those of most variance.
        units, weights = squares_of(matrix * np.sqrt(np.outer(weight, weight)), most=squares)
        units = units / sd[columns]
        mean = float(((x @ (units / scale).T) ** 2 @ weights).mean()) if len(weights) else 0.0
        shift = float(residual[known, t].mean()) - mean if len(weights) else 0.0
        return columns, units, weights, shift, share

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(fit, range(traits.shape[1])))
    shift = np.array([part[3] for part in found])
    linear = replace(lasso, intercept=lasso.intercept + shift)
    return join_traits(linear, [part[:3] for part in found], np.array([part[4] for part in found]))


def _fit_trait(x: NDArray[np.float32], y: Floats, validation: NDArray[np.bool_]) -> tuple[Floats, float]:
    """Quadratic form (p, p) of the weighted dosages x (n, p), and the share of variance that validation chose."""
    nothing = np.zeros((x.shape[1], x.shape[1]))
    fitted, tested = ~validation, validation
    if not x.shape[1] or not tested.any() or not fitted.any():
        return nothing, 0.0
    size = float(np.mean(np.square(np.einsum("np,np->n", x, x, dtype=np.float64))))
    multiply = _kernel_product(x, size)
    shares = np.array(SHARES[1:])

    def solve(mask: NDArray[np.bool_], share: Floats) -> Floats:
        """Dual weights (S, n), 0 outside the mask."""

        def centred(values: Floats) -> Floats:
            return np.where(mask[:, None], values - values[mask].mean(axis=0), 0.0)

        shift = ((1 - share) / share)[:, None]
        dual = solve_shifted(lambda v: centred(multiply(v)), centred(y[:, None]), shift, tolerance=_TOLERANCE)
        return dual[:, :, 0]

    duals = solve(fitted, shares)
    predicted = multiply(duals.T)
    predicted += y[fitted].mean() - predicted[fitted].mean(axis=0)
    error = np.mean((y[tested, None] - predicted[tested]) ** 2, axis=0)
    best = int(error.argmin())
    if not error[best] < np.mean((y[tested] - y[fitted].mean()) ** 2):
        return nothing, 0.0
    dual = solve(np.ones(len(y), dtype=bool), shares[[best]])[0]
    return ((x * dual[:, None].astype(np.float32)).T @ x).astype(np.float64) / size, float(shares[best])


def _kernel_product(x: NDArray[np.float32], size: float) -> Callable[[Floats], Floats]:
    """Multiplication (n, k) to (n, k) by ((x x') squared element by element) / size."""
    n, p = x.shape
    if n <= _LARGEST_KERNEL and n < p * p:
        kernel = x @ x.T
        np.square(kernel, out=kernel)
        kernel /= np.float32(size)
        return lambda values: (kernel @ values.astype(np.float32)).astype(np.float64)

    def through_loci(values: Floats) -> Floats:
        out = np.empty(values.shape)
        for k in range(values.shape[1]):
            form = (x * values[:, k, None].astype(np.float32)).T @ x
            out[:, k] = np.einsum("np,np->n", x @ form, x) / size
        return out

    return through_loci
