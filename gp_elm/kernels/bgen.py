"""Decoding BGEN probability blocks to expected copies of an allele (https://www.chg.ox.ac.uk/~gav/bgen_format/spec/v1.2.html).

A block of layout 2 holds: samples (4 bytes), alleles (2), least and greatest ploidy (1, 1), a byte for each sample (low
six bits the ploidy, high bit a missing call), phased (1), bits of a probability (1), and the probabilities, packed, low
bits first, without the last of each set, which is what remains to 1.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FAULTS = {
    1: "the block is too short",
    2: "another number of samples than in the header",
    3: "another number of alleles than in the record",
    4: "a sample of ploidy above 2",
    5: "bits of a probability outside 1 to 32, or a phase flag other than 0 and 1",
    6: "probabilities that sum to more than 1",
}
"""What :func:`decode_layout2` found, by the number that it returns."""

HARD_CALL_DISTANCE = 1638
"""PLINK 2's --hard-call-threshold 0.1 in units of 1/16384 copy, truncated as it does."""


@njit(cache=True, nogil=True)
def decode_layout2(block: NDArray[np.uint8], n_alleles: int, allele: int, dosage: NDArray[np.float32]) -> int:
    """Expected copies of an allele from an uncompressed probability block of layout 2.

    Parameters
    ----------
    block : ndarray of uint8
        The block.
    n_alleles : int
        Alleles of the record, at least 2.
    allele : int
        The allele to count.
    dosage : ndarray of float32 (n,)
        Written: copies 0 to 2, NaN missing; a haploid call counts as two copies.

    Returns
    -------
    int
        0, or a key of ``FAULTS``; then `dosage` is undefined.
    """
    n = len(dosage)
    if len(block) < 10 + n:
        return 1
    if block[0] + (block[1] << 8) + (block[2] << 16) + (np.int64(block[3]) << 24) != n:
        return 2
    if block[4] + (block[5] << 8) != n_alleles:
        return 3
    phased, bits = block[8 + n], np.int64(block[9 + n])
    if phased > 1 or bits < 1 or bits > 32:
        return 5
    data = block[10 + n :]
    if n_alleles == 2 and block[6] == 2 and block[7] == 2 and (bits == 8 or bits == 16):
        return _diploid(block[8 : 8 + n], data, bits == 16, phased == 1, allele, dosage)
    full = (np.int64(1) << bits) - 1
    at = np.int64(0)  # in bits
    end = np.int64(len(data)) * 8
    for i in range(n):
        ploidy = np.int64(block[8 + i] & 63)
        if ploidy > 2:
            return 4
        together = phased == 0 and ploidy == 2
        sets = 1 if together else ploidy
        per_set = n_alleles * (n_alleles + 1) // 2 - 1 if together else n_alleles - 1
        if at + sets * per_set * bits > end:
            return 1
        total = np.int64(0)
        for _ in range(sets):
            left = full
            first, second = 0, 0
            for _ in range(per_set):
                byte, shift = at >> 3, at & 7
                if bits == 8:
                    value = np.int64(data[byte])
                elif bits == 16:
                    value = np.int64(data[byte]) | np.int64(data[byte + 1]) << 8
                else:
                    value = np.int64(0)
                    for b in range((shift + bits + 7) >> 3):
                        value |= np.int64(data[byte + b]) << (8 * b)
                    value = value >> shift & full
                at += bits
                left -= value
                total += value * ((first == allele) + (together and second == allele))
                # genotypes in the order 00 01 11 02 12 22 ...
                if together and first < second:
                    first += 1
                elif together:
                    first, second = 0, second + 1
                else:
                    first += 1
            if left < 0:
                return 6
            total += left * ((first == allele) + (together and second == allele))
        if block[8 + i] & 128 or ploidy == 0:
            dosage[i] = np.nan
        else:
            dosage[i] = (2 * total if ploidy == 1 else total) / full
    return 0


@njit(cache=True, nogil=True)
def _diploid(  # type: ignore[no-untyped-def]
    samples, data, wide, phased, allele, dosage
) -> int:
    """Two alleles, two copies, whole bytes: nearly every file."""
    n = len(dosage)
    if len(data) < n * (4 if wide else 2):
        return 1
    full = 65535 if wide else 255
    weight = 1 if phased else 2
    scale = 1.0 / full
    most = 0
    for i in range(n):
        if samples[i] & 63 != 2:
            return 4
        if wide:
            a = np.int32(data[4 * i]) | np.int32(data[4 * i + 1]) << 8
            b = np.int32(data[4 * i + 2]) | np.int32(data[4 * i + 3]) << 8
        else:
            a, b = np.int32(data[2 * i]), np.int32(data[2 * i + 1])
        most = max(most, a + b)  # type: ignore[assignment]
        first = weight * a + b
        # a division would be three times slower; the product has the same float32
        copies = np.float32((first if allele == 0 else 2 * full - first) * scale)
        dosage[i] = np.nan if samples[i] & 128 else copies
    return 6 if not phased and most > full else 0


@njit(cache=True, nogil=True)
def decode_layout1(block: NDArray[np.uint16], allele: int, dosage: NDArray[np.float32]) -> None:
    """Expected copies of an allele from an uncompressed block of layout 1 (BGEN 1.1).

    Parameters
    ----------
    block : ndarray of uint16 (3 n,)
        Probabilities of no, one and two copies of the second allele for each sample, in units of 1/32768; all zero
        where the call is missing.
    allele : int
        0 or 1.
    dosage : ndarray of float32 (n,)
        Written: copies 0 to 2, NaN missing.
    """
    for i in range(len(dosage)):
        none, one, two = np.int64(block[3 * i]), np.int64(block[3 * i + 1]), np.int64(block[3 * i + 2])
        sum_ = none + one + two
        if sum_ == 0:
            dosage[i] = np.nan
        else:
            dosage[i] = (one + 2 * (two if allele == 1 else none)) / sum_


@njit(cache=True, nogil=True)
def hard_calls(dosage: NDArray[np.float32], calls: NDArray[np.int8]) -> None:
    """Hard calls of dosages by PLINK 2's rule: the nearest whole number within 0.1 copy, otherwise missing.

    Parameters
    ----------
    dosage : ndarray of float32 (n,)
        Copies 0 to 2, NaN missing.
    calls : ndarray of int8 (n,)
        Written: 0, 1, 2, -1 missing.
    """
    for i in range(len(dosage)):
        calls[i] = -1
        if not np.isnan(dosage[i]):
            # PLINK 2 keeps dosages in units of 1/16384
            units = np.int64(dosage[i] * 16384.0 + 0.5)
            nearest = (units + 8192) >> 14
            if abs(units - (nearest << 14)) <= HARD_CALL_DISTANCE:
                calls[i] = nearest
