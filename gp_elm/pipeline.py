"""The whole analysis, in order, resumable: the only file that knows how the stages follow one another."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gp_elm import __version__
from gp_elm.association.linear import linear_scan
from gp_elm.cohort import open_cohort
from gp_elm.compare import add_q_values, join_variants, prefixed, variant_flags
from gp_elm.elm.components import variance_frame
from gp_elm.elm.effects import Analysis
from gp_elm.elm.fit import Networks, check_traits, cross_fit, draw_split
from gp_elm.elm.pair_table import PairAnalysis
from gp_elm.genotypes.split_files import read_split
from gp_elm.genotypes.splits import Split
from gp_elm.io.anndata import to_anndata, write_anndata
from gp_elm.io.arrangement import arrange
from gp_elm.io.tables import read_table, write_table
from gp_elm.models.options import choose_device
from gp_elm.report.page import report_folder
from gp_elm.run_options import RunOptions
from gp_elm.runtime.atomic import atomic_path
from gp_elm.runtime.progress import Progress
from gp_elm.runtime.provenance import environment
from gp_elm.runtime.run_folder import RunFolder

logger = logging.getLogger(__name__)
ESTIMATES = ["beta", "standard_error", "p_value", "neg_log_10_p_value"]


def run(
    options: RunOptions,
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: bool | None = None,
    command: str = "",
    until: str = "report",
) -> Path:
    """Run everything, or as far as a stage, and write the files.

    Parameters
    ----------
    options : RunOptions
        What to do.
    out : path
        Results folder. An interrupted run of the same options and inputs is resumed.
    overwrite : bool
        Replace another run in that folder.
    progress : bool, optional
        Whether to draw progress; on a terminal where None.
    command : str
        The command as typed, for ``run.json``.
    until : str
        ``train`` (the networks alone), ``elm`` (everything but the GWAS columns) or ``report``.

    Returns
    -------
    Path
        The report, or the folder of the networks.

    Raises
    ------
    GpElmError
        Where an input, an option or the folder cannot be used.
    """
    with recorded_warnings() as warnings:
        begun = Run(options, out, overwrite=overwrite, progress=progress, command=command, warnings=warnings)
        return begun.train() if until == "train" else begun.all(classical=until != "elm")


class Run:
    """One run; parts that several stages need are made when first asked for."""

    def __init__(
        self,
        options: RunOptions,
        out: str | os.PathLike[str],
        *,
        overwrite: bool,
        progress: bool | None,
        command: str,
        warnings: list[str],
    ) -> None:
        self.options, self._progress, self._command, self._warnings = options, progress, command, warnings
        self._began = time.time()
        # The inputs are read before the folder is made: a run that cannot start leaves nothing behind.
        self.cohort: xr.Dataset = open_cohort(**options.cohort)
        if options.split is not None:
            self.split: Split = read_split(
                options.split, self.cohort, n_folds=options.n_folds, seed=options.seed
            )
        else:
            self.split = draw_split(
                self.cohort,
                n_folds=options.n_folds,
                heldout_fraction=options.heldout_fraction,
                seed=options.seed,
            )
        check_traits(self.cohort, self.split)
        choose_device(options.training.device)
        self._identity = options.identity()
        self.folder = RunFolder(out, self._identity, overwrite=overwrite)

    @cached_property
    def networks(self) -> Networks:
        """Cross-fitted networks, trained or taken from where an earlier run left them."""
        return cross_fit(
            self.cohort,
            n_folds=self.options.n_folds,
            heldout_fraction=self.options.heldout_fraction,
            seed=self.options.seed,
            options=self.options.training,
            split=self.split,
            directory=self.folder.work,
            fingerprint={k: v for k, v in self._identity["inputs"].items() if k in ("bed", "bim", "fam")},
            progress=self._progress,
        )

    @cached_property
    def analysis(self) -> Analysis:
        """What is read off the networks."""
        return Analysis(self.networks)

    @cached_property
    def pairs(self) -> PairAnalysis:
        """Tests of pairs."""
        return PairAnalysis(self.analysis, self.options.pairs, progress=self._bar("Pairs", "pairs"))

    def _bar(self, label: str, unit: str) -> Callable[[int, int], None]:
        bar: list[Progress] = []

        def told(done: int, total: int) -> None:
            if not bar:
                bar.append(Progress(label, total=total, unit=unit, enabled=self._progress))
            bar[0].update(done - bar[0].done)
            if done >= total:
                bar[0].close()

        return told

    def train(self) -> Path:
        """Training alone: ``model/``."""
        self._model(self.folder.path / "model")
        return self.folder.path / "model"

    def all(self, *, classical: bool = True) -> Path:
        """Every stage, then the files; without ``classical`` the GWAS columns stay NA."""
        began = time.perf_counter()
        trained = self.networks
        logger.info("training: %.1f s", time.perf_counter() - began)
        stage = self.folder.stage
        gwas = stage("gwas", self._gwas)
        elm = stage("elm", lambda folder: _put(self.analysis.effects().to_frame(), folder / "table"))
        pairs = stage("pairs", self._pairs)
        variance = stage("variance", lambda folder: _put(variance_frame(self.pairs), folder / "table"))
        variance_table = read_table(variance / "table.parquet")
        variants = self._variants(gwas, elm, pairs, variance_table)
        if not classical:
            variants = variants.drop(columns=[c for c in variants.columns if c.startswith("gwas_")])
        pair_table = read_table(pairs / "table.parquet")
        linked = pair_table["ld_r2"].to_numpy(float) > self.options.pairs.max_ld
        tables = {"variants": variants, "pairs": pair_table[~linked], "pairs_ld": pair_table[linked]}
        tables = {name: arrange(frame, name) for name, frame in tables.items()}
        out = self.folder.path
        for name, frame in tables.items():
            write_table(frame, out / name, table=name)
        write_table(
            arrange(variance_table, "variance"),
            out / "variance",
            table="variance",
            parquet=False,
            compress=False,
        )
        if trained.heldout.size:
            write_table(self._predictions(), out / "predictions")
        self._model(out / "model")
        record = self._record(pairs)
        with atomic_path(out / "run.json") as temporary:
            temporary.write_text(json.dumps(record, indent=1, default=str), encoding="utf-8")
        adata = to_anndata(
            self.cohort,
            variants=tables["variants"],
            pairs=tables["pairs"],
            variance=variance_table,
            provenance=record,
        )
        write_anndata(adata, out / "cohort.h5ad")
        return report_folder(out)

    def _gwas(self, folder: Path) -> None:
        scan = linear_scan(
            self.cohort, samples=~self.networks.split.heldout, progress=self._bar("GWAS", "variants")
        )
        _put(scan.to_frame(), folder / "table")

    def _pairs(self, folder: Path) -> None:
        pairs = self.pairs
        _put(pairs.frame(), folder / "table")
        _put(pairs.partners(), folder / "partners")
        sweeps = pairs.sweeps
        facts: dict[str, Any] = {"pairs_tested": pairs.n_pairs, "pairs_degenerate": {}, "pairs_lambda_gc": {}}
        if sweeps is not None:
            facts["pairs_tested"] = {
                t: s.n_tested for t, s in zip(self.networks.traits, sweeps["elm"], strict=True)
            }
            for kind, found in sweeps.items():
                facts["pairs_degenerate"][kind] = [s.n_excluded for s in found]
                facts["pairs_lambda_gc"][kind] = [s.lambda_gc for s in found]
        facts["additive_part"] = pairs.non_additive.method
        (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")

    def _variants(self, gwas: Path, elm: Path, pairs: Path, variance: pd.DataFrame) -> pd.DataFrame:
        left = prefixed(read_table(gwas / "table.parquet"), "gwas_", ESTIMATES)
        right = read_table(elm / "table.parquet").rename(
            columns={
                "sensitivity_mean": "elm_sensitivity_mean",
                "sensitivity_sd": "elm_sensitivity_sd",
                "dominance": "elm_dominance",
                "dominance_standard_error": "elm_dominance_standard_error",
                "dominance_p_value": "elm_dominance_p_value",
            }
        )
        right = prefixed(right, "elm_", ESTIMATES)
        partners = read_table(pairs / "partners.parquet")
        if len(partners) == len(right):
            for name in ("partner_variant_id", "partner_elm_beta", "partner_elm_p_value"):
                right[name] = partners[name].to_numpy()
        frame = join_variants(left, right.drop(columns=["df", "n"]), left_name="GWAS", right_name="ELM")
        frame = add_q_values(add_q_values(frame, "gwas_"), "elm_").drop(columns=["df"])
        frame["n"] = frame["n"].fillna(0).astype(np.int64)
        return frame.assign(flags=variant_flags(frame, variance))

    def _predictions(self) -> pd.DataFrame:
        networks = self.networks
        predicted = {name: networks.heldout_prediction(name) for name in ("network", "ridge", "lasso")}
        part = self.pairs.heldout
        frames = []
        for t, trait in enumerate(networks.traits):
            frame = pd.DataFrame(
                {"trait": trait, "sample_id": self.cohort["sample_id"].values[networks.heldout]}
            )
            frame["observed"] = networks.heldout_residual[:, t]
            for name, values in predicted.items():
                frame[name] = values[:, t]
            if part is not None:
                frame["network_non_additive"] = part.interaction[:, t]
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def _model(self, target: Path) -> None:
        networks = self.networks
        with atomic_path(target) as folder:
            folder.mkdir()
            for k, network in enumerate(networks.fitted.networks):
                network.save(folder / f"fold_{k}")
            write_table(networks.split_frame(), folder / "split", parquet=False, compress=False)
            described = {
                "recipe": networks.fitted.recipe.to_dict(),
                "options": asdict(self.options.training),
                "history": networks.fitted.history,
                "ld_threshold": networks.ld_threshold,
                "identity": self._identity,
            }
            (folder / "options.json").write_text(
                json.dumps(described, indent=1, default=str), encoding="utf-8"
            )

    def _record(self, pairs: Path) -> dict[str, Any]:
        networks = self.networks
        facts = json.loads((pairs / "facts.json").read_text(encoding="utf-8"))
        grouped = np.unique(networks.split.groups).size < networks.split.groups.size
        return {
            "command": self._command,
            "version": __version__,
            "versions": environment(),
            "seed": self.options.seed,
            "inputs": {name: str(path) for name, path in self.options.files().items()},
            "fingerprints": self._identity["inputs"],
            "options": self._identity["options"],
            "network": networks.fitted.recipe.describe(),
            "n_variants": int(self.cohort.sizes["variants"]),
            "n_discovery": int(networks.discovery.size),
            "n_heldout": int(networks.heldout.size),
            "n_folds": networks.split.n_folds,
            "groups": f"{np.unique(networks.split.groups).size} groups" if grouped else "",
            "covariates": [str(c) for c in self.cohort["covariate_id"].values]
            if "covariate_id" in self.cohort
            else [],
            "ploidy": sorted({int(p) for p in np.unique(self.cohort["variant_ploidy"].values)}),
            "ld_blocks": int(np.unique(networks.blocks).size),
            "reconstruction_error": self.analysis.sensitivities.reconstruction_error,
            **facts,
            "timings": self.folder.seconds()
            | {"training": sum(h["seconds"] for h in networks.fitted.history)},
            "seconds": time.time() - self._began,
            "warnings": list(dict.fromkeys(self._warnings)),
        }


def _put(frame: pd.DataFrame, path: Path) -> None:
    write_table(frame, path, tsv=False)


@contextmanager
def recorded_warnings() -> Iterator[list[str]]:
    """Collect what the package warns of, for the report."""
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler = Keep(level=logging.WARNING)
    package = logging.getLogger("gp_elm")
    package.addHandler(handler)
    try:
        yield found
    finally:
        package.removeHandler(handler)
