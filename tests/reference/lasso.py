"""The lasso by scikit-learn, each trait on its own complete cases."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import Lasso


def lasso(features: np.ndarray, traits: np.ndarray, penalty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (T, m) and intercepts (T,) on the features as they are."""
    coefficients = np.empty((traits.shape[1], features.shape[1]))
    intercept = np.empty(traits.shape[1])
    for t in range(traits.shape[1]):
        known = ~np.isnan(traits[:, t])
        model = Lasso(alpha=penalty[t], tol=1e-10, max_iter=1_000_000).fit(features[known], traits[known, t])
        coefficients[t], intercept[t] = model.coef_, model.intercept_
    return coefficients, intercept
