"""Robust errors of the product's coefficient by statsmodels: HC3, and leaving out one group after the other."""

from __future__ import annotations

import numpy as np
import statsmodels.api as sm


def design(a, b, covariates):
    columns = [np.ones(len(a)), *([] if covariates is None else covariates.T), a, b, a * b]
    return np.column_stack(columns)


def hc3(a, b, y, covariates=None):
    """Coefficient, HC3 error and residual degrees of freedom."""
    x = design(a, b, covariates)
    known = np.isfinite(x).all(axis=1) & np.isfinite(y)
    fit = sm.OLS(y[known], x[known]).fit(cov_type="HC3", use_t=True)
    return fit.params[-1], fit.bse[-1], fit.df_resid


def leave_group_out(a, b, y, groups, covariates=None):
    """Coefficient, root of the sum of squares of its moves when each group is left out, and G - 1."""
    x = design(a, b, covariates)
    known = np.isfinite(x).all(axis=1) & np.isfinite(y)
    x, y, groups = x[known], y[known], groups[known]
    beta = sm.OLS(y, x).fit().params[-1]
    moves = [sm.OLS(y[groups != g], x[groups != g]).fit().params[-1] - beta for g in np.unique(groups)]
    return beta, np.sqrt(np.sum(np.square(moves))), len(moves) - 1


def cr1(a, b, y, groups, covariates=None):
    """Statsmodels' own clustered error."""
    x = design(a, b, covariates)
    known = np.isfinite(x).all(axis=1) & np.isfinite(y)
    fit = sm.OLS(y[known], x[known]).fit(cov_type="cluster", cov_kwds={"groups": groups[known]}, use_t=True)
    return fit.bse[-1]
