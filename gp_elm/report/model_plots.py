"""Plots of the predictors: how well they predict, what they explain, how they were trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gp_elm.report.effect_plots import axes_of, identity_line, legend, tidy
from gp_elm.report.estimates import predictor_names
from gp_elm.report.layout import ELM_COLOURS, GWAS_COLOURS, NEUTRAL, PREDICTOR_COLOURS
from gp_elm.report.select import needs, one_trait, to_table
from gp_elm.report.words import predictor

VARIANCES = {
    "phenotypic_variance": "phenotypic",
    "additive_variance": "additive",
    "dominance_variance": "dominance",
    "additive_by_additive_variance": "additive by additive",
    "additive_variance_debiased": "additive, debiased effects",
    "dominance_variance_debiased": "dominance, debiased effects",
    "additive_by_additive_variance_debiased": "pairs, debiased effects",
    "captured_genetic_variance": "captured by the network",
    "captured_non_additive_variance": "captured, not additive",
}
APART = 4
"""Up to this many traits each predictor has a line of its own."""


def _intervals(
    ax: Axes, rows: pd.DataFrame, at: np.ndarray, *, colour: str, marker: str = "o", label: str = ""
) -> None:
    """Estimates with their intervals, horizontally; an interval that is missing is not drawn."""
    estimate = rows["estimate"].to_numpy(float)
    ax.scatter(estimate, at, s=26, c=colour, marker=marker, linewidths=0, zorder=3, label=label or None)
    lower, upper = rows["ci_lower"].to_numpy(float), rows["ci_upper"].to_numpy(float)
    ok = np.isfinite(lower) & np.isfinite(upper)
    ax.hlines(at[ok], lower[ok], upper[ok], color=colour, lw=1.8, alpha=0.65)


def prediction_height(n_traits: int, n_predictors: int) -> float:
    """Height in inches of :func:`prediction`."""
    rows = n_traits if n_traits > APART else n_traits * (n_predictors + 1) / 2
    return 1.4 + 0.32 * rows


def prediction(table: Any, *, ax: Axes | None = None) -> Axes:
    """Held-out r2 of the network and of each yardstick, a row a trait.

    Parameters
    ----------
    table : pandas.DataFrame
        The variance table.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        With up to four traits the predictors stand below one another with their intervals; with more they share a line
        and only the network has its interval.
    """
    frame = to_table(table, "variance")
    needs(frame, "trait", "component", "estimate", "ci_lower", "ci_upper")
    traits = list(dict.fromkeys(frame["trait"].astype(str)))
    names = predictor_names(frame)
    ax = axes_of(ax, 6.4, prediction_height(len(traits), len(names)))
    apart = len(traits) <= APART
    step = 0.8 / max(len(names), 1) if apart else 0.0
    for k, name in enumerate(names):
        rows = frame[frame["component"] == f"heldout_r2_{name}"].drop_duplicates("trait")
        rows = rows.set_index(rows["trait"].astype(str)).reindex(traits)
        at = np.arange(len(traits)) + (k - (len(names) - 1) / 2) * step
        colour = PREDICTOR_COLOURS.get(name, NEUTRAL)
        marker = "oDs^vP*"[k % 7]
        if apart or name == "network":
            _intervals(ax, rows, at, colour=colour, marker=marker, label=predictor(name))
        else:
            values = rows["estimate"].to_numpy(float)
            ax.scatter(
                values, at, s=22, c=colour, marker=marker, linewidths=0, zorder=2, label=predictor(name)
            )
    ax.set_yticks(np.arange(len(traits)), traits)
    ax.set_ylim(len(traits) - 0.5, -0.5)
    ax.axvline(0, color=NEUTRAL, lw=0.8, zorder=0)
    ax.grid(axis="y", color=NEUTRAL, lw=0.4, alpha=0.4)
    ax.set_axisbelow(True)
    ax.set_xlabel(r"held-out $r^2$ (95 % interval)")
    legend(ax, ncols=max(1, min(4, len(names))), loc="lower center", bbox_to_anchor=(0.5, 1))
    tidy(ax)
    return ax


def variance_components(table: Any, *, trait: str | None = None, ax: Axes | None = None) -> Axes:
    """Variance components of one trait with intervals, as shares of the phenotypic variance where it is known.

    Parameters
    ----------
    table : pandas.DataFrame
        The variance table.
    trait : str, optional
    ax : matplotlib.axes.Axes, optional
    """
    frame = one_trait(to_table(table, "variance"), trait)
    needs(frame, "component", "estimate", "ci_lower", "ci_upper")
    ax = axes_of(ax, 5.4, 2.8)
    rows = frame[frame["component"].isin(list(VARIANCES))].drop_duplicates("component").set_index("component")
    total = float(rows["estimate"].get("phenotypic_variance", np.nan))
    scale = total if np.isfinite(total) and total > 0 else 1.0
    shown = [c for c in VARIANCES if c in rows.index and c != "phenotypic_variance"]
    rows = rows.loc[shown, ["estimate", "ci_lower", "ci_upper"]].astype(float) / scale
    rows = rows[rows["estimate"].notna()]
    captured = np.array([c.startswith("captured") for c in rows.index], bool)
    at = np.arange(len(rows), dtype=float)
    _intervals(ax, rows[~captured], at[~captured], colour=GWAS_COLOURS[0], marker="s")
    _intervals(ax, rows[captured], at[captured], colour=ELM_COLOURS[0])
    ax.set_yticks(at, [VARIANCES[c] for c in rows.index])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.axvline(0, color=NEUTRAL, lw=0.8, zorder=0)
    ax.set_xlabel("share of the phenotypic variance" if scale is total else "variance")
    tidy(ax)
    return ax


def calibration(table: Any, *, trait: str | None = None, bins: int = 12, ax: Axes | None = None) -> Axes:
    """Observed against predicted trait values in the held-out samples, or the two calibration slopes.

    Parameters
    ----------
    table : pandas.DataFrame
        Either held-out predictions (columns ``trait observed network`` and further predictors) or the variance table,
        whose rows ``calibration_additive`` and ``calibration_interaction`` are then drawn (1 is perfect, 0 means
        unsupported).
    trait : str, optional
    bins : int
        Groups of equal size for the means.
    ax : matplotlib.axes.Axes, optional
    """
    frame = one_trait(to_table(table, "variance"), trait)
    if "component" in frame.columns:
        return _slopes(frame, axes_of(ax, 5.4, 1.8))
    needs(frame, "observed", "network")
    ax = axes_of(ax, 4.6, 4.2)
    y = frame["observed"].to_numpy(float)
    names = [n for n in ("network", "lasso", "ridge") if n in frame.columns]
    for k, name in enumerate(names):
        x = frame[name].to_numpy(float)
        ok = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        if name == "network":
            ax.scatter(x[ok], y[ok], s=4, c=NEUTRAL, alpha=0.35, linewidths=0, rasterized=True)
        groups = np.array_split(ok[np.argsort(x[ok], kind="stable")], max(1, min(bins, len(ok) // 5)))
        groups = [g for g in groups if len(g) > 1]
        if not groups:
            continue
        ax.errorbar(
            [x[g].mean() for g in groups],
            [y[g].mean() for g in groups],
            yerr=[1.96 * y[g].std(ddof=1) / np.sqrt(len(g)) for g in groups],
            fmt="os^"[k],
            ms=5,
            lw=1.2,
            color=PREDICTOR_COLOURS[name],
            label=f"{name}, means of groups",
        )
    identity_line(ax, y[np.isfinite(y)])
    ax.set_xlabel("predicted, held-out samples")
    ax.set_ylabel("observed, less covariates")
    legend(ax, loc="upper left")
    tidy(ax)
    return ax


def _slopes(frame: pd.DataFrame, ax: Axes) -> Axes:
    names = {"calibration_additive": "additive part", "calibration_interaction": "interactions"}
    rows = frame[frame["component"].isin(list(names))].drop_duplicates("component")
    at = np.arange(len(rows), dtype=float)
    _intervals(ax, rows, at, colour=ELM_COLOURS[0])
    ax.set_yticks(at, [names[c] for c in rows["component"]])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.axvline(0, color=NEUTRAL, lw=0.8, zorder=0)
    ax.axvline(1, color=NEUTRAL, lw=1, ls="--", zorder=0)
    ax.set_xlabel("held-out slope: 0 unsupported, 1 right")
    tidy(ax)
    return ax


def training(history: Any, *, ax: Axes | None = None) -> Axes:
    """Loss by epoch of each fold network, training and validation.

    Parameters
    ----------
    history : pandas.DataFrame or list of dict
        Columns ``fold epoch training_loss validation_loss`` and, where there are several networks a fold, ``member``.
    ax : matplotlib.axes.Axes, optional
    """
    frame = pd.DataFrame(history)
    needs(frame, "epoch")
    ax = axes_of(ax, 5.4, 3.2)
    keys = [k for k in ("fold", "network", "member") if k in frame.columns]
    groups = [g for _, g in frame.groupby(keys, sort=True)] if keys else [frame]
    for k, group in enumerate(groups):
        for column, colour, label in (
            ("training_loss", GWAS_COLOURS[0], "training"),
            ("validation_loss", ELM_COLOURS[0], "inner validation"),
        ):
            if column in group.columns:
                name = label if k == 0 else None
                ax.plot(
                    group["epoch"], group[column].to_numpy(float), color=colour, lw=1, alpha=0.7, label=name
                )
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    legend(ax)
    tidy(ax)
    return ax
