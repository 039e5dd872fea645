"""The variance table: held-out prediction, captured variance, weights, calibration and checks (METHOD 7)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gp_elm.elm.calibration import calibrate
from gp_elm.elm.pair_table import PairAnalysis
from gp_elm.elm.study import MOST_WEIGHT, Floats
from gp_elm.elm.variance import (
    Estimate,
    GroupBootstrap,
    captured_variance,
    prediction_r2,
    sum_of_squares_variance,
)

YARDSTICKS = ("ridge", "lasso")


def variance_frame(pairs: PairAnalysis) -> pd.DataFrame:
    """One row a trait and component; see ``docs/reference/tables.md``."""
    networks = pairs.networks
    rows: list[dict[str, object]] = []
    discovery_groups = networks.split.groups[networks.discovery]
    heldout_groups = networks.split.groups[networks.heldout]
    out_of_fold = GroupBootstrap(discovery_groups, seed=networks.seed)
    held = GroupBootstrap(heldout_groups, seed=networks.seed)
    residual = networks.fitted.residual
    predictions = {name: networks.heldout_prediction(name) for name in ("network", *YARDSTICKS)}
    unit = "whole groups" if np.unique(discovery_groups).size < discovery_groups.size else "samples"
    check = pairs.analysis.marginal.population_check
    singles = np.unique(networks.blocks).size == networks.blocks.size

    for t, trait in enumerate(networks.traits):

        def add(component: str, e: Estimate, trait: str = trait) -> None:
            rows.append({"trait": trait, "component": component, **_row(e)})

        y = residual[:, t]
        add("phenotypic_variance", _plain(float(np.nanvar(y)), "trait less covariates, discovery samples"))
        if networks.heldout.size:
            for component, e in _prediction_rows(
                networks.heldout_residual[:, t], predictions, t, held, unit
            ).items():
                add(component, e)
        method = f"2 Cov(y, f) - Var(f) out of fold, bootstrap over {unit}"
        f = networks.fitted.out_of_fold["network"][:, t]
        add("captured_genetic_variance", out_of_fold.estimate(captured_variance(y, f, out_of_fold), method))
        rest, interaction = pairs.non_additive.discovery[:, t], pairs.model.interaction[:, t]
        captured = captured_variance(rest, interaction, out_of_fold)
        add("captured_non_additive_variance", out_of_fold.estimate(captured, method))
        if singles:
            for component, e in _sums_of_squares(pairs, t).items():
                add(component, e)
        for component, value in _weights(pairs, t).items():
            add(
                component,
                _plain(value, f"mean over folds, each fitted on the others, from 0 to {MOST_WEIGHT:g}"),
            )
        if networks.heldout.size:
            part = (
                pairs.heldout.interaction[:, t]
                if pairs.heldout is not None
                else np.zeros(networks.heldout.size)
            )
            whole = predictions["network"][:, t]
            found = calibrate(networks.heldout_residual[:, t], whole - part, part, heldout_groups)
            for component, e in found.items():
                add(component, e)
        add(
            "population_check",
            _plain(float(check[t]), "mean z2 of cohort less population effects of the network"),
        )
    return pd.DataFrame(rows)


def _prediction_rows(
    y: Floats, predictions: dict[str, Floats], t: int, bootstrap: GroupBootstrap, unit: str
) -> dict[str, Estimate]:
    method = f"1 - MSE/Var in held-out samples, bootstrap over {unit}"
    r2 = {name: prediction_r2(y, f[:, t], bootstrap) for name, f in predictions.items()}
    rows = {f"heldout_r2_{name}": bootstrap.estimate(values, method) for name, values in r2.items()}
    rows["heldout_r2_difference"] = bootstrap.estimate(
        r2["network"] - r2["ridge"], f"network less ridge; {method}"
    )
    rows["heldout_r2_difference_lasso"] = bootstrap.estimate(
        r2["network"] - r2["lasso"], f"network less lasso; {method}"
    )
    return rows


def _weights(pairs: PairAnalysis, t: int) -> dict[str, float]:
    analysis = pairs.analysis
    out = {"network_weight_additive": float(analysis.marginal.weights[:, t].mean())}
    if analysis.dominance is not None:
        out["network_weight_dominance"] = float(analysis.dominance.weights[:, t].mean())
    out["network_weight_pairs"] = float(pairs.model.weights[:, t].mean())
    return out


def _sums_of_squares(pairs: PairAnalysis, t: int) -> dict[str, Estimate]:
    """Sums of debiased squared effects, where loci are in equilibrium and effects fewer than samples."""
    study, analysis = pairs.study, pairs.analysis
    n = int(np.isfinite(study.traits[:, t]).sum())
    out: dict[str, Estimate] = {}
    _, _, sd = study.store.moments(study.rows)
    variance = sd**2
    if study.center.size < n:
        effects = analysis.marginal
        out["additive_variance"] = sum_of_squares_variance(
            effects.beta[:, t], effects.standard_error[:, t], variance
        )
    if analysis.dominance is not None and study.center.size < n:
        spread = _dominance_spread(pairs)
        effects = analysis.dominance
        out["dominance_variance"] = sum_of_squares_variance(
            effects.beta[:, t], effects.standard_error[:, t], spread
        )
    sweeps = pairs.sweeps
    if sweeps is not None and pairs.n_pairs < n and sweeps["elm"][t].top.i.size == sweeps["elm"][t].n_tested:
        top = sweeps["elm"][t].top
        out["additive_by_additive_variance"] = sum_of_squares_variance(
            top.beta, top.standard_error, variance[top.i] * variance[top.j]
        )
    return out


def _dominance_spread(pairs: PairAnalysis) -> Floats:
    """Variance of [g = 1] beside g for each variant, over the discovery samples, (m,)."""
    read, m = pairs.networks.read, pairs.study.center.size
    out = np.empty(m)
    for start in range(0, m, 512):
        raw = read(start, min(start + 512, m))
        for k in range(raw.shape[1]):
            out[start + k] = _spread_beside(raw[:, k])
    return out


def _spread_beside(raw: NDArray[np.int8]) -> float:
    g = raw[raw >= 0].astype(float)
    het = (g == 1).astype(float)
    if g.size == 0 or g.std() == 0:
        return 0.0
    x, d = g - g.mean(), het - het.mean()
    return float(np.mean((d - x * (x @ d) / (x @ x)) ** 2))


def _plain(value: float, method: str) -> Estimate:
    return Estimate(value, np.nan, np.nan, np.nan, method)


def _row(e: Estimate) -> dict[str, object]:
    return {
        "estimate": e.estimate,
        "standard_error": e.standard_error,
        "ci_lower": e.ci_lower,
        "ci_upper": e.ci_upper,
        "method": e.method,
    }
