"""A cohort and its results as an AnnData, samples x variants, and back without loss.

``X`` holds the dosages (lazy where they are), ``obs`` the samples with traits and covariates, ``var`` the
variants and each trait's main effects as ``COLUMN:TRAIT``, ``varm`` each column of the variants table as
variants x traits, ``varp`` a sparse symmetric matrix of pair effects a trait (``elm_beta:TRAIT``),
``uns["gp_elm"]`` the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import reduce
from typing import Any, NamedTuple

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import scipy.sparse as sp
import xarray as xr
from numpy.typing import NDArray

from gp_elm.errors import InputError
from gp_elm.io.anndata_columns import counting
from gp_elm.io.anndata_files import read_anndata, write_anndata
from gp_elm.io.anndata_frames import (
    keep_other_variables,
    own_variables,
    sample_frame,
    variant_frame,
    with_tables,
)
from gp_elm.io.anndata_matrix import matrix_source, window
from gp_elm.io.anndata_names import foreign_samples, foreign_variants, frame
from gp_elm.io.anndata_results import VariantResult, joined, result_frame
from gp_elm.io.anndata_tables import (
    PAIR_COLUMN,
    pair_matrix,
    place_variants,
    restored,
    storable,
    take_variants,
    text,
    trait_keys,
)
from gp_elm.io.blocks import Blocks, attach, select
from gp_elm.io.identity import cohort_dataset
from gp_elm.schema import check_cohort

__all__ = ["AnnDataContents", "from_anndata", "read_anndata", "to_anndata", "write_anndata"]

LAYOUT = 1
"""Version of this layout, in ``uns["gp_elm"]["layout"]``."""


class AnnDataContents(NamedTuple):
    """What `from_anndata` finds; tables that were not given are None."""

    cohort: xr.Dataset
    variants: pd.DataFrame | None
    pairs: pd.DataFrame | None
    variance: pd.DataFrame | None
    provenance: dict[str, Any] | None


def to_anndata(
    cohort: xr.Dataset,
    *results: VariantResult,
    variants: pd.DataFrame | None = None,
    pairs: pd.DataFrame | None = None,
    variance: pd.DataFrame | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> ad.AnnData:
    """Put a cohort and its result tables into an AnnData.

    Parameters
    ----------
    cohort : xarray.Dataset
        The cohort; its dosages stay lazy.
    *results : results of methods, such as those of ``elm_effects`` and ``linear_scan``
        Joined into one table of variants, each with its prefix before its columns; instead of ``variants``.
    variants, pairs, variance : pandas.DataFrame, optional
        The result tables. Rows are matched to variants by identity, never by their order.
    provenance : mapping, optional
        Anything that JSON can hold.

    Returns
    -------
    anndata.AnnData
        n samples x m variants; see the module for what stands where.

    Raises
    ------
    InputError
        Where the Dataset is no cohort, or a table has a variant that the cohort lacks, or one twice.
    """
    if results:
        if variants is not None:
            raise InputError("to_anndata got results and a table of variants; give one of the two")
        variants = reduce(joined, map(result_frame, results))
    if isinstance(cohort, ad.AnnData):
        raise InputError(
            "to_anndata got an AnnData; the steps write their results into it, or from_anndata(adata).cohort"
        )
    check_cohort(cohort)
    own: dict[str, Any] = {"layout": LAYOUT, "contig_id": text(cohort["contig_id"].to_numpy())}
    var = variant_frame(cohort)
    obs = sample_frame(cohort, own)
    keep_other_variables(cohort, obs, var, own)
    varm: dict[str, np.ndarray] = {}
    varp: dict[str, sp.csr_matrix] = {}
    if variants is not None:
        varm, shown = place_variants(variants, var, own)
        var = pd.concat([var, shown], axis=1)
    if pairs is not None:
        own["pairs"] = storable(pairs, "pairs")
        for trait, key in trait_keys(pd.unique(pairs["trait"])).items():
            varp[f"{PAIR_COLUMN}:{key}"] = pair_matrix(pairs[pairs["trait"] == trait], var)
    if variance is not None:
        own["variance"] = storable(variance, "variance")
    if provenance is not None:
        own["provenance"] = json.dumps(dict(provenance))
    dosage = cohort["call_dosage"].data.T
    return ad.AnnData(X=dosage, obs=obs, var=var, varm=varm, varp=varp, uns={"gp_elm": own})


def from_anndata(adata: ad.AnnData, *, layer: str | None = None) -> AnnDataContents:
    """Take the cohort and the result tables out of an AnnData, samples x variants.

    Parameters
    ----------
    adata : anndata.AnnData
        In memory, backed or lazy; one that `to_anndata` made, or any other whose ``var`` says chromosome, position and
        alleles (:mod:`gp_elm.io.anndata_names`).
    layer : str, optional
        Layer that holds the genotypes, rather than X.

    Returns
    -------
    AnnDataContents
        The cohort, its dosages read when they are asked for, and the tables as they were given, arranged as on disk.

    Raises
    ------
    InputError
        Where X holds no genotypes, or ``var`` does not say what the variants are.
    """
    own = own_of(adata)
    cohort = read_cohort(adata, own, layer=layer)[0]
    variants = None
    if "variants_columns" in own:
        variants = take_variants(adata.varm, frame(adata.var), variant_frame(cohort), own)
    return AnnDataContents(
        cohort=cohort,
        variants=variants,
        pairs=restored(own["pairs"], "pairs") if "pairs" in own else None,
        variance=restored(own["variance"], "variance") if "variance" in own else None,
        provenance=json.loads(own["provenance"]) if "provenance" in own else None,
    )


def own_of(adata: ad.AnnData) -> dict[str, Any]:
    """A copy of ``uns["gp_elm"]``, in memory; empty where there is none.

    Raises
    ------
    InputError
        Where a later version of this package wrote it.
    """
    own = {str(key): _in_memory(value) for key, value in dict(adata.uns.get("gp_elm", {})).items()}
    if int(own.get("layout", 0)) > LAYOUT:
        raise InputError(
            f"the AnnData has layout {own['layout']}, this version reads up to {LAYOUT}; update gp_elm"
        )
    return own


def read_cohort(
    adata: ad.AnnData, own: Mapping[str, Any], *, layer: str | None = None, without: tuple[str, ...] = ()
) -> tuple[xr.Dataset, NDArray[np.int64]]:
    """Take the cohort out of an AnnData.

    Parameters
    ----------
    adata : anndata.AnnData
        Samples x variants.
    own : mapping
        Of `own_of`.
    layer : str, optional
        Layer that holds the genotypes; that of ``own["layer"]``, or X, where None.
    without : tuple of str
        ``trait_id`` or ``covariate_id``: what is about to be replaced, and chooses no samples.

    Returns
    -------
    cohort : xarray.Dataset
        Once a step has added traits or covariates: the samples with a trait and every covariate.
    rows : ndarray of int64
        Row of the AnnData of each of its samples.

    Raises
    ------
    InputError
        As `from_anndata`.
    """
    obs, var = frame(adata.obs), frame(adata.var)
    if "layout" in own:
        cohort = own_variables(obs, var, own)
    else:
        cohort = cohort_dataset(foreign_variants(var), foreign_samples(obs), {})
        # uns is what ad.concat drops; what was coded once stays as it is coded
        cohort = cohort.assign({name: ("variants", values) for name, values in counting(var).items()})
        if "group_column" in own:
            cohort["sample_group"] = ("samples", text(obs[own["group_column"]]).astype(str))
    layer = layer or own.get("layer")
    if layer is not None and layer not in adata.layers:
        there = ", ".join(map(str, adata.layers)) or "none"
        raise InputError(f"the AnnData has no layer {layer!r}; its layers: {there}")
    blocks, chunk = _blocks(adata, layer, own)
    cohort = attach(cohort, blocks, chunk_variants=chunk)
    cohort = with_tables(cohort, obs, {key: value for key, value in own.items() if key not in without})
    rows = np.arange(adata.n_obs)
    if own.get("complete_samples"):
        used = np.ones(len(rows), bool)
        if "sample_phenotype" in cohort:
            used &= ~np.isnan(cohort["sample_phenotype"].to_numpy()).all(axis=1)
        if "sample_covariate" in cohort:
            used &= ~np.isnan(cohort["sample_covariate"].to_numpy()).any(axis=1)
        rows = np.flatnonzero(used)
        cohort = select(cohort, samples=used)
    return cohort, rows


def _blocks(adata: ad.AnnData, layer: str | None, own: Mapping[str, Any]) -> tuple[Blocks, int]:
    samples, variants = np.arange(adata.n_obs), np.arange(adata.n_vars)
    whole = adata
    if layer is None and adata.isbacked and adata.is_view:
        # X of a view of a backed AnnData would be read whole
        whole = adata._adata_ref
        samples, variants = np.arange(whole.n_obs)[adata._oidx], np.arange(whole.n_vars)[adata._vidx]
    hard_calls = own.get("hard_calls")
    source = matrix_source(
        whole.X if layer is None else adata.layers[layer],
        "X" if layer is None else f"layer {layer}",
        hard_calls=None if hard_calls is None else bool(hard_calls),
    )
    return Blocks(source, samples=samples, variants=variants), window(source)


def _in_memory(value: Any) -> Any:
    if isinstance(value, da.Array):
        return value.compute()
    if isinstance(value, Mapping):
        return {key: _in_memory(inner) for key, inner in value.items()}
    return value.to_memory() if hasattr(value, "to_memory") else value
