"""Who the samples and variants of an AnnData from elsewhere are: its columns by the names that are in use.

cellink (https://github.com/theislab/cellink) has ``chrom pos a0 a1`` in ``var``, donor ids as the index of ``obs``,
``obsm["gPCs"]`` and ``uns["kinship"]``; its X counts ``a1``, the alternate allele.
"""

from __future__ import annotations

import logging
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gp_elm.errors import InputError, OptionError
from gp_elm.io.anndata_columns import positions, sexes, words
from gp_elm.io.identity import sample_variables, variant_variables
from gp_elm.io.traits import Names

log = logging.getLogger(__name__)

CHROMOSOME = ("chromosome", "chrom", "chr", "#chrom", "contig_id", "contig", "seqname")
POSITION = ("base_pair_location", "position", "pos", "bp", "base_pair_position", "bp_position", "ps")
IDENTIFIER = ("variant_id", "rsid", "rs_id", "snp", "snp_id", "id", "marker", "variant")
ALLELES = (
    ("effect_allele", "other_allele"),
    ("a1", "a0"),
    ("alt", "ref"),
    ("alternate", "reference"),
    ("alternate_allele", "reference_allele"),
    ("alt_allele", "ref_allele"),
    ("ea", "nea"),
    ("allele1", "allele0"),
    ("a1", "a2"),
    ("allele1", "allele2"),
    ("allele_1", "allele_2"),
)
"""Names of the allele that X counts, and of the other; capitals do not count."""

FAMILY = ("family_id", "fid", "donor_family_id")
SEX = ("sex", "gender")


def frame(table: Any) -> pd.DataFrame:
    """``obs``, ``var`` or a table of ``obsm`` in memory; a lazily read one is read here."""
    return table if isinstance(table, pd.DataFrame) else table.to_memory()


def foreign_variants(var: pd.DataFrame) -> dict[str, NDArray]:
    """Identity of the variants of an AnnData that this package did not make.

    Parameters
    ----------
    var : pandas.DataFrame
        Its ``var``.

    Returns
    -------
    dict
        As :func:`gp_elm.io.identity.variant_variables`.

    Raises
    ------
    InputError
        Where a column is missing, alleles stand there twice and differ, or a position is no whole number.
    """
    lower: dict[str, Any] = {}
    for name in var.columns:
        lower.setdefault(str(name).lower(), name)
    chromosome, position = _first(lower, CHROMOSOME), _first(lower, POSITION)
    pairs = [(lower[a], lower[b]) for a, b in ALLELES if a in lower and b in lower]
    missing = [
        f"{what} ({', '.join(names)})"
        for what, names, found in (
            ("chromosome", CHROMOSOME, chromosome),
            ("position", POSITION, position),
            ("alleles", [f"{a} and {b}" for a, b in ALLELES], pairs or None),
        )
        if found is None
    ]
    if missing:
        there = ", ".join(map(str, var.columns[:20])) or "none"
        raise InputError(
            f"the AnnData's var has no column of {', nor of '.join(missing)}; it has {there}: rename its columns, "
            "samples are rows and variants are columns"
        )
    effect, other = pairs[0]
    for a, b in pairs[1:]:
        if effect != "effect_allele" and (words(var[effect]) != words(var[a])).any():
            raise InputError(
                f"the AnnData's var has {effect} and {other} but also {a} and {b}, which differ; put the allele that X "
                "counts into effect_allele and the other into other_allele"
            )
    identifier = _first(lower, IDENTIFIER)
    log.info(
        "AnnData: variants by %s, %s and %s; X counts %s, the other allele is %s", chromosome, position,
        "the index" if identifier is None else identifier, effect, other,
    )  # fmt: skip
    return variant_variables(
        words(var[chromosome], "0"),
        positions(var[position]),
        var.index.astype(str).to_numpy(object) if identifier is None else words(var[identifier], "."),
        words(var[effect], "."),
        words(var[other], "."),
    )


def foreign_samples(obs: pd.DataFrame) -> dict[str, NDArray]:
    """Identity of the samples: the index of ``obs``, with a family and a sex where there are such columns.

    Parameters
    ----------
    obs : pandas.DataFrame
        The AnnData's ``obs``.

    Returns
    -------
    dict
        As :func:`gp_elm.io.identity.sample_variables`.

    Raises
    ------
    InputError
        Where the index is not unique.
    """
    lower = {str(name).lower(): name for name in reversed(obs.columns)}
    family, sex = _first(lower, FAMILY), _first(lower, SEX)
    codes = None if sex is None else sexes(obs[sex])
    families = None if family is None else words(obs[family], "0")
    return sample_variables(families, obs.index.astype(str).to_numpy(object), codes, where="AnnData obs")


def new_traits(adata: ad.AnnData, names: Names, option: str) -> pd.DataFrame | None:
    """The named traits as a table, where not all of them are traits of the AnnData already; else None.

    Parameters
    ----------
    adata, names, option
        As for `obs_table`.

    Returns
    -------
    pandas.DataFrame or None
        As of `obs_table`.

    Raises
    ------
    OptionError
        As `obs_table`.
    """
    if set(_listed(names)) <= set(_own_columns(adata, "trait_id")):
        return None
    return obs_table(adata, names, option, ids="trait_id")


def obs_table(adata: ad.AnnData, names: Names, option: str, *, ids: str | None = None) -> pd.DataFrame:
    """Columns of ``obs``, and all columns of tables in ``obsm``, as a table with the sample ids as index.

    Parameters
    ----------
    adata : anndata.AnnData
        Samples x variants.
    names : str or sequence of str
        Columns of ``obs`` or keys of ``obsm``; a string is separated by commas.
    option : str
        Name of the argument, for messages.
    ids : {"trait_id", "covariate_id"}, optional
        Names that the AnnData has of these stand for their own columns of ``obs``, which may be called otherwise.

    Returns
    -------
    pandas.DataFrame
        (n, columns); those of ``obsm[name]`` are called ``name_1``, ``name_2``, ...

    Raises
    ------
    OptionError
        Where a name is in neither.
    """
    obs = frame(adata.obs)
    own = {} if ids is None else _own_columns(adata, ids)
    columns: dict[str, Any] = {}
    for name in dict.fromkeys(_listed(names)):
        if own.get(name) in obs:
            columns[name] = obs[own[name]].to_numpy()
        elif name in obs:
            columns[name] = obs[name].to_numpy()
        elif name in adata.obsm:
            table = adata.obsm[name]
            matrix = frame(table) if hasattr(table, "columns") else table
            values = np.asarray(matrix).reshape(adata.n_obs, -1)
            columns |= {f"{name}_{k + 1}": values[:, k] for k in range(values.shape[1])}
        else:
            there = ", ".join(map(str, [*obs.columns[:20], *adata.obsm]))
            raise OptionError(
                f"{option}: the AnnData has no {name} in obs or obsm; there is {there or 'nothing'}"
            )
    return pd.DataFrame(columns, index=obs.index.astype(str))


def _first(lower: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((lower[name] for name in names if name in lower), None)


def _listed(names: Names) -> list[str]:
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else [str(n) for n in names]


def _own_columns(adata: ad.AnnData, ids: str) -> dict[str, str]:
    """Column of ``obs`` of each of the AnnData's own traits or covariates."""
    own = adata.uns.get("gp_elm", {})
    if ids not in own:
        return {}
    return dict(zip(map(str, np.asarray(own[ids])), map(str, np.asarray(own[f"{ids}_column"])), strict=True))
