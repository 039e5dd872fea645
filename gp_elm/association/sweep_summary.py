"""What a sweep keeps of each trait column, and q-values over all the pairs it tested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import special

from gp_elm.association.inflation import p_value
from gp_elm.kernels.topk import N_BINS, TopK, bin_edges


@dataclass(frozen=True)
class TopPairs:
    """Pairs of largest |z|, in descending order; i < j index the variants.

    Attributes
    ----------
    i, j : (k,) int64
    beta, standard_error : (k,) float64
        Per copy of both effect alleles, on the trait's scale; the shift and the variance factor included.
    """

    i: np.ndarray
    j: np.ndarray
    beta: np.ndarray
    standard_error: np.ndarray

    @property
    def z(self) -> np.ndarray:
        """beta / standard_error."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.beta / self.standard_error


@dataclass(frozen=True)
class VariantPairs:
    """The pairs of each variant, summed up.

    Attributes
    ----------
    sum_z2 : (m,) float64
        Sum of z^2 over the variant's tested pairs.
    partner : (m,) int64
        The other variant of its strongest pair, -1 where none was tested.
    beta, standard_error : (m,) float64
        Of that pair; NaN where none.
    """

    sum_z2: np.ndarray
    partner: np.ndarray
    beta: np.ndarray
    standard_error: np.ndarray


@dataclass(frozen=True)
class ColumnSweep:
    """All pairs of one trait column, summed up.

    Attributes
    ----------
    top : TopPairs
    variants : VariantPairs
    histogram : (N_BINS,) int64
        Tested pairs by z^2; edges from `gp_elm.kernels.topk.bin_edges`.
    n_tested, n_excluded : int
        Pairs tested, and pairs left out as degenerate.
    sum_z2 : float
        Sum of z^2; sum_z2 / n_tested is near 1 where nothing is going on.
    n_nominal : int
        Pairs with |z| > 1.96.
    df, n : int
        Residual degrees of freedom, and samples.
    """

    top: TopPairs
    variants: VariantPairs
    histogram: np.ndarray
    n_tested: int
    n_excluded: int
    sum_z2: float
    n_nominal: int
    df: int
    n: int

    @property
    def lambda_gc(self) -> float:
        """Median z^2 over that of chi-square with 1 df; NaN where nothing was tested."""
        if self.n_tested == 0:
            return float("nan")
        edges = np.append(bin_edges(), np.inf)
        cumulative = np.cumsum(self.histogram)
        half = self.n_tested / 2
        at = int(np.searchsorted(cumulative, half))
        below = cumulative[at - 1] if at else 0
        width = edges[at + 1] - edges[at] if np.isfinite(edges[at + 1]) else 0.0
        median = edges[at] + width * (half - below) / max(self.histogram[at], 1)
        return float(median / 0.454936423119572)

    @property
    def p_values(self) -> np.ndarray:
        """Two-sided p-values of the top pairs, (k,)."""
        return p_value(self.top.z, self.df)

    @property
    def q_values(self) -> np.ndarray:
        """Benjamini-Hochberg q-values of the top pairs over all tested pairs, (k,)."""
        return top_pairs_q_values(self.top.z, self.df, self.histogram, self.n_tested)


class TileSummary(NamedTuple):
    """What a tile adds to one trait column.

    ``histogram`` (N_BINS + 1,), the last place for what was not tested; ``n_tested``, ``n_excluded``, ``sum_z2``,
    ``n_nominal``; ``top``: i, j, beta, standard error of candidates; ``rows`` and ``columns``: for each variant along
    that side the sum of z^2, and z^2, partner (-1 none), beta, standard error of its strongest pair.
    """

    histogram: np.ndarray
    n_tested: int
    n_excluded: int
    sum_z2: float
    n_nominal: int
    top: tuple[np.ndarray, ...]
    rows: tuple[np.ndarray, ...]
    columns: tuple[np.ndarray, ...]


