"""GBLUP with an additive and an additive-by-additive kernel, K and K o K (METHOD 7).

A trait is a + aa + e with Cov(a) = v_a K, Cov(aa) = v_aa K o K and independent e; with Z the standardised dosages of
m' varying variants, K = Z Z' / m', and K o K its elements squared, brought to a mean diagonal of 1 (Henderson 1985).
The ratio of v_a and v_aa is that of Haseman and Elston's regression (1972) of the products of two samples' traits on
their kernels; the noise, to which prediction is more sensitive, is chosen on inner validation groups. Only K is held:
K o K is made as it is needed, a block of rows at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gp_elm.predictors.conjugate_gradient import solve_shifted
from gp_elm.predictors.ridge import LARGEST_KERNEL
from gp_elm.streaming.sampler import validation_rows
from gp_elm.streaming.store import Store

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LARGEST = LARGEST_KERNEL
"""Samples at the most: K is held in memory (float32: 900 MB)."""

EASY = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Grid of the genetic share of a trait's variance."""

HARD = (0.9, 0.95, 0.98)
"""More of it, slow to solve, for traits that ask for the last of the others."""

_TILE = 2048
_ROWS = 256


@dataclass(frozen=True, eq=False)
class EpistaticFit:
    """Dual weights of one fit over all rows of its kernel.

    Attributes
    ----------
    additive, epistatic : ndarray of float64, shape (n, T)
        Weights of K and of its squared elements; 0 for samples that were not fitted.
    intercept : ndarray of float64, shape (T,)
        Added to both parts.
    heritability : ndarray of float64, shape (2, T)
        Shares of the trait's variance of K and of K o K.
    """

    additive: Floats
    epistatic: Floats
    intercept: Floats
    heritability: Floats


