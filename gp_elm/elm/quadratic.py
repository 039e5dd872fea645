"""The in-silico population in closed form, for networks that are quadratic in the dosages.

In the population P the LD blocks are independent of one another. A network
``f(x) = c + l.x + sum_h o_h (u_h.x)(v_h.x)`` then has, with no sampling (METHOD 4):

- mean over everything outside block B, given x_B: ``l_B.x_B + sum_h o_h (u_hB.x_B)(v_hB.x_B)`` (plus a constant);
- coefficient of ``x_i x_j`` across blocks: ``sum_ab A_ab L_ai L_bj`` with ``A_ab = sum_h o_h (u_ha v_hb + v_ha u_hb)``
  and ``L_ai = Cov(x_a, x_i) / Var(x_i)`` inside a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gp_elm.elm.epistasis import Factors, PopulationEpistasis
from gp_elm.elm.study import Floats, Study
from gp_elm.streaming.products import row_blocks

Ints = NDArray[np.int64]
ROWS = 4096
"""Samples decoded at a time."""


class Form(Protocol):
    """A quadratic form over some variants; see ``gp_elm.models.prediction.QuadraticForm``."""

    @property
    def columns(self) -> Ints:
        """Variants (p,)."""

    @property
    def linear(self) -> Floats:
        """(T, p)."""

    @property
    def u(self) -> Floats:
        """(h, p)."""

    @property
    def v(self) -> Floats:
        """(h, p)."""

    @property
    def output(self) -> Floats:
        """(T, h)."""


@dataclass(frozen=True)
class _Fold:
    """One fold's network over the columns that it shares with the others: everything but its constant."""

    linear: Floats  # (T, P)
    u: Floats  # (h, P)
    v: Floats  # (h, P)
    output: Floats  # (T, h)

    def quadratic(self, x: NDArray[np.floating], at: Ints) -> Floats:
        """Quadratic part of the columns ``at`` for dosages x (n, len(at)): (n, T)."""
        return ((x @ self.u[:, at].T) * (x @ self.v[:, at].T)) @ self.output.T


