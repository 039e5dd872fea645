"""Real data: prediction of 19 yeast traits, and do the pairs that are found replicate?

    python benchmarks/science_yeast.py [--workers 2] [--only split_1] [--table]

yeast_bloom2015, every third of its 10,303 markers (3.5 kb apart on average; r^2 of neighbours about .98), tetrads kept
together. `folds`: all samples in ten folds; r2 of every predictor out of fold, the stack weighted without the fold.
`split_1` to `split_5`: networks cross-fitted on 70 % of the tetrads (five folds), all pairs swept there, and the
strongest tested in the other 30 %: the plain interaction test of the trait less its additive part. A found pair
replicates where that has the discovery's sign and p < .05 (by chance 2.5 %), or is among the 5 % false discovery rate
of the list. Lists hold one pair a trait and pair of regions: a pair is passed over where a stronger one has both loci
within 100 kb of its own. The published pairs are those of Bloom et al. 2015; a found pair is one of them where both
its loci lie within 100 kb of theirs. They only score.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from common import DATA
from scipy import stats
from units import RESULTS, finished, parse_arguments

from gp_elm.association.interaction import interaction_pairs
from gp_elm.association.sweep_summary import ColumnSweep
from gp_elm.cohort import open_cohort
from gp_elm.elm.effects import Analysis
from gp_elm.elm.fit import Networks, cross_fit, draw_split
from gp_elm.elm.pair_evidence import PairModel, sweep_pairs
from gp_elm.elm.pair_table import PairAnalysis, PairOptions
from gp_elm.elm.prior import HeredityPrior
from gp_elm.elm.prior_exponent import choose_exponent
from gp_elm.elm.quadratic import QuadraticPopulation
from gp_elm.predictors.stacking import stack_weights

NAME = "yeast_bloom2015"
EVERY = 3
SPLITS = range(1, 6)
REGION = 100_000
SIZES = (100, 266)
KEPT = 100_000
"""Pairs that the sweep of a test and trait keeps: a strong peak alone is thousands."""
RANKINGS = {
    "scan, trait as it is": "interaction",
    "scan, trait less lasso": "interaction_residual",
    "debiased heredity kernel": "kernel",
    "debiased network": "elm",
    "debiased network, heredity prior (default)": "elm prior",
    "scan less lasso, heredity prior": "interaction_residual prior",
}


def cohort_of_traits():
    """The cohort, Hydroxyurea left out: its replicates correlate .11."""
    base = DATA / NAME / NAME
    traits = pd.read_csv(f"{base}.pheno.tsv", sep="\t", nrows=0).columns[2:]
    markers = pd.read_csv(f"{base}.bim", sep="\t", header=None, usecols=[1])[1].astype(str)
    return open_cohort(
        bfile=base,
        pheno=f"{base}.pheno.tsv",
        groups=f"{base}.groups.tsv",
        traits=",".join(t for t in traits if t != "Hydroxyurea"),
        extract=markers[::EVERY].tolist(),
    )


def r2_rows(y: np.ndarray, predictions: dict[str, np.ndarray], traits: list[str]) -> pd.DataFrame:
    """r2 of each predictor and trait: 1 - MSE / Var."""
    rows = []
    for name, f in predictions.items():
        error, spread = np.nanmean((y - f) ** 2, axis=0), np.nanvar(y, axis=0)
        rows += [
            {"what": "r2", "trait": trait, "ranking": name, "value": r2}
            for trait, r2 in zip(traits, 1 - error / spread, strict=True)
        ]
    return pd.DataFrame(rows)


def in_folds(folder: str) -> pd.DataFrame:
    """Out-of-fold r2 of every predictor."""
    cohort = cohort_of_traits()
    networks = cross_fit(cohort, n_folds=10, heldout_fraction=0.0, seed=1, directory=folder, progress=False)
    y, found = networks.fitted.residual, dict(networks.out_of_fold)
    stacked = np.empty_like(y)
    for t in range(y.shape[1]):
        columns = np.column_stack([f[:, t] for f in found.values()])
        by_fold, _ = stack_weights(y[:, t], columns, networks.study.folds)
        stacked[:, t] = (columns * by_fold[networks.study.folds]).sum(1)
    return r2_rows(y, found | {"stacked": stacked}, networks.traits)


def in_split(seed: int, folder: str) -> pd.DataFrame:
    """Held-out r2, and the strongest pairs by each ranking with their tests in the held-out samples."""
    cohort = cohort_of_traits()
    split = draw_split(cohort, n_folds=5, heldout_fraction=0.3, seed=seed)
    networks = cross_fit(cohort, split=split, seed=seed, directory=folder, progress=False)
    r2 = r2_rows(networks.heldout_residual, networks.heldout_predictions, networks.traits)
    pairs = PairAnalysis(Analysis(networks), PairOptions(top_pairs=KEPT // 4))
    sweeps = dict(pairs.sweeps or {})
    yardsticks, read = networks.yardsticks, pairs.analysis.read_block
    kernel = "heredity_kernel"
    population = QuadraticPopulation(pairs.study, yardsticks.forms[kernel], yardsticks.offsets[kernel])
    model = PairModel.build(pairs.study, population, pairs.model.rest, read)
    sweeps["kernel"] = sweep_pairs(model, read, top=KEPT, kinds=("elm",))["elm"]
    prior = pairs.prior
    assert prior is not None
    priors = {"elm": prior, "interaction_residual": _prior(pairs, prior, sweeps["interaction_residual"])}
    rows = [r2.assign(exponent=np.nan)]
    for ranking in RANKINGS.values():
        kind, _, weighted = ranking.partition(" ")
        weights = priors[kind] if weighted else None
        listed = _listed(networks, sweeps[kind], weights)
        exponent = 0.0 if weights is None else weights.exponent
        rows.append(_tested(pairs, listed).assign(what="pair", ranking=ranking, exponent=exponent))
    return pd.concat(rows, ignore_index=True)


def _prior(pairs: PairAnalysis, prior: HeredityPrior, sweeps: list[ColumnSweep]) -> HeredityPrior:
    exponent = choose_exponent(pairs.study, prior.strength, sweeps)
    return HeredityPrior(prior.strength, prior.blocks, exponent)


def _listed(networks: Networks, sweeps: list[ColumnSweep], prior: HeredityPrior | None) -> pd.DataFrame:
    """The strongest pairs of all traits together, one a trait and pair of regions."""
    contig = networks.cohort["variant_contig"].values
    position = networks.cohort["variant_position"].values.astype(np.int64)
    parts = []
    for trait, sweep in enumerate(sweeps):
        with np.errstate(divide="ignore"):
            score = np.log(sweep.p_values)
        if prior is not None:
            score = score - prior.log_weight(trait, sweep.top.i, sweep.top.j)
        order = np.argsort(score, kind="stable")
        i, j = sweep.top.i[order], sweep.top.j[order]
        left, found = np.ones(i.size, bool), []
        while left.any() and len(found) < max(SIZES):
            k = int(np.argmax(left))
            found.append(k)
            near = _near(contig, position, i, i[k]) & _near(contig, position, j, j[k])
            # Loci of one chromosome may come in the other order.
            near |= _near(contig, position, i, j[k]) & _near(contig, position, j, i[k])
            left &= ~near
        parts.append(
            pd.DataFrame(
                {
                    "trait": trait,
                    "i": i[found],
                    "j": j[found],
                    "score": score[order][found],
                    "beta": sweep.top.beta[order][found],
                }
            )  # fmt: skip
        )
    return pd.concat(parts).sort_values("score", kind="stable").head(max(SIZES)).reset_index(drop=True)


def _near(contig: np.ndarray, position: np.ndarray, some: np.ndarray, one: int) -> np.ndarray:
    return (contig[some] == contig[one]) & (np.abs(position[some] - position[one]) <= REGION)


def _tested(pairs: PairAnalysis, listed: pd.DataFrame) -> pd.DataFrame:
    """The pairs' tests in the held-out samples, and whether they are published."""
    heldout, cohort = pairs.heldout, pairs.networks.cohort
    assert heldout is not None
    listed["place"] = np.arange(1, len(listed) + 1)
    for trait, mine in listed.groupby("trait"):
        g_i, g_j = heldout.read(mine["i"].to_numpy()), heldout.read(mine["j"].to_numpy())
        fits = interaction_pairs(g_i, g_j, heldout.rest[:, [trait]], heldout.covariates)
        listed.loc[mine.index, "heldout_beta"] = fits.beta[:, 0]
        listed.loc[mine.index, "heldout_p"] = fits.p_value[:, 0]
    chromosome = cohort["contig_id"].values[cohort["variant_contig"].values].astype(str)
    for side in ("i", "j"):
        listed[f"chromosome_{side}"] = chromosome[listed[side]]
        listed[f"position_{side}"] = cohort["variant_position"].values[listed[side]]
    listed["trait"] = np.asarray(pairs.networks.traits)[listed["trait"]]
    listed["published"] = _published(listed)
    return listed


