"""Network results and classical results of the same variants in one table, joined by identity, never by row order."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from gp_elm.errors import InputError
from gp_elm.io.components import population_limit

logger = logging.getLogger(__name__)

KEY = ["trait", "chromosome", "base_pair_location", "variant_id"]
"""What identifies a variant beside its alleles."""
_SIGNED = ("beta", "sensitivity_mean")


def prefixed(frame: pd.DataFrame, prefix: str, estimates: list[str]) -> pd.DataFrame:
    """A result's table with the prefix before the named columns, e.g. ``gwas_beta``."""
    return frame.rename(columns={name: f"{prefix}{name}" for name in estimates if name in frame.columns})


def _keys(frame: pd.DataFrame, what: str) -> pd.DataFrame:
    for name in [*KEY, "effect_allele", "other_allele"]:
        if name not in frame.columns:
            raise InputError(f"{what} has no column {name!r}; it cannot be joined by variant")
    alleles = np.sort(frame[["effect_allele", "other_allele"]].to_numpy(str), axis=1)
    keys = frame[KEY].astype({"trait": str, "chromosome": str, "variant_id": str})
    keys = keys.assign(allele_a=alleles[:, 0], allele_b=alleles[:, 1])
    # Rows that agree in everything, such as unplaced markers of one name, are told apart by their order in the file.
    return keys.assign(copy=keys.groupby(list(keys.columns), sort=False).cumcount())


def join_variants(
    left: pd.DataFrame, right: pd.DataFrame, *, left_name: str, right_name: str
) -> pd.DataFrame:
    """Add the columns of one table of variants to the rows of another.

    Parameters
    ----------
    left, right : pandas.DataFrame
        ``trait chromosome base_pair_location variant_id effect_allele other_allele`` and further columns. Where the
        two count opposite alleles, the right one's signs are turned (columns that end in ``beta`` or
        ``sensitivity_mean``), and the log says how often.
    left_name, right_name : str
        What to call them in messages.

    Returns
    -------
    pandas.DataFrame
        The rows of ``left`` in their order, with the columns of ``right`` that it lacks; NA where it has no such row.

    Raises
    ------
    InputError
        Where an identity column is missing.
    """
    keys_left, keys_right = _keys(left, left_name), _keys(right, right_name)
    names = list(keys_left.columns)
    place = keys_left.merge(keys_right.assign(_row=np.arange(len(right))), how="left", on=names)[
        "_row"
    ].to_numpy()
    found = np.isfinite(place)
    at = np.where(found, place, 0).astype(np.int64)
    same = (
        left["effect_allele"].to_numpy(str) == right["effect_allele"].to_numpy(str)[at]
        if len(right)
        else found
    )
    flipped = found & ~same
    out = left.copy()
    for name in right.columns:
        if name in left.columns:
            continue
        values = right[name].iloc[at] if len(right) else pd.Series(np.full(len(left), np.nan))
        values = values.reset_index(drop=True).set_axis(left.index)
        if name.endswith(_SIGNED):
            values = values * np.where(flipped, -1.0, 1.0)
        out[name] = values.where(pd.Series(found, index=left.index))
    dropped = len(right) - int(np.unique(at[found]).size)
    if flipped.any() or dropped or not found.all():
        logger.info(
            "%s joined to %s: %d rows matched, %d of them with alleles swapped (signs turned), %d rows of %s without a "
            "match, %d rows of %s left out",
            right_name, left_name, int(found.sum()), int(flipped.sum()), int((~found).sum()), left_name,
            dropped, right_name,
        )  # fmt: skip
    return out


def add_q_values(frame: pd.DataFrame, prefix: str) -> pd.DataFrame:
    """Benjamini-Hochberg q-values of a method's p-values within each trait, as ``<prefix>q_value``."""
    q = np.full(len(frame), np.nan)
    p = frame[f"{prefix}p_value"].to_numpy(float)
    for index in frame.groupby("trait", sort=False).indices.values():
        tested = index[np.isfinite(p[index])]
        if tested.size:
            q[tested] = false_discovery_control(p[tested])
    return frame.assign(**{f"{prefix}q_value": q})


def variant_flags(frame: pd.DataFrame, variance: pd.DataFrame | None = None) -> NDArray[np.object_]:
    """Words for each variant: ``monomorphic``, ``collinear``, ``ambiguous_alleles``, ``population``.

    Parameters
    ----------
    frame : pandas.DataFrame
        Variants with ``effect_allele_frequency`` and ``gwas_beta``.
    variance : pandas.DataFrame, optional
        The variance table, whose population checks flag whole traits.
    """
    structured: set[str] = set()
    if variance is not None:
        estimate = variance["estimate"].to_numpy(float)
        size = frame["trait"].astype(str).value_counts()
        limit = variance["trait"].astype(str).map(size).fillna(0).astype(int).map(population_limit)
        failed = (variance["component"] == "population_check") & (estimate > limit)
        structured = set(variance.loc[failed | (variance["component"] == "structure_h"), "trait"].astype(str))
    frequency = frame["effect_allele_frequency"].to_numpy(float)
    beta = frame["gwas_beta"].to_numpy(float)
    equal = frame["effect_allele"].to_numpy(str) == frame["other_allele"].to_numpy(str)
    monomorphic = ~((frequency > 0) & (frequency < 1))
    population = frame["trait"].astype(str).isin(structured).to_numpy()
    flags: list[str | None] = []
    for mono, untested, same, structure in zip(monomorphic, np.isnan(beta), equal, population, strict=True):
        words = ["monomorphic"] if mono else ["collinear"] if untested else []
        words += ["ambiguous_alleles"] if same else []
        words += ["population"] if structure else []
        flags.append(";".join(words) or None)
    return np.asarray(flags, dtype=object)
