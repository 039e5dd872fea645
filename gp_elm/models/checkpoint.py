"""A fold on disk, fitted or in training: written whole or not at all, read only for the same data, options and seed.

What is in training stands beside the fold's own folder, in ``fold_0.unfinished``: the linear fits, and for each
training loop one safetensors file with its weights, its optimiser and its place in the order of the samples. Everything
else that a loop depends on follows from the seed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from gp_elm.errors import InputError
from gp_elm.models.prediction import FittedNetwork
from gp_elm.models.recipe import Recipe
from gp_elm.predictors.covariates import CovariateModel
from gp_elm.predictors.linear import LinearPredictor
from gp_elm.runtime.atomic import atomic_path
from gp_elm.streaming.store import Store

logger = logging.getLogger(__name__)

FORMAT = "gp_elm fold 1"
_STATE = "gp_elm training 1"
_LINEAR = tuple(each.name for each in fields(LinearPredictor))
_SHARE = 0.02  # of the time goes to writing states, at most


@dataclass(frozen=True, eq=False)
class FittedFold:
    """What is kept of a fold.

    Attributes
    ----------
    network : FittedNetwork
    lasso, ridge : LinearPredictor
    covariates : CovariateModel
    history : dict
        See :class:`gp_elm.models.crossfit.CrossFit`.
    """

    network: FittedNetwork
    lasso: LinearPredictor
    ridge: LinearPredictor
    covariates: CovariateModel
    history: dict[str, Any]

    def save(self, directory: Path, key: str) -> None:
        """Write the fold, whole or not at all."""
        described = {"format": FORMAT, "key": key, "history": self.history}
        with _whole(directory) as temporary:
            self.network.save(temporary)
            self.lasso.save(temporary / "lasso.safetensors")
            self.ridge.save(temporary / "ridge.safetensors")
            save_file({"coefficients": self.covariates.coefficients}, temporary / "covariates.safetensors")
            (temporary / "fold.json").write_text(json.dumps(described, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path, key: str) -> FittedFold | None:
        """Read the fold if it is complete and was made with the same data, options and seed."""
        try:
            described = json.loads((directory / "fold.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if described.get("format") != FORMAT or described.get("key") != key:
            logger.info("%s was trained with other data, options or seed: it is trained again", directory)
            return None
        try:
            return cls(
                network=FittedNetwork.load(directory),
                lasso=LinearPredictor.load(directory / "lasso.safetensors"),
                ridge=LinearPredictor.load(directory / "ridge.safetensors"),
                covariates=CovariateModel(load_file(directory / "covariates.safetensors")["coefficients"]),
                history=described["history"],
            )
        except (InputError, OSError, SafetensorError) as error:
            logger.warning("%s cannot be read (%s): it is trained again", directory, error)
            return None


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """:func:`~gp_elm.runtime.atomic.atomic_path` for safetensors, which has words of its own for a full disk."""
    with atomic_path(path) as temporary:
        try:
            yield temporary
        except SafetensorError as error:
            raise OSError(str(error)) from error


@dataclass
class StateFile:
    """State of one piece of work: arrays and a few JSON values in one safetensors file.

    Attributes
    ----------
    path : Path
        The file.
    key : str
        Hash of all that the work depends on; a file with another is not read.
    seconds : float
        Time between two writes; more where a write takes so long that it would cost a fiftieth of the time.
    """

    path: Path
    key: str
    seconds: float
    _written: float = field(default_factory=time.perf_counter, init=False)
    _cost: float = field(default=0.0, init=False)

    @property
    def due(self) -> bool:
        """Whether it is time to write."""
        return time.perf_counter() - self._written >= max(self.seconds, self._cost / _SHARE)

    def save(self, arrays: dict[str, NDArray[Any]], values: dict[str, Any]) -> None:
        """Write the state, whole or not at all.

        Raises
        ------
        OutputError
            Where it cannot be written.
        """
        began = time.perf_counter()
        described = {"format": _STATE, "key": self.key, "values": json.dumps(values)}
        with _whole(self.path) as temporary:
            save_file(
                {name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary, described
            )
        self._written = time.perf_counter()
        self._cost = self._written - began

    def load(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        """Arrays and values, or None where there is no state of the same work."""
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="np") as file:
                described = file.metadata() or {}
                if (described.get("format"), described.get("key")) != (_STATE, self.key):
                    return None
                values: dict[str, Any] = json.loads(described["values"])
                return {name: file.get_tensor(name) for name in file.keys()}, values  # noqa: SIM118
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            logger.warning("%s cannot be read (%s): that training begins again", self.path, error)
            return None


@dataclass(frozen=True)
class Unfinished:
    """What is kept of a fold while it is trained.

    Attributes
    ----------
    directory : Path
        Its folder, made with the first state.
    key : str
        Hash of all that the fold depends on.
    seconds : float
        Time between two states of a training loop.
    """

    directory: Path
    key: str
    seconds: float

    @classmethod
    def of(cls, fold: Path, key: str, seconds: float) -> Unfinished:
        """The one of a fold's folder."""
        return cls(fold.with_name(f"{fold.name}.unfinished"), key, seconds)

    def loop(self, number: int) -> StateFile:
        """State of a training loop."""
        return StateFile(self.directory / f"loop_{number}.safetensors", self.key, self.seconds)

    def save_linear(self, lasso: LinearPredictor, ridge: LinearPredictor) -> None:
        """Keep the linear fits."""
        fits = {"lasso": lasso, "ridge": ridge}
        arrays = {f"{name}.{array}": getattr(fit, array) for name, fit in fits.items() for array in _LINEAR}
        StateFile(self.directory / "linear.safetensors", self.key, 0.0).save(arrays, {})

    def load_linear(self) -> tuple[LinearPredictor, LinearPredictor] | None:
        """Lasso and ridge, where they were fitted before."""
        found = StateFile(self.directory / "linear.safetensors", self.key, 0.0).load()
        if found is None:
            return None
        lasso, ridge = (
            LinearPredictor(**{array: found[0][f"{name}.{array}"] for array in _LINEAR})
            for name in ("lasso", "ridge")
        )
        return lasso, ridge

    def remove(self) -> None:
        """Take it away: the fold is finished."""
        shutil.rmtree(self.directory, ignore_errors=True)


def fold_key(
    store: Store, arrays: dict[str, NDArray[Any] | None], recipe: Recipe, seed: int, *, autocast: bool = False
) -> str:
    """Hash of all that a fold's fit depends on.

    Parameters
    ----------
    store : Store
        The genotypes, taken by their identity and the fingerprint of their source.
    arrays : dict of str to ndarray
        Rows, traits, covariates, folds and groups.
    recipe : Recipe
        Network and training.
    seed : int
        Seed of the cross-fitting.
    autocast : bool
        Whether the networks are evaluated in bfloat16 while they learn.

    Returns
    -------
    str
        Hexadecimal.
    """
    digest = hashlib.sha256()
    described = {"format": FORMAT, "recipe": recipe.to_dict(), "seed": seed, "identity": store.identity}
    if autocast:
        described["precision"] = "bfloat16"
    digest.update(json.dumps({**described, "fingerprint": store.fingerprint}, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        values = np.empty(0) if array is None else np.ascontiguousarray(array)
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
