"""What every estimator of this package looks at: the discovery samples, their traits, folds and blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MOST_WEIGHT = 2.0
"""Largest weight of a network: one that is shrunk to less than half says little of the other folds' networks."""


class Store(Protocol):
    """The part of the packed store that the estimators read."""

    def block(
        self, rows: NDArray[np.int64], *, columns: NDArray[np.int64] | None, center: Floats
    ) -> NDArray[np.float32]:
        """Centred dosages (rows, columns), missing calls as 0."""
        ...

    def moments(self, rows: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
        """Called samples, mean and standard deviation of every variant over some rows, (m,) each."""
        ...


@dataclass(frozen=True)
class Study:
    """Discovery samples of a cohort as the estimators see them.

    Attributes
    ----------
    store : Store
        Sample-major genotypes of all m variants.
    rows : (n,) int
        The discovery samples' rows in the store.
    center : (m,) float
        Mean dosage over their called genotypes.
    ploidy : (m,) int
        Largest dosage of each variant.
    blocks : (m,) int
        LD block of each variant.
    traits : (n, T) float
        Trait values on the trait's own scale, NaN missing.
    covariates : (n, k) float or None
        Covariates without an intercept.
    folds : (n,) int
        Fold of each sample.
    """

    store: Store
    rows: NDArray[np.int64]
    center: Floats
    ploidy: NDArray[np.int64]
    blocks: NDArray[np.int64]
    traits: Floats
    covariates: Floats | None
    folds: NDArray[np.int64]

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return int(self.folds.max()) + 1

    def fold_shares(self) -> Floats:
        """Share of each trait's measured samples that each fold holds, (folds, T)."""
        measured = np.isfinite(self.traits)
        counts = np.stack([measured[self.folds == k].sum(0) for k in range(self.n_folds)]).astype(float)
        return counts / counts.sum(0)


def network_weights(
    target: Floats, predicted: Floats, folds: NDArray[np.int64], *, noise: float = 0.0
) -> Floats:
    """Weight of the network for each fold and trait, fitted on the *other* folds.

    The weight that minimises the variance of the debiased effect (Angelopoulos, Duchi and Zrnic 2023, PPI++):
    ``<y, f> / [(1 + n/N_P) <f, f>]``, from 0 to :data:`MOST_WEIGHT`. As the folds' networks differ, the weight of one
    fold is cut back where its own network is out of proportion: the weighted prediction of a fold never spreads more
    than the trait does in the others. Neither bound looks at the fold's own trait values.

    Parameters
    ----------
    target, predicted : (n, T) float
        The trait, or its non-additive rest, and the out-of-fold prediction of it; NaN where the trait is missing.
    folds : (n,) int
        Fold of each sample.
    noise : float
        n / N_P, 0 where the in-silico population is exact.

    Returns
    -------
    (folds, T) float
        The weights.
    """
    measured = np.isfinite(target)
    y, f = np.where(measured, target, 0.0), np.where(measured, predicted, 0.0)
    n_folds = int(folds.max()) + 1
    weights = np.zeros((n_folds, target.shape[1]))
    for k in range(n_folds):
        other = folds != k
        count = np.maximum(measured[other].sum(0), 1)
        a = np.where(measured[other], y[other] - y[other].sum(0) / count, 0.0)
        b = np.where(measured[other], f[other] - f[other].sum(0) / count, 0.0)
        spread = (b * b).sum(0) * (1 + noise)
        weight = np.where(spread > 0, (a * b).sum(0) / np.where(spread > 0, spread, 1.0), 0.0)
        largest = np.sqrt((a * a).sum(0) / count) / np.maximum(predicted[folds == k].std(0), 1e-300)
        weights[k] = np.clip(weight, 0.0, np.minimum(MOST_WEIGHT, largest))
    return weights
