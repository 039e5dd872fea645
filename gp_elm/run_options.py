"""Options of a run, and what makes it this run and no other."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gp_elm import __version__
from gp_elm.elm.pair_table import PairOptions
from gp_elm.errors import InputError
from gp_elm.models.options import TrainingOptions
from gp_elm.runtime.provenance import fingerprint

_FILES = ("bed", "bim", "fam", "pheno", "covar", "groups", "keep", "remove", "extract", "exclude")


@dataclass(frozen=True)
class RunOptions:
    """Options of a run.

    Attributes
    ----------
    cohort : dict
        Arguments of :func:`gp_elm.cohort.open_cohort`.
    training : TrainingOptions
        Network and recipe.
    pairs : PairOptions
        Which pairs are tested and listed.
    n_folds : int
        Folds within the discovery samples.
    heldout_fraction : float
        Share of the samples held out.
    split : path or None
        A split of the samples to use, such as another run's ``model/split.tsv``.
    seed : int
        Seed of everything drawn.
    """

    cohort: dict[str, Any]
    training: TrainingOptions = field(default_factory=TrainingOptions)
    pairs: PairOptions = field(default_factory=PairOptions)
    n_folds: int = 5
    heldout_fraction: float = 0.2
    split: str | None = None
    seed: int = 1

    @classmethod
    def of_folder(cls, folder: str | os.PathLike[str]) -> RunOptions:
        """Options of a finished run, from its ``run.json``.

        Raises
        ------
        InputError
            Where the folder holds no finished run of this version, or an input is not where it was.
        """
        path = Path(folder) / "run.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            options, inputs = dict(record["options"]), record["inputs"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: no record of a finished run; give the folder that gp-elm run wrote"
            ) from error
        if record.get("version") != __version__:
            raise InputError(
                f"{path}: the run was made by gp_elm {record.get('version')}, this is {__version__}; run it again"
            )
        gone = [f"{name} {file}" for name, file in inputs.items() if not Path(file).exists()]
        if gone:
            raise InputError(
                f"{path}: the run read {gone[0]}, which is not there; put it back, or start from the folder "
                "that the run was started from"
            )
        training, pairs = options.pop("training"), options.pop("pairs")
        if training.get("hidden") is not None:
            training["hidden"] = tuple(training["hidden"])
        own = {name: options.pop(name) for name in ("n_folds", "heldout_fraction", "seed")}
        split = inputs.get("split")
        files = {name: file for name, file in inputs.items() if name != "split"}
        return cls(
            cohort={**options, **files},
            training=TrainingOptions(**training),
            pairs=PairOptions(**pairs),
            split=split,
            **own,
        )

    def files(self) -> dict[str, Path]:
        """Input files by option."""
        given = {name: self.cohort.get(name) for name in _FILES}
        if self.cohort.get("bfile") is not None:
            base = os.fspath(self.cohort["bfile"])
            given |= {kind: f"{base}.{kind}" for kind in ("bed", "bim", "fam")}
        given["split"] = self.split
        return {name: Path(path) for name, path in given.items() if path is not None}

    def identity(self) -> dict[str, Any]:
        """What makes this run this run: options, content of the inputs, version; not where things lie."""
        cohort = {k: v for k, v in self.cohort.items() if v is not None and k not in (*_FILES, "bfile")}
        training = {k: v for k, v in asdict(self.training).items() if k not in ("device", "resident_bytes")}
        return {
            "options": {
                **cohort,
                "training": training,
                "pairs": asdict(self.pairs),
                "n_folds": self.n_folds,
                "heldout_fraction": self.heldout_fraction,
                "seed": self.seed,
            },
            "inputs": {name: fingerprint(path) for name, path in self.files().items() if path.exists()},
            "version": __version__,
        }
