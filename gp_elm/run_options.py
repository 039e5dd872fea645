"""Options of a run, and what makes it this run and no other."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gp_elm import __version__
from gp_elm.elm.pair_table import PairOptions
from gp_elm.elm.seen import MAX_VARIANTS
from gp_elm.errors import InputError, OptionError
from gp_elm.io.gwas_results import gwas_files
from gp_elm.io.loco_predictions import loco_files
from gp_elm.models.options import TrainingOptions
from gp_elm.opening import genotype_files
from gp_elm.runtime.provenance import fingerprint

_TABLES = ("pheno", "covar", "groups", "keep", "remove", "keep_fam", "remove_fam", "extract", "exclude")
# how it is trained, not what
_NO_RESULT = ("device", "resident_bytes", "checkpoint_minutes", "parallel_folds")
_GENOTYPES = (
    "source", "bfile", "bed", "bim", "fam", "vcf", "store", "pfile", "pgen", "pvar", "psam", "bgen", "sample",
)  # fmt: skip
_OWN_TABLES = ("split", "pred", "variants_from")


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
    max_variants : int
        Variants that the networks see at the most, thinned by LD (:func:`gp_elm.elm.seen.seen_variants`).
    variants_from : path or None
        List of the variants that the networks see instead.
    gwas : tuple of str
        Results of another program that take the place of the scan (:func:`gp_elm.io.gwas_results.read_gwas`).
    pred : path or None
        REGENIE's ``_pred.list``, for the scan.
    """

    cohort: dict[str, Any]
    training: TrainingOptions = field(default_factory=TrainingOptions)
    pairs: PairOptions = field(default_factory=PairOptions)
    n_folds: int = 5
    heldout_fraction: float = 0.2
    split: str | None = None
    seed: int = 1
    max_variants: int = MAX_VARIANTS
    variants_from: str | None = None
    gwas: tuple[str, ...] = ()
    pred: str | None = None

    def __post_init__(self) -> None:
        if self.gwas and self.pred is not None:
            raise OptionError(
                "--gwas and --pred are both given, but --pred is for the scan that --gwas replaces; leave one out"
            )

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
        own = {name: options.pop(name) for name in ("n_folds", "heldout_fraction", "seed", "max_variants")}
        lists = {name: inputs.get(name) for name in _OWN_TABLES}
        given = [(name.split(" ", 2)[2:], file) for name, file in inputs.items() if name.startswith("gwas ")]
        files = {name: file for name, file in inputs.items() if name not in _OWN_TABLES and " " not in name}
        return cls(
            cohort={**options, **files},
            training=TrainingOptions(**training),
            pairs=PairOptions(**pairs),
            gwas=tuple("=".join([*trait, file]) for trait, file in given),
            **lists,
            **own,
        )

    def files(self) -> dict[str, Path]:
        """Input files by option."""
        given = {name: self.cohort.get(name) for name in _TABLES} | {"split": self.split}
        given["variants_from"] = self.variants_from
        tables = {name: Path(path) for name, path in given.items() if path is not None}
        # of a file that was said to be of a trait, the name here says so too: of_folder has nothing else
        own = {
            f"gwas {k}{'' if trait is None else f' {trait}'}": path
            for k, (path, trait) in enumerate(gwas_files(self.gwas), start=1)
        }
        if self.pred is not None:
            listed, *predictions = loco_files(self.pred)
            own |= {"pred": listed} | {f"pred {k}": path for k, path in enumerate(predictions, start=1)}
        return genotype_files(self.cohort) | tables | own

    def identity(self) -> dict[str, Any]:
        """What makes this run this run: options, content of the inputs, version; not where things lie."""
        cohort = {k: v for k, v in self.cohort.items() if v is not None and k not in (*_TABLES, *_GENOTYPES)}
        training = {k: v for k, v in asdict(self.training).items() if k not in _NO_RESULT}
        return {
            "options": {
                **cohort,
                "training": training,
                "pairs": asdict(self.pairs),
                "n_folds": self.n_folds,
                "heldout_fraction": self.heldout_fraction,
                "seed": self.seed,
                "max_variants": self.max_variants,
            },
            "inputs": {name: fingerprint(path) for name, path in self.files().items() if path.exists()},
            "version": __version__,
        }
