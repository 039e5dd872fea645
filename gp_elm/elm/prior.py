"""The heredity prior: loci with a main effect are likelier to interact (METHOD 4).

A pair's weight is a power of the product of its loci's strengths, ``w_ij ~ (s_i s_j)^gamma``, of mean 1 over the
pairs of loci that vary; ``gamma`` is one number for all traits. p-values stay as they are: weights change ranks, and
the false discovery rate by Benjamini-Hochberg on ``p / w`` (Genovese, Roeder and Wasserman 2006, Biometrika 93:509).

The weights are legitimate because, of normal errors, the estimate of a product's effect given both dosages is
independent of the main effects' estimates, and the product is uncorrelated with every dosage of other blocks: under
the null, strengths say nothing of p. As ``gamma`` is chosen on the p-values themselves it must be little: one number,
by a penalised likelihood, 0 unless the data ask for more (Ignatiadis et al. 2016, Nature Methods 13:577, on what goes
wrong with many).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gp_elm.association.sweep_summary import ColumnSweep
from gp_elm.elm.pair_ranks import places_in, sweep_q_values
from gp_elm.elm.study import Floats

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class HeredityPrior:
    """Weights of all pairs of each trait.

    Attributes
    ----------
    strength : (T, m) float
        From :func:`gp_elm.elm.prior_strength.locus_strength`.
    blocks : (m,) int
        LD blocks. Two loci of one block may share one main effect, so that pairs within blocks have weight 1.
    exponent : float
        ``gamma``.
    """

    strength: Floats
    blocks: Ints
    exponent: float

    def _log_power(self, trait: int) -> Floats:
        """gamma log s, (m,), shifted so that pairs across blocks of loci that vary have a mean weight of 1."""
        s = self.strength[trait]
        if not self.exponent > 0:
            return np.zeros(s.size)
        with np.errstate(divide="ignore"):
            power = self.exponent * np.log(s)
        largest = power.max()
        a, varies = np.exp(power - largest), s > 0
        sums, sizes = np.bincount(self.blocks, a), np.bincount(self.blocks, varies)
        across = a.sum() ** 2 - (sums**2).sum()
        pairs = sizes.sum() ** 2 - (sizes**2).sum()
        if not across > 0:
            return np.zeros(s.size)
        return np.asarray(power - largest - 0.5 * np.log(across / pairs))

    def _total_weight(self, trait: int, n_tested: int) -> float:
        """Sum of the weights of the pairs tested, or what it is at most where some pairs were degenerate.

        Nobody keeps which these were; by the smallest weight that they can have the bound is sharp where they are pairs
        of weak loci, as those of rare variants are, and it is the number of pairs where all weights are 1.
        """
        varies = self.strength[trait] > 0
        n_pairs = float(varies.sum() * (varies.sum() - 1) // 2)
        least = min(1.0, float(np.exp(2 * self._log_power(trait)[varies].min(initial=0.0))))
        return float(n_pairs - max(n_pairs - n_tested, 0.0) * least)

    def log_weight(self, trait: int, i: Ints, j: Ints) -> Floats:
        """Logarithm of the weight of listed pairs, (P,)."""
        power = self._log_power(trait)
        return np.where(self.blocks[i] == self.blocks[j], 0.0, power[i] + power[j])

    def order(self, trait: int, sweep: ColumnSweep) -> Ints:
        """The pairs that a sweep kept by p / weight, smallest first."""
        ratio = self._log_ratio(trait, sweep.top.i, sweep.top.j, sweep.p_values)
        return np.argsort(ratio, kind="stable")

    def _log_ratio(self, trait: int, i: Ints, j: Ints, p: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(p) - self.log_weight(trait, i, j))

    def q_values(self, trait: int, sweep: ColumnSweep, i: Ints, j: Ints, p: Floats) -> tuple[Floats, Ints]:
        """Weighted q-values of listed pairs over all pairs tested, and their ranks by p / weight.

        Parameters
        ----------
        trait : int
            Which trait.
        sweep : ColumnSweep
            Its debiased sweep.
        i, j : (P,) int
            Listed pairs.
        p : (P,) float
            Their p-values.

        Returns
        -------
        q : (P,) float
            Benjamini-Hochberg on p / weight. Pairs that the sweep did not keep count as weaker than all that it
            kept, which errs upwards. Without an exponent the q-values of the sweep.
        rank : (P,) int
            1 is the smallest; -1 where a pair that was not kept could come before.
        """
        top, m = sweep.top, self.blocks.size
        if not self.exponent > 0:
            return sweep_q_values(sweep, i, j, p, m)
        place = places_in(top, i, j, m)
        kept, others = place >= 0, np.flatnonzero((place < 0) & np.isfinite(p))
        ratio = np.r_[
            self._log_ratio(trait, top.i, top.j, sweep.p_values),
            self._log_ratio(trait, i[others], j[others], p[others]),
        ]
        order = np.argsort(ratio, kind="stable")
        q_sorted = (
            np.exp(ratio[order]) * self._total_weight(trait, sweep.n_tested) / np.arange(1, ratio.size + 1)
        )
        q_all, rank_all = np.empty(ratio.size), np.empty(ratio.size, np.int64)
        q_all[order] = np.minimum(np.minimum.accumulate(q_sorted[::-1])[::-1], 1.0)
        rank_all[order] = np.arange(1, ratio.size + 1)
        if top.i.size < sweep.n_tested:
            rank_all[order[self._known(trait, sweep, ratio[order]) :]] = -1
        q, rank = np.full(i.size, np.nan), np.full(i.size, -1, np.int64)
        q[kept], rank[kept] = q_all[place[kept]], rank_all[place[kept]]
        q[others], rank[others] = q_all[top.i.size :], rank_all[top.i.size :]
        # Missing calls make the sweep's p-value, behind q, another one than the exact p.
        return np.fmax(q, np.minimum(np.exp(self._log_ratio(trait, i, j, p)), 1.0)), rank

    def _known(self, trait: int, sweep: ColumnSweep, ratio: Floats) -> int:
        """How many of the ascending ratios no pair can undercut that the sweep did not keep."""
        top = sweep.top
        cut = float(np.log(np.maximum(sweep.p_values[-1], 1e-320)))
        power = np.sort(self._log_power(trait))
        own = self.log_weight(trait, top.i, top.j)[self.blocks[top.i] != self.blocks[top.j]]

        def safe(k: int) -> bool:
            least = cut - ratio[k]
            if least <= 0:
                return False
            return self._heavier(trait, power, least) <= int(np.count_nonzero(own > least))

        low, high = 0, ratio.size
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if safe(middle) else (low, middle)
        return low

    def _heavier(self, trait: int, ascending: Floats, least: float) -> int:
        """Pairs across blocks whose log weight exceeds a bound."""
        power = self._log_power(trait)
        some = np.flatnonzero(power + ascending[-1] > least)
        found = _above(np.sort(power[some]), least)
        order = some[np.argsort(self.blocks[some], kind="stable")]
        for mine in np.split(order, np.flatnonzero(np.diff(self.blocks[order])) + 1):
            found -= _above(np.sort(power[mine]), least)
        return found


def _above(ascending: Floats, least: float) -> int:
    """Pairs of two entries whose sum exceeds a bound."""
    if ascending.size < 2:
        return 0
    partners = ascending.size - np.searchsorted(ascending, least - ascending, side="right")
    itself = np.count_nonzero(2 * ascending > least)
    return int((partners.sum() - itself) // 2)
