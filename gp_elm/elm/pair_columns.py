"""Columns of the table of pairs: identity, tests, verdict."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from gp_elm.elm.pair_effects import Ints, PairEffects

TESTS = ("interaction", "interaction_residual", "elm", "conditional", "heldout_interaction", "heldout_elm")
"""Tests of which the table has the effect, its error and its p-value."""


def identity_columns(cohort: xr.Dataset, i: Ints, j: Ints) -> dict[str, object]:
    """What the two variants of each pair are, and how far apart; NA on two chromosomes or where unplaced."""
    contig = cohort["contig_id"].values[cohort["variant_contig"].values]
    position = cohort["variant_position"].values
    out: dict[str, object] = {}
    for k, at in ((1, i), (2, j)):
        out |= {
            f"variant_id_{k}": cohort["variant_id"].values[at],
            f"chromosome_{k}": contig[at],
            f"base_pair_location_{k}": position[at].astype(np.int64),
            f"effect_allele_{k}": cohort["variant_effect_allele"].values[at],
            f"other_allele_{k}": cohort["variant_other_allele"].values[at],
        }
    near = (contig[i] == contig[j]) & (position[i] > 0) & (position[j] > 0)
    distance = pd.array(np.abs(position[i].astype(np.int64) - position[j]), dtype="Int64")
    distance[~near] = pd.NA
    return out | {"distance": distance}


def effect_columns(effects: PairEffects) -> dict[str, object]:
    """The tests of each pair, and the verdict where there are held-out samples."""
    out: dict[str, object] = {"ld_r2": effects.ld_r2, "n": effects.n.astype(np.int64)}
    for test in effects.beta:
        p = effects.p_value(test)
        if test in TESTS:
            out[f"{test}_beta"] = effects.beta[test]
            out[f"{test}_standard_error"] = effects.standard_error[test]
            out[f"{test}_p_value"] = p
        elif test == "scale":
            out["scale_p_value"] = p
        else:
            out |= {f"{test}_standard_error": effects.standard_error[test], f"{test}_p_value": p}
    out["genotypic_p_value"] = effects.genotypic_p_value
    if "heldout_elm" in effects.beta:
        out["heldout_n"] = pd.array(np.nan_to_num(effects.heldout_n).astype(np.int64), dtype="Int64")
        out["verdict"] = effects.verdict()
        out["heldout_power"] = effects.heldout_power()
    return out


def rank_column(rank: Ints) -> pd.api.extensions.ExtensionArray:
    """Ranks as whole numbers that can be missing: NA where they are not positive."""
    out = pd.array(np.maximum(rank, 0), dtype="Int64")
    out[rank <= 0] = pd.NA
    return out


def flag_column(flags: dict[str, NDArray[np.bool_]]) -> list[str | None]:
    """Words of each pair joined by ``;``, None where it has none, from (P,) arrays by word."""
    names = list(flags)
    raised = np.column_stack([flags[name] for name in names])
    return [";".join(name for name, up in zip(names, row, strict=True) if up) or None for row in raised]
