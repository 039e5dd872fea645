"""Traits grouped by their complete cases, each group with the basis that projects its covariates out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gp_elm.errors import InputError

COLLINEAR = 1e-7
"""Singular value, relative to the largest of the unit-length covariates, below which a direction counts as absent."""


@dataclass(frozen=True)
class CompleteCases:
    """Traits that are observed in the same samples.

    Attributes
    ----------
    columns : (c,) int64
        Which traits.
    rows : (n,) bool
        Samples with these traits and every covariate.
    basis : (n, k) float64
        Orthonormal basis of the intercept (first) and the covariates over `rows`; 0 outside.
    residual : (n, c) float64
        Traits with the basis projected out; 0 outside `rows`.
    residual_ss : (c,) float64
        Sums of squares of `residual`; NaN for a trait that the basis explains whole (a constant trait).
    """

    columns: np.ndarray
    rows: np.ndarray
    basis: np.ndarray
    residual: np.ndarray
    residual_ss: np.ndarray

    @property
    def n_samples(self) -> int:
        """Number of complete samples."""
        return int(self.rows.sum())


def orthonormal_basis(covariates: np.ndarray | None, rows: np.ndarray) -> np.ndarray:
    """Orthonormal basis of the intercept and the covariates over some rows, 0 outside.

    Parameters
    ----------
    covariates : (n, q) float64 or None
        No NaN within `rows`.
    rows : (n,) bool

    Returns
    -------
    (n, k) float64
        k = 1 + rank of the centred covariates; the first column is the constant.
    """
    n_rows = int(rows.sum())
    basis = np.zeros((len(rows), 1))
    if n_rows:
        basis[rows, 0] = 1.0 / np.sqrt(n_rows)
    if covariates is None or covariates.shape[1] == 0 or n_rows == 0:
        return basis
    inside = covariates[rows]
    centred = inside - inside.mean(axis=0)
    centred -= centred.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    varies = length > 1e-12 * np.sqrt((inside**2).sum(axis=0))
    if not varies.any():
        return basis
    left, singular, _ = np.linalg.svd(centred[:, varies] / length[varies], full_matrices=False)
    left = left[:, singular > COLLINEAR * singular[0]]
    padded = np.zeros((len(rows), left.shape[1]))
    padded[rows] = left
    return np.hstack([basis, padded])


def complete_cases(traits: np.ndarray, covariates: np.ndarray | None) -> list[CompleteCases]:
    """Group traits by the samples in which they and all covariates are observed.

    Parameters
    ----------
    traits : (n, T) float64
        NaN where missing.
    covariates : (n, q) float64 or None
        NaN where missing; a sample with a missing covariate is left out for every trait. The intercept is added.

    Returns
    -------
    list of CompleteCases
        Ordered by their first trait.

    Raises
    ------
    InputError
        Where traits and covariates have different numbers of samples, or the traits are not a matrix.
    """
    traits = np.asarray(traits, dtype=np.float64)
    if traits.ndim != 2:
        raise InputError(
            f"traits have shape {traits.shape}, expected (samples, traits); add an axis with [:, None]"
        )
    present = np.isfinite(traits)
    if covariates is not None:
        covariates = np.asarray(covariates, dtype=np.float64)
        if covariates.ndim != 2 or len(covariates) != len(traits):
            raise InputError(
                f"covariates have shape {covariates.shape} but there are {len(traits)} samples of traits; "
                "give one row a sample"
            )
        present &= np.isfinite(covariates).all(axis=1)[:, None]
    groups: dict[bytes, list[int]] = {}
    for column in range(traits.shape[1]):
        groups.setdefault(present[:, column].tobytes(), []).append(column)
    result = []
    for columns in groups.values():
        rows = np.ascontiguousarray(present[:, columns[0]])
        basis = orthonormal_basis(covariates, rows)
        inside = traits[rows][:, columns]
        centred = inside - inside.mean(axis=0) if len(inside) else inside
        within = basis[rows]
        for _ in range(2):  # the second pass takes out what rounding left of a large mean
            centred = centred - within @ (within.T @ centred)
        residual = np.zeros((len(rows), len(columns)))
        residual[rows] = centred
        residual_ss = (centred**2).sum(axis=0)
        residual_ss[residual_ss <= 1e-24 * (inside**2).sum(axis=0)] = np.nan
        result.append(CompleteCases(np.array(columns), rows, basis, residual, residual_ss))
    return result
