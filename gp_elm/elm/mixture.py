"""Tails of quadratic forms: p-values of a sum of correlated z^2, and of several p-values together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Floats = NDArray[np.float64]
SMALLEST = 1e-300


def ratio_p_value(eigenvalues: Floats, df: float, q: float) -> float:
    """P(df y'Ay / y'y > q) for normal y, A having the given eigenvalues in a space of df dimensions.

    The saddlepoint of ``sum_k (l_k - q/df) chi2_k > 0`` (Kuonen 1999, Biometrika 86, 929), within a few per cent of the
    exact tail for every p. The ratio stands for a sum of z^2 whose error variance comes from the same residuals.

    Parameters
    ----------
    eigenvalues : (p,) float
        Those of A that are not 0; where there are more than df, the largest df count.
    df : float
        Dimensions.
    q : float
        Observed sum of z^2.

    Returns
    -------
    float
        At least 1e-300.
    """
    kept = np.sort(eigenvalues)[::-1][: int(df)]
    weights = np.append(kept - q / df, -q / df)
    count = np.append(np.ones(kept.size), max(df - kept.size, 0.0))
    weights, count = weights[count > 0], count[count > 0]
    largest, smallest = float(weights.max()), float(weights.min())
    if largest <= 0 or smallest >= 0:
        return SMALLEST if largest <= 0 else 1.0
    weights = weights / largest

    def slope(t: float) -> float:
        return float((count * weights / (1 - 2 * weights * t)).sum())

    low, high = 0.5 * largest / smallest, 0.5
    t = float(optimize.brentq(slope, low * (1 - 1e-12), high * (1 - 1e-12), xtol=1e-14))
    inner = 1 - 2 * weights * t
    spread = np.sqrt(2 * (count * (weights / inner) ** 2).sum())
    w = np.sign(t) * np.sqrt(max((count * np.log(inner)).sum(), 0.0))
    if abs(w) < 1e-4:
        # the formula's limit at the mean
        skew = 8 * (count * weights**3).sum() / (2 * (count * weights**2).sum()) ** 1.5
        return float(np.clip(0.5 - skew / (6 * np.sqrt(2 * np.pi)), SMALLEST, 1.0))
    r = w + np.log(t * spread / w) / w
    return float(np.clip(special.ndtr(-r), SMALLEST, 1.0))


def gamma_p_value(q: Floats, mean: Floats, variance: Floats, third: Floats) -> Floats:
    """Upper tail of a shifted gamma (Pearson III) with given mean, variance and third central moment.

    Parameters
    ----------
    q, mean, variance, third : float arrays of one shape
        A third moment of 0 or less gives the normal tail.

    Returns
    -------
    float array
        At least 1e-300; NaN where the variance is not positive.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (q - mean) / np.sqrt(np.where(variance > 0, variance, np.nan))
        skew = third / variance**1.5
        shape = 4 / skew**2
        tail = special.gammaincc(shape, np.maximum(shape + z * np.sqrt(shape), 0.0))
    p = np.where(skew > 1e-3, tail, special.ndtr(-z))
    return np.clip(p, SMALLEST, 1.0)


def cauchy_combination(p: Floats) -> Floats:
    """Join p-values along the last axis into one (Liu and Xie 2020, JASA 115, 393), whatever their dependence.

    Parameters
    ----------
    p : (..., k) float
        The p-values; NaN in any gives NaN.

    Returns
    -------
    (...) float
        Mean of the Cauchy transforms, back on the scale of a p-value.
    """
    p = np.clip(p, SMALLEST, 1 - 1e-15)
    small = p < 1e-12
    # tan loses everything near its pole
    each = np.where(small, 1 / (np.pi * p), np.tan((0.5 - np.where(small, 0.5, p)) * np.pi))
    mean = each.mean(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(mean > 1e12, 1 / (np.pi * mean), 0.5 - np.arctan(mean) / np.pi)
