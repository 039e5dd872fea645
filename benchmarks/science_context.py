"""Does a locus's effect depend on its background? Power and level of the context test (METHOD 5).

    python benchmarks/science_context.py [--workers 2] [--only pub] [--table]

Hubs: a locus that interacts weakly with 20 others (six cohorts of 4,000 haploids and 60 loci, ten traits each). Nulls:
additive traits in five kinds of cohorts. The pub's simulated cohort with noise to heritability .5 and .25, where every
locus with a true pair should be found and trait 1 has none. Networks: five folds, the default recipe. Goals: hubs
found in 95 % where less than 20 % have a pair below the Bonferroni level; false positives .04 to .06; power at least
.72 at heritability .5. The truth is read for scoring alone.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from pub_default import DEFAULT, truth
from simulated import Population, memory_cohort, random_block, single_loci
from units import finished, parse_arguments

import gp_elm as ge
from gp_elm.association.inflation import p_value
from gp_elm.elm import context
from gp_elm.elm.additive import take_out_additive
from gp_elm.elm.effects import Analysis
from gp_elm.elm.fit import Networks
from gp_elm.elm.pair_evidence import PairModel, sweep_pairs

PARTNERS, PAIR_Z = 20, 1.7
NULLS = {
    "haploid": {"n": 2000, "m": 60, "traits": 10, "ploidy": 1},
    "diploid": {"n": 2000, "m": 60, "traits": 10, "ploidy": 2},
    "missing": {"n": 2000, "m": 60, "traits": 10, "ploidy": 2, "missing": 0.05},
    "blocks": {"n": 2000, "m": 60, "traits": 10, "ploidy": 2, "block": 5},
    "many loci": {"n": 1200, "m": 1000, "traits": 4, "ploidy": 2, "block": 5},
}


def frame_of(networks: Networks) -> pd.DataFrame:
    """p-values of every locus and trait: the test, the same by moments, and of the strongest pair of each locus."""
    analysis, fitted, study = Analysis(networks), networks.fitted, networks.study
    m, n_traits = study.center.size, study.traits.shape[1]
    nobody = np.empty((0, n_traits))
    rest = take_out_additive(
        study, fitted.residual, fitted.out_of_fold["lasso"], networks.heldout, nobody, nobody
    )
    model = PairModel.build(study, analysis.population, rest.discovery, analysis.read_block)
    sweeps = sweep_pairs(model, analysis.read_block, top=10)["elm"]
    found = {}
    for name, work in (("p", context.EXACT_WORK), ("p_moments", 0.0)):
        context.EXACT_WORK = work
        found[name] = context.context_p_values(model, sweeps, analysis.read_block).T.ravel()
    context.EXACT_WORK = 2e11
    strongest = [p_value(s.variants.beta / s.variants.standard_error, s.df) for s in sweeps]
    return pd.DataFrame(
        {
            "trait": np.repeat(np.arange(1, n_traits + 1), m),
            "locus": np.tile(np.arange(m), n_traits),
            **found,
            "p_pair": np.concatenate(strongest),
            "bonferroni": 0.05 / (m * (m - 1) / 2),
        }
    )


def hubs(seed: int) -> pd.DataFrame:
    """A cohort whose traits have one hub each, of 20 partners whose pairs have an expected |z| of 1.7 each."""
    n, m, traits = 4000, 60, 10
    rng = np.random.default_rng([seed, 2_411])
    population = Population(single_loci(rng.uniform(0.2, 0.8, m)), 1)
    dosage = population.draw(rng, n)
    x = (dosage - dosage.mean(0)) / dosage.std(0)
    y, role = np.empty((n, traits)), np.full((traits, m), "none", object)
    for t in range(traits):
        loci = rng.permutation(m)
        hub, partners = loci[0], loci[1 : 1 + PARTNERS]
        additive = x @ rng.normal(size=m)
        each = PAIR_Z * np.sqrt(0.6 / n) * rng.choice([-1, 1], PARTNERS)
        y[:, t] = additive / additive.std() * np.sqrt(0.4) + x[:, hub] * (x[:, partners] @ each)
        role[t, hub], role[t, partners] = "hub", "partner"
    y += np.sqrt(0.6) * rng.normal(size=y.shape)
    cohort = memory_cohort(dosage, y, ploidy=1, block=population.block_of)
    found = frame_of(ge.cross_fit(cohort, heldout_fraction=0.0, seed=seed, progress=False))
    return found.assign(kind="hubs", setting="haploid", role=role.ravel())


def nulls(setting: str, seed: int) -> pd.DataFrame:
    """A cohort with additive traits."""
    given = NULLS[setting]
    n, m, ploidy, block = given["n"], given["m"], given["ploidy"], given.get("block", 1)
    rng = np.random.default_rng([seed, list(NULLS).index(setting)])
    if block > 1:
        blocks = [random_block(rng, block, least=0.1) for _ in range(m // block)]
    else:
        blocks = single_loci(rng.uniform(0.1, 0.9, m))
    population = Population(blocks, ploidy)
    dosage = population.draw(rng, n)
    x = (dosage - dosage.mean(0)) / dosage.std(0)
    value = x[:, :60] @ rng.normal(size=(60, given["traits"]))
    y = value / value.std(0) + rng.normal(size=value.shape)
    rate = given.get("missing", 0.0)
    dosage[rng.random(dosage.shape) < rate] = -1
    y[rng.random(y.shape) < 2 * rate] = np.nan
    cohort = memory_cohort(dosage, y, ploidy=ploidy, block=population.block_of)
    found = frame_of(ge.cross_fit(cohort, heldout_fraction=0.0, seed=seed, progress=False))
    return found.assign(kind="nulls", setting=setting, role="none")


def pub(heritability: float, seed: int) -> pd.DataFrame:
    """The pub's cohort with noise added to its traits."""
    name = DEFAULT / "sim_arcadia_64qtl"
    cohort = ge.open_cohort(bfile=name, pheno=f"{name}.pheno.tsv")
    _, pairs = truth(DEFAULT)
    traits = cohort["sample_phenotype"].values
    rng = np.random.default_rng([seed, int(1000 * heritability)])
    noise = rng.normal(size=traits.shape) * np.sqrt((0.99 / heritability - 1.0) * traits.var(0))
    noisy = cohort.assign(sample_phenotype=(("samples", "traits"), traits + noise))
    found = frame_of(ge.cross_fit(noisy, heldout_fraction=0.0, seed=seed, progress=False))
    role = np.where((pairs != 0).any(2), "hub", "none")
    return found.assign(kind="pub", setting=f"heritability {heritability:g}", role=role.ravel())


