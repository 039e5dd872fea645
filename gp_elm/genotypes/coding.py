"""How genotypes are counted: 0/1/2 in diploids, 0/1 in haploid and fully inbred cohorts."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gp_elm.errors import InputError, OptionError
from gp_elm.genotypes.frequencies import VariantStatistics, variant_statistics
from gp_elm.genotypes.sex_linkage import ALIKE, X_ONE, Y_MALES, sample_sex, sex_linkage
from gp_elm.io.blocks import Recoding, attach, source_blocks
from gp_elm.kernels.recode import recode as recode_block
from gp_elm.schema import MISSING

log = logging.getLogger(__name__)

FEWEST_EXPECTED = 10.0
"""Heterozygotes that Hardy-Weinberg proportions must promise before their absence means anything."""

NEARLY_INBRED = 0.01
"""Share of the promised heterozygotes below which a cohort is called nearly inbred in the log."""

AS_READ, HALVED = (0, 1, 2, MISSING), (0, MISSING, 1, MISSING)
"""What 0, 1, 2 copies and a missing call become."""

SETTLED = "ploidy_settled"
"""Name in ``attrs`` of the ploidy that was asked for; it goes with the cohort into files."""


@dataclass(frozen=True)
class Ploidy:
    """What the genotypes say about a cohort's ploidy.

    Attributes
    ----------
    ploidy : int
        1 where no called genotype is heterozygous although many would be under random mating, else 2.
    n_heterozygous : int
        Heterozygous calls of samples with two copies.
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
        A cohort as read, counting 0/1/2; males on X, and Y and MT, do not count where they are known as such.
    statistics : VariantStatistics, optional
        Its frequencies, where they are known already; else one pass over the genotypes is made.

    Returns
    -------
    Ploidy
        The ploidy and the two counts that it rests on.
    """
    found = statistics or variant_statistics(cohort)
    frequency = np.nan_to_num(found.effect_allele_frequency)
    expected = float((2 * frequency * (1 - frequency) * found.n_diploid).sum())
    n_heterozygous = int(found.n_heterozygous.sum())
    haploid = n_heterozygous == 0 and expected >= FEWEST_EXPECTED
    return Ploidy(1 if haploid else 2, n_heterozygous, expected)


def recode(
    cohort: xr.Dataset, kind: NDArray[np.uint8], table: NDArray[np.int8], factor: NDArray[np.float32]
) -> xr.Dataset:
    """Change the copies counted, lazily, by kind of variant and sex of the sample.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort; without ``sample_sex`` every sex is unknown.
    kind : ndarray of uint8 (m,)
        Row of ``table`` of each variant; 0 leaves it as it is.
    table, factor
        As for :class:`gp_elm.io.blocks.Recoding`.

    Returns
    -------
    xarray.Dataset
        The same cohort with another ``call_dosage``.
    """
    sex = sample_sex(cohort)
    blocks = source_blocks(cohort)
    if blocks is not None:
        n_variants, n_samples = blocks.source.shape
        change = Recoding(np.zeros(n_variants, np.uint8), np.zeros(n_samples, np.uint8), table, factor)
        change.kind[blocks.variants], change.sex[blocks.samples] = kind, sex
        change = change if blocks.recoding is None else blocks.recoding.then(change)
        chunk = cohort["call_dosage"].encoding["chunk_variants"]
        return attach(cohort, replace(blocks, recoding=change), chunk_variants=chunk)
    dosage = cohort["call_dosage"].data
    if isinstance(dosage, da.Array):
        changed = da.blockwise(
            _recoded, "vs", dosage, "vs", da.from_array(kind, chunks=(dosage.chunks[0],)), "v",
            da.from_array(sex, chunks=(dosage.chunks[1],)), "s",
            table=table, factor=factor, dtype=dosage.dtype, meta=np.empty((0, 0), dosage.dtype),
        )  # fmt: skip
    else:
        changed = _recoded(dosage, kind, sex, table=table, factor=factor)
    return cohort.assign(call_dosage=(("variants", "samples"), changed))


def set_ploidy(cohort: xr.Dataset, ploidy: int) -> xr.Dataset:
    """Recode a cohort read as 0/1/2 for a ploidy.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort counting 0/1/2 (``variant_ploidy`` 2); Y and MT may count 0/1 already.
    ploidy : {1, 2}
        With 1, dosage 2 becomes 1 and heterozygotes become missing, lazily, wherever 0/1/2 is counted.

    Returns
    -------
    xarray.Dataset
        The cohort with ``variant_ploidy`` set.

    Raises
    ------
    OptionError
        Where ``ploidy`` is neither 1 nor 2.
    InputError
        Where ``ploidy`` is 2 and everything counts 0/1 already.
    """
    if ploidy not in (1, 2):
        raise OptionError(f"ploidy {ploidy} is not known; give 1 (haploid or inbred) or 2")
    now = cohort["variant_ploidy"].to_numpy()
    twofold = now == 2
    if ploidy == 2:
        if not twofold.any():
            raise InputError(
                "the cohort counts 0/1 already and cannot be recoded; open it again with the other ploidy"
            )
        return cohort
    if not twofold.any():
        return cohort
    linkage = sex_linkage(cohort)
    # males on X may count 0/1 already
    kind = np.where(twofold, np.where(linkage == X_ONE, 2, 1), 0).astype(np.uint8)
    table = np.array([[AS_READ] * 3, [HALVED] * 3, [HALVED, AS_READ, HALVED]], np.int8)
    factor = np.array([[1.0] * 3, [0.5] * 3, [0.5, 1.0, 0.5]], np.float32)
    coded = recode(cohort, kind, table, factor).assign(
        variant_ploidy=("variants", np.full(len(now), 1, now.dtype))
    )
    if "variant_sex_linkage" in cohort:
        alike = np.where(linkage == Y_MALES, Y_MALES, ALIKE).astype(np.int8)
        coded = coded.assign(variant_sex_linkage=("variants", alike))
    return coded


def settle_ploidy(cohort: xr.Dataset, statistics: VariantStatistics, ploidy: int | None) -> xr.Dataset:
    """Recode a cohort for the ploidy asked for, now or when it was saved, or else for the one detected; log it.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort as read, or with its sex chromosomes coded (:mod:`gp_elm.genotypes.sex`).
    statistics : VariantStatistics
        Its frequencies.
    ploidy : {1, 2}, optional
        Overrides the detection.

    Returns
    -------
    xarray.Dataset
        The recoded cohort.
    """
    if ploidy is None and not (cohort["variant_ploidy"].to_numpy() == 2).any():
        return cohort
    if ploidy is None and cohort.attrs.get(SETTLED) == 2:
        log.info("the cohort was saved with --ploidy 2 and counts 0/1/2; --ploidy 1 overrides")
        return cohort
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
    coded = set_ploidy(cohort, chosen)
    return coded if ploidy is None else coded.assign_attrs({SETTLED: ploidy})


def _recoded(
    block: NDArray[Any], kind: NDArray[np.uint8], sex: NDArray[np.uint8], *,
    table: NDArray[np.int8], factor: NDArray[np.float32],
) -> NDArray[Any]:  # fmt: skip
    """A recoded copy: the block may be the user's own array."""
    return recode_block(np.array(block), kind, sex, table, factor)
