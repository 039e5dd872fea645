"""LD blocks of a cohort's variants."""

from __future__ import annotations

import logging

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gp_elm.elm.debiased import centred_reader
from gp_elm.elm.reading import DosageReader
from gp_elm.elm.study import Floats
from gp_elm.genotypes.ld import ld_blocks
from gp_elm.genotypes.thinning import evenly_spaced
from gp_elm.io.blocks import select

logger = logging.getLogger(__name__)

MOST_SAMPLES = 10_000
"""Samples from which LD is taken: r^2 at the threshold is then known to within .003."""


def ld_reader(cohort: xr.Dataset, samples: NDArray[np.int64]) -> tuple[DosageReader, int]:
    """Reader of the dosages that LD is taken from, those of at most 10,000 samples, and how many they are."""
    used = evenly_spaced(samples, cohort["sample_id"].values, MOST_SAMPLES)
    return DosageReader(select(cohort, samples=used), np.arange(used.size)), used.size


def cohort_blocks(
    cohort: xr.Dataset, samples: NDArray[np.int64], center: Floats, *, seed: int
) -> tuple[NDArray[np.int64], float]:
    """LD blocks of a cohort's variants over some samples, at most 10,000 of them.

    Parameters
    ----------
    cohort : xarray.Dataset
        The cohort.
    samples : (n,) int64
        Samples, as positions.
    center : (m,) float64
        Mean dosage of each variant over them.
    seed : int
        Seed of the variants that are compared between chromosomes.

    Returns
    -------
    (m,) int64, float
        As of :func:`gp_elm.genotypes.ld.ld_blocks`.
    """
    read, n_samples = ld_reader(cohort, samples)
    labels, threshold = ld_blocks(
        centred_reader(read, center), cohort["variant_contig"].values, cohort["variant_position"].values,
        n_samples, seed=seed,
    )  # fmt: skip
    sizes = np.bincount(labels)
    logger.info(
        "LD blocks: %d, the largest of %d variants (variants are joined where r2 > %.3g)",
        sizes.size, sizes.max(), threshold,
    )  # fmt: skip
    return labels, threshold
