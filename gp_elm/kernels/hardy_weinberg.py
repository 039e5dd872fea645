"""Exact test of Hardy-Weinberg proportions (Wigginton, Cutler and Abecasis 2005, Am J Hum Genet 76:887)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

_TIE = 1 + 1e-9
_NEGLIGIBLE = 1e-18


def exact_p_values(
    heterozygous: ArrayLike, homozygous: ArrayLike, other_homozygous: ArrayLike, *, midp: bool = False
) -> NDArray[np.float64]:
    """P-values of genotype counts, given their allele counts.

    Parameters
    ----------
    heterozygous, homozygous, other_homozygous : array_like of int (m,)
        Samples with each genotype.
    midp : bool
        Whether half the probability of the counts seen, and of those as probable, is taken off (Graffelman and Moreno
        2013).

    Returns
    -------
    ndarray of float64 (m,)
        The summed probability of the counts that are no more probable than those seen; 1 without samples (mid-p 0.5
        without the rarer allele).
    """
    counts = [
        np.ascontiguousarray(each, dtype=np.int64) for each in (heterozygous, homozygous, other_homozygous)
    ]
    out = np.empty(len(counts[0]), np.float64)
    _exact(*counts, midp, out)
    return out


@njit(cache=True, nogil=True)
def _exact(het: np.ndarray, hom: np.ndarray, other: np.ndarray, midp: bool, out: np.ndarray) -> None:
    for i in range(len(het)):
        n = het[i] + hom[i] + other[i]
        rare = 2 * min(hom[i], other[i]) + het[i]
        if n == 0:
            out[i] = 1.0
            continue
        # the most probable count of heterozygotes has the parity of the rarer allele's count
        mode = int(rare * (2 * n - rare) / (2 * n))
        if (mode + rare) % 2:
            mode += 1
        if mode > rare:
            mode -= 2
        seen = _walk(mode, het[i], n, rare)
        if seen == 0.0:
            out[i] = 0.0
            continue
        total, tail, tied = 1.0, 0.0, 0.0
        least = _NEGLIGIBLE * min(seen, 1.0)
        if seen * _TIE >= 1.0:
            tail = 1.0
            tied = 1.0 if seen <= _TIE else 0.0
        for step in (-2, 2):
            h = mode
            term = 1.0
            while True:
                term *= _ratio(h, step, n, rare)
                h += step
                if term <= least:
                    break
                total += term
                if term <= seen * _TIE:
                    tail += term
                    if term * _TIE >= seen:
                        tied += term
        if midp:
            tail -= 0.5 * tied
        out[i] = min(tail / total, 1.0)


@njit(cache=True, nogil=True)
def _ratio(h: int, step: int, n: int, rare: int) -> float:
    """Probability of ``h + step`` heterozygotes by that of ``h``; 0 where it is out of reach."""
    rare_pairs = (rare - h) // 2
    common_pairs = n - h - rare_pairs
    if step > 0:
        return 4.0 * rare_pairs * common_pairs / ((h + 2.0) * (h + 1.0))
    return h * (h - 1.0) / (4.0 * (rare_pairs + 1.0) * (common_pairs + 1.0))


@njit(cache=True, nogil=True)
def _walk(start: int, stop: int, n: int, rare: int) -> float:
    """Probability of ``stop`` heterozygotes by that of ``start``."""
    term = 1.0
    step = 2 if stop > start else -2
    h = start
    while h != stop and term > 0.0:
        term *= _ratio(h, step, n, rare)
        h += step
    return term
