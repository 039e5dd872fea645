"""Sums of products of columns that hold few distinct values, exactly, by AND and popcount of bit planes.

A column of hard calls takes at most four values (three genotypes, and 0 where the call is missing). Written as
``x = L_0 + sum_u (L_u - L_0) [x = L_u]``, every sum of ``x_i^a x_j^b`` over any set of rows is a small combination of
the counts ``#[x_i = L_u and x_j = L_v]``: integers, whatever the number of samples, and several times cheaper than a
matrix product (METHOD: genotype moments by bit planes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

MAX_LEVELS = 4
TOLERANCE = 1e-6
"""Values this close are one level: the last bit of a value may depend on the SIMD lane that computed it."""


@intrinsic
def _popcount(typing_context: Any, word: Any) -> Any:
    """Count the set bits of one uint64."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), codegen


@dataclass(frozen=True)
class Planes:
    """Columns with few distinct values as bit planes.

    Attributes
    ----------
    levels : (b, 4) float64
        Distinct values of each column; 0 in unused places.
    n_levels : (b,) int64
        How many of them are used.
    words : (b, p, w) uint64
        Bit r of plane u: does row r hold level u + 1. Level 0 has no plane.
    n_rows : int
        Number of rows; w = ceil(n_rows / 64).
    """

    levels: np.ndarray
    n_levels: np.ndarray
    words: np.ndarray
    n_rows: int

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return int(self.words.nbytes + self.levels.nbytes)


@njit(cache=True, nogil=True)
def _find_levels(block: np.ndarray, levels: np.ndarray, n_levels: np.ndarray, tolerance: float) -> bool:
    """Collect the distinct values of each column in levels (4, b), NaN where unused; False where four are too few."""
    n_columns = block.shape[1]
    close = levels.dtype.type(tolerance)
    for r in range(block.shape[0]):
        row = block[r]
        # the common row brings nothing new: one pass without branches finds that out
        new = 0
        for c in range(n_columns):
            v = row[c]
            known = (
                (abs(v - levels[0, c]) <= close)
                | (abs(v - levels[1, c]) <= close)
                | (abs(v - levels[2, c]) <= close)
                | (abs(v - levels[3, c]) <= close)
            )
            new += 0 if known else 1
        if new == 0:
            continue
        for c in range(n_columns):
            found = False
            for u in range(n_levels[c]):
                if abs(row[c] - levels[u, c]) <= close:
                    found = True
            if not found:
                if n_levels[c] == levels.shape[0]:
                    return False
                levels[n_levels[c], c] = row[c]
                n_levels[c] += 1
    return True


@njit(cache=True, nogil=True)
def _fill_planes(block: np.ndarray, levels: np.ndarray, words: np.ndarray, tolerance: float) -> None:
    n_rows, n_columns = block.shape
    n_planes = words.shape[1]
    close = levels.dtype.type(tolerance)
    for w in range(words.shape[2]):
        local = np.zeros((n_planes, n_columns), dtype=np.uint64)
        for r in range(64 * w, min(64 * w + 64, n_rows)):
            bit = np.uint64(1) << np.uint64(r - 64 * w)
            row = block[r]
            for u in range(n_planes):
                level = levels[u + 1]
                plane = local[u]
                for c in range(n_columns):
                    plane[c] |= bit if abs(row[c] - level[c]) <= close else np.uint64(0)
        for c in range(n_columns):
            for u in range(n_planes):
                words[c, u, w] = local[u, c]


