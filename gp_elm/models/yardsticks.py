"""Yardsticks on the folds of the networks: GBLUP with K o K, the heredity-weighted kernel, the lasso on products.

What a network says beyond them is what it earns (METHOD 7). Each is fitted to the samples and to the inner validation
groups that the fold's network had; traits less covariates are those of the fold, and so is the lasso.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from gp_elm.errors import InputError, OutputError
from gp_elm.models.checkpoint import fold_key
from gp_elm.models.crossfit import CrossFit
from gp_elm.models.prediction import QuadraticForm
from gp_elm.predictors import gblup, product_lasso
from gp_elm.predictors.gblup import EpistaticFit, EpistaticKernel
from gp_elm.predictors.heredity_kernel import fit_heredity_kernel
from gp_elm.predictors.product_lasso import ProductDesign
from gp_elm.predictors.quadratic_predictor import QuadraticPredictor
from gp_elm.runtime.progress import Progress
from gp_elm.streaming.store import Store

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FORMAT = "gp_elm yardsticks 1"
EPISTATIC, KERNEL, PRODUCTS = "gblup_epistatic", "heredity_kernel", "product_lasso"
YARDSTICKS = (EPISTATIC, KERNEL, PRODUCTS)
_Fit = EpistaticFit | QuadraticPredictor


@dataclass(frozen=True, eq=False)
class Yardsticks:
    """Yardsticks of K folds.

    Attributes
    ----------
    out_of_fold : dict of str to ndarray of float64, shape (n, T)
        For each yardstick that was fitted, what each sample is predicted by the fit that never saw its fold;
        covariates taken out.
    left_out : dict of str to str
        Yardsticks that were not fitted, with the reason.
    fits : list of dict
        The fits of each fold, by name.
    rows : ndarray of int64, shape (n,)
        Rows of the store that were fitted on.
    center, sd : ndarray of float64, shape (m,)
        Mean and standard deviation of each variant's dosage in those rows.
    """

    out_of_fold: dict[str, Floats]
    left_out: dict[str, str]
    fits: list[dict[str, _Fit]] = field(repr=False)
    rows: Ints = field(repr=False)
    center: Floats = field(repr=False)
    sd: Floats = field(repr=False)

    @property
    def names(self) -> list[str]:
        """Yardsticks that were fitted."""
        return list(self.out_of_fold)

    @cached_property
    def forms(self) -> dict[str, list[QuadraticForm]]:
        """Quadratic form of each fold for the yardsticks that are one, less :attr:`offsets`."""
        return {name: [_form(fit) for fit in self._quadratic(name)] for name in self._quadratic_names}

    @cached_property
    def offsets(self) -> dict[str, list[Floats]]:
        """Linear coefficients (T, m) that each fold's prediction has besides its form."""
        return {
            name: [fit.linear.coefficients for fit in self._quadratic(name)] for name in self._quadratic_names
        }

    def predict(self, store: Store, rows: Ints, name: str) -> Floats:
        """Mean prediction of the folds' fits for samples outside the cross-fitting, (h, T), covariates taken out."""
        if name == EPISTATIC:
            kernel = EpistaticKernel(store, self.rows, center=self.center, sd=self.sd)
            return kernel.predict([fit[name] for fit in self.fits], rows)  # type: ignore[misc]
        return np.mean([fit.predict(store, rows) for fit in self._quadratic(name)], axis=0)

    @property
    def _quadratic_names(self) -> list[str]:
        return [name for name in self.names if name != EPISTATIC]

    def _quadratic(self, name: str) -> list[QuadraticPredictor]:
        return [fit[name] for fit in self.fits]  # type: ignore[misc]


