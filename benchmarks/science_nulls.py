"""Nulls that must hold: additive traits in which nothing but LD, families or cages can make an interaction.

    python benchmarks/science_nulls.py [--workers 2] [--only mouse] [--table]

- *phantom*: one untyped causal variant between two tags, a fifth of the trait's variance, 100 seeds, haploid and
  diploid: 2,000 samples, one such pair of tags with r2 below .1 with each other and one with .1 to .5 (a trait each),
  and 36 loci in equilibrium. An interaction of the tags stands for the causal variant (Wood et al. 2014).
- *untyped*: 60 traits of 20 additive causal variants, half of the variance, on mouse and yeast genotypes of which every
  tenth marker is kept; the causal variants are among those taken out. Yeast folds by tetrad.
- *cages*: 60 traits of polygenic effects of all markers (.4) and cage effects (.2) on the same mouse genotypes, folds
  by cage.

Counted are the traits with a pair whose debiased p-value passes Bonferroni 5 % over all pairs of the cohort, in either
table: all of them, those without a flag, and those without a flag when `population` (which says that the cohort as a
whole is structured) is not taken for one. Goal: at most 5 % of the traits. Networks: five folds; small ones (128
units, 36 epochs) for the phantoms, the default recipe for the rest.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from common import DATA
from simulated import Architecture, Block, Population, memory_cohort, single_loci
from units import finished, parse_arguments

import gp_elm as ge
from gp_elm.elm.effects import Analysis
from gp_elm.elm.pair_table import PairAnalysis, PairOptions
from gp_elm.io.blocks import select
from gp_elm.models.options import TrainingOptions

N, SINGLES, SEEDS = 2_000, 36, 100
CAUSAL_SHARE = 0.2
TESTS = ("elm", "interaction_residual", "interaction")
COUNTS = {
    "all": lambda words: True,
    "past_ld": lambda words: "ld" not in words,
    "past_tagging": lambda words: not words & {"ld", "joint_tagging"},
    "unflagged": lambda words: not words,
    "unflagged_but_population": lambda words: not words - {"population"},
}
"""Which pairs are counted, by their flags."""
KEPT_EVERY, N_CAUSAL, TRAITS = 10, 20, 60


def phantom_block(rng: np.random.Generator, least: float, most: float) -> Block:
    """Two tags around a causal variant: (tag, causal, tag), r2 of the tags within bounds, above .1 with the causal."""
    haplotypes = np.array([[a, c, b] for a in (0, 1) for c in (0, 1) for b in (0, 1)], np.int8)
    while True:
        share = rng.dirichlet(np.full(8, 0.5))
        frequency = share @ haplotypes
        if np.minimum(frequency, 1 - frequency).min() < 0.1:
            continue
        x = haplotypes - frequency
        covariance = (x * share[:, None]).T @ x
        r2 = covariance**2 / np.outer(np.diag(covariance), np.diag(covariance))
        if least <= r2[0, 2] < most and min(r2[0, 1], r2[1, 2]) > 0.1:
            return Block(haplotypes, share)


def phantom(ploidy: int, seed: int) -> pd.DataFrame:
    """A cohort with two untyped causal variants, a trait each; a row a trait."""
    rng = np.random.default_rng([seed, ploidy])
    blocks = [phantom_block(rng, 0.0, 0.1), phantom_block(rng, 0.1, 0.5)]
    population = Population([*blocks, *single_loci(rng.uniform(0.1, 0.9, SINGLES))], ploidy)
    dosage = population.draw(rng, N)
    causal = np.array([1, 4])
    value = dosage[:, causal] / dosage[:, causal].std(0) * np.sqrt(CAUSAL_SHARE)
    traits = value + rng.normal(size=value.shape) * np.sqrt(1 - CAUSAL_SHARE)
    typed = np.setdiff1d(np.arange(population.m), causal)
    cohort = memory_cohort(dosage[:, typed], traits, ploidy=ploidy, block=population.block_of[typed])
    small = TrainingOptions(hidden=(128,), epochs=36)
    networks = ge.cross_fit(cohort, heldout_fraction=0.0, seed=seed, options=small, progress=False)
    pairs = PairAnalysis(Analysis(networks), PairOptions(top_pairs=100))
    counts = count_pairs(pairs)
    # Typed variants 0 and 1, 2 and 3 are the tags; the others only make the ordinary chance finds.
    own = count_pairs(pairs, only=[{"v1", "v2"}, {"v3", "v4"}])
    counts = counts.join(own[[f"elm_{count}" for count in COUNTS]].add_prefix("tags_"))
    nothing = np.zeros((population.m, population.m))
    truth = []
    for t, c in enumerate(causal):
        additive = np.zeros(population.m)
        additive[c] = np.sqrt(CAUSAL_SHARE) / dosage[:, c].std()
        truth.append(
            Architecture(additive, np.zeros(population.m), nothing).effects(population).pairs[c - 1, c + 1]
        )
        r = np.corrcoef(dosage[:, [c - 1, c + 1]].T)[0, 1]
        counts.loc[t, "tag_r2"] = r**2
    return counts.assign(tags=["tags r2 < .1", "tags r2 .1 to .5"], truth=truth)


def real_cohort(name: str, *, every: int) -> tuple[xr.Dataset, np.ndarray]:
    """A real cohort with one marker in ``every``, and the dosages of all of its markers (n, m)."""
    base = DATA / name / name
    groups = f"{base}.groups.tsv" if name.startswith("yeast") else _cages(base)
    cohort = ge.open_cohort(bfile=base, pheno=f"{base}.pheno.tsv", groups=groups)
    whole = np.asarray(cohort["call_dosage"].data).T
    return select(cohort, variants=np.arange(0, whole.shape[1], every)), whole


def _cages(base: object) -> pd.DataFrame:
    table = pd.read_csv(f"{base}.covar.tsv", sep="\t", dtype=str)
    return table[["FID", "IID", "cage"]]


def real(name: str, kind: str, seed: int) -> pd.DataFrame:
    """Simulated traits on real genotypes; a row a trait."""
    cohort, whole = real_cohort(name, every=KEPT_EVERY)
    rng = np.random.default_rng([seed, len(name), len(kind)])
    n, m = whole.shape
    z = np.where(whole >= 0, whole, 0).astype(np.float32)
    z = (z - z.mean(0)) / np.maximum(z.std(0), 1e-6)
    if kind == "untyped":
        removed = np.setdiff1d(np.arange(m), np.arange(0, m, KEPT_EVERY))
        shares = {"genetic": 0.5, "noise": 0.5}
        effects = np.zeros((m, TRAITS), np.float32)
        for t in range(TRAITS):
            effects[rng.choice(removed, N_CAUSAL, replace=False), t] = rng.normal(size=N_CAUSAL)
    else:
        shares = {"genetic": 0.4, "cage": 0.2, "noise": 0.4}
        effects = rng.normal(size=(m, TRAITS)).astype(np.float32)
    _, cage = np.unique(cohort["sample_group"].values, return_inverse=True)
    parts = {
        "genetic": z @ effects,
        "cage": rng.normal(size=(cage.max() + 1, TRAITS))[cage],
        "noise": rng.normal(size=(n, TRAITS)),
    }
    traits = sum(np.sqrt(share) * parts[part] / parts[part].std(0) for part, share in shares.items())
    cohort = cohort.drop_vars(["sample_phenotype", "trait_id"]).assign(
        sample_phenotype=(("samples", "traits"), traits),
        trait_id=("traits", np.array([f"trait_{t + 1}" for t in range(TRAITS)])),
    )
    networks = ge.cross_fit(cohort, heldout_fraction=0.0, seed=seed, progress=False)
    return count_pairs(PairAnalysis(Analysis(networks), PairOptions(top_pairs=100)))


def count_pairs(pairs: PairAnalysis, only: list[set[str]] | None = None) -> pd.DataFrame:
    """Bonferroni pairs of each trait by test and flags, or whether its only pair of interest is one; a row a trait."""
    frame, analysis = pairs.frame(), pairs.analysis
    both = [{a, b} for a, b in zip(frame["variant_id_1"], frame["variant_id_2"], strict=True)]
    flags = frame["flags"].fillna("").str.split(";").map(lambda words: set(words) - {""})
    level, rows = 0.05 / pairs.n_pairs, []
    for t, trait in enumerate(pairs.networks.traits):
        mine = (frame["trait"] == trait).to_numpy()
        if only is not None:
            mine &= np.array([pair == only[t] for pair in both])
        row = {
            "trait": trait,
            "pairs": pairs.n_pairs,
            "blocks": int(np.unique(pairs.networks.blocks).size),
            "population_check": float(analysis.marginal.population_check[t]),
            "elm_mean_z2": pairs.sweeps["elm"][t].sum_z2 / pairs.sweeps["elm"][t].n_tested,
        }
        for test in TESTS:
            hit = mine & (frame[f"{test}_p_value"] < level).to_numpy()
            for count, passes in COUNTS.items():
                row[f"{test}_{count}"] = int(flags[hit].map(passes).sum())
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    arguments = parse_arguments(__doc__)
    units = {
        "mouse-untyped_001": ("mouse_hs_bglr", "untyped", 1),
        "yeast-untyped_001": ("yeast_bloom2015", "untyped", 1),
        "mouse-cages_001": ("mouse_hs_bglr", "cages", 1),
    }
    units |= {
        f"phantom-{name}_{seed:03d}": (ploidy, seed)
        for seed in range(1, SEEDS + 1)
        for ploidy, name in ((1, "haploid"), (2, "diploid"))
    }
    rows = finished("nulls", units, one, arguments)
    rows["null"] = rows.unit.str.rsplit("_", n=1).str[0]
    if "tags" in rows:
        rows["null"] += rows["tags"].map(", {}".format, na_action="ignore").fillna("")
    rows.to_csv("results/science_nulls.tsv", sep="\t", index=False)
    pd.set_option("display.width", 200)
    for test in (*TESTS, "tags_elm"):
        if f"{test}_all" not in rows:
            continue
        had = rows[rows[f"{test}_all"].notna()]
        table = (had[[f"{test}_{count}" for count in COUNTS]] > 0).groupby(had["null"]).mean()
        table.columns = list(COUNTS)
        table.insert(0, "traits", had.groupby("null").size())
        for name in ("population_check", "elm_mean_z2") if test == "elm" else ():
            table[name] = had.groupby("null")[name].mean()
        print(f"\nshare of traits with a Bonferroni pair: {test}\n{table.round(3).to_string()}")


def one(*given: object) -> pd.DataFrame:
    """A unit: the traits of a real cohort, or a phantom."""
    return real(*given) if isinstance(given[0], str) else phantom(*given)


if __name__ == "__main__":
    main()
