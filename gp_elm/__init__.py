"""gp_elm: a trained genotype-to-phenotype network as one more association method.

Importing the package loads nothing heavy; each public name brings its module on first use, and torch comes
with the first network call.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gp_elm.annotated import check_cohort as check_cohort
    from gp_elm.annotated import from_anndata as from_anndata
    from gp_elm.association.linear import linear_scan as linear_scan
    from gp_elm.association.mixed import linear_mixed_scan as linear_mixed_scan
    from gp_elm.cohort import open_cohort as open_cohort
    from gp_elm.elm.effects import elm_effects as elm_effects
    from gp_elm.elm.fit import cross_fit as cross_fit
    from gp_elm.errors import GpElmError as GpElmError
    from gp_elm.io.anndata import to_anndata as to_anndata
    from gp_elm.io.bgen import read_bgen as read_bgen
    from gp_elm.io.pandas_plink import from_pandas_plink as from_pandas_plink
    from gp_elm.io.pgen import read_pgen as read_pgen
    from gp_elm.io.plink import read_plink as read_plink
    from gp_elm.io.vcf import read_vcf as read_vcf
    from gp_elm.io.vcf_info import write_vcf_info as write_vcf_info
    from gp_elm.io.vcf_zarr import read_vcf_zarr as read_vcf_zarr
    from gp_elm.io.vcf_zarr import write_vcf_zarr as write_vcf_zarr
    from gp_elm.io.zarr_cohort import open_zarr_cohort as open_zarr_cohort
    from gp_elm.io.zarr_cohort import save_cohort as save_cohort
    from gp_elm.pipeline import run as run
    from gp_elm.report import plots
    from gp_elm.report.page import write_report as write_report
    from gp_elm.sample_tables import add_covariates as add_covariates
    from gp_elm.sample_tables import add_groups as add_groups
    from gp_elm.sample_tables import add_phenotypes as add_phenotypes

    pl = plots

try:
    __version__ = version("gp-elm")
except PackageNotFoundError:
    __version__ = "0+unknown"

_PUBLIC = {
    "GpElmError": "gp_elm.errors",
    "add_covariates": "gp_elm.sample_tables",
    "add_groups": "gp_elm.sample_tables",
    "add_phenotypes": "gp_elm.sample_tables",
    "check_cohort": "gp_elm.annotated",
    "cross_fit": "gp_elm.elm.fit",
    "elm_effects": "gp_elm.elm.effects",
    "from_anndata": "gp_elm.annotated",
    "from_pandas_plink": "gp_elm.io.pandas_plink",
    "linear_mixed_scan": "gp_elm.association.mixed",
    "linear_scan": "gp_elm.association.linear",
    "open_cohort": "gp_elm.cohort",
    "open_zarr_cohort": "gp_elm.io.zarr_cohort",
    "read_bgen": "gp_elm.io.bgen",
    "read_pgen": "gp_elm.io.pgen",
    "read_plink": "gp_elm.io.plink",
    "read_vcf": "gp_elm.io.vcf",
    "read_vcf_zarr": "gp_elm.io.vcf_zarr",
    "run": "gp_elm.pipeline",
    "to_anndata": "gp_elm.io.anndata",
    "save_cohort": "gp_elm.io.zarr_cohort",
    "write_report": "gp_elm.report.page",
    "write_vcf_info": "gp_elm.io.vcf_info",
    "write_vcf_zarr": "gp_elm.io.vcf_zarr",
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
