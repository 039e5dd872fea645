"""Held-out prediction of 19 yeast traits, folds by tetrad.

python benchmarks/yeast.py
"""

from __future__ import annotations

import pandas as pd
from common import DATA, RESULTS, cohort, run

from gp_elm.io.tables import read_table


def main() -> None:
    name = "yeast_bloom2015"
    base = DATA / name / name
    traits = pd.read_csv(f"{base}.pheno.tsv", sep="\t", nrows=0).columns[2:]
    # Hydroxyurea's replicates correlate .11.
    chosen = ",".join(t for t in traits if t != "Hydroxyurea")
    out = RESULTS / "yeast"
    run([*cohort(name), "--groups", f"{base}.groups.tsv", "--traits", chosen], out)
    report(out)


def report(out) -> None:
    """Held-out r2 by trait, and how the pairs do in the held-out samples."""
    variance = read_table(out / "variance.tsv").pivot(index="trait", columns="component", values="estimate")
    columns = ["heldout_r2_network", "heldout_r2_ridge", "heldout_r2_lasso", "network_weight_pairs",
               "calibration_interaction", "population_check"]  # fmt: skip
    print(variance[columns].round(3).to_string())
    print(variance[columns].mean().round(4).to_string())
    for other in ("ridge", "lasso"):
        above = (variance.heldout_r2_network > variance[f"heldout_r2_{other}"]).sum()
        print(f"network above {other} in {above} of {len(variance)} traits")
    pairs = pd.concat([read_table(out / "pairs.parquet"), read_table(out / "pairs_ld.parquet")])
    for kind in ("elm", "interaction_residual", "interaction"):
        ranked = pairs.sort_values(f"{kind}_p_value").drop_duplicates(
            ["trait", "chromosome_1", "chromosome_2"], keep="first"
        )
        for k in (100, 266):
            top = ranked.head(k)
            scan, debiased = (
                (top[f"heldout_{test}_p_value"] < 0.05).sum() for test in ("interaction", "elm")
            )
            print(f"top {k} pairs by {kind}: held-out p < .05 in {scan} (scan), {debiased} (debiased)")


if __name__ == "__main__":
    main()
