"""How a variant is counted in males and females: the values of ``variant_sex_linkage``."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

ALIKE, X_ONE, X_TWO, Y_MALES = 0, 1, 2, 3
"""Alike in both sexes (autosomes, PAR, MT); X with males 0/1; X with males 0/2; Y, in males only and 0/1."""

MALE, FEMALE = 1, 2
"""Values of ``sample_sex``."""


def sex_linkage(cohort: xr.Dataset) -> NDArray[np.int8]:
    """Linkage of each variant (m,); all alike where the cohort does not say."""
    if "variant_sex_linkage" not in cohort:
        return np.zeros(cohort.sizes["variants"], np.int8)
    return np.asarray(cohort["variant_sex_linkage"].to_numpy(), np.int8)


def sample_sex(cohort: xr.Dataset) -> NDArray[np.uint8]:
    """Sex of each sample (n,): 0 unknown, 1 male, 2 female; all unknown where the cohort does not say."""
    if "sample_sex" not in cohort:
        return np.zeros(cohort.sizes["samples"], np.uint8)
    return np.asarray(cohort["sample_sex"].to_numpy()).astype(np.uint8)
