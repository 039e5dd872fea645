"""Per-pair algebra of a tile of pairs: eliminate the two columns from their product, then test each response.

For columns x_i, x_j, their product p and a response r, all with a shared orthonormal basis Q projected out, the
coefficient of p beside x_i and x_j needs only sums over rows. `eliminate` does what is common to all responses that
share their rows, `assess` the rest. Sums arrive in the precision of the products; the algebra is float64.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gp_elm.kernels.topk import FIRST_KEY, KEY_SHIFT, N_BINS

NOMINAL_Z2 = 3.841458820694124


@njit(cache=True, nogil=True, error_model="numpy")
def eliminate(
    sums: np.ndarray,
    basis_products: np.ndarray,
    basis_i: np.ndarray,
    basis_j: np.ndarray,
    raw_i: np.ndarray,
    raw_j: np.ndarray,
    first_column: int,
    tolerance: float,
    weight_i: np.ndarray,
    weight_j: np.ndarray,
    inverse: np.ndarray,
    cross: np.ndarray,
    inverse_det: np.ndarray,
) -> int:
    """Take basis, x_i and x_j out of p for every pair of a tile.

    Parameters
    ----------
    sums : (4, I, J)
        Sums of x_i x_j, x_i^2 x_j, x_i x_j^2, x_i^2 x_j^2.
    basis_products : (k, I, J)
        Q'p.
    basis_i, basis_j : (I, k), (J, k)
        Q'x_i, Q'x_j.
    raw_i, raw_j : (I,), (J,)
        Sums of x_i^2, x_j^2.
    first_column : int
        Index of the first column less that of the first row; pairs with j <= i are left out.
    tolerance : float
        Smallest pivot, relative to the sum of squares it is left of, of a pair that is tested.
    weight_i, weight_j, inverse, cross, inverse_det : (I, J)
        Filled: coefficients of p on x_i and x_j, 1 / residual sum of squares of p (NaN where not tested),
        x_i'x_j, 1 / determinant of the Gram matrix of x_i and x_j.

    Returns
    -------
    int
        Pairs with i < j left out as degenerate.
    """
    n_i, n_j = sums.shape[1], sums.shape[2]
    n_basis = basis_products.shape[0]
    excluded = np.zeros(n_i, dtype=np.int64)
    for i in range(n_i):
        own_i = raw_i[i]
        for k in range(n_basis):
            own_i -= basis_i[i, k] * basis_i[i, k]
        c = np.empty(n_j)
        b1 = np.empty(n_j)
        b2 = np.empty(n_j)
        d = np.empty(n_j)
        own = np.empty(n_j)
        for j in range(n_j):
            c[j] = sums[0, i, j]
            b1[j] = sums[1, i, j]
            b2[j] = sums[2, i, j]
            d[j] = sums[3, i, j]
            own[j] = raw_j[j]
        for k in range(n_basis):
            q_i = basis_i[i, k]
            for j in range(n_j):
                q_j = basis_j[j, k]
                q_p = basis_products[k, i, j]
                c[j] -= q_i * q_j
                b1[j] -= q_i * q_p
                b2[j] -= q_j * q_p
                d[j] -= q_p * q_p
                own[j] -= q_j * q_j
        start = max(0, i + 1 - first_column)
        for j in range(n_j):
            det = own_i * own[j] - c[j] * c[j]
            over = 1.0 / det
            w_i = (b1[j] * own[j] - b2[j] * c[j]) * over
            w_j = (b2[j] * own_i - b1[j] * c[j]) * over
            left = d[j] - b1[j] * w_i - b2[j] * w_j
            # written so that a NaN counts as degenerate
            good = (
                (own_i > tolerance * raw_i[i])
                & (own[j] > tolerance * raw_j[j])
                & (det > tolerance * own_i * own[j])
                & (left > tolerance * sums[3, i, j])
            )
            weight_i[i, j] = w_i
            weight_j[i, j] = w_j
            cross[i, j] = c[j]
            inverse_det[i, j] = over
            inverse[i, j] = 1.0 / left if good else np.nan
        count = 0
        for j in range(n_j):
            if j < start:
                inverse[i, j] = np.nan
            elif np.isnan(inverse[i, j]):
                count += 1
        excluded[i] = count
    return excluded.sum()


@njit(cache=True, nogil=True, fastmath=True)
def _row_totals(values: np.ndarray) -> tuple[int, int, float, np.floating]:
    """Number, number above the nominal threshold, sum and largest of a row; -1 where not tested, no NaN."""
    n_tested = 0
    n_nominal = 0
    total = 0.0
    largest = np.float32(-1.0)
    for j in range(values.shape[0]):
        n_tested += 1 if values[j] >= 0.0 else 0
        n_nominal += 1 if values[j] > NOMINAL_Z2 else 0
        total += max(values[j], np.float32(0.0))
        largest = max(largest, values[j])
    return n_tested, n_nominal, total, largest


@njit(cache=True, nogil=True, error_model="numpy")
def assess(
    products: np.ndarray,
    weight_i: np.ndarray,
    weight_j: np.ndarray,
    inverse: np.ndarray,
    cross: np.ndarray,
    inverse_det: np.ndarray,
    own_i: np.ndarray,
    own_j: np.ndarray,
    response_i: np.ndarray,
    response_j: np.ndarray,
    response_ss: float,
    df: float,
    scale: float,
    shift: np.ndarray,
    variance_factor: float,
    beta: np.ndarray,
    standard_error: np.ndarray,
    z2: np.ndarray,
    row_max: np.ndarray,
    histogram: np.ndarray,
    row_sum: np.ndarray,
    row_best: np.ndarray,
    column_sum: np.ndarray,
    column_best: np.ndarray,
) -> tuple[int, float, int]:
    """Coefficient, standard error and z^2 of the product for one response, and their tallies.

    Parameters
    ----------
    products : (I, J)
        r'p.
    weight_i, weight_j, inverse, cross, inverse_det : (I, J)
        From `eliminate`.
    own_i, own_j : (I,), (J,)
        Sums of squares of x_i, x_j with the basis out.
    response_i, response_j : (I,), (J,)
        r'x_i, r'x_j.
    response_ss, df, scale : float
        r'r, residual degrees of freedom, unit of r.
    shift : (I, J) or (0, 0)
        Added to the coefficient before z is formed.
    variance_factor : float
        Multiplies the variance.
    beta, standard_error, z2 : (I, J)
        Filled; NaN where not tested.
    row_max, row_sum, row_best : (I,)
        Filled: largest z^2 (-1 where none), sum of z^2 and index of the largest in each row.
    histogram : (N_BINS + 1,) int64
        Added to; the last place counts what was not tested.
    column_sum, column_best : (J,)
        Filled: the same down the columns.

    Returns
    -------
    n_tested, sum of z^2, number above the nominal 5 % threshold of |z| (1.96)
    """
    n_i, n_j = products.shape
    shifted = shift.shape[0] > 0
    known = np.empty(n_j, dtype=np.float32)
    best = np.full(n_j, np.float32(-1.0))
    n_tested = 0
    n_nominal = 0
    sum_z2 = 0.0
    for j in range(n_j):
        column_sum[j] = 0.0
        column_best[j] = -1
    for i in range(n_i):
        e_i = response_i[i]
        for j in range(n_j):
            e_j = response_j[j]
            numerator = products[i, j] - e_i * weight_i[i, j] - e_j * weight_j[i, j]
            coefficient = numerator * inverse[i, j]
            additive = (
                e_i * e_i * own_j[j] - 2.0 * e_i * e_j * cross[i, j] + e_j * e_j * own_i[i]
            ) * inverse_det[i, j]
            left = max(response_ss - additive - coefficient * numerator, 0.0)
            variance = left / df * inverse[i, j] * variance_factor
            error = np.sqrt(variance)
            if shifted:
                coefficient += shift[i, j] / scale
            beta[i, j] = coefficient * scale
            standard_error[i, j] = error * scale
            z2[i, j] = coefficient * coefficient / variance
        row = z2[i]
        keys = row.view(np.int32)
        for j in range(n_j):
            # the bits of NaN are above all others; the last place of the histogram takes them
            key = ((keys[j] & 0x7FFFFFFF) >> KEY_SHIFT) - FIRST_KEY + 1
            place = N_BINS if row[j] != row[j] else min(max(key, 0), N_BINS - 1)
            histogram[place] += 1
        for j in range(n_j):
            value = row[j] if row[j] >= 0.0 else np.float32(-1.0)
            known[j] = value
            column_sum[j] += max(value, np.float32(0.0))
            better = value > best[j]
            best[j] = value if better else best[j]
            column_best[j] = i if better else column_best[j]
        tested, nominal, total, largest = _row_totals(known)
        n_tested += tested
        n_nominal += nominal
        sum_z2 += total
        row_max[i] = largest
        row_sum[i] = total
        row_best[i] = -1
        if tested:
            for j in range(n_j):
                if known[j] == largest:
                    row_best[i] = j
                    break
    return n_tested, sum_z2, n_nominal
