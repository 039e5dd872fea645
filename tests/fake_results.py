"""Result tables as a run writes them, made up, with known loci and pairs, for the tests of the report."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from gp_elm.io.tables import arrange


def _q(p: np.ndarray) -> np.ndarray:
    q = np.full(len(p), np.nan)
    q[np.isfinite(p)] = stats.false_discovery_control(p[np.isfinite(p)])
    return q


def variants_table(m: int, traits: list[str], *, seed: int = 1, unplaced: bool = False) -> pd.DataFrame:
    """Five causal loci a trait with their neighbours in LD; the first variant is monomorphic."""
    rng = np.random.default_rng(seed)
    chromosome = np.sort(np.append(rng.integers(1, 23, m - 20), np.full(20, 23))).astype(object)
    chromosome = np.where(chromosome == 23, "X", chromosome.astype(str))
    position = np.zeros(m, np.int64)
    for name in dict.fromkeys(chromosome):
        rows = np.flatnonzero(chromosome == name)
        position[rows] = np.sort(rng.integers(1, 150_000_000, len(rows)))
    frames = []
    for k, trait in enumerate(traits):
        z = np.zeros(m)
        for centre, size in zip(rng.integers(50, m - 50, 5), (16.0, 9.0, 7.0, -6.0, -12.0), strict=True):
            near = np.arange(max(centre - 30, 0), min(centre + 30, m))
            z[near] += size * np.exp(-np.abs(near - centre) / 6.0)
        noise, error = rng.standard_normal((2, m)), np.full(m, 0.02)
        columns: dict[str, object] = {
            "trait": trait,
            "chromosome": chromosome,
            "base_pair_location": 0 * position if unplaced else position,
            "variant_id": [f"rs{i}" for i in range(m)],
            "effect_allele": "A",
            "other_allele": "G",
            "effect_allele_frequency": rng.uniform(0.05, 0.95, m),
            "n": 8000 + k,
            "missing_rate": 0.01,
        }
        for prefix, score, scale in (
            ("gwas_", z + noise[0], 1.0),
            ("elm_", 1.2 * z + 0.8 * noise[0] + 0.6 * noise[1], 0.83),
        ):
            score[0] = np.nan
            p = 2 * stats.norm.sf(np.abs(score))
            columns |= {
                f"{prefix}beta": score * error * scale,
                f"{prefix}standard_error": error * scale,
                f"{prefix}p_value": p,
                f"{prefix}neg_log_10_p_value": -(stats.norm.logsf(np.abs(score)) + np.log(2)) / np.log(10),
                f"{prefix}q_value": _q(p),
            }
        # one locus in ten of those with an effect depends on the rest of the genome
        uniform = rng.uniform(size=m)
        columns["context_p_value"] = np.where((np.abs(z) > 4) & (np.arange(m) % 10 == 0), 1e-9, uniform)
        columns["elm_sensitivity_mean"] = z * 0.015 + rng.normal(0, 0.005, m)
        columns["elm_sensitivity_sd"] = np.abs(rng.normal(0, 0.006, m)) + np.abs(z) * 0.002
        frames.append(pd.DataFrame(columns))
    return arrange(pd.concat(frames), "variants")


def pairs_table(traits: list[str], *, n: int = 60, found: int = 8, seed: int = 2) -> pd.DataFrame:
    """Listed pairs, the first ``found`` of each trait true; every fourth of those does not replicate."""
    rng = np.random.default_rng(seed)
    frames = []
    for trait in traits:
        true = np.r_[rng.uniform(0.15, 0.4, found) * rng.choice([-1, 1], found), np.zeros(n - found)]
        elm, test = (true + rng.normal(0, s, n) for s in (0.02, 0.03))
        p = 2 * stats.norm.sf(np.abs(elm / 0.02))
        p_test = 2 * stats.norm.sf(np.abs(test / 0.03))
        order = np.arange(n)
        frames.append(
            pd.DataFrame(
                {
                    "trait": trait,
                    "variant_id_1": [f"rs{i}" for i in rng.integers(0, 900, n)],
                    "chromosome_1": "2",
                    "base_pair_location_1": rng.integers(1, 9_000_000, n),
                    "effect_allele_1": "A",
                    "other_allele_1": "G",
                    "variant_id_2": [f"rs{i}" for i in rng.integers(1000, 2000, n)],
                    "chromosome_2": "11",
                    "base_pair_location_2": rng.integers(1, 9_000_000, n),
                    "effect_allele_2": "T",
                    "other_allele_2": "C",
                    "ld_r2": rng.uniform(0, 0.01, n),
                    "distance": pd.NA,
                    "n": 8000,
                    "elm_beta": elm,
                    "elm_standard_error": 0.02,
                    "elm_p_value": p,
                    "elm_q_value": np.minimum(1, p * 2e5),
                    "elm_robust_standard_error": 0.021,
                    "elm_robust_p_value": 2 * stats.norm.sf(np.abs(elm / 0.021)),
                    "scale_p_value": np.where(order % 5 == 0, 0.3, p),
                    "interaction_beta": test,
                    "interaction_standard_error": 0.03,
                    "interaction_p_value": p_test,
                    "interaction_q_value": np.minimum(1, p_test * 2e5),
                    "conditional_beta": test,
                    "conditional_standard_error": 0.032,
                    "conditional_p_value": np.where(order == 1, 0.2, 2 * stats.norm.sf(np.abs(test / 0.032))),
                    "heldout_elm_beta": true + rng.normal(0, 0.05, n),
                    "heldout_elm_standard_error": 0.05,
                    "heldout_elm_p_value": np.where(order % 4, 1e-4, 0.5),
                    "verdict": np.where(
                        order >= found, "untestable", np.where(order % 4, "replicated", "not_replicated")
                    ),
                    "heldout_power": np.where(order >= found, 0.2, 0.97),
                    "elm_rank": stats.rankdata(p, method="ordinal"),
                    "prior_rank": stats.rankdata(p * rng.uniform(0.1, 10, n), method="ordinal"),
                    "elm_weighted_q_value": np.minimum(1, p * 1e5),
                    "flags": np.where(
                        order % 5 == 0, "scale;rare", np.where(order == 3, "joint_tagging", None)
                    ),
                }
            )
        )
    return arrange(pd.concat(frames), "pairs")


def ablation_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """The same pairs with a kernel or lasso in the network's place: larger errors, fewer found."""
    frames = []
    for predictor, lost in (("product_lasso", 2), ("heredity_kernel", 5)):
        frame = pairs.assign(predictor=predictor, elm_standard_error=pairs["elm_standard_error"] * 1.1)
        found = frame.groupby("trait", sort=False)["elm_p_value"].rank(method="first") <= lost
        frames.append(frame.assign(elm_q_value=frame["elm_q_value"].mask(found, 1.0)))
    return arrange(pd.concat(frames), "ablation")


