"""Conjugate gradients for many right-hand sides, and for several ridge penalties at the price of one.

The Krylov space of K + s I does not depend on the shift s, so that one sequence of products serves all shifts
(Frommer and Maass 1999).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Operator = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def solve_shifted(
    operator: Operator,
    right: NDArray[np.float64],
    shifts: NDArray[np.float64],
    *,
    tolerance: float = 1e-6,
    max_iterations: int = 1000,
) -> NDArray[np.float64]:
    """Solve ``(K_t + shifts[s, t] I) x = right[:, t]`` for every column t and shift s.

    Parameters
    ----------
    operator : callable
        Multiplies a matrix (n, T) by K, column t by its own K_t; each K_t positive semi-definite.
    right : ndarray of float64, shape (n, T)
        Right-hand sides.
    shifts : ndarray of float64, shape (S, T)
        Positive shifts of each column.
    tolerance : float
        Norm of the residual relative to that of the right-hand side.
    max_iterations : int
        Products with the operator at most.

    Returns
    -------
    ndarray of float64, shape (S, n, T)
        Solutions.
    """
    # The smallest shift is the hardest system: it leads, and the others are carried along.
    lead = shifts.min(axis=0)
    extra = shifts - lead
    solution = np.zeros((len(shifts), *right.shape))
    residual = right.copy()
    direction = right.copy()
    directions = np.repeat(right[None], len(shifts), axis=0)
    zeta, zeta_before = np.ones_like(shifts), np.ones_like(shifts)
    step_before, momentum = np.ones(right.shape[1]), np.zeros(right.shape[1])
    square = np.einsum("nt,nt->t", residual, residual)
    target = tolerance**2 * square
    for _ in range(max_iterations):
        going = square > target
        if not going.any():
            break
        image = operator(direction) + lead * direction
        curvature = np.einsum("nt,nt->t", direction, image)
        step = np.where(going, square / np.where(curvature > 0, curvature, np.inf), 0.0)
        # Recurrence of the shifted residuals, which are multiples zeta of the leading one.
        below = step * momentum * (zeta_before - zeta) + zeta_before * step_before * (1 + extra * step)
        ratio = np.where(below != 0, zeta_before * step_before / np.where(below != 0, below, 1.0), 0.0)
        zeta_next = np.where(going, zeta * ratio, zeta)
        solution += np.where(going, step * ratio, 0.0)[:, None, :] * directions
        residual -= step * image
        square_next = np.einsum("nt,nt->t", residual, residual)
        momentum_next = np.where(going, square_next / np.where(square > 0, square, 1.0), 0.0)
        direction = residual + momentum_next * direction
        directions *= np.where(going, momentum_next * ratio**2, 0.0)[:, None, :]
        directions += zeta_next[:, None, :] * residual
        zeta_before, zeta = np.where(going, zeta, zeta_before), zeta_next
        step_before = np.where(going, step, step_before)
        momentum = np.where(going, momentum_next, momentum)
        square = square_next
    return solution
