"""Linkage disequilibrium: r^2 between variants, and the cut of a genome into independent blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import chi2

ReadBlock = Callable[[int, int], NDArray[np.float32]]
"""(start, stop) -> centred dosage (samples, stop - start), missing calls as 0."""

FLOOR = 0.02
"""r^2 below which LD is never taken as such."""
TILE_BYTES = 64 << 20
"""Bytes of a tile of centred dosages; a product holds two, and as much again while they are made."""
MOST_STRUCTURE = 0.1
"""r^2 between chromosomes above which it is no longer put down to structure alone: blocks then grow instead."""


def _standardised(read_block: ReadBlock, start: int, stop: int) -> NDArray[np.float32]:
    x = read_block(start, stop)
    norm = np.sqrt(np.einsum("ij,ij->j", x, x))
    return (x / np.where(norm > 0, norm, np.inf)).astype(np.float32)


def between_chromosome_quantile(
    read_block: ReadBlock,
    contig: NDArray[np.int64],
    *,
    seed: int,
    among: NDArray[np.int64] | None = None,
    quantile: float = 0.999,
    n_variants: int = 600,
) -> float:
    """Quantile of r^2 between variants of different chromosomes: what structure alone makes of LD.

    Parameters
    ----------
    read_block : callable
        ``(start, stop) -> (n, stop - start)`` centred dosages.
    contig : (m,) int
        Chromosome of each variant.
    seed : int
        Seed of the variants drawn.
    among : (p,) int, optional
        Variants to draw from; all by default.
    quantile : float
        The quantile.
    n_variants : int
        How many variants are drawn at the most.

    Returns
    -------
    float
        The quantile of r^2; 0 where there is one chromosome only, never above :data:`MOST_STRUCTURE`.
    """
    among = np.arange(contig.size) if among is None else among
    if np.unique(contig[among]).size < 2:
        return 0.0
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(among, min(n_variants, among.size), replace=False))
    z = np.concatenate([_standardised(read_block, int(i), int(i) + 1) for i in chosen], axis=1)
    r2 = (z.T @ z) ** 2
    different = contig[chosen][:, None] < contig[chosen][None, :]
    return min(float(np.quantile(r2[different], quantile)), MOST_STRUCTURE) if different.any() else 0.0


def ld_threshold(n_samples: int, n_pairs: int, between: float) -> float:
    """r^2 above which two variants of a chromosome count as linked (METHOD: max of a floor, chance, structure)."""
    chance = float(chi2.isf(0.05 / max(n_pairs, 1), 1)) / n_samples
    return max(FLOOR, chance, between)


def _linked(
    read_block: ReadBlock, start: int, stop: int, threshold: float, width: int, tile: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Index pairs i < j within [start, stop), at most ``width`` apart, with r^2 above the threshold."""
    for i0 in range(start, stop, tile):
        i1 = min(i0 + tile, stop)
        left = _standardised(read_block, i0, i1)
        for j0 in range(i0, min(i1 + width, stop), tile):
            j1 = min(j0 + tile, stop)
            right = left if j0 == i0 else _standardised(read_block, j0, j1)
            i, j = np.nonzero((left.T @ right) ** 2 > threshold)
            i, j = i + i0, j + j0
            keep = i < j
            yield i[keep], j[keep]


def ld_blocks(
    read_block: ReadBlock,
    contig: NDArray[np.int64],
    position: NDArray[np.int64],
    n_samples: int,
    *,
    seed: int,
    width: int = 4096,
    tile: int | None = None,
) -> tuple[NDArray[np.int64], float]:
    """Cut the genome into blocks with no LD between them.

    Chromosomes are always cut. Within one, placed variants are cut wherever no pair across the cut has r^2 above
    the threshold; unplaced ones (all positions 0) fall into clusters of variants linked above it.

    Parameters
    ----------
    read_block : callable
        ``(start, stop) -> (n, stop - start)`` centred dosages, missing as 0.
    contig, position : (m,) int
        Chromosome and base-pair position; variants of a chromosome stand together.
    n_samples : int
        Samples behind the r^2.
    seed : int
        Seed of the between-chromosome sample.
    width : int
        Pairs further apart than this many variants of one chromosome are not looked at.
    tile : int, optional
        Variants a product; 1,024, fewer where samples are many.

    Returns
    -------
    labels : (m,) int64
        Block of each variant, 0, 1, ... in genome order.
    threshold : float
        The r^2 threshold used.
    """
    m = contig.size
    if tile is None:
        tile = int(np.clip(TILE_BYTES // (4 * max(n_samples, 1)), 64, 1024))
    edges = np.flatnonzero(np.diff(contig)) + 1
    spans = list(zip(np.r_[0, edges].tolist(), np.r_[edges, m].tolist(), strict=True))
    n_pairs = sum((b - a) * min(b - a, width) // 2 for a, b in spans)
    placed = np.zeros(int(contig.max()) + 1, bool)
    placed[contig[position > 0]] = True
    # Markers of no known place may lie beside any other: their LD is no sign of structure.
    known = np.flatnonzero(placed[contig]) if placed.any() else np.arange(m)
    between = between_chromosome_quantile(read_block, contig, seed=seed, among=known)
    threshold = ld_threshold(n_samples, n_pairs, between)
    labels = np.empty(m, np.int64)
    next_label = 0
    for start, stop in spans:
        size = stop - start
        linked = _linked(read_block, start, stop, threshold, width, tile)
        if (position[start:stop] > 0).any():
            reach = np.arange(start, stop)
            for i, j in linked:
                np.maximum.at(reach, i - start, j)
            # A block ends at p when nothing before or at p reaches beyond p.
            ends = np.maximum.accumulate(reach) == np.arange(start, stop)
            local = np.r_[0, np.cumsum(ends)[:-1]]
        else:
            found = [(i - start, j - start) for i, j in linked]
            i = np.concatenate([a for a, _ in found])
            j = np.concatenate([b for _, b in found])
            graph = coo_array((np.ones(i.size, bool), (i, j)), shape=(size, size))
            _, component = connected_components(graph, directed=False)
            _, first, local = np.unique(component, return_index=True, return_inverse=True)
            local = np.argsort(np.argsort(first))[local]
        labels[start:stop] = next_label + local
        next_label += int(local.max()) + 1
    return labels, threshold


def pair_ld_r2(x_i: NDArray[np.floating], x_j: NDArray[np.floating]) -> NDArray[np.float64]:
    """Squared correlation of the dosages of pairs on their complete cases.

    Parameters
    ----------
    x_i, x_j : (n, P) float
        Dosages, NaN missing.

    Returns
    -------
    (P,) float64
        r^2; NaN where one of the two does not vary.
    """
    both = np.isfinite(x_i) & np.isfinite(x_j)
    n = both.sum(0)
    a, b = np.where(both, x_i, 0.0), np.where(both, x_j, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        a = np.where(both, a - a.sum(0) / n, 0.0)
        b = np.where(both, b - b.sum(0) / n, 0.0)
        r2 = (a * b).sum(0) ** 2 / ((a * a).sum(0) * (b * b).sum(0))
    return np.where(np.isfinite(r2), r2, np.nan)
