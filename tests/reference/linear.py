"""The linear scan by statsmodels, one regression at a time."""

import numpy as np
import statsmodels.api as sm


def complete(*columns):
    """Rows where nothing is NaN."""
    return np.isfinite(np.column_stack(columns)).all(axis=1)


def fit(trait, regressors, covariates):
    """Coefficient, standard error, p-value, df of the last regressor on complete cases; NaN without full rank."""
    design = np.column_stack(
        [np.ones(len(trait)), *([] if covariates is None else covariates.T), *regressors]
    )
    rows = complete(trait, design)
    if np.linalg.matrix_rank(design[rows]) < design.shape[1]:
        return (np.nan,) * 4
    model = sm.OLS(trait[rows], design[rows]).fit()
    return model.params[-1], model.bse[-1], model.pvalues[-1], model.df_resid


def scan(dosage, traits, covariates, *, dominance=False):
    """Additive (or dominance) effect of every variant on every trait; dosage float with NaN missing; (4, b, T)."""
    result = np.empty((4, dosage.shape[1], traits.shape[1]))
    for j, g in enumerate(dosage.T):
        regressors = [g, np.where(np.isnan(g), np.nan, g == 1)] if dominance else [g]
        for t, trait in enumerate(traits.T):
            result[:, j, t] = fit(trait, regressors, covariates)
    return result
