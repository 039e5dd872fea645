"""A cohort and its results as an AnnData, samples x variants, and back without loss.

``X`` holds the dosages (lazy where they are), ``obs`` the samples with traits and covariates, ``var`` the
variants and each trait's main effects as ``COLUMN:TRAIT``, ``varm`` each column of the variants table as
variants x traits, ``varp`` a sparse symmetric matrix of pair effects a trait (``elm_beta:TRAIT``),
``uns["gp_elm"]`` the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import scipy.sparse as sp
import xarray as xr

from gp_elm.errors import InputError
from gp_elm.io.anndata_files import read_anndata, write_anndata
from gp_elm.io.anndata_tables import (
    PAIR_COLUMN,
    free_name,
    pair_matrix,
    place_variants,
    restored,
    storable,
    take_variants,
    text,
    trait_keys,
)
from gp_elm.schema import check_cohort

__all__ = ["AnnDataContents", "from_anndata", "read_anndata", "to_anndata", "write_anndata"]

LAYOUT = 1
"""Version of this layout, in ``uns["gp_elm"]["layout"]``."""

# Dataset variables that have a place of their own; every other one is kept under its own name
_PLACED = {
    "call_dosage",
    "variant_contig",
    "contig_id",
    "variant_position",
    "variant_id",
    "variant_effect_allele",
    "variant_other_allele",
    "variant_ploidy",
    "sample_id",
    "sample_family_id",
    "sample_sex",
    "sample_group",
    "sample_phenotype",
    "trait_id",
    "sample_covariate",
    "covariate_id",
}
_OBS = {"sample_family_id": "family_id", "sample_sex": "sex", "sample_group": "group"}


class AnnDataContents(NamedTuple):
    """What `from_anndata` finds; tables that were not given are None."""

    cohort: xr.Dataset
    variants: pd.DataFrame | None
    pairs: pd.DataFrame | None
    variance: pd.DataFrame | None
    provenance: dict[str, Any] | None


class VariantResult(Protocol):
    """A method's effects of variants on traits."""

    prefix: ClassVar[str]

    def to_frame(self) -> pd.DataFrame:
        """One row a trait and variant."""


_IDENTITY = ["trait", "chromosome", "base_pair_location", "variant_id", "effect_allele", "other_allele"]
_SHARED = [*_IDENTITY, "effect_allele_frequency", "missing_rate", "n"]


def _joined(results: tuple[VariantResult, ...]) -> pd.DataFrame:
    """One table of variants from several results, matched by identity."""
    table: pd.DataFrame | None = None
    for result in results:
        frame = result.to_frame().drop(columns=["df"], errors="ignore")
        frame = frame.rename(columns={c: f"{result.prefix}{c}" for c in frame.columns if c not in _SHARED})
        # Rows that agree in everything, such as unplaced markers of one name, are told apart by their order.
        frame["_copy"] = frame.groupby(_IDENTITY, sort=False).cumcount()
        if table is None:
            table = frame
            continue
        known = [c for c in frame.columns if c in table.columns and c not in (*_IDENTITY, "_copy")]
        table = table.merge(frame.drop(columns=known), how="outer", on=[*_IDENTITY, "_copy"], sort=False)
    assert table is not None
    return table.drop(columns="_copy")


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
        variants = _joined(results)
    check_cohort(cohort)
    own: dict[str, Any] = {"layout": LAYOUT, "contig_id": text(cohort["contig_id"].to_numpy())}
    var = _variant_frame(cohort)
    obs = _sample_frame(cohort, own)
    _keep_other_variables(cohort, obs, var, own)
    varm: dict[str, np.ndarray] = {}
    varp: dict[str, sp.csr_matrix] = {}
    if variants is not None:
        var = place_variants(variants, var, varm, own)
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