class ColumnSummary:
    """Running state of one trait column; `result` freezes it. Tiles are added in order, by one thread."""

    def __init__(self, top: int, n_variants: int) -> None:
        self._histogram = np.zeros(N_BINS, dtype=np.int64)
        self._top = TopK(top)
        self._n_tested = 0
        self._n_excluded = 0
        self._sum_z2 = 0.0
        self._n_nominal = 0
        self._variant_sum = np.zeros(n_variants)
        self._best = np.full(n_variants, -1.0)
        self._partner = np.full(n_variants, -1, dtype=np.int64)
        self._beta = np.full(n_variants, np.nan)
        self._error = np.full(n_variants, np.nan)

    @property
    def size(self) -> int:
        """Pairs to keep."""
        return self._top.size

    @property
    def threshold(self) -> float:
        """z^2 below it cannot enter the strongest pairs any more."""
        return self._top.threshold

    def add(self, i0: int, j0: int, tile: TileSummary) -> None:
        """Add a tile whose first row and column are variants i0 and j0."""
        self._histogram += tile.histogram[:N_BINS]
        self._n_tested += tile.n_tested
        self._n_excluded += tile.n_excluded
        self._sum_z2 += tile.sum_z2
        self._n_nominal += tile.n_nominal
        self._top.offer(*tile.top)
        for start, (sums, *best) in ((i0, tile.rows), (j0, tile.columns)):
            self._variant_sum[start : start + len(sums)] += sums
            self._improve(start, *best)

    def _improve(
        self, start: int, z2: np.ndarray, partner: np.ndarray, beta: np.ndarray, error: np.ndarray
    ) -> None:
        part = slice(start, start + len(z2))
        tie = (z2 == self._best[part]) & (partner < self._partner[part])
        better = start + np.flatnonzero((partner >= 0) & ((z2 > self._best[part]) | tie))
        own = better - start
        self._best[better] = z2[own]
        self._partner[better] = partner[own]
        self._beta[better] = beta[own]
        self._error[better] = error[own]

    def result(self, df: int, n: int) -> ColumnSweep:
        """Freeze the summary."""
        return ColumnSweep(
            top=TopPairs(*self._top.result()),
            variants=VariantPairs(self._variant_sum, self._partner, self._beta, self._error),
            histogram=self._histogram,
            n_tested=self._n_tested,
            n_excluded=self._n_excluded,
            sum_z2=self._sum_z2,
            n_nominal=self._n_nominal,
            df=df,
            n=n,
        )


def top_pairs_q_values(z: np.ndarray, df: float, histogram: np.ndarray, n_tested: int) -> np.ndarray:
    """Benjamini-Hochberg q-values of the strongest pairs, over all pairs tested.

    Parameters
    ----------
    z : (k,) float64
        t statistics of the strongest pairs, in descending |z|.
    df : float
        Their residual degrees of freedom.
    histogram : (N_BINS,) int64
        All tested pairs by z^2.
    n_tested : int
        Number of pairs tested.

    Returns
    -------
    (k,) float64
        A q-value is the smallest p n / rank over this and all weaker pairs. Within the list ranks are exact; below it
        each bin counts with the largest p-value and the last rank in it, which errs upwards by 5 % at most at z^2
        below 20 (the list should reach below the significant pairs, and then the error is nil).
    """
    if len(z) == 0:
        return np.zeros(0)
    ratio = p_value(z, df) * n_tested / np.arange(1, len(z) + 1)
    edges = bin_edges()
    rank = np.cumsum(histogram[::-1])[::-1]
    below = (rank > len(z)) & (histogram > 0)
    tail = 1.0
    if below.any():
        with np.errstate(under="ignore"):
            p_edge = 2.0 * special.stdtr(float(df), -np.sqrt(edges[below]))
        tail = min(tail, float(np.min(p_edge * n_tested / rank[below])))
    running = np.minimum.accumulate(np.append(ratio, tail)[::-1])[::-1][:-1]
    return np.minimum(running, 1.0)
