"""q-values and ranks of listed pairs among all pairs of the genome."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gp_elm.association.sweep_summary import ColumnSweep, TopPairs
from gp_elm.elm.study import Floats
from gp_elm.kernels.topk import bin_edges

Ints = NDArray[np.int64]


def places_in(top: TopPairs, i: Ints, j: Ints, n_variants: int) -> Ints:
    """Where listed pairs stand among the strongest of a sweep, from 0; -1 where a pair is not among them."""
    key, wanted = top.i * n_variants + top.j, i * n_variants + j
    if key.size == 0:
        return np.full(i.size, -1, np.int64)
    order = np.argsort(key)
    at = np.minimum(np.searchsorted(key, wanted, sorter=order), key.size - 1)
    place = order[at]
    return np.where(key[place] == wanted, place, -1)


def sweep_q_values(sweep: ColumnSweep, i: Ints, j: Ints, p: Floats, n_variants: int) -> tuple[Floats, Ints]:
    """q-values of listed pairs over all pairs swept, and their ranks.

    Parameters
    ----------
    sweep : ColumnSweep
        All pairs of the trait and test.
    i, j : (P,) int
        Listed pairs.
    p : (P,) float
        Their exact p-values.
    n_variants : int
        m.

    Returns
    -------
    q : (P,) float
        Benjamini-Hochberg over all pairs. A pair that is not among the sweep's strongest gets the smallest q of
        the weaker pairs, by the sweep's histogram, or its own, whichever is larger.
    rank : (P,) int
        1 is the strongest; -1 where the pair is not among the sweep's strongest.
    """
    place = places_in(sweep.top, i, j, n_variants)
    known = place >= 0
    q, rank = np.full(i.size, np.nan), np.full(i.size, -1, np.int64)
    q[known], rank[known] = sweep.q_values[place[known]], place[known] + 1
    edges = bin_edges()
    above = np.cumsum(sweep.histogram[::-1])[::-1]
    with np.errstate(under="ignore"):
        edge_p = 2.0 * special.stdtr(float(sweep.df), -np.sqrt(edges))
    ratio = edge_p * sweep.n_tested / np.maximum(above, 1)
    tail = np.minimum.accumulate(np.where(above > 0, ratio, np.inf))
    z2 = special.stdtrit(float(sweep.df), np.clip(p / 2, 1e-300, 0.5)) ** 2
    bin_of = np.clip(np.searchsorted(edges, z2, side="right") - 1, 0, edges.size - 1)
    other = ~known & np.isfinite(p)
    q[other] = np.minimum(tail[bin_of[other]], 1.0)
    # Missing calls make the sweep's p-value, behind q, another one than the exact p.
    return np.fmax(q, p), rank


def screened_q_values(p: Floats, n_pairs: int) -> tuple[Floats, Ints]:
    """Benjamini-Hochberg q-values of candidates over all pairs of the genome, and ranks among the candidates."""
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    place = np.arange(1, order.size + 1)
    q, rank = np.full(p.size, np.nan), np.full(p.size, -1, np.int64)
    rank[order] = place
    ratio = p[order] * n_pairs / place
    q[order] = np.minimum(np.minimum.accumulate(ratio[::-1])[::-1], 1.0)
    return q, rank
