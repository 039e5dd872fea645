"""The whole analysis, in order, resumable: the only file that knows how the stages follow one another."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gp_elm.association.linear import linear_scan
from gp_elm.association.offsets import chromosome_rows, loco_offsets
from gp_elm.association.pair_identity import pair_indices
from gp_elm.cohort import open_cohort
from gp_elm.compare import agreement, foreign_gwas, log_agreement, read_foreign
from gp_elm.elm.ablation import variance_ratios
from gp_elm.elm.components import variance_frame
from gp_elm.elm.context import context_p_values
from gp_elm.elm.effects import Analysis
from gp_elm.elm.fit import Networks, check_traits, cross_fit, draw_split
from gp_elm.elm.genetic_variance import genetic_components
from gp_elm.elm.pair_table import PairAnalysis
from gp_elm.elm.scale import ScaleCheck
from gp_elm.genotypes.split_files import read_split
from gp_elm.genotypes.splits import Split
from gp_elm.io.anndata import to_anndata, write_anndata
from gp_elm.io.arrangement import arrange
from gp_elm.io.id_lists import read_pairs
from gp_elm.io.tables import read_table, write_table
from gp_elm.models.options import choose_device
from gp_elm.opening import genotype_files
from gp_elm.report.page import report_folder
from gp_elm.run_options import RunOptions
from gp_elm.run_tables import predictions_table, run_record, variants_table, write_model
from gp_elm.runtime.atomic import atomic_path
from gp_elm.runtime.progress import Progress
from gp_elm.runtime.recorded import recorded_warnings
from gp_elm.runtime.run_folder import RunFolder

logger = logging.getLogger(__name__)


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


def run_listed(
    folder: str | os.PathLike[str], pairs: str | os.PathLike[str], *, progress: bool | None = None
) -> Path:
    """Test a list of pairs with the networks of a finished run: ``pairs_listed`` in its folder.

    Parameters
    ----------
    folder : path
        Folder of the run, its ``work/`` included.
    pairs : path
        Table with ``variant_id_1`` and ``variant_id_2``.
    progress : bool, optional
        Whether to draw progress; on a terminal where None.

    Returns
    -------
    Path
        The table.

    Raises
    ------
    GpElmError
        Where the folder holds no run, its inputs are gone or changed, or a pair is not among the variants.
    """
    options = RunOptions.of_folder(folder)
    with recorded_warnings() as warnings:
        begun = Run(options, folder, overwrite=False, progress=progress, command="", warnings=warnings)
        return begun.listed(pairs)


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
        if options.gwas:
            read_foreign(options.gwas, [str(t) for t in self.cohort["trait_id"].values], "the cohort")
        if options.pred is not None:
            chromosome_rows(self.cohort, loco_offsets(self.cohort, options.pred))
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
            fingerprint={
                name: self._identity["inputs"].get(name) for name in genotype_files(self.options.cohort)
            },
            max_variants=self.options.max_variants,
            variants_from=self.options.variants_from,
            progress=self._progress,
        )

    @cached_property
    def analysis(self) -> Analysis:
        """What is read off the networks."""
        return Analysis(self.networks)

    @cached_property
    def scale(self) -> ScaleCheck:
        """What a monotone change of the traits' scale makes of them."""
        networks = self.networks
        additive = networks.fitted.out_of_fold["lasso"]
        return ScaleCheck(
            networks.study,
            additive,
            networks.fitted.out_of_fold["network"],
            networks.fitted.residual,
            networks.split.groups[networks.discovery],
            seed=networks.seed,
        )

    @cached_property
    def pairs(self) -> PairAnalysis:
        """Tests of pairs."""
        return PairAnalysis(
            self.analysis,
            self.options.pairs,
            scale=self.scale,
            yardsticks=self.networks.yardsticks,
            progress=self._bar("Pairs", "pairs"),
        )

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
        write_model(self.networks, self.options, self._identity, self.folder.path / "model")
        return self.folder.path / "model"

    def all(self, *, classical: bool = True) -> Path:
        """Every stage, then the files; without ``classical`` the GWAS columns stay NA."""
        began = time.perf_counter()
        trained = self.networks
        logger.info("training: %.1f s", time.perf_counter() - began)
        stage = self.folder.stage
        stage("yardsticks", self._yardsticks)
        gwas = stage("gwas", self._gwas) / "table.parquet"
        elm = stage("elm", lambda folder: _put(self.analysis.effects().to_frame(), folder / "table"))
        pairs = stage("pairs", self._pairs)
        components = stage("components", lambda folder: _put(genetic_components(trained), folder / "table"))
        variance_table = read_table(
            stage("variance", lambda folder: self._variance(folder, pairs, components)) / "table.parquet"
        )
        loci = pairs / "loci.parquet"
        variants = variants_table(gwas, elm / "table.parquet", loci, variance_table)
        if not classical:
            variants = variants.drop(columns=[c for c in variants.columns if c.startswith("gwas_")])
        pair_table = read_table(pairs / "table.parquet")
        linked = pair_table["ld_r2"].to_numpy(float) > self.options.pairs.max_ld
        tables = {
            "variants": variants,
            "pairs": pair_table[~linked],
            "pairs_ld": pair_table[linked],
            "ablation": read_table(pairs / "ablation.parquet"),
        }
        tables = {name: arrange(frame, name) for name, frame in tables.items()}
        out = self.folder.path
        for name, frame in tables.items():
            write_table(frame, out / name, table=name)
        if self.options.gwas and classical:
            agreed = agreement(variants)
            log_agreement(agreed)
            write_table(agreed, out / "comparison", parquet=False, compress=False)
        write_table(
            arrange(variance_table, "variance"),
            out / "variance",
            table="variance",
            parquet=False,
            compress=False,
        )
        if trained.heldout.size:
            predictions = stage(
                "predictions", lambda folder: _put(predictions_table(trained, self.pairs), folder / "table")
            )
            write_table(read_table(predictions / "table.parquet"), out / "predictions")
        write_model(trained, self.options, self._identity, out / "model")
        record = run_record(
            trained, self.options, self._identity, json.loads((pairs / "facts.json").read_text("utf-8")),
            command=self._command, reconstruction_error=self.analysis.sensitivities.reconstruction_error,
            timings=self.folder.seconds(), began=self._began, warnings=self._warnings,
        )  # fmt: skip
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
        options = self.options
        scan = linear_scan(
            self.cohort,
            samples=~self.networks.split.heldout,
            offsets=None if options.pred is None else loco_offsets(self.cohort, options.pred),
            progress=self._bar("GWAS", "variants"),
        )
        frame = scan.to_frame()
        _put(foreign_gwas(options.gwas, frame) if options.gwas else frame, folder / "table")

    def _yardsticks(self, folder: Path) -> None:
        (folder / "left_out.json").write_text(json.dumps(self.networks.yardsticks.left_out), encoding="utf-8")

    def _pairs(self, folder: Path) -> None:
        pairs = self.pairs
        _put(pairs.frame(), folder / "table")
        _put(pairs.ablation(), folder / "ablation")
        sweeps = pairs.sweeps
        loci = pairs.partners()
        if sweeps is not None:
            context = context_p_values(
                pairs.model, sweeps["elm"], self.analysis.read_block, seed=self.options.seed
            )
            # The sweep's errors are ordinary ones: with structure they say nothing.
            context[:, self.analysis.structured()] = np.nan
            loci["context_p_value"] = context.T.ravel()
        _put(loci, folder / "loci")
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

    def _variance(self, folder: Path, pairs: Path, components: Path) -> None:
        ratios = variance_ratios(
            read_table(pairs / "table.parquet"), read_table(pairs / "ablation.parquet"), self.networks.traits
        )
        genetic = read_table(components / "table.parquet")
        _put(variance_frame(self.pairs, self.scale, genetic, ratios), folder / "table")

    def listed(self, path: str | os.PathLike[str]) -> Path:
        """Rows of ``pairs`` for a user's own list, from the networks that are there."""
        listed = read_pairs(path)
        pairs = pair_indices(self.networks.cohort, listed)
        if (self.folder.path / "pairs_listed.parquet").exists():
            logger.warning("%s: pairs_listed of an earlier list is replaced", self.folder.path)
        frame = self.pairs.listed(pairs[:, 0], pairs[:, 1])
        return write_table(arrange(frame, "pairs"), self.folder.path / "pairs_listed", table="pairs")[0]


def _put(frame: pd.DataFrame, path: Path) -> None:
    write_table(frame, path, tsv=False)
