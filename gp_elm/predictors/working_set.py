"""The lasso's working set: Gram matrices of the few variants in play for each trait, and passes over the store.

Nothing of size samples x variants is kept. A pass decodes blocks of rows once for all traits.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gp_elm.kernels.decode import decode_table
from gp_elm.predictors.coordinate_descent import lasso_on_gram
from gp_elm.streaming.products import TransposeSum, row_blocks
from gp_elm.streaming.store import Store

# Share of the penalty above which the gradient of a member without effect keeps it in the working set.
_NEAR = 1.0
# Parts of the rows that are summed apart, whatever the number of threads, so that it changes no result.
_PARTS = 2

Block = NDArray[np.floating]


@dataclass(eq=False)
class TraitProblem:
    """One trait's lasso on its working set, in units of standardised dosages and of the standardised trait.

    Attributes
    ----------
    members : ndarray of int64, shape (e,)
        Variants in the working set, in the order they came.
    gram : ndarray of float64, shape (e, e)
        Mean products of the members, centred over the trait's samples.
    target : ndarray of float64, shape (e,)
        Mean products of members and trait.
    mean : ndarray of float64, shape (e,)
        Mean of each member over the trait's samples.
    beta : ndarray of float64, shape (e,)
        Current coefficients.
    """

    members: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    gram: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    target: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    mean: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    beta: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @property
    def offset(self) -> float:
        """What the coefficients predict at the mean of the trait's samples."""
        return float(self.mean @ self.beta)

    def solve(self, penalty: float, *, tolerance: float) -> None:
        """Bring the coefficients to the lasso solution on the working set."""
        if len(self.members):
            lasso_on_gram(self.gram, self.target, penalty, self.beta, tolerance, 200)

    def thin(self, penalty: float) -> None:
        """Let go the members without effect that are far from having one at ``penalty``; the next pass minds them."""
        slack = np.abs(self.target - self.gram @ self.beta)
        kept = np.flatnonzero((self.beta != 0) | (slack > _NEAR * penalty))
        if len(kept) == len(self.members):
            return
        self.members, self.target, self.mean = self.members[kept], self.target[kept], self.mean[kept]
        self.beta, self.gram = self.beta[kept], np.ascontiguousarray(self.gram[np.ix_(kept, kept)])

    def extend(
        self,
        added: NDArray[np.int64],
        products: NDArray[np.float64],
        target: NDArray[np.float64],
        sums: NDArray[np.float64],
        n: int,
    ) -> None:
        """Let variants in.

        Parameters
        ----------
        added : ndarray of int64, shape (a,)
            The variants.
        products : ndarray of float64, shape (e + a, a)
            Sums of products of all members, the new ones last, with the new ones.
        target, sums : ndarray of float64, shape (a,)
            Sums of the new members times the trait, and alone.
        n : int
            Samples of the trait.
        """
        old = len(self.members)
        self.members = np.concatenate([self.members, added])
        self.mean = np.concatenate([self.mean, sums / n])
        self.target = np.concatenate([self.target, target / n])
        self.beta = np.concatenate([self.beta, np.zeros(len(added))])
        columns = products / n - np.outer(self.mean, self.mean[old:])
        gram = np.empty((len(self.members), len(self.members)))
        gram[:old, :old] = self.gram
        gram[:, old:] = columns
        gram[old:, :old] = columns[:old].T
        self.gram = gram


