"""The strongest pairs of one trait as the page's table shows them."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import pandas as pd

from gp_elm.report.pair_verdict import flag_meaning
from gp_elm.report.words import minus

Row = dict[Hashable, Any]


def pair_rows(pairs: pd.DataFrame) -> list[dict[str, str]]:
    """Cells of each pair, in words; empty where a value is missing."""
    return [_row(p) for p in pairs.to_dict("records")]


def flags_explained(pairs: pd.DataFrame) -> list[tuple[str, str]]:
    """Every flag of these pairs with its meaning."""
    words = ";".join(pairs["flags"].dropna().astype(str)).split(";") if "flags" in pairs else []
    return [(word.replace("_", " "), flag_meaning(word)) for word in dict.fromkeys(words) if word]


def _row(p: Row) -> dict[str, str]:
    return {
        "first": str(p["variant_id_1"]),
        "where_1": _where(p, 1),
        "second": str(p["variant_id_2"]),
        "where_2": _where(p, 2),
        "elm": _effect(p, "elm_"),
        "elm_p": _p(p, "elm_p_value"),
        "elm_q": _p(p, "elm_q_value"),
        "robust_p": _p(p, "elm_robust_p_value"),
        "conditional_p": _p(p, "conditional_p_value"),
        "scale_p": _p(p, "scale_p_value"),
        "test_p": _p(p, "interaction_p_value"),
        "heldout": _effect(p, "heldout_elm_"),
        "heldout_p": _p(p, "heldout_elm_p_value"),
        "power": _number(p, "heldout_power", ".2f"),
        "rank": _number(p, "elm_rank", ",.0f"),
        "prior_rank": _number(p, "prior_rank", ",.0f"),
        "ld": _number(p, "ld_r2", ".1g"),
        "verdict": _word(p, "verdict"),
        "flags": _word(p, "flags").replace(";", ", "),
    }


def _value(p: Row, key: str) -> float:
    value = p.get(key)
    return math.nan if value is None or value is pd.NA else float(value)


def _number(p: Row, key: str, form: str) -> str:
    value = _value(p, key)
    return minus(format(value, form)) if math.isfinite(value) else ""


def _p(p: Row, key: str) -> str:
    return _number(p, key, ".1e" if _value(p, key) < 0.001 else ".2g")


def _effect(p: Row, prefix: str) -> str:
    """Effect and standard error, to two digits of the latter."""
    error = _value(p, f"{prefix}standard_error")
    if not (math.isfinite(error) and error > 0):
        return _number(p, f"{prefix}beta", ".2g")
    form = f".{max(0, 1 - math.floor(math.log10(error)))}f"
    return f"{_number(p, f'{prefix}beta', form)} ± {minus(format(error, form))}"


def _word(p: Row, key: str) -> str:
    value = p.get(key)
    return "" if value is None or pd.isna(value) else str(value).replace("_", " ")


def _where(p: Row, k: int) -> str:
    position = p.get(f"base_pair_location_{k}")
    return f"{p.get(f'chromosome_{k}')}:{int(position):,}" if position else ""
