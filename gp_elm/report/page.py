"""The page ``report.html``: the verdict in words, then the pictures and tables that it rests on."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from gp_elm.errors import InputError
from gp_elm.io.tables import read_table
from gp_elm.report import plots
from gp_elm.report.estimates import Estimate, predictor_names
from gp_elm.report.methods import methods_paragraphs
from gp_elm.report.model_plots import prediction_height
from gp_elm.report.run_verdict import of_run
from gp_elm.report.sections import picture, trait_section
from gp_elm.report.summary import TraitSummary, summarise
from gp_elm.report.words import number, percent, points, predictor
from gp_elm.runtime.atomic import atomic_path

OPEN_TRAITS = 6
"""With more traits than this their sections are folded."""
DRAWN_TRAITS = 24
"""With more traits than this only those with the most findings get pictures, to keep the page small."""


def write_report(tables: dict[str, pd.DataFrame], run: dict[str, Any], out: str | os.PathLike[str]) -> Path:
    """Write the self-contained page.

    Parameters
    ----------
    tables : dict of pandas.DataFrame
        ``variants``, ``pairs``, ``variance``; optionally ``pairs_ld``, ``ablation``, ``predictions`` (held-out
        samples: ``trait sample_id observed network ridge lasso``) and ``history`` (``fold member epoch
        training_loss validation_loss``).
    run : dict
        What ``run.json`` holds. Read where present: ``command version versions seed seconds timings warnings notes
        network n_variants n_discovery n_heldout n_folds groups covariates ploidy pairs_tested yardsticks_left_out
        inputs``.
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
    for name in ("variants", "pairs", "pairs_ld", "ablation", "variance", "predictions"):
        for suffix in (".parquet", ".tsv.gz", ".tsv"):
            if (base / f"{name}{suffix}").is_file():
                tables[name] = read_table(base / f"{name}{suffix}")
                break
    tables["history"] = _history(base / "model")
    run_file = base / "run.json"
    run = json.loads(run_file.read_text(encoding="utf-8")) if run_file.is_file() else {}
    return write_report(tables, run, out or base / "report.html")


def _content(tables: dict[str, pd.DataFrame], run: dict[str, Any]) -> dict[str, Any]:
    summaries = summarise(tables, run)
    ranked = sorted(summaries, key=lambda s: -(s.elm.fdr + s.gwas.fdr + s.pairs.fdr))
    drawn = {s.trait for s in ranked[:DRAWN_TRAITS]}
    dpi = 130 if len(drawn) <= OPEN_TRAITS else 90
    sections = [
        trait_section(s, tables, dpi=dpi, draw=s.trait in drawn, number=k) for k, s in enumerate(summaries)
    ]
    names = predictor_names(tables["variance"])
    figures = [
        picture(
            partial(plots.prediction, tables["variance"]),
            "prediction",
            (6.4, prediction_height(len(summaries), len(names))),
            dpi,
            "Prediction of samples that no model saw",
            "Held-out r² of the network and of each yardstick, for each trait; lines: 95 % intervals.",
        )
    ]
    history = tables.get("history")
    if history is not None and len(history):
        caption = "Training and inner validation loss of each fold network by epoch."
        figures.append(
            picture(
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
        "verdict": of_run(summaries),
        "predictors": [predictor(n) for n in names],
        "predicted": [_predicted(s, names) for s in summaries],
        "left_out": [(predictor(n), why) for n, why in (run.get("yardsticks_left_out") or {}).items()],
        "stacked": any(s.stack for s in summaries),
        "folds": any(s.folds for s in summaries),
        "found": [_found(s) for s in summaries],
        "figures": figures,
        "sections": sections,
        "folded": len(summaries) > OPEN_TRAITS,
        "not_drawn": [s.trait for s in summaries if s.trait not in drawn],
        "warnings": [str(w) for w in run.get("warnings", [])],
        "notes": [str(n) for n in run.get("notes", [])],
        "methods": methods_paragraphs(run, summaries),
        "details": _details(run),
    }


def _facts(
    run: dict[str, Any], tables: dict[str, pd.DataFrame], summaries: list[TraitSummary]
) -> list[tuple[str, str]]:
    n_variants = run.get("n_variants") or (len(tables["variants"]) // max(len(summaries), 1))
    facts: list[tuple[str, Any]] = [("trait" if len(summaries) == 1 else "traits", len(summaries))]
    facts.append(("variants", n_variants))
    if run.get("n_variants_network"):
        facts.append(("variants that the networks see", run["n_variants_network"]))
    named = (("n_discovery", "discovery samples"), ("n_heldout", "held-out samples"), ("n_folds", "folds"))
    facts += [(label, run[key]) for key, label in named if run.get(key)]
    return [(label, f"{value:,}" if isinstance(value, int) else str(value)) for label, value in facts]


def _predicted(summary: TraitSummary, names: list[str]) -> dict[str, Any]:
    difference = summary.differences.get("ridge", Estimate())
    stack = summary.stack
    return {
        "trait": summary.trait,
        "r2": [
            (
                percent(summary.r2[n].value) if n in summary.r2 and summary.r2[n].known else "",
                f"{stack[n]:.2f}" if n in stack else "",
            )
            for n in names
        ],
        "difference": points(difference, short=True) if difference.known else "",
        "mood": "yes" if difference.positive else "no" if difference.has_interval else "info",
        "folds": f"{percent(min(summary.folds))} to {percent(max(summary.folds))}" if summary.folds else "",
    }


def _found(summary: TraitSummary) -> dict[str, Any]:
    slope, check = summary.component("calibration_interaction"), summary.component("population_check")
    pairs = summary.pairs
    return {
        "trait": summary.trait,
        "slope": number(slope) if slope.known else "",
        "weights": " / ".join(_weight(summary, kind) for kind in ("additive", "dominance", "pairs")),
        "loci": f"{summary.elm.regions:,} / {summary.gwas.regions:,}",
        "context": f"{summary.context.fdr:,}" if summary.context.tested else "",
        "pairs": f"{pairs.fdr:,} / {pairs.bonferroni:,}",
        "unflagged": f"{pairs.unflagged:,}",
        "replicated": f"{pairs.replicated:,}",
        "lambda": f"{summary.gwas.lambda_gc:.2f} / {summary.elm.lambda_gc:.2f}"
        if summary.gwas.tested
        else "",
        "population": f"{check.value:.2f}" if check.known else "",
    }


def _weight(summary: TraitSummary, kind: str) -> str:
    return f"{summary.weights[kind]:.2f}" if kind in summary.weights else "–"


def _details(run: dict[str, Any]) -> list[tuple[str, str]]:
    details = []
    for key in ("command", "version", "seed", "seconds", "network", "groups", "covariates", "ploidy"):
        if run.get(key) not in (None, "", [], {}):
            value = f"{run[key]:.0f}" if key == "seconds" else run[key]
            details.append((key, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    for key in ("timings", "versions", "inputs", "options"):
        if run.get(key):
            details.append((key, json.dumps(run[key], indent=1, default=str)))
    return details


def _history(model: Path) -> pd.DataFrame:
    """Validation loss by fold, training loop and epoch, from ``model/options.json``."""
    file = model / "options.json"
    folds = json.loads(file.read_text(encoding="utf-8")).get("history", []) if file.is_file() else []
    rows = [
        (k, loop, epoch, loss)
        for k, fold in enumerate(folds)
        for loop, course in enumerate(fold.get("loops", []))
        for epoch, loss in enumerate(course["validation_loss"], 1)
    ]
    return pd.DataFrame(rows, columns=["fold", "member", "epoch", "validation_loss"])
