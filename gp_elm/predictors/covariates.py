"""Covariates taken out of the traits by least squares, each trait on its own complete cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gp_elm.errors import InputError


@dataclass(frozen=True, eq=False)
class CovariateModel:
    """Least-squares fit of every trait on an intercept and the covariates.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (k + 1, T)
        Intercept first.
    """

    coefficients: NDArray[np.float64]

    @classmethod
    def fit(cls, covariates: NDArray[np.float64] | None, traits: NDArray[np.float64]) -> CovariateModel:
        """Fit the model.

        Parameters
        ----------
        covariates : ndarray, shape (n, k), optional
            Covariates, NaN missing; without them only the mean is fitted. Collinear ones do no harm here.
        traits : ndarray, shape (n, T)
            Traits, NaN missing.

        Returns
        -------
        CovariateModel
            The model.

        Raises
        ------
        InputError
            Where a trait has fewer complete samples than there are coefficients.
        """
        design = _design(covariates, len(traits))
        known = np.asarray(~np.isnan(design).any(axis=1))
        coefficients = np.zeros((design.shape[1], traits.shape[1]))
        # Scaled columns, so that the rank does not depend on the covariates' units.
        size = np.sqrt(np.nanmean(design**2, axis=0)) if known.any() else np.ones(design.shape[1])
        size = np.where(size > 0, size, 1.0)
        masks = known[:, None] & ~np.isnan(traits)
        for pattern, columns in missing_patterns(masks):
            if pattern.sum() < design.shape[1]:
                raise InputError(
                    f"trait {columns[0] + 1} has {pattern.sum()} samples with all covariates, fewer than the "
                    f"{design.shape[1]} coefficients to fit; leave the trait or some covariates out"
                )
            fitted = np.linalg.lstsq(design[pattern] / size, traits[np.ix_(pattern, columns)], rcond=None)[0]
            coefficients[:, columns] = fitted / size[:, None]
        return cls(coefficients)

    def predict(self, covariates: NDArray[np.float64] | None, n: int) -> NDArray[np.float64]:
        """What the covariates predict for ``n`` samples: shape (n, T), NaN where a covariate is missing."""
        return np.asarray(_design(covariates, n) @ self.coefficients)

    def residual(
        self, covariates: NDArray[np.float64] | None, traits: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Traits less what the covariates predict.

        Parameters
        ----------
        covariates : ndarray, shape (n, k), optional
            Covariates of these samples, as in :meth:`fit`.
        traits : ndarray, shape (n, T)
            Their traits.

        Returns
        -------
        ndarray of float64, shape (n, T)
            NaN where the trait or a covariate is missing.
        """
        return traits - self.predict(covariates, len(traits))


def missing_patterns(masks: NDArray[np.bool_]) -> list[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """Group columns that have the same mask.

    Parameters
    ----------
    masks : ndarray of bool, shape (n, T)
        True where a trait is there.

    Returns
    -------
    list of (mask, columns)
        Each distinct mask (n,) with the indices of its columns, in order of their first column.
    """
    groups: dict[bytes, list[int]] = {}
    for column in range(masks.shape[1]):
        groups.setdefault(np.packbits(masks[:, column]).tobytes(), []).append(column)
    return [(masks[:, columns[0]], np.array(columns)) for columns in groups.values()]


def _design(covariates: NDArray[np.float64] | None, n: int) -> NDArray[np.float64]:
    intercept = np.ones((n, 1))
    return intercept if covariates is None else np.hstack([intercept, covariates])
