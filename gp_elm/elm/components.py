"""The variance table: held-out prediction, captured variance, weights, calibration and checks (METHOD 7)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gp_elm.elm.calibration import calibrate
from gp_elm.elm.pair_table import PairAnalysis
from gp_elm.elm.scale import ScaleCheck
from gp_elm.elm.study import MOST_WEIGHT, Floats
from gp_elm.elm.variance import (
    Estimate,
    GroupBootstrap,
    captured_variance,
    prediction_r2,
    sum_of_squares_variance,
)


def variance_frame(
    pairs: PairAnalysis, scale: ScaleCheck, genetic: pd.DataFrame, ratios: dict[str, Floats]
) -> pd.DataFrame:
    """The rows of the variance table.

    Parameters
    ----------
    pairs : PairAnalysis
        Networks, effects and pairs.
    scale : ScaleCheck
        What a monotone change of the traits' scale gives.
    genetic : pandas.DataFrame
        Rows of the genetic variance components, which the networks have no part in.
    ratios : dict of str to (T,) float
        From :func:`gp_elm.elm.ablation.variance_ratios`.

    Returns
    -------
    pandas.DataFrame
        One row a trait and component; see ``docs/reference/tables.md``.
    """
    networks = pairs.networks
    rows: list[dict[str, object]] = []
    discovery_groups = networks.split.groups[networks.discovery]
    out_of_fold = GroupBootstrap(discovery_groups, seed=networks.seed)
    held = _Heldout(pairs) if networks.heldout.size else None
    residual = networks.fitted.residual
    unit = "whole groups" if np.unique(discovery_groups).size < discovery_groups.size else "samples"
    marginal, structure = pairs.analysis.marginal, pairs.analysis.structure
    singles = np.unique(networks.blocks).size == networks.blocks.size
    by_trait = dict(list(genetic.groupby("trait", sort=False)))

    for t, trait in enumerate(networks.traits):
        found: dict[str, Estimate] = {}
        y = residual[:, t]
        found["phenotypic_variance"] = _plain(float(np.nanvar(y)), "trait less covariates, discovery samples")
        if held is not None:
            found |= held.rows(t, unit)
        method = f"2 Cov(y, f) - Var(f) out of fold, bootstrap over {unit}"
        f = networks.fitted.out_of_fold["network"][:, t]
        found["captured_genetic_variance"] = out_of_fold.estimate(
            captured_variance(y, f, out_of_fold), method
        )
        rest, interaction = pairs.non_additive.discovery[:, t], pairs.model.interaction[:, t]
        captured = captured_variance(rest, interaction, out_of_fold)
        found["captured_non_additive_variance"] = out_of_fold.estimate(captured, method)
        rows += [{"trait": trait, "component": c, **_row(e)} for c, e in found.items()]
        if trait in by_trait:
            rows += [{str(c): v for c, v in row.items()} for row in by_trait[trait].to_dict("records")]
        found = _sums_of_squares(pairs, t) if singles else {}
        found |= {
            "specific_share": scale.specific_share[t],
            "scale_link_r2": scale.link_gain[t],
            "scale_tukey": scale.tukey[t],
        }
        method = f"mean over folds, each fitted on the others, from 0 to {MOST_WEIGHT:g}"
        found |= {component: _plain(value, method) for component, value in _weights(pairs, t).items()}
        for predictor, ratio in ratios.items():
            method = f"network over {predictor.replace('_', ' ')}, listed pairs"
            found[f"ablation_variance_ratio_{predictor}"] = _plain(float(ratio[t]), method)
        for name, weight in networks.stack[t].items():
            found[f"stack_weight_{name}"] = _plain(weight, "non-negative least squares out of fold")
        if held is not None:
            found |= held.calibration(t)
        check = float(marginal.population_check[t])
        found["population_check"] = _plain(check, "mean z2 of cohort less population effects of the network")
        if structure is not None and marginal.structured[t]:
            method = "REML of the trait; effects are generalised least squares with it"
            found["structure_h"] = _plain(float(structure.h[t]), method)
        rows += [{"trait": trait, "component": c, **_row(e)} for c, e in found.items()]
    return pd.DataFrame(rows)


class _Heldout:
    """What the held-out samples say of every predictor."""

    def __init__(self, pairs: PairAnalysis) -> None:
        networks = pairs.networks
        self._observed = networks.heldout_residual
        self._groups = networks.split.groups[networks.heldout]
        self._bootstrap = GroupBootstrap(self._groups, seed=networks.seed)
        self._predictions = networks.heldout_predictions
        self._folds = [net.predict(networks.store, networks.heldout) for net in networks.fitted.networks]
        part = pairs.heldout
        self._part = np.zeros_like(self._observed) if part is None else part.interaction

    def rows(self, t: int, unit: str) -> dict[str, Estimate]:
        """r2 of every predictor, and the network's less each other's."""
        y, bootstrap = self._observed[:, t], self._bootstrap
        method = f"1 - MSE/Var in held-out samples, bootstrap over {unit}"
        r2 = {name: prediction_r2(y, f[:, t], bootstrap) for name, f in self._predictions.items()}
        found = {f"heldout_r2_{name}": bootstrap.estimate(values, method) for name, values in r2.items()}
        for name in r2:
            if name != "network":
                label = "heldout_r2_difference" + ("" if name == "ridge" else f"_{name}")
                text = f"network less {name.replace('_', ' ')}; {method}"
                found[label] = bootstrap.estimate(r2["network"] - r2[name], text)
        for k, f in enumerate(self._folds):
            values = prediction_r2(y, f[:, t], bootstrap)
            found[f"heldout_r2_network_fold_{k}"] = bootstrap.estimate(values, method)
        return found

    def calibration(self, t: int) -> dict[str, Estimate]:
        """Slopes of the trait on the two parts of the network's prediction."""
        part, whole = self._part[:, t], self._predictions["network"][:, t]
        return calibrate(self._observed[:, t], whole - part, part, self._groups)


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
        out["additive_variance_debiased"] = sum_of_squares_variance(
            effects.beta[:, t], effects.standard_error[:, t], variance
        )
    if analysis.dominance is not None and study.center.size < n:
        spread = _dominance_spread(pairs)
        effects = analysis.dominance
        out["dominance_variance_debiased"] = sum_of_squares_variance(
            effects.beta[:, t], effects.standard_error[:, t], spread
        )
    sweeps = pairs.sweeps if pairs.n_pairs < n else None
    if sweeps is not None and sweeps["elm"][t].top.i.size == sweeps["elm"][t].n_tested:
        top = sweeps["elm"][t].top
        out["additive_by_additive_variance_debiased"] = sum_of_squares_variance(
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
    het = 1.0 - np.abs(1.0 - g)
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
