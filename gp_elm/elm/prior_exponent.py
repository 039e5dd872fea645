"""The exponent of the heredity prior, chosen on the strongest independent pairs of the discovery samples (METHOD 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from gp_elm.association.sweep_summary import ColumnSweep
from gp_elm.elm.prior import HeredityPrior
from gp_elm.elm.prior_strength import unit_columns
from gp_elm.elm.study import Floats, Study

Ints = NDArray[np.int64]
EXPONENTS = np.arange(0.0, 3.01, 0.25)
"""Powers of the strengths that are tried."""
PEAKS = 1000
"""Independent pairs of a trait, the strongest first, that the power is chosen on."""
SAME = 0.1
"""Squared correlation of two pairs' tests above which the weaker belongs to the stronger's peak."""
SAMPLES = 2000
"""Samples behind these correlations."""


def choose_exponent(study: Study, strength: Floats, sweeps: Sequence[ColumnSweep | None]) -> float:
    """Choose the exponent on the strongest independent pairs of the debiased sweeps, those across blocks.

    Given that its test exceeds the weakest of them, the z^2 of a pair is chi-square with 1 df, or, with a chance in
    proportion to its weight, (1 + tau^2) times that; share and tau^2 are each trait's own. The exponent of largest
    likelihood over all traits is taken where it beats 0 by the Bayesian information criterion.

    Parameters
    ----------
    study : Study
        Discovery samples.
    strength : (T, m) float
        From :func:`gp_elm.elm.prior_strength.locus_strength`.
    sweeps : sequence of ColumnSweep or None
        The debiased sweep of each trait; None where its p-values are not to be used.
    """
    total, count = np.zeros(EXPONENTS.size), 0
    for trait, sweep in enumerate(sweeps):
        if sweep is None or sweep.top.i.size == 0:
            continue
        i, j = sweep.top.i, sweep.top.j
        across = np.flatnonzero(study.blocks[i] != study.blocks[j])
        peaks = across[independent_pairs(study, i[across], j[across])]
        if peaks.size < 2:
            continue
        z2 = special.ndtri(np.maximum(sweep.p_values[peaks], 1e-300) / 2) ** 2
        priors = [HeredityPrior(strength, study.blocks, float(exponent)) for exponent in EXPONENTS]
        weights = np.stack([prior.log_weight(trait, i[peaks], j[peaks]) for prior in priors])
        total += _profile(z2, weights, 0.0 if peaks.size == sweep.n_tested else float(z2.min()))
        count += peaks.size
    best = int(np.argmax(total))
    return float(EXPONENTS[best]) if 2 * (total[best] - total[0]) > np.log(max(count, 1)) else 0.0


def independent_pairs(study: Study, i: Ints, j: Ints, most: int = PEAKS) -> Ints:
    """Places of the strongest of pairs (P,) in descending order, each the strongest of its peak.

    Two tests of pairs (i, j) and (k, l) correlate as r_ik r_jl; a pair belongs to the peak of a stronger one where
    the square of that exceeds :data:`SAME`.
    """
    rows = study.rows[:: max(1, study.rows.size // SAMPLES)]
    variants, place = np.unique(np.r_[i, j], return_inverse=True)
    first, second = place[: i.size], place[i.size :]
    blocks = study.blocks[variants]
    standard: dict[int, tuple[Ints, NDArray[np.float32]]] = {}
    order = np.argsort(blocks, kind="stable")
    for mine in np.split(order, np.flatnonzero(np.diff(blocks[order])) + 1):
        x = study.store.block(rows, columns=variants[mine], center=study.center[variants[mine]])
        standard[int(blocks[mine[0]])] = (mine, unit_columns(x - x.mean(0)))
    known: dict[int, Floats] = {}

    def r2(variant: int) -> Floats:
        """Squared correlation of a variant with all of its block, 0 elsewhere."""
        if variant not in known:
            mine, z = standard[int(blocks[variant])]
            at = np.searchsorted(mine, variant)
            out = np.zeros(variants.size)
            out[mine] = (z.T @ z[:, at]) ** 2
            known[variant] = out
        return known[variant]

    alive = np.ones(i.size, bool)
    found: list[int] = []
    for k in range(i.size):
        if not alive[k]:
            continue
        found.append(k)
        if len(found) == most:
            break
        same = r2(int(first[k]))[first] * r2(int(second[k]))[second] > SAME
        alive &= ~same
    return np.asarray(found, np.int64)


def _profile(z2: Floats, log_weight: Floats, cut: float) -> Floats:
    """Log-likelihood of each row of log weights, (E,), at its best share and spread of the pairs with an effect.

    Parameters
    ----------
    z2 : (K,) float
        All above the cut.
    log_weight : (E, K) float
        Logarithm of the pairs' weights by each exponent.
    cut : float
        Smallest z^2 that was looked at.
    """
    out = np.empty(len(log_weight))
    start = np.array([-8.0 if cut > 0 else -3.0, 2.0])
    for e, weight in enumerate(log_weight):

        def loss(x: Floats, weight: Floats = weight) -> float:
            log_share, tau2 = float(x[0]), float(np.exp(x[1]))
            chance = np.minimum(log_share + weight, np.log(0.99))
            ratio = 0.5 * (z2 * tau2 / (1 + tau2) - np.log1p(tau2))
            tail = special.log_ndtr(-np.sqrt(cut / (1 + tau2))) - special.log_ndtr(-np.sqrt(cut))
            each = np.logaddexp(np.log1p(-np.exp(chance)), chance + ratio)
            share = min(log_share, np.log(0.99))
            exceeding = np.logaddexp(np.log1p(-np.exp(share)), share + tail)
            return float(z2.size * exceeding - each.sum())

        found = optimize.minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-4})
        out[e], start = -found.fun, found.x
    return out