class EpistaticKernel:
    """K and K o K of some rows, prepared once, at the first fit, for those of all folds.

    Parameters
    ----------
    store : Store
        The genotypes.
    rows : array of int, shape (n,)
        Rows that fits and inner validation may use.
    center, sd : ndarray of float64, shape (m,)
        Mean and standard deviation of each variant's dosage; variants with sd 0 stay out.
    """

    def __init__(self, store: Store, rows: ArrayLike, *, center: Floats, sd: Floats) -> None:
        self.rows = np.asarray(rows, dtype=np.int64)
        self._store, self._center = store, center
        self._scale = np.where(sd > 0, 1.0 / np.where(sd > 0, sd, 1.0), 0.0)
        self._scale /= np.sqrt(max(int((sd > 0).sum()), 1))

    @cached_property
    def _kernel(self) -> Singles:
        return self._relatedness(self.rows)

    @cached_property
    def _size(self) -> float:
        """Mean diagonal of the squared elements."""
        square = float(np.mean(np.square(np.diagonal(self._kernel), dtype=np.float64)))
        return square if square > 0 else 1.0

    def _relatedness(self, left: Ints) -> Singles:
        """K of some rows with the kernel's rows, (len(left), n)."""
        kernel = np.zeros((len(left), len(self.rows)), dtype=np.float32)
        for start in range(0, self._store.n_variants, _TILE):
            columns = np.arange(start, min(start + _TILE, self._store.n_variants))
            coding = {"center": self._center[columns], "scale": self._scale[columns]}
            right = self._store.block(self.rows, columns=columns, **coding)
            same = left is self.rows
            kernel += (right if same else self._store.block(left, columns=columns, **coding)) @ right.T
        return kernel

    def fit(
        self,
        at: Ints,
        traits: Floats,
        *,
        groups: NDArray[np.generic] | None,
        seed: int,
        validation_fraction: float = 0.125,
        tolerance: float = 1e-5,
    ) -> EpistaticFit:
        """Fit every trait.

        Parameters
        ----------
        at : ndarray of int64, shape (r,)
            Positions of the samples to fit within the kernel's rows.
        traits : ndarray of float64, shape (r, T)
            Their traits, covariates taken out; NaN missing.
        groups : ndarray, shape (r,), optional
            Samples of one group stay on one side of the inner split.
        seed : int
            Seed of the inner split.
        validation_fraction : float
            Share of the samples in the inner validation set.
        tolerance : float
            Of the conjugate gradients, relative.

        Returns
        -------
        EpistaticFit
            Dual weights.
        """
        n, n_traits = len(self.rows), traits.shape[1]
        known = np.zeros((n, n_traits), dtype=bool)
        known[at] = np.isfinite(traits)
        y = np.zeros((n, n_traits))
        y[at] = np.where(known[at], traits, 0.0)
        tested = np.zeros(n, dtype=bool)
        tested[at] = validation_rows(groups, len(at), seed=seed, fraction=validation_fraction)
        ratio = self._haseman_elston(y, known)
        share = self._choose(y, known, tested, ratio, tolerance=max(tolerance, 1e-3))
        heritability = share * np.stack([1 - ratio, ratio])
        dual, fitted, mean = self._solve(y, known, ratio, share[None], tolerance=tolerance)
        intercept = mean - _masked_mean(fitted[0], known)
        return EpistaticFit(dual[0] * (1 - ratio), dual[0] * ratio / self._size, intercept, heritability)

    def predict(self, fits: list[EpistaticFit], rows: ArrayLike) -> Floats:
        """Mean prediction (h, T) of some fits for rows of the store."""
        rows = np.asarray(rows, dtype=np.int64)
        additive = np.mean([fit.additive for fit in fits], axis=0)
        epistatic = np.mean([fit.epistatic for fit in fits], axis=0)
        out = np.tile(np.mean([fit.intercept for fit in fits], axis=0), (len(rows), 1))
        for start in range(0, len(rows), _TILE):
            part = slice(start, start + _TILE)
            for inner, k in _row_blocks(self._relatedness(rows[part])):
                out[part][inner] += _both(k, additive, epistatic)
        return out

    def predict_at(self, fit: EpistaticFit, at: Ints) -> Floats:
        """Prediction (len(at), T) of one fit for samples of the kernel, from K as it is held."""
        out = np.tile(fit.intercept, (len(at), 1))
        for start in range(0, len(at), _ROWS):
            part = slice(start, start + _ROWS)
            out[part] += _both(self._kernel[at[part]], fit.additive, fit.epistatic)
        return out

    def _multiply(self, values: Floats, ratio: Floats) -> Floats:
        """((1 - ratio_t) K + ratio_t K o K) times column t of values (n, T)."""
        out = np.empty(values.shape)
        for part, k in _row_blocks(self._kernel):
            out[part] = _both(k, values * (1 - ratio), values * (ratio / self._size))
        return out

    def _haseman_elston(self, y: Floats, known: Bools) -> Floats:
        """Share of K o K in the genetic variance of each trait, (T,), from 0 to 1.

        Least squares over pairs of known samples of y_i y_j on (1, K_ij, K_ij^2); all sums are forms of the mask.
        """
        mask = known.astype(np.float32)
        z = np.where(known, y - _masked_mean(y, known), 0.0).astype(np.float32)
        diagonal = np.diagonal(self._kernel).astype(np.float64)
        n_traits = y.shape[1]
        powers, products = np.zeros((5, n_traits)), np.zeros((3, n_traits))
        powers[0] = mask.sum(axis=0, dtype=np.float64) ** 2
        products[0] = z.sum(axis=0, dtype=np.float64) ** 2
        for part, k in _row_blocks(self._kernel):
            power = np.ones_like(k)
            for degree in range(1, 5):
                power = power * k
                powers[degree] += (mask[part] * (power @ mask)).sum(axis=0, dtype=np.float64)
                if degree < 3:
                    products[degree] += (z[part] * (power @ z)).sum(axis=0, dtype=np.float64)
        for degree in range(5):  # a sample with itself is no pair
            powers[degree] -= diagonal**degree @ mask
            if degree < 3:
                products[degree] -= diagonal**degree @ np.square(z, dtype=np.float64)
        ratio = np.zeros(n_traits)
        for t in range(n_traits):
            system = powers[np.add.outer(np.arange(3), np.arange(3)), t]
            estimate = np.linalg.lstsq(system, products[:, t], rcond=None)[0]
            additive, epistatic = max(estimate[1], 0.0), max(estimate[2] * self._size, 0.0)
            ratio[t] = epistatic / (additive + epistatic) if epistatic > 0 else 0.0
        return ratio

    def _solve(
        self, y: Floats, mask: Bools, ratio: Floats, share: Floats, *, tolerance: float
    ) -> tuple[Floats, Floats, Floats]:
        """Dual weights and their kernel products (S, n, T) for genetic shares (S, T), and the traits' means (T,)."""
        mean = _masked_mean(y, mask)

        def centred(values: Floats) -> Floats:
            return np.where(mask, values - _masked_mean(values, mask), 0.0)

        dual = solve_shifted(
            lambda values: centred(self._multiply(values, ratio)),
            centred(y),
            (1 - share) / share,
            tolerance=tolerance,
        )
        side_by_side = np.concatenate(list(dual), axis=1)
        fitted = self._multiply(side_by_side, np.tile(ratio, len(dual)))
        return dual, np.stack(np.split(fitted, len(dual), axis=1)), mean

    def _choose(self, y: Floats, known: Bools, tested: Bools, ratio: Floats, *, tolerance: float) -> Floats:
        """Genetic share of the variance of each trait (T,) with the least error on the validation samples."""
        error = self._errors(y, known, tested, ratio, EASY, tolerance=tolerance)
        share = np.array(EASY)[error.argmin(axis=0)]
        hard = np.flatnonzero(share == EASY[-1])
        if len(hard):
            more = self._errors(y[:, hard], known[:, hard], tested, ratio[hard], HARD, tolerance=tolerance)
            better = more.min(axis=0) < error[-1, hard]
            share[hard[better]] = np.array(HARD)[more.argmin(axis=0)[better]]
        return share

    def _errors(
        self,
        y: Floats,
        known: Bools,
        tested: Bools,
        ratio: Floats,
        grid: tuple[float, ...],
        *,
        tolerance: float,
    ) -> Floats:
        """Sums of squared errors (S, T) on the validation samples of fits to the others."""
        mask, judged = known & ~tested[:, None], known & tested[:, None]
        shares = np.repeat(np.array(grid)[:, None], y.shape[1], axis=1)
        _, fitted, mean = self._solve(y, mask, ratio, shares, tolerance=tolerance)
        errors = [np.where(judged, y - mean - f + _masked_mean(f, mask), 0.0) for f in fitted]
        return np.stack([(error**2).sum(axis=0) for error in errors])


def _both(k: Singles, additive: Floats, epistatic: Floats) -> Floats:
    """Rows k of K times additive, plus their squared elements times epistatic."""
    out = k @ additive.astype(np.float32) + np.square(k) @ epistatic.astype(np.float32)
    return np.asarray(out, dtype=np.float64)


def _row_blocks(kernel: Singles) -> list[tuple[slice, Singles]]:
    """Views of the rows of a kernel, few at a time, so that what is made of them stays small."""
    parts = [slice(start, start + _ROWS) for start in range(0, len(kernel), _ROWS)]
    return [(part, kernel[part]) for part in parts]


def _masked_mean(values: Floats, mask: Bools) -> Floats:
    return np.asarray(np.where(mask, values, 0.0).sum(axis=0) / np.maximum(mask.sum(axis=0), 1))
