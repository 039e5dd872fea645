"""Debiased epistatic effects: what is swept over all pairs, and what is fitted again for listed ones (METHOD 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

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
Epistasis = PopulationEpistasis | SampledEpistasis
Weigh = Callable[..., Floats]
"""As :func:`gp_elm.elm.study.network_weights`."""
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
    read_block : callable
        Centred dosages of the discovery samples.
    weigh : callable
        How the networks are weighted.
    """

    study: Study
    population: Population
    rest: Floats
    interaction: Floats
    weights: Floats
    read_block: ReadBlock
    weigh: Weigh
    _kept: dict[int, Floats] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def build(
        cls,
        study: Study,
        population: Population,
        rest: Floats,
        read_block: ReadBlock,
        *,
        weigh: Weigh = network_weights,
    ) -> PairModel:
        """Fit the weights; arguments as the attributes."""
        interaction = population.interaction()
        weights = weigh(rest, interaction, study.folds, noise=population.noise)
        return cls(study, population, rest, interaction, weights, read_block, weigh)

    def with_rest(self, rest: Floats) -> PairModel:
        """The same networks and another rest of the trait, (n, T), which gives them weights of its own."""
        weights = self.weigh(rest, self.interaction, self.study.folds, noise=self.population.noise)
        return replace(self, rest=rest, weights=weights)

    @cached_property
    def epistasis(self) -> Epistasis:
        """Effects in the population of the networks, each with its weight and its fold's share of the samples."""
        return self._epistasis(self.weights * self.study.fold_shares())

    @cached_property
    def heldout_epistasis(self) -> Epistasis:
        """The same of the folds' mean network with the mean weight, which predicts the held-out samples."""
        n_folds = self.study.n_folds
        return self._epistasis(np.repeat(self.weights.mean(0)[None] / n_folds, n_folds, axis=0))

    def _epistasis(self, weights: Floats) -> Epistasis:
        if isinstance(self.population, QuadraticPopulation):
            return self.population.epistasis(weights)
        return self.population.epistasis(weights, self.read_block)

    @cached_property
    def response(self) -> Floats:
        """What the debiased test regresses: the rest of the trait less the weighted prediction, (n, T)."""
        return self.rest - self.weights[self.study.folds] * self.interaction

    def responses(self, kinds: Sequence[str] = KINDS) -> Floats:
        """Columns of the sweep, (n, len(kinds) T): the traits, their rests, the debiased responses."""
        of = {"interaction": self.study.traits, "interaction_residual": self.rest, "elm": self.response}
        return np.hstack([of[kind] for kind in kinds])

    def response_labels(self, i: Ints, j: Ints) -> Ints:
        """Whose response the debiased test of each pair takes, (P,): a block's of its inner pairs, or -1."""
        blocks = self.study.blocks
        labels = np.where(blocks[i] == blocks[j], blocks[i], -1)
        without = [b for b in np.unique(labels).tolist() if b >= 0 and not self.has_own_response(b)]
        labels[np.isin(labels, without)] = -1
        return labels

    def labelled_response(self, label: int) -> Floats:
        """Response of a label, (n, T)."""
        return self.response if label < 0 else self.block_response(label)

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
    debiased_top: int | None = None,
    kinds: Sequence[str] = KINDS,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, list[ColumnSweep]]:
    """Test every pair in the three ways, or some of them.

    Parameters
    ----------
    model : PairModel
        Responses and population effects.
    read_block : callable
        Centred dosages of the discovery samples, missing as 0.
    top : int
        Strongest pairs to keep for each trait and test.
    debiased_top : int, optional
        The same for the debiased test, where it is another number.
    kinds : sequence of str
        Which of :data:`KINDS`.
    progress : callable, optional
        Told of pairs done and pairs in all.

    Returns
    -------
    dict of str to list of ColumnSweep
        One list for each kind, one entry a trait.
    """
    study = model.study
    n_traits, m = study.traits.shape[1], study.center.size
    is_debiased = np.repeat([kind == "elm" for kind in kinds], n_traits)
    own_top = top if debiased_top is None else debiased_top
    debiased = np.flatnonzero(is_debiased).tolist()
    noise = np.tile(relative_noise(model), len(kinds))
    swept = pair_sweep(
        read_block,
        m,
        model.responses(kinds),
        study.covariates,
        top=np.where(is_debiased, own_top, top).tolist(),
        shift=model.epistasis.tile if debiased else None,
        shift_columns=debiased,
        variance_factor=np.where(is_debiased, 1.0 + noise, 1.0).tolist(),
        progress=progress,
    )
    found = {kind: swept[k * n_traits : (k + 1) * n_traits] for k, kind in enumerate(kinds)}
    if not debiased:
        return found
    parts: list[list[tuple[ColumnSweep, Ints]]] = [[] for _ in range(n_traits)]
    for block, members in _large_blocks(study.blocks):
        if not model.has_own_response(block):
            continue

        def read_inside(start: int, stop: int, members: Ints = members) -> NDArray[np.float32]:
            return _columns(read_block, members[start:stop])

        response = model.block_response(block)
        inside = pair_sweep(read_inside, members.size, response, study.covariates, top=own_top)
        for part, sweep in zip(parts, inside, strict=True):
            part.append((sweep, members))
    found["elm"] = [
        merge_sweeps(sweep, part, own_top) for sweep, part in zip(found["elm"], parts, strict=True)
    ]
    return found


def relative_noise(model: PairModel) -> Floats:
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


def merge_sweeps(whole: ColumnSweep, parts: Sequence[tuple[ColumnSweep, Ints]], top: int) -> ColumnSweep:
    """Add the pairs of sweeps over some variants each to a sweep over all that left them out.

    Parameters
    ----------
    whole : ColumnSweep
        The sweep over all.
    parts : sequence of (ColumnSweep, (b,) int)
        The others, and which variants theirs are; no pair is in two sweeps.
    top : int
        Strongest pairs to keep.
    """
    strongest = TopK(top)
    strongest.offer(whole.top.i, whole.top.j, whole.top.beta, whole.top.standard_error)
    a = whole.variants
    total, partner = a.sum_z2.copy(), a.partner.copy()
    beta, error = a.beta.copy(), a.standard_error.copy()
    for part, members in parts:
        strongest.offer(members[part.top.i], members[part.top.j], part.top.beta, part.top.standard_error)
        b = part.variants
        total[members] += b.sum_z2
        with np.errstate(divide="ignore", invalid="ignore"):
            old = np.nan_to_num(np.abs(beta[members] / error[members]), nan=-1.0)
            new = np.nan_to_num(np.abs(b.beta / b.standard_error), nan=-1.0)
        better = new > old
        at = members[better]
        partner[at], beta[at], error[at] = (
            members[b.partner[better]],
            b.beta[better],
            b.standard_error[better],
        )
    sweeps = [part for part, _ in parts]
    return replace(
        whole,
        top=TopPairs(*strongest.result()),
        variants=VariantPairs(total, partner, beta, error),
        histogram=whole.histogram + np.sum([s.histogram for s in sweeps], axis=0, dtype=np.int64),
        n_tested=whole.n_tested + sum(s.n_tested for s in sweeps),
        # The whole counted these as degenerate only where they really were.
        n_excluded=whole.n_excluded,
        sum_z2=whole.sum_z2 + sum(s.sum_z2 for s in sweeps),
        n_nominal=whole.n_nominal + sum(s.n_nominal for s in sweeps),
    )