def variance_table(
    traits: list[str],
    *,
    gain: float = 0.05,
    kernel_gain: float = 0.03,
    weight: float = 0.8,
    slope: float = 0.95,
    population: float = 1.02,
    structure: float = np.nan,
    specific: float = 0.9,
    link: float = 0.001,
    ratio: float = 0.83,
) -> pd.DataFrame:
    """Components of each trait.

    ``gain`` is the network's r2 less ridge's, with a standard error of .012, ``kernel_gain`` the network's less the
    heredity kernel's, ``structure`` the h of the generalised least squares, ``specific`` the specific share, ``link``
    the r2 of the monotone link and ``ratio`` that of the squared errors of network and ablation.
    """
    rows = []
    for k, trait in enumerate(traits):
        ridge = 0.42 + 0.2 * np.sin(k)
        values = {
            "phenotypic_variance": (4.0, 0.06),
            "heldout_r2_network": (ridge + gain, 0.02),
            "heldout_r2_ridge": (ridge, 0.02),
            "heldout_r2_lasso": (ridge + 0.012, 0.02),
            "heldout_r2_gblup_epistatic": (ridge + 0.01, 0.02),
            "heldout_r2_heredity_kernel": (ridge + gain - kernel_gain, 0.02),
            "heldout_r2_stacked": (ridge + gain + 0.004, 0.02),
            "heldout_r2_difference": (gain, 0.012),
            "heldout_r2_difference_lasso": (gain - 0.012, 0.011),
            "heldout_r2_difference_gblup_epistatic": (gain - 0.01, 0.011),
            "heldout_r2_difference_heredity_kernel": (kernel_gain, 0.008),
            "heldout_r2_difference_stacked": (-0.004, 0.002),
            **{f"heldout_r2_network_fold_{f}": (ridge + gain - 0.01 - 0.002 * f, 0.02) for f in range(5)},
            "stack_weight_network": (0.62, np.nan),
            "stack_weight_ridge": (0.0, np.nan),
            "stack_weight_lasso": (0.11, np.nan),
            "stack_weight_gblup_epistatic": (0.05, np.nan),
            "stack_weight_heredity_kernel": (0.21, np.nan),
            "captured_genetic_variance": (4 * (ridge + gain), 0.1),
            "captured_non_additive_variance": (4 * max(gain, 0), 0.05),
            "additive_variance": (4 * ridge + 0.2, 0.15),
            "additive_by_additive_variance": (0.5, 0.2),
            "additive_variance_haseman_elston": (4 * ridge + 0.3, 0.2),
            "additive_by_additive_variance_haseman_elston": (0.45, 0.25),
            "specific_share": (specific, 0.1),
            "scale_link_r2": (link, 0.002),
            "scale_tukey": (0.01, 0.02),
            "ablation_variance_ratio_product_lasso": (ratio, np.nan),
            "ablation_variance_ratio_heredity_kernel": (ratio - 0.05, np.nan),
            "network_weight_additive": (weight, np.nan),
            "network_weight_dominance": (0.0, np.nan),
            "network_weight_pairs": (weight, np.nan),
            "calibration_additive": (1.01, 0.03),
            "calibration_interaction": (slope, 0.12),
            "population_check": (population, np.nan),
            "structure_h": (structure, np.nan),
        }
        for component, (value, error) in values.items():
            rows.append(
                (trait, component, value, error, value - 1.96 * error, value + 1.96 * error, "made up")
            )
    names = ["trait", "component", "estimate", "standard_error", "ci_lower", "ci_upper", "method"]
    return pd.DataFrame(rows, columns=names)


