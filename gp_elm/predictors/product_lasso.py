"""Lasso on all variants and all their products, for cohorts of few loci, where it is the true model (METHOD 4).

Columns are the standardised dosages z_i and the products z_i z_j, i < j, each brought to variance 1. The Gram matrix
of some samples is that of all of them less that of the others, so that folds, inner validation and missing trait
values cost little; everything else happens on Gram matrices.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from gp_elm.predictors.coordinate_descent import lasso_on_gram
from gp_elm.predictors.covariates import missing_patterns
from gp_elm.predictors.linear import LinearPredictor
from gp_elm.predictors.quadratic_predictor import QuadraticPredictor, join_traits, squares_of
from gp_elm.streaming.products import row_blocks
from gp_elm.streaming.sampler import validation_rows
from gp_elm.streaming.store import Store

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MOST_COLUMNS = 4_000
"""Variants and products at the most: six of their Gram matrices (128 MB each at that size) are held at a time."""

_PENALTIES = 0.001 ** (np.arange(40) / 39)  # shares of the penalty at which all coefficients are 0
_PATIENCE = 3
_PATH_TOLERANCE, _FINAL_TOLERANCE = 1e-3, 1e-5
_SWEEPS = 200
_CONSTANT = 1e-9  # variance below which a column counts as constant


def product_columns(n_variants: int) -> int:
    """Variants and their products, m (m + 1) / 2."""
    return n_variants * (n_variants + 1) // 2


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over some samples of one trait, over the columns (1, variants, products): q = 1 + m (m + 1) / 2."""

    gram: Floats  # (q, q)
    cross: Floats  # (q,): columns times trait
    square: float  # trait squared

    def centred(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Correlation matrix of the columns, their products with the trait, their means and scales."""
        n = self.gram[0, 0]
        mean = self.gram[0, 1:] / n
        gram = self.gram[1:, 1:] / n
        gram -= np.outer(mean, mean)
        variance = np.diagonal(gram).copy()
        scale = np.where(variance > _CONSTANT, 1 / np.sqrt(np.maximum(variance, _CONSTANT)), 0.0)
        gram *= scale
        gram *= scale[:, None]
        cross = scale * (self.cross[1:] - mean * self.cross[0]) / n
        return gram, cross, mean, scale

    def error(self, intercept: float, coefficients: Floats) -> float:
        """Mean squared error over these samples."""
        used = np.flatnonzero(coefficients)
        beta = np.r_[intercept, coefficients[used]]
        at = np.r_[0, 1 + used]
        total = self.square - 2 * beta @ self.cross[at] + beta @ self.gram[np.ix_(at, at)] @ beta
        return float(total / max(self.gram[0, 0], 1))


class ProductDesign:
    """Variants and products of a cohort, prepared once for the fits of all folds.

    Parameters
    ----------
    store : Store
        The genotypes.
    rows : ndarray of int64, shape (n,)
        Rows that the fits may use.
    center, sd : ndarray of float64, shape (m,)
        Mean and standard deviation of each variant's dosage. Variants with sd 0 stay out.
    """

    def __init__(self, store: Store, rows: Ints, *, center: Floats, sd: Floats) -> None:
        self._store, self._rows, self._center, self._sd = store, rows, center, sd
        self._scale = np.where(sd > 0, 1 / np.where(sd > 0, sd, 1.0), 0.0)
        self._first, self._second = np.triu_indices(len(sd), 1)

    @cached_property
    def _total(self) -> Floats:
        return self._gram(self._rows)

    def _blocks(self, rows: Ints) -> Iterator[tuple[slice, Floats]]:
        """Columns (1, variants, products) of some rows, in blocks."""
        m = len(self._sd)
        columns = np.arange(m)
        for start, stop in row_blocks(len(rows), 8 * (1 + product_columns(m))):
            z = self._store.block(
                rows[start:stop], columns=columns, center=self._center, scale=self._scale
            ).astype(np.float64)
            design = np.empty((stop - start, 1 + product_columns(m)))
            design[:, 0], design[:, 1 : m + 1] = 1.0, z
            np.multiply(z[:, self._first], z[:, self._second], out=design[:, m + 1 :])
            yield slice(start, stop), design

    def _gram(self, rows: Ints) -> Floats:
        q = 1 + product_columns(len(self._sd))
        gram = np.zeros((q, q))
        for _, design in self._blocks(rows):
            gram += design.T @ design
        return gram

    def _cross(self, rows: Ints, values: Floats) -> Floats:
        """Columns times values (n, k): (q, k)."""
        out = np.zeros((1 + product_columns(len(self._sd)), values.shape[1]))
        for part, design in self._blocks(rows):
            out += design.T @ values[part]
        return out

    def fit(
        self,
        rows: Ints,
        traits: Floats,
        *,
        groups: NDArray[np.generic] | None,
        seed: int,
        validation_fraction: float = 0.125,
        threads: int = 2,
    ) -> QuadraticPredictor:
        """Fit a lasso for each trait, with the penalty that predicts its inner validation samples best.

        Parameters
        ----------
        rows : ndarray of int64, shape (r,)
            Rows to fit on, all among those of the design.
        traits : ndarray of float64, shape (r, T)
            Traits of those rows, covariates taken out; NaN missing.
        groups : ndarray, shape (r,), optional
            Samples of one group stay on one side of the inner split.
        seed : int
            Seed of the inner split.
        validation_fraction : float
            Share of the samples in the inner validation set.
        threads : int
            Traits fitted at the same time; the result does not depend on it.

        Returns
        -------
        QuadraticPredictor
            ``penalty`` as in scikit-learn's ``Lasso`` on columns of variance 1, for both parts.
        """
        known = np.isfinite(traits)
        values = np.where(known, traits, 0.0)
        validation = validation_rows(groups, len(rows), seed=seed, fraction=validation_fraction)
        everyone = self._total - self._gram(self._rows[~np.isin(self._rows, rows)])
        tested_cross = self._cross(rows[validation], values[validation])
        fitted_cross = self._cross(rows[~validation], values[~validation])
        found: list[tuple[float, Floats, float]] = [(0.0, np.empty(0), 0.0)] * traits.shape[1]
        for mask, columns in missing_patterns(known):
            whole = everyone - self._gram(rows[~mask]) if not mask.all() else everyone
            tested_gram = self._gram(rows[mask & validation])
            fitted_gram = whole - tested_gram

            def fit(
                t: int, whole: Floats = whole, fitted: Floats = fitted_gram, tested: Floats = tested_gram
            ) -> tuple[float, Floats, float]:
                inside = float((values[~validation, t] ** 2).sum())
                outside = float((values[validation, t] ** 2).sum())
                return _fit_trait(
                    _Sums(fitted, fitted_cross[:, t], inside),
                    _Sums(tested, tested_cross[:, t], outside),
                    _Sums(whole, fitted_cross[:, t] + tested_cross[:, t], inside + outside),
                )

            with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
                for t, result in zip(columns, pool.map(fit, columns), strict=True):
                    found[t] = result
        return self._predictor(found)

    def _predictor(self, found: list[tuple[float, Floats, float]]) -> QuadraticPredictor:
        """From intercept, coefficients of (variants, products) and penalty of each trait."""
        m = len(self._sd)
        every, parts = np.arange(m), []
        for _, coefficients, _ in found:
            form = np.zeros((m, m))
            form[self._first, self._second] = 0.5 * coefficients[m:]
            units, weights = squares_of(form + form.T)
            parts.append((every, units * self._scale, weights))
        linear = LinearPredictor(
            np.array([coefficients[:m] * self._scale for _, coefficients, _ in found]),
            np.array([intercept for intercept, _, _ in found]),
            self._center,
            np.array([penalty for _, _, penalty in found]),
        )
        return join_traits(linear, parts, linear.penalty)


def _fit_trait(fitted: _Sums, tested: _Sums, whole: _Sums) -> tuple[float, Floats, float]:
    """Intercept, coefficients and penalty of a trait; penalty and start from the inner split."""
    gram, cross, mean, scale = fitted.centred()
    beta = np.zeros(len(cross))
    level = float(fitted.cross[0] / fitted.gram[0, 0])
    largest = float(np.abs(cross).max(initial=0.0))
    least, best, start, since = tested.error(level, beta), largest, beta.copy(), 0
    for share in _PENALTIES[1:] if largest > 0 else ():
        lasso_on_gram(gram, cross, share * largest, beta, _PATH_TOLERANCE, _SWEEPS)
        error = tested.error(level - float(mean @ (scale * beta)), scale * beta)
        since += 1
        if error < least:
            least, best, start, since = error, share * largest, beta.copy(), 0
        if since == _PATIENCE:
            break
    gram, cross, mean, scale = whole.centred()
    if best > 0:
        lasso_on_gram(gram, cross, best, start, _FINAL_TOLERANCE, _SWEEPS)
    level = float(whole.cross[0] / whole.gram[0, 0])
    return level - float(mean @ (scale * start)), scale * start, best
