"""Listed pairs fitted again, exactly: their tests in the discovery samples and the repeats in held-out ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gp_elm.association.conditional import conditional_pairs
from gp_elm.association.interaction import genotypic_pairs, interaction_pairs
from gp_elm.association.robust import robust_pairs
from gp_elm.elm.pair_effects import Ints, PairEffects
from gp_elm.elm.pair_evidence import Epistasis, PairModel
from gp_elm.elm.quadratic import QuadraticPopulation
from gp_elm.elm.sampled import SampledEpistasis
from gp_elm.elm.structured import Structure
from gp_elm.elm.study import Floats
from gp_elm.genotypes.ld import pair_ld_r2

ReadColumns = Callable[[Ints], Floats]
"""Variants -> dosages (n, len(variants)), NaN missing."""
BYTES = 32 << 20
RARE = 5


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
    structure : Structure or None
        Their relatedness, for generalised least squares.
    """

    rows: Ints
    read: ReadColumns
    covariates: Floats | None
    rest: Floats
    interaction: Floats
    structure: Structure | None = None


@dataclass(frozen=True, eq=False)
class Sidelights:
    """What the further tests of listed pairs need; a test whose part is None is left out.

    Attributes
    ----------
    groups : (n,) int or None
        Group of each discovery sample, for clustered errors; each sample by itself where None.
    scale : PairModel or None
        The networks with the traits less their monotone link.
    neighbours : callable or None
        Variant -> its LD neighbourhood.
    structure : Structure or None
        Relatedness of the discovery samples.
    structured : (T,) bool or None
        Which traits are tested by generalised least squares.
    """

    groups: Ints | None = None
    scale: PairModel | None = None
    neighbours: Callable[[int], Ints] | None = None
    structure: Structure | None = None
    structured: NDArray[np.bool_] | None = None


