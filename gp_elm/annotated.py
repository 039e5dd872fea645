"""An AnnData as a cohort with traits and covariates that stand in its ``obs`` and ``obsm``."""

from __future__ import annotations

import anndata as ad

from gp_elm import schema
from gp_elm.io import anndata as contents
from gp_elm.io.accepts import accepts_anndata
from gp_elm.io.anndata_names import obs_table
from gp_elm.io.traits import Names
from gp_elm.sample_tables import add_covariates, add_phenotypes

check_cohort = accepts_anndata()(schema.check_cohort)


def from_anndata(
    adata: ad.AnnData,
    *,
    traits: Names | None = None,
    covariates: Names | None = None,
    layer: str | None = None,
) -> contents.AnnDataContents:
    """Take the cohort and the result tables out of an AnnData, samples x variants.

    Parameters
    ----------
    adata : anndata.AnnData
        In memory, backed or lazy. One that this package made, or any other whose ``var`` names the chromosome, the
        position and the alleles in one of the usual ways (``chrom pos a0 a1`` of cellink, ``CHROM POS REF ALT``, ...):
        X then counts ``effect_allele``, ``a1`` or ``alt``.
    traits : str or sequence of str, optional
        Columns of ``obs`` (a string separated by commas) to use as traits, rather than those that the AnnData has.
    covariates : str or sequence of str, optional
        Columns of ``obs``, or keys of ``obsm`` such as ``gPCs`` for all of their columns.
    layer : str, optional
        Layer that holds the genotypes, rather than X.

    Returns
    -------
    AnnDataContents
        ``cohort``, its genotypes read when they are asked for, with the samples that have a trait and every covariate
        where these are named; ``variants``, ``pairs``, ``variance``, ``provenance``, None where the AnnData has none.

    Raises
    ------
    InputError
        Where X holds no genotypes, ``var`` does not say what the variants are, or a trait or covariate cannot be used.
    OptionError
        Where ``obs`` and ``obsm`` lack a name, or there is no such layer.
    """
    found = contents.from_anndata(adata, layer=layer)
    cohort = found.cohort
    if traits is not None:
        cohort = add_phenotypes(cohort, obs_table(adata, traits, "traits", ids="trait_id"))
    if covariates is not None:
        cohort = add_covariates(cohort, obs_table(adata, covariates, "covariates", ids="covariate_id"))
    return found._replace(cohort=cohort)
