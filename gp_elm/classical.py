"""The steps that stand alone: classical scans, conversion and joins, each with its folder of results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gp_elm.association.inflation import p_value
from gp_elm.association.interaction import interaction_scan
from gp_elm.association.linear import linear_scan
from gp_elm.association.pair_sweep import pair_sweep
from gp_elm.cohort import open_cohort
from gp_elm.compare import add_q_values, join_variants, prefixed, variant_flags
from gp_elm.errors import InputError, OutputError
from gp_elm.genotypes.frequencies import variant_statistics
from gp_elm.io.anndata import to_anndata, write_anndata
from gp_elm.io.arrangement import arrange
from gp_elm.io.id_lists import read_pairs
from gp_elm.io.tables import read_table, write_table
from gp_elm.runtime.progress import Progress

ESTIMATES = ["beta", "standard_error", "p_value", "neg_log_10_p_value"]
PathLike = str | os.PathLike[str]


def _claim(out: PathLike, names: tuple[str, ...], *, overwrite: bool) -> Path:
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; give a folder as --out")
    there = [name for name in names if (folder / name).exists()]
    if there and not overwrite:
        raise OutputError(f"{folder / there[0]} is there already; choose another --out, or add --overwrite")
    return folder


def write_gwas(cohort_options: dict[str, Any], out: PathLike, *, dominance: bool, overwrite: bool) -> Path:
    """Scan a cohort and write ``variants.tsv.gz`` and ``variants.parquet`` (all samples)."""
    folder = _claim(out, ("variants.tsv.gz", "variants.parquet"), overwrite=overwrite)
    cohort = open_cohort(**cohort_options)
    with Progress("GWAS", total=cohort.sizes["variants"], unit="variants") as bar:
        scan = linear_scan(
            cohort, dominance=dominance, progress=lambda done, _total: bar.update(done - bar.done)
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
        x[block < 0] = 0.0
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


def write_cohort(cohort_options: dict[str, Any], out: PathLike, *, overwrite: bool) -> Path:
    """Write a cohort as ``cohort.h5ad``."""
    folder = _claim(out, ("cohort.h5ad",), overwrite=overwrite)
    cohort = open_cohort(**cohort_options)
    target = folder / "cohort.h5ad"
    write_anndata(to_anndata(cohort), target)
    return target


def write_comparison(gwas: PathLike, elm: PathLike, out: PathLike, *, overwrite: bool) -> Path:
    """Join the ELM columns of one table of variants to the rows of another, and write ``variants``."""
    folder = _claim(out, ("variants.tsv.gz", "variants.parquet"), overwrite=overwrite)
    left, right = read_table(gwas), read_table(elm)
    elm_columns = [c for c in right.columns if c.startswith(("elm_", "partner_", "context_"))]
    identity = ["trait", "chromosome", "base_pair_location", "variant_id", "effect_allele", "other_allele"]
    missing = [c for c in identity if c not in right.columns]
    if missing or "elm_beta" not in right.columns:
        raise InputError(
            f"{elm} has no column {(missing or ['elm_beta'])[0]!r}; give the variants table of an ELM run"
        )
    left = left.drop(columns=[c for c in elm_columns if c in left.columns])
    joined = join_variants(left, right[[*identity, *elm_columns]], left_name=str(gwas), right_name=str(elm))
    return write_table(arrange(joined, "variants"), folder / "variants", table="variants")[0]
