"""Epistatic effects of quadratic networks in a population of independent blocks, for tiles and lists of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gp_elm.elm.study import Floats

Ints = NDArray[np.int64]
LISTED = 512
"""Variants, or listed pairs, looked at together."""


@dataclass(frozen=True)
class Factors:
    """A fold's quadratic part over its own columns, the output weighted: sum_h output_th (u_h.x)(v_h.x)."""

    columns: Ints
    u: NDArray[np.float32]
    v: NDArray[np.float32]
    output: NDArray[np.float32]


class PopulationEpistasis:
    """Epistatic effects of a weighted sum of quadratic networks for tiles or lists of pairs; NaN inside a block.

    Everything stays in the factors: nothing of the size of all pairs of columns is made.
    """

    def __init__(
        self,
        factors: Sequence[Factors],
        n_columns: int,
        blocks: Ints,
        loadings: dict[int, tuple[Ints, NDArray[np.float32]]],
        local: Ints,
    ) -> None:
        self._factors, self._n_columns = factors, n_columns
        self._blocks, self._loadings, self._local = blocks, loadings, local
        self._own = np.isin(blocks, list(loadings))
        self._half_key: tuple[int, int] | None = None
        self._half: NDArray[np.float32] = np.empty(0, np.float32)

    @property
    def _n_traits(self) -> int:
        return int(self._factors[0].output.shape[0])

    def has(self, block: int) -> bool:
        """Whether some network has a non-additive part in a block: its inner pairs are then NaN here."""
        return block in self._loadings

    def _spread(self, variants: Ints) -> NDArray[np.float32]:
        """L of some variants over all columns, (P, len(variants))."""
        out = np.zeros((self._n_columns, variants.size), np.float32)
        labels = self._blocks[variants]
        for block in np.unique(labels):
            if int(block) in self._loadings:
                at, loading = self._loadings[int(block)]
                here = np.flatnonzero(labels == block)
                out[np.ix_(at, here)] = loading[:, self._local[variants[here]]]
        return out

    def _loaded(self, variants: Ints) -> NDArray[np.float32]:
        """A_t L for some variants, through the factors: (T, P, len(variants))."""
        spread = self._spread(variants)
        out = np.zeros((self._n_traits, self._n_columns, variants.size), np.float32)
        for fold in self._factors:
            inner = spread[fold.columns]
            # Half squares have v = u / 2: both terms of A are then the same.
            tied = np.array_equal(fold.v, np.float32(0.5) * fold.u)
            v_l = fold.v @ inner
            u_l = v_l if tied else fold.u @ inner
            for t, output in enumerate(fold.output):
                used = np.flatnonzero(output)
                if used.size == 0:
                    continue
                scale = output[used, None]
                part = fold.u[used].T @ (scale * v_l[used])
                part = 2 * part if tied else part + fold.v[used].T @ (scale * u_l[used])
                out[t, fold.columns] += part
        return out

    def tile(self, i0: int, i1: int, j0: int, j1: int) -> NDArray[np.float32]:
        """Effects of variants i0..i1 with j0..j1: (T, i1 - i0, j1 - j0) per product of centred dosages."""
        if self._half_key != (i0, i1):
            self._half, self._half_key = self._loaded(np.arange(i0, i1)), (i0, i1)
        out = np.zeros((self._n_traits, i1 - i0, j1 - j0), np.float32)
        right = self._blocks[j0:j1]
        for block in np.unique(right):
            here = np.flatnonzero(right == block)
            if int(block) in self._loadings:
                at, loading = self._loadings[int(block)]
                out[:, :, here] = self._half[:, at].transpose(0, 2, 1) @ loading[:, self._local[here + j0]]
        out[:, (self._blocks[i0:i1, None] == right[None, :]) & self._own[i0:i1, None]] = np.nan
        return out

    def pairs(self, i: Ints, j: Ints, trait: int) -> Floats:
        """Effects of listed pairs on a trait, (P,)."""
        out = np.zeros(i.size)
        distinct, place = np.unique(np.r_[i, j], return_inverse=True)
        at_i, at_j = place[: i.size], place[i.size :]
        for fold in self._factors:
            used = np.flatnonzero(fold.output[trait])
            u, v = (np.empty((used.size, distinct.size), np.float32) for _ in range(2))
            for start in range(0, distinct.size, LISTED):
                part = slice(start, start + LISTED)
                inner = self._spread(distinct[part])[fold.columns]
                u[:, part], v[:, part] = fold.u[used] @ inner, fold.v[used] @ inner
            output = fold.output[trait, used].astype(np.float64)
            for start in range(0, i.size, LISTED):
                part = slice(start, start + LISTED)
                a, b = at_i[part], at_j[part]
                out[part] += output @ (u[:, a] * v[:, b] + v[:, a] * u[:, b])
        # Two variants of a block in which no network has a non-additive part have none: their sum is 0.
        out[(self._blocks[i] == self._blocks[j]) & self._own[i]] = np.nan
        return out
