"""Two-bit genotype codes: packing, unpacking through a table, and counting.

A byte holds the codes of four neighbouring columns, low bits first. Codes 0, 1 and 2 are copies of the effect
allele, 3 is a missing call (this is not the code of a BED file).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

MISSING_CODE = 3
"""Two-bit code of a missing call."""

CALLS_PER_BYTE = 4
"""Calls held by one byte."""


def row_bytes(n_columns: int) -> int:
    """Bytes that a row of ``n_columns`` two-bit codes takes, padded to whole bytes."""
    return (n_columns + CALLS_PER_BYTE - 1) // CALLS_PER_BYTE


def pack(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pack codes four to a byte.

    Parameters
    ----------
    codes : ndarray of uint8, shape (rows, columns)
        Codes 0 to 3.

    Returns
    -------
    ndarray of uint8, shape (rows, row_bytes(columns))
        The bits of the padding are 0.
    """
    rows, columns = codes.shape
    padded = np.zeros((rows, row_bytes(columns) * CALLS_PER_BYTE), dtype=np.uint8)
    padded[:, :columns] = codes
    quads = padded.reshape(rows, -1, CALLS_PER_BYTE)
    packed = quads[..., 0] | quads[..., 1] << 2 | quads[..., 2] << 4 | quads[..., 3] << 6
    return packed.astype(np.uint8)


def decode_table(
    center: NDArray[np.floating], scale: NDArray[np.floating] | None = None
) -> NDArray[np.float32]:
    """Table that turns a code into a centred and scaled dosage, and a missing call into 0.

    Parameters
    ----------
    center : ndarray, shape (p,)
        What is subtracted from the dosage of each column.
    scale : ndarray, shape (p,), optional
        Factor after centring; 1 when not given.

    Returns
    -------
    ndarray of float32, shape (p, 4)
        Value of each code in each column, for :func:`unpack`.
    """
    table = np.zeros((len(center), 4), dtype=np.float32)
    values = np.arange(3)[None, :] - np.asarray(center, dtype=np.float64)[:, None]
    if scale is not None:
        values *= np.asarray(scale, dtype=np.float64)[:, None]
    table[:, :3] = values
    return table


