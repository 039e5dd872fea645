"""A fitted fold on disk: written whole or not at all, read again only for the same data, options and seed."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from gp_elm.errors import InputError, OutputError
from gp_elm.models.prediction import FittedNetwork
from gp_elm.models.recipe import Recipe
from gp_elm.predictors.covariates import CovariateModel
from gp_elm.predictors.linear import LinearPredictor
from gp_elm.streaming.store import Store

logger = logging.getLogger(__name__)

FORMAT = "gp_elm fold 1"


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
        directory.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        try:
            self.network.save(temporary)
            self.lasso.save(temporary / "lasso.safetensors")
            self.ridge.save(temporary / "ridge.safetensors")
            save_file({"coefficients": self.covariates.coefficients}, temporary / "covariates.safetensors")
            described = {"format": FORMAT, "key": key, "history": self.history}
            (temporary / "fold.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
            if directory.exists():
                shutil.rmtree(directory)
            os.replace(temporary, directory)
        except OSError as error:
            raise OutputError(
                f"{directory}: cannot write the trained fold ({error.strerror}); free space there"
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

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


def fold_key(store: Store, arrays: dict[str, NDArray[Any] | None], recipe: Recipe, seed: int) -> str:
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

    Returns
    -------
    str
        Hexadecimal.
    """
    digest = hashlib.sha256()
    described = {"format": FORMAT, "recipe": recipe.to_dict(), "seed": seed, "identity": store.identity}
    digest.update(json.dumps({**described, "fingerprint": store.fingerprint}, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        values = np.empty(0) if array is None else np.ascontiguousarray(array)
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
