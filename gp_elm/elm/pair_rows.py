"""Rows of the table of pairs: the tests of listed pairs, their q-values, ranks and flags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gp_elm.association.neighbourhoods import adjacent_blocks, joint_tagging
from gp_elm.elm.pair_candidates import Candidates
from gp_elm.elm.pair_columns import effect_columns, flag_column, identity_columns, rank_column
from gp_elm.elm.pair_effects import Ints, PairEffects
from gp_elm.elm.pair_evidence import KINDS
from gp_elm.elm.pair_fits import fit_pairs
from gp_elm.elm.pair_ranks import screened_q_values, sweep_q_values
from gp_elm.elm.scale import scale_flags
from gp_elm.elm.study import Floats

if TYPE_CHECKING:
    from gp_elm.elm.pair_table import PairAnalysis

FALSE = 0.05
"""False discovery rate of the discoveries that the scale check looks at, and their level by Bonferroni."""


def trait_rows(pairs: PairAnalysis, trait: int, listed: Candidates, *, given: bool = False) -> pd.DataFrame:
    """Rows of the pairs table.

    Parameters
    ----------
    pairs : PairAnalysis
        The analysis.
    trait : int
        Which trait.
    listed : Candidates
        The pairs.
    given : bool
        Whether they are a user's: then they have a rank only where all pairs have been swept.
    """
    networks = pairs.networks
    i, j = listed.i, listed.j
    effects = fit_pairs(pairs.model, trait, i, j, networks.read.columns, pairs.heldout, pairs.sidelights)
    frame = pd.DataFrame(
        {
            "trait": networks.traits[trait],
            **identity_columns(networks.cohort, i, j),
            **effect_columns(effects),
        }
    )
    for kind in KINDS:
        sweep = pairs.sweep(kind, trait) if pairs.swept or not given else None
        p = effects.p_value(kind)
        if sweep is None:
            q, rank = screened_q_values(p, pairs.n_pairs)
        else:
            q, rank = sweep_q_values(sweep, i, j, p, pairs.study.center.size)
        frame[f"{kind}_q_value"] = q
        if kind != "elm":
            continue
        if sweep is None and given:
            rank = np.zeros_like(rank)
        frame["elm_rank"] = rank_column(rank)
        if sweep is not None and pairs.prior is not None:
            q, rank = pairs.prior.q_values(trait, sweep, i, j, p)
        if not given or sweep is not None:
            # Weights of 1 where generalised least squares takes the place of the sweep.
            weighted = pairs.prior is not None
            frame["elm_weighted_q_value"] = q if weighted else np.nan
            frame["prior_rank"] = rank_column(rank if weighted else np.zeros_like(rank))
    frame["elm_sensitivity_slope"] = _slopes(pairs, trait, i, j)
    frame["selected_by"] = listed.why
    frame["flags"] = _flags(pairs, trait, effects, frame)
    return frame


def _slopes(pairs: PairAnalysis, trait: int, i: Ints, j: Ints) -> Floats:
    sensitivities = pairs.analysis.sensitivities
    columns = sensitivities.columns
    at_i, at_j = np.searchsorted(columns, i), np.searchsorted(columns, j)
    at_i, at_j = np.minimum(at_i, columns.size - 1), np.minimum(at_j, columns.size - 1)
    known = (columns[at_i] == i) & (columns[at_j] == j)
    # A variant that no network reads has a sensitivity of its own that does not vary: slope 0.
    out = np.zeros(i.size)
    out[known] = sensitivities.factors(trait).slopes(at_i[known], at_j[known])
    return out


def _cutoff(q: Floats, n_pairs: int) -> float:
    """The p-value up to which a pair is found: Benjamini and Hochberg's for what was found, at least Bonferroni's."""
    return FALSE * max(int((q <= FALSE).sum()), 1) / max(n_pairs, 1)


def _flags(pairs: PairAnalysis, trait: int, effects: PairEffects, frame: pd.DataFrame) -> list[str | None]:
    p = effects.p_value("elm")
    cutoffs = [_cutoff(frame["elm_q_value"].to_numpy(), pairs.n_pairs)]
    if "elm_weighted_q_value" in frame:
        # Weighted discoveries have no common cutoff: the one that they would have with equal weights.
        cutoffs.append(_cutoff(frame["elm_weighted_q_value"].to_numpy(), pairs.n_pairs))
    found: dict[str, NDArray[np.bool_]] = {}
    if "scale" in effects.beta:
        after = effects.p_value("scale")
        found["scale"] = np.any([scale_flags(p, after, cutoff) for cutoff in cutoffs], axis=0)
    i, j, blocks = effects.i, effects.j, pairs.study.blocks
    found["ld"] = effects.ld_r2 > pairs.options.max_ld
    step = pairs.neighbourhoods.weakest_step(i, j)
    conditional = effects.p_value("conditional")
    cohort = pairs.networks.cohort
    contig, position = (cohort[f"variant_{name}"].values.astype(np.int64) for name in ("contig", "position"))
    found["joint_tagging"] = joint_tagging(i, j, blocks, effects.ld_r2, step, conditional, cutoffs[0])
    found["joint_tagging"] |= adjacent_blocks(i, j, blocks, contig, position)
    found["population"] = np.full(i.size, pairs.analysis.structured()[trait])
    found["rare"] = effects.rare
    robust = effects.p_value("elm_robust")
    # False where the robust error cannot be had: that takes nothing from the pair.
    found["robust_error"] = np.any([(p <= cutoff) & (robust > cutoff) for cutoff in cutoffs], axis=0)
    return flag_column(found)
