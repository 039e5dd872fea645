"""Debiased effects by generalised least squares, for cohorts with families or populations (METHOD 4).

Where the network's effects in the cohort are not those in the population of independent blocks, long-range LD makes
of the unexplained part of a trait what it makes of the trait in a plain scan. The cohort's regression is then run with
``V = h K + (1 - h) I``: K the relatedness without the variant's own chromosome (all of it for pairs), h by restricted
maximum likelihood of the *trait*, as the network's prediction has taken part of the relatedness out of the residual.
As what is regressed then has less of K than V says, standard errors are HC3 in the eigenbasis of K, right for any h.
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from gp_elm.association.complete import complete_cases
from gp_elm.association.eigenbasis import MOST_EXACT
from gp_elm.association.linear import centred_dosage
from gp_elm.association.mixed import LeaveOutKernels, left_out_together
from gp_elm.association.mixed_model import MixedModel
from gp_elm.elm.debiased import (
    BlockParts,
    Effects,
    Population,
    ReadDosage,
    centred_reader,
    chunk_of,
    dominance_indicator,
)
from gp_elm.elm.quadratic import QuadraticPopulation
from gp_elm.elm.sampled import SampledPopulation
from gp_elm.elm.study import MOST_WEIGHT, Floats, Study, network_weights
from gp_elm.errors import InputError
from gp_elm.genotypes.relatedness import DosageStore

logger = logging.getLogger(__name__)

Ints = NDArray[np.int64]
KEPT_BYTES = 2 << 30
"""Eigendecompositions kept between the additive and the dominance effects; more are made again."""
PAIRS = 256


class Structure:
    """Generalised least squares of some samples' traits.

    Parameters
    ----------
    store : DosageStore
        Genotypes.
    rows : (n,) int
        The samples' rows in the store.
    contigs : (m,) int
        Chromosome of each variant; each is left out of the relatedness for its own variants.
    traits : (n, T) float
        NaN missing; a trait that is missing throughout is left alone.
    covariates : (n, k) float, optional
        Covariates without an intercept.
    blocks : (m,) int, optional
        LD block of each variant: whole blocks are left out where there is one chromosome or no map
        (:func:`gp_elm.association.mixed.left_out_together`); nothing is where they are not given.
    h : (T,) float, optional
        h of each trait, such as that of the discovery samples for held-out ones; by REML where None, then again
        without each chromosome.

    Attributes
    ----------
    h : (T,) float
        h with the relatedness over all chromosomes; NaN for traits left alone.

    Raises
    ------
    InputError
        For more samples than a relatedness matrix is held for, or where no variant varies.
    """

    def __init__(
        self,
        store: DosageStore,
        rows: Ints,
        contigs: Ints,
        traits: Floats,
        covariates: Floats | None = None,
        *,
        blocks: Ints | None = None,
        h: Floats | None = None,
    ) -> None:
        labels = left_out_together(
            contigs, lambda: np.zeros(contigs.size, np.int64) if blocks is None else blocks
        )
        self._kernels = LeaveOutKernels(store, np.asarray(rows, np.int64), labels)
        self._traits, self._given = traits, h
        self._cases = complete_cases(traits, covariates)
        self._whole = MixedModel(self._kernels.whole(), self._cases, h=h)
        self.h = self._whole.h
        self._kept: dict[int, MixedModel] = {}

    def _without(self, label: int) -> MixedModel:
        if label in self._kept:
            return self._kept[label]
        model = MixedModel(self._kernels.without(label), self._cases, h=self._given)
        if model.nbytes + sum(kept.nbytes for kept in self._kept.values()) <= KEPT_BYTES:
            self._kept[label] = model
        return model

    def network_weights(
        self, target: Floats, predicted: Floats, folds: Ints, *, noise: float = 0.0
    ) -> Floats:
        """Weight of the network by fold and trait in the metric of V: ``(y'V^-1 f) / (f'V^-1 f)`` over the others.

        Parameters
        ----------
        target, predicted, folds, noise
            As in :func:`gp_elm.elm.study.network_weights`, whose bounds hold here too. The weight costs a Cholesky
            factor of each fold and trait; with more than 6,000 samples it is the one of ordinary least squares, which
            is as valid and less sharp.

        Returns
        -------
        (folds, T) float64
        """
        weights = network_weights(target, predicted, folds, noise=noise)
        if target.shape[0] > MOST_EXACT:
            return weights
        kernel = self._kernels.whole()
        for trait in np.flatnonzero(np.isfinite(self.h)):
            h = float(self.h[trait])
            for k in range(weights.shape[0]):
                use = np.flatnonzero(np.isfinite(target[:, trait]) & (folds != k))
                y, f = target[use, trait], predicted[use, trait]
                v = h * kernel[np.ix_(use, use)]
                v[np.diag_indices(use.size)] += 1 - h
                factor = linalg.cholesky(v, lower=True, overwrite_a=True)
                one, y_v, f_v = linalg.solve_triangular(
                    factor, np.column_stack([np.ones(use.size), y, f]), lower=True
                ).T
                y_v, f_v = (a - one * (one @ a) / (one @ one) for a in (y_v, f_v))
                spread = (1 + noise) * float(f_v @ f_v)
                largest = y.std() / max(float(predicted[folds == k, trait].std()), 1e-300)
                weight = float(y_v @ f_v) / spread if spread > 0 else 0.0
                weights[k, trait] = np.clip(weight, 0.0, min(MOST_WEIGHT, largest))
        return weights

    def marginal(
        self,
        study: Study,
        population: Population,
        predicted: Floats,
        residual: Floats,
        read: ReadDosage,
        *,
        dominance: bool = False,
    ) -> Effects:
        """Debiased marginal effects, or dominance deviations, of every variant.

        Parameters
        ----------
        study, population, predicted, residual, read, dominance
            As in :func:`gp_elm.elm.debiased.marginal_effects`; the samples are those of this structure.

        Returns
        -------
        Effects
            NaN for traits left alone; no population check.
        """
        weights = self.network_weights(residual, predicted, study.folds, noise=population.noise)
        weight = weights[study.folds]
        measured = np.isfinite(self._traits)
        # A mean far from 0 costs digits; the intercept takes it out anyway.
        centre = np.where(measured, self._traits, 0.0).sum(0) / np.maximum(measured.sum(0), 1)
        response = np.where(measured, self._traits - centre - weight * predicted, 0.0)
        m, n_traits = study.center.size, self._traits.shape[1]
        beta, error, df = (np.full((m, n_traits), np.nan) for _ in range(3))
        parts = BlockParts(population) if isinstance(population, QuadraticPopulation) else None
        sampled = None
        if isinstance(population, SampledPopulation):
            sampled = population.marginal(weights * study.fold_shares(), centred_reader(read, study.center))
        step = chunk_of(study.rows.size)
        for label in np.unique(self._kernels.labels):
            model = self._without(int(label))
            mine = self._kernels.labels == label
            for start in range(0, m, step):
                stop = min(start + step, m)
                if not mine[start:stop].any():
                    continue
                raw = read(start, stop)
                # Variants without a part of their own share one regression: block -1.
                block = np.where([parts is not None and b in parts for b in study.blocks[start:stop]],
                                 study.blocks[start:stop], -1)  # fmt: skip
                for own in np.unique(block[mine[start:stop]]):
                    here = np.flatnonzero(mine[start:stop] & (block == own))
                    part = parts[int(own)] if parts is not None and own >= 0 else 0.0
                    at = here + start
                    beta[at], error[at], df[at] = model.scan(
                        raw[:, here].T, response + weight * part, dominance=dominance, robust=True
                    )
                if sampled is not None:
                    here = np.flatnonzero(mine[start:stop])
                    theta, variance = sampled.block(
                        start, stop, dominance=dominance_indicator(raw) if dominance else None
                    )
                    beta[here + start] += theta[here]
                    error[here + start] = np.sqrt(error[here + start] ** 2 + variance[here])
        return Effects(beta, error, df, weights, np.full(n_traits, np.nan), np.isfinite(self.h))

    def pairs(self, trait: int, g_i: Floats, g_j: Floats, response: Floats) -> tuple[Floats, Floats, Floats]:
        """Coefficient of g_i g_j beside 1, g_i, g_j and the covariates, with the relatedness over all chromosomes.

        Parameters
        ----------
        trait : int
            Whose h and samples.
        g_i, g_j : (n, P) float
            Dosages, NaN missing: a missing call counts as the mean.
        response : (n,) float
            NaN where the trait is missing.

        Returns
        -------
        beta, standard_error, df : (P,) float64
            NaN where the product is collinear with the rest, and for a trait that is left alone, constant, or measured
            in too few of the samples.

        Raises
        ------
        InputError
            For a response that lacks samples of the trait.
        """
        size = g_i.shape[1]
        beta, error, df = (np.full(size, np.nan) for _ in range(3))
        if trait not in self._whole.parts:
            return beta, error, df
        lacking = np.isfinite(self._traits[:, trait]) & ~np.isfinite(response)
        if lacking.any():
            raise InputError(
                f"the response is missing in {lacking.sum()} samples that have the trait; give a value for each"
            )
        y = self._whole.rotate(trait, np.where(np.isfinite(response), response, 0.0)[:, None])
        part = self._whole.parts[trait]
        for start in range(0, size, PAIRS):
            at = slice(start, min(start + PAIRS, size))
            x_i, x_j = (centred_dosage(np.ascontiguousarray(g[:, at].T))[0].T for g in (g_i, g_j))
            columns = [self._whole.rotate(trait, x) for x in (x_i, x_j, x_i * x_j)]
            beta[at], error[at], df[at] = part.fit(columns, y, robust=True)
        return beta, error, df
