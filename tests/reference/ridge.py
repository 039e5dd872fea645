"""Ridge regression by its normal equations, each trait on its own complete cases."""

from __future__ import annotations

import numpy as np


def ridge(
    features: np.ndarray, traits: np.ndarray, heritability: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (T, m) and intercepts (T,); the penalty is (1 - h2) / h2 on coefficients of the features."""
    coefficients = np.empty((traits.shape[1], features.shape[1]))
    intercept = np.empty(traits.shape[1])
    for t, h2 in enumerate(heritability):
        known = ~np.isnan(traits[:, t])
        x, y = features[known], traits[known, t]
        x_mean, y_mean = x.mean(axis=0), y.mean()
        system = (x - x_mean).T @ (x - x_mean) + (1 - h2) / h2 * np.eye(x.shape[1])
        coefficients[t] = np.linalg.solve(system, (x - x_mean).T @ (y - y_mean))
        intercept[t] = y_mean - x_mean @ coefficients[t]
    return coefficients, intercept
