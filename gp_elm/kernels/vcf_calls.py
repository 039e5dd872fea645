"""Calls of a VCF record, as allele numbers, to a two-bit row of a BED file."""

from __future__ import annotations

import numpy as np
from numba import njit

OK, TOO_MANY_ALLELES, NO_SUCH_ALLELE = 0, 1, 2
"""What :func:`pack_calls` returns."""


@njit(cache=True, nogil=True)
def pack_calls(calls, alt, n_alt, row):  # type: ignore[no-untyped-def]
    """Pack the copies of one ALT as PLINK 1 does.

    Parameters
    ----------
    calls : ndarray of int16, shape (samples, ploidy + 1)
        Allele numbers, 0 the REF; -1 is a missing allele, -2 an allele that a sample of lower ploidy has not. The
        last column (phase) is not read.
    alt : int
        The ALT to count, from 1. A call of any other allele counts 0 copies.
    n_alt : int
        ALTs of the record.
    row : ndarray of uint8, shape (ceil(samples / 4),)
        Receives the row: 00 two copies, 01 missing, 10 one copy, 11 none; the padding is 0.

    Returns
    -------
    int
        ``OK``, or what is wrong with the record.
    """
    n_samples, ploidy = calls.shape[0], calls.shape[1] - 1
    row[:] = 0
    for s in range(n_samples):
        copies, called, missing = 0, 0, 0
        for k in range(ploidy):
            allele = calls[s, k]
            if allele == -2:
                continue
            if allele < 0:
                missing += 1
            elif allele > n_alt:
                return NO_SUCH_ALLELE
            else:
                called += 1
                if allele == alt:
                    copies += 1
        if called + missing > 2:
            return TOO_MANY_ALLELES
        if missing > 0 or called == 0:
            code = 1
        else:
            # a haploid call of the ALT is written as two copies
            copies = 2 * copies if called == 1 else copies
            code = 0 if copies == 2 else (2 if copies == 1 else 3)
        row[s >> 2] |= np.uint8(code << (2 * (s & 3)))
    return OK


@njit(cache=True, nogil=True)
def double_haploid(calls, dosage):  # type: ignore[no-untyped-def]
    """Double, in place, the dosages of samples with one allele, which VCF gives on the scale 0..1.

    Parameters
    ----------
    calls : ndarray of int16, shape (samples, ploidy + 1)
        As for :func:`pack_calls`.
    dosage : ndarray of float32, shape (samples, alts)
        Dosages.

    Returns
    -------
    int
        ``OK`` or ``TOO_MANY_ALLELES``.
    """
    for s in range(calls.shape[0]):
        alleles = 0
        for k in range(calls.shape[1] - 1):
            if calls[s, k] != -2:
                alleles += 1
        if alleles > 2:
            return TOO_MANY_ALLELES
        # a lone missing allele is how a missing diploid call is often written
        if alleles == 1 and calls[s, 0] >= 0:
            for a in range(dosage.shape[1]):
                dosage[s, a] *= 2
    return OK
