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

_FOUR_CALLS = CODES[(np.arange(256)[:, None] >> np.array([0, 2, 4, 6])) & 3].astype(np.int8)
_ONE_ITEM = _FOUR_CALLS.view(np.uint32).ravel()


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
    if samples is not None:
        if len(samples) and (samples.min() < 0 or samples.max() >= n_samples):
            raise IndexError(f"a sample outside 0 to {n_samples - 1} was asked for")
        chosen = np.empty((len(raw), len(samples)), dtype=np.int8)
        _decode_chosen(raw, samples, CODES, chosen)
        return chosen
    if n_samples % 4 == 0:
        # four calls are moved as one item of 32 bits
        whole = np.empty((len(raw), n_samples // 4), dtype=np.uint32)
        _move(raw, _ONE_ITEM, whole)
        return whole.view(np.int8)
    block = np.empty((len(raw), n_samples), dtype=np.int8)
    _move_rows(raw, _ONE_ITEM, block)
    return block


@njit(cache=True, nogil=True)
def _move(raw, table, out):  # type: ignore[no-untyped-def]
    for v in range(out.shape[0]):
        for b in range(out.shape[1]):
            out[v, b] = table[raw[v, b]]


@njit(cache=True, nogil=True)
def _move_rows(raw, table, out):  # type: ignore[no-untyped-def]
    # rows whose length is no multiple of 4 start unaligned: each is decoded into an aligned row, then copied
    width = (out.shape[1] + 3) // 4
    row = np.empty(width, dtype=np.uint32)
    calls = row.view(np.int8)
    for v in range(out.shape[0]):
        for b in range(width):
            row[b] = table[raw[v, b]]
        out[v, :] = calls[: out.shape[1]]


@njit(cache=True, nogil=True)
def _decode_chosen(raw, samples, codes, out):  # type: ignore[no-untyped-def]
    for v in range(out.shape[0]):
        for k in range(out.shape[1]):
            s = samples[k]
            out[v, k] = codes[(raw[v, s >> 2] >> (2 * (s & 3))) & 3]