def unpack(
    packed: NDArray[np.uint8],
    columns: NDArray[np.int64] | None,
    table: NDArray[np.float32],
    *,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Decode packed rows: ``out[r, j] = table[j, code of column j (or columns[j]) in row r]``.

    Parameters
    ----------
    packed : ndarray of uint8, shape (rows, row_bytes)
        Packed codes.
    columns : ndarray of int64, shape (p,), optional
        Columns to decode, in any order; all columns when None.
    table : ndarray of float32, shape (p, 4)
        Value of each code, a row for each decoded column.
    out : ndarray of float32, shape (rows, p), optional
        C-ordered array to write to.

    Returns
    -------
    ndarray of float32, shape (rows, p)
        The decoded block.

    Raises
    ------
    IndexError
        Where a column, or the table, reaches beyond the packed rows.
    """
    n_columns = len(table)
    reach = int(columns.max(initial=-1)) + 1 if columns is not None else n_columns
    if reach > packed.shape[1] * CALLS_PER_BYTE or (columns is not None and columns.min(initial=0) < 0):
        raise IndexError(f"columns up to {reach} asked of rows that hold {packed.shape[1] * CALLS_PER_BYTE}")
    if columns is not None and len(columns) != n_columns:
        raise IndexError(f"{len(columns)} columns with a table of {n_columns} rows")
    if out is None:
        out = np.empty((len(packed), n_columns), dtype=np.float32)
    by_code = np.ascontiguousarray(table.T, dtype=np.float32)
    if columns is None:
        _unpack_all(packed, by_code, out)
    else:
        _unpack_columns(packed, np.ascontiguousarray(columns, dtype=np.int64), by_code, out)
    return out


def byte_table(dtype: type[np.floating] = np.float32) -> NDArray[np.floating]:
    """Dosages of the four calls of each byte, missing calls 0: shape (256, 4), for :func:`unpack_raw`."""
    codes = (np.arange(256)[:, None] >> np.array([0, 2, 4, 6])) & 3
    return np.where(codes == MISSING_CODE, 0, codes).astype(dtype)


def unpack_raw(packed: NDArray[np.uint8], *, dtype: type[np.floating] = np.float32) -> NDArray[np.floating]:
    """Decode whole rows to dosages, missing calls 0; the fastest decoder.

    Parameters
    ----------
    packed : ndarray of uint8, shape (rows, row_bytes)
        Packed codes.
    dtype : float32 or float64
        Type of the result; dosages are exact in both.

    Returns
    -------
    ndarray, shape (rows, 4 * row_bytes)
        Dosages, padding included (0).
    """
    # Four floats are moved as one item: float32 as a complex number of 16 bytes, float64 as two of them.
    table = byte_table(dtype).view(np.complex128)
    out = np.empty((*packed.shape, table.shape[1]), dtype=np.complex128)
    if table.shape[1] == 1:
        _move_one(packed, table[:, 0], out.reshape(packed.shape))
    else:
        _move_two(packed, table, out)
    return out.reshape(len(packed), packed.shape[1] * table.shape[1]).view(dtype)


@njit(cache=True, nogil=True)
def _move_one(packed, table, out):  # type: ignore[no-untyped-def]
    for r in range(packed.shape[0]):
        for b in range(packed.shape[1]):
            out[r, b] = table[packed[r, b]]


@njit(cache=True, nogil=True)
def _move_two(packed, table, out):  # type: ignore[no-untyped-def]
    for r in range(packed.shape[0]):
        for b in range(packed.shape[1]):
            byte = packed[r, b]
            out[r, b, 0] = table[byte, 0]
            out[r, b, 1] = table[byte, 1]


# Columns are taken in tiles so that the tile's part of the table (16 bytes a column) stays in the first-level cache
# while all rows pass.
_TILE = 1024


@njit(cache=True, nogil=True)
def _unpack_all(packed, table, out):  # type: ignore[no-untyped-def]
    rows, columns = out.shape
    codes = np.empty(_TILE, dtype=np.int32)
    for start in range(0, columns, _TILE):
        stop = min(start + _TILE, columns)
        count = stop - start
        zero, one, two, missing = (
            table[0, start:stop],
            table[1, start:stop],
            table[2, start:stop],
            table[3, start:stop],
        )
        for r in range(rows):
            # Codes first, then selects without branches: both loops become vector instructions.
            for b in range((count + 3) // 4):
                byte = np.int32(packed[r, start // 4 + b])
                codes[4 * b] = byte & 3
                codes[4 * b + 1] = (byte >> 2) & 3
                codes[4 * b + 2] = (byte >> 4) & 3
                codes[4 * b + 3] = byte >> 6
            row = out[r, start:stop]
            for j in range(count):
                code = codes[j]
                value = zero[j]
                value = one[j] if code == 1 else value
                value = two[j] if code == 2 else value
                value = missing[j] if code == MISSING_CODE else value
                row[j] = value


@njit(cache=True, nogil=True)
def _unpack_columns(packed, columns, table, out):  # type: ignore[no-untyped-def]
    rows, count = out.shape
    for start in range(0, count, _TILE):
        stop = min(start + _TILE, count)
        for r in range(rows):
            for j in range(start, stop):
                column = columns[j]
                out[r, j] = table[(packed[r, column >> 2] >> (2 * (column & 3))) & 3, j]


@njit(cache=True, nogil=True)
def count_codes(packed, n_columns):  # type: ignore[no-untyped-def]
    """Count the codes of each column.

    Parameters
    ----------
    packed : ndarray of uint8, shape (rows, row_bytes)
        Packed codes.
    n_columns : int
        Columns to count.

    Returns
    -------
    ndarray of int64, shape (n_columns, 4)
        How many rows have each code.
    """
    counts = np.zeros((n_columns, 4), dtype=np.int64)
    for start in range(0, n_columns, _TILE):
        stop = min(start + _TILE, n_columns)
        for r in range(packed.shape[0]):
            for j in range(start, stop):
                counts[j, (packed[r, j >> 2] >> (2 * (j & 3))) & 3] += 1
    return counts


@njit(cache=True, nogil=True)
def pack_transposed(dosage, out, first):  # type: ignore[no-untyped-def]
    """Add the calls of a variant-major block to packed sample-major rows.

    Parameters
    ----------
    dosage : ndarray of int8, shape (variants, samples)
        Dosages 0, 1, 2, or -1 for a missing call.
    out : ndarray of uint8, shape (samples, bytes)
        Packed rows; the bits of the columns written here must be 0 before.
    first : int
        Column of the block's first variant within ``out``.

    Returns
    -------
    int
        -1, or the index of the first variant that holds another value (the block is then not fully written).
    """
    variants, samples = dosage.shape
    # Tiles of 256 samples by 64 bytes: one cache line a sample.
    for start in range(0, samples, 256):
        stop = min(start + 256, samples)
        for v in range(variants):
            column = first + v
            byte = column >> 2
            shift = 2 * (column & 3)
            for s in range(start, stop):
                code = dosage[v, s]
                if code == -1:
                    code = MISSING_CODE
                elif code < 0 or code > 2:
                    return v
                out[s, byte] |= np.uint8(code << shift)
    return -1
