"""Arithmetic of variance components on the complete cases of some traits: average-information REML and moments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack, orth

from gp_elm.predictors.covariates import missing_patterns

Floats = NDArray[np.float64]
_STEPS = 60
# Gain in log likelihood that the next step promises: 1e-4 is a move of .014 standard errors.
_DECREMENT = 1e-4
PROBES = 64
# Smallest residual variance, relative to that of the trait.
_FLOOR = 1e-6


@dataclass(frozen=True, eq=False)
class Problem:
    """Traits of one missing pattern: kernels and traits with the covariates projected out.

    This leaves REML as it is: its likelihood is that of contrasts which do not see the covariates. With Q the
    covariates' orthonormal basis, V Q = s_e Q, so P = V^-1 - Q Q' / s_e, and P r = V^-1 r for a residual r.

    Attributes
    ----------
    rows : (n,) int
        Samples.
    columns : (c,) int
        Which traits.
    kernels : list of (n, n) float64
        Projected; symmetric.
    residuals : (n, c) float64
        Traits, projected.
    rank : int
        Rank of the intercept and the covariates.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    kernels: list[Floats]
    residuals: Floats
    rank: int

    def usable(self, residual: Floats) -> bool:
        """Whether there are samples enough, and anything to explain."""
        return len(residual) > self.rank + 2 * (len(self.kernels) + 1) and bool((residual**2).sum() > 0)


def problems(
    kernels: Sequence[Floats], traits: Floats, covariates: Floats | None, *, overwrite: bool = False
) -> Iterator[Problem]:
    """Traits grouped by their complete cases.

    Parameters
    ----------
    kernels : list of (n, n) float64
        Over all samples.
    traits : (n, T) float64
        NaN missing.
    covariates : (n, q) float64 or None
        Without the intercept, NaN missing.
    overwrite : bool
        Whether kernels may be projected where they stand, which is done where no sample lacks a trait.
    """
    known = np.isfinite(traits)
    if covariates is not None:
        known = known & np.asarray(np.isfinite(covariates).all(axis=1))[:, None]
    patterns = missing_patterns(known)
    in_place = overwrite and len(patterns) == 1 and bool(known.all())
    for mask, columns in patterns:
        rows = np.flatnonzero(mask)
        if not rows.size:
            continue
        design = np.ones((rows.size, 1))
        if covariates is not None:
            centred = covariates[rows] - covariates[rows].mean(axis=0)
            size = np.sqrt((centred**2).sum(axis=0))
            design = np.hstack([design / np.sqrt(rows.size), centred[:, size > 0] / size[size > 0]])
        basis = orth(design, rcond=1e-7)
        y = traits[np.ix_(rows, columns)]
        y = y - y.mean(axis=0)
        y -= basis @ (basis.T @ y)
        mine = kernels if in_place else [k[np.ix_(rows, rows)] for k in kernels]
        yield Problem(rows, columns, [_projected(k, basis) for k in mine], y, basis.shape[1])


def _projected(kernel: Floats, basis: Floats) -> Floats:
    """(I - Q Q') K (I - Q Q'), in place."""
    product = kernel @ basis
    # K - Q a' - a Q' with a = K Q - Q (Q'K Q) / 2
    product -= basis @ (basis.T @ product) / 2
    kernel -= basis @ product.T
    kernel -= product @ basis.T
    return kernel


class Moments:
    """Regression of all products of two residuals on the kernels and the identity (Haseman-Elston).

    Parameters
    ----------
    problem : Problem
        The samples.
    seed : int
        Seed of the probes that stand for the traces of products of four matrices.
    """

    def __init__(self, problem: Problem, *, seed: int = 0) -> None:
        self._kernels, n = problem.kernels, len(problem.rows)
        c = len(self._kernels) + 1
        self._gram = np.empty((c, c))
        for k, first in enumerate(self._kernels):
            for l, second in enumerate(self._kernels[: k + 1]):
                self._gram[k, l] = self._gram[l, k] = np.vdot(first, second)
            self._gram[k, -1] = self._gram[-1, k] = np.trace(first)
        self._gram[-1, -1] = n - problem.rank
        self._traces = self._fourfold(np.random.default_rng([seed, 70_011]).choice([-1.0, 1.0], (n, PROBES)))

    def _fourfold(self, probes: Floats) -> Floats:
        """tr(K_a K_k K_l K_b), (c, c, c, c), by Hutchinson's estimate."""
        once = [*(kernel @ probes for kernel in self._kernels), probes]
        twice = np.array([[*(kernel @ part for part in once)] for kernel in self._kernels] + [once])
        # (K_a K_k z)'(K_l K_b z)
        return np.einsum("aknp,lbnp->aklb", twice, twice, optimize=True) / probes.shape[1]

    def estimate(self, residual: Floats) -> tuple[Floats, Floats]:
        """Components and their standard errors, each (c,), of one projected trait."""
        right = np.array([residual @ kernel @ residual for kernel in self._kernels] + [residual @ residual])
        found = _solve(self._gram, right)
        size = np.maximum(found, 0.0)
        # Var(r'K_k r, r'K_l r) = 2 tr(K_k V K_l V)
        spread = 2 * np.einsum("aklb,a,b->kl", self._traces, size, size)
        inverse = np.linalg.pinv(self._gram)
        return found, np.sqrt(np.maximum(np.diagonal(inverse @ (spread + spread.T) @ inverse) / 2, 0.0))