def fit_pairs(
    model: PairModel,
    trait: int,
    i: Ints,
    j: Ints,
    read: ReadColumns,
    heldout: HeldoutPairs | None,
    sidelights: Sidelights | None = None,
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
    sidelights : Sidelights, optional
        Further tests: robust errors, scale, LD neighbourhoods; generalised least squares for related samples.
    """
    fits = _TraitFits(
        model, trait, i, j, read, heldout if heldout is None or heldout.rows.size else None, sidelights
    )
    return fits.all()


class _TraitFits:
    """Fits of one trait, chunk by chunk of pairs with the same debiased response."""

    def __init__(
        self,
        model: PairModel,
        trait: int,
        i: Ints,
        j: Ints,
        read: ReadColumns,
        heldout: HeldoutPairs | None,
        sidelights: Sidelights | None,
    ) -> None:
        self.model, self.trait, self.read, self.heldout = model, trait, read, heldout
        self.more = sidelights
        structured = sidelights is not None and sidelights.structured is not None
        self.related = bool(structured and sidelights.structured[trait])  # type: ignore[union-attr, index]
        tests = ["interaction", "interaction_residual", "elm"]
        if sidelights is not None:
            tests += ["elm_robust"]
            tests += ["scale"] if sidelights.scale is not None else []
            tests += ["conditional"] if sidelights.neighbours is not None else []
        tests += ["heldout_interaction", "heldout_elm"] if heldout is not None else []
        self.found = PairEffects.empty(i, j, tests)

    def all(self) -> PairEffects:
        """Every test of every pair."""
        found, study = self.found, self.model.study
        labels = self.model.response_labels(found.i, found.j)
        for label in np.unique(labels):
            mine = np.flatnonzero(labels == label)
            held = None if self.heldout is None else self._heldout_response(int(label), self.heldout)
            for chunk in _chunks(mine.size, study.rows.size):
                at = mine[chunk]
                g_i, g_j = _both(self.read, found.i[at], found.j[at])
                self._discovery(int(label), at, g_i, g_j)
                if self.heldout is not None and held is not None:
                    g_i, g_j = _both(self.heldout.read, found.i[at], found.j[at])
                    self._heldout(held, at, g_i, g_j, self.heldout)
        if self.more is not None and self.more.neighbours is not None and not self.related:
            for locus in np.unique(np.r_[found.i, found.j]).tolist():
                # In genome order each block is read once; the neighbours are kept.
                self.more.neighbours(locus)
            fits = conditional_pairs(
                found.i,
                found.j,
                self.model.rest[:, [self.trait]],
                study.covariates,
                self.read,
                self.more.neighbours,
            )
            everyone = np.arange(found.i.size)
            found.keep("conditional", everyone, fits.beta[:, 0], fits.standard_error[:, 0], fits.df[:, 0])
        self._add_population(labels)
        return found

    def _discovery(self, label: int, at: Ints, g_i: Floats, g_j: Floats) -> None:
        model, trait, found, more = self.model, self.trait, self.found, self.more
        covariates = model.study.covariates
        response = model.labelled_response(label)[:, trait]
        columns = {
            "interaction": model.study.traits[:, trait],
            "interaction_residual": model.rest[:, trait],
            "elm": response,
        }
        scale = None if more is None else more.scale
        if scale is not None:
            columns["scale"] = scale.labelled_response(label)[:, trait]
        fits = interaction_pairs(g_i, g_j, np.column_stack(list(columns.values())), covariates)
        for k, test in enumerate(columns):
            found.keep(test, at, fits.beta[:, k], fits.standard_error[:, k], fits.df[:, k])
        found.n[at] = fits.n[:, 0]
        found.ld_r2[at] = pair_ld_r2(g_i, g_j)
        found.rare[at] = _smallest_cell(g_i, g_j) < RARE
        genotypic = genotypic_pairs(g_i, g_j, columns["interaction"][:, None], covariates)
        found.genotypic_p_value[at] = genotypic.p_value[:, 0]
        if more is None:
            return
        if not self.related or more.groups is not None:
            robust = robust_pairs(g_i, g_j, response[:, None], covariates, more.groups)
            found.keep("elm_robust", at, robust.beta[:, 0], robust.standard_error[:, 0], robust.df[:, 0])
        if self.related and more.structure is not None:
            found.keep("elm", at, *more.structure.pairs(trait, g_i, g_j, response))
            if scale is not None:
                found.keep("scale", at, *more.structure.pairs(trait, g_i, g_j, columns["scale"]))

    def _heldout(self, response: Floats, at: Ints, g_i: Floats, g_j: Floats, heldout: HeldoutPairs) -> None:
        both = np.column_stack([heldout.rest[:, self.trait], response])
        fits = interaction_pairs(g_i, g_j, both, heldout.covariates)
        for k, test in enumerate(("heldout_interaction", "heldout_elm")):
            self.found.keep(test, at, fits.beta[:, k], fits.standard_error[:, k], fits.df[:, k])
        self.found.heldout_n[at] = fits.n[:, 0]
        if self.related and heldout.structure is not None:
            self.found.keep("heldout_elm", at, *heldout.structure.pairs(self.trait, g_i, g_j, response))

    def _heldout_response(self, label: int, heldout: HeldoutPairs) -> Floats:
        predicted = heldout.interaction[:, self.trait]
        if label >= 0:
            assert isinstance(self.model.population, QuadraticPopulation)
            own = self.model.population.heldout_block_interaction(label, heldout.rows)
            predicted = predicted - own[:, self.trait]
        weight = float(self.model.weights[:, self.trait].mean())
        return np.asarray(heldout.rest[:, self.trait] - weight * predicted)

    def _add_population(self, labels: Ints) -> None:
        """Add theta_P of the networks to the effects of pairs across blocks; the others' responses hold it."""
        found, trait, across = self.found, self.trait, labels < 0
        models = {"elm": self.model, "elm_robust": self.model}
        if self.more is not None and self.more.scale is not None:
            models["scale"] = self.more.scale
        own = self.model.epistasis.pairs(found.i, found.j, trait)
        for test, model in models.items():
            if test in found.beta:
                theta = own if model is self.model else model.epistasis.pairs(found.i, found.j, trait)
                found.beta[test][across] += theta[across]
                widening = _widening(model.epistasis, model.response[:, trait], trait)
                found.standard_error[test][across] *= widening
        if self.heldout is not None:
            epistasis = self.model.heldout_epistasis
            theta = epistasis.pairs(found.i, found.j, trait)
            found.beta["heldout_elm"][across] += theta[across]
            widening = _widening(epistasis, self._heldout_response(-1, self.heldout), trait)
            found.standard_error["heldout_elm"][across] *= widening


def _widening(epistasis: Epistasis, response: Floats, trait: int) -> float:
    """Factor of the standard error for a population that is drawn: its share is Var(score_f)/N_P."""
    if not isinstance(epistasis, SampledEpistasis):
        return 1.0
    n = int(np.isfinite(response).sum())
    return float(np.sqrt(1 + epistasis.variance()[trait] * n / np.nanvar(response)))


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