def predictions_table(traits: list[str], *, n: int = 400, seed: int = 3) -> pd.DataFrame:
    """Held-out samples, half of the variance predicted."""
    rng = np.random.default_rng(seed)
    frames = []
    for trait in traits:
        signal, noise, other = rng.standard_normal((3, n))
        frames.append(
            pd.DataFrame(
                {
                    "trait": trait,
                    "sample_id": [f"s{i}" for i in range(n)],
                    "observed": signal + noise,
                    "network": signal,
                    "ridge": 0.7 * signal + 0.2 * other,
                    "lasso": 0.8 * signal + 0.1 * other,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def history_table(folds: int = 5, epochs: int = 60) -> pd.DataFrame:
    """Losses that fall."""
    epoch = np.tile(np.arange(1, epochs + 1), folds)
    fold = np.repeat(np.arange(folds), epochs)
    loss = np.exp(-epoch / 12) * 0.4 + 0.55 + 0.01 * fold
    columns = {
        "fold": fold,
        "member": 0,
        "epoch": epoch,
        "training_loss": loss,
        "validation_loss": loss + 0.03,
    }
    return pd.DataFrame(columns)


def fake_run(n_traits: int = 1) -> dict[str, object]:
    """What run.json holds."""
    return {
        "command": "gp-elm run --bfile cohort --pheno traits.tsv --out results",
        "version": "0.1.0",
        "seed": 1,
        "seconds": 131.5,
        "n_variants": 5000,
        "n_discovery": 8000,
        "n_heldout": 2000,
        "n_folds": 5,
        "network": "quadratic, 512 hidden units",
        "versions": {"numpy": "2.4.6", "torch": "2.13.0"},
        "timings": {"train": 80.1, "elm": 20.0},
        "warnings": ["12 monomorphic variants have no effects"],
        "notes": ["10,000 samples in cohort.fam, 9,998 with phenotypes"],
        "pairs_tested": 12_497_500,
        "yardsticks_left_out": {"product_lasso": "12,497,500 products are more than 20,000"},
    }


def fake_tables(traits: list[str], *, m: int = 5000, **variance: float) -> dict[str, pd.DataFrame]:
    """All tables of a run; ``variance`` holds options of :func:`variance_table`."""
    pairs = pairs_table(traits)
    return {
        "variants": variants_table(m, traits),
        "pairs": pairs,
        "ablation": ablation_table(pairs),
        "variance": variance_table(traits, **variance),
        "predictions": predictions_table(traits),
        "history": history_table(),
    }