def one(kind: str, *given) -> pd.DataFrame:
    return {"hubs": hubs, "nulls": nulls, "pub": pub}[kind](*given)


def rates(rows: pd.DataFrame) -> pd.Series:
    """Shares below 5 % and 1 %; pairs below the Bonferroni level."""
    return pd.Series(
        {
            "tests": len(rows),
            "p<.05": (rows.p < 0.05).mean(),
            "p<.01": (rows.p < 0.01).mean(),
            "moments p<.05": (rows.p_moments < 0.05).mean(),
            "moments p<.01": (rows.p_moments < 0.01).mean(),
            "a Bonferroni pair": (rows.p_pair < rows.bonferroni).mean(),
        }
    )


def main() -> None:
    units = {f"hubs_{seed}": ("hubs", seed) for seed in range(1, 7)}
    for setting in NULLS:
        for seed in (1, 2):
            units[f"nulls_{setting.replace(' ', '_')}_{seed}"] = ("nulls", setting, seed)
    for heritability in (0.5, 0.25):
        for seed in (1, 2):
            units[f"pub_{heritability:g}_{seed}"] = ("pub", heritability, seed)
    table = finished("context", units, one, parse_arguments(__doc__))
    pd.set_option("display.width", 200)
    print("\nPower (hub: loci with an interaction; partner: its partners), and false positives (none)")
    by = ["kind", "setting", "role"]
    print(table.groupby(by, sort=False)[table.columns].apply(rates).round(4).to_string())
    none = table[(table.role == "none") & np.isfinite(table.p)]
    print(f"\nall null tests: {len(none)}, p<.05 {np.mean(none.p < 0.05):.4f} (goal: .04 to .06)")


if __name__ == "__main__":
    main()