def _solve(matrix: Floats, right: Floats) -> Floats:
    return np.asarray(np.linalg.lstsq(matrix, right, rcond=1e-12)[0])


@dataclass(frozen=True)
class Maximum:
    """Where REML has come to: components (c,), errors (c,), those held at 0, and whether it converged."""

    estimates: Floats
    standard_errors: Floats
    at_boundary: NDArray[np.bool_]
    converged: bool


def reml(problem: Problem, residual: Floats, start: Floats) -> Maximum:
    """Maximise the restricted likelihood over components that are not negative.

    Parameters
    ----------
    problem : Problem
        Kernels.
    residual : (n,) float64
        A trait of the problem, projected.
    start : (c,) float64
        Where to begin, negative values allowed.

    Returns
    -------
    Maximum
        The errors come from the average-information matrix of all components, those at 0 included.
    """
    total = float(residual @ residual) / (residual.size - problem.rank)
    floor = np.zeros(start.size)
    floor[-1] = _FLOOR * total
    now = np.clip(start, np.where(floor > 0, 0.05 * total, 0.01 * total), 2 * total)
    likelihood, score, information = _derivatives(problem, residual, now)
    converged = False
    for _ in range(_STEPS):
        free = (now > floor) | (score > 0)
        step = np.zeros(now.size)
        step[free] = _solve(information[np.ix_(free, free)], score[free])
        # A component that the step takes below 0 goes there, and the others move as they do best beside it.
        while np.any(leaving := free & (now + step <= floor) & (now <= floor)):
            free &= ~leaving
            step[:] = 0.0
            step[free] = _solve(information[np.ix_(free, free)], score[free])
        target = np.maximum(now + step, floor)
        if 0.5 * float(score @ (target - now)) < _DECREMENT:
            now, converged = target, True
            break
        size = 1.0
        while size > 1e-3:
            trial = now + size * (target - now)
            found = _derivatives(problem, residual, trial)
            if found[0] >= likelihood - 1e-8:
                break
            size /= 2
        else:
            break
        now, (likelihood, score, information) = trial, found
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(np.diagonal(np.linalg.pinv(information)))
    return Maximum(now, errors, now <= floor, converged)


def _derivatives(problem: Problem, residual: Floats, components: Floats) -> tuple[float, Floats, Floats]:
    """Restricted log likelihood less a constant, its score (c,), and the average information (c, c)."""
    kernels, n = problem.kernels, residual.size
    matrix = np.zeros((n, n))
    for kernel, component in zip(kernels, components[:-1], strict=True):
        blas.daxpy(kernel.ravel(), matrix.ravel(), a=component)
    matrix[np.diag_indices(n)] += components[-1]
    # The transpose of a C-ordered symmetric matrix is it in LAPACK's order: no copy is made.
    factor, failed = lapack.dpotrf(matrix.T, lower=1, clean=1, overwrite_a=1)
    if failed:
        return -np.inf, np.zeros(components.size), np.eye(components.size)
    log_determinant = 2 * np.log(np.diagonal(factor)).sum() - problem.rank * np.log(components[-1])
    inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
    diagonal = np.diagonal(inverse)
    traces = [
        2 * float(inverse.T.ravel() @ kernel.ravel()) - float(diagonal @ np.diagonal(kernel))
        for kernel in kernels
    ]
    traces.append(diagonal.sum() - problem.rank / components[-1])
    py = blas.dsymv(1.0, inverse, residual, lower=1)
    moved = np.column_stack([*(kernel @ py for kernel in kernels), py])
    score = 0.5 * (py @ moved - np.array(traces))
    information = 0.5 * moved.T @ blas.dsymm(1.0, inverse, moved, lower=1)
    return -0.5 * (log_determinant + float(residual @ py)), score, information
