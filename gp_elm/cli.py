"""The commands: options, messages, exit codes. What they do stands in the modules that they call."""

from __future__ import annotations

import inspect
import logging
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from gp_elm.cli_options import COHORT, OUT, PAIRS, SPLIT, TRAINING, simulate_numbers, simulate_options
from gp_elm.errors import GpElmError, OptionError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="A trained genotype-to-phenotype network as one more association method: effects with standard errors, "
    "beside the GWAS of the same samples.",
    epilog="Example: gp-elm run --bfile cohort --pheno traits.tsv --covar covariates.tsv --out results/",
)


def _command(*shared: dict[str, tuple[Any, Any]]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as a command that takes shared options besides its own, as keyword arguments."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
        hints = inspect.get_annotations(function, eval_str=True)
        parameters = [p.replace(kind=p.KEYWORD_ONLY, annotation=hints[p.name]) for p in own]
        for options in shared:
            for name, (kind, default) in options.items():
                parameters.append(
                    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
                )
        parameters.sort(key=lambda p: p.default is not inspect.Parameter.empty)

        def call(**given: Any) -> None:
            _log(quiet=bool(given.pop("quiet", False)))
            function(**given)

        call.__name__, call.__doc__ = function.__name__, function.__doc__
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in parameters}
        app.command(name=function.__name__.rstrip("_"), help=function.__doc__)(call)
        return function

    return register


def _pick(given: dict[str, Any], options: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    return {name: given[name] for name in options}


def _log(*, quiet: bool) -> None:
    package = logging.getLogger("gp_elm")
    package.setLevel(logging.WARNING if quiet else logging.INFO)
    if not package.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        package.addHandler(handler)
        package.propagate = False


def _run_options(given: dict[str, Any]) -> Any:
    from gp_elm.elm.pair_table import PairOptions
    from gp_elm.models.options import TrainingOptions
    from gp_elm.run_options import RunOptions

    training = _pick(given, TRAINING)
    training["hidden"] = _widths(training["hidden"])
    return RunOptions(
        cohort=_pick(given, COHORT),
        training=TrainingOptions(**training),
        pairs=PairOptions(**_pick(given, PAIRS)),
        n_folds=given["folds"],
        heldout_fraction=given["heldout"],
        split=given["split"],
        seed=given["seed"],
    )


def _widths(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise OptionError(f"--hidden {text} is no list of widths; write such as 256 or 1024,1024") from error


@_command(OUT, COHORT, SPLIT, TRAINING, PAIRS)
def run(**given: Any) -> None:
    """Everything: networks, ELM effects, GWAS, interaction tests, tables, AnnData and report.

    Example: gp-elm run --bfile cohort --pheno traits.tsv --covar covariates.tsv --out results/
    """
    page = _go(given, until="report")
    typer.echo(f"tables: {page.parent}   report: {page}")


@_command(OUT, COHORT, SPLIT, TRAINING, PAIRS)
def train(**given: Any) -> None:
    """Split and cross-fit networks: model/. `elm` and `run` with the same options and --out go on from there.

    Example: gp-elm train --bfile cohort --pheno traits.tsv --out results/
    """
    typer.echo(f"networks: {_go(given, until='train')}")


@_command(OUT, COHORT, SPLIT, TRAINING, PAIRS)
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


@_command(OUT, COHORT)
def gwas(
    dominance: Annotated[bool, typer.Option("--dominance", help="Dominance deviations instead.")] = False,
    **given: Any,
) -> None:
    """Linear scan of every variant and trait on all samples: variants.tsv.gz and .parquet.

    Example: gp-elm gwas --bfile cohort --pheno traits.tsv --covar covariates.tsv --out gwas/
    """
    from gp_elm.classical import write_gwas

    written = write_gwas(
        _pick(given, COHORT), given["out"], dominance=dominance, overwrite=given["overwrite"]
    )
    typer.echo(f"table: {written}")


@_command({name: kind for name, kind in OUT.items() if name != "out"}, COHORT)
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
    top_pairs: Annotated[int, typer.Option("--top-pairs", help="Pairs listed where all are tested.")] = 1000,
    max_exhaustive_pairs: Annotated[int, typer.Option("--max-exhaustive-pairs")] = 100_000_000,
    **given: Any,
) -> None:
    """Classical interaction tests of listed or of all pairs on all samples: pairs.tsv.gz and .parquet.

    With --run the list is tested with the networks of that run, in its samples: only this last stage is done.

    Example: gp-elm interactions --bfile cohort --pheno traits.tsv --out pairs/

    Example: gp-elm interactions --run results/ --pairs list.tsv
    """
    if folder is not None:
        asked = [name for name in ("bfile", "bed", "pheno", "covar") if given.get(name) is not None]
        if pairs is None or out is not None or asked:
            what = f"--{asked[0]} too" if asked else "--out too" if out is not None else "no --pairs"
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
        _pick(given, COHORT), out, pairs=pairs, top_pairs=top_pairs,
        max_exhaustive_pairs=max_exhaustive_pairs, overwrite=given["overwrite"],
    )  # fmt: skip
    typer.echo(f"table: {written}")


