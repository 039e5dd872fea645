"""Result tables inside an AnnData: matched to its variants by identity, and taken out again as they were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from gp_elm.errors import InputError
from gp_elm.io.arrangement import arrange, columns_of

IDENTITY = ["chromosome", "base_pair_location", "variant_id", "effect_allele", "other_allele"]
SHOWN = ("gwas_beta", "gwas_p_value", "elm_beta", "elm_p_value")
"""Columns that stand in ``var`` too, for people and for plots."""

PAIR_COLUMN = "elm_beta"
"""Column of the pairs table that ``varp`` holds."""


def place_variants(
    table: pd.DataFrame, var: pd.DataFrame, own: dict[str, Any]
) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Arrange the variants table by variant: matrices for ``varm``, and main columns and text, by trait, for ``var``.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a trait and variant, in any order.
    var : pandas.DataFrame
        Identity of the variants, (m, columns).
    own : dict
        ``uns["gp_elm"]``, which gets the names of traits and columns.

    Returns
    -------
    varm : dict of ndarray (m, traits)
    shown : pandas.DataFrame (m, columns)

    Raises
    ------
    InputError
        Where the table has a variant that is not in `var`, or one twice.
    """
    varm: dict[str, np.ndarray] = {}
    keys = trait_keys(pd.unique(table["trait"]))
    trait = pd.Index(list(keys)).get_indexer(pd.Index(table["trait"]))
    variant = _find_variants(table[IDENTITY], var, within=trait)
    seen = np.zeros((len(var), len(keys)), dtype=bool)
    seen[variant, trait] = True
    if seen.sum() != len(table):
        twice = table[pd.DataFrame({"v": variant, "t": trait}).duplicated().to_numpy()].iloc[0]
        raise InputError(
            f"the variants table has {twice['variant_id']} twice for trait {twice['trait']}; drop one"
        )
    registered = {column.name for column in columns_of("variants")}
    columns = [name for name in table.columns if name not in {"trait", *IDENTITY}]
    columns = [name for name in columns if not (name in registered and table[name].isna().all())]
    shown: dict[str, Any] = {}
    for name in columns:
        values = table[name]
        if pd.api.types.is_numeric_dtype(values.dtype):
            whole = pd.api.types.is_integer_dtype(values.dtype) and seen.all() and not values.isna().any()
            matrix = np.zeros(seen.shape, dtype=np.int64) if whole else np.full(seen.shape, np.nan)
            matrix[variant, trait] = values.to_numpy(matrix.dtype, na_value=0 if whole else np.nan)
            varm[name] = matrix
            if name in SHOWN:
                for k, key in enumerate(keys.values()):
                    shown[f"{name}:{key}"] = matrix[:, k]
        else:
            for k, key in enumerate(keys.values()):
                column = np.full(len(var), None, dtype=object)
                column[variant[trait == k]] = values.to_numpy(dtype=object)[trait == k]
                shown[f"{name}:{key}"] = pd.Categorical(column)
    if not seen.all():
        varm["in_variants_table"] = seen
    own["variants_trait_id"], own["variants_trait_key"] = text(keys), text(keys.values())
    own["variants_columns"] = text(columns)
    return varm, pd.DataFrame(shown, index=var.index)


def take_variants(
    varm: Mapping[str, Any], var: pd.DataFrame, identity: pd.DataFrame, own: Mapping[str, Any]
) -> pd.DataFrame:
    """Return the variants table that `place_variants` put in, arranged as on disk.

    Parameters
    ----------
    varm, var : mapping, pandas.DataFrame
        Of the AnnData.
    identity : pandas.DataFrame
        Identity of the variants, as of ``variant_frame``.
    own : mapping
        ``uns["gp_elm"]``.

    Returns
    -------
    pandas.DataFrame
        One row a trait and variant.
    """
    traits = [str(name) for name in own["variants_trait_id"]]
    keys = [str(name) for name in own["variants_trait_key"]]
    pieces = []
    for k, (trait, key) in enumerate(zip(traits, keys, strict=True)):
        data = {"trait": np.full(len(var), trait, dtype=object)}
        data |= {name: identity[name].to_numpy() for name in IDENTITY}
        for name in map(str, own["variants_columns"]):
            inner = name in varm
            data[name] = np.asarray(varm[name])[:, k] if inner else var[f"{name}:{key}"].to_numpy(object)
        piece = pd.DataFrame(data)
        if "in_variants_table" in varm:
            piece = piece[np.asarray(varm["in_variants_table"])[:, k]]
        pieces.append(piece)
    return arrange(pd.concat(pieces), "variants")


