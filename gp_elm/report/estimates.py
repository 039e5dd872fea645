"""Estimates of the variance table, and which names stand for what."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

_R2 = "heldout_r2_"
_DIFFERENCE = "heldout_r2_difference"
_FOLD = "heldout_r2_network_fold_"


@dataclass(frozen=True)
class Estimate:
    """A number with its interval, standard error and method; NaN where there is none."""

    value: float = math.nan
    lower: float = math.nan
    upper: float = math.nan
    error: float = math.nan
    method: str = ""

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


def read_estimates(variance: pd.DataFrame) -> dict[str, Estimate]:
    """Estimates of one trait by component, in the order of the variance table."""
    columns = ["estimate", "ci_lower", "ci_upper", "standard_error"]
    values = variance.reindex(columns=columns).to_numpy(float)
    methods = variance["method"].fillna("").astype(str) if "method" in variance else [""] * len(variance)
    return {
        str(name): Estimate(float(value), float(lower), float(upper), float(error), method)
        for name, (value, lower, upper, error), method in zip(
            variance["component"], values, methods, strict=True
        )
    }


def predictor_names(variance: pd.DataFrame) -> list[str]:
    """Names of the predictors with a held-out r2: the network first, the stack last, between them as they come."""
    names = [c for c in dict.fromkeys(variance["component"].astype(str)) if c.startswith(_R2)]
    names = [n.removeprefix(_R2) for n in names if not n.startswith((_DIFFERENCE, _FOLD))]
    return sorted(names, key=lambda n: (n == "stacked", n != "network", names.index(n)))


def differences(components: dict[str, Estimate]) -> dict[str, Estimate]:
    """Network less each other predictor in held-out r2, by that predictor."""
    found = {}
    for name, estimate in components.items():
        if name.startswith(_DIFFERENCE) and estimate.known:
            found[name.removeprefix(_DIFFERENCE).removeprefix("_") or "ridge"] = estimate
    return found


def fold_r2(components: dict[str, Estimate]) -> list[float]:
    """Held-out r2 of each fold's network alone."""
    return [e.value for name, e in components.items() if name.startswith(_FOLD) and e.known]


def named(components: dict[str, Estimate], prefix: str) -> dict[str, float]:
    """Known values of the components that begin with ``prefix``, by the rest of their names."""
    return {
        n.removeprefix(prefix): e.value for n, e in components.items() if n.startswith(prefix) and e.known
    }
