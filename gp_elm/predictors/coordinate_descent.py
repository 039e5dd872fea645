"""Lasso on a Gram matrix: covariance updates (Friedman, Hastie, Tibshirani 2010), finished by an exact step.

Neighbouring variants are so alike that coordinate descent alone takes thousands of sweeps; once the signs have settled
the solution is that of a linear system, and a step towards it that stops at the first change of sign (as in the
homotopy of Osborne, Presnell, Turlach 2000) can only lower the objective.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Sweeps before the first exact step: fewer cost exact steps in vain, more cost sweeps.
_SWEEPS = 60
# Full sweeps without progress before giving up.
_STALE = 10
# Relative to the mean diagonal; keeps identical variants from making the system singular.
_JITTER = 1e-9


@njit(cache=True, nogil=True)
def lasso_on_gram(gram, target, penalty, beta, tolerance, max_rounds):  # type: ignore[no-untyped-def]
    """Minimise ``beta'gram beta / 2 - target'beta + penalty |beta|_1``.

    Parameters
    ----------
    gram : ndarray of float64, shape (e, e)
        Positive semi-definite.
    target : ndarray of float64, shape (e,)
        Features times trait.
    penalty : float
        Above 0.
    beta : ndarray of float64, shape (e,)
        Start; holds the solution on return.
    tolerance : float
        Largest violation of the optimality conditions, relative to ``penalty``.
    max_rounds : int
        Full sweeps at most.

    Returns
    -------
    int
        Full sweeps done; ``max_rounds`` where the tolerance was not reached. It stops, too, where sweeps no longer
        lower the violation, which rounding bounds from below where features are nearly collinear.
    """
    size = len(target)
    gradient = target.copy()
    for j in range(size):
        if beta[j] != 0.0:
            for i in range(size):
                gradient[i] -= gram[j, i] * beta[j]
    least, stale = np.inf, 0
    for rounds in range(max_rounds):
        worst = 0.0
        for j in range(size):
            diagonal = gram[j, j]
            if diagonal <= 0.0:
                continue
            old = beta[j]
            new = _soft(gradient[j] + diagonal * old, penalty) / diagonal
            delta = new - old
            if delta != 0.0:
                worst = max(worst, abs(delta) * diagonal)
                beta[j] = new
                for i in range(size):
                    gradient[i] -= gram[j, i] * delta
        violation = max(worst, _violation(gradient, beta, gram, penalty))
        stale = 0 if violation < 0.9 * least else stale + 1
        least = min(least, violation)
        if violation <= tolerance * penalty or stale >= _STALE:
            return rounds + 1
        active = np.flatnonzero(beta)
        if len(active) == 0:
            continue
        count = len(active)
        inner = np.empty((count, count))
        inner_target = np.empty(count)
        start = np.empty(count)
        for a in range(count):
            start[a] = beta[active[a]]
            inner_target[a] = target[active[a]]
            for b in range(count):
                inner[a, b] = gram[active[a], active[b]]
        solution = _solve_active(inner, inner_target, penalty, start.copy(), tolerance)
        for a in range(count):
            beta[active[a]] = solution[a]
        gradient[:] = target
        for a in range(count):
            value = solution[a]
            if value != 0.0:
                row = active[a]
                for i in range(size):
                    gradient[i] -= gram[row, i] * value
    return max_rounds


@njit(cache=True, nogil=True)
def _soft(value, threshold):  # type: ignore[no-untyped-def]
    if value > threshold:
        return value - threshold
    if value < -threshold:
        return value + threshold
    return 0.0


@njit(cache=True, nogil=True)
def _violation(gradient, beta, gram, penalty):  # type: ignore[no-untyped-def]
    """Largest violation of the optimality conditions."""
    worst = 0.0
    for j in range(len(beta)):
        if beta[j] > 0.0:
            worst = max(worst, abs(gradient[j] - penalty))
        elif beta[j] < 0.0:
            worst = max(worst, abs(gradient[j] + penalty))
        elif gram[j, j] > 0.0:
            worst = max(worst, abs(gradient[j]) - penalty)
    return worst


@njit(cache=True, nogil=True)
def _solve_active(gram, target, penalty, beta, tolerance):  # type: ignore[no-untyped-def]
    """The same problem on the active features only, where most are expected to stay active."""
    size = len(target)
    gradient = target - gram @ beta
    least = np.inf
    for _ in range(size + 8):
        for _sweep in range(_SWEEPS):
            for j in range(size):
                diagonal = gram[j, j]
                old = beta[j]
                new = _soft(gradient[j] + diagonal * old, penalty) / diagonal
                delta = new - old
                if delta != 0.0:
                    beta[j] = new
                    for i in range(size):
                        gradient[i] -= gram[j, i] * delta
            if _violation(gradient, beta, gram, penalty) <= tolerance * penalty:
                return beta
        # Exact steps with the signs held, until none changes.
        while True:
            active = np.flatnonzero(beta)
            count = len(active)
            if count == 0:
                break
            system = np.empty((count, count))
            right = np.empty(count)
            trace = 0.0
            for a in range(count):
                trace += gram[active[a], active[a]]
            for a in range(count):
                right[a] = target[active[a]] - penalty * np.sign(beta[active[a]])
                for b in range(count):
                    system[a, b] = gram[active[a], active[b]]
                system[a, a] += _JITTER * trace / count
            goal = np.linalg.solve(system, right)
            step, stopper = 1.0, -1
            for a in range(count):
                value = beta[active[a]]
                if goal[a] * value < 0.0:
                    reach = value / (value - goal[a])
                    if reach < step:
                        step, stopper = reach, a
            for a in range(count):
                beta[active[a]] += step * (goal[a] - beta[active[a]])
            if stopper < 0:
                break
            beta[active[stopper]] = 0.0
        gradient[:] = target - gram @ beta
        violation = _violation(gradient, beta, gram, penalty)
        if violation <= tolerance * penalty or violation >= least:
            return beta
        least = violation
    return beta
