"""Which variants are used by what their genotypes add up to: frequencies, counts, missing calls, Hardy-Weinberg."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from gp_elm.errors import OptionError
from gp_elm.genotypes.frequencies import VariantStatistics
from gp_elm.kernels.hardy_weinberg import exact_p_values

log = logging.getLogger(__name__)

ROUNDING = 1e-12
"""Relative slack of a threshold: a frequency of 1 - 0.9 is not below 0.1."""


def variant_filter(
    statistics: VariantStatistics,
    *,
    maf: float | None = None,
    max_maf: float | None = None,
    mac: float | None = None,
    max_mac: float | None = None,
    geno: float | None = None,
    hwe: float | str | None = None,
) -> NDArray[np.bool_]:
    """Which variants pass the thresholds, each judged by itself; a value equal to a threshold passes.

    The samples are those of ``statistics``, founders or not, as with PLINK's ``--nonfounders``.

    Parameters
    ----------
    statistics : VariantStatistics
        Of the samples that count.
    maf, max_maf : float, optional
        Smallest and largest minor allele frequency that is kept, 0 to 0.5.
    mac, max_mac : float, optional
        Smallest and largest count of the rarer allele that is kept; a male has one X.
    geno : float, optional
        Largest missing rate that is kept, 0 to 1.
    hwe : float or str, optional
        Smallest p-value of the exact test of Hardy-Weinberg proportions that is kept, 0 to 1; followed by ``midp``,
        that of the mid-p test. X is tested in females only, as by PLINK 1.9 (PLINK 2 joins the males' frequency to it);
        haploid variants pass.

    Returns
    -------
    ndarray of bool (m,)
        Variants to keep. Without ``maf`` and ``mac``, monomorphic variants stay.

    Raises
    ------
    OptionError
        Where an option is out of range or contradicts another, or no variant is left.
    """
    given: list[str] = []
    mask = np.ones(len(statistics.mean), bool)

    def apply(option: str, value: float, passing: NDArray[np.bool_], what: str) -> None:
        log.info(f"--{option} {value:g}: %d of %d variants {what}", int((~passing).sum()), len(mask))
        given.append(f"--{option} {value:g}")
        np.logical_and(mask, passing, out=mask)

    _check_order("maf", maf, "max-maf", max_maf)
    _check_order("mac", mac, "max-mac", max_mac)
    if geno is not None:
        check_share("geno", geno, 1.0)
        apply("geno", geno, statistics.missing_rate <= geno * (1 + ROUNDING), "have more missing calls")
    if hwe is not None:
        least, midp = parse_hwe(hwe)
        p = hardy_weinberg(statistics, midp=midp)
        apply("hwe", least, p >= least * (1 - ROUNDING), f"have a smaller {'mid-' if midp else ''}p-value")
    # nothing called: no frequency, and only a threshold of 0 lets it pass
    frequency = np.nan_to_num(statistics.minor_allele_frequency)
    for option, smallest, largest, value, top in (
        ("maf", maf, max_maf, frequency, 0.5),
        ("mac", mac, max_mac, statistics.minor_allele_count, np.inf),
    ):
        if smallest is not None:
            check_share(option, smallest, top)
            apply(option, smallest, value >= smallest * (1 - ROUNDING), "are rarer")
        if largest is not None:
            check_share(f"max-{option}", largest, top)
            apply(f"max-{option}", largest, value <= largest * (1 + ROUNDING), "are more frequent")
    if not mask.any():
        raise OptionError(f"no variant is left after {' '.join(given) or 'the other filters'}; loosen them")
    return mask


def hardy_weinberg(statistics: VariantStatistics, *, midp: bool = False) -> NDArray[np.float64]:
    """Exact test of Hardy-Weinberg proportions in the samples with two copies, one p-value a variant (m,).

    Parameters
    ----------
    statistics : VariantStatistics
        Of the samples that count; on X the females, and none where the variant is haploid.
    midp : bool
        Whether half the probability of the genotypes seen is taken off.

    Returns
    -------
    ndarray of float64 (m,)
        1 where no sample has two copies.
    """
    rest = statistics.n_diploid - statistics.n_heterozygous - statistics.n_homozygous
    return exact_p_values(statistics.n_heterozygous, statistics.n_homozygous, rest, midp=midp)


def parse_hwe(value: float | str) -> tuple[float, bool]:
    """Threshold of ``--hwe`` and whether it is that of the mid-p test: ``1e-6``, ``"1e-6 midp"``."""
    words = str(value).replace(",", " ").split()
    midp = words[1:] == ["midp"]
    try:
        if len(words) != 1 + midp:
            raise ValueError
        least = float(words[0])
    except ValueError as error:
        raise OptionError(
            f"--hwe {value} is not understood; give a p-value such as 1e-6, or '1e-6 midp'"
        ) from error
    check_share("hwe", least, 1.0)
    return least, midp


def check_share(option: str, value: float, most: float) -> None:
    """Refuse a threshold that is not from 0 to ``most``."""
    if not 0 <= value <= most:
        reach = f"from 0 to {most:g}" if np.isfinite(most) else "from 0"
        raise OptionError(f"--{option} is {value:g}; give a number {reach}")


def _check_order(option: str, least: float | None, above: str, most: float | None) -> None:
    if least is not None and most is not None and least > most:
        raise OptionError(
            f"--{option} {least:g} is above --{above} {most:g}: no variant passes both; change one"
        )