def build_planes(block: np.ndarray) -> Planes | None:
    """Bit planes of a block of columns, or None where some column holds more than four distinct values.

    Parameters
    ----------
    block : (n, b) float32 or float64
        Columns; no NaN.

    Returns
    -------
    Planes or None
    """
    # writable and contiguous, so that the kernels are compiled for one array type only
    block = np.require(block, requirements=["C", "W"])
    n_rows, n_columns = block.shape
    levels = np.full((MAX_LEVELS, n_columns), np.nan, dtype=block.dtype)
    n_levels = np.zeros(n_columns, dtype=np.int64)
    if not _find_levels(block, levels, n_levels, TOLERANCE):
        return None
    n_planes = max(1, int(n_levels.max(initial=1)) - 1)
    words = np.zeros((n_columns, n_planes, (n_rows + 63) // 64), dtype=np.uint64)
    _fill_planes(block, levels, words, TOLERANCE)
    return Planes(np.ascontiguousarray(np.nan_to_num(levels.T), dtype=np.float64), n_levels, words, n_rows)


def pack_rows(mask: np.ndarray) -> np.ndarray:
    """Pack a row mask into words, as the planes are packed.

    Parameters
    ----------
    mask : (n,) bool

    Returns
    -------
    (w,) uint64
    """
    padded = np.zeros((len(mask) + 63) // 64 * 64, dtype=bool)
    padded[: len(mask)] = mask
    return np.packbits(padded, bitorder="little").view("<u8").astype(np.uint64)


@njit(cache=True, nogil=True)
def _masked(words: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Planes within a set of rows, and how many bits each has."""
    kept = np.empty_like(words)
    counts = np.zeros((words.shape[0], words.shape[1]))
    for c in range(words.shape[0]):
        for u in range(words.shape[1]):
            total = np.uint64(0)
            for w in range(words.shape[2]):
                kept[c, u, w] = words[c, u, w] & mask[w]
                total += _popcount(kept[c, u, w])
            counts[c, u] = total
    return kept, counts


@njit(cache=True, nogil=True)
def _moments(
    levels_i: np.ndarray,
    used_i: np.ndarray,
    words_i: np.ndarray,
    counts_i: np.ndarray,
    levels_j: np.ndarray,
    used_j: np.ndarray,
    words_j: np.ndarray,
    counts_j: np.ndarray,
    n_rows: float,
    out: np.ndarray,
) -> None:
    n_words = words_i.shape[2]
    for i in range(words_i.shape[0]):
        base_i = levels_i[i, 0]
        for j in range(words_j.shape[0]):
            base_j = levels_j[j, 0]
            s11 = n_rows * base_i * base_j
            s21 = s11 * base_i
            s12 = s11 * base_j
            s22 = s21 * base_j
            for u in range(used_i[i] - 1):
                step1 = levels_i[i, u + 1] - base_i
                step2 = levels_i[i, u + 1] ** 2 - base_i * base_i
                s11 += counts_i[i, u] * step1 * base_j
                s21 += counts_i[i, u] * step2 * base_j
                s12 += counts_i[i, u] * step1 * base_j * base_j
                s22 += counts_i[i, u] * step2 * base_j * base_j
            for v in range(used_j[j] - 1):
                step1 = levels_j[j, v + 1] - base_j
                step2 = levels_j[j, v + 1] ** 2 - base_j * base_j
                s11 += counts_j[j, v] * step1 * base_i
                s12 += counts_j[j, v] * step2 * base_i
                s21 += counts_j[j, v] * step1 * base_i * base_i
                s22 += counts_j[j, v] * step2 * base_i * base_i
            for u in range(used_i[i] - 1):
                i1 = levels_i[i, u + 1] - base_i
                i2 = levels_i[i, u + 1] ** 2 - base_i * base_i
                for v in range(used_j[j] - 1):
                    total = np.uint64(0)
                    for w in range(n_words):
                        total += _popcount(words_i[i, u, w] & words_j[j, v, w])
                    count = float(total)
                    j1 = levels_j[j, v + 1] - base_j
                    j2 = levels_j[j, v + 1] ** 2 - base_j * base_j
                    s11 += count * i1 * j1
                    s21 += count * i2 * j1
                    s12 += count * i1 * j2
                    s22 += count * i2 * j2
            out[0, i, j] = s11
            out[1, i, j] = s21
            out[2, i, j] = s12
            out[3, i, j] = s22


def pair_moments(first: Planes, second: Planes, rows: np.ndarray, out: np.ndarray) -> None:
    """Sums of x_i x_j, x_i^2 x_j, x_i x_j^2 and x_i^2 x_j^2 over a set of rows, for every pair of columns.

    Parameters
    ----------
    first, second : Planes
        I and J columns over the same rows.
    rows : (w,) uint64
        The rows to sum over, from `pack_rows`.
    out : (4, I, J) float64
        Filled in place.
    """
    n_rows = float(np.unpackbits(np.ascontiguousarray(rows).view(np.uint8)).sum())
    words_i, counts_i = _masked(first.words, rows)
    _, counts_j = _masked(second.words, rows)
    _moments(
        first.levels,
        first.n_levels,
        words_i,
        counts_i,
        second.levels,
        second.n_levels,
        second.words,
        counts_j,
        n_rows,
        out,
    )
