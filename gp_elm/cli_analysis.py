"""Commands that analyse a cohort: run, train, elm, gwas, interactions."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gp_elm.cli_app import command, pick
from gp_elm.cli_options import COHORT, NETWORK_VARIANTS, OFFSETS, OUT, OWN_GWAS, PAIRS, SPLIT, TRAINING
from gp_elm.errors import OptionError

TOP_PAIRS, MOST_PAIRS = 1000, 100_000_000


def _run_options(given: dict[str, Any]) -> Any:
    from gp_elm.elm.pair_table import PairOptions
    from gp_elm.models.options import TrainingOptions
    from gp_elm.run_options import RunOptions

    training = pick(given, TRAINING)
    training["hidden"] = _widths(training["hidden"])
    return RunOptions(
        cohort=pick(given, COHORT),
        training=TrainingOptions(**training),
        pairs=PairOptions(**pick(given, PAIRS)),
        n_folds=given["folds"],
        heldout_fraction=given["heldout"],
        split=given["split"],
        gwas=tuple(given.get("gwas") or ()),
        pred=given.get("pred"),
        seed=given["seed"],
        **pick(given, NETWORK_VARIANTS),
    )


def _widths(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise OptionError(f"--hidden {text} is no list of widths; write such as 256 or 1024,1024") from error


@command(OUT, COHORT, OWN_GWAS, OFFSETS, SPLIT, NETWORK_VARIANTS, TRAINING, PAIRS)
def run(**given: Any) -> None:
    """Everything: networks, ELM effects, GWAS, interaction tests, tables, AnnData and report.

    Example: gp-elm run --bfile cohort --pheno traits.tsv --covar covariates.tsv --out results/
    """
    page = _go(given, until="report")
    typer.echo(f"tables: {page.parent}   report: {page}")


@command(OUT, COHORT, SPLIT, NETWORK_VARIANTS, TRAINING, PAIRS)
def train(**given: Any) -> None:
    """Split and cross-fit networks: model/. `elm` and `run` with the same options and --out go on from there.

    Example: gp-elm train --bfile cohort --pheno traits.tsv --out results/
    """
    typer.echo(f"networks: {_go(given, until='train')}")


@command(OUT, COHORT, SPLIT, NETWORK_VARIANTS, TRAINING, PAIRS)
def elm(**given: Any) -> None:
    """Networks and their ELM effects and pairs, without the GWAS columns.

    Example: gp-elm elm --bfile cohort --pheno traits.tsv --out results/
    """
    typer.echo(f"report: {_go(given, until='elm')}")


def _go(given: dict[str, Any], *, until: str) -> Path:
    from gp_elm import pipeline

    options = _run_options(given)
    command = shlex.join(["gp-elm", *sys.argv[1:]])
    return pipeline.run(options, given["out"], overwrite=given["overwrite"], command=command, until=until)


@command(OUT, COHORT, OFFSETS)
def gwas(
    dominance: Annotated[bool, typer.Option("--dominance", help="Dominance deviations instead.")] = False,
    **given: Any,
) -> None:
    """Linear scan of every variant and trait on all samples: variants.tsv.gz and .parquet.

    Example: gp-elm gwas --bfile cohort --pheno traits.tsv --covar covariates.tsv --out gwas/
    """
    from gp_elm.classical import write_gwas

    written = write_gwas(
        pick(given, COHORT),
        given["out"],
        dominance=dominance,
        pred=given["pred"],
        overwrite=given["overwrite"],
    )
    typer.echo(f"table: {written}")


@command({name: kind for name, kind in OUT.items() if name != "out"}, COHORT)
def interactions(
    pairs: Annotated[
        Path | None,
        typer.Option("--pairs", help="Table with variant_id_1 and variant_id_2; all pairs where left out."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--run", help="A finished run: its networks test the list too, in pairs_listed there."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Results folder.")] = None,
    top_pairs: Annotated[
        int, typer.Option("--top-pairs", help="Pairs listed where all are tested.")
    ] = TOP_PAIRS,
    max_exhaustive_pairs: Annotated[
        int, typer.Option("--max-exhaustive-pairs", help="Refuse to test more.")
    ] = MOST_PAIRS,
    **given: Any,
) -> None:
    """Classical interaction tests of listed or of all pairs on all samples: pairs.tsv.gz and .parquet.

    With --run the list is tested with the networks of that run, in its samples: only this last stage is done.

    Example: gp-elm interactions --bfile cohort --pheno traits.tsv --out pairs/

    Example: gp-elm interactions --run results/ --pairs list.tsv
    """
    if folder is not None:
        asked = [
            # a flag alone stands where typer has the default of options that are no annotations
            str(kind.__metadata__[0].default)
            for name, (kind, default) in COHORT.items()
            if given.get(name) != default
        ]
        asked += [
            flag for flag, there in (("--out", out is not None), ("--overwrite", given["overwrite"])) if there
        ]
        asked += [
            flag
            for flag, there in (
                ("--top-pairs", top_pairs != TOP_PAIRS),
                ("--max-exhaustive-pairs", max_exhaustive_pairs != MOST_PAIRS),
            )
            if there
        ]
        if pairs is None or asked:
            what = f"{asked[0]} too" if asked else "no --pairs"
            raise OptionError(
                f"--run with {what}: give --run with --pairs alone; the cohort is that of the run"
            )
        from gp_elm.pipeline import run_listed

        typer.echo(f"table: {run_listed(folder, pairs)}")
        return
    if out is None:
        raise OptionError("no --out; give a results folder")
    from gp_elm.classical import write_interactions

    written = write_interactions(
        pick(given, COHORT), out, pairs=pairs, top_pairs=top_pairs,
        max_exhaustive_pairs=max_exhaustive_pairs, overwrite=given["overwrite"],
    )  # fmt: skip
    typer.echo(f"table: {written}")
