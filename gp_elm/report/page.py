"""The page ``report.html``: the verdict in words, then the pictures and tables that it rests on."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.axes import Axes

from gp_elm.errors import InputError
from gp_elm.io.tables import read_table
from gp_elm.report import plots, verdict
from gp_elm.report.figures import inline_svg
from gp_elm.report.methods import methods_paragraph
from gp_elm.report.model_plots import VARIANCES, yardsticks
from gp_elm.report.summary import Estimate, TraitSummary, summarise
from gp_elm.runtime.atomic import atomic_path

OPEN_TRAITS = 6
"""With more traits than this their sections are folded."""
DRAWN_TRAITS = 24
"""With more traits than this only those with the most findings get pictures, to keep the page small."""
TOP_PAIRS = 20


def write_report(tables: dict[str, pd.DataFrame], run: dict[str, Any], out: str | os.PathLike[str]) -> Path:
    """Write the self-contained page.

    Parameters
    ----------
    tables : dict of pandas.DataFrame
        ``variants``, ``pairs``, ``variance``; optionally ``pairs_ld``, ``predictions`` (held-out samples: ``trait
        sample_id observed network ridge lasso``) and ``history`` (``fold member epoch training_loss
        validation_loss``).
    run : dict
        What ``run.json`` holds. Read where present: ``command version versions seed seconds timings warnings notes
        network n_variants n_discovery n_heldout n_folds groups covariates ploidy pairs_tested inputs``.
    out : path-like
        The file to write.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        Where one of the three tables is missing.
    OutputError
        Where the file cannot be written.
    """
    for name in ("variants", "pairs", "variance"):
        if name not in tables:
            raise InputError(f"the report needs the table {name!r}; give the folder of a finished run")
    environment = Environment(
        loader=PackageLoader("gp_elm.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("report.html").render(_content(tables, run))
    path = Path(out)
    with atomic_path(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def report_folder(folder: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Path:
    """Write the page of a finished run from the files of its folder.

    Parameters
    ----------
    folder : path-like
        Holds ``variants.tsv.gz``, ``pairs.tsv.gz``, ``variance.tsv`` and ``run.json``.
    out : path-like, optional
        ``report.html`` in that folder where left out.
    """
    base = Path(folder)
    tables = {}
    for name in ("variants", "pairs", "pairs_ld", "variance", "predictions", "history"):
        for suffix in (".parquet", ".tsv.gz", ".tsv"):
            if (base / f"{name}{suffix}").is_file():
                tables[name] = read_table(base / f"{name}{suffix}")
                break
    run_file = base / "run.json"
    run = json.loads(run_file.read_text(encoding="utf-8")) if run_file.is_file() else {}
    return write_report(tables, run, out or base / "report.html")


def _content(tables: dict[str, pd.DataFrame], run: dict[str, Any]) -> dict[str, Any]:
    summaries = summarise(tables, run)
    ranked = sorted(summaries, key=lambda s: -(s.elm.fdr + s.gwas.fdr + s.pairs.fdr))
    drawn = {s.trait for s in ranked[:DRAWN_TRAITS]}
    dpi = 130 if len(drawn) <= OPEN_TRAITS else 90
    sections = [
        _section(s, tables, dpi=dpi, draw=s.trait in drawn, number=k) for k, s in enumerate(summaries)
    ]
    height = 1.2 + 0.17 * len(summaries) * (len(yardsticks(tables["variance"])) + 1)
    figures = [
        _figure(
            partial(plots.prediction, tables["variance"]),
            "prediction",
            (6.4, height),
            dpi,
            "Prediction of samples that no model saw",
            "Held-out r2 of the network and of each yardstick, with 95 % intervals, for each trait.",
        )
    ]
    history = tables.get("history")
    if history is not None and len(history):
        caption = "Training and inner validation loss of each fold network by epoch."
        figures.append(
            _figure(
                partial(plots.training, history),
                "training",
                (5.4, 3.2),
                dpi,
                "Training of the networks",
                caption,
            )
        )
    return {
        "title": run.get("title") or "gp_elm report",
        "facts": _facts(run, tables, summaries),
        "verdict": verdict.of_run(summaries),
        "overview": [_overview(s) for s in summaries],
        "yardsticks": [n.replace("_", " ") for n in yardsticks(tables["variance"])],
        "figures": figures,
        "sections": sections,
        "folded": len(summaries) > OPEN_TRAITS,
        "not_drawn": [s.trait for s in summaries if s.trait not in drawn],
        "warnings": [str(w) for w in run.get("warnings", [])],
        "notes": [str(n) for n in run.get("notes", [])],
        "methods": methods_paragraph(run, summaries),
        "details": _details(run),
    }


def _facts(
    run: dict[str, Any], tables: dict[str, pd.DataFrame], summaries: list[TraitSummary]
) -> list[tuple[str, str]]:
    n_variants = run.get("n_variants") or (len(tables["variants"]) // max(len(summaries), 1))
    facts: list[tuple[str, Any]] = [("trait" if len(summaries) == 1 else "traits", len(summaries))]
    facts.append(("variants", n_variants))
    named = (("n_discovery", "discovery samples"), ("n_heldout", "held-out samples"), ("n_folds", "folds"))
    facts += [(label, run[key]) for key, label in named if run.get(key)]
    return [(label, f"{value:,}" if isinstance(value, int) else str(value)) for label, value in facts]


def _overview(summary: TraitSummary) -> dict[str, Any]:
    slope = summary.components.get("calibration_interaction", Estimate())
    difference = summary.differences.get("ridge", Estimate())
    check = summary.components.get("population_check", Estimate())
    return {
        "trait": summary.trait,
        "r2": [verdict.percent(e.value) for e in summary.r2.values()],
        "difference": verdict.points(difference, short=True) if difference.known else "",
        "mood": "yes" if difference.positive else "no" if difference.has_interval else "info",
        "slope": verdict.number(slope) if slope.known else "",
        "weights": " / ".join(_weight(summary, kind) for kind in ("additive", "dominance", "pairs")),
        "loci": f"{summary.elm.regions:,} / {summary.gwas.regions:,}",
        "pairs": f"{summary.pairs.fdr:,} / {summary.pairs.bonferroni:,}",
        "replicated": f"{summary.verdicts.get('replicated', 0):,}",
        "lambda": f"{summary.gwas.lambda_gc:.2f} / {summary.elm.lambda_gc:.2f}"
        if summary.gwas.tested
        else "",
        "population": f"{check.value:.2f}" if check.known else "",
    }


def _weight(summary: TraitSummary, kind: str) -> str:
    return f"{summary.weights[kind]:.2f}" if kind in summary.weights else "–"


def _figure(
    draw: Any, name: str, size: tuple[float, float], dpi: int, title: str, caption: str
) -> dict[str, Any]:
    def on(ax: Axes) -> None:
        draw(ax=ax)

    svg = inline_svg(on, name=name, alt=f"{title}. {caption}", width=size[0], height=size[1], dpi=dpi)
    return {"title": title, "caption": caption, "svg": svg, "wide": size[0] > 7}


def _section(
    s: TraitSummary, tables: dict[str, pd.DataFrame], *, dpi: int, draw: bool, number: int
) -> dict[str, Any]:
    rows = {name: t[t["trait"].astype(str) == s.trait] for name, t in tables.items() if "trait" in t.columns}
    pairs = rows["pairs"]
    return {
        "trait": s.trait,
        "id": f"trait-{number}",
        "verdict": verdict.of_trait(s),
        "figures": _trait_figures(s, rows, dpi, f"trait-{number}") if draw else [],
        "pairs": [
            _pair_row(p)
            for p in pairs.sort_values("elm_p_value", kind="stable").head(TOP_PAIRS).to_dict("records")
        ],
        "n_pairs": len(pairs),
        "n_pairs_ld": s.ld_pairs_listed,
        "components": [
            (_component_name(name), _significant_digits(e), rows_method(rows["variance"], name))
            for name, e in s.components.items()
            if e.known
        ],
    }


def rows_method(variance: pd.DataFrame, component: str) -> str:
    """How a component was estimated, from the ``method`` column."""
    found = (
        variance.loc[variance["component"] == component, "method"]
        if "method" in variance
        else pd.Series(dtype=str)
    )
    return str(found.iloc[0]) if len(found) and pd.notna(found.iloc[0]) else ""


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
        figures.append(_figure(draw, f"{stem}-{name}", size, dpi, title, caption))

    if s.gwas.tested or s.elm.tested:
        caption = (
            f"{s.trait}: GWAS above, ELM below; {s.gwas.fdr:,} and {s.elm.fdr:,} variants at a 5 % false discovery rate "
            "(dashed); dotted: Bonferroni."
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
    if s.components.get("calibration_additive", Estimate()).known:
        caption = (
            "Slopes of the held-out trait on the two parts of the network's prediction, with 95 % intervals."
        )
        add(partial(plots.calibration, variance), "slopes", (4.6, 1.7), "Calibration", caption)
    if any(s.components.get(c, Estimate()).known for c in VARIANCES if c != "phenotypic_variance"):
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


def _pair_row(p: dict[str, Any]) -> dict[str, str]:
    def number(key: str, form: str = ".3g") -> str:
        value = p.get(key)
        return "" if value is None or pd.isna(value) else format(float(value), form).replace("-", "−")

    def effect(prefix: str) -> str:
        return (
            f"{number(f'{prefix}beta')} ± {number(f'{prefix}standard_error', '.2g')}"
            if number(f"{prefix}beta")
            else ""
        )

    def word(key: str) -> str:
        value = p.get(key)
        return "" if value is None or pd.isna(value) else str(value).replace("_", " ")

    def where(k: int) -> str:
        return (
            f"{p.get(f'chromosome_{k}')}:{int(p[f'base_pair_location_{k}']):,}"
            if p.get(f"base_pair_location_{k}")
            else ""
        )

    return {
        "first": str(p["variant_id_1"]),
        "where_1": where(1),
        "second": str(p["variant_id_2"]),
        "where_2": where(2),
        "elm": effect("elm_"),
        "elm_p": number("elm_p_value", ".1e"),
        "elm_q": number("elm_q_value", ".2g"),
        "test": effect("interaction_"),
        "test_p": number("interaction_p_value", ".1e"),
        "heldout": effect("heldout_elm_"),
        "heldout_p": number("heldout_elm_p_value", ".1e"),
        "ld": number("ld_r2", ".2g"),
        "verdict": word("verdict"),
        "flags": word("flags").replace(";", ", "),
    }


def _details(run: dict[str, Any]) -> list[tuple[str, str]]:
    details = []
    for key in (
        "command",
        "version",
        "seed",
        "started",
        "seconds",
        "network",
        "groups",
        "covariates",
        "ploidy",
    ):
        if run.get(key) not in (None, "", [], {}):
            value = run[key]
            details.append((key, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    for key in ("timings", "versions", "inputs", "options"):
        if run.get(key):
            details.append((key, json.dumps(run[key], indent=1, default=str)))
    return details
