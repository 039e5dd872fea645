"""Steps that take an AnnData where they take a cohort: a decorator that costs nothing where none is given."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Literal, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


def accepts_anndata(
    sets: Literal["traits", "covariates", "groups"] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function whose argument ``cohort`` is a Dataset take an AnnData too, and write its result into that.

    Parameters
    ----------
    sets : {"traits", "covariates", "groups"}, optional
        What of the cohort the function adds or replaces; it then returns the AnnData, as it returns a cohort for a
        cohort. Where None, it returns its result.

    Returns
    -------
    callable
        The decorator. :mod:`gp_elm.io.anndata_steps` says what is written.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def step(*args: P.args, **kwargs: P.kwargs) -> R:
            # nothing can be an AnnData before its package is loaded, which takes a second
            kind = getattr(sys.modules.get("anndata"), "AnnData", ())
            if not any(isinstance(value, kind) for value in (*args, *kwargs.values())):
                return function(*args, **kwargs)
            from gp_elm.io.anndata_steps import run_step

            arguments = signature.bind_partial(*args, **kwargs).arguments
            return cast(R, run_step(function, dict(arguments), sets))

        return step

    return decorate
