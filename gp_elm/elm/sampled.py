"""The in-silico population by sampling, for any network (METHOD 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gp_elm.elm.study import Floats, Study
from gp_elm.errors import OptionError
from gp_elm.genotypes.ld import ReadBlock
from gp_elm.genotypes.population import BlockPopulation

Ints = NDArray[np.int64]
BATCH = 8192
LISTED = 512
"""Variants of listed pairs looked at together."""
MOST_DONOR_BYTES = 256 << 20
MOST_COLUMNS = 8000
"""Columns of the Gram matrix behind the additive projections."""

Predict = Callable[[NDArray[np.float32]], Floats]
"""Centred dosages of the network's columns (b, p) -> prediction without any linear offset (b, T)."""


def population_size(study: Study, residual_variance: Floats, predicted_variance: Floats, *, most: int) -> int:
    """Samples of P that keep its share of the squared error below 2 %, within memory and ``most``."""
    ratio = float(np.max(predicted_variance / np.maximum(residual_variance, 1e-12), initial=1.0))
    wanted = 50.0 * study.rows.size * ratio
    n_blocks = int(study.blocks.max()) + 1
    within = MOST_DONOR_BYTES // (4 * n_blocks)
    return int(max(1000, min(wanted, within, most)))


class SampledPopulation:
    """Cross-fitted networks over samples drawn in blocks.

    Parameters
    ----------
    study : Study
        The discovery samples.
    columns : sequence of (p_k,) int
        Variants that each fold's network reads.
    predict : sequence of callables
        Each fold's network, offset left out.
    offsets : sequence of (T, m) float, or None
        Linear coefficients that each fold's prediction has besides.
    n : int
        Samples of the population.
    seed : int
        Seed of the draws.
    """

    def __init__(
        self,
        study: Study,
        columns: Sequence[Ints],
        predict: Sequence[Predict],
        offsets: Sequence[Floats] | None,
        *,
        n: int,
        seed: int,
    ) -> None:
        self.study, self.n = study, n
        self.noise = study.rows.size / n
        used = list(columns) + ([] if offsets is None else [np.flatnonzero((o != 0).any(0)) for o in offsets])
        self.columns: Ints = np.unique(np.concatenate(used)).astype(np.int64)
        if self.columns.size > MOST_COLUMNS:
            raise OptionError(
                f"the networks read {self.columns.size} variants, more than {MOST_COLUMNS} for a network that is not "
                "quadratic; use --weighting heredity, --network quadratic, or fewer variants"
            )
        self.population = BlockPopulation(study.blocks, study.rows.size, n, seed=seed)
        self._predict = [
            (np.searchsorted(self.columns, at), function)
            for at, function in zip(columns, predict, strict=True)
        ]
        self._offset = None if offsets is None else [o[:, self.columns] for o in offsets]
        center = study.center[self.columns]
        self._members = study.store.block(study.rows, columns=self.columns, center=center)
        self._values, self._coefficients, self._constants = self._project()

    def _project(self) -> tuple[NDArray[np.float32], list[Floats], list[Floats]]:
        """Network values on P (folds, n, T), and their additive projections on the network's columns."""
        n_columns = self.columns.size
        gram, sums = np.zeros((n_columns, n_columns)), np.zeros(n_columns)
        cross: list[Floats] = []
        values: NDArray[np.float32] | None = None
        for start in range(0, self.n, BATCH):
            rows = slice(start, min(start + BATCH, self.n))
            x = self.population.dosage(self._members, self.columns, rows)
            gram += x.T.astype(np.float64) @ x
            sums += x.sum(0, dtype=np.float64)
            for k, (at, function) in enumerate(self._predict):
                f = function(x[:, at])
                if values is None:
                    values = np.empty((len(self._predict), self.n, f.shape[1]), np.float32)
                    cross = [np.zeros((n_columns, f.shape[1])) for _ in self._predict]
                values[k, rows] = f
                cross[k] += x.T.astype(np.float64) @ f
        assert values is not None
        gram -= np.outer(sums, sums) / self.n
        # A light ridge keeps loci in complete LD from taking opposite, huge coefficients.
        gram[np.diag_indices(n_columns)] += 1e-6 * np.trace(gram) / n_columns + 1e-12
        means: list[Floats] = [values[k].mean(0, dtype=np.float64) for k in range(len(self._predict))]
        slopes: list[Floats] = [
            np.asarray(np.linalg.solve(gram, cross[k] - np.outer(sums, mean))) for k, mean in enumerate(means)
        ]
        return (
            values,
            slopes,
            [mean - (sums / self.n) @ slope for mean, slope in zip(means, slopes, strict=True)],
        )

    def interaction(self) -> Floats:
        """Non-additive part of the out-of-fold prediction, (n, T): additive part and mean of each fold stripped."""
        study = self.study
        out = np.zeros((study.rows.size, self._values.shape[2]))
        for k in range(study.n_folds):
            mine = np.flatnonzero(study.folds == k)
            out[mine] = self._interaction_of(k, study.rows[mine])
            out[mine] -= out[mine].mean(0)
        return out

    def heldout_interaction(self, rows: Ints) -> Floats:
        """Non-additive part of the folds' mean prediction of samples that no network saw, (len(rows), T)."""
        return np.mean([self._interaction_of(k, rows) for k in range(len(self._predict))], axis=0)

    def _interaction_of(self, k: int, rows: Ints) -> Floats:
        at, function = self._predict[k]
        center = self.study.center[self.columns]
        out = np.empty((rows.size, self._values.shape[2]))
        for start in range(0, rows.size, BATCH):
            part = slice(start, start + BATCH)
            x = self.study.store.block(rows[part], columns=self.columns, center=center)
            out[part] = function(x[:, at]) - self._constants[k] - x @ self._coefficients[k]
        return out

    def _weighted(self, weights: Floats, *, additive: bool) -> NDArray[np.float32]:
        """``sum_k weights_k f_-k`` on P, with its additive part or without, (n, T), centred."""
        out = np.zeros(self._values.shape[1:], np.float32)
        for start in range(0, self.n, BATCH):
            rows = slice(start, min(start + BATCH, self.n))
            x = self.population.dosage(self._members, self.columns, rows)
            for k in range(len(self._predict)):
                f = self._values[k, rows].astype(np.float64)
                if additive and self._offset is not None:
                    f += x @ self._offset[k].T
                elif not additive:
                    f -= self._constants[k] + x @ self._coefficients[k]
                out[rows] += (weights[k] * f).astype(np.float32)
        return out - out.mean(0, dtype=np.float64).astype(np.float32)

    def marginal(self, weights: Floats, read_block: ReadBlock) -> SampledMarginal:
        """Marginal effects of ``sum_k weights_k f_-k`` (offset included) in the population."""
        return SampledMarginal(self._weighted(weights, additive=True), self.population, read_block)

    def epistasis(self, weights: Floats, read_block: ReadBlock) -> SampledEpistasis:
        """Epistatic effects of ``sum_k weights_k f_-k`` in the population."""
        return SampledEpistasis(self._weighted(weights, additive=False), self.population, read_block)


