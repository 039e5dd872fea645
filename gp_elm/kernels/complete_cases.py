"""Least squares of many small designs that share most of their rows and columns, exactly on complete cases.

Every design is [basis, regressors]: the basis (intercept and covariates, orthonormal over all rows) and the responses
are shared; the regressors differ, and so do the few rows where they are missing. Sums over all rows come from matrix
products; each missing row is then taken out of the normal equations by itself, and a bordered Cholesky factor gives
the coefficient of the last regressor and the sum of squares of the tested ones (METHOD, section 6).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

RELATIVE_PIVOT = 1e-9
"""A column whose part outside the columns before it is below this share of its centred sum of squares is degenerate."""


class Fits(NamedTuple):
    """What `fit_last` returns for b designs and T responses.

    ``beta`` and ``standard_error`` (b, T) of the last regressor; ``tested_ss`` (b, T) sum of squares explained by the
    tested regressors after all others; ``tested_rank`` (b,); ``rss`` (b, T); ``df`` (b,) residual degrees of freedom;
    ``n`` (b,) complete rows.
    """

    beta: np.ndarray
    standard_error: np.ndarray
    tested_ss: np.ndarray
    tested_rank: np.ndarray
    rss: np.ndarray
    df: np.ndarray
    n: np.ndarray


@njit(cache=True, nogil=True)
def _missing_rows(missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Missing rows of each design, one after the other, and where each design's begin."""
    n_designs, n_rows = missing.shape
    start = np.zeros(n_designs + 1, dtype=np.int64)
    for b in range(n_designs):
        count = 0
        for r in range(n_rows):
            count += missing[b, r]
        start[b + 1] = start[b] + count
    rows = np.empty(start[n_designs], dtype=np.int64)
    for b in range(n_designs):
        at = start[b]
        if start[b + 1] == at:
            continue
        for r in range(n_rows):
            if missing[b, r]:
                rows[at] = r
                at += 1
    return start, rows


@njit(cache=True, nogil=True, error_model="numpy")
def _fit(
    basis_sums: np.ndarray,
    response_sums: np.ndarray,
    gram: np.ndarray,
    row_start: np.ndarray,
    missing_rows: np.ndarray,
    rows: np.ndarray,
    basis: np.ndarray,
    responses: np.ndarray,
    response_ss: np.ndarray,
    n_rows: int,
    n_tested: int,
    strict: bool,
    beta: np.ndarray,
    standard_error: np.ndarray,
    tested_ss: np.ndarray,
    tested_rank: np.ndarray,
    rss: np.ndarray,
    df: np.ndarray,
    n: np.ndarray,
) -> None:
    n_regressors, n_designs, n_basis = basis_sums.shape
    n_responses = responses.shape[1]
    size = n_basis + n_regressors
    for b in range(n_designs):
        normal = np.zeros((size, size))
        right = np.zeros((size, n_responses))
        total = response_ss.copy()
        for k in range(n_basis):
            normal[k, k] = 1.0
        count = n_rows
        for at in range(row_start[b], row_start[b + 1]):
            row = missing_rows[at]
            if not rows[row]:
                continue
            count -= 1
            for k in range(n_basis):
                for h in range(k + 1):
                    normal[k, h] -= basis[row, k] * basis[row, h]
                for t in range(n_responses):
                    right[k, t] -= basis[row, k] * responses[row, t]
            for t in range(n_responses):
                total[t] -= responses[row, t] ** 2
        for g in range(n_regressors):
            for k in range(n_basis):
                normal[n_basis + g, k] = basis_sums[g, b, k]
            for h in range(g + 1):
                normal[n_basis + g, n_basis + h] = gram[g, h, b]
            for t in range(n_responses):
                right[n_basis + g, t] = response_sums[g, b, t]

        rank = 0
        rank_tested = 0
        degenerate = False
        kept = np.zeros(size, dtype=np.bool_)
        explained = np.zeros(n_responses)
        explained_tested = np.zeros(n_responses)
        for j in range(size):
            original = normal[j, j]
            pivot = original
            reference = original
            for h in range(j):
                if not kept[h]:
                    normal[j, h] = 0.0
                    continue
                value = normal[j, h]
                for t in range(h):
                    value -= normal[j, t] * normal[h, t]
                value /= normal[h, h]
                normal[j, h] = value
                pivot -= value * value
                if h == 0 and j >= n_basis:
                    reference = pivot
            if pivot <= RELATIVE_PIVOT * reference or reference <= 1e-12 * original:
                if j >= n_basis and strict:
                    degenerate = True
                if j == size - 1:
                    degenerate = degenerate or n_tested == 1
                continue
            kept[j] = True
            rank += 1
            diagonal = np.sqrt(pivot)
            normal[j, j] = diagonal
            tested = j >= size - n_tested
            if tested:
                rank_tested += 1
            for t in range(n_responses):
                value = right[j, t]
                for h in range(j):
                    if kept[h]:
                        value -= normal[j, h] * right[h, t]
                value /= diagonal
                right[j, t] = value
                explained[t] += value * value
                if tested:
                    explained_tested[t] += value * value
        freedom = count - rank
        n[b] = count
        tested_rank[b] = rank_tested
        df[b] = freedom
        if degenerate or freedom < 1 or rank_tested == 0:
            tested_rank[b] = 0
            beta[b] = np.nan
            standard_error[b] = np.nan
            tested_ss[b] = np.nan
            rss[b] = np.nan
            continue
        for t in range(n_responses):
            left = max(total[t] - explained[t], 0.0)
            rss[b, t] = left
            tested_ss[b, t] = explained_tested[t]
            if kept[size - 1]:
                beta[b, t] = right[size - 1, t] / normal[size - 1, size - 1]
                standard_error[b, t] = np.sqrt(left / freedom) / normal[size - 1, size - 1]
            else:
                beta[b, t] = np.nan
                standard_error[b, t] = np.nan


