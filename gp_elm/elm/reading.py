"""Genotypes and covariates of some samples of a cohort, read when asked for."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gp_elm.elm.study import Floats
from gp_elm.io.blocks import source_blocks


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


def covariates_of(cohort: xr.Dataset, samples: NDArray[np.int64]) -> Floats | None:
    """Covariates of some samples (n, k), or None where there are none."""
    if "sample_covariate" not in cohort or cohort.sizes.get("covariates", 0) == 0:
        return None
    return np.asarray(cohort["sample_covariate"].values[samples], dtype=np.float64)
