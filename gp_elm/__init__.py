"""gp_elm: a trained genotype-to-phenotype network as one more association method.

Importing the package loads nothing heavy; each public name brings its module on first use, and torch comes
with the first network call.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

try:
    __version__ = version("gp-elm")
except PackageNotFoundError:
    __version__ = "0+unknown"

_PUBLIC = {
    "GpElmError": "gp_elm.errors",
    "add_covariates": "gp_elm.cohort",
    "add_groups": "gp_elm.cohort",
    "add_phenotypes": "gp_elm.cohort",
    "check_cohort": "gp_elm.schema",
    "cross_fit": "gp_elm.elm.fit",
    "elm_effects": "gp_elm.elm.effects",
    "from_anndata": "gp_elm.io.anndata",
    "linear_scan": "gp_elm.association.linear",
    "open_cohort": "gp_elm.cohort",
    "read_plink": "gp_elm.io.plink",
    "run": "gp_elm.pipeline",
    "to_anndata": "gp_elm.io.anndata",
    "write_report": "gp_elm.report.page",
}

__all__ = sorted([*_PUBLIC, "__version__", "pl"])


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name == "pl":
        return import_module("gp_elm.report.plots")
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
