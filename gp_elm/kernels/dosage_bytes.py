"""Imputed dosages as bytes: packing, unpacking through a table, sums and missing values.

A byte holds a dosage of 0 to 2 in steps of 1/127: 0 is none, 127 one copy, 254 two, 255 a missing value. Whole copies
are exact; any other dosage is moved by at most 1/254.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gp_elm.kernels.decode import check_columns

STEPS = 127
"""Steps of a copy."""

MISSING_BYTE = 255
"""Byte of a missing value."""


def unpack_bytes(
    packed: NDArray[np.uint8],
    columns: NDArray[np.int64] | None,
    table: NDArray[np.float32],
    *,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Decode rows of bytes through the values of whole copies, straight lines between them.

    Parameters
    ----------
    packed : ndarray of uint8, shape (rows, columns held)
        Dosage bytes.
    columns : ndarray of int64, shape (p,), optional
        Columns to decode, in any order; the first p when None.
    table : ndarray of float32, shape (p, 4)
        Value of 0, 1 and 2 copies and of a missing one, a row for each decoded column.
    out : ndarray of float32, shape (rows, p), optional
        C-ordered array to write to.

    Returns
    -------
    ndarray of float32, shape (rows, p)
        The decoded block.

    Raises
    ------
    IndexError
        Where a column, or the table, reaches beyond the rows.
    """
    check_columns(columns, table, packed.shape[1])
    if out is None:
        out = np.empty((len(packed), len(table)), dtype=np.float32)
    zero, one, two, missing = np.ascontiguousarray(table.T, dtype=np.float32)
    below, above = (one - zero) / np.float32(STEPS), (two - one) / np.float32(STEPS)
    if columns is not None:
        packed = packed[:, columns]
    _unpack(packed, below, one, above, missing, out)
    return out


@njit(cache=True, nogil=True)
def _unpack(packed, below, one, above, missing, out):  # type: ignore[no-untyped-def]
    for r in range(out.shape[0]):
        row, target = packed[r], out[r]
        for j in range(len(target)):
            byte = np.int32(row[j])
            slope = below[j] if byte < STEPS else above[j]
            value = one[j] + np.float32(byte - STEPS) * slope
            target[j] = missing[j] if byte == MISSING_BYTE else value


def raw_dosages(packed: NDArray[np.uint8], dtype: type[np.floating] = np.float32) -> NDArray[np.floating]:
    """Dosages (rows, columns) of bytes, missing values 0."""
    values = np.where(np.arange(256) == MISSING_BYTE, 0.0, np.arange(256) / STEPS).astype(dtype)
    return values[packed]


@njit(cache=True, nogil=True)
def byte_sums(packed, n_columns, sums):  # type: ignore[no-untyped-def]
    """Add to ``sums`` (3, n_columns) each column's measured rows, and the sum and sum of squares of their bytes.

    Parameters
    ----------
    packed : ndarray of uint8, shape (rows, columns held)
        Dosage bytes.
    n_columns : int
        Columns to sum.
    sums : ndarray of int64, shape (3, n_columns)
        Changed in place.
    """
    for r in range(packed.shape[0]):
        for j in range(n_columns):
            byte = np.int64(packed[r, j])
            if byte != MISSING_BYTE:
                sums[0, j] += 1
                sums[1, j] += byte
                sums[2, j] += byte * byte


@njit(cache=True, nogil=True)
def store_transposed(dosage, out, first, place):  # type: ignore[no-untyped-def]
    """Write a variant-major block of dosages as bytes of sample-major rows.

    Parameters
    ----------
    dosage : ndarray of float32, shape (variants, samples)
        Dosages 0 to 2, NaN where missing.
    out : ndarray of uint8, shape (samples, bytes)
        Rows to write to.
    first : int
        Column of the block's first variant within ``out``.
    place : ndarray of int64, shape (samples,)
        Row of ``out`` of each sample.

    Returns
    -------
    int
        -1, or the index of the first variant that holds another value (the block is then not fully written).
    """
    variants, samples = dosage.shape
    for start in range(0, samples, 256):
        stop = min(start + 256, samples)
        for v in range(variants):
            for s in range(start, stop):
                value = dosage[v, s]
                if np.isnan(value):
                    out[place[s], first + v] = MISSING_BYTE
                elif value < 0 or value > 2:
                    return v
                else:
                    out[place[s], first + v] = np.uint8(value * STEPS + np.float32(0.5))
    return -1


@njit(cache=True, nogil=True)
def byte_block_sums(dosage, sums):  # type: ignore[no-untyped-def]
    """Write to ``sums`` (3, variants) what :func:`byte_sums` counts, from a variant-major block of dosages."""
    for v in range(dosage.shape[0]):
        called, total, squares = 0, 0, 0
        for s in range(dosage.shape[1]):
            value = dosage[v, s]
            if not np.isnan(value):
                byte = int(np.uint8(value * STEPS + np.float32(0.5)))
                called += 1
                total += byte
                squares += byte * byte
        sums[0, v], sums[1, v], sums[2, v] = called, total, squares


@njit(cache=True, nogil=True)
def add_rows_at_missing_bytes(packed, n_columns, values, out):  # type: ignore[no-untyped-def]
    """Add to row j of ``out`` (n_columns, k) the ``values`` (rows, k) of the rows whose byte in column j is missing."""
    for r in range(packed.shape[0]):
        for j in range(n_columns):
            if packed[r, j] == MISSING_BYTE:
                for k in range(values.shape[1]):
                    out[j, k] += values[r, k]


@njit(cache=True, nogil=True)
def add_columns_at_missing_bytes(packed, n_columns, values, out):  # type: ignore[no-untyped-def]
    """Add to row r of ``out`` (rows, k) the ``values`` (n_columns, k) of the columns whose byte in row r is missing."""
    for r in range(packed.shape[0]):
        for j in range(n_columns):
            if packed[r, j] == MISSING_BYTE:
                for k in range(values.shape[1]):
                    out[r, k] += values[j, k]
