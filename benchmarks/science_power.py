"""Where does the debiased network find more pairs than the additive-removed scan and the debiased lasso?

    python benchmarks/science_power.py [--workers 2] [--only hubs_0.5] [--table] [--figure docs/explanation/power.svg]

Diploid cohorts of 2,400 samples and 50 loci in equilibrium; six architectures x three broad-sense heritabilities x
ten seeds, one trait a cohort. Every trait but those of multiplicative scale also has additive effects at 20 loci, of
the same variance as the rest. A true pair is one whose coefficient of g_i g_j in the population is not zero; it
follows from the genotypes' probabilities, exactly:

- pairs: 20 products of centred dosages;
- three-way: 4 modules of three loci, present where all three have a copy; three true pairs each;
- threshold: 2 modules of four loci, present from six copies on; six true pairs each;
- multiplicative: the exponential of ten additive effects; all 45 pairs are true, made by the scale alone;
- dominance: 8 pairs of recessive alleles, and dominance deviations at ten loci;
- hubs: two loci with 20 weak partners each.

All methods see the same samples and test all 1,225 pairs: power at Bonferroni 5 %, average precision. The network is
the default recipe; the lasso on all products has its penalty from inner validation on the same folds, and enters the
same debiased estimator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from pub_default import average_precision
from scipy import stats
from simulated import Floats, Ints, Population, memory_cohort, single_loci
from units import finished, parse_arguments

import gp_elm as ge
from gp_elm.elm.effects import Analysis
from gp_elm.elm.pair_evidence import PairModel, sweep_pairs
from gp_elm.elm.pair_table import PairAnalysis, PairOptions
from gp_elm.elm.quadratic import QuadraticPopulation
from gp_elm.predictors.product_lasso import ProductDesign

N, M, SEEDS = 2_400, 50, 10
HERITABILITIES = (0.25, 0.5, 0.9)
ARCHITECTURES = ("pairs", "three-way", "threshold", "multiplicative", "dominance", "hubs")
METHODS = {
    "interaction_residual": "scan, additive part removed",
    "product_lasso": "debiased lasso on products",
    "elm": "debiased network",
}
COLOURS = {"interaction_residual": "#8c8c8c", "product_lasso": "#d08a2e", "elm": "#2d6a9f"}


@dataclass(frozen=True)
class Module:
    """A function of a few loci.

    Attributes
    ----------
    loci : (k,) int
        Which.
    value : callable
        Dosages (s, k) -> values (s,).
    """

    loci: Ints
    value: Callable[[Floats], Floats]

    def pair_effects(self, frequency: Floats) -> Floats:
        """Coefficients of g_i g_j in the population, (k, k), by all 3^k genotypes."""
        p = frequency[self.loci]
        g = np.array(list(product((0.0, 1.0, 2.0), repeat=self.loci.size)))
        chance = np.where(g == 1, 2 * p * (1 - p), np.where(g == 2, p**2, (1 - p) ** 2)).prod(1)
        x = g - 2 * p
        spread = 2 * p * (1 - p)
        # In equilibrium the product of two centred dosages is uncorrelated with both.
        return (x * (chance * self.value(g))[:, None]).T @ x / np.outer(spread, spread)


def modules_of(name: str, rng: np.random.Generator, frequency: Floats) -> list[Module]:
    """The non-additive modules of an architecture."""
    loci = rng.permutation(M)
    mean = 2 * frequency

    def both(i: int, j: int, size: float) -> Module:
        at = np.array([i, j])
        return Module(at, lambda g: size * (g[:, 0] - mean[i]) * (g[:, 1] - mean[j]))

    if name == "pairs":
        return [both(*rng.choice(loci[:40], 2, replace=False), rng.normal()) for _ in range(20)]
    if name == "hubs":
        partners = loci[2:42].reshape(2, 20)
        return [both(loci[h], int(j), rng.choice([-1.0, 1.0])) for h in (0, 1) for j in partners[h]]
    if name == "three-way":
        return [_where_all(loci[3 * k : 3 * k + 3], 1, rng.choice([-1.0, 1.0])) for k in range(4)]
    if name == "threshold":
        return [Module(loci[4 * k : 4 * k + 4], lambda g: (g.sum(1) >= 6).astype(float)) for k in range(2)]
    if name == "multiplicative":
        size = rng.choice([-1.0, 1.0], 10) * rng.uniform(0.5, 1.5, 10)
        spread = 2 * frequency[loci[:10]] * (1 - frequency[loci[:10]])
        size *= 0.7 / np.sqrt((size**2 * spread).sum())
        return [Module(loci[:10], lambda g: np.exp(g @ size))]
    recessive = [_where_all(loci[2 * k : 2 * k + 2], 2, rng.normal()) for k in range(8)]
    return recessive + [_heterozygote(loci[40 + k : 41 + k], 0.3 * rng.normal()) for k in range(10)]


def _where_all(loci: Ints, copies: int, size: float) -> Module:
    """An effect of those who have so many copies at all loci."""
    return Module(loci, lambda g: size * (g >= copies).all(1))


def _heterozygote(locus: Ints, size: float) -> Module:
    return Module(locus, lambda g: size * (g[:, 0] == 1))


def one(name: str, heritability: float, seed: int) -> pd.DataFrame:
    """How well each method recovers one trait's pairs, a row a method."""
    rng = np.random.default_rng([seed, ARCHITECTURES.index(name), int(100 * heritability)])
    frequency = rng.uniform(0.3, 0.7, M)
    population = Population(single_loci(frequency), 2)
    dosage = population.draw(rng, N)
    true, value = np.zeros((M, M)), np.zeros(N)
    for module in modules_of(name, rng, frequency):
        value += module.value(dosage[:, module.loci].astype(float))
        true[np.ix_(module.loci, module.loci)] += module.pair_effects(frequency)
    scale = 1 / value.std()
    value, true = value * scale, true * scale
    if name != "multiplicative":
        additive = np.zeros(M)
        additive[rng.permutation(M)[:20]] = rng.normal(size=20)
        part = dosage @ additive
        value = value + part / part.std()
    noise = rng.normal(size=N) * np.sqrt(value.var() * (1 / heritability - 1))
    cohort = memory_cohort(dosage, (value + noise)[:, None], ploidy=2, block=np.arange(M))
    networks = ge.cross_fit(cohort, heldout_fraction=0.0, seed=seed, progress=False)
    analysis = Analysis(networks)
    pairs = PairAnalysis(analysis, PairOptions())
    sweeps = {kind: found[0] for kind, found in pairs.sweeps.items()}
    lasso = PairModel.build(
        networks.study, _lasso_population(networks), pairs.non_additive.discovery, analysis.read_block
    )
    sweeps["product_lasso"] = sweep_pairs(lasso, analysis.read_block, top=pairs.n_pairs)["elm"][0]
    weights = {"elm": pairs.model.weights, "product_lasso": lasso.weights}
    return pd.DataFrame(
        [
            {"method": method, "weight": float(np.mean(weights.get(method, 0.0)))}
            | _scores(sweeps[method], true)
            for method in METHODS
        ]
    )


