"""The variants and samples of a cohort that are used, in the order of PLINK's steps, and how they are counted."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import xarray as xr

from gp_elm.errors import OptionError
from gp_elm.genotypes import filters
from gp_elm.genotypes.chromosomes import parse_chromosome_set
from gp_elm.genotypes.coding import settle_ploidy
from gp_elm.genotypes.frequencies import variant_statistics
from gp_elm.genotypes.sample_filters import (
    IdList,
    filter_families,
    filter_sample_missingness,
    filter_samples,
)
from gp_elm.genotypes.sex import code_sex_chromosomes, say_whether_sex_is_a_covariate
from gp_elm.genotypes.thresholds import variant_filter
from gp_elm.io.blocks import select

log = logging.getLogger(__name__)


def choose(
    cohort: xr.Dataset,
    *,
    keep: IdList | None = None,
    remove: IdList | None = None,
    keep_fam: IdList | None = None,
    remove_fam: IdList | None = None,
    chromosomes: str | Sequence[str | int] | None = None,
    from_bp: float | None = None,
    to_bp: float | None = None,
    extract: IdList | None = None,
    exclude: IdList | None = None,
    snps_only: bool | str | None = None,
    mind: float | None = None,
    chr_set: str | int | None = None,
    xchr_model: int | None = None,
) -> xr.Dataset:
    """Choose samples and variants by name, code the sex chromosomes, and drop samples with many missing calls.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort as read.
    keep, remove, keep_fam, remove_fam, mind
        As in :mod:`gp_elm.genotypes.sample_filters`.
    chromosomes, from_bp, to_bp, extract, exclude, snps_only
        As in :mod:`gp_elm.genotypes.filters`.
    chr_set, xchr_model
        As for :func:`gp_elm.genotypes.sex.code_sex_chromosomes`.

    Returns
    -------
    xarray.Dataset
        The subset.

    Raises
    ------
    InputError, OptionError
        Where a list or an option cannot be used, or nothing is left.
    """
    cohort = filter_samples(cohort, keep=keep, remove=remove)
    cohort = filter_families(cohort, keep_fam=keep_fam, remove_fam=remove_fam)
    if chromosomes is not None:
        cohort = filters.keep_chromosomes(cohort, chromosomes, chr_set=chr_set)
    if from_bp is not None or to_bp is not None:
        if chromosomes is None:
            raise OptionError("--from-bp and --to-bp need one chromosome; name it with --chr")
        cohort = filters.keep_region(cohort, from_bp=from_bp, to_bp=to_bp)
    cohort = filters.filter_ids(cohort, extract=extract, exclude=exclude)
    cohort = filters.keep_snps(cohort, snps_only)
    cohort = code_sex_chromosomes(cohort, chr_set=chr_set, xchr_model=xchr_model)
    if chr_set is not None:
        cohort = cohort.assign_attrs(chr_set=str(chr_set))
    if mind is not None:
        cohort = filter_sample_missingness(cohort, mind)
    return cohort


def filter_and_code(
    cohort: xr.Dataset,
    *,
    maf: float | None = None,
    max_maf: float | None = None,
    mac: float | None = None,
    max_mac: float | None = None,
    geno: float | None = None,
    hwe: float | str | None = None,
    ploidy: int | None = None,
    chr_set: str | int | None = None,
) -> xr.Dataset:
    """Settle the ploidy and drop variants by their genotypes in the samples that are left, in one pass over them.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort from :func:`choose`, its samples final.
    maf, max_maf, mac, max_mac, geno, hwe
        As for :func:`gp_elm.genotypes.thresholds.variant_filter`.
    ploidy : {1, 2}, optional
        Overrides the detection of haploid and inbred cohorts.
    chr_set : str or int, optional
        As for :func:`choose`; that of a haploid species asks for ``ploidy`` 1.

    Returns
    -------
    xarray.Dataset
        The cohort as it is analysed.

    Raises
    ------
    InputError, OptionError
        Where an option cannot be used, or no variant is left.
    """
    if ploidy is None and chr_set is not None and parse_chromosome_set(chr_set).haploid:
        log.info("--chr-set %s: all chromosomes are haploid and count 0/1", chr_set)
        ploidy = 1
    statistics = variant_statistics(cohort)
    coded = settle_ploidy(cohort, statistics, ploidy)
    counts_matter = any(value is not None for value in (mac, max_mac, hwe)) or "variant_sex_linkage" in cohort
    recoded = not np.array_equal(coded["variant_ploidy"], cohort["variant_ploidy"])
    if recoded and (counts_matter or statistics.n_heterozygous.any()):
        statistics = variant_statistics(
            coded
        )  # heterozygotes have become missing, a sample has one chromosome
    kept = variant_filter(statistics, maf=maf, max_maf=max_maf, mac=mac, max_mac=max_mac, geno=geno, hwe=hwe)
    n_monomorphic = int(statistics.monomorphic[kept].sum())
    if n_monomorphic:
        log.info(
            "%d variants are monomorphic in these samples; their rows stay, with NA and a flag", n_monomorphic
        )
    coded = select(coded, variants=np.flatnonzero(kept))
    say_whether_sex_is_a_covariate(coded)
    log.info("%d samples and %d variants are used", coded.sizes["samples"], coded.sizes["variants"])
    return coded
