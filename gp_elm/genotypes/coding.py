"""How genotypes are counted: 0/1/2 in diploids, 0/1 in haploid and fully inbred cohorts."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gp_elm.errors import InputError, OptionError
from gp_elm.genotypes.frequencies import VariantStatistics, variant_statistics
from gp_elm.io.blocks import Blocks, Recoding, attach, source_blocks
from gp_elm.schema import MISSING

log = logging.getLogger(__name__)

FEWEST_EXPECTED = 10.0
"""Heterozygotes that Hardy-Weinberg proportions must promise before their absence means anything."""

NEARLY_INBRED = 0.01
"""Share of the promised heterozygotes below which a cohort is called nearly inbred in the log."""

AS_READ, HALVED = (0, 1, 2, MISSING), (0, MISSING, 1, MISSING)
"""What 0, 1, 2 copies and a missing call become."""

SEX_CHROMOSOMES = frozenset({"X", "Y", "XY", "MT", "M", "23", "24", "25", "26"})


@dataclass(frozen=True)
class Ploidy:
    """What the genotypes say about a cohort's ploidy.

    Attributes
    ----------
    ploidy : int
        1 where no called genotype is heterozygous although many would be under random mating, else 2.
    n_heterozygous : int
        Heterozygous calls.
    n_expected : float
        Heterozygous calls in Hardy-Weinberg proportions.
    """

    ploidy: int
    n_heterozygous: int
    n_expected: float


def detect_ploidy(cohort: xr.Dataset, *, statistics: VariantStatistics | None = None) -> Ploidy:
    """Tell a haploid or fully inbred cohort from a diploid one, by its heterozygotes.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort as read, counting 0/1/2.
    statistics : VariantStatistics, optional
        Its frequencies, where they are known already; else one pass over the genotypes is made.

    Returns
    -------
    Ploidy
        The ploidy and the two counts that it rests on.
    """
    found = statistics or variant_statistics(cohort)
    frequency = np.nan_to_num(found.effect_allele_frequency)
    expected = float((2 * frequency * (1 - frequency) * found.n_called).sum())
    n_heterozygous = int(found.n_heterozygous.sum())
    haploid = n_heterozygous == 0 and expected >= FEWEST_EXPECTED
    return Ploidy(1 if haploid else 2, n_heterozygous, expected)


def set_ploidy(cohort: xr.Dataset, ploidy: int) -> xr.Dataset:
    """Recode a cohort read as 0/1/2 for a ploidy.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort counting 0/1/2 (``variant_ploidy`` 2).
    ploidy : {1, 2}
        With 1, dosage 2 becomes 1 and heterozygotes become missing, lazily.

    Returns
    -------
    xarray.Dataset
        The cohort with ``variant_ploidy`` set.

    Raises
    ------
    OptionError
        Where ``ploidy`` is neither 1 nor 2.
    InputError
        Where ``ploidy`` is 2 and the cohort counts 0/1 already.
    """
    if ploidy not in (1, 2):
        raise OptionError(f"ploidy {ploidy} is not known; give 1 (haploid or inbred) or 2")
    now = cohort["variant_ploidy"].to_numpy()
    if np.all(now == ploidy):
        return cohort
    if np.any(now == 1):
        raise InputError(
            "the cohort counts 0/1 already and cannot be recoded; open it again with the other ploidy"
        )
    recoded = cohort.assign(variant_ploidy=("variants", np.full(len(now), ploidy, now.dtype)))
    blocks = source_blocks(cohort)
    if blocks is not None:
        return attach(
            recoded,
            replace(blocks, recoding=_haploid(blocks)),
            chunk_variants=cohort["call_dosage"].encoding["chunk_variants"],
        )
    dosage = cohort["call_dosage"].data
    halved = (
        dosage.map_blocks(_halve, dtype=dosage.dtype) if hasattr(dosage, "map_blocks") else _halve(dosage)
    )
    return recoded.assign(call_dosage=(("variants", "samples"), halved))


def settle_ploidy(cohort: xr.Dataset, statistics: VariantStatistics, ploidy: int | None) -> xr.Dataset:
    """Recode a cohort for the ploidy asked for, or else for the one detected, and log what was done.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort as read.
    statistics : VariantStatistics
        Its frequencies.
    ploidy : {1, 2}, optional
        Overrides the detection.

    Returns
    -------
    xarray.Dataset
        The recoded cohort.
    """
    found = detect_ploidy(cohort, statistics=statistics)
    chosen = found.ploidy if ploidy is None else ploidy
    if ploidy is None and chosen == 1:
        log.info(
            "no heterozygote where %.0f would be expected: the cohort is haploid or inbred, each variant "
            "counts 0/1 and effects are per 0/1 step; --ploidy 2 overrides",
            found.n_expected,
        )
    elif ploidy == 1 and found.n_heterozygous:
        log.warning("--ploidy 1: %d heterozygous calls are treated as missing", found.n_heterozygous)
    elif ploidy is None and found.n_heterozygous < NEARLY_INBRED * found.n_expected:
        log.warning(
            "only %d heterozygous calls where %.0f would be expected: counted 0/1/2 as a diploid cohort; "
            "if it is inbred, --ploidy 1 counts 0/1 and sets heterozygotes missing",
            found.n_heterozygous, found.n_expected,
        )  # fmt: skip
    if chosen == 2:
        names = [
            str(name)
            for name in cohort["contig_id"].to_numpy()[np.unique(cohort["variant_contig"].to_numpy())]
        ]
        sex = [name for name in names if name.upper().removeprefix("CHR") in SEX_CHROMOSOMES]
        if sex:
            log.info("chromosome %s counts 0/1/2 in every sample, as PLINK codes it", ", ".join(sex))
    return set_ploidy(cohort, chosen)


def _haploid(blocks: Blocks) -> Recoding:
    """Copies 0 and 2 become 0 and 1 and heterozygotes missing, in every sample."""
    n_variants, n_samples = blocks.source.shape
    return Recoding(
        kind=np.ones(n_variants, np.uint8),
        sex=np.zeros(n_samples, np.uint8),
        table=np.array([[AS_READ] * 3, [HALVED] * 3], np.int8),
        factor=np.array([[1.0] * 3, [0.5] * 3], np.float32),
    )


def _halve(block: NDArray[Any]) -> NDArray[Any]:
    if block.dtype.kind == "f":
        return block / 2
    return np.where(block == 2, 1, np.where(block == 0, 0, MISSING)).astype(block.dtype)
