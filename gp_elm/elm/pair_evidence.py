"""Debiased epistatic effects: what is swept over all pairs, and what is fitted again for listed ones (METHOD 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gp_elm.association.pair_sweep import pair_sweep
from gp_elm.association.sweep_summary import ColumnSweep, TopPairs, VariantPairs
from gp_elm.elm.debiased import Population
from gp_elm.elm.epistasis import PopulationEpistasis
from gp_elm.elm.quadratic import QuadraticPopulation
from gp_elm.elm.sampled import SampledEpistasis
from gp_elm.elm.study import Floats, Study, network_weights
from gp_elm.genotypes.ld import ReadBlock
from gp_elm.kernels.topk import TopK

Ints = NDArray[np.int64]
KEPT_BLOCKS = 32
"""Responses of blocks that are kept for the next trait."""
KINDS = ("interaction", "interaction_residual", "elm")
"""Tests of a pair: classical on the trait, classical on the trait less its additive part, debiased."""


@dataclass(frozen=True, eq=False)
class PairModel:
    """Responses and population effects behind the three tests of a pair.

    Attributes
    ----------
    study : Study
        Discovery samples.
    population : QuadraticPopulation or SampledPopulation
        The cross-fitted networks over independent blocks.
    rest : (n, T) float
        Trait less its additive part, NaN missing.
    interaction : (n, T) float
        Non-additive part of the out-of-fold prediction.
    weights : (folds, T) float
        `network_weight` of each fold.
    epistasis, heldout_epistasis : PopulationEpistasis or SampledEpistasis
        Epistatic effects in the population of the networks, each with its weight and its fold's share of the samples;
        and of the folds' mean network with the mean weight, which predicts the held-out samples.
    """

    study: Study
    population: Population
    rest: Floats
    interaction: Floats
    weights: Floats
    epistasis: PopulationEpistasis | SampledEpistasis
    heldout_epistasis: PopulationEpistasis | SampledEpistasis
    _kept: dict[int, Floats] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def build(cls, study: Study, population: Population, rest: Floats, read_block: ReadBlock) -> PairModel:
        """Fit the weights, and gather the population effects of the weighted networks.

        Parameters
        ----------
        study, population, rest
            As the attributes.
        read_block : callable
            Centred dosages of the discovery samples.
        """
        interaction = population.interaction()
        weights = network_weights(rest, interaction, study.folds, noise=population.noise)
        shared = weights * study.fold_shares()
        mean = np.repeat(weights.mean(0)[None] / study.n_folds, study.n_folds, axis=0)
        if isinstance(population, QuadraticPopulation):
            effects = (population.epistasis(shared), population.epistasis(mean))
            return cls(study, population, rest, interaction, weights, *effects)
        drawn = (population.epistasis(shared, read_block), population.epistasis(mean, read_block))
        return cls(study, population, rest, interaction, weights, *drawn)

    @property
    def response(self) -> Floats:
        """What the debiased test regresses: the rest of the trait less the weighted prediction, (n, T)."""
        return self.rest - self.weights[self.study.folds] * self.interaction

    def responses(self) -> Floats:
        """Columns of the sweep: the traits, their rests, the debiased responses, (n, 3 T)."""
        return np.hstack([self.study.traits, self.rest, self.response])

    def has_own_response(self, block: int) -> bool:
        """Whether the pairs inside a block need a response of their own."""
        return isinstance(self.epistasis, PopulationEpistasis) and self.epistasis.has(block)

    def block_response(self, block: int) -> Floats:
        """Debiased response of the pairs *inside* a block, (n, T), where they have one of their own.

        Inside a block the effect in the population is the block's own, as it is in the cohort, so that the prediction
        from the rest of the genome alone is taken out.
        """
        if block not in self._kept:
            assert isinstance(self.population, QuadraticPopulation)
            own = self.population.block_interaction(block)
            self._kept[block] = self.rest - self.weights[self.study.folds] * (self.interaction - own)
            while len(self._kept) > KEPT_BLOCKS:
                self._kept.pop(next(iter(self._kept)))
        return self._kept[block]


def sweep_pairs(
    model: PairModel,
    read_block: ReadBlock,
    *,
    top: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, list[ColumnSweep]]:
    """Test every pair in the three ways.

    Parameters
    ----------
    model : PairModel
        Responses and population effects.
    read_block : callable
        Centred dosages of the discovery samples, missing as 0.
    top : int
        Strongest pairs to keep for each trait and test.
    progress : callable, optional
        Told of pairs done and pairs in all.

    Returns
    -------
    dict of str to list of ColumnSweep
        One list for each of :data:`KINDS`, one entry a trait.
    """
    study = model.study
    n_traits, m = study.traits.shape[1], study.center.size
    debiased = list(range(2 * n_traits, 3 * n_traits))
    extra = _relative_noise(model)
    swept = pair_sweep(
        read_block,
        m,
        model.responses(),
        study.covariates,
        top=top,
        shift=model.epistasis.tile,
        shift_columns=debiased,
        variance_factor=np.r_[np.ones(2 * n_traits), 1.0 + extra],
        progress=progress,
    )
    found = {kind: swept[k * n_traits : (k + 1) * n_traits] for k, kind in enumerate(KINDS)}
    for block, members in _large_blocks(study.blocks):
        if not model.has_own_response(block):
            continue

        def read_inside(start: int, stop: int, members: Ints = members) -> NDArray[np.float32]:
            return _columns(read_block, members[start:stop])

        inside = pair_sweep(read_inside, members.size, model.block_response(block), study.covariates, top=top)
        found["elm"] = [merge_sweeps(a, b, members, top) for a, b in zip(found["elm"], inside, strict=True)]
    return found


def _relative_noise(model: PairModel) -> Floats:
    """Var(score_f)/N_P relative to the squared error of the regression, (T,); 0 where the population is exact."""
    if not isinstance(model.epistasis, SampledEpistasis):
        return np.zeros(model.rest.shape[1])
    response = model.response
    n = np.isfinite(response).sum(0)
    return model.epistasis.variance() * n / np.nanvar(response, axis=0)


def _large_blocks(blocks: Ints) -> list[tuple[int, Ints]]:
    order = np.argsort(blocks, kind="stable")
    cuts = np.flatnonzero(np.diff(blocks[order])) + 1
    return [(int(blocks[part[0]]), np.sort(part)) for part in np.split(order, cuts) if part.size > 1]


def _columns(read_block: ReadBlock, variants: Ints) -> NDArray[np.float32]:
    """Centred dosages of ascending variants, read in runs."""
    runs = np.split(variants, np.flatnonzero(np.diff(variants) > 1) + 1)
    parts = [read_block(int(run[0]), int(run[-1]) + 1) for run in runs]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def merge_sweeps(whole: ColumnSweep, part: ColumnSweep, members: Ints, top: int) -> ColumnSweep:
    """Add the pairs of a sweep over some variants to a sweep over all that left them out.

    Parameters
    ----------
    whole, part : ColumnSweep
        The two sweeps; no pair is in both.
    members : (b,) int
        Which variants the part's are.
    top : int
        Strongest pairs to keep.
    """
    strongest = TopK(top)
    strongest.offer(whole.top.i, whole.top.j, whole.top.beta, whole.top.standard_error)
    strongest.offer(members[part.top.i], members[part.top.j], part.top.beta, part.top.standard_error)
    a, b = whole.variants, part.variants
    total, partner = a.sum_z2.copy(), a.partner.copy()
    beta, error = a.beta.copy(), a.standard_error.copy()
    total[members] += b.sum_z2
    with np.errstate(divide="ignore", invalid="ignore"):
        old = np.nan_to_num(np.abs(beta[members] / error[members]), nan=-1.0)
        new = np.nan_to_num(np.abs(b.beta / b.standard_error), nan=-1.0)
    better = new > old
    at = members[better]
    partner[at], beta[at], error[at] = members[b.partner[better]], b.beta[better], b.standard_error[better]
    return replace(
        whole,
        top=TopPairs(*strongest.result()),
        variants=VariantPairs(total, partner, beta, error),
        histogram=whole.histogram + part.histogram,
        n_tested=whole.n_tested + part.n_tested,
        # The whole counted these as degenerate only where they really were.
        n_excluded=whole.n_excluded,
        sum_z2=whole.sum_z2 + part.sum_z2,
        n_nominal=whole.n_nominal + part.n_nominal,
    )
