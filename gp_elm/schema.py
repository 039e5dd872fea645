"""The data model: the one place where the names, dims, dtypes and meanings of a cohort Dataset stand."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from gp_elm.errors import InputError

MISSING = -1
"""Code of a missing hard call in ``call_dosage``."""


class Variable(NamedTuple):
    """One variable of the data model."""

    dims: tuple[str, ...]
    kinds: str
    required: bool
    doc: str


COHORT: dict[str, Variable] = {
    "call_dosage": Variable(
        ("variants", "samples"),
        "if",
        True,
        "copies of the effect allele, int8 0..ploidy with -1 missing; float32 with NaN for dosages; lazy",
    ),
    "variant_contig": Variable(("variants",), "iu", True, "index of the chromosome in contig_id"),
    "contig_id": Variable(("contigs",), "UO", True, "names of the chromosomes"),
    "variant_position": Variable(("variants",), "iu", True, "1-based base-pair position, 0 where unplaced"),
    "variant_id": Variable(("variants",), "UO", True, "variant identifier as in the source"),
    "variant_effect_allele": Variable(
        ("variants",), "UO", True, "allele that the dosage counts (BIM column 5)"
    ),
    "variant_other_allele": Variable(("variants",), "UO", True, "the other allele (BIM column 6)"),
    "variant_ploidy": Variable(
        ("variants",), "iu", True, "largest dosage: 2, or 1 for haploid and inbred, Y and MT"
    ),
    "variant_sex_linkage": Variable(
        ("variants",),
        "iu",
        False,
        "0 alike in both sexes, 1 X with males 0/1, 2 X with males 0/2, 3 Y, males only",
    ),
    "sample_id": Variable(("samples",), "UO", True, "unique sample identifier"),
    "sample_family_id": Variable(("samples",), "UO", False, "family identifier, '0' where none"),
    "sample_sex": Variable(("samples",), "iu", False, "1 male, 2 female, 0 unknown"),
    "sample_group": Variable(
        ("samples",), "UO", False, "label of the group whose samples stay on one side of a split"
    ),
    "sample_phenotype": Variable(("samples", "traits"), "f", False, "trait values, NaN missing"),
    "trait_id": Variable(("traits",), "UO", False, "trait names"),
    "sample_covariate": Variable(("samples", "covariates"), "f", False, "covariate values, NaN missing"),
    "covariate_id": Variable(("covariates",), "UO", False, "covariate names"),
}


def check_cohort(cohort: xr.Dataset, *, phenotypes: bool = False) -> None:
    """Check that a Dataset follows the data model.

    Parameters
    ----------
    cohort : xarray.Dataset
        The Dataset to check.
    phenotypes : bool
        Whether ``sample_phenotype`` must be there too.

    Raises
    ------
    InputError
        Where a variable is missing, or has other dims or another kind of dtype.
    """
    needed = {"sample_phenotype", "trait_id"} if phenotypes else set()
    for name, variable in COHORT.items():
        if name not in cohort.variables:
            if variable.required or name in needed:
                hint = (
                    "add it with add_phenotypes()" if name in needed else "open the cohort with read_plink()"
                )
                raise InputError(f"the Dataset has no variable {name!r} ({variable.doc}); {hint}")
            continue
        array = cohort[name]
        if array.dims != variable.dims:
            raise InputError(f"{name} has dims {array.dims}, expected {variable.dims}; transpose it")
        if np.dtype(array.dtype).kind not in variable.kinds:
            raise InputError(
                f"{name} has dtype {array.dtype}, expected kind {variable.kinds!r} ({variable.doc})"
            )
