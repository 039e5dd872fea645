"""Cross-fitting: a network, a lasso and a ridge for each fold, none of which saw the fold's samples or their groups."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gp_elm.errors import InputError
from gp_elm.models.checkpoint import FittedFold, fold_key
from gp_elm.models.fold_job import LINEAR_SHARE, FoldJob
from gp_elm.models.options import TrainingOptions, choose_autocast, choose_device
from gp_elm.models.prediction import FittedNetwork
from gp_elm.models.recipe import Recipe, choose_recipe
from gp_elm.models.side_by_side import SideBySide
from gp_elm.predictors.covariates import CovariateModel
from gp_elm.predictors.linear import LinearPredictor
from gp_elm.predictors.ridge import RidgeKernel
from gp_elm.runtime.progress import Progress
from gp_elm.streaming.store import Store

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_FITS = {"network": "networks", "lasso": "lasso", "ridge": "ridge"}
PREDICTORS = tuple(_FITS)


@dataclass(frozen=True, eq=False)
class CrossFit:
    """Networks and linear yardsticks of K folds.

    Attributes
    ----------
    networks : list of FittedNetwork
        One a fold, trained without it.
    lasso, ridge : list of LinearPredictor
        The yardsticks, trained on the same samples.
    out_of_fold : dict of str to ndarray of float64, shape (n, T)
        For each of :data:`PREDICTORS`, what each sample is predicted by the fit that never saw its fold; covariates
        taken out.
    residual : ndarray of float64, shape (n, T)
        Traits less covariates, the covariates' effects fitted without the sample's fold; NaN missing.
    folds : ndarray of int64, shape (n,)
        Fold of each sample.
    recipe : Recipe
        Network and training.
    covariate_models : list of CovariateModel
        One a fold.
    history : list of dict
        One a fold: ``seconds``, and ``loops``: ``best_epoch`` and ``validation_loss`` of each training loop.
    """

    networks: list[FittedNetwork]
    lasso: list[LinearPredictor]
    ridge: list[LinearPredictor]
    out_of_fold: dict[str, Floats]
    residual: Floats
    folds: Ints
    recipe: Recipe
    covariate_models: list[CovariateModel]
    history: list[dict[str, Any]]

    def predict(self, store: Store, rows: Ints, *, predictor: str = "network") -> Floats:
        """Mean prediction of the folds' fits for samples outside the cross-fitting, (n, T), covariates taken out."""
        fits: Sequence[FittedNetwork | LinearPredictor] = getattr(self, _FITS[predictor])
        return np.mean([fit.predict(store, rows) for fit in fits], axis=0)

    def residual_of(self, traits: Floats, covariates: Floats | None) -> Floats:
        """Traits less covariates for samples outside the cross-fitting, by the mean of the folds' fits, (n, T)."""
        return np.mean([model.residual(covariates, traits) for model in self.covariate_models], axis=0)


