"""A linear predictor of every trait: what ridge and lasso return."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from gp_elm.errors import InputError
from gp_elm.streaming.products import product, row_blocks
from gp_elm.streaming.store import Store

_NAMES = ("coefficients", "intercept", "center", "penalty")
# Below this share of variants with any effect, decoding only those is faster.
_SPARSE = 0.25


@dataclass(frozen=True, eq=False)
class LinearPredictor:
    """Trait = intercept + coefficients . (dosage - center); a missing call counts as the centre.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (T, m)
        Per copy of the effect allele, on the trait's scale.
    intercept : ndarray of float64, shape (T,)
        Value at the centre.
    center : ndarray of float64, shape (m,)
        Mean dosage in the samples fitted.
    penalty : ndarray of float64, shape (T,)
        Penalty chosen for each trait, on the scale of the method that chose it; NaN where it has none.
    """

    coefficients: NDArray[np.float64]
    intercept: NDArray[np.float64]
    center: NDArray[np.float64]
    penalty: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        if len(self.penalty) != len(self.intercept):
            object.__setattr__(self, "penalty", np.full(len(self.intercept), np.nan))

    def predict(self, store: Store, rows: ArrayLike) -> NDArray[np.float64]:
        """Predict the traits of some rows of a store, in blocks of rows.

        Parameters
        ----------
        store : Store
            Genotypes of the same variants, in the same order.
        rows : array of int, shape (n,)
            Rows of the store.

        Returns
        -------
        ndarray of float64, shape (n, T)
            Predictions.

        Raises
        ------
        InputError
            Where the store has another number of variants.
        """
        if store.n_variants != len(self.center):
            raise InputError(
                f"{store.path}: {store.n_variants} variants, but the predictor was fitted on {len(self.center)}; "
                "use the cohort it was fitted on"
            )
        support = np.flatnonzero(np.any(self.coefficients != 0, axis=0))
        if len(support) > _SPARSE * store.n_variants:
            return product(store, rows, self.coefficients.T, center=self.center) + self.intercept
        rows = np.asarray(rows, dtype=np.int64)
        effects = np.ascontiguousarray(self.coefficients[:, support].T)
        center = self.center[support]
        # Dosages are exact in float32, centred ones are not: the table leaves centring to float64.
        table = np.tile(np.array([0, 1, 2, np.nan], dtype=np.float32), (len(support), 1))
        out = np.empty((len(rows), len(self.intercept)))
        for start, stop in row_blocks(len(rows), 8 * max(len(support), store.row_bytes)):
            centred = store.unpack(rows[start:stop], support, table) - center
            centred[np.isnan(centred)] = 0.0
            out[start:stop] = centred @ effects
        return out + self.intercept

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the predictor to a safetensors file."""
        save_file({name: np.ascontiguousarray(getattr(self, name)) for name in _NAMES}, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LinearPredictor:
        """Read a predictor from a safetensors file.

        Raises
        ------
        InputError
            Where the file cannot be read, or does not hold a linear predictor.
        """
        try:
            tensors = load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"{path}: not a readable safetensors file ({error}); train the model again"
            ) from error
        missing = [name for name in _NAMES if name not in tensors]
        if missing:
            raise InputError(
                f"{path}: no tensor {missing[0]!r}, so this is no linear predictor; give its own file"
            )
        return cls(**{name: tensors[name] for name in _NAMES})
