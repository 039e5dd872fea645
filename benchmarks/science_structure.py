"""Are the debiased effects right in families, and no weaker than a mixed model's?

    python benchmarks/science_structure.py [--workers 2] [--only mouse_pairs] [--table]

Genotypes of 1,814 heterogeneous-stock mice (autosomes). Traits have 40 causal loci on chromosomes 1 to 10 (half of the
variance), noise, and: nothing else (`mouse_additive`); the effect of the cage (`mouse_cage`, .15); 12 causal pairs
(`mouse_pairs`: pairs .2, loci .35). 24 seeds a kind, six traits a cohort, networks cross-fitted by cage with the
default recipe. On chromosomes 11 to 19 there is nothing to find: false positives at 5 % and lambda_gc; at the causal
loci the mean z^2. Goal: .04 to .06, .95 to 1.05, and at least the exact LOCO mixed model's mean z^2.
Wheat (`wheat_additive`): 599 lines whose 1,279 markers have no map. The block rule joins them all, or nearly, to one
block (printed), within which nothing is known to be unlinked to a causal marker; the null are 400 made-up markers that
follow the lines' relatedness, as a marker on a chromosome without causal loci would. The population check can say
nothing within one block: the tool counts such a cohort as structured, and leaves nothing out of the relatedness.

Methods: `linear` the plain scan; `mixed` the exact LOCO mixed model; `debiased_ols` the debiased effect by ordinary
least squares; `debiased_gls` by generalised; `debiased` what the tool reports (generalised where the population check
asks for it). Pairs: `residual` the test of the trait less its additive part, and `debiased`, each by both.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from common import DATA
from numpy.typing import NDArray
from simulated import Floats, Ints, memory_cohort
from units import finished, parse_arguments

import gp_elm as ge
from gp_elm.association.inflation import lambda_gc, p_value
from gp_elm.association.interaction import interaction_pairs
from gp_elm.association.mixed import linear_mixed_scan
from gp_elm.cohort import open_cohort
from gp_elm.elm.effects import Analysis
from gp_elm.elm.pair_evidence import PairModel
from gp_elm.elm.structured import Structure
from gp_elm.io.components import STRUCTURED

SEEDS, TRAITS = 24, 6
KINDS = ("mouse_additive", "mouse_cage", "mouse_pairs", "wheat_additive")
CAUSAL, CAUSAL_PAIRS, NULL_PAIRS, NULL_MARKERS = 40, 12, 1000, 400
CAUSAL_CHROMOSOMES = [str(c) for c in range(1, 11)]


def genotypes(kind: str) -> xr.Dataset:
    """A cohort with its own first trait, to take genotypes, ids and groups from."""
    name = "mouse_hs_bglr" if kind.startswith("mouse") else "wheat_cimmyt599"
    base = DATA / name / name
    if name == "wheat_cimmyt599":
        lines = open_cohort(bfile=base, pheno=f"{base}.pheno.tsv", traits="GY_env1")
        return with_null_markers(np.asarray(lines["call_dosage"].values).T)
    cages = pd.read_csv(f"{base}.covar.tsv", sep="\t", dtype=str)[["FID", "IID", "cage"]]
    return open_cohort(
        bfile=base,
        pheno=f"{base}.pheno.tsv",
        traits="Obesity_BMI",
        groups=cages,
        chromosomes=[str(c) for c in range(1, 20)],
    )


def with_null_markers(dosage: NDArray[np.int8]) -> xr.Dataset:
    """Lines with their markers (n, m), then markers as related as they are and linked to none of them; no map."""
    n, m = dosage.shape
    rng = np.random.default_rng(1)
    z = (dosage - dosage.mean(0)) / dosage.std(0)
    # Normal variables with the lines' relatedness as covariance, cut at the frequencies of real markers.
    liability = z @ rng.normal(size=(m, NULL_MARKERS)) / np.sqrt(m)
    frequency = rng.choice((dosage > 0).mean(0), NULL_MARKERS)
    cut = np.array([np.quantile(column, 1 - p) for column, p in zip(liability.T, frequency, strict=True)])
    both = np.hstack([dosage > 0, liability > cut]).astype(np.int8)
    cohort = memory_cohort(both, np.zeros((n, 1)), ploidy=1, block=np.zeros(m + NULL_MARKERS, np.int64))
    return cohort.assign(variant_position=("variants", np.zeros(m + NULL_MARKERS, np.int64)))


def scaled(values: Floats, share: float) -> Floats:
    """Values with variance ``share``."""
    return (values - values.mean()) * np.sqrt(share / values.var())


def simulate(
    kind: str, rng: np.random.Generator, x: Floats, region: Ints, contig: Ints, cage: Ints
) -> tuple[Floats, Ints, Ints]:
    """A trait (n,), its causal loci, and its causal pairs (P, 2)."""
    n = x.shape[0]
    count = CAUSAL if kind.startswith("mouse") else CAUSAL // 2
    loci = rng.choice(region, count, replace=False)
    share = 0.35 if kind == "mouse_pairs" else 0.5
    value = scaled(x[:, loci] @ rng.normal(size=count), share)
    pairs = np.empty((0, 2), np.int64)
    if kind == "mouse_cage":
        value = value + scaled(rng.normal(size=cage.max() + 1)[cage], 0.15)
    if kind == "mouse_pairs":
        while len(pairs) < CAUSAL_PAIRS:
            i, j = np.sort(rng.choice(loci, 2, replace=False))
            if contig[i] != contig[j] and not (pairs == [i, j]).all(1).any():
                pairs = np.vstack([pairs, [i, j]])
        value = value + scaled(
            (x[:, pairs[:, 0]] * x[:, pairs[:, 1]]) @ rng.choice([-1.0, 1.0], CAUSAL_PAIRS), 0.2
        )
    return value + rng.normal(size=n) * np.sqrt(1 - value.var()), loci, pairs


def one(kind: str, first_seed: int) -> pd.DataFrame:
    """Six traits: a row for each trait, method and set of tests."""
    cohort = genotypes(kind)
    dosage = np.asarray(cohort["call_dosage"].values, dtype=np.float64).T
    x = dosage - dosage.mean(0)
    contig = cohort["variant_contig"].values
    if kind.startswith("mouse"):
        causal = np.isin(cohort["contig_id"].values[contig].astype(str), CAUSAL_CHROMOSOMES)
    else:
        causal = np.arange(contig.size) < contig.size - NULL_MARKERS
    cage = np.zeros(len(x), np.int64)
    if "sample_group" in cohort:
        cage = np.unique(cohort["sample_group"].values, return_inverse=True)[1]
    drawn = [
        simulate(
            kind,
            np.random.default_rng([seed, KINDS.index(kind)]),
            x,
            np.flatnonzero(causal),
            contig,
            cage,
        )
        for seed in range(first_seed, first_seed + TRAITS)
    ]
    traits = np.column_stack([trait for trait, _, _ in drawn])
    cohort = cohort.drop_vars(["sample_phenotype", "trait_id"]).assign(
        sample_phenotype=(("samples", "traits"), traits),
        trait_id=("traits", np.array([f"seed_{first_seed + t}" for t in range(TRAITS)])),
    )
    networks = ge.cross_fit(cohort, heldout_fraction=0.0, seed=first_seed + 1, progress=False)
    analysis = Analysis(networks)
    study, fitted = analysis.study, networks.fitted
    structure = Structure(
        study.store, study.rows, contig.astype(np.int64), study.traits, study.covariates, blocks=study.blocks
    )
    rows = []
    for effect in ("additive", "dominance"):
        dominance = effect == "dominance"
        if dominance and not (study.ploidy > 1).any():
            continue
        found = {}
        scans = [("linear", ge.linear_scan(cohort, dominance=dominance))]
        if not dominance:
            scans.append(("mixed", linear_mixed_scan(cohort)))
        for name, scan in scans:
            data = scan.dataset
            found[name] = (data["beta"].values, data["standard_error"].values, data["df"].values)
        ordinary = analysis._effects(dominance=True) if dominance else analysis.ordinary
        generalised = structure.marginal(
            study, analysis.population, fitted.out_of_fold["network"], fitted.residual, networks.read,
            dominance=dominance,
        )  # fmt: skip
        structured = np.array(analysis.structured())
        found["debiased_ols"] = (ordinary.beta, ordinary.standard_error, ordinary.df)
        found["debiased_gls"] = (generalised.beta, generalised.standard_error, generalised.df)
        found["debiased"] = tuple(
            np.where(structured, g, o)
            for g, o in zip(found["debiased_gls"], found["debiased_ols"], strict=True)
        )
        for t, (_, loci, _) in enumerate(drawn):
            told = {
                "seed": first_seed + t,
                "population_check": analysis.ordinary.population_check[t],
                "h": structure.h[t],
                "n_blocks": int(study.blocks.max()) + 1,
                "largest_block": int(np.bincount(study.blocks).max()),
            }
            for method, values in found.items():
                null = np.ones(causal.size, bool) if dominance else ~causal
                rows.append(
                    told
                    | {"effect": effect, "method": method}
                    | tally(*(v[:, t] for v in values), null, loci)
                )
    if kind == "mouse_pairs":
        rest = fitted.residual - fitted.out_of_fold["lasso"]
        rows += pair_rows(analysis, structure, rest, drawn, contig, causal, dosage, first_seed)
    return pd.DataFrame(rows).assign(kind=kind)


def tally(beta: Floats, error: Floats, df: Floats, null: np.ndarray, causal: Ints) -> dict[str, float]:
    """False positives, inflation, and mean z^2 of the causal ones."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = beta / error
        p = p_value(z, df)
    return {
        "false_positives": float(np.nanmean(p[null] < 0.05)),
        "lambda_gc": lambda_gc(p[null]),
        "causal_z2": float(np.nanmean(z[causal] ** 2)),
        "null_error": float(np.nanmean(error[null])),
    }