class SampledMarginal:
    """Marginal and dominance effects in a sampled population."""

    def __init__(self, f: NDArray[np.float32], population: BlockPopulation, read_block: ReadBlock) -> None:
        self._f, self._population, self._read = f, population, read_block

    def block(
        self, start: int, stop: int, *, dominance: NDArray[np.float32] | None = None
    ) -> tuple[Floats, Floats]:
        """Coefficient of variants start..stop and its sampling variance, (b, T) each.

        Parameters
        ----------
        start, stop : int
            Variants.
        dominance : (n_members, b) float32 or None
            Where given, the dominance indicator of the members less its regression on the dosage: its coefficient
            is returned instead of the dosage's.
        """
        variants = np.arange(start, stop)
        members = self._read(start, stop) if dominance is None else dominance
        cross, spread, sums = (
            np.zeros((variants.size, self._f.shape[1])),
            np.zeros(stop - start),
            np.zeros(stop - start),
        )
        for first in range(0, self._population.n, BATCH):
            rows = slice(first, min(first + BATCH, self._population.n))
            x = self._population.dosage(members, variants, rows).astype(np.float64)
            cross += x.T @ self._f[rows]
            spread += (x * x).sum(0)
            sums += x.sum(0)
        varied = (spread - sums**2 / self._population.n)[:, None]
        variance_f = self._f.var(0, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            beta = cross / varied
            variance = np.maximum(variance_f - beta**2 * varied / self._population.n, 0.0) / varied
        return np.asarray(beta), np.asarray(variance)


class SampledEpistasis:
    """Epistatic effects in a sampled population, for tiles or lists of pairs."""

    def __init__(self, f: NDArray[np.float32], population: BlockPopulation, read_block: ReadBlock) -> None:
        self._f, self._population, self._read = f, population, read_block
        self._cached: tuple[tuple[int, int], NDArray[np.float32]] | None = None

    def tile(self, i0: int, i1: int, j0: int, j1: int) -> NDArray[np.float32]:
        """Effects of variants i0..i1 with j0..j1: (T, i1 - i0, j1 - j0)."""
        if self._cached is None or self._cached[0] != (i0, i1):
            self._cached = ((i0, i1), self._read(i0, i1))
        return self._matrix(np.arange(i0, i1), np.arange(j0, j1), self._cached[1], self._read(j0, j1))

    def _matrix(
        self, at_i: Ints, at_j: Ints, left: NDArray[np.float32], right: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Coefficients for every pair of two sets of variants, from the members' dosages of each, (T, I, J)."""
        n_traits, n = self._f.shape[1], self._population.n
        shape = (at_i.size, at_j.size)
        # Regression on (1, x_i, x_j, x_i x_j): everything that the normal equations need, summed over P.
        xx, xxj, xix, pp = (np.zeros(shape) for _ in range(4))
        fp = np.zeros((n_traits, *shape))
        sums_i, sums_j, ii, jj = (
            np.zeros(shape[0]),
            np.zeros(shape[1]),
            np.zeros(shape[0]),
            np.zeros(shape[1]),
        )
        fi, fj = np.zeros((shape[0], n_traits)), np.zeros((shape[1], n_traits))
        for first in range(0, n, BATCH):
            rows = slice(first, min(first + BATCH, n))
            x, y = self._population.dosage(left, at_i, rows), self._population.dosage(right, at_j, rows)
            f = self._f[rows]
            xx += x.T @ y
            xxj += (x * x).T @ y
            xix += x.T @ (y * y)
            pp += (x * x).T @ (y * y)
            for t in range(n_traits):
                fp[t] += (x * f[:, t, None]).T @ y
            sums_i += x.sum(0)
            sums_j += y.sum(0)
            ii += (x * x).sum(0)
            jj += (y * y).sum(0)
            fi += x.T @ f
            fj += y.T @ f
        return _product_coefficient(xx, xxj, xix, pp, fp, sums_i, sums_j, ii, jj, fi, fj, n)

    def pairs(self, i: Ints, j: Ints, trait: int) -> Floats:
        """Effects of listed pairs on a trait, (P,)."""
        out = np.empty(i.size)
        distinct, place = np.unique(np.r_[i, j], return_inverse=True)
        at_i, at_j = place[: i.size], place[i.size :]
        for a in range(0, distinct.size, LISTED):
            rows = distinct[a : a + LISTED]
            left = np.concatenate([self._read(int(v), int(v) + 1) for v in rows], axis=1)
            for b in range(0, distinct.size, LISTED):
                here = np.flatnonzero((at_i // LISTED == a // LISTED) & (at_j // LISTED == b // LISTED))
                if here.size == 0:
                    continue
                columns = distinct[b : b + LISTED]
                right = np.concatenate([self._read(int(v), int(v) + 1) for v in columns], axis=1)
                found = self._matrix(rows, columns, left, right)[trait]
                out[here] = found[at_i[here] - a, at_j[here] - b]
        return out

    def variance(self) -> Floats:
        """Var(score)/N_P of a pair effect times Var(x_i) Var(x_j), (T,)."""
        return self._f.var(0, dtype=np.float64) / self._population.n


def _product_coefficient(
    xx: Floats, xxj: Floats, xix: Floats, pp: Floats, fp: Floats,
    sums_i: Floats, sums_j: Floats, ii: Floats, jj: Floats, fi: Floats, fj: Floats, n: int,
) -> NDArray[np.float32]:  # fmt: skip
    """Coefficient of x_i x_j beside 1, x_i and x_j, from the sums of a tile (f centred)."""
    a, b = sums_i[:, None], sums_j[None, :]
    s_ii, s_jj = (ii - sums_i**2 / n)[:, None], (jj - sums_j**2 / n)[None, :]
    s_ij = xx - a * b / n
    s_ip, s_jp = xxj - a * xx / n, xix - b * xx / n
    s_pp = pp - xx * xx / n
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = s_ii * s_jj - s_ij**2
        c_i = (s_jj * s_ip - s_ij * s_jp) / determinant
        c_j = (s_ii * s_jp - s_ij * s_ip) / determinant
        rest = s_pp - c_i * s_ip - c_j * s_jp
        top = fp - c_i * fi.T[:, :, None] - c_j * fj.T[:, None, :]
        out = np.where(rest > 1e-6 * s_pp, top / rest, np.nan)
    return out.astype(np.float32)