def from_anndata(adata: ad.AnnData) -> AnnDataContents:
    """Take the cohort and the result tables out of an AnnData that `to_anndata` made.

    Parameters
    ----------
    adata : anndata.AnnData
        In memory, backed, or lazy; dosages become a dask array.

    Returns
    -------
    AnnDataContents
        The cohort and the tables as they were given, the tables arranged as on disk.

    Raises
    ------
    InputError
        Where the AnnData was not made by `to_anndata`.
    """
    own = adata.uns.get("gp_elm")
    if own is None or "layout" not in own:
        raise InputError("the AnnData has no uns['gp_elm']; give one that to_anndata() or gp-elm run made")
    if int(own["layout"]) > LAYOUT:
        raise InputError(
            f"the AnnData has layout {own['layout']}, this version reads up to {LAYOUT}; update gp_elm"
        )
    obs, var = adata.obs, adata.var
    contigs = text(own["contig_id"])
    number = {name: k for k, name in enumerate(contigs)}
    data: dict[str, Any] = {
        "call_dosage": (("variants", "samples"), _lazy(adata.X).T),
        "contig_id": ("contigs", contigs.astype(str)),
        "variant_contig": ("variants", var["chromosome"].astype(str).map(number).to_numpy(np.int32)),
        "variant_position": ("variants", var["base_pair_location"].to_numpy()),
        "variant_ploidy": ("variants", var["ploidy"].to_numpy()),
        "sample_id": ("samples", obs.index.to_numpy(dtype=object).astype(str)),
    }
    for name in ("variant_id", "effect_allele", "other_allele"):
        variable = name if name == "variant_id" else f"variant_{name}"
        data[variable] = ("variants", text(var[name]).astype(str))
    for variable, column in _OBS.items():
        if column in obs:
            values = obs[column]
            data[variable] = ("samples", values.to_numpy() if column == "sex" else text(values).astype(str))
    for dim, ids, values in (
        ("traits", "trait_id", "sample_phenotype"),
        ("covariates", "covariate_id", "sample_covariate"),
    ):
        if ids in own:
            columns = [str(name) for name in own[f"{ids}_column"]]
            data[ids] = (dim, text(own[ids]).astype(str))
            data[values] = (
                ("samples", dim),
                obs[columns].to_numpy(np.float64).reshape(len(obs), len(columns)),
            )
    cohort = xr.Dataset(data, attrs=json.loads(own.get("attrs", "{}")))
    for name, dims in json.loads(own.get("variables", "{}")).items():
        frame = {("samples",): obs, ("variants",): var}.get(tuple(dims), own.get("arrays"))
        array = np.asarray(frame[name])
        cohort[name] = (tuple(dims), array.astype(str) if array.dtype.kind in "OUT" else array)
    return AnnDataContents(
        cohort=cohort,
        variants=take_variants(adata, own) if "variants_columns" in own else None,
        pairs=restored(own["pairs"], "pairs") if "pairs" in own else None,
        variance=restored(own["variance"], "variance") if "variance" in own else None,
        provenance=json.loads(own["provenance"]) if "provenance" in own else None,
    )


def _variant_frame(cohort: xr.Dataset) -> pd.DataFrame:
    contigs = text(cohort["contig_id"].to_numpy())
    var = pd.DataFrame(
        {
            "chromosome": pd.Categorical.from_codes(
                cohort["variant_contig"].to_numpy(), categories=pd.Index(contigs)
            ),
            "base_pair_location": cohort["variant_position"].to_numpy(),
            "variant_id": text(cohort["variant_id"].to_numpy()),
            "effect_allele": text(cohort["variant_effect_allele"].to_numpy()),
            "other_allele": text(cohort["variant_other_allele"].to_numpy()),
            "ploidy": cohort["variant_ploidy"].to_numpy(),
        }
    )
    names = var["variant_id"]
    if names.duplicated().any():
        # ids such as "." name nothing: position and alleles do, and a count where even they do not
        place = var[["chromosome", "base_pair_location", "effect_allele"]].astype(str)
        full = names.str.cat(place, sep=":")
        names = full.where(names.duplicated(keep=False), names)
        again = names.groupby(names).cumcount()
        names = names.where(again == 0, names + "#" + (again + 1).astype(str))
    var.index = pd.Index(names.to_numpy(dtype=object))
    return var


def _sample_frame(cohort: xr.Dataset, own: dict[str, Any]) -> pd.DataFrame:
    columns: dict[str, np.ndarray] = {}
    for variable, column in _OBS.items():
        if variable in cohort:
            values = cohort[variable].to_numpy()
            columns[column] = values if column == "sex" else text(values)
    taken = set(columns) | {"_index"} | set(map(str, cohort.variables))
    for ids, variable in (("trait_id", "sample_phenotype"), ("covariate_id", "sample_covariate")):
        if variable not in cohort:
            continue
        names = [str(name) for name in cohort[ids].to_numpy()]
        matrix = cohort[variable].to_numpy()
        placed = [free_name(name, ids.removesuffix("_id"), taken) for name in names]
        own[ids], own[f"{ids}_column"] = text(names), text(placed)
        columns |= {name: matrix[:, k] for k, name in enumerate(placed)}
    index = pd.Index(text(cohort["sample_id"].to_numpy()))
    return pd.DataFrame(columns, index=index)


def _keep_other_variables(
    cohort: xr.Dataset, obs: pd.DataFrame, var: pd.DataFrame, own: dict[str, Any]
) -> None:
    kept: dict[str, list[str]] = {}
    arrays: dict[str, np.ndarray] = {}
    for name in map(str, cohort.variables):
        if name in _PLACED:
            continue
        array = cohort[name]
        values = text(array.to_numpy()) if array.dtype.kind in "OUT" else array.to_numpy()
        kept[name] = [str(dim) for dim in array.dims]
        if array.dims == ("samples",):
            obs[name] = values
        elif array.dims == ("variants",):
            var[name] = values
        else:
            arrays[name] = values
    own["variables"], own["attrs"] = json.dumps(kept), json.dumps(cohort.attrs, default=str)
    if arrays:
        own["arrays"] = arrays


def _lazy(x: Any) -> da.Array:
    if x is None or sp.issparse(x):
        raise InputError("the AnnData has no dense X; give one that to_anndata() or gp-elm run made")
    if isinstance(x, da.Array):
        return x
    width = max((32 << 20) // max(x.shape[0], 1), 1)
    return da.from_array(x, chunks=(x.shape[0], min(width, max(x.shape[1], 1))))
