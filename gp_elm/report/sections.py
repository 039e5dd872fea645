"""What the page says of one trait: its verdict, pictures, strongest pairs and components."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from gp_elm.report import plots, verdict
from gp_elm.report.estimates import Estimate
from gp_elm.report.figures import inline_svg
from gp_elm.report.model_plots import VARIANCES
from gp_elm.report.pair_rows import flags_explained, pair_rows
from gp_elm.report.summary import TraitSummary

TOP_PAIRS = 20


def picture(
    draw: Any, name: str, size: tuple[float, float], dpi: int, title: str, caption: str
) -> dict[str, Any]:
    """A figure for the template: title, caption and inline SVG.

    Parameters
    ----------
    draw : callable
        Takes ``ax=``.
    name : str
        Unique on the page.
    size : (float, float)
        Inches.
    dpi : int
    title, caption : str
    """

    def on(ax: Axes) -> None:
        draw(ax=ax)

    svg = inline_svg(on, name=name, alt=f"{title}. {caption}", width=size[0], height=size[1], dpi=dpi)
    return {"title": title, "caption": caption, "svg": svg, "wide": size[0] > 7}


def trait_section(
    s: TraitSummary, tables: dict[str, pd.DataFrame], *, dpi: int, draw: bool, number: int
) -> dict[str, Any]:
    """What the template needs for one trait.

    Parameters
    ----------
    s : TraitSummary
    tables : dict of pandas.DataFrame
        All traits; the rows of this one are picked.
    dpi : int
        Of the rasterised points.
    draw : bool
        Whether to draw the pictures.
    number : int
        Place of the trait, for the ids on the page.
    """
    rows = {name: t[t["trait"].astype(str) == s.trait] for name, t in tables.items() if "trait" in t.columns}
    pairs = rows["pairs"]
    top = pairs.sort_values("elm_p_value", kind="stable").head(TOP_PAIRS)
    return {
        "trait": s.trait,
        "id": f"trait-{number}",
        "verdict": verdict.of_trait(s),
        "figures": _trait_figures(s, rows, dpi, f"trait-{number}") if draw else [],
        "pairs": pair_rows(top),
        "flags": flags_explained(top),
        "n_pairs": len(pairs),
        "n_pairs_ld": s.ld_pairs_listed,
        "components": [
            (_component_name(name), _significant_digits(e), e.method)
            for name, e in s.components.items()
            if e.known
        ],
    }


def _component_name(name: str) -> str:
    return name.replace("heldout_r2", "held-out r²").replace("_", " ")


def _significant_digits(e: Estimate) -> str:
    text = f"{e.value:.3g}"
    return (f"{text} ({e.lower:.3g} to {e.upper:.3g})" if e.has_interval else text).replace("-", "−")


def _trait_figures(
    s: TraitSummary, rows: dict[str, pd.DataFrame], dpi: int, stem: str
) -> list[dict[str, Any]]:
    variants, pairs, variance = rows["variants"], rows["pairs"], rows["variance"]
    figures = []

    def add(draw: Any, name: str, size: tuple[float, float], title: str, caption: str) -> None:
        figures.append(picture(draw, f"{stem}-{name}", size, dpi, title, caption))

    if s.gwas.tested or s.elm.tested:
        caption = (
            f"{s.trait}: GWAS above, ELM below; {s.gwas.fdr:,} and {s.elm.fdr:,} variants at a 5 % false discovery "
            "rate (dashed); dotted: Bonferroni."
        )
        add(partial(plots.manhattan, variants), "manhattan", (9.5, 4.0), "Manhattan, mirrored", caption)
        caption = "Marginal effect of each variant per copy of its effect allele; dashed: equal effects."
        add(partial(plots.effects, variants), "effects", (4.6, 4.0), "ELM against GWAS effects", caption)
        caption = f"Against chance; λ GC is {s.gwas.lambda_gc:.2f} for the GWAS and {s.elm.lambda_gc:.2f} for the ELM."
        add(partial(plots.qq, variants), "qq", (4.6, 4.0), "QQ", caption)
    if len(pairs):
        caption = f"{len(pairs):,} listed pairs, per copy of each effect allele; dashed: equal effects."
        add(partial(plots.pairs, pairs), "pairs", (4.6, 4.0), "ELM against the interaction test", caption)
    predictions = rows.get("predictions")
    if predictions is not None and len(predictions):
        caption = "Held-out samples: grey, single samples; marks, means of groups of equal size with 95 % intervals."
        add(
            partial(plots.calibration, predictions),
            "calibration",
            (4.6, 4.0),
            "Observed against predicted",
            caption,
        )
    if s.component("calibration_additive").known:
        caption = (
            "Slopes of the held-out trait on the two parts of the network's prediction, with 95 % intervals."
        )
        add(partial(plots.calibration, variance), "slopes", (4.6, 1.7), "Calibration", caption)
    if any(s.component(c).known for c in VARIANCES if c != "phenotypic_variance"):
        caption = (
            "Squares: classical estimates; dots: what the network captures out of sample, a lower bound."
        )
        add(
            partial(plots.variance_components, variance),
            "variance",
            (4.6, 2.6),
            "Variance components",
            caption,
        )
    if "elm_sensitivity_sd" in variants.columns and variants["elm_sensitivity_sd"].notna().any():
        caption = "Read off the network with no correction: a diagnostic, not a test."
        add(partial(plots.sensitivity, variants), "sensitivity", (4.6, 4.0), "Locus sensitivities", caption)
    return figures
