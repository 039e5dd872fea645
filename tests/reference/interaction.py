"""Interaction tests by statsmodels, one regression at a time."""

import numpy as np
import statsmodels.api as sm
from reference.linear import complete, fit


def pairs(dosage_i, dosage_j, traits, covariates):
    """Coefficient of the product of each pair of columns, for every trait; (4, P, T)."""
    result = np.empty((4, dosage_i.shape[1], traits.shape[1]))
    for p, (a, b) in enumerate(zip(dosage_i.T, dosage_j.T, strict=True)):
        for t, trait in enumerate(traits.T):
            result[:, p, t] = fit(trait, [a, b, a * b], covariates)
    return result


def genotypic(a, b, trait, covariates):
    """F test of all interaction terms of one pair: p-value and the number of terms."""
    cells = np.where(np.isnan(a) | np.isnan(b), np.nan, 0.0)
    classes = lambda g: [np.where(np.isnan(cells), np.nan, g == value) for value in (1, 2)]  # noqa: E731
    main = [np.ones(len(trait)), *([] if covariates is None else covariates.T), *classes(a), *classes(b)]
    crossed = [u * v for u in classes(a) for v in classes(b)]
    rows = complete(trait, np.column_stack(main))
    small = sm.OLS(trait[rows], np.column_stack(main)[rows]).fit()
    large = sm.OLS(trait[rows], np.column_stack(main + crossed)[rows]).fit()
    _, p, terms = large.compare_f_test(small)
    return p, terms