def _lasso_population(networks: ge.elm.fit.Networks) -> QuadraticPopulation:
    """The lasso on all products, cross-fitted on the networks' folds."""
    study, fitted, store = networks.study, networks.fitted, networks.store
    _, center, sd = store.moments(study.rows)
    design = ProductDesign(store, study.rows, center=center, sd=sd)
    found = [
        design.fit(
            study.rows[study.folds != k], fitted.residual[study.folds != k],
            groups=None, seed=networks.seed, threads=1,
        )
        for k in range(study.n_folds)
    ]  # fmt: skip
    return QuadraticPopulation(study, [_Form(f) for f in found])


class _Form:
    """A sum of squares and a linear part, as the population reads them."""

    def __init__(self, found: object) -> None:
        every = found.linear.coefficients.shape[1]
        self.columns, self.linear = np.arange(every), found.linear.coefficients
        self.u = np.zeros((found.units.shape[0], every))
        self.u[:, found.columns] = found.units
        self.v, self.output = self.u, found.output


def _scores(sweep: object, true: Floats) -> dict[str, float]:
    top = sweep.top
    theta = true[top.i, top.j]
    real, z = np.abs(theta) > 1e-9, np.abs(top.z)
    p = 2 * stats.t.sf(z, sweep.df)
    hit = p < 0.05 / p.size
    return {
        "true_pairs": int(real.sum()), "power": float(hit[real].mean()),
        "average_precision": average_precision(z, real), "false_bonferroni": int(hit[~real].sum()),
        "false_positives": float((p[~real] < 0.05).mean()), "se": float(top.standard_error.mean()),
        "slope": float((top.beta * theta).sum() / (theta**2).sum()),
    }  # fmt: skip


