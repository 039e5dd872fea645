"""p-values in log space, genomic control, and corrections for many tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from gp_elm.errors import OptionError

_LOG10 = np.log(10.0)
_UNDERFLOW = 1e-200
"""Below this p-value scipy's survival functions lose digits or return 0, and the continued fraction takes over."""


def _log_incomplete_beta(a: np.ndarray, b: np.ndarray, log_x: np.ndarray, log_1mx: np.ndarray) -> np.ndarray:
    """Natural log of the regularised incomplete beta I_x(a, b), for x left of the mean.

    Leading term times the continued fraction 8.17.22 of the NIST Digital Library of Mathematical Functions, evaluated
    by Lentz's method; every factor stays in log space.
    """
    x = np.exp(log_x)
    tiny = 1e-300
    c = np.ones_like(x)
    d = 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / np.where(np.abs(d) < tiny, tiny, d)
    fraction = d.copy()
    for step in range(1, 5000):
        even = step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step))
        d = 1.0 + even * d
        c = 1.0 + even / c
        d = 1.0 / np.where(np.abs(d) < tiny, tiny, d)
        c = np.where(np.abs(c) < tiny, tiny, c)
        fraction *= d * c
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1))
        d = 1.0 + odd * d
        c = 1.0 + odd / c
        d = 1.0 / np.where(np.abs(d) < tiny, tiny, d)
        c = np.where(np.abs(c) < tiny, tiny, c)
        fraction *= d * c
        if np.all(np.abs(d * c - 1.0) < 1e-15):
            break
    return a * log_x + b * log_1mx - np.log(a) - special.betaln(a, b) + np.log(fraction)


def neg_log_10_p_f(statistic: ArrayLike, df_tested: ArrayLike, df: ArrayLike) -> np.ndarray:
    """-log10 of the upper tail of F, accurate however small the p-value.

    Parameters
    ----------
    statistic : array
        F statistics; NaN stays NaN.
    df_tested, df : array
        Degrees of freedom of the numerator and the denominator; broadcast.

    Returns
    -------
    array of float64
    """
    f, tested, left = np.broadcast_arrays(
        np.asarray(statistic, dtype=np.float64), np.asarray(df_tested, np.float64), np.asarray(df, np.float64)
    )
    result = np.full(f.shape, np.nan)
    valid = (f >= 0) & (tested > 0) & (left > 0)
    tail = special.fdtrc(tested[valid], left[valid], f[valid])
    values = np.empty_like(tail)
    far = ~(tail > _UNDERFLOW)
    values[~far] = -np.log10(tail[~far])
    if far.any():
        q, nu, ratio = tested[valid][far], left[valid][far], f[valid][far]
        with np.errstate(divide="ignore", invalid="ignore"):
            # x = nu / (nu + q F): log1p keeps the digits of a large power of a number near 1
            log_x = -np.log1p(q * ratio / nu)
            log_1mx = -np.log1p(nu / (q * ratio))
            values[far] = -_log_incomplete_beta(nu / 2, q / 2, log_x, log_1mx) / _LOG10
        values[far] = np.where(np.isinf(ratio), np.inf, values[far])
    result[valid] = np.abs(values)
    return result


def neg_log_10_p(t: ArrayLike, df: ArrayLike) -> np.ndarray:
    """-log10 of the two-sided p-value of Student's t, accurate however small it is.

    Parameters
    ----------
    t : array
        t statistics; NaN stays NaN, an infinite t gives infinity.
    df : array
        Residual degrees of freedom, broadcast against `t`; infinite means the normal distribution.

    Returns
    -------
    array of float64

    Notes
    -----
    ``scipy.stats.t.logsf(60, 9989)`` is -inf; here the leading term of the incomplete beta function takes over.
    """
    t, df = np.broadcast_arrays(np.asarray(t, dtype=np.float64), np.asarray(df, dtype=np.float64))
    result = np.full(t.shape, np.nan)
    normal = np.isinf(df) & ~np.isnan(t)
    result[normal] = -(special.log_ndtr(-np.abs(t[normal])) + np.log(2.0)) / _LOG10
    student = np.isfinite(df) & (df > 0) & ~np.isnan(t)
    if student.any():
        size, nu = np.abs(t[student]), df[student]
        tail = 2.0 * special.stdtr(nu, -size)
        far = ~(tail > _UNDERFLOW)
        with np.errstate(divide="ignore"):
            values = -np.log10(tail)
        if far.any():
            values[far] = neg_log_10_p_f(size[far] ** 2, 1.0, nu[far])
        result[student] = values
    return np.maximum(result, 0.0)


def p_value(t: ArrayLike, df: ArrayLike) -> np.ndarray:
    """Two-sided p-value of Student's t; 0 only where it is below the smallest float64.

    Parameters
    ----------
    t, df : array
        As in `neg_log_10_p`.

    Returns
    -------
    array of float64
    """
    t, df = np.broadcast_arrays(np.asarray(t, dtype=np.float64), np.asarray(df, dtype=np.float64))
    near = np.full(t.shape, np.nan)
    student = np.isfinite(df) & (df > 0) & ~np.isnan(t)
    near[student] = 2.0 * special.stdtr(df[student], -np.abs(t[student]))
    normal = np.isinf(df) & ~np.isnan(t)
    near[normal] = 2.0 * special.ndtr(-np.abs(t[normal]))
    far = student & ~(near > _UNDERFLOW)
    near[far] = 10.0 ** -neg_log_10_p(t[far], df[far])
    return near


def lambda_gc(p_values: ArrayLike) -> float:
    """Genomic control factor: the median chi-square of the tests over that of the null (Devlin, Roeder 1999).

    Parameters
    ----------
    p_values : array
        NaN left out.

    Returns
    -------
    float
        NaN where nothing was tested.
    """
    p = np.asarray(p_values, dtype=np.float64)
    p = p[~np.isnan(p)]
    if p.size == 0:
        return float("nan")
    return float(stats.chi2.isf(np.median(p), 1) / stats.chi2.isf(0.5, 1))


def adjust(p_values: ArrayLike, method: str = "fdr_bh", *, n_tests: int | None = None) -> np.ndarray:
    """p-values corrected for the number of tests.

    Parameters
    ----------
    p_values : (m,) array
        NaN is left out of the count and stays NaN.
    method : {"fdr_bh", "fdr_by", "bonferroni"}
        Benjamini-Hochberg or Benjamini-Yekutieli false discovery rate, or Bonferroni.
    n_tests : int, optional
        Number of tests for Bonferroni where more were made than are listed.

    Returns
    -------
    (m,) float64

    Raises
    ------
    OptionError
        For another method.
    """
    p = np.asarray(p_values, dtype=np.float64)
    result = np.full(p.shape, np.nan)
    valid = ~np.isnan(p)
    if method == "bonferroni":
        result[valid] = np.minimum(p[valid] * (n_tests or int(valid.sum())), 1.0)
    elif method in ("fdr_bh", "fdr_by"):
        if valid.any():
            result[valid] = stats.false_discovery_control(p[valid], method=method.removeprefix("fdr_"))
    else:
        raise OptionError(f"unknown correction {method!r}; choose fdr_bh, fdr_by or bonferroni")
    return result