def _find_variants(identity: pd.DataFrame, var: pd.DataFrame, within: np.ndarray | None = None) -> np.ndarray:
    """Return the index in `var` of each row, by identity; columns of `identity` in the order of IDENTITY.

    Of several variants of one identity, the k-th answers to the k-th row of it in each group of `within`;
    without groups, the first answers always.
    """
    rows = pd.DataFrame({name: identity.iloc[:, k].to_numpy() for k, name in enumerate(IDENTITY)})
    rows["chromosome"] = rows["chromosome"].astype(str)
    known = var[IDENTITY].astype({"chromosome": str}).assign(at=np.arange(len(var)))
    keys = list(IDENTITY)
    if known.duplicated(IDENTITY).any():
        if within is None:
            known = known.drop_duplicates(IDENTITY)
        else:
            known["copy"] = known.groupby(IDENTITY).cumcount()
            rows["copy"] = rows.assign(within=within).groupby([*IDENTITY, "within"]).cumcount()
            keys.append("copy")
    at = rows.merge(known, on=keys, how="left")["at"]
    if at.isna().any():
        lost = rows.iloc[int(np.flatnonzero(at.isna())[0])]
        raise InputError(
            f"the table has variant {lost['variant_id']} at {lost['chromosome']}:"
            f"{lost['base_pair_location']}, which the cohort lacks; give the cohort that the table was made "
            "from"
        )
    return at.to_numpy(np.int64)


def pair_matrix(pairs: pd.DataFrame, var: pd.DataFrame, column: str = PAIR_COLUMN) -> sp.csr_matrix:
    """Return the effects of one trait's pairs as a symmetric matrix, (m, m)."""
    first, second = (_find_variants(pairs[[f"{name}_{k}" for name in IDENTITY]], var) for k in (1, 2))
    value = pairs[column].to_numpy(np.float64)
    there = ~np.isnan(value)
    first, second, value = first[there], second[there], value[there]
    at = np.concatenate([first, second]), np.concatenate([second, first])
    return sp.csr_matrix((np.concatenate([value, value]), at), shape=(len(var), len(var)))


def storable(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a table in a form that AnnData files can hold in ``uns``."""
    registered = {column.name for column in columns_of(name)}
    stored: dict[str, Any] = {}
    for column in table.columns:
        values = table[column]
        if column in registered and values.isna().all() and len(table):
            continue
        if not (pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype)):
            values = pd.Series(pd.Categorical(values.astype(object)))
        stored[column] = values.array
    return pd.DataFrame(stored, index=pd.RangeIndex(len(table)).astype(str))


def restored(stored: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the table that `storable` was given."""
    table = stored.copy()
    for column in table.columns:
        if isinstance(table[column].dtype, pd.CategoricalDtype):
            values = table[column].astype(object)
            table[column] = values.where(values.notna(), None)
    return arrange(table, name, sort=False)


def trait_keys(traits: Iterable[Any]) -> dict[str, str]:
    """Return a name for each trait that AnnData files can hold."""
    taken = {"_index"}
    return {str(trait): free_name(str(trait), "trait", taken) for trait in traits}


def free_name(name: str, kind: str, taken: set[str]) -> str:
    """Return `name` without what AnnData files cannot hold, and not yet in `taken`; add it there."""
    # a slash would make a folder of the name, in HDF5 as in Zarr
    free = name.replace("/", "_") or kind
    while free in taken:
        free = f"{kind}_{free}"
    taken.add(free)
    return free


def text(values: Iterable[Any]) -> np.ndarray:
    """Return strings as the objects that AnnData stores."""
    return np.array([str(value) for value in values], dtype=object)
