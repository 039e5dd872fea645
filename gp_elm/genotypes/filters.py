"""Which variants and samples of a cohort are used: lists of ids, chromosomes, frequencies, missing calls."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from gp_elm.errors import OptionError
from gp_elm.genotypes.frequencies import VariantStatistics, sample_missing_rate
from gp_elm.io.blocks import select
from gp_elm.io.id_lists import read_ids
from gp_elm.io.sample_ids import SampleIndex

log = logging.getLogger(__name__)

ROUNDING = 1e-12
"""Relative slack of a threshold: a frequency of 1 - 0.9 is not below 0.1."""

IdList = str | os.PathLike[str] | Sequence[str]


def parse_chromosomes(chromosomes: str | Sequence[str | int]) -> list[str]:
    """Spell out a choice of chromosomes.

    Parameters
    ----------
    chromosomes : str or sequence
        Names, or ranges of numbers: ``"1-4,X"``.

    Returns
    -------
    list of str
        One name each.
    """
    words = chromosomes.split(",") if isinstance(chromosomes, str) else [str(word) for word in chromosomes]
    names: list[str] = []
    for word in (word.strip() for word in words):
        first, _, last = word.partition("-")
        if first.isdigit() and last.isdigit():
            names += [str(number) for number in range(int(first), int(last) + 1)]
        elif word:
            names.append(word)
    return names


def keep_chromosomes(cohort: xr.Dataset, chromosomes: str | Sequence[str | int]) -> xr.Dataset:
    """Keep the variants of some chromosomes.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    chromosomes : str or sequence
        As for :func:`parse_chromosomes`; ``chr`` in front of a name makes no difference.

    Returns
    -------
    xarray.Dataset
        The subset.

    Raises
    ------
    OptionError
        Where a name is not among the cohort's chromosomes (within a range, where none is).
    """
    there = {str(name).removeprefix("chr"): code for code, name in enumerate(cohort["contig_id"].to_numpy())}
    wanted = [name.removeprefix("chr") for name in parse_chromosomes(chromosomes)]
    unknown = [name for name in wanted if name not in there]
    if unknown and not (_has_range(chromosomes) and len(unknown) < len(wanted)):
        raise OptionError(f"--chr: no chromosome {', '.join(unknown[:5])}; there are {', '.join(there)}")
    codes = [there[name] for name in wanted if name in there]
    return _keep_variants(
        cohort, np.isin(cohort["variant_contig"].to_numpy(), codes), f"--chr {','.join(wanted)}"
    )


def filter_ids(
    cohort: xr.Dataset, *, extract: IdList | None = None, exclude: IdList | None = None
) -> xr.Dataset:
    """Keep or drop the variants of a list.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    extract, exclude : path or sequence of str, optional
        Variant ids, one a line; ids that the cohort lacks are counted in the log.

    Returns
    -------
    xarray.Dataset
        The subset.

    Raises
    ------
    OptionError
        Where no variant is left.
    """
    for option, source in (("extract", extract), ("exclude", exclude)):
        if source is None:
            continue
        name, ids = read_ids(source)
        wanted = np.unique([first for first, _ in ids])
        present = cohort["variant_id"].to_numpy()
        listed = pd.Index(present).isin(wanted)
        n_unknown = len(wanted) - int(pd.Index(wanted).isin(present).sum())
        if n_unknown:
            log.warning("--%s %s: %d of %d ids are not in the cohort", option, name, n_unknown, len(wanted))
        example = f"; the list has {wanted[0]}, the cohort {present[0]}" if option == "extract" else ""
        cohort = _keep_variants(
            cohort, listed if option == "extract" else ~listed, f"--{option} {name}", example
        )
    return cohort


def filter_samples(
    cohort: xr.Dataset, *, keep: IdList | None = None, remove: IdList | None = None
) -> xr.Dataset:
    """Keep or drop the samples of a list.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    keep, remove : path or sequence of str, optional
        Samples as ``FID IID`` or ``IID``, one a line; ids that the cohort lacks are counted in the log.

    Returns
    -------
    xarray.Dataset
        The subset.

    Raises
    ------
    OptionError
        Where no sample is left.
    """
    for option, source in (("keep", keep), ("remove", remove)):
        if source is None:
            continue
        name, ids = read_ids(source)
        index = SampleIndex(cohort)
        found = [index.find(first if second else "0", second or first) for first, second in ids]
        listed = np.zeros(cohort.sizes["samples"], bool)
        listed[[position for position in found if position >= 0]] = True
        n_unknown = found.count(-1)
        if n_unknown:
            log.warning("--%s %s: %d of %d ids are not in the cohort", option, name, n_unknown, len(ids))
        mask = listed if option == "keep" else ~listed
        if not mask.any():
            raise OptionError(
                f"--{option} {name} leaves no sample; the list has {' '.join(ids[0]).strip()!r}, "
                f"the cohort {index.example()!r}"
            )
        log.info("--%s %s: %d of %d samples are left", option, name, int(mask.sum()), len(mask))
        cohort = select(cohort, samples=mask)
    return cohort


def filter_sample_missingness(cohort: xr.Dataset, mind: float) -> xr.Dataset:
    """Drop samples with too many missing calls, in one pass.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    mind : float
        Largest missing rate that is kept, 0 to 1.

    Returns
    -------
    xarray.Dataset
        The subset.

    Raises
    ------
    OptionError
        Where ``mind`` is out of range, or no sample is left.
    """
    _check_share("mind", mind, 1.0)
    rate = sample_missing_rate(cohort)
    mask = rate <= mind * (1 + ROUNDING)
    if not mask.any():
        raise OptionError(f"--mind {mind:g} leaves no sample; the smallest missing rate is {rate.min():.4g}")
    log.info("--mind %g: %d of %d samples are left", mind, int(mask.sum()), len(mask))
    return select(cohort, samples=mask)


def variant_filter(
    statistics: VariantStatistics, *, maf: float | None = None, geno: float | None = None
) -> NDArray[np.bool_]:
    """Which variants pass the frequency and missingness filters.

    Parameters
    ----------
    statistics : VariantStatistics
        Of the samples that count.
    maf : float, optional
        Smallest minor allele frequency that is kept, 0 to 0.5.
    geno : float, optional
        Largest missing rate that is kept, 0 to 1.

    Returns
    -------
    ndarray of bool (m,)
        Variants to keep. Without ``maf``, monomorphic variants stay.

    Raises
    ------
    OptionError
        Where an option is out of range, or no variant is left.
    """
    mask = np.ones(len(statistics.mean), bool)
    if geno is not None:
        _check_share("geno", geno, 1.0)
        passing = statistics.missing_rate <= geno * (1 + ROUNDING)
        log.info(
            "--geno %g: %d of %d variants have more missing calls", geno, int((~passing).sum()), len(mask)
        )
        mask &= passing
    if maf is not None:
        _check_share("maf", maf, 0.5)
        # nothing called: no frequency, and only a threshold of 0 lets it pass
        passing = np.nan_to_num(statistics.minor_allele_frequency) >= maf * (1 - ROUNDING)
        log.info("--maf %g: %d of %d variants are rarer", maf, int((~passing).sum()), len(mask))
        mask &= passing
    if not mask.any():
        given = " ".join(
            f"--{name} {value:g}" for name, value in (("geno", geno), ("maf", maf)) if value is not None
        )
        raise OptionError(f"no variant is left after {given or 'the other filters'}; loosen them")
    return mask


def _keep_variants(cohort: xr.Dataset, mask: NDArray[np.bool_], what: str, example: str = "") -> xr.Dataset:
    if not mask.any():
        raise OptionError(f"{what} leaves no variant{example}")
    log.info("%s: %d of %d variants are left", what, int(mask.sum()), len(mask))
    return select(cohort, variants=mask)


def _has_range(chromosomes: str | Sequence[str | int]) -> bool:
    return "-" in (chromosomes if isinstance(chromosomes, str) else "".join(map(str, chromosomes)))


def _check_share(option: str, value: float, most: float) -> None:
    if not 0 <= value <= most:
        raise OptionError(f"--{option} is {value:g}; give a number from 0 to {most:g}")
