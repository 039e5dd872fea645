"""Debiased marginal and dominance effects: cross-fitted, residual-corrected, with standard errors (METHOD 4)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gp_elm.association.linear import dominance_block, scan_block
from gp_elm.elm.quadratic import QuadraticPopulation
from gp_elm.elm.sampled import SampledPopulation
from gp_elm.elm.study import Floats, Study, network_weights
from gp_elm.genotypes.ld import ReadBlock

ReadDosage = Callable[[int, int], NDArray[np.int8]]
"""(start, stop) -> raw dosages (samples, stop - start), -1 missing."""
Population = QuadraticPopulation | SampledPopulation
CHUNK, CHUNK_BYTES = 512, 64 << 20
"""Variants regressed together, and the bytes of their dosages as float64 at the most."""
_KEPT_BLOCKS = 8


@dataclass(frozen=True)
class Effects:
    """Effects of all variants on all traits.

    Attributes
    ----------
    beta, standard_error, df : (m, T) float
        Per copy of the effect allele, on the trait's scale; NaN where they cannot be estimated.
    weights : (folds, T) float
        `network_weight` of each fold.
    population_check : (T,) float
        Mean z^2 of the effects, in the cohort, of the network's prediction from the other blocks, which are 0 in the
        population; near 1 in an unstructured cohort.
    structured : (T,) bool
        Whether the regression was a generalised one (:class:`gp_elm.elm.structured.Structure`).
    """

    beta: Floats
    standard_error: Floats
    df: Floats
    weights: Floats
    population_check: Floats
    structured: NDArray[np.bool_]

    def replaced(self, other: Effects) -> Effects:
        """These effects, with those of another set for the traits that are structured there."""
        at = other.structured
        return Effects(
            np.where(at, other.beta, self.beta),
            np.where(at, other.standard_error, self.standard_error),
            np.where(at, other.df, self.df),
            np.where(at, other.weights, self.weights),
            self.population_check,
            self.structured | at,
        )


def chunk_of(n_samples: int) -> int:
    """Variants regressed together in so many samples."""
    return int(np.clip(CHUNK_BYTES // (8 * max(n_samples, 1)), 16, CHUNK))


def centred_reader(read: ReadDosage, center: Floats) -> ReadBlock:
    """Reader of centred float32 dosages, missing calls as 0, from a reader of raw ones."""

    def block(start: int, stop: int) -> NDArray[np.float32]:
        raw = read(start, stop)
        x = raw.astype(np.float32) - center[start:stop].astype(np.float32)
        x[~(raw >= 0)] = 0.0  # NaN where dosages are imputed
        return x

    return block


class DrawnParts:
    """E[f | x_B] of the out-of-fold predictions in a sampled population: means over the samples that got the block.

    Within the samples to which a member gave block B the prediction varies by the other blocks alone, so that the mean
    is off by ``Var(f - f_B) n / N_P``. A member that gave the block to none has NaN.
    """

    def __init__(self, population: SampledPopulation) -> None:
        self._population = population

    def blocks_with_columns(self) -> Iterator[int]:
        """Labels of the blocks in which some network has a variant."""
        population = self._population
        return iter(np.unique(population.study.blocks[population.columns]).tolist())

    def block_part(self, block: int) -> Floats:
        """Out-of-fold prediction given a block alone, (n, T)."""
        study, values, offset = self._population.study, self._population._values, self._population._offset
        donor = self._population.population.donor[:, block]
        count = np.bincount(donor, minlength=study.rows.size)
        drawn = values[study.folds[donor], np.arange(donor.size)]
        sums = [np.bincount(donor, drawn[:, t], minlength=count.size) for t in range(values.shape[2])]
        out = np.column_stack(sums) / np.where(count > 0, count, np.nan)[:, None]
        if offset is not None:
            here = np.flatnonzero(study.blocks[self._population.columns] == block)
            at = self._population.columns[here]
            x = study.store.block(study.rows, columns=at, center=study.center[at])
            for k, coefficients in enumerate(offset):
                mine = study.folds == k
                out[mine] += x[mine] @ coefficients[:, here].T
        return out


class BlockParts:
    """The last few blocks' out-of-fold predictions; variants of a block mostly stand together."""

    def __init__(self, population: QuadraticPopulation | DrawnParts) -> None:
        self._population, self._with_columns = population, set(population.blocks_with_columns())
        self._kept: OrderedDict[int, Floats] = OrderedDict()

    def __contains__(self, block: int) -> bool:
        return block in self._with_columns

    def __getitem__(self, block: int) -> Floats:
        if block not in self._kept:
            self._kept[block] = self._population.block_part(block)
            while len(self._kept) > _KEPT_BLOCKS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(block)
        return self._kept[block]


