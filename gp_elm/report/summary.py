"""The figures of each trait that the verdict rests on, read from the three tables."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from gp_elm.report.effect_plots import lambda_of
from gp_elm.report.model_plots import yardsticks
from gp_elm.report.select import neg_log_10_p

LEVEL = 0.05
REGION_GAP = 100_000
"""Significant variants less than this many base pairs apart, or five times the cohort's usual distance of neighbours
where that is more, count as one region."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; NaN where there is none."""

    value: float = math.nan
    lower: float = math.nan
    upper: float = math.nan

    @property
    def known(self) -> bool:
        """Whether there is a number."""
        return math.isfinite(self.value)

    @property
    def has_interval(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.lower) and math.isfinite(self.upper)

    @property
    def positive(self) -> bool:
        """Whether the interval lies above zero."""
        return self.has_interval and self.lower > 0

    @property
    def negative(self) -> bool:
        """Whether the interval lies below zero."""
        return self.has_interval and self.upper < 0


@dataclass(frozen=True)
class Counts:
    """Findings of one method at the 5 % false discovery rate and after Bonferroni."""

    tested: int = 0
    fdr: int = 0
    regions: int = 0
    bonferroni: int = 0
    lambda_gc: float = math.nan


@dataclass(frozen=True)
class TraitSummary:
    """What the verdict on one trait rests on."""

    trait: str
    r2: dict[str, Estimate]
    differences: dict[str, Estimate]
    weights: dict[str, float]
    components: dict[str, Estimate]
    gwas: Counts
    elm: Counts
    pairs: Counts
    classical_pairs: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    pairs_listed: int = 0
    ld_pairs_listed: int = 0

    @property
    def has_elm_result(self) -> bool:
        """False where the network was given no weight in any kind of effect."""
        return not self.weights or any(w > 0 for w in self.weights.values())

    @property
    def linear_only(self) -> bool:
        """Whether nothing in the held-out samples speaks for more than the network's linear part."""
        lasso = self.differences.get("lasso", Estimate())
        slope = self.components.get("calibration_interaction", Estimate())
        return lasso.has_interval and not lasso.positive and not slope.positive

    @property
    def beats(self) -> dict[str, bool]:
        """Whether the interval of the difference lies above zero, by yardstick with a known interval."""
        return {name: d.positive for name, d in self.differences.items() if d.has_interval}


def summarise(tables: dict[str, pd.DataFrame], run: dict[str, Any]) -> list[TraitSummary]:
    """Summaries of all traits, in the order of the variance table.

    Parameters
    ----------
    tables : dict of pandas.DataFrame
        ``variants``, ``pairs``, ``variance`` and, where there are any, ``pairs_ld``.
    run : dict
        ``pairs_tested`` may hold the number of pairs tested, one for all traits or by trait; else all pairs of
        variants with an effect are counted.
    """
    variance, variants, pairs = tables["variance"], tables["variants"], tables["pairs"]
    by_variants = dict(list(variants.groupby(variants["trait"].astype(str), sort=False)))
    by_pairs = dict(list(pairs.groupby(pairs["trait"].astype(str), sort=False))) if len(pairs) else {}
    ld = tables.get("pairs_ld")
    by_ld = ld["trait"].astype(str).value_counts().to_dict() if ld is not None and len(ld) else {}
    names = list(dict.fromkeys([*variance["trait"].astype(str), *by_variants]))
    return [
        _one(
            trait,
            variance[variance["trait"].astype(str) == trait],
            by_variants.get(trait, variants.iloc[:0]),
            by_pairs.get(trait, pairs.iloc[:0]),
            run.get("pairs_tested"),
            int(by_ld.get(trait, 0)),
        )
        for trait in names
    ]


def _one(
    trait: str, variance: pd.DataFrame, variants: pd.DataFrame, pairs: pd.DataFrame, tested: Any, n_ld: int
) -> TraitSummary:
    values = variance[["estimate", "ci_lower", "ci_upper"]].to_numpy(float)
    found = {
        str(name): Estimate(*map(float, row)) for name, row in zip(variance["component"], values, strict=True)
    }
    r2 = {name: found[f"heldout_r2_{name}"] for name in yardsticks(variance)}
    differences = {}
    for name, estimate in found.items():
        if name.startswith("heldout_r2_difference"):
            against = name.removeprefix("heldout_r2_difference").removeprefix("_")
            differences[against.removeprefix("from_") or "ridge"] = estimate
    weights = {
        name.removeprefix("network_weight_"): e.value
        for name, e in found.items()
        if name.startswith("network_weight_") and e.known
    }
    gwas, elm = count_variants(variants, "gwas_"), count_variants(variants, "elm_")
    if isinstance(tested, dict):
        tested = tested.get(trait)
    m = int(np.isfinite(variants["gwas_beta"].to_numpy(float)).sum()) if "gwas_beta" in variants else 0
    n_pairs = int(tested) if tested else m * (m - 1) // 2
    counts, classical, verdicts = _count_pairs(pairs, n_pairs)
    return TraitSummary(
        trait, r2, differences, weights, found, gwas, elm, counts, classical, verdicts, len(pairs), n_ld
    )


def count_variants(frame: pd.DataFrame, prefix: str) -> Counts:
    """Findings among the variants of one trait by the columns of ``prefix`` (``gwas_`` or ``elm_``)."""
    if f"{prefix}q_value" not in frame.columns or len(frame) == 0:
        return Counts()
    height = neg_log_10_p(frame, prefix)
    n = int(np.isfinite(height).sum())
    if n == 0:
        return Counts()
    found = frame[f"{prefix}q_value"].to_numpy(float) <= LEVEL
    bonferroni = int(np.count_nonzero(height >= -np.log10(LEVEL / n)))
    return Counts(n, int(found.sum()), _regions(frame, found), bonferroni, lambda_of(height))


def _regions(frame: pd.DataFrame, found: np.ndarray) -> int:
    names = frame["chromosome"].astype(str).to_numpy()
    place = frame["base_pair_location"].to_numpy(float)
    count = int(np.count_nonzero(found & (place <= 0)))  # variants without a position cannot be joined
    by_chromosome = [np.sort(place[(names == name) & (place > 0)]) for name in dict.fromkeys(names)]
    steps = np.concatenate([np.diff(p) for p in by_chromosome]) if by_chromosome else np.empty(0)
    gap = max(REGION_GAP, 5 * float(np.mean(steps))) if len(steps) else REGION_GAP
    for name in dict.fromkeys(names[found]):
        placed = np.sort(place[found & (names == name) & (place > 0)])
        count += 1 + int((np.diff(placed) >= gap).sum()) if len(placed) else 0
    return count


def _count_pairs(frame: pd.DataFrame, tested: int) -> tuple[Counts, int, dict[str, int]]:
    if len(frame) == 0:
        return Counts(tested), 0, {}
    found = frame["elm_q_value"].to_numpy(float) <= LEVEL
    p = frame["elm_p_value"].to_numpy(float)
    bonferroni = int(np.count_nonzero(p <= LEVEL / max(tested, 1)))
    classical = (
        int((frame["interaction_q_value"].to_numpy(float) <= LEVEL).sum())
        if "interaction_q_value" in frame
        else 0
    )
    verdicts = frame.loc[found, "verdict"].astype(str).value_counts().to_dict() if "verdict" in frame else {}
    return (
        Counts(tested, int(found.sum()), 0, bonferroni),
        classical,
        {str(k): int(v) for k, v in verdicts.items()},
    )
