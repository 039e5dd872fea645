"""Listed pairs fitted again, exactly: the three tests in the discovery samples and their repeats in held-out ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gp_elm.association.inflation import p_value
from gp_elm.association.interaction import genotypic_pairs, interaction_pairs
from gp_elm.association.sweep_summary import ColumnSweep
from gp_elm.elm.epistasis import PopulationEpistasis
from gp_elm.elm.pair_evidence import KINDS, PairModel
from gp_elm.elm.quadratic import QuadraticPopulation
from gp_elm.elm.sampled import SampledEpistasis
from gp_elm.elm.study import Floats
from gp_elm.genotypes.ld import pair_ld_r2
from gp_elm.kernels.topk import bin_edges

Ints = NDArray[np.int64]
ReadColumns = Callable[[Ints], Floats]
"""Variants -> dosages (n, len(variants)), NaN missing."""
BYTES = 32 << 20
RARE = 5
LEVEL = 0.05


@dataclass(frozen=True)
class PairEffects:
    """Tests of one trait's listed pairs; every array is (P,), the dicts have a test's name as key.

    Attributes
    ----------
    i, j : int
        Variants, i < j.
    beta, standard_error, df : dict of float
        ``interaction``, ``interaction_residual``, ``elm``; with held-out samples ``heldout_interaction`` and
        ``heldout_elm`` too.
    n, heldout_n : float
        Complete samples of the pair, in discovery and held-out samples.
    ld_r2 : float
        r^2 of the two dosages in the discovery samples.
    rare : bool
        Whether fewer than five samples carry both effect alleles, or lack both, or carry one alone.
    genotypic_p_value : float
        All interaction terms together.
    """

    i: Ints
    j: Ints
    n: Floats
    heldout_n: Floats
    ld_r2: Floats
    rare: NDArray[np.bool_]
    genotypic_p_value: Floats
    beta: dict[str, Floats] = field(default_factory=dict)
    standard_error: dict[str, Floats] = field(default_factory=dict)
    df: dict[str, Floats] = field(default_factory=dict)

    def p_value(self, test: str) -> Floats:
        """Two-sided p-values of a test."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return p_value(self.beta[test] / self.standard_error[test], self.df[test])

    def verdict(self) -> list[str | None]:
        """Replicated, not replicated or untestable, of each pair, in the held-out samples.

        A pair is replicated where the held-out debiased effect has the discovery's sign and p < .05. One that is not
        is untestable where the held-out samples had less than even chances to see the discovery effect, shrunk by
        1 - 1/z^2 as pairs are listed for being large.
        """
        beta, error = self.beta["heldout_elm"], self.standard_error["heldout_elm"]
        p = self.p_value("heldout_elm")
        effect = self.beta["elm"]
        quantile = -special.ndtri(LEVEL / 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = effect / self.standard_error["elm"]
            shrunk = np.abs(effect) * np.maximum(0.0, 1 - 1 / z**2)
            power = special.ndtr(shrunk / error - quantile)
        words: list[str | None] = []
        for k in range(self.i.size):
            if not (np.isfinite(p[k]) and np.isfinite(effect[k])):
                words.append("untestable")
            elif p[k] < LEVEL and np.sign(beta[k]) == np.sign(effect[k]):
                words.append("replicated")
            else:
                words.append("not_replicated" if power[k] >= 0.5 else "untestable")
        return words


@dataclass(frozen=True, eq=False)
class HeldoutPairs:
    """What the held-out samples bring to the tests of pairs.

    Attributes
    ----------
    rows : (h,) int
        Their rows in the store.
    read : callable
        Their dosages.
    covariates : (h, k) float or None
        Covariates.
    rest : (h, T) float
        Trait less its additive part.
    interaction : (h, T) float
        Non-additive part of the folds' mean prediction.
    """

    rows: Ints
    read: ReadColumns
    covariates: Floats | None
    rest: Floats
    interaction: Floats


def fit_pairs(
    model: PairModel, trait: int, i: Ints, j: Ints, read: ReadColumns, heldout: HeldoutPairs | None
) -> PairEffects:
    """Fit listed pairs of one trait on their complete cases, in float64.

    Parameters
    ----------
    model : PairModel
        Responses and population effects.
    trait : int
        Which trait.
    i, j : (P,) int
        The pairs.
    read : callable
        Dosages of the discovery samples.
    heldout : HeldoutPairs or None
        The held-out samples.
    """
    study = model.study
    size = i.size
    nan = np.full(size, np.nan)
    tests = list(KINDS) + ([] if heldout is None else ["heldout_interaction", "heldout_elm"])
    found = PairEffects(
        i, j, nan.copy(), nan.copy(), nan.copy(), np.zeros(size, bool), nan.copy(),
        *({test: nan.copy() for test in tests} for _ in range(3)),
    )  # fmt: skip
    columns = np.column_stack([study.traits[:, trait], model.rest[:, trait], model.response[:, trait]])
    weight = float(model.weights[:, trait].mean())
    for at in _chunks(size, study.rows.size):
        g_i, g_j = _both(read, i[at], j[at])
        fits = interaction_pairs(g_i, g_j, columns, study.covariates)
        for k, kind in enumerate(KINDS):
            _keep(found, kind, at, fits, k)
        found.n[at] = fits.n[:, 0]
        found.ld_r2[at] = pair_ld_r2(g_i, g_j)
        found.rare[at] = _smallest_cell(g_i, g_j) < RARE
        found.genotypic_p_value[at] = genotypic_pairs(g_i, g_j, columns[:, :1], study.covariates).p_value[
            :, 0
        ]
        if heldout is not None and heldout.rows.size:
            g_i, g_j = _both(heldout.read, i[at], j[at])
            held = heldout.rest[:, trait]
            both = np.column_stack([held, held - weight * heldout.interaction[:, trait]])
            fits = interaction_pairs(g_i, g_j, both, heldout.covariates)
            _keep(found, "heldout_interaction", at, fits, 0)
            _keep(found, "heldout_elm", at, fits, 1)
            found.heldout_n[at] = fits.n[:, 0]
    _add_population(model, trait, found, read, heldout)
    return found


def _add_population(
    model: PairModel, trait: int, found: PairEffects, read: ReadColumns, heldout: HeldoutPairs | None
) -> None:
    """Add theta_P of the networks; pairs inside a block get their own response instead."""
    study, weight = model.study, float(model.weights[:, trait].mean())
    theta = model.epistasis.pairs(found.i, found.j, trait)
    # NaN says "inside a block" of the closed form, and "cannot be estimated" of a sampled population.
    inside = np.isnan(theta) & isinstance(model.population, QuadraticPopulation)
    found.beta["elm"] += np.where(inside, 0.0, theta)
    found.standard_error["elm"] *= _widening(model.epistasis, model.response[:, trait], trait)
    if heldout is not None and heldout.rows.size:
        theta = model.heldout_epistasis.pairs(found.i, found.j, trait)
        found.beta["heldout_elm"] += np.where(inside, 0.0, theta)
        response = heldout.rest[:, trait] - weight * heldout.interaction[:, trait]
        found.standard_error["heldout_elm"] *= _widening(model.heldout_epistasis, response, trait)
    if not isinstance(model.population, QuadraticPopulation) or not inside.any():
        return
    for block in np.unique(study.blocks[found.i[inside]]):
        response = model.block_response(int(block))
        mine = np.flatnonzero(inside & (study.blocks[found.i] == block))
        held = None
        if heldout is not None and heldout.rows.size:
            own = model.population.heldout_block_interaction(int(block), heldout.rows)
            held = heldout.rest[:, trait] - weight * (heldout.interaction - own)[:, trait]
        for chunk in _chunks(mine.size, study.rows.size):
            at = mine[chunk]
            g_i, g_j = _both(read, found.i[at], found.j[at])
            _keep(found, "elm", at, interaction_pairs(g_i, g_j, response[:, [trait]], study.covariates), 0)
            if held is not None and heldout is not None:
                g_i, g_j = _both(heldout.read, found.i[at], found.j[at])
                fits = interaction_pairs(g_i, g_j, held[:, None], heldout.covariates)
                _keep(found, "heldout_elm", at, fits, 0)


def _widening(epistasis: PopulationEpistasis | SampledEpistasis, response: Floats, trait: int) -> float:
    """Factor of the standard error for a population that is drawn: its share is Var(score_f)/N_P."""
    if not isinstance(epistasis, SampledEpistasis):
        return 1.0
    n = int(np.isfinite(response).sum())
    return float(np.sqrt(1 + epistasis.variance()[trait] * n / np.nanvar(response)))


def _keep(found: PairEffects, test: str, at: Ints, fits: object, column: int) -> None:
    for name, values in (("beta", found.beta), ("standard_error", found.standard_error), ("df", found.df)):
        values[test][at] = getattr(fits, name)[:, column]


def _chunks(size: int, n_samples: int) -> Iterator[Ints]:
    step = max(16, BYTES // (16 * max(n_samples, 1)))
    for start in range(0, size, step):
        yield np.arange(start, min(start + step, size))


def _both(read: ReadColumns, i: Ints, j: Ints) -> tuple[Floats, Floats]:
    distinct, place = np.unique(np.r_[i, j], return_inverse=True)
    dosage = read(distinct)
    return dosage[:, place[: i.size]], dosage[:, place[i.size :]]


def _smallest_cell(g_i: Floats, g_j: Floats) -> Ints:
    """Samples in the emptiest of the four cells: carriers of both effect alleles, of one, of none."""
    called = np.isfinite(g_i) & np.isfinite(g_j)
    a, b = g_i > 0, g_j > 0
    cells = [(a & b), (a & ~b & called), (~a & called & b), (~a & ~b & called)]
    return np.min([c.sum(0) for c in cells], axis=0)


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
    top_key = sweep.top.i * n_variants + sweep.top.j
    order = np.argsort(top_key)
    at = np.searchsorted(top_key[order], i * n_variants + j)
    at = np.minimum(at, max(top_key.size - 1, 0))
    known = top_key[order][at] == i * n_variants + j if top_key.size else np.zeros(i.size, bool)
    place = order[at] if top_key.size else np.zeros(i.size, np.int64)
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
