"""What was found among the variants and the pairs of one trait, counted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from gp_elm.association.inflation import adjust
from gp_elm.report.effect_plots import lambda_of
from gp_elm.report.select import neg_log_10_p

LEVEL = 0.05
MANY = 5
"""Pairs that it takes for a word on all of them."""
REGION_GAP = 100_000
"""Significant variants less than this many base pairs apart, or five times the cohort's usual distance of neighbours
where that is more, count as one region."""


@dataclass(frozen=True)
class Counts:
    """Findings of one method at the 5 % false discovery rate and after Bonferroni."""

    tested: int = 0
    fdr: int = 0
    regions: int = 0
    bonferroni: int = 0
    lambda_gc: float = math.nan


@dataclass(frozen=True)
class PairCounts:
    """Interactions of one trait at the 5 % false discovery rate, and what speaks against them.

    Attributes
    ----------
    tested, listed : int
        Pairs tested; rows of the table.
    fdr, bonferroni : int
        By ``elm_q_value`` and after Bonferroni.
    weighted : int
        At 5 % by ``elm_weighted_q_value``, the rate weighted with the heredity prior; -1 where there is none.
    unflagged : int
        Of ``fdr``, those without a flag.
    flags, verdicts : dict of int
        Of ``fdr``, those with each word.
    lost_robust, lost_conditional : int
        Of ``fdr``, those with p above 5 % by the robust error, and given both LD neighbourhoods.
    untestable_power : float
        Median power of the held-out samples for the untestable ones.
    """

    tested: int = 0
    listed: int = 0
    fdr: int = 0
    bonferroni: int = 0
    weighted: int = -1
    unflagged: int = 0
    flags: dict[str, int] = field(default_factory=dict)
    verdicts: dict[str, int] = field(default_factory=dict)
    lost_robust: int = 0
    lost_conditional: int = 0
    untestable_power: float = math.nan

    @property
    def replicated(self) -> int:
        """Found, and found again in the held-out samples."""
        return self.verdicts.get("replicated", 0)

    @property
    def not_replicated(self) -> int:
        """Found, and refused by held-out samples that could have shown it."""
        return self.verdicts.get("not_replicated", 0)

    @property
    def untestable(self) -> int:
        """Found, and beyond the held-out samples."""
        return self.fdr - self.replicated - self.not_replicated

    @property
    def mostly_scale(self) -> bool:
        """Whether many, and more than half, of those found are gone once the trait's scale may change."""
        scale = self.flags.get("scale", 0)
        return scale >= MANY and 2 * scale > self.fdr


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


def count_context(frame: pd.DataFrame) -> Counts:
    """Loci of one trait whose effect depends on the rest of the genome, by ``context_p_value``."""
    if "context_p_value" not in frame.columns:
        return Counts()
    p = frame["context_p_value"].to_numpy(float)
    n = int(np.isfinite(p).sum())
    if n == 0:
        return Counts()
    found = adjust(p) <= LEVEL
    return Counts(n, int(found.sum()), _regions(frame, found), int(np.count_nonzero(p <= LEVEL / n)))


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


def count_pairs(frame: pd.DataFrame, tested: int) -> PairCounts:
    """Findings among the listed pairs of one trait.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of ``pairs`` (or of ``ablation``, of one predictor).
    tested : int
        Pairs tested.
    """
    if len(frame) == 0:
        return PairCounts(tested)
    found = frame["elm_q_value"].to_numpy(float) <= LEVEL
    rows = frame[found]
    flags = [_words(f) for f in rows["flags"]] if "flags" in frame else [[] for _ in range(len(rows))]
    weighted = _numbers(frame, "elm_weighted_q_value")
    power = _numbers(rows, "heldout_power")
    verdict = (
        rows["verdict"].fillna("").astype(str) if "verdict" in frame else pd.Series("", index=rows.index)
    )
    powers = power[(verdict == "untestable").to_numpy() & np.isfinite(power)]
    return PairCounts(
        tested=tested,
        listed=len(frame),
        fdr=int(found.sum()),
        bonferroni=int(np.count_nonzero(frame["elm_p_value"].to_numpy(float) <= LEVEL / max(tested, 1))),
        weighted=int(np.count_nonzero(weighted <= LEVEL)) if np.isfinite(weighted).any() else -1,
        unflagged=sum(not words for words in flags),
        flags={word: sum(word in words for words in flags) for word in dict.fromkeys(sum(flags, []))},
        verdicts={str(word): int(n) for word, n in verdict[verdict != ""].value_counts().items()},
        lost_robust=int(np.count_nonzero(_numbers(rows, "elm_robust_p_value") > LEVEL)),
        lost_conditional=int(np.count_nonzero(_numbers(rows, "conditional_p_value") > LEVEL)),
        untestable_power=float(np.median(powers)) if powers.size else math.nan,
    )


def _numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    return frame[column].to_numpy(float) if column in frame else np.full(len(frame), np.nan)


def _words(flags: Any) -> list[str]:
    return [] if pd.isna(flags) else [word for word in str(flags).split(";") if word]