@dataclass(frozen=True, eq=False)
class Genotypes:
    """Rows of a store with standardised dosages: (dosage - center) * scale, missing calls 0.

    Attributes
    ----------
    store : Store
        The genotypes.
    rows : ndarray of int64, shape (n,)
        Rows in use.
    center, scale : ndarray of float64, shape (m,)
        Scale 0 keeps a variant out.
    dtype : float32 or float64
        Arithmetic of the gradients within a block of rows; blocks are added up in float64. Gram matrices are always
        float64: in float32 those of near-identical variants are not positive semi-definite.
    pool : Executor
        Threads to use; results do not depend on how many they are.
    """

    store: Store
    rows: NDArray[np.int64]
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    pool: Executor
    dtype: type[np.floating] = np.float64

    def table(self, columns: NDArray[np.int64]) -> NDArray[np.float32]:
        """Decoding table of some columns."""
        return decode_table(self.center[columns], self.scale[columns])

    def extend(
        self,
        problems: list[TraitProblem],
        added: list[NDArray[np.int64]],
        traits: NDArray[np.float64],
        mask: NDArray[np.bool_],
    ) -> None:
        """Let variants into working sets, all traits in one pass.

        Parameters
        ----------
        problems, added : list
            Problem of each trait and the variants it gets.
        traits : ndarray of float64, shape (n, T)
            Centred over ``mask``, 0 outside it.
        mask : ndarray of bool, shape (n, T)
            Samples that count.
        """
        wanted = [t for t, variants in enumerate(added) if len(variants)]
        if not wanted:
            return
        everyone = {t: np.concatenate([problems[t].members, added[t]]) for t in wanted}
        union = np.unique(np.concatenate(list(everyone.values())))
        table = self.table(union)
        place = {t: np.searchsorted(union, everyone[t]) for t in wanted}
        products = {t: np.zeros((len(everyone[t]), len(added[t]))) for t in wanted}
        target = {t: np.zeros(len(added[t])) for t in wanted}
        sums = {t: np.zeros(len(added[t])) for t in wanted}
        for start, stop in row_blocks(len(self.rows), 8 * len(union) + self.store.row_bytes):
            block = self.store.unpack(self.rows[start:stop], union, table)
            y, count = traits[start:stop], mask[start:stop]

            def add(t: int, block: Block = block, y: Block = y, count: NDArray[np.bool_] = count) -> None:
                members = block.take(place[t], axis=1).astype(np.float64)
                new = members[:, -len(added[t]) :] * count[:, t, None]
                products[t] += members.T @ new
                target[t] += y[:, t] @ new
                sums[t] += new.sum(axis=0)

            list(self.pool.map(add, wanted))
        for t in wanted:
            problems[t].extend(added[t], products[t], target[t], sums[t], int(mask[:, t].sum()))

    def gradients(
        self, problems: list[TraitProblem], traits: NDArray[np.float64], mask: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Correlations of every variant with the residual of every trait, and predictions, in one pass.

        Parameters
        ----------
        problems : list of TraitProblem
            Problem of each trait.
        traits : ndarray of float64, shape (n, T)
            Centred over ``mask``.
        mask : ndarray of bool, shape (n, T)
            Samples that count in the gradient.

        Returns
        -------
        gradient : ndarray of float64, shape (m, T)
            Mean over the trait's samples of standardised dosage times residual.
        predicted : ndarray of float64, shape (n, T)
            Prediction of every row, outside the mask too; less the prediction's mean over the mask.
        """
        nonzero = [p.members[p.beta != 0] for p in problems]
        union = np.unique(np.concatenate([*nonzero, np.empty(0, dtype=np.int64)]))
        table = self.table(union)
        effects = np.zeros((len(union), len(problems)))
        for t, problem in enumerate(problems):
            effects[np.searchsorted(union, nonzero[t]), t] = problem.beta[problem.beta != 0]
        offset = np.array([problem.offset for problem in problems])
        predicted = np.empty(traits.shape)
        parts = [
            (
                TransposeSum(self.store.n_variants, len(problems), dtype=self.dtype, codec=self.store.codec),
                part,
            )
            for part in np.array_split(np.arange(len(self.rows)), _PARTS)
        ]

        def run(total: TransposeSum, part: NDArray[np.int64]) -> TransposeSum:
            for start, stop in row_blocks(len(part), 4 * self.store.n_variants):
                here = slice(part[start], part[stop - 1] + 1)
                packed = self.store.packed(self.rows[here])
                predicted[here] = self.store.codec.unpack(packed, union, table) @ effects - offset
                residual = np.where(mask[here], traits[here] - predicted[here], 0.0)
                used = residual.any(axis=1)
                if used.any():
                    total.add(packed[used], residual[used])
            return total

        tasks = [self.pool.submit(run, total, part) for total, part in parts]
        gradient = sum(task.result().result(self.center) for task in tasks)
        return gradient * self.scale[:, None] / np.maximum(mask.sum(axis=0), 1), predicted
