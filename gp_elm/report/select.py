"""The rows that a plot shows, from a table, a result object or an AnnData."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from gp_elm.association.inflation import adjust
from gp_elm.errors import InputError, OptionError
from gp_elm.io.anndata import from_anndata

IDENTITY = ["trait", "chromosome", "base_pair_location", "variant_id", "effect_allele", "other_allele"]
_STATISTICS = ("beta", "standard_error", "p_value", "neg_log_10_p_value", "q_value")


def to_table(source: Any, kind: str = "variants") -> pd.DataFrame:
    """Table behind anything that a plot function takes.

    Parameters
    ----------
    source : pandas.DataFrame, result object or anndata.AnnData
    kind : {"variants", "pairs", "variance"}

    Raises
    ------
    InputError
        Where there is no such table.
    """
    if isinstance(source, pd.DataFrame):
        return source
    if hasattr(source, "to_frame"):
        return source.to_frame()
    if isinstance(source, AnnData):
        frame = getattr(from_anndata(source), kind)
        if frame is None:
            raise InputError(
                f"the AnnData holds no {kind} table; make it with to_anndata(cohort, {kind}=...)"
            )
        return frame
    raise InputError(
        f"a {type(source).__name__} has no table to plot; give a DataFrame, a result or an AnnData"
    )


def one_trait(frame: pd.DataFrame, trait: str | None) -> pd.DataFrame:
    """Rows of one trait; ``trait`` may be left out where the table has a single one."""
    if "trait" not in frame.columns:
        return frame
    names = list(dict.fromkeys(frame["trait"].astype(str)))
    if trait is None:
        if len(names) > 1:
            raise OptionError(
                f"the table has {len(names)} traits ({', '.join(names[:6])}); choose one with trait="
            )
        return frame
    if trait not in names:
        raise OptionError(f"no trait {trait!r} in the table; it has {', '.join(names[:20])}")
    return frame[frame["trait"].astype(str) == trait]


def needs(frame: pd.DataFrame, *columns: str) -> None:
    """Raise where a column is missing."""
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise InputError(f"the table has no column {', '.join(missing)}; see docs/reference/tables.md")


def beside(table: Any, scan: Any | None) -> pd.DataFrame:
    """ELM and GWAS columns of the same variants in one frame, joined by identity and never by row order.

    Parameters
    ----------
    table : variants table, or the result of ``elm_effects``
    scan : result of ``linear_scan``, optional
    """
    frame = to_table(table)
    if scan is None:
        return frame
    left, right = _prefixed(frame, "elm_"), _prefixed(to_table(scan), "gwas_")
    keys = [k for k in IDENTITY if k in left.columns and k in right.columns]
    needs(left, "variant_id")
    extra = [c for c in right.columns if c in keys or c.startswith("gwas_")]
    kept = [c for c in left.columns if c in keys or c not in extra]
    return left[kept].merge(right[extra], on=keys, how="inner", validate="one_to_one")


def _prefixed(frame: pd.DataFrame, prefix: str) -> pd.DataFrame:
    if any(f"{prefix}{name}" in frame.columns for name in _STATISTICS):
        return frame
    return frame.rename(columns={name: f"{prefix}{name}" for name in _STATISTICS})


def neg_log_10_p(frame: pd.DataFrame, prefix: str) -> np.ndarray:
    """-log10 of the p-values of ``prefix`` (``gwas_`` or ``elm_``), NaN where missing; float64 (m,)."""
    name = f"{prefix}neg_log_10_p_value"
    if name in frame.columns:
        return frame[name].to_numpy(float)
    needs(frame, f"{prefix}p_value")
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log10(frame[f"{prefix}p_value"].to_numpy(float)))


def q_values(frame: pd.DataFrame, prefix: str) -> np.ndarray:
    """q-values of ``prefix``, Benjamini and Hochberg's of its p-values where the column is missing; float64 (m,).

    NaN where there are neither.
    """
    if f"{prefix}q_value" in frame.columns:
        return frame[f"{prefix}q_value"].to_numpy(float)
    if f"{prefix}p_value" in frame.columns:
        return adjust(frame[f"{prefix}p_value"].to_numpy(float))
    return np.full(len(frame), np.nan)


def threshold(neg_log_p: np.ndarray, q_value: np.ndarray, level: float = 0.05) -> float | None:
    """Lowest -log10 p among the rows with a q-value up to ``level``; None where there is none."""
    found = (q_value <= level) & np.isfinite(neg_log_p)
    return float(neg_log_p[found].min()) if found.any() else None