class QuadraticPopulation:
    """Cross-fitted quadratic networks over independent blocks, exactly.

    Parameters
    ----------
    study : Study
        The discovery samples.
    forms : sequence of Form
        The quadratic form of each fold's network.
    offsets : sequence of (T, m) float arrays, or None
        Linear coefficients that each fold's prediction has besides (the lasso offset).
    """

    noise = 0.0
    """n / N_P: the population is exact."""

    def __init__(self, study: Study, forms: Sequence[Form], offsets: Sequence[Floats] | None = None) -> None:
        self.study = study
        used = [form.columns for form in forms]
        if offsets is not None:
            used += [np.flatnonzero((o != 0).any(0)) for o in offsets]
        self.columns: Ints = np.unique(np.concatenate(used)).astype(np.int64)
        self.folds = [
            self._place(form, None if offsets is None else offsets[k]) for k, form in enumerate(forms)
        ]
        self._center = study.center[self.columns]
        self._n_traits = self.folds[0].linear.shape[0]
        column_blocks = study.blocks[self.columns]
        self._members: dict[int, Ints] = {
            int(b): np.flatnonzero(column_blocks == b) for b in np.unique(column_blocks)
        }
        quadratic = np.zeros(self.columns.size, bool)
        for fold in self.folds:
            quadratic |= (fold.u != 0).any(0) | (fold.v != 0).any(0)
        self._quadratic = quadratic
        self._loadings: dict[int, tuple[Ints, NDArray[np.float32]]] | None = None

    def _place(self, form: Form, offset: Floats | None) -> _Fold:
        at = np.searchsorted(self.columns, form.columns)
        n_hidden, n_columns = form.u.shape[0], self.columns.size
        linear = np.zeros((form.output.shape[0], n_columns))
        u, v = np.zeros((n_hidden, n_columns)), np.zeros((n_hidden, n_columns))
        linear[:, at], u[:, at], v[:, at] = form.linear, form.u, form.v
        if offset is not None:
            linear += offset[:, self.columns]
        return _Fold(linear, u, v, np.asarray(form.output, float))

    def _dosage(self, rows: Ints, at: Ints) -> NDArray[np.float32]:
        return self.study.store.block(rows, columns=self.columns[at], center=self._center[at])

    def blocks_with_columns(self) -> Iterator[int]:
        """Labels of the blocks in which some network has a variant."""
        return iter(self._members)

    def block_part(self, block: int) -> Floats:
        """Out-of-fold prediction of a block alone: E[f | x_B] less a constant, (n, T)."""
        at = self._members[block]
        x = self._dosage(self.study.rows, at)
        out = np.empty((x.shape[0], self._n_traits))
        for k, fold in enumerate(self.folds):
            rows = self.study.folds == k
            out[rows] = x[rows] @ fold.linear[:, at].T + fold.quadratic(x[rows], at)
        return out

    def _project(self) -> list[tuple[Floats, Floats]]:
        """Additive projection of each fold's quadratic part in the population: coefficients (T, P), constant (T,).

        Across blocks a product of centred dosages is uncorrelated with every dosage, so that the projection is a sum
        of regressions of each block's own part on its own dosages, over all discovery samples.
        """
        coefficients = [np.zeros((self._n_traits, self.columns.size)) for _ in self.folds]
        constants = [np.zeros(self._n_traits) for _ in self.folds]
        most = self.study.rows.size // 5
        for members in self._members.values():
            at = members[self._quadratic[members]]
            if at.size == 0:
                continue
            x = self._dosage(self.study.rows, at).astype(np.float64)
            mean = x.mean(0)
            directions = _principal_directions(x - mean, most)
            basis = (x - mean) @ directions
            for k, fold in enumerate(self.folds):
                part = fold.quadratic(x, at)
                slope = directions @ (basis.T @ part)
                coefficients[k][:, at] = slope.T
                constants[k] += part.mean(0) - mean @ slope
        return list(zip(coefficients, constants, strict=True))

    @cached_property
    def _projection(self) -> list[tuple[Floats, Floats]]:
        return self._project()

    def interaction(self) -> Floats:
        """Non-additive part of the out-of-fold prediction, (n, T): additive part and mean of each fold stripped."""
        study = self.study
        out = np.zeros((study.rows.size, self._n_traits))
        for k in range(study.n_folds):
            mine = np.flatnonzero(study.folds == k)
            out[mine] = self._interaction_of(k, study.rows[mine])
            out[mine] -= out[mine].mean(0)
        return out

    def heldout_interaction(self, rows: Ints) -> Floats:
        """Non-additive part of the folds' mean prediction of samples that no network saw, (len(rows), T)."""
        return np.mean([self._interaction_of(k, rows) for k in range(len(self.folds))], axis=0)

    def _interaction_of(self, k: int, rows: Ints) -> Floats:
        at = np.flatnonzero(self._quadratic)
        coefficients, constant = self._projection[k]
        out = np.zeros((rows.size, self._n_traits))
        for start in range(0, rows.size, ROWS):
            part = slice(start, start + ROWS)
            x = self._dosage(rows[part], at)
            out[part] = self.folds[k].quadratic(x, at) - x @ coefficients[:, at].T - constant
        return out

    def block_interaction(self, block: int) -> Floats:
        """Non-additive out-of-fold prediction of a block alone, (n, T), centred."""
        study = self.study
        out = np.zeros((study.rows.size, self._n_traits))
        for k in range(study.n_folds):
            mine = study.folds == k
            out[mine] = self._block_interaction_of(k, block, study.rows[mine])
        return out - out.mean(0)

    def heldout_block_interaction(self, block: int, rows: Ints) -> Floats:
        """The same of the folds' mean prediction of samples that no network saw, (len(rows), T)."""
        return np.mean([self._block_interaction_of(k, block, rows) for k in range(len(self.folds))], axis=0)

    def _block_interaction_of(self, k: int, block: int, rows: Ints) -> Floats:
        at = self._members.get(block, np.empty(0, np.int64))
        at = at[self._quadratic[at]]
        x = self._dosage(rows, at)
        return self.folds[k].quadratic(x, at) - x @ self._projection[k][0][:, at].T

    # The epistatic effects of the population.

    def _block_loadings(self) -> dict[int, tuple[Ints, NDArray[np.float32]]]:
        """For each block: its quadratic columns, and Cov(x_a, x_i)/Var(x_i) of them (a) with all its variants (i)."""
        if self._loadings is None:
            study, out = self.study, {}
            variants = _members(study.blocks)
            for block, members in self._members.items():
                at = members[self._quadratic[members]]
                if at.size == 0:
                    continue
                mine = variants[block]
                here = np.searchsorted(mine, self.columns[at])
                spread, products = np.zeros(mine.size), np.zeros((at.size, mine.size))
                # Missing calls are 0 on both sides, so that sums run over the called rows of variant i alone.
                for start, stop in row_blocks(study.rows.size, 16 * mine.size):
                    rows = study.rows[start:stop]
                    x = study.store.block(rows, columns=mine, center=study.center[mine]).astype(np.float64)
                    spread += np.einsum("ij,ij->j", x, x)
                    products += x[:, here].T @ x
                loading = products / np.where(spread > 0, spread, np.inf)
                out[block] = (at, loading.astype(np.float32))
            self._loadings = out
            self._local = np.empty(study.blocks.size, np.int64)
            for mine in variants.values():
                self._local[mine] = np.arange(mine.size)
        return self._loadings

    def epistasis(self, weights: Floats) -> PopulationEpistasis:
        """Epistatic effects of ``sum_k weights_k f_-k`` in the population, across blocks.

        Parameters
        ----------
        weights : (folds, T) float
            Weight of each fold's network, its share of the samples included.
        """
        factors = []
        for k, fold in enumerate(self.folds):
            own = np.flatnonzero((fold.u != 0).any(0) | (fold.v != 0).any(0))
            output = weights[k][:, None] * fold.output
            factors.append(
                Factors(own, *(a.astype(np.float32) for a in (fold.u[:, own], fold.v[:, own], output)))
            )
        return PopulationEpistasis(
            factors, self.columns.size, self.study.blocks, self._block_loadings(), self._local
        )


def _members(labels: Ints) -> dict[int, Ints]:
    order = np.argsort(labels, kind="stable")
    cuts = np.flatnonzero(np.diff(labels[order])) + 1
    return {int(labels[part[0]]): np.sort(part) for part in np.split(order, cuts)}


def _principal_directions(x: Floats, most: int) -> Floats:
    """Directions D (p, r) for which x D is orthonormal: the leading ``most`` of the columns of x at the most."""
    values, vectors = np.linalg.eigh(x.T @ x)
    if not values[-1] > 0:
        return np.zeros((x.shape[1], 0))
    keep = np.flatnonzero(values > values[-1] * 1e-9)[-max(most, 1) :]
    return vectors[:, keep] / np.sqrt(values[keep])