def cross_fit_networks(
    store: Store,
    rows: Ints,
    traits: Floats,
    covariates: Floats | None,
    folds: Ints,
    groups: NDArray[np.integer],
    *,
    options: TrainingOptions | None = None,
    seed: int = 1,
    progress: bool | None = None,
    directory: str | os.PathLike[str] | None = None,
) -> CrossFit:
    """Train a network, a lasso and a ridge for each fold on the samples of the others.

    Parameters
    ----------
    store : Store
        Packed genotypes.
    rows : ndarray of int64, shape (n,)
        The samples' rows in the store.
    traits : ndarray of float64, shape (n, T)
        Traits as measured, NaN missing.
    covariates : ndarray of float64, shape (n, k), optional
        Covariates without an intercept.
    folds : ndarray of int64, shape (n,)
        Fold of each sample, 0 to K - 1.
    groups : ndarray of int, shape (n,)
        Group of each sample; a group lies in one fold, and on one side of every inner split.
    options : TrainingOptions, optional
        Options of training.
    seed : int
        The same seed gives the same result on the same machine.
    progress : bool, optional
        Whether to draw a progress line; None draws one on a terminal.
    directory : path, optional
        Where each finished fold is kept (``fold_0``, ...), and taken from where data, options and seed are the same.

    Returns
    -------
    CrossFit
        Fits and out-of-fold predictions.

    Raises
    ------
    InputError
        Where arrays do not match, a fold is empty, or a group lies in two folds.
    OutputError
        Where a fold cannot be written.
    """
    options = TrainingOptions() if options is None else options
    rows, folds = np.asarray(rows, dtype=np.int64), np.asarray(folds, dtype=np.int64)
    traits = np.asarray(traits, dtype=np.float64)
    n_folds = _check(rows, traits, folds, groups)
    device = choose_device(
        options.device
    )  # an unusable device is an error before the first fold, not after its lasso
    recipe = choose_recipe(options, n_samples=len(rows) - len(rows) // n_folds, n_variants=store.n_variants)
    logger.info("%d samples, %d variants: %s", len(rows), store.n_variants, recipe.describe())
    arrays = {"rows": rows, "traits": traits, "covariates": covariates, "folds": folds, "groups": groups}
    key = fold_key(store, arrays, recipe, seed, autocast=choose_autocast(options.precision, device))
    # One coding of the genotypes for all folds, missing calls included; no trait enters.
    _, center, sd = store.moments(rows)
    kernel: list[RidgeKernel] = []

    def ridge_kernel() -> RidgeKernel:
        if not kernel:
            kernel.append(RidgeKernel(store, rows))
        return kernel[0]

    done: dict[int, FittedFold] = {}
    with Progress("Training", total=n_folds, unit="folds", enabled=progress) as bar:
        with SideBySide(store, options.parallel_folds, n_folds, device) as side:
            for k in range(n_folds):
                training = np.flatnonzero(folds != k)
                job = FoldJob(
                    rows=rows[training],
                    traits=traits[training],
                    covariates=None if covariates is None else covariates[training],
                    groups=groups[training],
                    center=center,
                    sd=sd,
                    recipe=recipe,
                    options=options,
                    seed=int(np.random.SeedSequence([seed, k]).generate_state(1)[0]),
                    place=None if directory is None else Path(directory) / f"fold_{k}",
                    key=key,
                )
                found = job.found()
                if found is not None:
                    logger.info("fold %d: taken from %s", k, job.place)
                    bar.update(1)
                    done[k] = found
                    continue
                linear = job.linear(store, ridge_kernel)
                bar.update(LINEAR_SHARE)
                if side.pays(job, linear):
                    side.train(k, job, bar)
                else:
                    done[k] = job.train(store, linear, lambda share, loss: bar.update(share, loss=loss))
            done |= side.finished()
    fitted = [done[k] for k in range(n_folds)]
    return _collect(store, rows, traits, covariates, folds, fitted, recipe)


def _collect(
    store: Store,
    rows: Ints,
    traits: Floats,
    covariates: Floats | None,
    folds: Ints,
    fitted: list[FittedFold],
    recipe: Recipe,
) -> CrossFit:
    """Out-of-fold predictions and residuals of all samples."""
    residual = np.full(traits.shape, np.nan)
    out_of_fold = {name: np.full(traits.shape, np.nan) for name in PREDICTORS}
    for k, fold in enumerate(fitted):
        mine = np.flatnonzero(folds == k)
        residual[mine] = fold.covariates.residual(
            None if covariates is None else covariates[mine], traits[mine]
        )
        for name in PREDICTORS:
            out_of_fold[name][mine] = getattr(fold, name).predict(store, rows[mine])
    return CrossFit(
        networks=[fold.network for fold in fitted],
        lasso=[fold.lasso for fold in fitted],
        ridge=[fold.ridge for fold in fitted],
        out_of_fold=out_of_fold,
        residual=residual,
        folds=folds,
        recipe=recipe,
        covariate_models=[fold.covariates for fold in fitted],
        history=[fold.history for fold in fitted],
    )


def _check(rows: Ints, traits: Floats, folds: Ints, groups: NDArray[np.integer]) -> int:
    """Number of folds, after checking that the arrays describe a cross-fitting."""
    n = len(rows)
    for name, array in (("traits", traits), ("folds", folds), ("groups", groups)):
        if len(array) != n:
            raise InputError(f"{name} has {len(array)} samples, rows has {n}; align them")
    counts = np.bincount(folds, minlength=1) if n and folds.min() >= 0 else np.zeros(1, dtype=np.int64)
    if len(counts) < 2 or counts.min() == 0:
        raise InputError(
            f"folds has {np.count_nonzero(counts)} filled folds of {len(counts)}; give at least 2, from 0 on"
        )
    _, group = np.unique(groups, return_inverse=True)
    first = np.full(group.max() + 1, -1)
    first[group] = folds
    if np.any(first[group] != folds):
        label = groups[np.flatnonzero(first[group] != folds)[0]]
        raise InputError(f"group {label} lies in more than one fold; keep related samples together")
    return len(counts)
