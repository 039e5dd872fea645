"""Interactions reported on a purely additive cohort, over three seeds (split, folds, networks).

python benchmarks/negative_control.py
"""

from __future__ import annotations

import json

from common import DATA, RESULTS, cohort, run

from gp_elm.io.tables import read_table


def main() -> None:
    name = "sim_mendeliht_additive"
    covariates = ["--covar", str(DATA / name / f"{name}.covar.tsv")]
    total = 0
    for seed in (1, 2, 3):
        out = RESULTS / f"mendeliht_{seed}"
        run([*cohort(name), *covariates, "--seed", str(seed)], out)
        tested = json.loads((out / "run.json").read_text())["pairs_tested"]["trait"]
        found = 0
        for table in ("pairs", "pairs_ld"):
            found += int((read_table(out / f"{table}.parquet").elm_p_value < 0.05 / tested).sum())
        variance = read_table(out / "variance.tsv").set_index("component").estimate
        print(f"seed {seed}: {tested} pairs, {found} below .05/pairs; "
              f"r2 {variance.filter(like='heldout_r2').round(3).to_dict()}, "
              f"weight of pairs {variance.network_weight_pairs:.3f}")  # fmt: skip
        total += found
    print(f"in all: {total} (goal: at most 1)")


if __name__ == "__main__":
    main()
