"""Columns of traits: the choice of them, the FAM file's own, case-control coding, constant traits."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterable, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gp_elm.errors import InputError, OptionError
from gp_elm.io.phenotypes import SampleTable

log = logging.getLogger(__name__)

FAM_TRAIT = "phenotype"
"""Name of the trait in FAM column 6."""

Names = str | Sequence[str]


def check_traits(values: NDArray[np.float64], names: Iterable[str], where: str, hint: str) -> None:
    """Refuse traits without variation.

    Parameters
    ----------
    values : ndarray of float64 (n, T)
        Traits of the samples used, NaN missing.
    names : iterable of str
        Their names.
    where, hint : str
        Start and end of the message: the file and the remedy.

    Raises
    ------
    InputError
        Where a trait has no value, or one value only.
    """
    for t, name in enumerate(names):
        called = values[~np.isnan(values[:, t]), t]
        if not len(called):
            raise InputError(f"{where}trait {name} has no value in the {len(values)} samples used; {hint}")
        if np.ptp(called) == 0:
            raise InputError(
                f"{where}trait {name} is constant, {called[0]:g} in all {len(called)} samples used; {hint}"
            )


def fam_table(cohort: xr.Dataset) -> SampleTable:
    """Trait of the FAM file, as a table.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort as :func:`gp_elm.io.plink.read_plink` made it.

    Returns
    -------
    SampleTable
        One column, ``phenotype``.

    Raises
    ------
    OptionError
        Where the cohort has no such column any more.
    """
    if "fam_phenotype" not in cohort:
        raise OptionError("the files of genotypes hold no trait; give a table of traits (--pheno)")
    n = cohort.sizes["samples"]
    family = cohort["sample_family_id"].to_numpy()
    sample = (cohort["sample_iid"] if "sample_iid" in cohort else cohort["sample_id"]).to_numpy()
    text = cohort["fam_phenotype"].to_numpy()
    names = ("source_fam", "source_psam", "source_sample")
    source = str(next((cohort.attrs[name] for name in names if name in cohort.attrs), "FAM"))
    return SampleTable(source, family, sample, {FAM_TRAIT: text}, _fam_lines(source, family, sample, n))


def _fam_lines(source: str, family: NDArray[np.str_], sample: NDArray[np.str_], n: int) -> NDArray[np.int64]:
    """Line of the FAM file that each sample stands on; samples may have been left out since it was read."""
    where: dict[tuple[str, str], int] = {}
    if os.path.isfile(source):
        with open(source, encoding="utf-8", errors="replace") as handle:
            for number, line in enumerate(handle, start=1):
                if len(words := line.split(None, 2)) > 1:
                    where[words[0], words[1]] = number
    pairs = zip(family, sample, strict=True)
    return np.fromiter((where.get((str(f), str(s)), 0) for f, s in pairs), np.int64, n)


def from_case_control(values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Trait coded 1 control, 2 case, 0 missing (PLINK) to 0/1; any other trait unchanged.

    Parameters
    ----------
    values : ndarray of float64 (n,)
        The trait, NaN missing.
    name : str
        Its name, for the log.

    Returns
    -------
    ndarray of float64 (n,)
        The trait, recoded where it holds 1 and 2 and nothing else but 0.
    """
    levels = set(np.unique(values[~np.isnan(values)]))
    if not {1.0, 2.0} <= levels or not levels <= {0.0, 1.0, 2.0}:
        return values
    n_zero = int((values == 0).sum())
    log.warning(
        "trait %s is read as case-control: %d controls (1) become 0, %d cases (2) become 1%s",
        name, int((values == 1).sum()), int((values == 2).sum()),
        f", {n_zero} zeros become missing as in PLINK" if n_zero else "",
    )  # fmt: skip
    return np.where(values == 0, np.nan, values - 1)


def choose(there: list[str], wanted: Names | None, option: str, source: str) -> list[str]:
    """Columns that are asked for.

    Parameters
    ----------
    there : list of str
        Columns of the table.
    wanted : str or sequence of str, optional
        Names, a string separated by commas; None asks for all.
    option, source : str
        The option and the file, for messages.

    Returns
    -------
    list of str
        Names in the order asked for.

    Raises
    ------
    InputError
        Where the table has no column.
    OptionError
        Where a name is not among them.
    """
    if not there:
        raise InputError(f"{source}:1: only id columns; add a column for each trait or covariate")
    if wanted is None:
        return there
    names = (
        [word.strip() for word in wanted.split(",")]
        if isinstance(wanted, str)
        else [str(word) for word in wanted]
    )
    names = list(dict.fromkeys(name for name in names if name))
    unknown = [name for name in names if name not in there]
    if unknown:
        near = difflib.get_close_matches(unknown[0], there, n=1)
        listed = ", ".join(there[:30]) + (f" and {len(there) - 30} more" if len(there) > 30 else "")
        raise OptionError(
            f"{option}: {source} has no column {', '.join(unknown)}"
            + (f" (is it {near[0]}?)" if near else "")
            + f"; there is {listed}"
        )
    if not names:
        raise OptionError(f"{option} names nothing; there is {', '.join(there[:30])}")
    return names
