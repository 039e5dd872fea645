"""Which variants of a cohort are used by name, place and alleles."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from gp_elm.errors import OptionError
from gp_elm.genotypes.chromosomes import chromosome_set
from gp_elm.genotypes.sample_filters import IdList
from gp_elm.io.blocks import select
from gp_elm.io.id_lists import read_ids

log = logging.getLogger(__name__)

ACGT = frozenset("ACGTacgt.0")
"""Alleles of ``--snps-only just-acgt``; . and 0 are missing alleles."""


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


def keep_chromosomes(
    cohort: xr.Dataset, chromosomes: str | Sequence[str | int], *, chr_set: str | int | None = None
) -> xr.Dataset:
    """Keep the variants of some chromosomes.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    chromosomes : str or sequence
        As for :func:`parse_chromosomes`; ``chr`` and zeros in front of a name make no difference, and X, Y, XY and MT
        are the same by name and by number.
    chr_set : str or int, optional
        As for :func:`gp_elm.genotypes.chromosomes.parse_chromosome_set`; by default told from the names.

    Returns
    -------
    xarray.Dataset
        The subset.

    Raises
    ------
    OptionError
        Where a name is not among the cohort's chromosomes (within a range, where none is).
    """
    names = [str(name) for name in cohort["contig_id"].to_numpy()]
    known, _ = chromosome_set(names, chr_set)
    there: dict[str, list[int]] = {}
    for code, name in enumerate(names):
        there.setdefault(known.canonical(name), []).append(code)
    wanted = parse_chromosomes(chromosomes)
    unknown = [name for name in wanted if known.canonical(name) not in there]
    if unknown and not (_has_range(chromosomes) and len(unknown) < len(wanted)):
        raise OptionError(
            f"--chr: no chromosome {', '.join(name.removeprefix('chr') for name in unknown[:5])}; "
            f"there are {', '.join(name.removeprefix('chr') for name in names)}"
        )
    codes = [code for name in wanted for code in there.get(known.canonical(name), [])]
    return _keep_variants(
        cohort, np.isin(cohort["variant_contig"].to_numpy(), codes), f"--chr {','.join(wanted)}"
    )


def keep_region(
    cohort: xr.Dataset, *, from_bp: float | None = None, to_bp: float | None = None
) -> xr.Dataset:
    """Keep the variants of a stretch of one chromosome, both ends included.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort of the variants of one chromosome (:func:`keep_chromosomes`).
    from_bp, to_bp : float, optional
        First and last position, 1-based.

    Returns
    -------
    xarray.Dataset
        The subset.

    Raises
    ------
    OptionError
        Where the cohort has several chromosomes, the ends are reversed, or no variant is left.
    """
    if from_bp is None and to_bp is None:
        return cohort
    what = " ".join(
        f"--{option} {value:.12g}"
        for option, value in (("from-bp", from_bp), ("to-bp", to_bp))
        if value is not None
    )
    if from_bp is not None and to_bp is not None and to_bp < from_bp:
        raise OptionError(f"{what}: the end is before the start; swap them")
    if len(np.unique(cohort["variant_contig"].to_numpy())) > 1:
        raise OptionError(f"{what} needs one chromosome; name it with --chr")
    position = cohort["variant_position"].to_numpy()
    low, high = -np.inf if from_bp is None else from_bp, np.inf if to_bp is None else to_bp
    example = f"; positions are {position.min()} to {position.max()}" if len(position) else ""
    return _keep_variants(cohort, (position >= low) & (position <= high), what, example)


def keep_snps(cohort: xr.Dataset, snps_only: bool | str | None = True) -> xr.Dataset:
    """Keep the variants whose alleles are single characters.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    snps_only : bool or str
        ``"just-acgt"`` keeps only A, C, G, T, a, c, g, t and the missing alleles . and 0; ``"all"`` is True; False
        or None keeps every variant.

    Returns
    -------
    xarray.Dataset
        The subset.

    Raises
    ------
    OptionError
        Where the word is another, or no variant is left.
    """
    if not snps_only:
        return cohort
    if snps_only not in (True, "all", "just-acgt"):
        raise OptionError(f"--snps-only {snps_only} is not understood; give just-acgt or nothing")
    mask = np.ones(cohort.sizes["variants"], bool)
    for name in ("variant_effect_allele", "variant_other_allele"):
        alleles = pd.Series(cohort[name].to_numpy().astype(object))
        mask &= (alleles.isin(ACGT) if snps_only == "just-acgt" else alleles.str.len() == 1).to_numpy()
    option = "--snps-only just-acgt" if snps_only == "just-acgt" else "--snps-only"
    return _keep_variants(cohort, mask, option)


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


def _keep_variants(cohort: xr.Dataset, mask: NDArray[np.bool_], what: str, example: str = "") -> xr.Dataset:
    if not mask.any():
        raise OptionError(f"{what} leaves no variant{example}")
    log.info("%s: %d of %d variants are left", what, int(mask.sum()), len(mask))
    return select(cohort, variants=mask)


def _has_range(chromosomes: str | Sequence[str | int]) -> bool:
    return "-" in (chromosomes if isinstance(chromosomes, str) else "".join(map(str, chromosomes)))
