"""``obs`` and ``var`` of a cohort and what of it stands in ``uns["gp_elm"]``, and the cohort again from them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gp_elm.errors import InputError
from gp_elm.io.anndata_columns import OWN, counting, positions, sexes, words
from gp_elm.io.anndata_tables import free_name, text
from gp_elm.io.identity import text_array

log = logging.getLogger(__name__)

# Dataset variables that have a place of their own; every other one is kept under its own name where that is free
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
TABLES = {"trait_id": ("traits", "sample_phenotype"), "covariate_id": ("covariates", "sample_covariate")}
"""Variable with the names, dim, and variable with the values, of what stands in columns of ``obs``."""


def variant_frame(cohort: xr.Dataset) -> pd.DataFrame:
    """Identity of the variants, (m, 6), indexed by names that are unique."""
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


def sample_frame(cohort: xr.Dataset, own: dict[str, Any]) -> pd.DataFrame:
    """Samples with their traits and covariates, (n, columns); `own` gets the names of those columns."""
    columns: dict[str, np.ndarray] = {}
    for variable, column in _OBS.items():
        if variable in cohort:
            values = cohort[variable].to_numpy()
            columns[column] = values if column == "sex" else text(values)
    taken = set(columns) | {"_index"} | set(map(str, cohort.variables))
    for ids, (_, variable) in TABLES.items():
        if variable not in cohort:
            continue
        names = [str(name) for name in cohort[ids].to_numpy()]
        matrix = cohort[variable].to_numpy()
        placed = [free_name(name, ids.removesuffix("_id"), taken) for name in names]
        own[ids], own[f"{ids}_column"] = text(names), text(placed)
        columns |= {name: matrix[:, k] for k, name in enumerate(placed)}
    index = pd.Index(text(cohort["sample_id"].to_numpy()))
    return pd.DataFrame(columns, index=index)


def keep_other_variables(
    cohort: xr.Dataset, obs: pd.DataFrame, var: pd.DataFrame, own: dict[str, Any]
) -> None:
    """Put every other variable into `obs`, `var` or `own`, and the attrs into `own`."""
    kept: dict[str, list[str]] = {}
    renamed: dict[str, str] = {}
    arrays: dict[str, np.ndarray] = {}
    taken = {"obs": set(map(str, obs.columns)) | {"_index"}, "var": set(map(str, var.columns)) | {"_index"}}
    for name in map(str, cohort.variables):
        if name in _PLACED:
            continue
        array = cohort[name]
        values = array.to_numpy()
        if values.dtype.kind in "OUT":
            values = text(values.ravel()).reshape(values.shape)
        kept[name] = [str(dim) for dim in array.dims]
        where = {"samples": "obs", "variants": "var"}.get(str(array.dims[0])) if array.ndim == 1 else None
        if where is None:
            arrays[name] = values
            continue
        column = free_name(name, "variable", taken[where])
        (obs if where == "obs" else var)[column] = values
        if column != name:
            renamed[name] = column
    own["variables"], own["attrs"] = json.dumps(kept), json.dumps(cohort.attrs, default=_plain)
    if renamed:
        own["variable_columns"] = json.dumps(renamed)
    if coords := [str(name) for name in cohort.coords]:
        own["coords"] = json.dumps(coords)
    described = {str(name): cohort[name].attrs for name in cohort.variables if cohort[name].attrs}
    if described:
        own["variable_attrs"] = json.dumps(described, default=_plain)
    if arrays:
        own["arrays"] = arrays


def own_variables(obs: pd.DataFrame, var: pd.DataFrame, own: Mapping[str, Any]) -> xr.Dataset:
    """The cohort without its dosages from what the functions above made.

    Parameters
    ----------
    obs, var : pandas.DataFrame
        Samples and variants.
    own : mapping
        ``uns["gp_elm"]``.

    Returns
    -------
    xarray.Dataset
        Everything but ``call_dosage``. Chromosomes, positions and sexes may have been written anew by the user.

    Raises
    ------
    InputError
        Where `var` lacks a column or holds what does not belong there, or a sample is there twice.
    """
    if lost := [name for name in OWN if name not in var]:
        raise InputError(
            f"the AnnData's var has lost its column {lost[0]}; put it back from the AnnData as it was written"
        )
    if not obs.index.is_unique:
        raise InputError(
            f"AnnData obs: sample {obs.index[obs.index.duplicated()][0]!r} is there twice; rename or remove one"
        )
    names = words(var["chromosome"], "0")
    contigs = text(dict.fromkeys([*text(own["contig_id"]), *pd.unique(names)]))
    place = var["base_pair_location"]
    data: dict[str, Any] = {
        "contig_id": ("contigs", contigs.astype(str)),
        "variant_contig": ("variants", pd.Index(contigs).get_indexer(names).astype(np.int32)),
        "variant_position": ("variants", place.to_numpy() if _whole(place) else positions(place)),
        "sample_id": ("samples", text_array(obs.index.astype(str))),
    }
    for name in ("variant_id", "effect_allele", "other_allele"):
        variable = name if name == "variant_id" else f"variant_{name}"
        data[variable] = ("variants", text_array(text(var[name])))
    for variable, column in (_OBS | {"sample_group": str(own.get("group_column", "group"))}).items():
        if column in obs:
            values = obs[column]
            if column == "sex":
                data[variable] = ("samples", values.to_numpy() if _whole(values) else sexes(values))
            else:
                data[variable] = ("samples", text_array(text(values)))
    cohort = xr.Dataset(data, attrs=json.loads(own.get("attrs", "{}")))
    renamed = json.loads(own.get("variable_columns", "{}"))
    for name, dims in json.loads(own.get("variables", "{}")).items():
        table: Any = {("samples",): obs, ("variants",): var}.get(tuple(dims), own.get("arrays"))
        if renamed.get(name, name) not in table:
            log.warning("the AnnData has lost its column %s, which is left out", renamed.get(name, name))
            continue
        array = np.asarray(table[renamed.get(name, name)])
        if array.dtype.kind in "OUT":
            array = text(array.ravel()).reshape(array.shape).astype(str)
        cohort[name] = (tuple(dims), array)
    cohort = cohort.assign({name: ("variants", values) for name, values in counting(var).items()})
    for name, attrs in json.loads(own.get("variable_attrs", "{}")).items():
        if name in cohort:
            cohort[name].attrs = attrs
    return cohort.set_coords(name for name in json.loads(own.get("coords", "[]")) if name in cohort)


def with_tables(cohort: xr.Dataset, obs: pd.DataFrame, own: Mapping[str, Any]) -> xr.Dataset:
    """The cohort with the traits and covariates whose columns of `obs` are named in `own`.

    Parameters
    ----------
    cohort : xarray.Dataset
        Samples as in `obs`.
    obs : pandas.DataFrame
        Samples.
    own : mapping
        ``uns["gp_elm"]``.

    Returns
    -------
    xarray.Dataset
        The same samples.

    Raises
    ------
    InputError
        Where `obs` lacks a column.
    """
    data: dict[str, Any] = {}
    for ids, (dim, values) in TABLES.items():
        if ids in own:
            names = [str(name) for name in own[f"{ids}_column"]]
            if lost := [name for name in names if name not in obs]:
                raise InputError(
                    f"uns['gp_elm'] of the AnnData names {lost[0]} among its {dim}, but obs has no such column; add "
                    f"the {dim} again"
                )
            columns = [obs[name].to_numpy() for name in names]
            matrix = np.column_stack(columns) if columns else np.empty((len(obs), 0))
            data[ids] = (dim, text(own[ids]).astype(str))
            data[values] = (("samples", dim), matrix)
    return cohort.assign(data)


def _whole(values: pd.Series) -> bool:
    return isinstance(values.dtype, np.dtype) and values.dtype.kind in "iu"


def _plain(value: Any) -> Any:
    """A numpy number or array for JSON; anything else as its text."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
