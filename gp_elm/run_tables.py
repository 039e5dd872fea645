"""The tables and the record of a run, put together from what its stages left."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gp_elm import __version__
from gp_elm.compare import add_q_values, join_variants, prefixed, variant_flags
from gp_elm.elm.fit import Networks
from gp_elm.elm.pair_table import PairAnalysis
from gp_elm.io.tables import read_table, write_table
from gp_elm.run_options import RunOptions
from gp_elm.runtime.atomic import atomic_path
from gp_elm.runtime.provenance import environment

ESTIMATES = ["beta", "standard_error", "p_value", "neg_log_10_p_value"]
_ELM = (
    "sensitivity_mean",
    "sensitivity_sd",
    "dominance",
    "dominance_standard_error",
    "dominance_p_value",
)
_BY_LOCUS = ("context_p_value", "partner_variant_id", "partner_elm_beta", "partner_elm_p_value")


def variants_table(gwas: Path, elm: Path, loci: Path, variance: pd.DataFrame) -> pd.DataFrame:
    """GWAS and ELM rows joined by variant, with what the pairs say of each locus.

    Parameters
    ----------
    gwas, elm, loci : Path
        Tables (Parquet) of the stages.
    variance : pandas.DataFrame
        The variance table, for the flags.
    """
    left = prefixed(read_table(gwas), "gwas_", ESTIMATES)
    right = read_table(elm).rename(columns={name: f"elm_{name}" for name in _ELM})
    right = prefixed(right, "elm_", ESTIMATES)
    by_locus = read_table(loci)
    if len(by_locus) == len(right):
        for name in _BY_LOCUS:
            right[name] = by_locus[name].to_numpy()
    frame = join_variants(left, right.drop(columns=["df", "n"]), left_name="GWAS", right_name="ELM")
    frame = add_q_values(add_q_values(frame, "gwas_"), "elm_").drop(columns=["df"])
    if "gwas_alignment" not in frame:
        frame["n"] = frame["n"].fillna(0).astype(np.int64)
    return frame.assign(flags=variant_flags(frame, variance))


def predictions_table(networks: Networks, pairs: PairAnalysis) -> pd.DataFrame:
    """What the held-out samples have and what each predictor says of them, covariates taken out."""
    predicted = networks.heldout_predictions
    part = pairs.heldout
    frames = []
    for t, trait in enumerate(networks.traits):
        frame = pd.DataFrame(
            {"trait": trait, "sample_id": networks.cohort["sample_id"].values[networks.heldout]}
        )
        frame["observed"] = networks.heldout_residual[:, t]
        for name, values in predicted.items():
            frame[name] = values[:, t]
        if part is not None:
            frame["network_non_additive"] = part.interaction[:, t]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def run_record(
    networks: Networks,
    options: RunOptions,
    identity: dict[str, Any],
    facts: dict[str, Any],
    *,
    command: str,
    reconstruction_error: float,
    timings: dict[str, float],
    began: float,
    warnings: list[str],
) -> dict[str, Any]:
    """What ``run.json`` holds.

    Parameters
    ----------
    networks : Networks
        The networks of the run.
    options : RunOptions
        Its options.
    identity : dict
        What makes it this run.
    facts : dict
        What the stages noted.
    command : str
        As typed.
    reconstruction_error : float
        Largest error of J x + b against f, relative.
    timings : dict of float
        Seconds by stage.
    began : float
        When it began, seconds since the epoch.
    warnings : list of str
        What the package warned of.
    """
    cohort, split = networks.cohort, networks.split
    grouped = np.unique(split.groups).size < split.groups.size
    trained = sum(h["seconds"] for h in networks.fitted.history)
    return {
        "command": command,
        "version": __version__,
        "versions": environment(),
        "seed": options.seed,
        "inputs": {name: str(path) for name, path in options.files().items()},
        "fingerprints": identity["inputs"],
        "options": identity["options"],
        "network": networks.fitted.recipe.describe(),
        "n_variants": networks.seen.of,
        **networks.seen.facts(),
        "n_discovery": int(networks.discovery.size),
        "n_heldout": int(networks.heldout.size),
        "n_folds": split.n_folds,
        "groups": f"{np.unique(split.groups).size} groups" if grouped else "",
        "covariates": [str(c) for c in cohort["covariate_id"].values] if "covariate_id" in cohort else [],
        "ploidy": sorted({int(p) for p in np.unique(cohort["variant_ploidy"].values)}),
        "ld_blocks": int(np.unique(networks.blocks).size),
        "reconstruction_error": reconstruction_error,
        "yardsticks_left_out": dict(networks.yardsticks.left_out),
        **facts,
        "timings": timings | {"training": trained},
        "seconds": time.time() - began,
        "warnings": list(dict.fromkeys(warnings)),
    }


def write_model(networks: Networks, options: RunOptions, identity: dict[str, Any], target: Path) -> None:
    """Write the fold networks, the split and the options: ``model/``."""
    with atomic_path(target) as folder:
        folder.mkdir()
        for k, network in enumerate(networks.fitted.networks):
            network.save(folder / f"fold_{k}")
        write_table(networks.split_frame(), folder / "split", parquet=False, compress=False)
        names = [str(name) for name in networks.cohort["variant_id"].values]
        (folder / "variants.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        described = {
            "recipe": networks.fitted.recipe.to_dict(),
            "options": asdict(options.training),
            "history": networks.fitted.history,
            "ld_threshold": networks.ld_threshold,
            "identity": identity,
        }
        (folder / "options.json").write_text(json.dumps(described, indent=1, default=str), encoding="utf-8")
