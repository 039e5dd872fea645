"""Everything that is fitted to the training samples of one fold: the linear yardsticks, then the network."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gp_elm.models.checkpoint import FittedFold, Unfinished
from gp_elm.models.fold import Report, train_network
from gp_elm.models.options import TrainingOptions, choose_autocast, choose_device
from gp_elm.models.recipe import Recipe
from gp_elm.models.samples import FoldSamples
from gp_elm.predictors.covariates import CovariateModel
from gp_elm.predictors.lasso import fit_lasso
from gp_elm.predictors.linear import LinearPredictor
from gp_elm.predictors.ridge import RidgeKernel
from gp_elm.streaming.store import Store

Floats = NDArray[np.float64]
Linear = tuple[LinearPredictor, LinearPredictor]
LINEAR_SHARE = 0.1
"""Of the progress of a fold."""


@dataclass(frozen=True, eq=False)
class FoldJob:
    """The fits of one fold; all but the genotypes, so that another process can be sent it.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Rows of the store of the training samples.
    traits : ndarray of float64, shape (n, T)
        As measured, NaN missing.
    covariates : ndarray of float64, shape (n, k), or None
    groups : ndarray of int, shape (n,)
    center, sd : ndarray of float64, shape (m,)
        Coding of the genotypes, of all folds.
    recipe : Recipe
    options : TrainingOptions
    seed : int
        Of this fold.
    place : Path or None
        Folder of the fitted fold; what is in training stands beside it.
    key : str
        Hash of all that the fit depends on.
    """

    rows: NDArray[np.int64]
    traits: Floats
    covariates: Floats | None
    groups: NDArray[np.integer]
    center: Floats
    sd: Floats
    recipe: Recipe
    options: TrainingOptions
    seed: int
    place: Path | None
    key: str

    @property
    def unfinished(self) -> Unfinished | None:
        """What is kept while it is trained."""
        if self.place is None:
            return None
        return Unfinished.of(self.place, self.key, 60 * self.options.checkpoint_minutes)

    def found(self) -> FittedFold | None:
        """The fold where it was fitted before."""
        if self.place is None or self.unfinished is None:
            return None
        found = FittedFold.load(self.place, self.key)
        if found is not None:
            self.unfinished.remove()
        return found

    def linear(self, store: Store, kernel: Callable[[], RidgeKernel]) -> Linear:
        """Lasso and ridge, fitted or taken from where they are kept."""
        linear = None if self.unfinished is None else self.unfinished.load_linear()
        if linear is None:
            residual, groups, seed = self._residual(), self.groups, self.seed
            lasso = fit_lasso(
                store, self.rows, residual, center=self.center, sd=self.sd, groups=groups, seed=seed
            )
            linear = lasso, kernel().fit(self.rows, residual, groups=groups, seed=seed)
            if self.unfinished is not None:
                self.unfinished.save_linear(*linear)
        return linear

    def train(self, store: Store, linear: Linear, report: Report) -> FittedFold:
        """Train the network, from where it was left; write the fold."""
        began = time.perf_counter()
        device, unfinished = choose_device(self.options.device), self.unfinished
        network, histories = train_network(
            FoldSamples(store, self.rows, self._residual(), self.groups, self.center, self.sd),
            self.recipe,
            seed=self.seed,
            lasso=linear[0],
            device=device,
            resident_bytes=self.options.resident_bytes,
            autocast=choose_autocast(self.options.precision, device),
            report=lambda share, loss: report(share * (1 - LINEAR_SHARE), loss),
            unfinished=unfinished,
        )
        history = {
            "seconds": time.perf_counter() - began,
            "loops": [history.to_dict() for history in histories],
        }
        fold = FittedFold(network, *linear, self._covariate_model(), history)
        if self.place is not None and unfinished is not None:
            fold.save(self.place, self.key)
            unfinished.remove()
        return fold

    def _covariate_model(self) -> CovariateModel:
        return CovariateModel.fit(self.covariates, self.traits)

    def _residual(self) -> Floats:
        return self._covariate_model().residual(self.covariates, self.traits)
