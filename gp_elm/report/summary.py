"""The figures of each trait that the verdict rests on, read from the tables."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from gp_elm.io.components import population_limit
from gp_elm.report.counts import Counts, PairCounts, count_context, count_pairs, count_variants
from gp_elm.report.estimates import Estimate, differences, fold_r2, named, predictor_names, read_estimates

LINEAR = ("ridge", "lasso")
"""Predictors without interactions."""
SHARPER = 0.98
"""Ratio of squared errors below which the network counts as sharper; less than 2 % is no gain worth a network."""


@dataclass(frozen=True)
class Ablation:
    """The same estimator with another predictor in the network's place.

    found : int, its interactions at 5 % FDR; ratio : float, mean squared error of the network's pairs over its own.
    """

    found: int
    ratio: float

    @property
    def network_adds(self) -> bool:
        """Whether the network's pairs are sharper."""
        return self.ratio < SHARPER


@dataclass(frozen=True)
class TraitSummary:
    """What the verdict on one trait rests on."""

    trait: str
    components: dict[str, Estimate]
    r2: dict[str, Estimate]
    gwas: Counts
    elm: Counts
    context: Counts
    pairs: PairCounts
    ablations: dict[str, Ablation] = field(default_factory=dict)
    ld_pairs_listed: int = 0

    def component(self, name: str) -> Estimate:
        """A component of the variance table; unknown where it has none."""
        return self.components.get(name, Estimate())

    @property
    def differences(self) -> dict[str, Estimate]:
        """Network less each other predictor in held-out r2."""
        return differences(self.components)

    @property
    def rivals(self) -> dict[str, Estimate]:
        """The differences with an interval, the stack (of which the network is a part) left out."""
        return {n: d for n, d in self.differences.items() if n != "stacked" and d.has_interval}

    @property
    def equals(self) -> list[str]:
        """Rivals that do as well as the network as far as the held-out samples can show."""
        return [n for n, d in self.rivals.items() if not d.positive and not d.negative]

    @property
    def losing(self) -> list[str]:
        """Rivals that predict better than the network."""
        return [n for n, d in self.rivals.items() if d.negative]

    @property
    def weights(self) -> dict[str, float]:
        """`network_weight` by kind of effect."""
        return named(self.components, "network_weight_")

    @property
    def stack(self) -> dict[str, float]:
        """Weight of each predictor in the stack."""
        return named(self.components, "stack_weight_")

    @property
    def folds(self) -> list[float]:
        """Held-out r2 of each fold's network alone."""
        return fold_r2(self.components)

    @property
    def has_elm_result(self) -> bool:
        """False where the network was given no weight in any kind of effect."""
        return not self.weights or any(w > 0 for w in self.weights.values())

    @property
    def linear_only(self) -> bool:
        """Whether nothing in the held-out samples speaks for more than the network's linear part."""
        lasso = self.differences.get("lasso", Estimate())
        return (
            lasso.has_interval
            and not lasso.positive
            and not self.component("calibration_interaction").positive
        )

    @property
    def made_by_scale(self) -> bool:
        """Whether a monotone change of the trait's scale makes most of what the network or the pairs show."""
        share, link = self.component("specific_share"), self.component("scale_link_r2")
        # without an interval the link's gain is taken at its value
        gains = link.positive if link.has_interval else link.value > 0
        return (share.has_interval and share.upper < 0.5 and gains) or self.pairs.mostly_scale

    @property
    def structured(self) -> bool:
        """Whether the cohort's structure reaches the effects on this trait."""
        return self.component("population_check").value > population_limit(
            max(self.elm.tested, self.gwas.tested)
        )

    @property
    def generalised(self) -> bool:
        """Whether the effects were fitted by generalised least squares."""
        return self.component("structure_h").known


def summarise(tables: dict[str, pd.DataFrame], run: dict[str, Any]) -> list[TraitSummary]:
    """Summaries of all traits, in the order of the variance table.

    Parameters
    ----------
    tables : dict of pandas.DataFrame
        ``variants``, ``pairs``, ``variance`` and, where there are any, ``pairs_ld`` and ``ablation``.
    run : dict
        ``pairs_tested`` may hold the number of pairs tested, one for all traits or by trait; else all pairs of
        variants with an effect are counted.
    """
    by_trait = {
        name: _by_trait(tables.get(name))
        for name in ("variants", "pairs", "pairs_ld", "ablation", "variance")
    }
    names = list(dict.fromkeys([*by_trait["variance"], *by_trait["variants"]]))
    return [
        _one(
            trait,
            {k: groups.get(trait, pd.DataFrame()) for k, groups in by_trait.items()},
            run.get("pairs_tested"),
        )
        for trait in names
    ]


def _by_trait(table: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    if table is None or len(table) == 0:
        return {}
    return {str(name): rows for name, rows in table.groupby(table["trait"].astype(str), sort=False)}


def _one(trait: str, rows: dict[str, pd.DataFrame], tested: Any) -> TraitSummary:
    variance, variants = rows["variance"], rows["variants"]
    components = read_estimates(variance) if len(variance) else {}
    r2 = {n: components[f"heldout_r2_{n}"] for n in predictor_names(variance)} if len(variance) else {}
    if isinstance(tested, dict):
        tested = tested.get(trait)
    m = int(np.isfinite(variants["gwas_beta"].to_numpy(float)).sum()) if "gwas_beta" in variants else 0
    n_pairs = int(tested) if tested else m * (m - 1) // 2
    return TraitSummary(
        trait,
        components,
        r2,
        count_variants(variants, "gwas_"),
        count_variants(variants, "elm_"),
        count_context(variants),
        count_pairs(rows["pairs"], n_pairs),
        _ablations(rows["ablation"], components, n_pairs),
        len(rows["pairs_ld"]),
    )


def _ablations(frame: pd.DataFrame, components: dict[str, Estimate], tested: int) -> dict[str, Ablation]:
    if len(frame) == 0:
        return {}
    ratios = named(components, "ablation_variance_ratio_")
    groups = frame.groupby(frame["predictor"].astype(str), sort=False)
    return {
        str(name): Ablation(count_pairs(rows, tested).fdr, ratios.get(str(name), math.nan))
        for name, rows in groups
    }