def marginal_effects(
    study: Study,
    population: Population,
    predicted: Floats,
    residual: Floats,
    read: ReadDosage,
    *,
    dominance: bool = False,
    advance: Callable[[int], object] | None = None,
) -> Effects:
    """Debiased marginal effects, or dominance deviations, of every variant.

    The trait is regressed on the variant after the network's out-of-fold prediction from the *rest of the genome* has
    been taken out: ``theta_n(y - w f) + w theta_P(f)``. In a population of independent blocks the mean of f given the
    variant's own block is that block's part, so that for quadratic networks both terms join in one exact regression of
    ``y - w (f - f_B)``; other networks take theta_P from samples.

    Parameters
    ----------
    study : Study
        Discovery samples.
    population : QuadraticPopulation or SampledPopulation
        The cross-fitted networks over independent blocks.
    predicted : (n, T) float
        Out-of-fold predictions, offset included.
    residual : (n, T) float
        Traits less covariates, NaN missing; only the weights are fitted on it.
    read : callable
        ``(start, stop) -> (n, stop - start)`` raw dosages of the discovery samples, -1 missing.
    dominance : bool
        Estimate the coefficient of [g = 1] beside g instead of that of g.
    advance : callable, optional
        Called with the number of variants just done.

    Returns
    -------
    Effects
        Shapes (m, T).
    """
    weights = network_weights(residual, predicted, study.folds, noise=population.noise)
    m, n_traits = study.center.size, study.traits.shape[1]
    weight = weights[study.folds]
    response = study.traits - weight * predicted
    measured_prediction = np.where(np.isfinite(study.traits), predicted, np.nan)
    beta, error, df = (np.full((m, n_traits), np.nan) for _ in range(3))
    squares, tested = np.zeros(n_traits), np.zeros(n_traits)
    scan = dominance_block if dominance else scan_block
    sampled = None
    if isinstance(population, SampledPopulation):
        parts = BlockParts(DrawnParts(population))
        sampled = population.marginal(weights * study.fold_shares(), centred_reader(read, study.center))
    else:
        parts = BlockParts(population)
    step = chunk_of(study.rows.size)
    for start in range(0, m, step):
        stop = min(start + step, m)
        raw = read(start, stop)
        z2 = np.full((stop - start, n_traits), np.nan)
        labels = study.blocks[start:stop]
        own = [int(label) for label in np.unique(labels) if int(label) in parts]
        plain = np.flatnonzero(~np.isin(labels, own))
        for here, part in [(np.flatnonzero(labels == label), parts[label]) for label in own] + [(plain, 0.0)]:
            if here.size == 0:
                continue
            exact = weight * part if sampled is None else 0.0
            found = scan(raw[:, here], response + exact, study.covariates)
            at = here + start
            beta[at], error[at], df[at] = found.beta, found.standard_error, found.df
            # What the cohort's structure makes of the rest of the network's prediction: nothing, were there none.
            rest = scan(raw[:, here], measured_prediction - part, study.covariates)
            z2[here] = _squared_z(rest.beta, rest.standard_error)
        if sampled is not None:
            indicator = dominance_indicator(raw) if dominance else None
            theta, variance = sampled.block(start, stop, dominance=indicator)
            beta[start:stop] += theta
            error[start:stop] = np.sqrt(error[start:stop] ** 2 + variance)
        good = np.isfinite(z2)
        squares += np.where(good, z2, 0.0).sum(0)
        tested += good.sum(0)
        if advance is not None:
            advance(stop - start)
    with np.errstate(invalid="ignore"):
        check = squares / np.where(tested > 0, tested, np.nan)
    return Effects(beta, error, df, weights, check, np.zeros(n_traits, bool))


def _squared_z(beta: Floats, error: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return (beta / error) ** 2


def dominance_indicator(raw: NDArray[np.int8]) -> NDArray[np.float32]:
    """[g = 1] less its regression on g over the called genotypes, missing as 0, (n, b)."""
    called = raw >= 0
    count = np.maximum(called.sum(0), 1)
    g = np.where(called, raw, 0).astype(np.float64)
    het = np.where(called, 1.0 - np.abs(1.0 - g), 0.0)
    x = np.where(called, g - g.sum(0) / count, 0.0)
    d = np.where(called, het - het.sum(0) / count, 0.0)
    spread = (x * x).sum(0)
    slope = np.where(spread > 0, (x * d).sum(0) / np.where(spread > 0, spread, 1.0), 0.0)
    return (d - slope * x).astype(np.float32)
