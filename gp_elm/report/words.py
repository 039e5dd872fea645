"""Numbers, counts and names as the page says them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from gp_elm.report.estimates import Estimate

PREDICTORS = {
    "gblup_epistatic": "GBLUP + K∘K",
    "heredity_kernel": "heredity kernel",
    "product_lasso": "product lasso",
    "stacked": "stack",
}
"""Names of predictors that differ from their component's; the rest are their own."""


def predictor(name: str) -> str:
    """Name of a predictor in a sentence."""
    return PREDICTORS.get(name, name.replace("_", " "))


def the(names: Iterable[str]) -> str:
    """Names of predictors in a sentence, with the articles that they need."""
    bare = ("ridge", "gblup_epistatic")
    return joined([predictor(name) if name in bare else f"the {predictor(name)}" for name in names])


def does(names: list[str]) -> str:
    """``does`` after one name, ``do`` after several."""
    return "does" if len(names) == 1 else "do"


def percent(value: float) -> str:
    """A share as a percentage with one decimal."""
    return minus(f"{100 * value:.1f}\u00a0%") if math.isfinite(value) else "not known"


def points(estimate: Estimate, *, short: bool = False) -> str:
    """A difference of shares in percentage points with its interval; ``short`` for a table."""
    text = f"{100 * estimate.value:+.1f}{'' if short else ' points'}"
    if estimate.has_interval:
        text += f" ({'' if short else '95 % interval '}{100 * estimate.lower:+.1f} to {100 * estimate.upper:+.1f})"
    return minus(text)


def number(estimate: Estimate) -> str:
    """An estimate with its interval, two decimals."""
    text = f"{estimate.value:.2f}"
    if estimate.has_interval:
        text += f" ({estimate.lower:.2f} to {estimate.upper:.2f})"
    return minus(text)


def share(estimate: Estimate, total: float) -> str:
    """An estimate as a share of ``total`` with its standard error, two decimals."""
    text = f"{estimate.value / total:.2f}"
    if math.isfinite(estimate.error):
        text += f" ± {estimate.error / total:.2f}"
    return minus(text)


def minus(text: str) -> str:
    """The text with minus signs for hyphens."""
    return text.replace("-", "−")


def count(n: int, noun: str, plural: str = "") -> str:
    """``1 pair``, ``2 pairs``."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def joined(names: list[str], limit: int = 8) -> str:
    """Names in a sentence."""
    if len(names) > limit:
        return ", ".join(names[:limit]) + f" and {len(names) - limit} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def tally(numbers: dict[str, int]) -> str:
    """``3 scale and 1 rare``: counts of words, the most frequent first."""
    ranked = sorted(numbers.items(), key=lambda item: -item[1])
    return joined([f"{n:,} {word.replace('_', ' ')}" for word, n in ranked])
