"""Two-bit genotype codes: packing, unpacking through a table, and counting.

A byte holds the codes of four neighbouring columns, low bits first, in the code of a BED file: 0 is two copies of the
effect allele, 1 a missing call, 2 one copy, 3 none (https://www.cog-genomics.org/plink/1.9/formats#bed).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gp_elm.kernels.bed import CODES

MISSING_CODE = 1
"""Two-bit code of a missing call."""

CODE_OF_COPIES = np.array([3, 2, 0, MISSING_CODE], dtype=np.uint8)
"""Code of 0, 1, 2 copies and of a missing call: the order of the columns of a decoding table."""

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
    """Table that turns a call into a centred and scaled dosage, and a missing call into 0.

    Parameters
    ----------
    center : ndarray, shape (p,)
        What is subtracted from the dosage of each column.
    scale : ndarray, shape (p,), optional
        Factor after centring; 1 when not given.

    Returns
    -------
    ndarray of float32, shape (p, 4)
        Value of 0, 1 and 2 copies and of a missing call in each column, for :func:`unpack`.
    """
    values = np.arange(3)[:, None] - np.asarray(center, dtype=np.float64)
    if scale is not None:
        values *= np.asarray(scale, dtype=np.float64)
    # a row for each call in memory, as the decoder reads it
    table = np.zeros((4, len(center)), dtype=np.float32)
    table[:3] = values
    return table.T


def unpack(
    packed: NDArray[np.uint8],
    columns: NDArray[np.int64] | None,
    table: NDArray[np.float32],
    *,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Decode packed rows: ``out[r, j] = table[j, copies in column j (or columns[j]) of row r]``, 3 where missing.

    Parameters
    ----------
    packed : ndarray of uint8, shape (rows, row_bytes)
        Packed codes.
    columns : ndarray of int64, shape (p,), optional
        Columns to decode, in any order; all columns when None.
    table : ndarray of float32, shape (p, 4)
        Value of 0, 1 and 2 copies and of a missing call, a row for each decoded column.
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
    check_columns(columns, table, packed.shape[1] * CALLS_PER_BYTE)
    if out is None:
        out = np.empty((len(packed), len(table)), dtype=np.float32)
    values, bits = np.ascontiguousarray(table.T, dtype=np.float32).view(np.int32), out.view(np.int32)
    if columns is None:
        _unpack_all(packed, values, _FOUR_CODES, bits)
    else:
        _unpack_columns(packed, np.ascontiguousarray(columns, dtype=np.int64), values, _FOUR_CODES, bits)
    return out


def check_columns(columns: NDArray[np.int64] | None, table: NDArray[np.float32], held: int) -> None:
    """Refuse columns beyond the ``held`` ones of the rows (IndexError), and a table that is not theirs."""
    reach = int(columns.max(initial=-1)) + 1 if columns is not None else len(table)
    if reach > held or (columns is not None and columns.min(initial=0) < 0):
        raise IndexError(f"columns up to {reach} asked of rows that hold {held}")
    if columns is not None and len(columns) != len(table):
        raise IndexError(f"{len(columns)} columns with a table of {len(table)} rows")


def byte_table(dtype: type[np.floating] = np.float32) -> NDArray[np.floating]:
    """Dosages of the four calls of each byte, missing calls 0: shape (256, 4), for :func:`unpack_raw`."""
    return np.maximum(CODES[(np.arange(256)[:, None] >> np.array([0, 2, 4, 6])) & 3], 0).astype(dtype)


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
        Dosages; those of the padding mean nothing.
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
_ONE = np.int32(1)


# Four codes of 32 bits for each byte, moved as one item of 16 bytes.
_FOUR_CODES = (
    ((np.arange(256)[:, None] >> np.array([0, 2, 4, 6])) & 3).astype(np.int32).view(np.complex128).ravel()
)


@njit(cache=True, nogil=True)
def _unpack_all(packed, table, four_codes, out):  # type: ignore[no-untyped-def]
    rows, columns = out.shape
    quads = np.empty(_TILE // 4, dtype=np.complex128)
    codes = quads.view(np.int32)
    for start in range(0, columns, _TILE):
        stop = min(start + _TILE, columns)
        zero, one = table[0, start:stop], table[1, start:stop]
        two, missing = table[2, start:stop], table[3, start:stop]
        for r in range(rows):
            source = packed[r, start // 4 : (stop + 3) // 4]
            for b in range(len(source)):
                quads[b] = four_codes[source[b]]
            _select(codes, zero, one, two, missing, out[r, start:stop])


@njit(cache=True, nogil=True)
def _select(codes, zero, one, two, missing, out):  # type: ignore[no-untyped-def]
    """Value of each code, 0 two copies, 1 missing, 2 one copy, 3 none; int32 views of float32."""
    # A choice by the two bits of the code, on the bits of the values: all lanes of a vector have 32 bits, twice as fast
    # as comparisons, whose constants have 64.
    for j in range(len(out)):
        low, high = -(codes[j] & _ONE), -(codes[j] >> _ONE)
        even = two[j] ^ ((two[j] ^ missing[j]) & low)
        odd = one[j] ^ ((one[j] ^ zero[j]) & low)
        out[j] = even ^ ((even ^ odd) & high)


@njit(cache=True, nogil=True)
def _unpack_columns(packed, columns, table, four_codes, out):  # type: ignore[no-untyped-def]
    rows, count = out.shape
    quads = np.empty(_TILE, dtype=np.complex128)
    held, codes = quads.view(np.int32), np.empty(_TILE, dtype=np.int32)
    for start in range(0, count, _TILE):
        stop = min(start + _TILE, count)
        zero, one = table[0, start:stop], table[1, start:stop]
        two, missing = table[2, start:stop], table[3, start:stop]
        mine = columns[start:stop]
        first = mine.min() // 4
        used = mine.max() // 4 + 1 - first
        # Columns that are most of their neighbours are gathered from their decoded run.
        dense = used <= len(quads)
        place = (mine - 4 * first if dense else mine >> 2).astype(np.uint32)
        shift = (2 * (mine & 3)).astype(np.uint8)
        for r in range(rows):
            source = packed[r]
            if dense:
                run = source[first : first + used]
                for b in range(used):
                    quads[b] = four_codes[run[b]]
                for j in range(len(place)):
                    codes[j] = held[place[j]]
            else:
                for j in range(len(place)):
                    codes[j] = (source[place[j]] >> shift[j]) & 3
            _select(codes, zero, one, two, missing, out[r, start:stop])


@njit(cache=True, nogil=True)
def pack_transposed(dosage, out, first, place):  # type: ignore[no-untyped-def]
    """Add the calls of a variant-major block to packed sample-major rows.

    Parameters
    ----------
    dosage : ndarray of int8, shape (variants, samples)
        Dosages 0, 1, 2, or -1 for a missing call.
    out : ndarray of uint8, shape (samples, bytes)
        Packed rows; the bits of the columns written here must be 0 before.
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
    # Tiles of 256 samples by 64 bytes: one cache line a sample.
    for start in range(0, samples, 256):
        stop = min(start + 256, samples)
        for v in range(variants):
            column = first + v
            byte = column >> 2
            shift = 2 * (column & 3)
            for s in range(start, stop):
                copies = dosage[v, s]
                if copies < -1 or copies > 2:
                    return v
                out[place[s], byte] |= np.uint8(CODE_OF_COPIES[copies & 3] << shift)
    return -1