def fit_last(
    regressors: np.ndarray,
    missing: np.ndarray,
    rows: np.ndarray,
    basis: np.ndarray,
    responses: np.ndarray,
    response_ss: np.ndarray,
    *,
    n_tested: int = 1,
    strict: bool = True,
) -> Fits:
    """Fit b designs to T responses on the rows where nothing is missing.

    Parameters
    ----------
    regressors : (R, b, n) float64
        Regressors of each design, 0 where missing. The last `n_tested` are tested.
    missing : (b, n) bool
        Rows where a regressor of the design is missing.
    rows : (n,) bool
        Rows where responses and covariates are present.
    basis : (n, k) float64
        Orthonormal over `rows`, 0 outside, the constant first.
    responses : (n, T) float64
        Orthogonal to the basis, 0 outside `rows`.
    response_ss : (T,) float64
        Their sums of squares.
    n_tested : int
        How many of the last regressors are tested together.
    strict : bool
        Whether one degenerate regressor makes the design NaN; otherwise it is left out and the rank counts it.

    Returns
    -------
    Fits
    """
    n_regressors, n_designs, n_all = regressors.shape
    flat = regressors.reshape(n_regressors * n_designs, n_all)
    basis_sums = (flat @ basis).reshape(n_regressors, n_designs, -1)
    response_sums = (flat @ responses).reshape(n_regressors, n_designs, -1)
    gram = np.zeros((n_regressors, n_regressors, n_designs))
    everyone = bool(rows.all())
    weights = rows.astype(np.float64)
    for g in range(n_regressors):
        for h in range(g + 1):
            if everyone:
                gram[g, h] = np.einsum("bn,bn->b", regressors[g], regressors[h])
            else:
                gram[g, h] = np.einsum("bn,bn,n->b", regressors[g], regressors[h], weights)
    row_start, missing_rows = _missing_rows(np.ascontiguousarray(missing))
    shape = (n_designs, responses.shape[1])
    fits = Fits(
        beta=np.empty(shape),
        standard_error=np.empty(shape),
        tested_ss=np.empty(shape),
        tested_rank=np.zeros(n_designs, dtype=np.int64),
        rss=np.empty(shape),
        df=np.zeros(n_designs, dtype=np.int64),
        n=np.zeros(n_designs, dtype=np.int64),
    )
    _fit(
        basis_sums,
        response_sums,
        gram,
        row_start,
        missing_rows,
        rows,
        np.ascontiguousarray(basis),
        np.ascontiguousarray(responses),
        response_ss,
        int(rows.sum()),
        n_tested,
        strict,
        *fits,
    )
    return fits
