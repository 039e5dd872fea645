"""What a scan takes from a cohort Dataset: its samples, covariates, and genotypes block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from gp_elm.errors import InputError

READ_BYTES = 128 << 20
"""Bytes of one read of genotypes."""

VARIANT_COLUMNS = (
    "variant_contig",
    "contig_id",
    "variant_position",
    "variant_id",
    "variant_effect_allele",
    "variant_other_allele",
    "variant_ploidy",
)
"""Variables of a cohort that a result keeps."""


def selected(cohort: xr.Dataset, samples: np.ndarray | None) -> np.ndarray:
    """Indices of the samples of a mask, or of all.

    Parameters
    ----------
    cohort : xarray.Dataset
    samples : (n,) bool, optional

    Returns
    -------
    (k,) int64

    Raises
    ------
    InputError
        For a mask of another length, or one without samples.
    """
    n_samples = cohort.sizes["samples"]
    if samples is None:
        return np.arange(n_samples)
    mask = np.asarray(samples)
    if mask.dtype != bool or mask.shape != (n_samples,):
        raise InputError(
            f"samples is {mask.dtype} of shape {mask.shape}; give one bool for each of {n_samples}"
        )
    if not mask.any():
        raise InputError("no sample is selected; give a mask with at least one True")
    return np.flatnonzero(mask)


def read_blocks(cohort: xr.Dataset, rows: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """Genotypes block by block: (start, stop, (b, k) dosage of the chosen samples), along the Dataset's own chunks.

    Parameters
    ----------
    cohort : xarray.Dataset
    rows : (k,) int64
        Samples.

    Yields
    ------
    start, stop, dosage
    """
    array = cohort["call_dosage"]
    n_variants, n_samples = array.shape
    most = max(1, READ_BYTES // max(1, n_samples * array.dtype.itemsize))
    chunks = array.chunks[0] if array.chunks is not None else (n_variants,)
    everyone = len(rows) == n_samples
    start = 0
    for size in chunks:
        end = start + size
        while start < end:
            stop = min(start + most, end)
            block = array[start:stop].values
            # one order of the samples in memory, so that sums are the same to the last bit from every source
            yield start, stop, np.ascontiguousarray(block if everyone else block[:, rows])
            start = stop


def sample_covariates(cohort: xr.Dataset, rows: np.ndarray) -> np.ndarray | None:
    """Covariates of the chosen samples, or None where the cohort has none."""
    if "sample_covariate" not in cohort or cohort.sizes.get("covariates", 0) == 0:
        return None
    return np.asarray(cohort["sample_covariate"].values[rows], dtype=np.float64)


def read_variants(cohort: xr.Dataset, rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Genotypes of some variants and samples, reading only the chunks that hold one.

    Parameters
    ----------
    cohort : xarray.Dataset
    rows : (k,) int64
        Samples.
    wanted : (v,) int64
        Variants, ascending.

    Returns
    -------
    (v, k) array
    """
    array = cohort["call_dosage"]
    chunks = array.chunks[0] if array.chunks is not None else (array.shape[0],)
    result = np.empty((len(wanted), len(rows)), dtype=array.dtype)
    start = 0
    for size in chunks:
        low, high = np.searchsorted(wanted, [start, start + size])
        if high > low:
            result[low:high] = array[start : start + size].values[wanted[low:high] - start][:, rows]
        start += size
    return result
