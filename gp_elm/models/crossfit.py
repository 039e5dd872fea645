"""Cross-fitting: a network, a lasso and a ridge for each fold, none of which saw the fold's samples or their groups."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gp_elm.errors import InputError
from gp_elm.models.checkpoint import FittedFold, Unfinished, fold_key
from gp_elm.models.fold import train_network
from gp_elm.models.options import TrainingOptions, choose_autocast, choose_device
from gp_elm.models.prediction import FittedNetwork
from gp_elm.models.recipe import Recipe, choose_recipe
from gp_elm.models.samples import FoldSamples
from gp_elm.predictors.covariates import CovariateModel
from gp_elm.predictors.lasso import fit_lasso
from gp_elm.predictors.linear import LinearPredictor
from gp_elm.predictors.ridge import RidgeKernel
from gp_elm.runtime.progress import Progress
from gp_elm.streaming.store import Store

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_LINEAR_SHARE = 0.1  # of the progress of a fold
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
    kernel: RidgeKernel | None = None
    done: list[FittedFold] = []
    with Progress("Training", total=n_folds, unit="folds", enabled=progress) as bar:
        for k in range(n_folds):
            place = None if directory is None else Path(directory) / f"fold_{k}"
            unfinished = None if place is None else Unfinished.of(place, key, 60 * options.checkpoint_minutes)
            found = None if place is None else FittedFold.load(place, key)
            if found is not None:
                logger.info("fold %d: taken from %s", k, place)
                bar.update(1)
            else:
                training = np.flatnonzero(folds != k)
                kernel = RidgeKernel(store, rows) if kernel is None else kernel
                fold_seed = int(np.random.SeedSequence([seed, k]).generate_state(1)[0])
                found = _fit_fold(
                    store,
                    rows,
                    traits,
                    covariates,
                    groups,
                    training,
                    recipe=recipe,
                    options=options,
                    kernel=kernel,
                    center=center,
                    sd=sd,
                    seed=fold_seed,
                    bar=bar,
                    unfinished=unfinished,
                )
                if place is not None:
                    found.save(place, key)
            if unfinished is not None:
                unfinished.remove()
            done.append(found)
    return _collect(store, rows, traits, covariates, folds, done, recipe)


def _fit_fold(
    store: Store,
    rows: Ints,
    traits: Floats,
    covariates: Floats | None,
    groups: NDArray[np.integer],
    training: Ints,
    *,
    recipe: Recipe,
    options: TrainingOptions,
    kernel: RidgeKernel,
    center: Floats,
    sd: Floats,
    seed: int,
    bar: Progress,
    unfinished: Unfinished | None,
) -> FittedFold:
    """Everything that is fitted to the training samples of one fold."""
    began = time.perf_counter()
    mine = None if covariates is None else covariates[training]
    model = CovariateModel.fit(mine, traits[training])
    residual = model.residual(mine, traits[training])
    own = groups[training]
    linear = None if unfinished is None else unfinished.load_linear()
    if linear is None:
        lasso = fit_lasso(store, rows[training], residual, center=center, sd=sd, groups=own, seed=seed)
        linear = lasso, kernel.fit(rows[training], residual, groups=own, seed=seed)
        if unfinished is not None:
            unfinished.save_linear(*linear)
    lasso, ridge = linear
    bar.update(_LINEAR_SHARE)
    device = choose_device(options.device)
    samples = FoldSamples(store, rows[training], residual, own, center, sd)
    network, histories = train_network(
        samples,
        recipe,
        seed=seed,
        lasso=lasso,
        device=device,
        resident_bytes=options.resident_bytes,
        autocast=choose_autocast(options.precision, device),
        unfinished=unfinished,
        report=lambda share, loss: bar.update(share * (1 - _LINEAR_SHARE), loss=loss),
    )
    seconds = time.perf_counter() - began
    return FittedFold(
        network,
        lasso,
        ridge,
        model,
        {"seconds": seconds, "loops": [history.to_dict() for history in histories]},
    )


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
