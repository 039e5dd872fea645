"""Covariates of a simulated cohort: sex, numbers and categories."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gp_elm.simulate.options import SimulateOptions

_LEVELS = np.array(["A", "B", "C"])


def draw_covariates(
    options: SimulateOptions, sex: np.ndarray, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw the covariates.

    Parameters
    ----------
    options : SimulateOptions
        Which ones.
    sex : numpy.ndarray
        (n,) 1 male, 2 female.
    rng : numpy.random.Generator
        Source of the draws.

    Returns
    -------
    table : pandas.DataFrame
        n rows as the covariate file has them: numbers rounded, categories as letters.
    design : numpy.ndarray
        (n, k) float64, each column of mean 0 and variance 1; each category but the first has a column.
    """
    n = len(sex)
    table: dict[str, np.ndarray] = {}
    columns: list[np.ndarray] = []
    if options.sex_covariate:
        table["sex"] = sex
        columns.append(sex.astype(np.float64))
    for k in range(options.n_numeric_covariates):
        value = rng.standard_normal(n)
        # the file is the truth: what it rounds off has no effect
        rounded = np.round(50 + 10 * value, 1) if k == 0 else np.round(value, 4)
        table["age" if k == 0 else f"covariate_{k + 1}"] = rounded
        columns.append(rounded)
    for k in range(options.n_categorical_covariates):
        level = rng.integers(0, len(_LEVELS), n)
        table["batch" if k == 0 else f"batch_{k + 1}"] = _LEVELS[level]
        columns += [(level == j).astype(np.float64) for j in range(1, len(_LEVELS))]
    design = np.stack(columns, axis=1) if columns else np.empty((n, 0))
    centred = design - design.mean(axis=0)
    deviation = centred.std(axis=0)
    return pd.DataFrame(table), centred / np.where(deviation > 0, deviation, 1)
