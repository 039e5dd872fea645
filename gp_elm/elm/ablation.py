"""The same debiased pairs with a lasso or a kernel in the network's place: what does the network add? (METHOD 7)"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gp_elm.association.sweep_summary import ColumnSweep
from gp_elm.elm.pair_candidates import Candidates
from gp_elm.elm.pair_columns import effect_columns, flag_column, identity_columns, rank_column
from gp_elm.elm.pair_evidence import KINDS, PairModel, sweep_pairs
from gp_elm.elm.pair_fits import HeldoutPairs, Sidelights, fit_pairs
from gp_elm.elm.pair_ranks import screened_q_values, sweep_q_values
from gp_elm.elm.quadratic import QuadraticPopulation
from gp_elm.elm.study import Floats
from gp_elm.models.yardsticks import Yardsticks

if TYPE_CHECKING:
    from gp_elm.elm.pair_table import PairAnalysis

SWEPT = 2_000_000
"""Up to this many pairs all are tested with each predictor; above, those that the table of pairs lists."""


def ablation_frame(pairs: PairAnalysis, yardsticks: Yardsticks | None) -> pd.DataFrame:
    """Debiased pairs with each quadratic yardstick as f.

    Parameters
    ----------
    pairs : PairAnalysis
        The pairs with the network as f.
    yardsticks : Yardsticks or None
        Predictors of the same folds.

    Returns
    -------
    pandas.DataFrame
        ``predictor``, then columns of the table of pairs; no row where there is no predictor.
    """
    frames: list[pd.DataFrame] = []
    if yardsticks is not None:
        for name in yardsticks.forms:
            tested = _Tested(pairs, yardsticks, name)
            frames += [tested.rows(t).assign(predictor=name) for t in range(len(pairs.networks.traits))]
    if frames:
        return pd.concat(frames, ignore_index=True)
    none = np.empty(0, np.int64)
    empty = {"predictor": none, "trait": none, "n": none, "elm_standard_error": none, "selected_by": none}
    return pd.DataFrame(identity_columns(pairs.networks.cohort, none, none) | empty)


def variance_ratios(listed: pd.DataFrame, ablation: pd.DataFrame, traits: list[str]) -> dict[str, Floats]:
    """Mean squared error of the pairs listed with the network, over the same with a predictor as f.

    Parameters
    ----------
    listed, ablation : pandas.DataFrame
        The table of pairs, LD pairs included, and that of :func:`ablation_frame`.
    traits : list of str
        Names of the traits.

    Returns
    -------
    dict of str to (T,) float
        By predictor; below 1 the network adds to it.
    """
    with_network = ablation["selected_by"].astype(str).str.startswith("network")
    theirs = ablation[with_network].groupby(["predictor", "trait"])["elm_standard_error"]
    own = listed.groupby("trait")["elm_standard_error"].agg(_mean_square).reindex(traits)
    found = theirs.agg(_mean_square)
    return {
        str(name): (own / found.loc[name].reindex(traits)).to_numpy(float)
        for name in found.index.unique("predictor")
    }


def _mean_square(errors: pd.Series) -> float:
    return float(np.mean(errors.dropna() ** 2))


class _Tested:
    """One predictor in the network's place."""

    def __init__(self, pairs: PairAnalysis, yardsticks: Yardsticks, name: str) -> None:
        self.pairs, study = pairs, pairs.study
        population = QuadraticPopulation(study, yardsticks.forms[name], yardsticks.offsets[name])
        self.model = PairModel.build(
            study, population, pairs.model.rest, pairs.analysis.read_block, weigh=pairs.weigh
        )
        self.heldout: HeldoutPairs | None = pairs.heldout_of(population)
        self.sidelights = Sidelights(
            groups=pairs.sidelights.groups,
            structure=pairs.sidelights.structure,
            structured=pairs.sidelights.structured,
        )
        self.sweeps: list[ColumnSweep] | None = None
        if pairs.n_pairs <= SWEPT and pairs.exhaustive:
            top = max(pairs.options.top_pairs, 2000)
            self.sweeps = sweep_pairs(self.model, pairs.analysis.read_block, top=top, kinds=("elm",))["elm"]

    def rows(self, trait: int) -> pd.DataFrame:
        """Rows of a trait."""
        pairs, m = self.pairs, self.pairs.study.center.size
        networks = pairs.networks
        listed = self._candidates(trait)
        i, j = listed.i, listed.j
        effects = fit_pairs(self.model, trait, i, j, networks.read.columns, self.heldout, self.sidelights)
        frame = pd.DataFrame(
            {
                "trait": networks.traits[trait],
                **identity_columns(networks.cohort, i, j),
                **effect_columns(effects),
            }
        )
        for kind in KINDS:
            sweep = pairs.sweep(kind, trait)
            if kind == "elm":
                sweep = (
                    None if self.sweeps is None or pairs.analysis.structured()[trait] else self.sweeps[trait]
                )
            p = effects.p_value(kind)
            q, rank = (
                screened_q_values(p, pairs.n_pairs) if sweep is None else sweep_q_values(sweep, i, j, p, m)
            )
            frame[f"{kind}_q_value"] = q
        frame["elm_rank"] = rank_column(rank)
        frame["selected_by"] = listed.why
        flags = {
            "ld": effects.ld_r2 > pairs.options.max_ld,
            "population": np.full(i.size, pairs.analysis.structured()[trait]),
            "rare": effects.rare,
        }
        frame["flags"] = flag_column(flags)
        return frame

    def _candidates(self, trait: int) -> Candidates:
        """The pairs listed with the network, and the strongest with this predictor where all were tested."""
        i, j, _ = self.pairs.candidates(trait)
        if self.sweeps is None:
            return Candidates(i, j, ["network"] * i.size)
        m = self.pairs.study.center.size
        top = self.sweeps[trait].top
        own = (top.i * m + top.j)[: self.pairs.options.top_pairs]
        known = np.isin(i * m + j, own)
        more = own[~np.isin(own, i * m + j)]
        why = ["network;elm" if k else "network" for k in known] + ["elm"] * more.size
        return Candidates(np.r_[i, more // m], np.r_[j, more % m], why)
