"""Predictions of the rest of the genome, subtracted from the trait before a variant is tested."""

from __future__ import annotations

import os

import numpy as np
import xarray as xr

from gp_elm.association.cohort_access import sample_covariates
from gp_elm.association.complete import complete_cases
from gp_elm.errors import InputError
from gp_elm.genotypes.chromosomes import MT, ChromosomeSet, Y, chromosome_set
from gp_elm.io.chromosome_names import bare_chromosome
from gp_elm.io.loco_predictions import read_loco

_SEX = frozenset({"X", "Y", "XY", "PAR", "PAR1", "PAR2"})
_HUMAN_AUTOSOMES = 22


def loco_offsets(cohort: xr.Dataset, pred_list: str | os.PathLike[str]) -> xr.DataArray:
    """Offsets of `linear_scan` from the predictions of REGENIE's first step.

    REGENIE predicts the trait less its covariates, divided by its standard deviation; here the predictions are brought
    back to the trait's units, with the covariates and samples of the cohort, which are to be those of step 1.

    Parameters
    ----------
    cohort : xarray.Dataset
        With phenotypes, and the covariates of step 1.
    pred_list : path
        REGENIE's ``_pred.list``.

    Returns
    -------
    xarray.DataArray
        ``(traits, chromosomes, samples)`` float64 in units of the traits, NaN for a sample without a prediction.

    Raises
    ------
    InputError
        Where a file cannot be used, or a trait is 0/1, whose predictions are on the logit scale.

    References
    ----------
    Mbatchou et al. 2021, Nature Genetics 53, 1097; ``residualize_phenotypes`` of REGENIE's Pheno.cpp.
    """
    predictions = read_loco(pred_list, cohort)
    traits = np.asarray(cohort["sample_phenotype"].values, dtype=np.float64)
    for t, name in enumerate(cohort["trait_id"].values):
        values = traits[:, t]
        if np.isin(values[~np.isnan(values)], (0.0, 1.0)).all():
            raise InputError(
                f"{pred_list}: trait {name} is 0/1; REGENIE predicts such a trait on the logit scale, which is no "
                "offset of a linear scan; leave it out with --traits"
            )
    unpredicted = np.isnan(predictions.values).any(axis=1).T
    traits[unpredicted] = np.nan
    scale = np.full(traits.shape[1], np.nan)
    for group in complete_cases(traits, sample_covariates(cohort, np.arange(len(traits)))):
        scale[group.columns] = np.sqrt(group.residual_ss / (group.n_samples - group.basis.shape[1]))
    return predictions * scale[:, None, None]


def chromosome_rows(cohort: xr.Dataset, offsets: xr.DataArray) -> np.ndarray:
    """Which row of the offsets belongs to each name in ``contig_id``, -1 where no variant has that chromosome.

    Parameters
    ----------
    cohort : xarray.Dataset
    offsets : xarray.DataArray
        As of `loco_offsets`.

    Returns
    -------
    (contigs,) int64

    Raises
    ------
    InputError
        Where the offsets do not fit the cohort, or lack a chromosome that has variants.
    """
    expected = (cohort.sizes["traits"], cohort.sizes["samples"])
    if offsets.dims != ("traits", "chromosomes", "samples") or offsets.shape[::2] != expected:
        raise InputError(
            f"offsets have dims {offsets.dims} and shape {offsets.shape}; expected (traits, chromosomes, samples) with "
            f"{expected[0]} traits and {expected[1]} samples"
        )
    if "chromosomes" not in offsets.coords:
        raise InputError("offsets have no coordinate 'chromosomes'; give it the names of the chromosomes")
    row = {bare_chromosome(str(name)).upper(): k for k, name in enumerate(offsets["chromosomes"].values)}
    known = _chromosomes(cohort)
    # REGENIE collapses the sex chromosomes into one row, numbered after the autosomes that it was told of
    last = max((int(name) for name in row if name.isdecimal()), default=0)
    sex = row[str(last)] if last == (known.n_autosomes or _HUMAN_AUTOSOMES) + 1 else row.get("X", -1)
    used = np.unique(cohort["variant_contig"].values)
    found = np.full(cohort.sizes["contigs"], -1, dtype=np.int64)
    for contig in used:
        name = str(cohort["contig_id"].values[contig])
        plain = known.canonical(name)
        place = row.get(bare_chromosome(name).upper(), sex if plain in _SEX else row.get(plain, -1))
        if place < 0:
            raise InputError(
                f"chromosome {name} is not in the predictions ({', '.join(map(str, offsets['chromosomes'].values))}); "
                "leave it out with --chr, or give --chr-set if it has a number there"
            )
        found[contig] = place
    return found


def _chromosomes(cohort: xr.Dataset) -> ChromosomeSet:
    """Which numbers stand for sex chromosomes: as ``--chr-set`` says, or the names, unless the ploidies say none."""
    names = [str(name) for name in cohort["contig_id"].values]
    known, _ = chromosome_set(names, cohort.attrs.get("chr_set"))
    single = np.array([known.by_number(name) and known.kind(name) in (Y, MT) for name in names])
    # Y or MT by number that counts two copies was found as heterozygous as an autosome
    if (cohort["variant_ploidy"].values[single[cohort["variant_contig"].values]] == 2).any():
        return ChromosomeSet(None)
    return known
