"""Allele frequencies and missing rates, in one bounded pass over the blocks of genotypes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from gp_elm.schema import MISSING

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VariantStatistics:
    """What the called genotypes of each variant add up to.

    Attributes
    ----------
    n_samples : int
        Samples looked at.
    n_called : ndarray of int64 (m,)
        Called genotypes.
    mean : ndarray of float64 (m,)
        Mean dosage of the effect allele over called genotypes, NaN where there is none.
    variance : ndarray of float64 (m,)
        Variance of the dosage over called genotypes (divisor n_called), NaN where there is none.
    effect_allele_frequency : ndarray of float64 (m,)
        ``mean`` by ploidy.
    missing_rate : ndarray of float64 (m,)
        Share of samples without a call.
    n_heterozygous : ndarray of int64 (m,)
        Called genotypes of dosage 1 where the ploidy is 2, else 0.
    """

    n_samples: int
    n_called: NDArray[np.int64]
    mean: Float
    variance: Float
    effect_allele_frequency: Float
    missing_rate: Float
    n_heterozygous: NDArray[np.int64]

    @property
    def monomorphic(self) -> NDArray[np.bool_]:
        """Whether a variant does not vary among its called genotypes, or has none."""
        return ~(self.variance > 0)

    @property
    def minor_allele_frequency(self) -> Float:
        """The smaller of the two allele frequencies, NaN where nothing is called."""
        return np.minimum(self.effect_allele_frequency, 1 - self.effect_allele_frequency)


def variant_statistics(cohort: xr.Dataset, *, samples: ArrayLike | None = None) -> VariantStatistics:
    """Frequencies of every variant, in one pass.

    Memory is bounded by a few blocks; the sums are of integers, so chunking changes nothing.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    samples : array_like, optional
        Boolean mask or positions of the samples to look at; all by default.

    Returns
    -------
    VariantStatistics
        One entry a variant.
    """
    n_samples = cohort.sizes["samples"]
    chosen = None
    if samples is not None:
        chosen = np.asarray(samples)
        n_samples = int(chosen.sum()) if chosen.dtype == bool else len(chosen)
        if len(chosen) == cohort.sizes["samples"] == n_samples:
            chosen = None
    table = _sums(cohort, chosen)
    n_called, first, second, n_ones = table.T
    ploidy = cohort["variant_ploidy"].to_numpy().astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = first / n_called
        # exact for hard calls: the numerator is an integer difference
        variance = np.maximum(n_called * second - first**2, 0.0) / n_called**2
        missing_rate = (n_samples - n_called) / n_samples
    return VariantStatistics(
        n_samples=n_samples,
        n_called=n_called.astype(np.int64),
        mean=mean,
        variance=variance,
        effect_allele_frequency=mean / ploidy,
        missing_rate=missing_rate,
        n_heterozygous=np.where(ploidy == 2, n_ones, 0).astype(np.int64),
    )


def sample_missing_rate(cohort: xr.Dataset) -> Float:
    """Share of variants without a call in each sample, in one pass.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.

    Returns
    -------
    ndarray of float64 (n,)
        Missing rate of each sample.
    """
    dosage = _lazy(cohort)
    counts = da.map_blocks(
        _missing_of_samples, dosage, dtype=np.int64, chunks=((1,) * dosage.numblocks[0], dosage.chunks[1])
    )
    total = np.asarray(counts.sum(axis=0).compute())
    return np.asarray(total / max(cohort.sizes["variants"], 1), dtype=np.float64)


def block_sums(block: NDArray[Any]) -> Float:
    """Sums of one block of genotypes.

    Parameters
    ----------
    block : ndarray (b, n)
        Dosages: integers with -1 missing, or floats with NaN missing.

    Returns
    -------
    ndarray of float64 (b, 4)
        Called genotypes, sum of dosages, sum of their squares, genotypes of dosage 1.
    """
    if block.dtype.kind == "f":
        called = ~np.isnan(block)
        filled = np.where(called, block, 0).astype(np.float64)
        ones = np.count_nonzero(block == 1, axis=1)
        return np.column_stack([called.sum(axis=1), filled.sum(axis=1), (filled**2).sum(axis=1), ones])
    n_missing = np.count_nonzero(block == MISSING, axis=1)
    n_ones = np.count_nonzero(block == 1, axis=1)
    n_twos = np.count_nonzero(block == 2, axis=1)
    n_called = block.shape[1] - n_missing
    return np.column_stack([n_called, n_ones + 2 * n_twos, n_ones + 4 * n_twos, n_ones]).astype(np.float64)


def _lazy(cohort: xr.Dataset) -> da.Array:
    dosage = cohort["call_dosage"].data
    if not isinstance(dosage, da.Array):
        dosage = da.from_array(dosage, chunks=(4096, -1))
    # a variant's samples in one block, as the readers make them
    return dosage if dosage.numblocks[1] == 1 else dosage.rechunk({1: -1})


def _sums(cohort: xr.Dataset, chosen: NDArray[Any] | None) -> Float:
    dosage = _lazy(cohort)
    table = da.map_blocks(_chosen_sums, dosage, chosen, dtype=np.float64, chunks=(dosage.chunks[0], (4,)))
    return np.asarray(table.compute(), dtype=np.float64)


def _chosen_sums(block: NDArray[Any], chosen: NDArray[Any] | None) -> Float:
    return block_sums(block if chosen is None else block[:, chosen])


def _missing_of_samples(block: NDArray[Any]) -> NDArray[np.int64]:
    missing = np.isnan(block) if block.dtype.kind == "f" else block == MISSING
    return np.count_nonzero(missing, axis=0)[None, :]
