"""The eigenbasis of a relatedness matrix K, and h in V = h K + (1 - h) I by restricted maximum likelihood.

In the eigenbasis V is diagonal, so that an evaluation of the likelihood is O(n) but for the fixed effects (Kang et al.
2008; Lippert et al. 2011; Zhou and Stephens 2012).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

Floats = NDArray[np.float64]
MOST_EXACT = 6000
"""Samples up to which the eigendecomposition is complete; its time grows with their cube."""
RANK = 1000
"""Leading eigenvectors kept where there are more samples."""
MOST_H = 0.9999
_GRID = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.96, 0.99, MOST_H])


@dataclass(frozen=True, eq=False)
class Eigenbasis:
    """Eigenvectors and eigenvalues of a relatedness matrix.

    Attributes
    ----------
    vectors : (n, r) float64
        Eigenvectors.
    values : (R,) float64
        Eigenvalue of each rotated row; R = n, or r + n where the basis is of low rank.
    multiplicity : (R,) float64
        Dimensions that each rotated row stands for; they add up to n.
    """

    vectors: Floats
    values: Floats
    multiplicity: Floats

    @classmethod
    def of(cls, kernel: Floats, *, most_exact: int = MOST_EXACT, rank: int = RANK) -> Eigenbasis:
        """Decompose a relatedness matrix.

        Parameters
        ----------
        kernel : (n, n) float64
            Relatedness.
        most_exact : int
            Above this many samples only the leading eigenvectors are found, by randomised subspace iteration (Halko,
            Martinsson and Tropp 2011); the mean of the other eigenvalues stands for each of them. Populations and
            large families survive that, thousands of small families do not.
        rank : int
            How many eigenvectors are kept then.
        """
        n = kernel.shape[0]
        if n <= most_exact:
            values, vectors = linalg.eigh(kernel, driver="evd")
            return cls(vectors, np.maximum(values, 0.0), np.ones(n))
        start = np.random.default_rng(0).normal(size=(n, min(rank + rank // 10, n)))
        for _ in range(4):
            start = np.linalg.qr(kernel @ start)[0]
        values, small = linalg.eigh(start.T @ kernel @ start)
        values, vectors = values[-rank:], (start @ small)[:, -rank:]
        rest = max(float(np.trace(kernel) - values.sum()) / (n - values.size), 0.0)
        return cls(
            vectors,
            np.concatenate([values, np.full(n, rest)]),
            np.concatenate([np.ones(values.size), np.full(n, 1 - values.size / n)]),
        )

    def rotate(self, columns: Floats) -> Floats:
        """Columns (n, c) in the basis, (R, c); what a basis of low rank leaves follows as it is."""
        top = self.vectors.T @ columns
        return (
            top if top.shape[0] == self.values.size else np.concatenate([top, columns - self.vectors @ top])
        )

    def root_weights(self, h: float) -> Floats:
        """Square root of the diagonal of V^-1, (R,)."""
        return np.asarray(1.0 / np.sqrt(h * self.values + (1 - h)))


def reml(basis: Eigenbasis, response: Floats, design: Floats) -> float:
    """h in V = h K + (1 - h) I by restricted maximum likelihood, the scale profiled out.

    Parameters
    ----------
    basis : Eigenbasis
        Of K.
    response : (R,) float64
        Rotated.
    design : (R, k) float64
        Fixed effects, orthonormal before they were rotated.

    Returns
    -------
    float
        From 0 to :data:`MOST_H`.
    """
    df = basis.multiplicity.sum() - design.shape[1]
    both = np.column_stack([design, response])

    def loss(h: float) -> float:
        root = basis.root_weights(h)
        # The last pivot of the Cholesky factor is the root of the residual sum of squares.
        pivots = np.diag(np.linalg.cholesky((both * root[:, None] ** 2).T @ both))
        log_v = -2.0 * float(basis.multiplicity @ np.log(root))
        return float(2.0 * df * np.log(pivots[-1]) + log_v + 2.0 * np.log(pivots[:-1]).sum())

    losses = [loss(h) for h in _GRID]
    best = int(np.argmin(losses))
    low, high = _GRID[max(best - 1, 0)], _GRID[min(best + 1, _GRID.size - 1)]
    found = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-5})
    return float(found.x) if found.fun < losses[best] else float(_GRID[best])
