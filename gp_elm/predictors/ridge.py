"""Ridge regression (GBLUP) of every trait on all variants; its penalty, a heritability, chosen on inner groups.

With Z the standardised dosages of m' varying variants and K = Z Z' / m', whose diagonal has mean 1, a trait with
heritability h2 has the penalty (1 - h2) / h2. All traits, with their own missing values, and all penalties are solved
together by conjugate gradients, on the kernel where the samples are few, else straight from the store.
"""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gp_elm.errors import InputError
from gp_elm.predictors.conjugate_gradient import solve_shifted
from gp_elm.predictors.linear import LinearPredictor
from gp_elm.streaming.products import product, transpose_product
from gp_elm.streaming.sampler import validation_rows
from gp_elm.streaming.store import Store

HERITABILITIES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995, 0.999)
"""Grid of the penalty."""

LARGEST_KERNEL = 15_000
"""Most samples for which the kernel is held in memory (float32: 900 MB)."""

_TILE = 2048
# Bytes of a kernel up to which a fit takes its own rows out of it, which is faster; larger ones are not copied.
_COPIED = 256 << 20
# Heritabilities above this are tried for the traits that are best at it.
_EASY = 0.9


class RidgeKernel:
    """Genotypes prepared for ridge fits on any subset of some rows, the folds of a cross-fit for instance.

    Parameters
    ----------
    store : Store
        The genotypes.
    rows : array of int, shape (n,)
        Rows that fits and inner validation may use.
    center, sd : ndarray of float64, shape (m,), optional
        Mean and standard deviation of each variant's dosage; those of ``rows`` when not given. Genotypes alone enter,
        so that rows of other folds tell nothing about their traits. Variants with sd 0 stay out.
    largest_kernel : int
        Most rows for which the kernel is held in memory; beyond, each product is a pass over the store.
    """

    def __init__(
        self,
        store: Store,
        rows: ArrayLike,
        *,
        center: NDArray[np.float64] | None = None,
        sd: NDArray[np.float64] | None = None,
        largest_kernel: int = LARGEST_KERNEL,
    ) -> None:
        self.store = store
        self.rows = np.asarray(rows, dtype=np.int64)
        if center is None or sd is None:
            _, own_center, own_sd = store.moments(self.rows)
            center, sd = own_center if center is None else center, own_sd if sd is None else sd
        self.center = np.asarray(center, dtype=np.float64)
        self.scale = np.where(sd > 0, 1.0 / np.where(sd > 0, sd, 1.0), 0.0)
        self.scale /= np.sqrt(max(int((sd > 0).sum()), 1))
        # The kernel is worth its n^2 m where it is no larger than the genotypes themselves.
        small = len(self.rows) <= min(largest_kernel, 4 * store.n_variants)
        self.kernel = self._kernel() if small else None

    def fit(
        self,
        rows: ArrayLike,
        traits: NDArray[np.float64],
        *,
        groups: NDArray[np.generic] | None,
        seed: int,
        heritabilities: tuple[float, ...] = HERITABILITIES,
        validation_fraction: float = 0.125,
        tolerance: float = 1e-6,
    ) -> LinearPredictor:
        """Fit every trait.

        Parameters
        ----------
        rows : array of int, shape (r,)
            Rows of the store to fit on, all among those of the kernel.
        traits : ndarray, shape (r, T)
            Traits of those rows, covariates taken out; NaN missing.
        groups : ndarray, shape (r,), optional
            Samples of one group stay on one side of the inner split.
        seed : int
            Seed of the inner split.
        heritabilities : tuple of float
            Grid to choose from; with one value nothing is chosen.
        validation_fraction : float
            Share of the samples in the inner validation set.
        tolerance : float
            Of the conjugate gradients, relative.

        Returns
        -------
        LinearPredictor
            Coefficients per copy of the effect allele; ``penalty`` is the heritability chosen.

        Raises
        ------
        InputError
            Where a row is not among the kernel's, or the traits do not fit the rows.
        """
        rows = np.asarray(rows, dtype=np.int64)
        if len(traits) != len(rows):
            raise InputError(
                f"{len(traits)} samples with traits for {len(rows)} rows; align them by sample id"
            )
        problem = _Problem(self, rows, traits)
        grid = np.asarray(heritabilities, dtype=np.float64)
        chosen = np.full(traits.shape[1], grid[0])
        if len(grid) > 1:
            validation = validation_rows(groups, len(rows), seed=seed, fraction=validation_fraction)
            chosen = problem.choose(np.sort(grid), validation, tolerance=max(tolerance, 1e-4))
        weights, mean = problem.solve(chosen[None, :], problem.known, tolerance=tolerance)
        sums = transpose_product(self.store, rows, weights[0], center=self.center)
        coefficients = (sums * (self.scale**2)[:, None]).T
        # The intercept makes the mean residual 0: prediction at the centre of the trait's own samples taken out.
        fitted = problem.multiply(weights[0])
        count = np.maximum(problem.known.sum(axis=0), 1)
        intercept = mean - np.where(problem.known, fitted, 0.0).sum(axis=0) / count
        return LinearPredictor(coefficients, intercept, self.center, chosen)

    def positions(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions of store rows within the kernel's rows."""
        order = np.argsort(self.rows)
        place = np.searchsorted(self.rows, rows, sorter=order)
        found = order[np.minimum(place, len(order) - 1)]
        wrong = np.flatnonzero(self.rows[found] != rows)
        if len(wrong):
            name = self.store.sample_id[rows[wrong[0]]]
            raise InputError(f"sample {name} is not among the kernel's rows; make the kernel with it")
        return found

    def _kernel(self) -> NDArray[np.float32]:
        n = len(self.rows)
        kernel = np.zeros((n, n), dtype=np.float32)
        for start in range(0, self.store.n_variants, _TILE):
            columns = np.arange(start, min(start + _TILE, self.store.n_variants))
            if not self.scale[columns].any():
                continue
            tile = self.store.block(
                self.rows, columns=columns, center=self.center[columns], scale=self.scale[columns]
            )
            kernel += tile @ tile.T
        return kernel


class _Problem:
    """One fit: its kernel products, and its traits."""

    def __init__(self, kernel: RidgeKernel, rows: NDArray[np.int64], traits: NDArray[np.float64]) -> None:
        self._parent, self._rows = kernel, rows
        self.known = ~np.isnan(traits)
        self._traits = np.where(self.known, traits, 0.0)
        place = kernel.positions(rows)
        self._kernel, self._place = kernel.kernel, place
        if self._kernel is not None and self._kernel.nbytes <= _COPIED:
            self._kernel, self._place = self._kernel[np.ix_(place, place)], np.arange(len(place))

    def multiply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """K times values, over the fit's rows: (r, T) to (r, T)."""
        if self._kernel is not None:
            spread = np.zeros((len(self._kernel), values.shape[1]), dtype=np.float32)
            spread[self._place] = values
            return np.asarray((self._kernel @ spread)[self._place], dtype=np.float64)
        parent = self._parent
        inner = transpose_product(parent.store, self._rows, values, center=parent.center, dtype=np.float32)
        inner *= (parent.scale**2)[:, None]
        return product(parent.store, self._rows, inner, center=parent.center)

    def solve(
        self, heritability: NDArray[np.float64], mask: NDArray[np.bool_], *, tolerance: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Dual weights (S, r, T) for heritabilities (S, T or 1) on masked samples, and the traits' means (T,)."""
        count = np.maximum(mask.sum(axis=0), 1)

        def centred(values: NDArray[np.float64]) -> NDArray[np.float64]:
            inside = np.where(mask, values, 0.0)
            return np.where(mask, inside - inside.sum(axis=0) / count, 0.0)

        mean = np.where(mask, self._traits, 0.0).sum(axis=0) / count
        penalty = np.broadcast_to((1 - heritability) / heritability, (len(heritability), len(mean)))
        weights = solve_shifted(
            lambda values: centred(self.multiply(values)), centred(self._traits), penalty, tolerance=tolerance
        )
        return weights, mean

    def choose(
        self, grid: NDArray[np.float64], validation: NDArray[np.bool_], *, tolerance: float
    ) -> NDArray[np.float64]:
        """Heritability of each trait (T,) with the least error on the validation samples."""
        # High heritabilities make a system that is slow to solve: only traits that ask for them pay for it.
        low, high = grid[grid <= _EASY], grid[grid > _EASY]
        if not len(low):
            low, high = high, low
        errors = self._validation_errors(low, validation, tolerance=tolerance)
        best = errors.argmin(axis=0)
        chosen = low[best]
        more = np.flatnonzero(best == len(low) - 1)
        if len(high) and len(more):
            again = self._only(more)._validation_errors(high, validation, tolerance=tolerance)
            better = again.min(axis=0) < errors[-1, more]
            chosen[more[better]] = high[again.argmin(axis=0)[better]]
        return chosen

    def _only(self, columns: NDArray[np.int64]) -> _Problem:
        """The same problem for some of the traits."""
        other = copy(self)
        other.known, other._traits = self.known[:, columns], self._traits[:, columns]
        return other

    def _validation_errors(
        self, grid: NDArray[np.float64], validation: NDArray[np.bool_], *, tolerance: float
    ) -> NDArray[np.float64]:
        """Mean squared error (S, T) on the validation samples of fits on the others."""
        mask = self.known & ~validation[:, None]
        tested = self.known & validation[:, None]
        weights, mean = self.solve(grid[:, None], mask, tolerance=tolerance)
        errors = np.zeros((len(grid), len(mean)))
        for s in range(len(grid)):
            fitted = self.multiply(weights[s])
            at_mean = np.where(mask, fitted, 0.0).sum(axis=0) / np.maximum(mask.sum(axis=0), 1)
            residual = np.where(tested, self._traits - mean - (fitted - at_mean), 0.0)
            errors[s] = (residual**2).sum(axis=0) / np.maximum(tested.sum(axis=0), 1)
        return errors


def fit_ridge(
    store: Store,
    rows: ArrayLike,
    traits: NDArray[np.float64],
    *,
    center: NDArray[np.float64],
    sd: NDArray[np.float64],
    groups: NDArray[np.generic] | None,
    seed: int,
    heritabilities: tuple[float, ...] = HERITABILITIES,
) -> LinearPredictor:
    """Fit a ridge regression for each trait; the kernel serves this fit alone (see :class:`RidgeKernel`).

    Parameters
    ----------
    store : Store
        The genotypes.
    rows : array of int, shape (n,)
        Rows of the store to fit on.
    traits : ndarray, shape (n, T)
        Traits of those rows, covariates taken out; NaN missing.
    center, sd : ndarray of float64, shape (m,)
        Mean and standard deviation of each variant's dosage.
    groups : ndarray, shape (n,), optional
        Samples of one group stay on one side of the inner split.
    seed : int
        Seed of the inner split.
    heritabilities : tuple of float
        Grid to choose from.

    Returns
    -------
    LinearPredictor
        Coefficients per copy of the effect allele; ``penalty`` is the heritability chosen.
    """
    kernel = RidgeKernel(store, rows, center=center, sd=sd)
    return kernel.fit(rows, traits, groups=groups, seed=seed, heritabilities=heritabilities)
