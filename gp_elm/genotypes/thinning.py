"""Which variants of a wide cohort the networks see: one of each group in LD, chosen by genotypes alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
ReadDosage = Callable[[int, int], NDArray[Any]]
"""(start, stop) -> dosages (samples, stop - start), -1 or NaN missing."""

LEVELS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)
"""r^2 above which the lesser of two variants goes, tried one after the other."""
WINDOW = 512
"""Variants among which LD is looked for; LD across the ends of windows is left as it is."""
MOST_SAMPLES = 5_000
"""Samples that are looked at: an r^2 of one half is then known to within .02."""


@dataclass(frozen=True, eq=False)
class Thinned:
    """What is left of a cohort's variants.

    Attributes
    ----------
    kept : (k,) int64
        Variants that stay, ascending.
    ld_r2 : float or None
        r^2 above which one of two variants of a window went; None where nothing had to go.
    by_window : bool
        Whether that left too many, so that of equal windows only the best variant stayed.
    """

    kept: Ints
    ld_r2: float | None = None
    by_window: bool = False

    def words(self) -> str:
        """How they were chosen, in words."""
        if self.ld_r2 is None:
            return "all variants that vary"
        pruned = f"of two variants with r2 above {self.ld_r2:g} the one with more information"
        return f"{pruned}, then the best of each window" if self.by_window else pruned


def evenly_spaced(samples: Ints, sample_id: NDArray[np.generic], most: int) -> Ints:
    """At most so many samples, evenly spaced in the order of their identifiers: that of the file changes nothing.

    Parameters
    ----------
    samples : (n,) int64
        Samples, as positions, ascending.
    sample_id : array, shape (cohort's samples,)
        Identifiers.
    most : int
        How many.

    Returns
    -------
    (at most ``most``,) int64
        Ascending; all where they are no more than that.
    """
    if samples.size <= most:
        return samples
    ordered = samples[np.argsort(sample_id[samples].astype(str), kind="stable")]
    return np.sort(ordered[np.linspace(0, samples.size - 1, most).astype(np.int64)])


def thin_variants(read: ReadDosage, contig: Ints, most: int, *, window: int = WINDOW) -> Thinned:
    """Prune variants in LD until at most so many are left, in one pass over the genotypes.

    Within a window of neighbours on a chromosome, and for each of :data:`LEVELS` in turn, the variant with most
    information (sum of squares of its centred dosages: a frequency near one half, few missing calls; the first of
    equals) stays and those in LD with it go. The first level that leaves at most ``most`` variants of the whole cohort
    holds. Where none does, what the last one leaves is cut into ``most`` equal windows, and the variant with most
    information stays in each. Neither alleles nor the order of the samples matter, and nothing is drawn.

    Parameters
    ----------
    read : callable
        ``(start, stop) -> (n, stop - start)`` dosages of the samples to look at, -1 or NaN missing.
    contig : (m,) int
        Chromosome of each variant; variants of a chromosome stand together.
    most : int
        Variants that may stay.
    window : int
        Variants of a window.

    Returns
    -------
    Thinned
        The variants that stay; monomorphic ones go first.
    """
    m = contig.size
    level = np.zeros(m, np.int8)
    information = np.zeros(m)
    edges = np.r_[0, np.flatnonzero(np.diff(contig)) + 1, m]
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        for start in range(first, last, window):
            stop = min(start + window, last)
            here = slice(start, stop)
            level[here], information[here] = _levels(read(start, stop))
    left = np.array([np.count_nonzero(level > k) for k in range(len(LEVELS) + 1)])
    enough = np.flatnonzero(left <= most)
    if enough.size:
        k = int(enough[0])
        return Thinned(np.flatnonzero(level > k), None if k == 0 else LEVELS[k - 1])
    kept = np.flatnonzero(level == len(LEVELS) + 1)
    parts = np.array_split(kept, most)
    best = np.array([part[np.argmax(information[part])] for part in parts], np.int64)
    return Thinned(best, LEVELS[-1], by_window=True)


def _levels(raw: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Steps that each variant of a window survives (0 monomorphic, 1 + levels survived), and its information, (b,)."""
    called = raw >= 0
    # n sum(g^2) - sum(g)^2, of hard calls in whole numbers: the same to the last bit for either allele
    exact = np.int64 if raw.dtype.kind == "i" else np.float64
    dosage = np.where(called, raw, 0)
    count = called.sum(0, dtype=np.int64)
    total, squares = dosage.sum(0, dtype=exact), np.square(dosage, dtype=exact).sum(0)
    spread = count * squares - total**2
    spread = np.where(spread > 1e-9 * count * squares, spread, 0)
    information = spread / np.maximum(count, 1)
    level = np.where(spread > 0, len(LEVELS) + 1, 0).astype(np.int8)
    z = np.where(called, dosage - (total / np.maximum(count, 1)).astype(np.float32), np.float32(0))
    z /= np.sqrt(np.where(spread > 0, information, np.inf)).astype(np.float32)
    r2 = np.square(z.T @ z)
    order = np.argsort(-information, kind="stable")
    alive = level[order] > 0
    order = order[alive]
    for k, threshold in enumerate(LEVELS):
        linked = r2 > threshold
        stays = level > k
        for i in order:
            if stays[i]:
                gone = linked[i] & stays
                gone[i] = False
                stays &= ~gone
                level[gone] = k + 1
        order = order[stays[order]]
    return level, information
