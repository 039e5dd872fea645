"""Called samples, sum and sum of squares of each variant's copies, from packed and unpacked calls.

They are whole numbers, so that sums over parts of the samples can be added and subtracted without loss.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gp_elm.kernels.decode import CODE_OF_COPIES

_AT_ZERO, _AT_ONE, _AT_TWO, _ = (int(code) for code in CODE_OF_COPIES)
_TILE = 1024


@njit(cache=True, nogil=True)
def call_sums(packed, n_columns, sums):  # type: ignore[no-untyped-def]
    """Add to ``sums`` (3, n_columns) each column's called rows, and the sum and sum of squares of their copies.

    Parameters
    ----------
    packed : ndarray of uint8, shape (rows, row_bytes)
        Packed codes.
    n_columns : int
        Columns to count.
    sums : ndarray of int64, shape (3, n_columns)
        Changed in place.
    """
    counts = np.empty((4, _TILE), dtype=np.int64)
    for start in range(0, n_columns, _TILE):
        stop = min(start + _TILE, n_columns)
        counts[:] = 0
        for r in range(packed.shape[0]):
            for j in range(start, stop):
                counts[(packed[r, j >> 2] >> (2 * (j & 3))) & 3, j - start] += 1
        for j in range(start, stop):
            one, two = counts[_AT_ONE, j - start], counts[_AT_TWO, j - start]
            sums[0, j] += counts[_AT_ZERO, j - start] + one + two
            sums[1, j] += one + 2 * two
            sums[2, j] += one + 4 * two


@njit(cache=True, nogil=True)
def call_block_sums(dosage, sums):  # type: ignore[no-untyped-def]
    """Write to ``sums`` (3, variants) what :func:`call_sums` counts, from a variant-major block of int8 dosages."""
    for v in range(dosage.shape[0]):
        called, total, squares = 0, 0, 0
        for s in range(dosage.shape[1]):
            copies = int(dosage[v, s])
            if copies >= 0:
                called += 1
                total += copies
                squares += copies * copies
        sums[0, v], sums[1, v], sums[2, v] = called, total, squares


@njit(cache=True, nogil=True)
def bed_sums(raw, samples, sums, first):  # type: ignore[no-untyped-def]
    """Write each variant's called samples, and the sum and sum of squares of their copies.

    Parameters
    ----------
    raw : ndarray of uint8, shape (variants, ceil(samples / 4))
        Rows of a variant-major BED file.
    samples : int
        Samples of a row; the codes after them are not counted.
    sums : ndarray of int64, shape (3, m)
        Columns ``first`` to ``first + variants`` are written.
    first : int
        Column of the first variant.
    """
    whole = samples // 32
    for v in range(raw.shape[0]):
        words = raw[v, : 8 * whole].view(np.uint64)
        low = high = both = 0
        for k in range(whole):
            word = words[k]
            low += _ones(word & _EVEN)
            high += _ones(word >> np.uint64(1) & _EVEN)
            both += _ones(word & word >> np.uint64(1) & _EVEN)
        for s in range(32 * whole, samples):
            code = (raw[v, s >> 2] >> (2 * (s & 3))) & 3
            low += code & 1
            high += code >> 1
            both += code & (code >> 1)
        missing, one, none = low - both, high - both, both
        two = samples - missing - one - none
        sums[0, first + v] = samples - missing
        sums[1, first + v] = one + 2 * two
        sums[2, first + v] = one + 4 * two


_EVEN = np.uint64(0x5555555555555555)
_PAIRS = np.uint64(0x3333333333333333)
_NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
_BYTES = np.uint64(0x0101010101010101)


@njit(inline="always")
def _ones(word):  # type: ignore[no-untyped-def]
    """Ones among the even bits of a word."""
    word = (word & _PAIRS) + (word >> np.uint64(2) & _PAIRS)
    word = (word + (word >> np.uint64(4))) & _NIBBLES
    return np.int64((word * _BYTES) >> np.uint64(56))
