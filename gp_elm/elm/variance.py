"""How much of a trait a predictor captures: held-out r2, captured variance, and their bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DRAWS = 2000
MOST_GROUPS = 2000
"""Groups that are drawn at the most; more are joined at random to this many, which keeps the draws small."""


@dataclass(frozen=True)
class Estimate:
    """An estimate with its bootstrap standard error and 95 % interval."""

    estimate: float
    standard_error: float
    ci_lower: float
    ci_upper: float
    method: str


class GroupBootstrap:
    """Bootstrap over groups of samples, from sums by group.

    Parameters
    ----------
    groups : (n,) int
        Group of each sample; whole groups are drawn.
    seed : int
        Seed of the draws.
    """

    def __init__(self, groups: NDArray[np.int64], *, seed: int) -> None:
        _, label = np.unique(groups, return_inverse=True)
        rng = np.random.default_rng([seed, 70_003])
        n_groups = int(label.max()) + 1 if groups.size else 0
        self._n = min(n_groups, MOST_GROUPS)
        self._label = rng.permutation(n_groups)[label] % MOST_GROUPS if n_groups > MOST_GROUPS else label
        draws = (
            rng.multinomial(self._n, np.full(self._n, 1 / self._n), size=DRAWS)
            if self._n
            else np.empty((DRAWS, 0))
        )
        self._draws: Floats = np.vstack([np.ones((1, self._n)), draws]).astype(float)

    def sums(self, values: Floats) -> Floats:
        """Sums of (n, q) values over the samples themselves (row 0) and over each draw: (1 + DRAWS, q)."""
        by_group = np.zeros((self._n, values.shape[1]))
        np.add.at(by_group, self._label, values)
        return self._draws @ by_group

    @staticmethod
    def estimate(values: Floats, method: str) -> Estimate:
        """Summarise a statistic of the sums: its first entry is the estimate, the others the draws."""
        draws = values[1:][np.isfinite(values[1:])]
        if draws.size < 2 or not np.isfinite(values[0]):
            return Estimate(float(values[0]), np.nan, np.nan, np.nan, method)
        low, high = np.quantile(draws, [0.025, 0.975])
        return Estimate(float(values[0]), float(draws.std(ddof=1)), float(low), float(high), method)


def _moments(y: Floats, f: Floats, bootstrap: GroupBootstrap) -> tuple[Floats, ...]:
    measured = np.isfinite(y) & np.isfinite(f)
    a, b = np.where(measured, y, 0.0), np.where(measured, f, 0.0)
    columns = np.stack([measured.astype(float), a, b, a * a, b * b, a * b, (a - b) ** 2], 1)
    total = bootstrap.sums(columns)
    n = np.maximum(total[:, 0], 1)
    mean_y, mean_f = total[:, 1] / n, total[:, 2] / n
    variance_y, variance_f = total[:, 3] / n - mean_y**2, total[:, 4] / n - mean_f**2
    return variance_y, variance_f, total[:, 5] / n - mean_y * mean_f, total[:, 6] / n


def prediction_r2(y: Floats, f: Floats, bootstrap: GroupBootstrap) -> Floats:
    """R2 = 1 - mean (y - f)^2 / Var(y), for the samples (first entry) and each bootstrap draw."""
    variance_y, _, _, squared_error = _moments(y, f, bootstrap)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - squared_error / variance_y


def captured_variance(y: Floats, f: Floats, bootstrap: GroupBootstrap) -> Floats:
    """2 Cov(y, f) - Var(f): the variance of y that f accounts for, a lower bound of the genetic variance.

    Valid where f was fitted without the samples of y (out of fold). METHOD 7.
    """
    _, variance_f, covariance, _ = _moments(y, f, bootstrap)
    return 2 * covariance - variance_f


def sum_of_squares_variance(beta: Floats, standard_error: Floats, spread: Floats) -> Estimate:
    """Sum of debiased squared effects less their sampling variance, where effects are fewer than samples.

    Parameters
    ----------
    beta, standard_error : (q,) float
        Debiased effects and their errors.
    spread : (q,) float
        Variance of the variable that each effect multiplies.

    Returns
    -------
    Estimate
        ``sum (beta^2 - se^2) spread``, with the delta-method error of a sum of independent effects.
    """
    good = np.isfinite(beta) & np.isfinite(standard_error)
    b2, s2, d = beta[good] ** 2, standard_error[good] ** 2, spread[good]
    value = float(((b2 - s2) * d).sum())
    # Var(b^2) = 4 beta^2 se^2 + 2 se^4, of which 4 b^2 se^2 - 2 se^4 is an unbiased estimate.
    error = float(np.sqrt(max((d**2 * (4 * b2 * s2 - 2 * s2**2)).sum(), 0.0)))
    return Estimate(
        value, error, value - 1.96 * error, value + 1.96 * error, "sum of debiased squared effects"
    )
