"""Allele frequencies and missing rates, in one bounded pass over the blocks of genotypes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from gp_elm.genotypes.sex_linkage import FEMALE, MALE, X_ONE, X_TWO, Y_MALES, sample_sex, sex_linkage
from gp_elm.io.blocks import select
from gp_elm.schema import MISSING

Float = NDArray[np.float64]

HARD_CALL = 0.1
"""An imputed dosage within this of 0, 1 or 2 counts as that genotype (PLINK's --hard-call-threshold)."""


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
        Copies of the effect allele by ``n_alleles``.
    n_alleles : ndarray of int64 (m,)
        Chromosomes of the called genotypes: a sample has as many as its ploidy, a male one X.
    missing_rate : ndarray of float64 (m,)
        Share without a call of the samples that can have one: males on Y, samples of known sex on X, where PLINK's
        ``--missing`` counts those of unknown sex too.
    n_diploid, n_heterozygous, n_homozygous : ndarray of int64 (m,)
        Called genotypes of samples with two copies, those of them with one copy of the effect allele and with two;
        imputed dosages count where they are near 0, 1 or 2. Males on X have one copy.
    """

    n_samples: int
    n_called: NDArray[np.int64]
    mean: Float
    variance: Float
    effect_allele_frequency: Float
    n_alleles: NDArray[np.int64]
    missing_rate: Float
    n_diploid: NDArray[np.int64]
    n_heterozygous: NDArray[np.int64]
    n_homozygous: NDArray[np.int64]

    @property
    def monomorphic(self) -> NDArray[np.bool_]:
        """Whether a variant does not vary among its called genotypes, or has none."""
        return ~(self.variance > 0)

    @property
    def minor_allele_frequency(self) -> Float:
        """The smaller of the two allele frequencies, NaN where nothing is called."""
        return np.minimum(self.effect_allele_frequency, 1 - self.effect_allele_frequency)

    @property
    def minor_allele_count(self) -> Float:
        """Copies of the rarer allele, 0 where nothing is called."""
        return np.nan_to_num(self.minor_allele_frequency) * self.n_alleles


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
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        n_samples = len(chosen)
        if n_samples == cohort.sizes["samples"] and np.array_equal(chosen, np.arange(n_samples)):
            chosen = None
    table = _sums(cohort, chosen)
    n_called, first, second = table[:, :3].T
    copies = count_alleles(cohort, n_called, first, samples=chosen)
    genotypes = table[:, 3:].copy()
    genotypes[copies.x] -= copies.of_males[:, 3:]
    genotypes[cohort["variant_ploidy"].to_numpy() != 2] = 0
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = first / n_called
        # exact for hard calls: the numerator is an integer difference
        variance = np.maximum(n_called * second - first**2, 0.0) / n_called**2
    return VariantStatistics(
        n_samples=n_samples,
        n_called=n_called.astype(np.int64),
        mean=mean,
        variance=variance,
        effect_allele_frequency=copies.frequency,
        n_alleles=copies.n_alleles.astype(np.int64),
        missing_rate=copies.missing_rate,
        n_diploid=genotypes.sum(axis=1).astype(np.int64),
        n_heterozygous=genotypes[:, 1].astype(np.int64),
        n_homozygous=genotypes[:, 2].astype(np.int64),
    )


@dataclass(frozen=True, eq=False)
class AlleleCounts:
    """Copies and chromosomes of each variant, a male having one X.

    Attributes
    ----------
    frequency : ndarray of float64 (m,)
        Of the effect allele; NaN where nothing is called.
    n_alleles : ndarray of float64 (m,)
        Chromosomes of the called genotypes.
    missing_rate : ndarray of float64 (m,)
        Among the samples that can have a call; 1 where there is none.
    x : ndarray of int64 (k,)
        Positions of the variants on X.
    of_males : ndarray of float64 (k, 6)
        :func:`block_sums` of the males at these.
    """

    frequency: Float
    n_alleles: Float
    missing_rate: Float
    x: NDArray[np.int64]
    of_males: Float


def count_alleles(
    cohort: xr.Dataset, n_called: ArrayLike, total: ArrayLike, *, samples: NDArray[np.int64] | None = None
) -> AlleleCounts:
    """Allele frequencies and missing rates from sums over samples, as PLINK counts them in samples of known sex.

    On X, the males are read once more: a male has one chromosome there, whether he counts 0/1 or 0/2. Samples of
    unknown sex have no call on X once it is coded; PLINK's ``--freq`` and ``--missing`` count them there like females.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    n_called, total : array_like (m,)
        Called genotypes and their summed dosage.
    samples : ndarray of int64, optional
        Positions of the samples summed over; all by default.

    Returns
    -------
    AlleleCounts
        One entry a variant.
    """
    called, copies = np.asarray(n_called, np.float64), np.asarray(total, np.float64).copy()
    linkage = sex_linkage(cohort)
    n_samples = cohort.sizes["samples"] if samples is None else len(samples)
    n_alleles = called * cohort["variant_ploidy"].to_numpy()
    possible = np.full(len(called), float(n_samples))
    x = np.flatnonzero((linkage == X_ONE) | (linkage == X_TWO))
    of_males = np.zeros((len(x), 6))
    if linkage.any():
        sex = sample_sex(cohort) if samples is None else sample_sex(cohort)[samples]
        males = np.flatnonzero(sex == MALE) if samples is None else samples[sex == MALE]
        possible[x] = np.count_nonzero((sex == MALE) | (sex == FEMALE))
        possible[linkage == Y_MALES] = len(males)
        if len(x) and len(males):
            of_males = _sums(select(cohort, variants=x, samples=males), None)
            n_alleles[x] -= of_males[:, 0]
            # linkage is the largest dosage of a male
            copies[x] -= of_males[:, 1] * (1 - 1 / linkage[x])
    with np.errstate(invalid="ignore", divide="ignore"):
        missing_rate = np.where(possible > 0, (possible - called) / possible, 1.0)
        return AlleleCounts(copies / n_alleles, n_alleles, missing_rate, x, of_males)


def sample_missing_rate(cohort: xr.Dataset) -> Float:
    """Share of variants without a call in each sample, in one pass.

    Y counts for males only and X for samples of known sex, where the cohort's sex chromosomes are coded.

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
    missing = np.asarray(counts.sum(axis=0).compute())
    possible = np.full(len(missing), cohort.sizes["variants"])
    linkage, sex = sex_linkage(cohort), sample_sex(cohort)
    for n_without, without in (
        (np.count_nonzero(linkage == Y_MALES), sex != MALE),
        (np.count_nonzero((linkage == X_ONE) | (linkage == X_TWO)), (sex != MALE) & (sex != FEMALE)),
    ):
        missing[without] -= n_without
        possible[without] -= n_without
    return np.asarray(missing / np.maximum(possible, 1), dtype=np.float64)


def block_sums(block: NDArray[Any]) -> Float:
    """Sums of one block of genotypes.

    Parameters
    ----------
    block : ndarray (b, n)
        Dosages: integers with -1 missing, or floats with NaN missing.

    Returns
    -------
    ndarray of float64 (b, 6)
        Called genotypes, sum of dosages, sum of their squares, genotypes of dosage 0, 1 and 2.
    """
    if block.dtype.kind == "f":
        called = ~np.isnan(block)
        filled = np.where(called, block, 0).astype(np.float64)
        genotypes = [np.count_nonzero(np.abs(block - copies) <= HARD_CALL, axis=1) for copies in range(3)]
        return np.column_stack([called.sum(axis=1), filled.sum(axis=1), (filled**2).sum(axis=1), *genotypes])
    n_zeros, n_ones, n_twos = (np.count_nonzero(block == copies, axis=1) for copies in range(3))
    n_called = n_zeros + n_ones + n_twos
    return np.column_stack(
        [n_called, n_ones + 2 * n_twos, n_ones + 4 * n_twos, n_zeros, n_ones, n_twos]
    ).astype(np.float64)


def _lazy(cohort: xr.Dataset) -> da.Array:
    dosage = cohort["call_dosage"].data
    if not isinstance(dosage, da.Array):
        dosage = da.from_array(dosage, chunks=(4096, -1))
    # a variant's samples in one block, as the readers make them
    return dosage if dosage.numblocks[1] == 1 else dosage.rechunk({1: -1})


def _sums(cohort: xr.Dataset, chosen: NDArray[Any] | None) -> Float:
    dosage = _lazy(cohort)
    table = da.map_blocks(_chosen_sums, dosage, chosen, dtype=np.float64, chunks=(dosage.chunks[0], (6,)))
    return np.asarray(table.compute(), dtype=np.float64)


def _chosen_sums(block: NDArray[Any], chosen: NDArray[Any] | None) -> Float:
    return block_sums(block if chosen is None else block[:, chosen])


def _missing_of_samples(block: NDArray[Any]) -> NDArray[np.int64]:
    missing = np.isnan(block) if block.dtype.kind == "f" else block == MISSING
    return np.count_nonzero(missing, axis=0)[None, :]
