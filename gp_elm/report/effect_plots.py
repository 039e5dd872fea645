"""Plots of effects: along the genome, against one another, against chance."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from scipy import stats

from gp_elm.association.inflation import lambda_gc
from gp_elm.report.layout import ELM_COLOURS, GWAS_COLOURS, NEUTRAL, genome_axis, spread_labels, thin
from gp_elm.report.select import beside, needs, neg_log_10_p, one_trait, q_values, threshold, to_table


def axes_of(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes given, or new ones of this size in inches."""
    return plt.subplots(figsize=(width, height), layout="constrained")[1] if ax is None else ax


def tidy(ax: Axes) -> None:
    """Only the left and lower spine."""
    ax.spines[["top", "right"]].set_visible(False)


def legend(ax: Axes, **options: Any) -> None:
    """A legend where there is something to name."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize=8, **options)


def identity_line(ax: Axes, *values: np.ndarray) -> None:
    """y = x over the range of the values, with zero lines."""
    both = np.concatenate([v[np.isfinite(v)] for v in values])
    if len(both) == 0:
        return
    low, high = min(both.min(), 0.0), max(both.max(), 0.0)
    ax.plot([low, high], [low, high], color=NEUTRAL, lw=1, ls="--", zorder=0, label="equal")


def manhattan(
    table: Any, scan: Any | None = None, *, trait: str | None = None, ax: Axes | None = None
) -> Axes:
    """Mirrored Manhattan plot: the GWAS above, the ELM below.

    Parameters
    ----------
    table : pandas.DataFrame, result or AnnData
        The variants table, or the result of ``elm_effects``.
    scan : result of ``linear_scan``, optional
        Where ``table`` has no GWAS columns.
    trait : str, optional
        Needed where there are several.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        Dashed lines: the 5 % false discovery rate; dotted: Bonferroni. Points below both are thinned to one per
        pixel.
    """
    frame = one_trait(beside(table, scan), trait)
    needs(frame, "chromosome", "base_pair_location")
    ax = axes_of(ax, 9.5, 4.2)
    axis = genome_axis(frame["chromosome"], frame["base_pair_location"])
    top = 1.0
    for prefix, colours, sign, name in (("gwas_", GWAS_COLOURS, 1, "GWAS"), ("elm_", ELM_COLOURS, -1, "ELM")):
        height = neg_log_10_p(frame, prefix)
        n = int(np.isfinite(height).sum())
        if n == 0:
            continue
        bonferroni = -np.log10(0.05 / n)
        fdr = threshold(height, q_values(frame, prefix))
        kept = thin(axis.x, height, keep_above=min(bonferroni, fdr or bonferroni))
        shade = np.array(colours)[axis.place[kept] % 2]
        ax.scatter(axis.x[kept], sign * height[kept], s=5, c=shade, linewidths=0, rasterized=True)
        for line, style in ((fdr, (0, (5, 3))), (bonferroni, (0, (1, 2)))):
            if line is not None:
                ax.axhline(sign * line, color=NEUTRAL, lw=0.9, ls=style, zorder=0)
        ax.annotate(
            name,
            (1, 0.98 if sign > 0 else 0.02),
            xycoords="axes fraction",
            ha="right",
            weight="bold",
            va="top" if sign > 0 else "bottom",
            color=colours[0],
        )
        top = max(top, float(np.nanmax(height[kept])), bonferroni)
    ax.axhline(0, color=NEUTRAL, lw=0.8)
    ax.set_ylim(-1.08 * top, 1.08 * top)
    ax.set_xlim(-0.005 * axis.bounds[-1], 1.005 * axis.bounds[-1])
    ticks, labels = spread_labels(axis)
    ax.set_xticks(ticks, labels)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{abs(v):g}"))
    ax.set_xlabel("chromosome")
    ax.set_ylabel(r"$-\log_{10}\,p$")
    tidy(ax)
    return ax


def effects(table: Any, scan: Any | None = None, *, trait: str | None = None, ax: Axes | None = None) -> Axes:
    """ELM marginal effect against the GWAS effect of each variant, per copy of the effect allele.

    Parameters and return value as for :func:`manhattan`. Variants at a 5 % false discovery rate in either column are
    drawn with 95 % intervals, at most 60 of them.
    """
    frame = one_trait(beside(table, scan), trait)
    needs(frame, "gwas_beta", "elm_beta")
    ax = axes_of(ax, 4.6, 4.2)
    x, y = frame["gwas_beta"].to_numpy(float), frame["elm_beta"].to_numpy(float)
    found = (q_values(frame, "gwas_") <= 0.05) | (q_values(frame, "elm_") <= 0.05)
    rest = np.flatnonzero(~found)
    kept = rest[thin(x[rest], y[rest], keep_above=np.inf, columns=300, rows=300)]
    ax.scatter(
        x[kept], y[kept], s=6, c=NEUTRAL, alpha=0.6, linewidths=0, rasterized=True, label="other variants"
    )
    rows = np.flatnonzero(found & np.isfinite(x) & np.isfinite(y))
    if len(rows):
        ax.scatter(
            x[rows], y[rows], s=13, c=ELM_COLOURS[0], linewidths=0, rasterized=True, label="5 % FDR in either"
        )
    if "elm_standard_error" in frame.columns and "gwas_standard_error" in frame.columns:
        strongest = rows[np.argsort(-np.abs(y[rows]))][:60]
        ax.errorbar(
            x[strongest],
            y[strongest],
            ls="none",
            elinewidth=0.7,
            alpha=0.5,
            ecolor=ELM_COLOURS[0],
            zorder=1,
            xerr=1.96 * frame["gwas_standard_error"].to_numpy(float)[strongest],
            yerr=1.96 * frame["elm_standard_error"].to_numpy(float)[strongest],
        )
    identity_line(ax, x, y)
    ax.set_xlabel("GWAS effect per allele")
    ax.set_ylabel("ELM effect per allele")
    legend(ax, loc="upper left")
    tidy(ax)
    return ax


def qq(table: Any, scan: Any | None = None, *, trait: str | None = None, ax: Axes | None = None) -> Axes:
    """Observed against expected -log10 p of GWAS and ELM, with the 95 % band of the null and ``lambda_gc``.

    Parameters and return value as for :func:`manhattan`.
    """
    frame = one_trait(beside(table, scan), trait)
    ax = axes_of(ax, 4.6, 4.2)
    widest = 0
    for prefix, colours, name in (("gwas_", GWAS_COLOURS, "GWAS"), ("elm_", ELM_COLOURS, "ELM")):
        height = neg_log_10_p(frame, prefix) if _has_p(frame, prefix) else np.empty(0)
        height = np.sort(height[np.isfinite(height)])[::-1]
        if len(height) == 0:
            continue
        expected = -np.log10((np.arange(len(height)) + 0.5) / len(height))
        kept = thin(expected, height, keep_above=3.0, columns=300, rows=300)
        label = f"{name}, $\\lambda_{{GC}}$ = {lambda_of(height):.2f}"
        ax.scatter(
            expected[kept], height[kept], s=8, c=colours[0], linewidths=0, rasterized=True, label=label
        )
        widest = max(widest, len(height))
    if widest:
        rank = np.unique(np.geomspace(1, widest, 200).astype(int))
        x = -np.log10((rank - 0.5) / widest)
        low, high = (-np.log10(stats.beta.ppf(q, rank, widest - rank + 1)) for q in (0.975, 0.025))
        ax.fill_between(x, low, high, color=NEUTRAL, alpha=0.25, lw=0, label="95 % band without effects")
        ax.plot([0, x[0]], [0, x[0]], color=NEUTRAL, lw=1, ls="--", zorder=0)
        legend(ax, loc="upper left")
    ax.set_xlabel(r"expected $-\log_{10}\,p$")
    ax.set_ylabel(r"observed $-\log_{10}\,p$")
    tidy(ax)
    return ax


def _has_p(frame: pd.DataFrame, prefix: str) -> bool:
    return f"{prefix}neg_log_10_p_value" in frame.columns or f"{prefix}p_value" in frame.columns


def lambda_of(neg_log_p: np.ndarray) -> float:
    """``lambda_gc`` of -log10 p-values, float (m,)."""
    return lambda_gc(10.0**-neg_log_p)


def pairs(table: Any, *, trait: str | None = None, ax: Axes | None = None) -> Axes:
    """ELM epistatic effect of each listed pair against the classical interaction test's beta.

    Parameters
    ----------
    table : pandas.DataFrame, result or AnnData
        The pairs table.
    trait : str, optional
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        Pairs at a 5 % false discovery rate stand out, by their verdict in the held-out samples.
    """
    frame = one_trait(to_table(table, "pairs"), trait)
    needs(frame, "interaction_beta", "elm_beta")
    ax = axes_of(ax, 4.6, 4.2)
    x, y = frame["interaction_beta"].to_numpy(float), frame["elm_beta"].to_numpy(float)
    found = q_values(frame, "elm_") <= 0.05
    verdict = (
        frame["verdict"].astype(str).to_numpy() if "verdict" in frame.columns else np.full(len(frame), "")
    )
    groups = [
        (~found, NEUTRAL, ".", "listed"),
        (found & (verdict == "replicated"), "#009E73", "o", "5 % FDR, replicated"),
        (found & (verdict == "not_replicated"), "#D55E00", "X", "5 % FDR, not replicated"),
        (
            found & ~np.isin(verdict, ["replicated", "not_replicated"]),
            "#0072B2",
            "s",
            "5 % FDR, too few to say",
        ),
    ]
    for rows, colour, marker, label in groups:
        if rows.any():
            size = 14 if marker == "." else 24
            label = f"{label} ({int(rows.sum()):,})"
            ax.scatter(
                x[rows], y[rows], s=size, c=colour, marker=marker, linewidths=0, rasterized=True, label=label
            )
    identity_line(ax, x, y)
    ax.set_xlabel("interaction test, beta per allele x allele")
    ax.set_ylabel("ELM epistatic effect")
    legend(ax, loc="upper left")
    tidy(ax)
    return ax


def sensitivity(table: Any, *, trait: str | None = None, ax: Axes | None = None) -> Axes:
    """Mean and spread of each locus's sensitivity over the samples: the plug-in reading of the network, a diagnostic.

    Parameters
    ----------
    table : pandas.DataFrame, result or AnnData
        The variants table with ``elm_sensitivity_mean`` and ``elm_sensitivity_sd``.
    trait : str, optional
    ax : matplotlib.axes.Axes, optional
    """
    frame = one_trait(to_table(table), trait)
    needs(frame, "elm_sensitivity_mean", "elm_sensitivity_sd")
    ax = axes_of(ax, 4.6, 4.2)
    mean, spread = (frame[f"elm_sensitivity_{name}"].to_numpy(float) for name in ("mean", "sd"))
    kept = thin(np.abs(mean), spread, keep_above=np.inf, columns=300, rows=300)
    ax.scatter(
        np.abs(mean[kept]), spread[kept], s=8, c=ELM_COLOURS[0], alpha=0.7, linewidths=0, rasterized=True
    )
    ax.set_xlabel("size of the mean sensitivity (additive reading)")
    ax.set_ylabel("its spread over samples (context)")
    tidy(ax)
    return ax


def sensitivity_by_genotype(
    sensitivity: np.ndarray, dosage: np.ndarray, *, locus: str = "", partner: str = "", ax: Axes | None = None
) -> Axes:
    """Sensitivity of one locus against the genotype of its partner, a point a sample.

    Parameters
    ----------
    sensitivity : float (n,)
    dosage : (n,)
        Copies of the partner's effect allele, negative or NaN where missing.
    locus, partner : str
        Names for the axis labels.
    ax : matplotlib.axes.Axes, optional
    """
    ax = axes_of(ax, 4.0, 3.6)
    copies = np.asarray(dosage, float)
    values = np.asarray(sensitivity, float)
    levels = np.unique(copies[np.isfinite(copies) & (copies >= 0)])
    # a fixed fan-out instead of random jitter: the same picture every time
    for level in levels:
        rows = np.flatnonzero(copies == level)
        fan = (np.argsort(np.argsort(rows)) * 0.6180339887 % 1 - 0.5) * 0.5
        ax.scatter(level + fan, values[rows], s=4, c=ELM_COLOURS[1], alpha=0.5, linewidths=0, rasterized=True)
        ax.plot([level - 0.3, level + 0.3], [values[rows].mean()] * 2, color=ELM_COLOURS[0], lw=2)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(f"copies of the effect allele at {partner or 'the partner'}")
    ax.set_ylabel(f"sensitivity of {locus or 'the locus'}")
    tidy(ax)
    return ax
