"""A step on an AnnData: the cohort is taken out, and what the step finds is written where `to_anndata` puts it.

``obs``, ``var``, ``obsm``, layers and X of the user stay as they are; what a step wrote before, it replaces.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import xarray as xr

from gp_elm.errors import InputError, OptionError
from gp_elm.io.anndata import own_of, read_cohort
from gp_elm.io.anndata_frames import TABLES, variant_frame
from gp_elm.io.anndata_names import frame, obs_table
from gp_elm.io.anndata_results import joined, result_frame
from gp_elm.io.anndata_tables import (
    IDENTITY,
    free_name,
    pair_matrix,
    place_variants,
    restored,
    storable,
    take_variants,
    text,
    trait_keys,
)
from gp_elm.io.arrangement import arrange, columns_of

log = logging.getLogger(__name__)

_NAMES = {"traits": "traits", "covariates": "names", "groups": None}
_IDS = {"traits": "trait_id", "covariates": "covariate_id", "groups": None}
_PAIRS = "interaction_"


def run_step(function: Callable[..., Any], arguments: dict[str, Any], sets: str | None) -> Any:
    """Call a function of a cohort for an AnnData.

    Parameters
    ----------
    function : callable
        Takes the cohort as ``cohort``.
    arguments : dict
        Its arguments; ``cohort`` is the AnnData.
    sets : {"traits", "covariates", "groups"} or None
        What it adds to the cohort; without a table, ``traits`` or ``names`` are columns of ``obs`` or ``obsm``.

    Returns
    -------
    object
        The AnnData where `sets` is given, else what the function returns.

    Raises
    ------
    InputError, OptionError
        Where the AnnData is no cohort, or holds other things under the names of the results.
    """
    adata = arguments.get("cohort")
    if not isinstance(adata, ad.AnnData):
        raise OptionError(f"{function.__name__} takes an AnnData as its cohort only; give it there")
    _own_data(adata)
    own = own_of(adata)
    options = {
        k: v for k, v in arguments.items() if isinstance(v, bool | int | float | str) and k != "cohort"
    }
    if sets is None:
        _refuse_taken(adata, own)
        cohort, rows = read_cohort(adata, own)
        arguments["cohort"] = cohort
    else:
        ids = _IDS[sets]
        # groups are the same whoever is left out; what is replaced chooses no samples
        cohort, rows = read_cohort(adata, own, without=tuple(TABLES) if ids is None else (ids,))
        arguments["cohort"] = cohort
        _from_obs(adata, arguments, _NAMES[sets], ids)
    result = function(**arguments)
    # a look through floating-point genotypes is not repeated by the next step
    own["hard_calls"] = cohort["call_dosage"].dtype == np.int8
    own["version"] = _version()
    own.setdefault("params", {})[function.__name__] = options
    if sets is not None:
        place = pd.Index(cohort["sample_id"].to_numpy()).get_indexer(pd.Index(result["sample_id"].to_numpy()))
        _write_samples(adata, own, result, rows[place], sets)
    elif hasattr(result, "split_frame"):
        _write_split(adata, own, result.split_frame(), cohort, rows)
    elif hasattr(result, "to_frame") and hasattr(result, "prefix"):
        _write_variants(adata, own, result, variant_frame(cohort))
    elif hasattr(result, "to_frame"):
        _write_pairs(adata, own, result.to_frame(), variant_frame(cohort))
    adata.uns["gp_elm"] = own
    return result if sets is None else adata


def _own_data(adata: ad.AnnData) -> None:
    """Make a view an AnnData of its own, as scanpy's functions do."""
    if not adata.is_view:
        return
    if adata.isbacked:
        raise InputError(
            "the AnnData is a view of a backed one and cannot hold results; make it one with adata.copy(filename=...)"
        )
    log.warning("the AnnData is a view; it is made a copy to hold the results")
    adata._init_as_actual(adata.copy())


def _from_obs(adata: ad.AnnData, arguments: dict[str, Any], option: str | None, ids: str | None) -> None:
    """Without a table, take the named columns of the AnnData."""
    if arguments.get("source") is not None or option is None:
        return
    if (names := arguments.pop(option, None)) is not None:
        arguments["source"] = obs_table(adata, names, option, ids=ids)
    elif "fam_phenotype" not in arguments["cohort"] or option != "traits":
        there = ", ".join(map(str, [*adata.obs.columns[:20], *adata.obsm])) or "nothing"
        raise OptionError(
            f"no table and no {option}; give a table, or {option}=[...] of obs and obsm: {there}"
        )


def _refuse_taken(adata: ad.AnnData, own: dict[str, Any]) -> None:
    """Refuse before the work what would overwrite the user's own arrays."""
    ours = {*map(str, own.get("variants_columns", [])), "in_variants_table"}
    written = {column.name for column in columns_of("variants") if column.dtype != "string"} | {
        "in_variants_table"
    }
    if taken := sorted(name for name in map(str, adata.varm) if name in written - ours):
        raise InputError(
            f"the AnnData's varm has {taken[0]}, where results of this package go; rename it: "
            f"adata.varm['my_{taken[0]}'] = adata.varm.pop('{taken[0]}')"
        )