def _published(listed: pd.DataFrame) -> np.ndarray:
    truth = pd.read_csv(
        DATA / NAME / "truth_published_interactions.tsv", sep="\t", dtype={"chrom1": str, "chrom2": str}
    )
    truth = truth[["trait", "chrom1", "pos1", "chrom2", "pos2"]]
    both = listed[["place", "trait", "chromosome_i", "position_i", "chromosome_j", "position_j"]].merge(
        truth, on="trait"
    )

    def near(side: str, k: int) -> pd.Series:
        same = both[f"chromosome_{side}"] == both[f"chrom{k}"]
        return same & ((both[f"position_{side}"] - both[f"pos{k}"]).abs() <= REGION)

    hit = (near("i", 1) & near("j", 2)) | (near("i", 2) & near("j", 1))
    return listed["place"].isin(both.loc[hit, "place"]).to_numpy()


def report(found: pd.DataFrame) -> None:
    """Means over the units, and their spread."""
    r2 = found[found["what"] == "r2"].pivot_table(index=["unit", "trait"], columns="ranking", values="value")
    print("\nr2, mean over the traits (standard deviation over splits)")
    by_unit = r2.groupby("unit").mean()
    splits = by_unit[by_unit.index.str.startswith("split")]
    shown = pd.DataFrame({"splits": splits.mean(), "sd": splits.std()})
    if "folds" in by_unit.index:
        shown.insert(0, "folds", by_unit.loc["folds"])
    print(shown.sort_values("splits", ascending=False).round(4).to_string())
    for unit, mine in r2.groupby("unit"):
        better = mine.sub(mine["ridge"], axis=0)[["network", "stacked", "heredity_kernel"]]
        text = ", ".join(
            f"{n} {v.mean():+.4f} (in {int((v > 0).sum())} of {len(v)})" for n, v in better.items()
        )
        print(f"{unit}: over GBLUP {text}")
    pairs = found[found["what"] == "pair"]
    rows = []
    for (unit, ranking), mine in pairs.groupby(["unit", "ranking"]):
        for size in SIZES:
            top = mine[mine["place"] <= size]
            same = np.sign(top["beta"]) == np.sign(top["heldout_beta"])
            q = stats.false_discovery_control(top["heldout_p"].fillna(1.0))
            rows.append(
                {"unit": unit, "ranking": ranking, "top": size, "p < .05": (same & (top["heldout_p"] < 0.05)).sum(),
                 "5 % FDR": (same & (q <= 0.05)).sum(), "published": top["published"].sum(),
                 "exponent": mine["exponent"].iloc[0]}
            )  # fmt: skip
    if not rows:
        return
    table = pd.DataFrame(rows).groupby(["top", "ranking"])[["p < .05", "5 % FDR", "published", "exponent"]]
    mean, sd = table.mean(), table.std()
    print(f"\nof the strongest pairs, how many replicate; mean (sd) over {pairs['unit'].nunique()} splits")
    for size in SIZES:
        for label, ranking in RANKINGS.items():
            m, s = mean.loc[(size, ranking)], sd.loc[(size, ranking)]
            cells = [
                f"{name} {m[name]:5.1f} ({s[name]:4.1f})" for name in ("p < .05", "5 % FDR", "published")
            ]
            print(f"top {size:3d}  {label:44s}{'  '.join(cells)}  exponent {m['exponent']:.2f}")


def main() -> None:
    arguments: argparse.Namespace = parse_arguments(__doc__)
    work: Path = RESULTS / "science_yeast"
    # Two kinds of units, one function: the first argument is the split, 0 for the folds.
    units = {f"split_{seed}": (seed, str(work / f"work_split_{seed}")) for seed in SPLITS}
    report(finished("yeast", units | {"folds": (0, str(work / "work_folds"))}, unit, arguments))


def unit(seed: int, folder: str) -> pd.DataFrame:
    """One unit of the benchmark."""
    return in_split(seed, folder) if seed else in_folds(folder)


if __name__ == "__main__":
    main()
