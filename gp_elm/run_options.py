"""Options of a run, and what makes it this run and no other."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gp_elm import __version__
from gp_elm.elm.pair_table import PairOptions
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