def pair_rows(
    analysis: Analysis,
    structure: Structure,
    rest: Floats,
    drawn: list[tuple[Floats, Ints, Ints]],
    contig: Ints,
    causal: np.ndarray,
    dosage: Floats,
    first_seed: int,
) -> list[dict[str, object]]:
    """Listed pairs: the causal ones, and as many random ones with a locus on a chromosome without causal loci."""
    models = {
        "ols": PairModel.build(analysis.study, analysis.population, rest, analysis.read_block),
        "gls": PairModel.build(
            analysis.study, analysis.population, rest, analysis.read_block, weigh=structure.network_weights
        ),
    }
    rows = []
    for t, (_, _, pairs) in enumerate(drawn):
        rng = np.random.default_rng([first_seed + t, 7])
        others = np.sort(
            np.column_stack(
                [
                    rng.choice(np.flatnonzero(~causal), 2 * NULL_PAIRS),
                    rng.choice(causal.size, 2 * NULL_PAIRS),
                ]
            )
        )
        others = others[contig[others[:, 0]] != contig[others[:, 1]]][:NULL_PAIRS]
        i, j = np.vstack([pairs, others]).T
        g_i, g_j = dosage[:, i], dosage[:, j]
        found = {}
        for metric, model in models.items():
            theta = model.epistasis.pairs(i, j, t)
            for name, response, add in (
                ("residual", rest[:, t], 0.0),
                ("debiased", model.response[:, t], theta),
            ):
                if metric == "gls":
                    beta, error, df = structure.pairs(t, g_i, g_j, response)
                else:
                    fits = interaction_pairs(g_i, g_j, response[:, None], analysis.study.covariates)
                    beta, error, df = fits.beta[:, 0], fits.standard_error[:, 0], fits.df[:, 0]
                found[f"{name}_{metric}"] = (beta + add, error, df)
        is_null = np.arange(i.size) >= len(pairs)
        for method, values in found.items():
            rows.append(
                {"seed": first_seed + t, "effect": "pairs", "method": method}
                | tally(*values, is_null, np.arange(len(pairs)))
            )
    return rows


def main() -> None:
    """Run what is not finished, and print the means over seeds."""
    arguments = parse_arguments(__doc__)
    units = {
        f"{kind}_{first}": (kind, first) for first in range(0, SEEDS, TRAITS) for kind in KINDS
    }  # the first seeds of every kind first
    found = finished("structure", units, one, arguments)
    shown = ["false_positives", "lambda_gc", "causal_z2", "null_error", "population_check", "h"]
    table = found.groupby(["kind", "effect", "method"], sort=False)[shown].mean()
    table["seeds"] = found.groupby(["kind", "effect", "method"], sort=False).size()
    print(table.round(4).to_string())
    print(found.groupby("kind", sort=False)[["n_blocks", "largest_block"]].first().to_string())
    print(f"the tool takes generalised least squares where the population check exceeds {STRUCTURED}")


if __name__ == "__main__":
    main()
