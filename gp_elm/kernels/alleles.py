"""Counting one allele of each record in calls that name the allele on each chromosome copy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def count_allele(
    calls: NDArray[Any],
    rows: NDArray[np.int64],
    alleles: NDArray[np.int64],
    columns: NDArray[np.int64],
    copies: NDArray[np.int8],
    to_rows: NDArray[np.int64],
    to_columns: NDArray[np.int64],
) -> int:
    """Write copies of an allele, as many as a diploid would have: 0, 1, 2, or -1 where any copy is missing.

    Parameters
    ----------
    calls : ndarray of int, shape (records, samples, 1 or 2)
        Number of the allele on each copy, -1 missing, -2 where there is no second copy; a haploid call counts twice.
    rows, alleles : ndarray of int64, shape (k,)
        Records to count in, and the allele that is counted in each.
    columns : ndarray of int64, shape (n,)
        Samples to count in.
    copies : ndarray of int8, shape (variants, all samples)
        Where the result goes: to its rows ``to_rows`` (k,) and columns ``to_columns`` (n,).
    to_rows, to_columns : ndarray of int64
        See ``copies``.

    Returns
    -------
    int
        The largest allele number that was met.
    """
    return _count(calls, rows, alleles, columns, copies, to_rows, to_columns)


@njit(cache=True, nogil=True)
def _count(calls, rows, alleles, columns, copies, to_rows, to_columns):  # type: ignore[no-untyped-def]
    diploid, largest = calls.shape[2] == 2, 0
    for r in range(len(rows)):
        record, allele, to_row = rows[r], alleles[r], to_rows[r]
        for c in range(len(columns)):
            first = calls[record, columns[c], 0]
            second = calls[record, columns[c], 1] if diploid else -2
            if second == -2:
                second = first
            largest = max(largest, first, second)
            count = (first == allele) + (second == allele)
            copies[to_row, to_columns[c]] = -1 if first < 0 or second < 0 else count
    return largest
