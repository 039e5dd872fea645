"""A quadratic predictor of every trait: what the heredity-weighted kernel and the lasso on products come to."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from gp_elm.errors import InputError
from gp_elm.predictors.linear import LinearPredictor
from gp_elm.streaming.products import row_blocks
from gp_elm.streaming.store import Store

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_LINEAR = tuple(LinearPredictor.__dataclass_fields__)
_OWN = ("columns", "units", "output", "penalty")
# Eigenvalues below this share of the largest are rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class QuadraticPredictor:
    """Trait t = linear_t(x) + sum_h output_th (units_h . x)^2; x is the dosage less the centre, 0 where missing.

    Attributes
    ----------
    linear : LinearPredictor
        Intercept, additive part and centre; its ``penalty`` is that of the additive part.
    columns : ndarray of int64, shape (p,)
        Variants of the quadratic part, ascending.
    units : ndarray of float64, shape (h, p)
        Per copy of the effect allele. Each unit serves one trait.
    output : ndarray of float64, shape (T, h)
        On the traits' scale.
    penalty : ndarray of float64, shape (T,)
        Penalty of the quadratic part, on the scale of the method that chose it.
    """

    linear: LinearPredictor
    columns: Ints
    units: Floats
    output: Floats
    penalty: Floats

    def predict(self, store: Store, rows: ArrayLike) -> Floats:
        """Predict the traits (n, T) of some rows of a store that has the same variants in the same order."""
        rows = np.asarray(rows, dtype=np.int64)
        out = self.linear.predict(store, rows)
        if not len(self.columns):
            return out
        center = self.linear.center[self.columns]
        for start, stop in row_blocks(len(rows), 8 * (len(self.columns) + len(self.units))):
            x = store.block(rows[start:stop], columns=self.columns, center=center).astype(np.float64)
            out[start:stop] += (x @ self.units.T) ** 2 @ self.output.T
        return out

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the predictor to a safetensors file."""
        tensors = {f"linear.{name}": np.ascontiguousarray(getattr(self.linear, name)) for name in _LINEAR}
        save_file(tensors | {name: np.ascontiguousarray(getattr(self, name)) for name in _OWN}, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> QuadraticPredictor:
        """Read a predictor from a safetensors file.

        Raises
        ------
        InputError
            Where the file cannot be read, or does not hold a quadratic predictor.
        """
        try:
            tensors = load_file(path)
            linear = LinearPredictor(**{name: tensors[f"linear.{name}"] for name in _LINEAR})
            return cls(linear, **{name: tensors[name] for name in _OWN})
        except (OSError, SafetensorError, KeyError) as error:
            raise InputError(f"{path} holds no quadratic predictor ({error}); fit it again") from error


def squares_of(matrix: Floats, *, most: int | None = None) -> tuple[Floats, Floats]:
    """Write a quadratic form x'Ax as a sum of squares, sum_h weight_h (unit_h . x)^2.

    Parameters
    ----------
    matrix : ndarray of float64, shape (p, p)
        A, symmetric.
    most : int, optional
        Squares at the most, those of the largest eigenvalues; all that are not rounding when not given.

    Returns
    -------
    units : ndarray of float64, shape (h, p)
        Orthonormal eigenvectors, the largest eigenvalue first.
    weights : ndarray of float64, shape (h,)
        Eigenvalues.
    """
    values, vectors = np.linalg.eigh(matrix)
    order = np.argsort(-np.abs(values), kind="stable")[:most]
    order = order[np.abs(values[order]) > _ROUNDING * np.abs(values).max(initial=0.0)]
    return vectors[:, order].T, values[order]


def join_traits(
    linear: LinearPredictor, parts: list[tuple[Ints, Floats, Floats]], penalty: Floats
) -> QuadraticPredictor:
    """One predictor from the quadratic parts of all traits.

    Parameters
    ----------
    linear : LinearPredictor
        The additive part.
    parts : list of (columns, units, weights)
        Of each trait: its variants (p_t,), units (h_t, p_t) per copy of the effect allele, and their weights (h_t,).
    penalty : ndarray of float64, shape (T,)
        See :class:`QuadraticPredictor`.

    Returns
    -------
    QuadraticPredictor
        Units in the order of the traits.
    """
    columns = np.unique(np.concatenate([own for own, _, _ in parts])).astype(np.int64)
    hidden = np.cumsum([0] + [len(weights) for _, _, weights in parts])
    units, output = np.zeros((hidden[-1], len(columns))), np.zeros((len(parts), hidden[-1]))
    for t, (own, unit, weights) in enumerate(parts):
        mine = slice(hidden[t], hidden[t + 1])
        units[mine, np.searchsorted(columns, own)] = unit
        output[t, mine] = weights
    return QuadraticPredictor(linear, columns, units, output, penalty)
