"""Decoding PLINK 1 BED bytes to dosages through a table of 256 entries.

A byte holds the calls of four neighbouring samples, low bits first: 00 two copies of the first allele (BIM column 5),
01 missing, 10 heterozygous, 11 no copy (https://www.cog-genomics.org/plink/1.9/formats#bed).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

CODES = np.array([2, -1, 1, 0], dtype=np.int8)
"""Copies of the first allele for each two-bit code, -1 missing."""

_FOUR_CALLS = CODES[(np.arange(256)[:, None] >> np.array([0, 2, 4, 6])) & 3].view(np.uint32).ravel()
_PIECE = 1024  # bytes of BED


def decode_bed(
    raw: NDArray[np.uint8], n_samples: int, samples: NDArray[np.int64] | None = None
) -> NDArray[np.int8]:
    """Dosages of the first allele from BED bytes.

    Parameters
    ----------
    raw : ndarray of uint8, shape (variants, ceil(n_samples / 4))
        Rows of a variant-major BED file.
    n_samples : int
        Samples of the file.
    samples : ndarray of int64, shape (k,), optional
        Samples to decode, in any order; all where None.

    Returns
    -------
    ndarray of int8, shape (variants, n_samples or k)
        0, 1, 2, or -1 for a missing call; order C.

    Raises
    ------
    IndexError
        Where a row is too short, or a sample is not in it.
    """
    if raw.shape[1] * 4 < n_samples:
        raise IndexError(f"{n_samples} samples asked of rows that hold {raw.shape[1] * 4}")
    if samples is None:
        block = np.empty((len(raw), n_samples), dtype=np.int8)
        _decode_all(raw, _FOUR_CALLS, block)
        return block
    if len(samples) and (samples.min() < 0 or samples.max() >= n_samples):
        raise IndexError(f"a sample outside 0 to {n_samples - 1} was asked for")
    chosen = np.empty((len(raw), len(samples)), dtype=np.int8)
    _decode_chosen(raw, (samples >> 2).astype(np.uint32), (2 * (samples & 3)).astype(np.uint8), CODES, chosen)
    return chosen


@njit(cache=True, nogil=True)
def _decode_all(raw, table, out):  # type: ignore[no-untyped-def]
    # A byte is moved as one item of 32 bits to a piece that stays in the first cache, and the piece copied to its row,
    # which may start at any address: 1 byte written and 1/4 read for a genotype, at about half of the memory's speed.
    n_samples = out.shape[1]
    piece = np.empty(_PIECE, dtype=np.uint32)
    calls = piece.view(np.int8)
    for v in range(out.shape[0]):
        for first in range(0, n_samples, 4 * _PIECE):
            # views, because a sum as an index is checked for its sign at every step
            target = out[v, first : first + 4 * _PIECE]
            source = raw[v, first // 4 : first // 4 + (len(target) + 3) // 4]
            for b in range(len(source)):
                piece[b] = table[source[b]]
            for k in range(len(target)):
                target[k] = calls[k]


@njit(cache=True, nogil=True)
def _decode_chosen(raw, byte, shift, codes, out):  # type: ignore[no-untyped-def]
    # Four loads from the first cache and a store for a genotype, two cycles, however many are chosen. Decoding the row
    # and gathering from it is no faster at half of the samples, and several times slower at a tenth.
    for v in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[v, k] = codes[(raw[v, byte[k]] >> shift[k]) & 3]
