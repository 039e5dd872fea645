"""Stacking: how much each predictor is worth beside the others, by non-negative least squares out of fold.

Breiman (1996): weights of cross-validated predictions, none negative, so that predictors that say the same do not
cancel one another. Only out-of-fold predictions enter; the weights for a fold are fitted on the other folds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from gp_elm.errors import InputError

Floats = NDArray[np.float64]


def stack_weights(y: Floats, predictions: Floats, folds: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Weights of predictors, beside an intercept.

    Parameters
    ----------
    y : ndarray of float64, shape (n,)
        A trait, covariates taken out; NaN missing.
    predictions : ndarray of float64, shape (n, P)
        Out-of-fold predictions of each predictor, on the trait's scale.
    folds : ndarray of int64, shape (n,)
        Fold of each sample, 0 to K - 1.

    Returns
    -------
    by_fold : ndarray of float64, shape (K, P)
        Weights fitted without the samples of each fold.
    overall : ndarray of float64, shape (P,)
        Weights fitted on all samples, for samples outside the cross-fitting.

    Raises
    ------
    InputError
        Where the arrays do not match.
    """
    if not len(y) == len(predictions) == len(folds):
        raise InputError(
            f"{len(y)} trait values, {len(predictions)} predictions and {len(folds)} folds; align them by sample"
        )
    known = np.isfinite(y) & np.isfinite(predictions).all(axis=1)

    def fit(mask: NDArray[np.bool_]) -> Floats:
        a, b = predictions[mask], y[mask]
        if len(b) < 2:
            return np.zeros(predictions.shape[1])
        return np.asarray(nnls(a - a.mean(axis=0), b - b.mean())[0])

    by_fold = [fit(known & (folds != k)) for k in range(int(folds.max()) + 1)]
    return np.stack(by_fold), fit(known)
