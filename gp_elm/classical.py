"""The steps that stand alone: classical scans, conversion and joins, each with its folder of results."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gp_elm.association.inflation import p_value
from gp_elm.association.interaction import interaction_scan
from gp_elm.association.linear import linear_scan
from gp_elm.association.offsets import loco_offsets
from gp_elm.association.pair_sweep import pair_sweep
from gp_elm.cohort import open_cohort
from gp_elm.compare import (
    FREQUENCY,
    IDENTITY,
    add_q_values,
    agreement,
    join_variants,
    log_agreement,
    prefixed,
    read_foreign,
    variant_flags,
)
from gp_elm.errors import InputError, OptionError, OutputError
from gp_elm.genotypes.frequencies import variant_statistics
from gp_elm.io.anndata import to_anndata, write_anndata
from gp_elm.io.arrangement import arrange
from gp_elm.io.gwas_results import is_foreign
from gp_elm.io.id_lists import read_pairs
from gp_elm.io.tables import read_table, write_table
from gp_elm.io.vcf_zarr import write_vcf_zarr
from gp_elm.io.zarr_cohort import save_cohort
from gp_elm.runtime.progress import Progress

logger = logging.getLogger(__name__)

ESTIMATES = ["beta", "standard_error", "p_value", "neg_log_10_p_value"]
PathLike = str | os.PathLike[str]


def _claim(out: PathLike, names: tuple[str, ...], *, overwrite: bool) -> Path:
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; give a folder as --out")
    there = [name for name in names if (folder / name).exists()]
    left = list(folder.glob(".*.partial"))  # by a process that was killed while it wrote: it is not all there
    if there and not left and not overwrite:
        raise OutputError(f"{folder / there[0]} is there already; choose another --out, or add --overwrite")
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return folder


def write_gwas(
    cohort_options: dict[str, Any],
    out: PathLike,
    *,
    dominance: bool,
    overwrite: bool,
    pred: PathLike | None = None,
) -> Path:
    """Scan a cohort and write ``variants.tsv.gz`` and ``variants.parquet`` (all samples).

    With `pred`, REGENIE's ``_pred.list``, the traits less its predictions (:mod:`gp_elm.association.offsets`).
    """
    folder = _claim(out, ("variants.tsv.gz", "variants.parquet"), overwrite=overwrite)
    cohort = open_cohort(**cohort_options)
    offsets = None if pred is None else loco_offsets(cohort, pred)
    with Progress("GWAS", total=cohort.sizes["variants"], unit="variants") as bar:
        scan = linear_scan(
            cohort,
            dominance=dominance,
            offsets=offsets,
            progress=lambda done, _total: bar.update(done - bar.done),
        )
    frame = prefixed(scan.to_frame(), "gwas_", ESTIMATES)
    frame = add_q_values(frame, "gwas_").drop(columns=["df"])
    frame["n"] = frame["n"].fillna(0).astype(np.int64)
    frame = arrange(frame.assign(flags=variant_flags(frame)), "variants")
    return write_table(frame, folder / "variants", table="variants")[0]


def write_interactions(
    cohort_options: dict[str, Any],
    out: PathLike,
    *,
    pairs: PathLike | None,
    top_pairs: int,
    max_exhaustive_pairs: int,
    overwrite: bool,
) -> Path:
    """Test listed or all pairs of a cohort and write ``pairs.tsv.gz`` and ``pairs.parquet`` (all samples)."""
    folder = _claim(out, ("pairs.tsv.gz", "pairs.parquet"), overwrite=overwrite)
    cohort = open_cohort(**cohort_options)
    m = cohort.sizes["variants"]
    n_pairs = m * (m - 1) // 2
    if pairs is not None:
        frame = _listed(cohort, pairs)
    elif n_pairs > max_exhaustive_pairs:
        raise InputError(
            f"{m} variants make {n_pairs} pairs, more than --max-exhaustive-pairs {max_exhaustive_pairs}; raise it, "
            "choose variants with --extract, or list pairs with --pairs"
        )
    else:
        frame = _exhaustive(cohort, n_pairs, top_pairs)
    frame = prefixed(frame, "interaction_", ["beta", "standard_error", "p_value"])
    return write_table(arrange(frame, "pairs"), folder / "pairs", table="pairs")[0]


def _listed(cohort: xr.Dataset, pairs: PathLike) -> pd.DataFrame:
    listed = read_pairs(pairs)
    frame = interaction_scan(cohort, pairs=listed, genotypic=True).to_frame()
    parts = []
    for _, part in frame.groupby("trait", sort=False):
        q = np.full(len(part), np.nan)
        p = part["p_value"].to_numpy(float)
        order = np.argsort(np.where(np.isfinite(p), p, np.inf), kind="stable")[: int(np.isfinite(p).sum())]
        ratio = p[order] * order.size / np.arange(1, order.size + 1)
        q[order] = np.minimum(np.minimum.accumulate(ratio[::-1])[::-1], 1.0)
        parts.append(part.assign(interaction_q_value=q))
    return pd.concat(parts, ignore_index=True).assign(selected_by="list")


def _exhaustive(cohort: xr.Dataset, n_pairs: int, top_pairs: int) -> pd.DataFrame:
    statistics = variant_statistics(cohort)
    center = statistics.mean.astype(np.float32)
    dosage = cohort["call_dosage"].data

    def read(start: int, stop: int) -> np.ndarray:
        block = np.asarray(dosage[start:stop]).T
        x = block.astype(np.float32) - center[start:stop]
        x[~(block >= 0)] = 0.0  # NaN too
        return x

    covariates = cohort["sample_covariate"].values if cohort.sizes.get("covariates", 0) else None
    with Progress("Pairs", total=n_pairs, unit="pairs") as bar:
        swept = pair_sweep(
            read, cohort.sizes["variants"], cohort["sample_phenotype"].values, covariates, top=top_pairs,
            progress=lambda done, _total: bar.update(done - bar.done),
        )  # fmt: skip
    frames = []
    for t, sweep in enumerate(swept):
        one = cohort.isel(traits=[t])
        pairs = np.column_stack([sweep.top.i, sweep.top.j])
        frame = interaction_scan(one, pairs=pairs, genotypic=True).to_frame()
        frame["p_value"] = p_value(frame["beta"] / frame["standard_error"], frame["df"])
        frames.append(frame.assign(interaction_q_value=sweep.q_values, selected_by="interaction"))
    return pd.concat(frames, ignore_index=True)


FORMATS = {"h5ad": "cohort.h5ad", "zarr": "cohort.zarr", "vcz": "cohort.vcz"}
"""What a cohort is converted to, and the name that it gets."""


def write_cohort(cohort_options: dict[str, Any], out: PathLike, *, to: str = "h5ad", overwrite: bool) -> Path:
    """Write a cohort as AnnData (``h5ad``), as it is (``zarr``), or its genotypes as VCF Zarr (``vcz``)."""
    if to not in FORMATS:
        raise OptionError(f"--to {to} is not known; give {', '.join(FORMATS)}")
    folder = _claim(out, (FORMATS[to],), overwrite=overwrite)
    target = folder / FORMATS[to]
    source = cohort_options.get("source")
    if source is not None and target.exists() and Path(source).exists() and target.samefile(source):
        raise OutputError(f"{target}: the genotypes are read from there; choose another --out")
    cohort = open_cohort(**cohort_options)
    if to == "h5ad":
        return write_anndata(to_anndata(cohort), target)
    if to == "zarr":
        return save_cohort(cohort, target)
    logger.warning("%s: VCF Zarr has no place for traits and covariates; --to zarr keeps them", target)
    return write_vcf_zarr(cohort, target)


def write_comparison(
    gwas: PathLike | Sequence[PathLike], elm: PathLike, out: PathLike, *, overwrite: bool
) -> Path:
    """Join the ELM columns of a run to the rows of a GWAS, and write ``variants`` and ``comparison.tsv``.

    Parameters
    ----------
    gwas : path or sequence of paths
        A variants table of ours, or results of another program (:func:`gp_elm.io.gwas_results.read_gwas`); every row
        is kept.
    elm : path
        The variants table of an ELM run.
    out : path
        Folder.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    Path
        The table.
    """
    folder = _claim(out, ("variants.tsv.gz", "variants.parquet", "comparison.tsv"), overwrite=overwrite)
    right = read_table(elm)
    elm_columns = [c for c in right.columns if c.startswith(("elm_", "partner_", "context_"))]
    missing = [c for c in IDENTITY if c not in right.columns]
    if missing or "elm_beta" not in right.columns:
        raise InputError(
            f"{elm} has no column {(missing or ['elm_beta'])[0]!r}; give the variants table of an ELM run"
        )
    right = right[[c for c in right.columns if c in (*IDENTITY, FREQUENCY, *elm_columns)]]
    given = [gwas] if isinstance(gwas, str | os.PathLike) else list(gwas)
    foreign = is_foreign(given[0])
    if foreign:
        left = read_foreign(given, [str(name) for name in right["trait"].unique()], str(elm))
        left = add_q_values(left, "gwas_")
    elif len(given) > 1:
        raise InputError(f"{given[0]} is a variants table of ours, which holds every trait; give it alone")
    else:
        left = read_table(given[0])
        left = left.drop(columns=[c for c in elm_columns if c in left.columns])
    what = str(given[0]) if len(given) == 1 else "the GWAS given"
    joined = join_variants(left, right, left_name=what, right_name=str(elm), strands=foreign)
    if "gwas_beta" in joined.columns:
        table = agreement(joined)
        log_agreement(table)
        write_table(table, folder / "comparison", parquet=False, compress=False)
    return write_table(arrange(joined, "variants"), folder / "variants", table="variants")[0]
