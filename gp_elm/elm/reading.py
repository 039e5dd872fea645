"""Genotypes and covariates of some samples of a cohort, read when asked for, from whichever order costs less."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gp_elm.elm.study import Floats
from gp_elm.io.blocks import source_blocks
from gp_elm.kernels.decode import decode_table
from gp_elm.streaming.store import Store

SMALL_BYTES = 16 << 20
"""Bytes of the store that are read for any variants without a look at the source."""
DEARER = 4
"""How many times cheaper the source must be: its bytes may have to be sought and inflated."""


class DosageReader:
    """Blocks of variants of a cohort for some of its samples, read when asked for.

    Parameters
    ----------
    cohort : xarray.Dataset
        The cohort.
    samples : (n,) int
        Samples, as positions.
    """

    def __init__(self, cohort: xr.Dataset, samples: NDArray[np.int64]) -> None:
        self._dosage, self._samples = cohort["call_dosage"].data, samples
        self._source = source_blocks(cohort)

    def __call__(self, start: int, stop: int) -> NDArray[np.int8]:
        """Raw dosages (n, stop - start), -1 missing."""
        block = np.asarray(self._dosage[start:stop])
        return np.ascontiguousarray(block[:, self._samples].T)

    def columns(self, variants: NDArray[np.int64]) -> Floats:
        """Dosages of listed variants (n, len(variants)), NaN missing; each distinct variant is read once."""
        distinct, place = np.unique(variants, return_inverse=True)
        block = self._source[distinct, :] if self._source is not None else np.asarray(self._dosage[distinct])
        raw = block[:, self._samples].T.astype(np.float64)
        raw[raw < 0] = np.nan
        return raw[:, place]


class BothOrders:
    """Genotypes sample by sample from the store, or few variants of many samples from the variant-major source.

    A row of the store is read whole, so that one LD block after the other would read all of it every time.

    Parameters
    ----------
    store : Store
        The packed genotypes.
    cohort : xarray.Dataset
        The cohort that it was written from.
    """

    def __init__(self, store: Store, cohort: xr.Dataset) -> None:
        self._store, self._source = store, source_blocks(cohort)
        self.moments = store.moments

    def block(
        self, rows: NDArray[np.int64], *, columns: NDArray[np.int64] | None, center: Floats
    ) -> NDArray[np.float32]:
        """Centred dosages (rows, columns), missing calls as 0; the same to the last bit from either."""
        whole = rows.size * self._store.row_bytes
        if (
            columns is None
            or self._source is None
            or self._source.dtype != np.int8
            or whole <= SMALL_BYTES
            or DEARER * columns.size * self._store.n_samples // 4 > whole
        ):
            return self._store.block(rows, columns=columns, center=center)
        out = np.empty((rows.size, columns.size), np.float32)
        # the last entry of a table, which -1 takes, is that of a missing call
        for j, values in enumerate(decode_table(center)):
            out[:, j] = values[self._source[columns[j : j + 1], rows][0]]
        return out


def covariates_of(cohort: xr.Dataset, samples: NDArray[np.int64]) -> Floats | None:
    """Covariates of some samples (n, k), or None where there are none."""
    if "sample_covariate" not in cohort or cohort.sizes.get("covariates", 0) == 0:
        return None
    return np.asarray(cohort["sample_covariate"].values[samples], dtype=np.float64)