def draw(table: pd.DataFrame, path: Path) -> None:
    """Power and average precision by architecture and heritability, mean and standard error over seeds."""
    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "gp_elm", "svg.fonttype": "none"}
    from matplotlib import pyplot as plt

    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(2, len(ARCHITECTURES), figsize=(13, 5.4), sharey="row", sharex=True)
    for column, name in enumerate(ARCHITECTURES):
        for row, score in enumerate(("power", "average_precision")):
            axis = axes[row, column]
            for shift, (method, label) in enumerate(METHODS.items()):
                own = table[(table.architecture == name) & (table.method == method)]
                by = own.groupby("heritability")[score]
                mean, error = by.mean(), by.std() / np.sqrt(by.size())
                x = np.searchsorted(HERITABILITIES, mean.index) + 0.12 * (shift - 1)
                axis.errorbar(
                    x,
                    mean,
                    error,
                    marker="o",
                    markersize=5,
                    linewidth=1.6,
                    color=COLOURS[method],
                    label=label,
                )
            axis.set_xticks(range(len(HERITABILITIES)), [f"{h:g}" for h in HERITABILITIES])
            axis.set_xlim(-0.3, len(HERITABILITIES) - 0.7)
            axis.set_ylim(-0.02, 1.02)
            axis.grid(axis="y", color="#e4e4e4", linewidth=0.8)
        axes[0, column].set_title(name, fontsize=12)
    axes[0, 0].set_ylabel("power\n(Bonferroni 5 %)")
    axes[1, 0].set_ylabel("average precision")
    figure.supxlabel("broad-sense heritability", fontsize=11)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=len(METHODS), frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.94))
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    arguments = parse_arguments(__doc__)
    units = {
        f"{name}_{h:g}_{seed:02d}": (name, h, seed)
        for seed in range(1, SEEDS + 1)
        for name in ARCHITECTURES
        for h in HERITABILITIES
    }
    rows = finished("power", units, one, arguments)
    parts = rows.unit.str.rsplit("_", n=2)
    table = rows.assign(
        architecture=parts.str[0], heritability=parts.str[1].astype(float), seed=parts.str[2].astype(int)
    )
    table.to_csv("results/science_power.tsv", sep="\t", index=False)
    pd.set_option("display.width", 200)
    keys = ["architecture", "heritability"]
    scores = [
        "true_pairs",
        "power",
        "average_precision",
        "false_bonferroni",
        "false_positives",
        "slope",
        "se",
        "weight",
    ]
    print(table.groupby([*keys, "method"], sort=False)[scores].mean().round(3).to_string())
    print("\nnetwork less each other method, mean over seeds (standard error)")
    for score in ("power", "average_precision"):
        wide = table.pivot(index=[*keys, "seed"], columns="method", values=score)
        for other in ("interaction_residual", "product_lasso"):
            difference = (wide["elm"] - wide[other]).groupby(keys, sort=False)
            text = difference.mean().map("{:+.3f}".format) + difference.sem().map(" ({:.3f})".format)
            print(f"\n{score}, less {METHODS[other]}\n{text.unstack().to_string()}")
    if arguments.figure is not None:
        draw(table, arguments.figure)


if __name__ == "__main__":
    main()