def cross_fit_yardsticks(
    store: Store,
    rows: Ints,
    traits: Floats,
    covariates: Floats | None,
    folds: Ints,
    groups: NDArray[np.integer],
    fitted: CrossFit,
    *,
    seed: int,
    directory: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Yardsticks:
    """Fit the yardsticks for each fold on the samples of the others.

    Parameters
    ----------
    store, rows, traits, covariates, folds, groups, seed
        As in :func:`gp_elm.models.crossfit.cross_fit_networks`, in the order in which it had them.
    fitted : CrossFit
        What it returned: covariates and lasso of each fold are taken from it.
    directory : path, optional
        Where each finished fold is kept (``yardsticks/fold_0``, ...), and taken from where data and options are the
        same.
    progress : bool, optional
        Whether to draw a progress line; None draws one on a terminal.

    Returns
    -------
    Yardsticks
        Fits, out-of-fold predictions, and what was left out.

    Raises
    ------
    OutputError
        Where a fold cannot be written.
    """
    rows, folds = np.asarray(rows, dtype=np.int64), np.asarray(folds, dtype=np.int64)
    traits = np.asarray(traits, dtype=np.float64)
    n_folds = len(fitted.lasso)
    smallest = len(rows) - int(np.bincount(folds).max())
    left_out = _left_out(len(rows), smallest, store.n_variants)
    names = [name for name in YARDSTICKS if name not in left_out]
    for name, reason in left_out.items():
        logger.info("%s is left out: %s", name, reason)
    _, center, sd = store.moments(rows)
    kernel = EpistaticKernel(store, rows, center=center, sd=sd)
    design = ProductDesign(store, rows, center=center, sd=sd) if PRODUCTS in names else None
    arrays = {"rows": rows, "traits": traits, "covariates": covariates, "folds": folds, "groups": groups}

    def fit_fold(k: int) -> dict[str, _Fit]:
        at = np.flatnonzero(folds != k)
        mine = None if covariates is None else covariates[at]
        residual = fitted.covariate_models[k].residual(mine, traits[at])
        own, fold_seed = groups[at], int(np.random.SeedSequence([seed, k]).generate_state(1)[0])
        found: dict[str, _Fit] = {}
        if EPISTATIC in names:
            found[EPISTATIC] = kernel.fit(at, residual, groups=own, seed=fold_seed)
        found[KERNEL] = fit_heredity_kernel(
            store, rows[at], residual, fitted.lasso[k], sd=sd, groups=own, seed=fold_seed
        )
        if design is not None:
            found[PRODUCTS] = design.fit(rows[at], residual, groups=own, seed=fold_seed)
        return found

    out_of_fold = {name: np.full(traits.shape, np.nan) for name in names}
    fits: list[dict[str, _Fit]] = []
    with Progress("Yardsticks", total=n_folds, unit="folds", enabled=progress) as bar:
        for k in range(n_folds):
            place = None if directory is None else Path(directory) / "yardsticks" / f"fold_{k}"
            key = fold_key(store, arrays | {"lasso": fitted.lasso[k].coefficients}, fitted.recipe, seed)
            found = None if place is None else _load(place, key, names)
            if found is not None:
                logger.info("yardsticks of fold %d: taken from %s", k, place)
            else:
                found = fit_fold(k)
                if place is not None:
                    _save(place, key, found)
            at = np.flatnonzero(folds == k)
            for name, fit in found.items():
                out_of_fold[name][at] = (
                    kernel.predict_at(fit, at)
                    if isinstance(fit, EpistaticFit)
                    else fit.predict(store, rows[at])
                )
            fits.append(found)
            bar.update(1)
    return Yardsticks(out_of_fold, left_out, fits, rows, center, sd)


def _left_out(n: int, n_training: int, n_variants: int) -> dict[str, str]:
    """Yardsticks that a cohort is too large or too small for, with the reason in words."""
    reasons = {}
    if n > gblup.LARGEST:
        reasons[EPISTATIC] = (
            f"{n} samples, more than the {gblup.LARGEST} whose relatedness is held in memory; ridge stands in"
        )
    columns = product_lasso.product_columns(n_variants)
    if columns > product_lasso.MOST_COLUMNS:
        reasons[PRODUCTS] = (
            f"{columns} variants and products, more than {product_lasso.MOST_COLUMNS}; "
            "the heredity-weighted kernel stands in"
        )
    elif columns > n_training:
        reasons[PRODUCTS] = f"{columns} variants and products, more than the {n_training} samples to fit on"
    return reasons


def _form(fit: QuadraticPredictor) -> QuadraticForm:
    # v = u / 2 marks half squares, which are swept at half the cost.
    return QuadraticForm(
        columns=fit.columns,
        constant=fit.linear.intercept,
        linear=np.zeros((len(fit.output), len(fit.columns))),
        u=fit.units,
        v=0.5 * fit.units,
        output=2 * fit.output,
    )


def _save(directory: Path, key: str, fits: Mapping[str, _Fit]) -> None:
    """Write a fold's fits, all or none."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        for name, fit in fits.items():
            path = temporary / f"{name}.safetensors"
            if isinstance(fit, QuadraticPredictor):
                fit.save(path)
            else:
                names = [item.name for item in fields(EpistaticFit)]
                save_file({item: np.ascontiguousarray(getattr(fit, item)) for item in names}, path)
        described = {"format": FORMAT, "key": key}
        (temporary / "fold.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
        if directory.exists():
            shutil.rmtree(directory)
        os.replace(temporary, directory)
    except OSError as error:
        raise OutputError(
            f"{directory}: cannot write the fold's yardsticks ({error.strerror}); free space there"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _load(directory: Path, key: str, names: list[str]) -> dict[str, _Fit] | None:
    """Read a fold's fits if they are complete and were made with the same data and options."""
    try:
        described = json.loads((directory / "fold.json").read_text(encoding="utf-8"))
        if described.get("format") != FORMAT or described.get("key") != key:
            return None
        found: dict[str, _Fit] = {}
        for name in names:
            path = directory / f"{name}.safetensors"
            found[name] = (
                EpistaticFit(**load_file(path)) if name == EPISTATIC else QuadraticPredictor.load(path)
            )
        return found
    except (InputError, OSError, ValueError, TypeError, SafetensorError) as error:
        if directory.exists():
            logger.warning("%s cannot be read (%s): its yardsticks are fitted again", directory, error)
        return None
