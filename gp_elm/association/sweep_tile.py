"""Sums over samples for a tile of variant pairs: bit planes for hard calls, matrix products for the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gp_elm.association.sweep_columns import SweepDesign, SweepPattern
from gp_elm.kernels.moments import Planes, pair_moments


@dataclass(frozen=True)
class Tile:
    """A tile of pairs: rows i0..i1, columns j0..j1 of variants.

    Attributes
    ----------
    x_i, x_j : (n, I), (n, J)
        Centred dosages.
    planes_i : Planes or None
        Bit planes of the rows.
    planes_j : list of (start, stop, Planes or None)
        Bit planes of each block of the columns, with its place within the tile.
    """

    i0: int
    i1: int
    j0: int
    j1: int
    x_i: np.ndarray
    x_j: np.ndarray
    planes_i: Planes | None
    planes_j: list[tuple[int, int, Planes | None]]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.i1 - self.i0, self.j1 - self.j0

    @property
    def n_pairs(self) -> int:
        """Pairs with i < j."""
        n_i, n_j = self.shape
        return n_i * n_j - (n_i * (n_i + 1) // 2 if self.i0 == self.j0 else 0)


class TileProducts:
    """Products over the samples of one tile, for every pattern of missing traits.

    A product over the samples of a pattern is the product over all samples less that over the few it lacks, so that a
    pattern costs little; where it lacks more than half, it is formed over its own samples.
    """

    def __init__(self, design: SweepDesign, tile: Tile, dtype: type) -> None:
        self._design = design
        self._tile = tile
        self._dtype = dtype
        self._weighted: np.ndarray = np.empty(tile.x_i.shape, dtype=dtype)
        self._full_covariates: np.ndarray | None = None
        self._full_dense: dict[tuple[int, int], np.ndarray] = {}

    def weighted(self, weights: np.ndarray, out: np.ndarray) -> None:
        """Fill out (I, J) with the sums over samples of weight x_i x_j."""
        np.multiply(self._tile.x_i, weights[:, None], out=self._weighted)
        np.matmul(self._weighted.T, self._tile.x_j, out=out)

    def moments(self, pattern: SweepPattern) -> np.ndarray:
        """Sums of x_i x_j, x_i^2 x_j, x_i x_j^2, x_i^2 x_j^2 over the pattern's samples: (4, I, J) float64."""
        out = np.empty((4, *self._tile.shape))
        for start, stop, planes in self._tile.planes_j:
            if planes is None or self._tile.planes_i is None:
                out[:, :, start:stop] = self._dense(pattern, start, stop)
                continue
            part = np.empty((4, self._tile.shape[0], stop - start))
            pair_moments(self._tile.planes_i, planes, pattern.words, part)
            out[:, :, start:stop] = part
        return out

    def _dense(self, pattern: SweepPattern, start: int, stop: int) -> np.ndarray:
        """The same by matrix products, for dosages that are no hard calls."""
        absent = pattern.absent
        x_i, x_j = self._tile.x_i, self._tile.x_j[:, start:stop]
        if 2 * len(absent) > self._design.n_rows:
            present = pattern.cases.rows
            return _dense_moments(x_i[present], x_j[present])
        if (start, stop) not in self._full_dense:
            self._full_dense[start, stop] = _dense_moments(x_i, x_j)
        full = self._full_dense[start, stop]
        return full - _dense_moments(x_i[absent], x_j[absent]) if len(absent) else full

    def basis_products(self, pattern: SweepPattern, moments: np.ndarray) -> np.ndarray:
        """Q'(x_i x_j) over the pattern's samples: (k, I, J)."""
        n_basis = self._design.basis.shape[1]
        shape = self._tile.shape
        stacked: np.ndarray = np.empty((n_basis, *shape), dtype=self._dtype)
        # the first basis column is constant: its product is the first moment
        stacked[0] = moments[0] * self._design.basis[0, 0]
        if n_basis > 1:
            absent = pattern.absent
            if 2 * len(absent) > self._design.n_rows:
                rows = np.flatnonzero(pattern.cases.rows)
                self._covariates_over(rows, stacked)
            else:
                if self._full_covariates is None:
                    self._full_covariates = np.empty((n_basis, *shape), dtype=self._dtype)
                    for k in range(1, n_basis):
                        weights: np.ndarray = self._design.basis[:, k].astype(self._dtype)
                        self.weighted(weights, self._full_covariates[k])
                stacked[1:] = self._full_covariates[1:]
                if len(absent):
                    missing = np.empty_like(stacked)
                    self._covariates_over(absent, missing)
                    stacked[1:] -= missing[1:]
        if n_basis == 1:
            return stacked * self._dtype(pattern.transform[0, 0])
        if not len(pattern.absent):
            return stacked
        flat = pattern.transform.T.astype(self._dtype) @ stacked.reshape(n_basis, -1)
        return flat.reshape(-1, *shape)

    def _covariates_over(self, rows: np.ndarray, out: np.ndarray) -> None:
        x_i, x_j = self._tile.x_i[rows], self._tile.x_j[rows]
        for k in range(1, len(out)):
            weights: np.ndarray = self._design.basis[rows, k].astype(self._dtype)
            np.matmul((x_i * weights[:, None]).T, x_j, out=out[k])


def _dense_moments(x_i: np.ndarray, x_j: np.ndarray) -> np.ndarray:
    square_i, square_j = x_i * x_i, x_j * x_j
    return np.stack([x_i.T @ x_j, square_i.T @ x_j, x_i.T @ square_j, square_i.T @ square_j]).astype(
        np.float64
    )
