"""Lasso of every trait on all variants, out of core, its penalty chosen on inner validation groups.

Each trait walks down its own path of penalties at its own pace; what all traits share is the pass over the genotypes
that checks the optimality conditions of every variant (as in snpnet, Qian et al. 2020) and finds those that should
come in (the sequential strong rule of Tibshirani et al. 2012). Between passes a trait is solved on the Gram matrix of
its working set.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter1d
from threadpoolctl import threadpool_limits

from gp_elm.errors import InputError
from gp_elm.predictors.linear import LinearPredictor
from gp_elm.predictors.working_set import Genotypes, TraitProblem
from gp_elm.streaming.sampler import validation_rows
from gp_elm.streaming.store import Store

logger = logging.getLogger(__name__)

# Optimality tolerance relative to the penalty, on the path and at the end.
_PATH_TOLERANCE = 1e-3
_FINAL_TOLERANCE = 1e-5
# Variants let in for a trait in one pass.
_MOST_ADDED = 256
# Share of the next penalty above which a variant is let in before it is known to violate anything.
_EAGER = 0.98
_MOST_PASSES = 2000


def fit_lasso(
    store: Store,
    rows: ArrayLike,
    traits: NDArray[np.float64],
    *,
    center: NDArray[np.float64],
    sd: NDArray[np.float64],
    groups: NDArray[np.generic] | None,
    seed: int,
    n_penalties: int = 40,
    smallest_penalty: float | None = None,
    validation_fraction: float = 0.125,
    patience: int = 3,
    threads: int = 2,
) -> LinearPredictor:
    """Fit a lasso for each trait, with the penalty that predicts its inner validation samples best.

    Parameters
    ----------
    store : Store
        The genotypes.
    rows : array of int, shape (n,)
        Rows of the store to fit on.
    traits : ndarray, shape (n, T)
        Traits of those rows, covariates taken out; NaN missing.
    center, sd : ndarray, shape (m,)
        Mean and standard deviation of each variant's dosage; the penalty acts on (dosage - center) / sd. Variants with
        sd 0 stay out.
    groups : ndarray, shape (n,), optional
        Samples of one group stay on one side of the inner split.
    seed : int
        Seed of the inner split.
    n_penalties : int
        Penalties on the path, equally spaced in the logarithm.
    smallest_penalty : float, optional
        End of the path, as a share of the penalty at which all coefficients are 0; .001 where there are more samples
        than variants, else .01.
    validation_fraction : float
        Share of the samples in the inner validation set.
    patience : int
        A trait's path ends when that many penalties in a row have not lowered its validation error.
    threads : int
        Traits solved at the same time; the result does not depend on it.

    Returns
    -------
    LinearPredictor
        Coefficients per copy of the effect allele; ``penalty`` as in scikit-learn's ``Lasso`` on standardised dosages.

    Raises
    ------
    InputError
        Where the traits do not fit the rows.
    """
    rows = np.asarray(rows, dtype=np.int64)
    validation = validation_rows(groups, len(rows), seed=seed, fraction=validation_fraction)
    share = smallest_penalty or (1e-3 if len(rows) > store.n_variants else 1e-2)
    steps = share ** (np.arange(n_penalties) / max(n_penalties - 1, 1))
    with _pool(threads) as pool:
        solver = _Solver(store, rows, traits, center, sd, pool)
        penalty, starts = solver.path(steps, validation, patience)
        return solver.fit(penalty, starts)


def fit_lasso_at(
    store: Store,
    rows: ArrayLike,
    traits: NDArray[np.float64],
    *,
    center: NDArray[np.float64],
    sd: NDArray[np.float64],
    penalty: NDArray[np.float64],
    tolerance: float = _FINAL_TOLERANCE,
    threads: int = 2,
) -> LinearPredictor:
    """Fit a lasso for each trait at a given penalty.

    Parameters
    ----------
    store, rows, traits, center, sd, threads
        As in :func:`fit_lasso`.
    penalty : ndarray, shape (T,)
        Penalty of each trait: minimises ``mean(residual^2) / 2 + penalty * sum |coefficient * sd|``.
    tolerance : float
        Largest violation of the optimality conditions, relative to the penalty.

    Returns
    -------
    LinearPredictor
        As in :func:`fit_lasso`.
    """
    rows = np.asarray(rows, dtype=np.int64)
    with _pool(threads) as pool:
        solver = _Solver(store, rows, traits, center, sd, pool)
        return solver.fit(np.asarray(penalty, dtype=np.float64), None, tolerance=tolerance)


@contextmanager
def _pool(threads: int) -> Iterator[Executor]:
    """Threads of our own; the products between them are too small for BLAS to share out as well."""
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        yield pool


class _Solver:
    """Traits and genotypes of one fit; traits are standardised inside."""

    def __init__(
        self,
        store: Store,
        rows: NDArray[np.int64],
        traits: NDArray[np.float64],
        center: NDArray[np.float64],
        sd: NDArray[np.float64],
        pool: Executor,
    ) -> None:
        if len(traits) != len(rows):
            raise InputError(
                f"{len(traits)} samples with traits for {len(rows)} rows; align them by sample id"
            )
        scale = np.where(sd > 0, 1.0 / np.where(sd > 0, sd, 1.0), 0.0)
        self._genotypes = Genotypes(store, rows, np.asarray(center, dtype=np.float64), scale, pool)
        self._known = ~np.isnan(traits)
        count = np.maximum(self._known.sum(axis=0), 1)
        filled = np.where(self._known, traits, 0.0)
        mean = filled.sum(axis=0) / count
        size = np.sqrt((np.where(self._known, traits - mean, 0.0) ** 2).sum(axis=0) / count)
        self._shift, self._size = mean, np.where(size > 0, size, 1.0)
        self._traits = np.where(self._known, (traits - mean) / self._size, 0.0)
        self._pool = pool
        # Neighbours in strong linkage come in one at a time: only local peaks of the gradient are let in. A matter of
        # speed, since whatever violates the optimality conditions later comes in later.
        self._window = 2 * min(16, store.n_variants // 600) + 1

    def path(
        self, steps: NDArray[np.float64], validation: NDArray[np.bool_], patience: int
    ) -> tuple[NDArray[np.float64], list[tuple[NDArray[np.int64], NDArray[np.float64]]]]:
        """Best penalty of each trait (on the standardised trait), with the variants and coefficients found there."""
        mask = self._known & ~validation[:, None]
        y = _centred(self._traits, mask)
        left_out = self._known & validation[:, None]
        n_traits = y.shape[1]
        problems = [TraitProblem() for _ in range(n_traits)]
        genotypes = replace(self._genotypes, dtype=np.float32)
        gradient, _ = genotypes.gradients(problems, y, mask)
        largest = np.abs(gradient).max(axis=0, initial=0.0)
        best_error = np.array([_error(y[left_out[:, t], t], 0.0) for t in range(n_traits)])
        best = largest.copy()
        starts = [(p.members, p.beta) for p in problems]
        step, since = np.zeros(n_traits, dtype=int), np.zeros(n_traits, dtype=int)
        running = [t for t in range(n_traits) if largest[t] > 0]
        for passes in range(_MOST_PASSES):  # noqa: B007
            if not running:
                break
            added = []
            for position, t in enumerate(running):
                now = steps[step[t]] * largest[t]
                column = np.abs(gradient[:, position if passes else t])
                added.append(self._entering(column, problems[t], _EAGER * now))
            current = [problems[t] for t in running]
            genotypes.extend(current, added, y[:, running], mask[:, running])
            self._solve(current, [steps[step[t]] * largest[t] for t in running], _PATH_TOLERANCE)
            gradient, predicted = genotypes.gradients(current, y[:, running], mask[:, running])
            still, kept = [], []
            for position, t in enumerate(running):
                now = steps[step[t]] * largest[t]
                if self._violates(gradient[:, position], problems[t], now * (1 + 5 * _PATH_TOLERANCE)):
                    still.append(t)
                    kept.append(position)
                    continue
                rows = left_out[:, t]
                error = _error(y[rows, t], predicted[rows, position])
                since[t] += 1
                if error < best_error[t]:
                    best_error[t], best[t], since[t] = error, now, 0
                    chosen = problems[t].beta != 0
                    starts[t] = (problems[t].members[chosen], problems[t].beta[chosen])
                problems[t].thin(now)
                step[t] += 1
                if step[t] < len(steps) and since[t] < patience:
                    still.append(t)
                    kept.append(position)
            running, gradient = still, gradient[:, kept]
        logger.debug("lasso path: %d passes over the genotypes", passes)
        return best * self._size, starts

    def fit(
        self,
        penalty: NDArray[np.float64],
        starts: list[tuple[NDArray[np.int64], NDArray[np.float64]]] | None,
        *,
        tolerance: float = _FINAL_TOLERANCE,
    ) -> LinearPredictor:
        """Fit all samples at given penalties (on the trait's own scale)."""
        mask = self._known
        y = _centred(self._traits, mask)
        problems = [TraitProblem() for _ in range(y.shape[1])]
        wanted = penalty / self._size
        running = [t for t in range(y.shape[1]) if mask[:, t].any()]
        if starts is not None:
            self._genotypes.extend(problems, [members for members, _ in starts], y, mask)
            for problem, (_, beta) in zip(problems, starts, strict=True):
                problem.beta = beta.copy()
        for _ in range(_MOST_PASSES):
            current = [problems[t] for t in running]
            self._solve(current, [wanted[t] for t in running], tolerance)
            gradient, _ = self._genotypes.gradients(current, y[:, running], mask[:, running])
            added = [
                self._entering(np.abs(gradient[:, position]), problems[t], wanted[t] * (1 + 5 * tolerance))
                for position, t in enumerate(running)
            ]
            self._genotypes.extend(current, added, y[:, running], mask[:, running])
            running = [t for position, t in enumerate(running) if len(added[position])]
            if not running:
                break
        return self._predictor(problems, penalty)

    def _solve(self, problems: list[TraitProblem], penalties: list[float], tolerance: float) -> None:
        tasks = [
            self._pool.submit(p.solve, penalty, tolerance=0.5 * tolerance)
            for p, penalty in zip(problems, penalties, strict=True)
        ]
        for task in tasks:
            task.result()

    def _entering(
        self, gradient: NDArray[np.float64], problem: TraitProblem, threshold: float
    ) -> NDArray[np.int64]:
        """Local peaks of the gradient above a threshold, outside the working set."""
        outside = gradient.copy()
        outside[problem.members] = 0.0
        peaks = np.flatnonzero((outside > threshold) & (outside == maximum_filter1d(outside, self._window)))
        if len(peaks) > 1 and self._window > 1:
            # Of identical neighbours, the first.
            twin = (np.diff(peaks) < self._window) & (np.diff(outside[peaks]) == 0)
            peaks = peaks[np.concatenate([[True], ~twin])]
        if len(peaks) > _MOST_ADDED:
            peaks = np.sort(peaks[np.argsort(-outside[peaks], kind="stable")[:_MOST_ADDED]])
        return peaks

    @staticmethod
    def _violates(gradient: NDArray[np.float64], problem: TraitProblem, bound: float) -> bool:
        outside = np.abs(gradient)
        outside[problem.members] = 0.0
        return bool(outside.max(initial=0.0) > bound)

    def _predictor(self, problems: list[TraitProblem], penalty: NDArray[np.float64]) -> LinearPredictor:
        m = self._genotypes.store.n_variants
        coefficients = np.zeros((len(problems), m))
        intercept = self._shift.copy()
        for t, problem in enumerate(problems):
            scale = self._genotypes.scale[problem.members]
            coefficients[t, problem.members] = problem.beta * scale * self._size[t]
            intercept[t] -= problem.offset * self._size[t]
        return LinearPredictor(coefficients, intercept, self._genotypes.center, penalty)


def _centred(traits: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Traits less their mean over a mask."""
    mean = np.where(mask, traits, 0.0).sum(axis=0) / np.maximum(mask.sum(axis=0), 1)
    return np.asarray(traits - mean)


def _error(observed: NDArray[np.float64], predicted: NDArray[np.float64] | float) -> float:
    return float(np.mean((observed - predicted) ** 2)) if len(observed) else np.inf
