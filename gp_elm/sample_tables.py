"""Traits, covariates and groups of a cohort's samples, from tables, matched by sample id."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import xarray as xr

from gp_elm.errors import InputError
from gp_elm.io.accepts import accepts_anndata
from gp_elm.io.blocks import select
from gp_elm.io.covariates import check_rank, encode, is_categorical
from gp_elm.io.phenotypes import TableSource, is_missing, numbers, read_groups, read_table
from gp_elm.io.sample_ids import SampleIndex
from gp_elm.io.traits import Names, check_traits, choose, fam_table, from_case_control

log = logging.getLogger(__name__)


@accepts_anndata("traits")
def add_phenotypes(
    cohort: xr.Dataset,
    source: TableSource | None = None,
    *,
    traits: Names | None = None,
    case_control: bool = True,
) -> xr.Dataset:
    """Add traits to a cohort, matched by sample id.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    source : path or pandas.DataFrame, optional
        Table of traits (:func:`gp_elm.io.phenotypes.read_table`); None takes column 6 of the FAM file.
    traits : str or sequence of str, optional
        Traits to use, a string separated by commas; all columns by default.
    case_control : bool
        Whether a trait of 1 and 2 alone (0 missing) is read as control and case, as PLINK does, and becomes
        0/1.

    Returns
    -------
    xarray.Dataset
        The samples with genotypes and at least one trait, with ``sample_phenotype`` and ``trait_id``.

    Raises
    ------
    InputError
        Where no sample is in both, or a trait holds text, no value or one value only.
    OptionError
        Where a trait is not in the table.
    """
    if source is None:
        table = fam_table(cohort)
        hint = "it is FAM column 6: give a table of traits with --pheno"
    else:
        table, hint = read_table(source), "leave it out with --traits"
    names = choose(list(table.columns), traits, "--traits", table.source)
    samples, rows = SampleIndex(cohort).match(table)
    columns = []
    for name in names:
        values, n_minus_nine = numbers(table, name)
        if n_minus_nine:
            log.warning("%s: %s: %d values of -9 are read as missing", table.source, name, n_minus_nine)
        # told from the whole table, so that the choice of samples does not change the coding
        columns.append(from_case_control(values, name) if case_control else values)
    values = np.column_stack(columns)[rows]
    measured = ~np.isnan(values).all(axis=1)
    check_traits(values, names, f"{table.source}: ", hint)
    log.info(
        "%s: %d traits of %d samples; %d of the %d genotyped samples are in it, %d have a value",
        table.source, len(names), len(table), len(rows), cohort.sizes["samples"], int(measured.sum()),
    )  # fmt: skip
    kept = select(cohort, samples=samples[measured]).drop_vars(["fam_phenotype"], errors="ignore")
    if "sample_covariate" in kept:
        labels = [str(label) for label in kept["covariate_id"].to_numpy()]
        check_rank(kept["sample_covariate"].to_numpy(), labels, "covariates")
    return kept.assign(
        sample_phenotype=(("samples", "traits"), values[measured]),
        trait_id=("traits", np.array(names, dtype=str)),
    )


@accepts_anndata("covariates")
def add_covariates(cohort: xr.Dataset, source: TableSource, *, names: Names | None = None) -> xr.Dataset:
    """Add covariates to a cohort, matched by sample id; samples with a missing covariate are left out.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    source : path or pandas.DataFrame
        Table of covariates; text columns become indicators, the first level being the reference.
    names : str or sequence of str, optional
        Columns to use; all by default.

    Returns
    -------
    xarray.Dataset
        The samples in both, with ``sample_covariate`` and ``covariate_id``; no intercept column.

    Raises
    ------
    InputError
        Where no sample is in both, or the covariates are constant, collinear or as many as the samples.
    OptionError
        Where a covariate is not in the table.
    """
    table = read_table(source)
    chosen = choose(list(table.columns), names, "--covar-name", table.source)
    samples, rows = SampleIndex(cohort).match(table)
    complete = np.ones(len(rows), bool)
    lacking = {}
    for name in chosen:
        text = table.columns[name][rows]
        absent = is_missing(text) if is_categorical(table, name) else np.isnan(numbers(table, name)[0][rows])
        complete &= ~absent
        if absent.any():
            lacking[name] = int(absent.sum())
    if not complete.any():
        worst = max(lacking, key=lambda name: lacking[name])
        raise InputError(
            f"{table.source}: none of the {len(rows)} samples has every covariate; {worst} is missing in "
            f"{lacking[worst]}: leave it out"
        )
    values, labels = encode(table, rows[complete], chosen)
    check_rank(values, labels, table.source)
    log.info(
        "%s: %d covariate columns of %d samples; %d of the %d samples are in it, %d have every covariate%s",
        table.source, len(labels), len(table), len(rows), cohort.sizes["samples"], int(complete.sum()),
        "".join(f"; {name} is missing in {count}" for name, count in lacking.items()),
    )  # fmt: skip
    return select(cohort, samples=samples[complete]).assign(
        sample_covariate=(("samples", "covariates"), values),
        covariate_id=("covariates", np.array(labels, dtype=str)),
    )


@accepts_anndata("groups")
def add_groups(cohort: xr.Dataset, source: TableSource) -> xr.Dataset:
    """Add the groups whose samples stay on one side of a split; a sample without one is a group of its own.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    source : path or pandas.DataFrame
        Id columns and one column of labels, such as families, litters or tetrads.

    Returns
    -------
    xarray.Dataset
        The same samples with ``sample_group``.

    Raises
    ------
    InputError
        Where no sample is in both.
    """
    table = read_groups(source)
    (name,) = table.columns
    samples, rows = SampleIndex(cohort).match(table)
    labels = np.array([f"sample {word}" for word in cohort["sample_id"].to_numpy()], dtype=object)
    given = table.columns[name][rows]
    called = ~is_missing(given)
    labels[samples[called]] = given[called]
    n = cohort.sizes["samples"]
    log.info("%s: %d groups by %s, for %d of %d samples", table.source, len(np.unique(given[called])), name,
             int(called.sum()), n)  # fmt: skip
    if called.sum() < n:
        log.warning(
            "%s: %d samples have no group and stand by themselves", table.source, n - int(called.sum())
        )
    return cohort.assign(sample_group=("samples", labels.astype(str)))


def source_traits(cohort: xr.Dataset, traits: Names | None) -> xr.Dataset:
    """The traits that the source of the genotypes holds itself, such as an AnnData or a saved cohort.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort with ``sample_phenotype``.
    traits : str or sequence of str, optional
        Those to use; all by default.

    Returns
    -------
    xarray.Dataset
        The samples with at least one of the traits.

    Raises
    ------
    InputError, OptionError
        As :func:`add_phenotypes`.
    """
    there = [str(name) for name in cohort["trait_id"].to_numpy()]
    names = choose(there, traits, "--traits", "the cohort")
    cohort = cohort.isel(traits=[there.index(name) for name in names])
    values = cohort["sample_phenotype"].to_numpy()
    check_traits(values, names, "", "leave it out with --traits")
    return select(cohort, samples=~np.isnan(values).all(axis=1))


def groups_of_families(cohort: xr.Dataset) -> xr.Dataset:
    """Families of the sample file as groups, where some family has several samples and there are no other groups."""
    if "sample_group" in cohort or "sample_family_id" not in cohort:
        return cohort
    family = pd.Series(cohort["sample_family_id"].to_numpy())
    several = (family != "0") & family.duplicated(keep=False)
    if not several.any():
        if (family == "0").all():
            log.info("the genotypes name no families; give --groups where samples are related")
        return cohort
    largest = int(family[several].value_counts().max())
    n_families = int(family[several].nunique())
    if 5 * largest > len(family):
        log.warning(
            "the largest FAM family has %d of the %d samples: families are not used as groups; "
            "give --groups where samples are related", largest, len(family),
        )  # fmt: skip
        return cohort
    log.info(
        "%d FAM families with several samples (%d) are kept whole in splits", n_families, int(several.sum())
    )
    alone = "sample " + pd.Series(cohort["sample_id"].to_numpy()).astype(str)
    return cohort.assign(sample_group=("samples", family.where(several, alone).to_numpy(object).astype(str)))
