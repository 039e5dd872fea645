"""Plain twins of the context test's null: products of loci, and the exact tail of a ratio of quadratic forms."""

import numpy as np
from scipy import integrate


def product_correlations(dosage, covariates, locus, others):
    """Correlation matrix of the products x_i x_j, each less its regression on 1, x_i, x_j and covariates."""
    columns = []
    for j in others:
        design = np.column_stack([np.ones(len(dosage)), covariates, dosage[:, locus], dosage[:, j]])
        product = dosage[:, locus] * dosage[:, j]
        left = product - design @ np.linalg.lstsq(design, product, rcond=None)[0]
        columns.append(left / np.linalg.norm(left))
    return np.stack(columns).dot(np.stack(columns).T)


def quadratic_tail(weights, q):
    """P(sum_k w_k chi2_k > q) by Imhof's integral (1961, Biometrika 48, 419)."""
    weights = np.asarray(weights, float)

    def integrand(u):
        theta = 0.5 * np.arctan(weights * u).sum() - 0.5 * q * u
        return np.sin(theta) / u * np.exp(-0.25 * np.log1p((weights * u) ** 2).sum())

    return 0.5 + integrate.quad(integrand, 0, np.inf, limit=2000, epsabs=1e-10)[0] / np.pi
