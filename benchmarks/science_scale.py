"""Interactions that the trait's scale makes: found, flagged, and told from real ones?

    python benchmarks/science_scale.py [--workers 2] [--only seed_1] [--table]

Ten cohorts of 4,000 haploid samples and 60 loci in equilibrium, each with six traits: 30 additive effects (.8 of the
variance), alone and with 20 pairs (.1), and both of them on three scales (as it is, exp, square root). Networks: five
folds, the default recipe. A discovery is a pair below the Bonferroni level of its trait. Goals: of all pairs of the
exp(additive) traits at most one is discovered and not flagged; of the true pairs found on an unchanged scale at least
90 % stay unflagged; the report's verdict (`made_by_scale`) is right.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from simulated import Population, memory_cohort, single_loci
from units import finished, parse_arguments

import gp_elm as ge
from gp_elm.elm.additive import take_out_additive
from gp_elm.elm.effects import Analysis
from gp_elm.elm.pair_evidence import PairModel, sweep_pairs
from gp_elm.elm.scale import ScaleCheck, scale_flags

N, M, N_ADDITIVE, N_PAIRS = 4_000, 60, 30, 20
ADDITIVE, PAIRS, NOISE = 0.8, 0.1, 0.1
SCALES = {"identity": lambda z: z, "exp": np.exp, "square root": lambda z: np.sqrt(np.maximum(z + 4.0, 0.0))}
SEEDS = range(1, 11)


def traits_of(rng: np.random.Generator, dosage: np.ndarray) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Traits (n, 6), their names, and the true pairs (20, 2) of those that have pairs."""
    x = (dosage - dosage.mean(0)) / dosage.std(0)
    loci = rng.permutation(M)[: 2 * N_PAIRS].reshape(N_PAIRS, 2)
    additive = x[:, rng.permutation(M)[:N_ADDITIVE]] @ rng.normal(size=N_ADDITIVE)
    pairs = (x[:, loci[:, 0]] * x[:, loci[:, 1]]) @ rng.normal(size=N_PAIRS)
    additive, pairs = additive / additive.std(), pairs / pairs.std()
    columns, names = [], []
    for kind, share in (("additive", 0.0), ("additive + pairs", PAIRS)):
        latent = np.sqrt(ADDITIVE) * additive + np.sqrt(share) * pairs
        latent = latent + np.sqrt(NOISE + PAIRS - share) * rng.normal(size=len(x))
        for scale, change in SCALES.items():
            columns.append(change(latent))
            names.append(f"{kind}, {scale}")
    return np.column_stack(columns), names, np.sort(loci, axis=1)


def one(seed: int) -> pd.DataFrame:
    """Pairs found and flagged in one cohort, a row a trait."""
    rng = np.random.default_rng([seed, 2_303])
    population = Population(single_loci(rng.uniform(0.2, 0.8, M)), 1)
    dosage = population.draw(rng, N)
    traits, names, loci = traits_of(rng, dosage)
    cohort = memory_cohort(dosage, traits, ploidy=1, block=population.block_of)
    networks = ge.cross_fit(cohort, heldout_fraction=0.0, seed=seed, progress=False)
    analysis, fitted, study = Analysis(networks), networks.fitted, networks.study
    lasso, network = fitted.out_of_fold["lasso"], fitted.out_of_fold["network"]
    groups = networks.split.groups[networks.discovery]
    scale = ScaleCheck(study, lasso, network, fitted.residual, groups, seed)
    nobody = np.empty((0, len(names)))
    n_pairs = M * (M - 1) // 2
    true = np.zeros((M, M), bool)
    true[loci[:, 0], loci[:, 1]] = True
    rows = []
    sweeps = []
    # As for the table: the trait, and the trait less what the link adds to the additive score.
    for trait in (fitted.residual, fitted.residual - (scale.link - lasso)):
        rest = take_out_additive(study, trait, lasso, networks.heldout, nobody, nobody).discovery
        model = PairModel.build(study, analysis.population, rest, analysis.read_block)
        sweeps.append(sweep_pairs(model, analysis.read_block, top=n_pairs, kinds=("elm",))["elm"])
    before, after = sweeps
    for t, name in enumerate(names):
        p, scale_p = np.ones((M, M)), np.ones((M, M))
        for table, sweep in ((p, before[t]), (scale_p, after[t])):
            table[sweep.top.i, sweep.top.j] = sweep.p_values
        cutoff = 0.05 / n_pairs
        found, flagged = p < cutoff, scale_flags(p.ravel(), scale_p.ravel(), cutoff).reshape(M, M)
        real = true & name.startswith("additive + pairs")
        share, gain, tukey = scale.specific_share[t], scale.link_gain[t], scale.tukey[t]
        rows.append(
            {
                "trait": name,
                "seed": seed,
                "lambda_gc": before[t].lambda_gc,
                "lambda_gc_link": after[t].lambda_gc,
                "false_found": int((found & ~real).sum()),
                "false_unflagged": int((found & ~real & ~flagged).sum()),
                "false_after_link": int(((scale_p < cutoff) & ~real).sum()),
                "true_found": int((found & real).sum()),
                "true_flagged": int((flagged & real).sum()),
                "true_after_link": int(((scale_p < cutoff) & real).sum()),
                "specific_share": share.estimate,
                "share_lower": share.ci_lower,
                "share_upper": share.ci_upper,
                "link_gain": gain.estimate,
                "gain_lower": gain.ci_lower,
                "tukey": tukey.estimate,
                "tukey_z": tukey.estimate / tukey.standard_error,
                "made_by_scale": bool(scale.made_by_scale[t]),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    units = {f"seed_{seed}": (seed,) for seed in SEEDS}
    table = finished("scale", units, one, parse_arguments(__doc__))
    pd.set_option("display.width", 200)
    sums = [
        "false_found",
        "false_unflagged",
        "false_after_link",
        "true_found",
        "true_flagged",
        "true_after_link",
    ]
    by_trait = table.groupby("trait", sort=False)
    print(f"\nBonferroni pairs, sums over {table.seed.nunique()} seeds")
    print(by_trait[sums].sum().to_string())
    print("\nmeans over seeds (made_by_scale: share of seeds)")
    means = [
        "lambda_gc",
        "lambda_gc_link",
        "specific_share",
        "share_lower",
        "share_upper",
        "link_gain",
        "tukey",
    ]
    print(by_trait[[*means, "tukey_z", "made_by_scale"]].mean().round(3).to_string())
    kept = 1 - by_trait.true_flagged.sum() / by_trait.true_found.sum()
    bad = by_trait.false_unflagged.sum()
    print(f"\nexp(additive): {bad['additive, exp']} unflagged false pairs (goal: at most 1)")
    print(
        f"additive + pairs: {kept['additive + pairs, identity']:.3f} of the true pairs unflagged (goal: .9)"
    )


if __name__ == "__main__":
    main()
