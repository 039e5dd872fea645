"""The training samples of a fold, as everything that is fitted to them sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gp_elm.streaming.store import Store


@dataclass(frozen=True, eq=False)
class FoldSamples:
    """Training samples of a fold.

    Attributes
    ----------
    store : Store
        The genotypes.
    rows : ndarray of int64, shape (n,)
        Their rows in the store.
    traits : ndarray of float64, shape (n, T)
        Traits less covariates, NaN missing.
    groups : ndarray of int, shape (n,)
        Group of each sample.
    center, sd : ndarray of float64, shape (m,)
        Mean and standard deviation of each variant's dosage over the called genotypes.
    """

    store: Store
    rows: NDArray[np.int64]
    traits: NDArray[np.float64]
    groups: NDArray[np.generic]
    center: NDArray[np.float64]
    sd: NDArray[np.float64]
