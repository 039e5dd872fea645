"""The command line's own machinery: the application, shared options, messages."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

import typer

from gp_elm.errors import OptionError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="A trained genotype-to-phenotype network as one more association method: effects with standard errors, "
    "beside the GWAS of the same samples.",
    epilog="Example: gp-elm run --bfile cohort --pheno traits.tsv --covar covariates.tsv --out results/",
)


def command(*shared: dict[str, tuple[Any, Any]]) -> Callable[[Callable[..., None]], Callable[..., None]]:
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
            if given.pop("resume", False) and given.get("overwrite"):
                raise OptionError("--resume with --overwrite: give one, to go on or to begin again")
            function(**given)

        call.__name__, call.__doc__ = function.__name__, function.__doc__
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in parameters}
        app.command(name=function.__name__.rstrip("_"), help=function.__doc__)(call)
        return function

    return register


def pick(given: dict[str, Any], options: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    """The options of one group."""
    return {name: given[name] for name in options}


def _log(*, quiet: bool) -> None:
    package = logging.getLogger("gp_elm")
    package.setLevel(logging.WARNING if quiet else logging.INFO)
    if not package.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        package.addHandler(handler)
        package.propagate = False
