"""Variant-major BED rows to sample-major ones, without leaving the two-bit code."""

from __future__ import annotations

import numpy as np
from numba import njit

# Samples and variants of a tile, in bytes of BED: the tile's two buffers stay in the first-level cache.
_SAMPLE_BYTES = 64
_VARIANT_BYTES = 64


@njit(cache=True, nogil=True)
def transpose_bed(raw, out, first, place, begin, end):  # type: ignore[no-untyped-def]
    """Turn rows of variants into rows of samples.

    Parameters
    ----------
    raw : ndarray of uint8, shape (variants, ceil(samples / 4))
        Rows of a variant-major BED file; a multiple of 4 of them (rows of zeros make it one).
    out : ndarray of uint8, shape (samples, bytes)
        Sample-major rows; bytes ``first`` to ``first + variants / 4`` are written.
    first : int
        Byte of the first variant within ``out``.
    place : ndarray of int64, shape (samples,)
        Row of ``out`` of each sample.
    begin, end : int
        Bytes of ``raw`` whose samples are written.
    """
    quads, samples = raw.shape[0] // 4, len(place)
    words = np.empty((_VARIANT_BYTES, _SAMPLE_BYTES), dtype=np.uint32)
    fours = np.empty((4, _VARIANT_BYTES // 4, _SAMPLE_BYTES), dtype=np.uint32)
    line = np.empty(_VARIANT_BYTES // 4, dtype=np.uint32)
    line_bytes = line.view(np.uint8)
    low = np.uint32(0xFF)
    words[:] = 0
    for start in range(begin, end, _SAMPLE_BYTES):
        count = min(_SAMPLE_BYTES, end - start)
        for top in range(0, quads, _VARIANT_BYTES):
            depth = min(_VARIANT_BYTES, quads - top)
            for q in range(depth):
                v = 4 * (top + q)
                a, b = raw[v, start : start + count], raw[v + 1, start : start + count]
                c, d = raw[v + 2, start : start + count], raw[v + 3, start : start + count]
                word = words[q]
                for k in range(count):
                    # four variants of four samples: the 4 x 4 matrix of two-bit codes is transposed by two exchanges
                    # across its diagonal, of single codes and of pairs of them (Warren, Hacker's Delight, 7-3)
                    x = np.uint32(a[k]) | np.uint32(b[k]) << np.uint32(8)
                    x |= np.uint32(c[k]) << np.uint32(16) | np.uint32(d[k]) << np.uint32(24)
                    t = (x ^ (x >> np.uint32(6))) & np.uint32(0x00CC00CC)
                    x = x ^ t ^ (t << np.uint32(6))
                    t = (x ^ (x >> np.uint32(12))) & np.uint32(0x0000F0F0)
                    word[k] = x ^ t ^ (t << np.uint32(12))
            # each word now holds a byte of each of four samples: four words become four bytes of one sample
            groups = (depth + 3) // 4
            for g in range(groups):
                w, x, y, z = words[4 * g], words[4 * g + 1], words[4 * g + 2], words[4 * g + 3]
                for s in range(4):
                    shift = np.uint32(8 * s)
                    four = fours[s, g]
                    for k in range(count):
                        pair = (w[k] >> shift & low) | (x[k] >> shift & low) << np.uint32(8)
                        rest = (y[k] >> shift & low) | (z[k] >> shift & low) << np.uint32(8)
                        four[k] = pair | rest << np.uint32(16)
            for s in range(min(4 * count, samples - 4 * start)):
                k, mine = s >> 2, fours[s & 3]
                for g in range(groups):
                    line[g] = mine[g, k]
                row = out[place[4 * start + s], first + top : first + top + depth]
                for q in range(depth):
                    row[q] = line_bytes[q]