@_command(OUT, COHORT)
def convert(**given: Any) -> None:
    """Write the cohort as AnnData (cohort.h5ad): samples x variants, traits and covariates in .obs.

    Example: gp-elm convert --bfile cohort --pheno traits.tsv --out converted/
    """
    from gp_elm.classical import write_cohort

    typer.echo(f"AnnData: {write_cohort(_pick(given, COHORT), given['out'], overwrite=given['overwrite'])}")


@_command(OUT)
def compare(
    gwas_table: Annotated[Path, typer.Option("--gwas", help="Variants table with GWAS columns.")],
    elm_table: Annotated[Path, typer.Option("--elm", help="Variants table with ELM columns.")],
    **given: Any,
) -> None:
    """Join the ELM columns of one variants table to the rows of another, by variant, alleles aligned.

    Example: gp-elm compare --gwas gwas/variants.parquet --elm results/variants.parquet --out both/
    """
    from gp_elm.classical import write_comparison

    typer.echo(
        f"table: {write_comparison(gwas_table, elm_table, given['out'], overwrite=given['overwrite'])}"
    )


@_command()
def report(folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")], **given: Any) -> None:
    """Write report.html again from the tables of a finished run.

    Example: gp-elm report results/
    """
    from gp_elm.report.page import report_folder

    typer.echo(f"report: {report_folder(folder)}")


def main(arguments: list[str] | None = None) -> None:
    """Entry point: one line on errors that a user can mend, exit code 2."""
    try:
        code = app(arguments, standalone_mode=False)
        sys.exit(int(code or 0))
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except (GpElmError, OSError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on from here", 130)
    except Exception as error:
        # click's usage errors know how to show themselves; anything else is a fault of ours and keeps its traceback
        if hasattr(error, "format_message"):
            _fail(f"{error.format_message()} (see gp-elm --help)")
        raise


def _fail(message: str, code: int = 2) -> None:
    sys.stderr.write(f"gp-elm: {' '.join(message.split())}\n")
    sys.exit(code)


def _register_simulate() -> None:
    """The simulate command takes its options from the simulator's own."""

    @_command(simulate_options())
    def simulate(
        out: Annotated[Path, typer.Option("--out", help="Prefix of the files to write.")],
        **given: Any,
    ) -> None:
        """Simulate a cohort with known effects: PLINK files, traits, covariates and truth tables.

        Example: gp-elm simulate --n-samples 2000 --n-variants 1000 --seed 1 --out sim/cohort
        """
        from gp_elm import simulate as simulator

        simulator.simulate(out, options=simulator.SimulateOptions(**simulate_numbers(given)))
        typer.echo(f"cohort: {out}.bed")


_register_simulate()


if __name__ == "__main__":
    main()