def _write_samples(
    adata: ad.AnnData, own: dict[str, Any], result: xr.Dataset, rows: np.ndarray, sets: str
) -> None:
    obs = frame(adata.obs)
    ids = _IDS[sets]
    if ids is None:
        column = own.get("group_column", "group" if "layout" in own else None)
        column = column or free_name("group", "sample", {*map(str, obs.columns), "_index"})
        adata.obs = obs.assign(
            **{column: pd.Series(text(result["sample_group"].to_numpy()), obs.index[rows])}
        )
        own["group_column"] = column
        return
    names = [str(name) for name in result[ids].to_numpy()]
    values = np.full((len(obs), len(names)), np.nan)
    values[rows] = result[TABLES[ids][1]].to_numpy()
    before = {str(name) for name in own.get(f"{ids}_column", [])}
    written = set(map(str, own.get("obs_columns", [])))
    obs = obs.drop(columns=list(before if "layout" in own else before & written))
    taken = {*map(str, obs.columns), "_index"}
    placed, added = [], {}
    for k, name in enumerate(names):
        # a column of the user that says the same serves
        if name not in obs or not _equal(obs[name], values[:, k]):
            name = free_name(name, ids.removesuffix("_id"), taken)
            added[name] = values[:, k]
        placed.append(name)
    adata.obs = pd.concat([obs, pd.DataFrame(added, index=obs.index)], axis=1)
    own[ids], own[f"{ids}_column"] = text(names), text(placed)
    own["obs_columns"] = text(sorted((written - before) | set(added)))
    own["complete_samples"] = True


def _equal(column: pd.Series, values: np.ndarray) -> bool:
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return False
    return np.array_equal(column.to_numpy(np.float64, na_value=np.nan), values, equal_nan=True)


def _write_split(
    adata: ad.AnnData, own: dict[str, Any], split: pd.DataFrame, cohort: xr.Dataset, rows: np.ndarray
) -> None:
    place = rows[pd.Index(cohort["sample_id"].to_numpy()).get_indexer(pd.Index(split["sample_id"]))]
    which, fold = np.full(adata.n_obs, None, object), np.full(adata.n_obs, np.nan)
    which[place] = split["set"].to_numpy(object)
    fold[place] = pd.to_numeric(split["fold"], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    adata.obs = frame(adata.obs).assign(gp_elm_set=pd.Categorical(which), gp_elm_fold=fold)


def _write_variants(adata: ad.AnnData, own: dict[str, Any], result: Any, identity: pd.DataFrame) -> None:
    table = result_frame(result)
    var = frame(adata.var)
    methods: dict[str, str] = json.loads(own.get("variants_methods", "{}"))
    if "variants_columns" in own:
        old = [str(name) for name in own["variants_columns"]]
        keys = [str(key) for key in own["variants_trait_key"]]
        before = take_variants(adata.varm, var, identity, own)[["trait", *IDENTITY, *old]]
        # a table of a run was not written column by column: its prefix says whose a column is
        mine = [
            c
            for c in old
            if methods.get(c, result.prefix if c.startswith(result.prefix) else "") == result.prefix
        ]
        table = joined(before, table, mine)
        methods = {c: p for c, p in methods.items() if c in table and c not in mine}
        for name in [*old, "in_variants_table"]:
            if name in adata.varm:
                del adata.varm[name]
        shown = {f"{name}:{key}" for name in old for key in keys}
        var = var.drop(columns=[name for name in var.columns if name in shown])
    new = [c for c in result_frame(result).columns if c not in methods and c not in ("trait", *IDENTITY)]
    own["variants_methods"] = json.dumps(methods | dict.fromkeys(new, result.prefix))
    varm, columns = place_variants(table, identity, own)
    for name, matrix in varm.items():
        adata.varm[name] = matrix
    adata.var = pd.concat([var, columns.set_axis(var.index)], axis=1)


def _write_pairs(adata: ad.AnnData, own: dict[str, Any], table: pd.DataFrame, identity: pd.DataFrame) -> None:
    known = {column.name for column in columns_of("pairs")}
    prefixed = {c: f"{_PAIRS}{c}" for c in table.columns if f"{_PAIRS}{c}" in known or c not in known}
    table = table.drop(columns="df", errors="ignore").rename(columns=prefixed)
    if "pairs" in own:
        keys = ["trait", *(f"{name}_{k}" for k in (1, 2) for name in IDENTITY)]
        before = restored(own["pairs"], "pairs").dropna(axis=1, how="all")
        before = before.drop(columns=[c for c in map(str, before.columns) if c.startswith(_PAIRS)])
        if set(before) - {*keys, "n", "distance", "ld_r2"}:
            new = table[[c for c in table.columns if c in keys or c not in before]]
            table = before.merge(new, how="outer", on=[c for c in keys if c in before])
    table = arrange(table, "pairs")
    own["pairs"] = storable(table, "pairs")
    for key in [key for key in adata.varp if key.startswith(f"{_PAIRS}beta:")]:
        del adata.varp[key]
    for trait, key in trait_keys(pd.unique(table["trait"])).items():
        rows = table[table["trait"] == trait]
        adata.varp[f"{_PAIRS}beta:{key}"] = pair_matrix(rows, identity, f"{_PAIRS}beta")


def _version() -> str:
    try:
        return version("gp-elm")
    except PackageNotFoundError:
        return "unknown"
