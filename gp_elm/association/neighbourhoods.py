"""LD neighbourhoods of loci, and pairs that an untyped variant between two tags could make.

A pair inside a block is believed only where the block is so densely typed that nothing untyped can hide (Wood et al.
2014; Hemani et al. 2014, retracted 2021; Kelemen et al. 2025).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ReadColumns = Callable[[Ints], Floats]
"""Variants -> dosages (n, len(variants)), NaN missing."""

WIDTH = 1000
"""Neighbours are looked for among so many variants on either side."""
STEP = 4
"""A step from one variant to the next along a block may skip three, such as badly genotyped ones."""
DENSE = 0.6
"""r^2 of each step from one locus to the other above which a block is so densely typed that an untyped variant between
would lie between two variants which know it."""
FAR = 0.1
"""r^2 of two loci above which what lies between them cannot be told from them."""


class Neighbourhoods:
    """Variants in LD with a locus within its block.

    Parameters
    ----------
    read_columns : callable
        Dosages of the samples.
    blocks : (m,) int
        LD block of each variant; the variants of a block with known positions stand together.
    threshold : float
        r^2 above which two variants are in LD.
    """

    def __init__(self, read_columns: ReadColumns, blocks: Ints, threshold: float) -> None:
        self._read, self._blocks, self._threshold = read_columns, blocks, threshold
        order = np.argsort(blocks, kind="stable")
        edges = np.flatnonzero(np.diff(blocks[order])) + 1
        self._members = dict(zip(np.unique(blocks).tolist(), np.split(order, edges), strict=True))
        self._kept: tuple[Ints, NDArray[np.float32]] | None = None

    def __call__(self, i: int) -> Ints:
        """Neighbours of a variant, the strongest first, without itself."""
        at, z = self._standardised(i)
        me = int(np.searchsorted(at, i))
        low, high = max(me - WIDTH, 0), me + WIDTH + 1
        r2 = (z[:, me] @ z[:, low:high]) ** 2
        r2[me - low] = 0.0
        order = np.argsort(-r2, kind="stable")
        return at[low + order[r2[order] > self._threshold]]

    def weakest_step(self, i: Ints, j: Ints) -> Floats:
        """How densely the way between the loci of each pair is typed.

        Parameters
        ----------
        i, j : (P,) int
            The pairs.

        Returns
        -------
        (P,) float64
            On the best way from i to j along the block, by variants at most four apart, the smallest r^2 of a step;
            NaN for loci of different blocks.
        """
        out = np.full(len(i), np.nan)
        first, second = np.minimum(i, j), np.maximum(i, j)
        inside = np.flatnonzero(self._blocks[first] == self._blocks[second])
        for start in np.unique(first[inside]):
            mine = inside[first[inside] == start]
            at, z = self._standardised(int(start))
            low, high = np.searchsorted(at, [start, second[mine].max()])
            best = np.zeros(high - low + 1)
            best[0] = 1.0
            for k in range(1, best.size):
                back = np.arange(max(k - STEP, 0), k)
                r2 = (z[:, low + back].T @ z[:, low + k]) ** 2
                best[k] = np.minimum(best[back], r2).max()
            out[mine] = best[np.searchsorted(at, second[mine]) - low]
        return out

    def _standardised(self, i: int) -> tuple[Ints, NDArray[np.float32]]:
        """The variants of a locus's block and their standardised dosages, kept for the next locus."""
        at = self._members[int(self._blocks[i])]
        if self._kept is None or self._kept[0] is not at:
            self._kept = (at, standardised(self._read(at)))
        return self._kept


def standardised(dosage: Floats) -> NDArray[np.float32]:
    """Columns of mean 0 and length 1, missing as the mean; constant ones 0."""
    called = np.isfinite(dosage)
    x = np.where(called, dosage, 0.0)
    x = np.where(called, x - x.sum(axis=0) / np.maximum(called.sum(axis=0), 1), 0.0)
    length = np.sqrt((x**2).sum(axis=0))
    return np.asarray(x / np.where(length > 0, length, np.inf), dtype=np.float32)


def adjacent_blocks(i: Ints, j: Ints, blocks: Ints, contig: Ints, position: Ints) -> NDArray[np.bool_]:
    """Pairs of loci in two neighbouring LD blocks of a chromosome.

    A cut says that no two *typed* variants are in LD across it. An untyped one may still be tagged from both sides; a
    whole block between two loci says that nothing is.

    Parameters
    ----------
    i, j : (P,) int
        The pairs.
    blocks, contig, position : (m,) int
        LD block, chromosome and base-pair position of each variant; those at 0 are unplaced and have no neighbours.

    Returns
    -------
    (P,) bool
    """
    placed = np.flatnonzero(position > 0)
    order = placed[np.lexsort((position[placed], contig[placed]))]
    change = np.r_[False, np.diff(blocks[order]) != 0]
    rank = np.full(blocks.size, -2)
    rank[order] = np.cumsum(change)
    near = (np.abs(rank[i] - rank[j]) == 1) & (rank[i] >= 0) & (rank[j] >= 0)
    return np.asarray(near & (contig[i] == contig[j]))


def joint_tagging(
    i: Ints,
    j: Ints,
    blocks: Ints,
    ld_r2: Floats,
    weakest_step: Floats,
    conditional_p: Floats,
    cutoff: float,
) -> NDArray[np.bool_]:
    """Pairs within a block whose interaction one untyped variant could make.

    For loci of different blocks see :func:`adjacent_blocks`. Within a block a pair stays unflagged where its
    conditional test holds, the loci are far apart, and the way between them is densely typed, as along a chromosome
    of a cross: any variant between is then known, linearly, to the neighbours that the test is conditional on. Where
    it is not, the conditional test sees the phantom as the plain one does.

    Parameters
    ----------
    i, j : (P,) int
        The pairs.
    blocks : (m,) int
        LD block of each variant.
    ld_r2 : (P,) float64
        r^2 of the two loci.
    weakest_step : (P,) float64
        From :meth:`Neighbourhoods.weakest_step`.
    conditional_p : (P,) float64
        p-values of :func:`conditional_pairs`.
    cutoff : float
        p-value below which the conditional test holds.

    Returns
    -------
    (P,) bool
        True where the pair is flagged.
    """
    holds = (conditional_p < cutoff) & (weakest_step >= DENSE) & (ld_r2 <= FAR)
    return np.asarray((blocks[i] == blocks[j]) & ~holds)
