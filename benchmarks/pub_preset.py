"""The pub's own network and recipe on its simulated cohort: the table of its notebook beside ours.

python benchmarks/pub_preset.py
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from common import DATA, RESULTS, cohort, run
from pub_default import truth

from gp_elm.io.tables import read_table

PUB = {
    "held-out R2": [0.9975, 0.988, 0.982, 0.975, 0.970],
    "additive, r (plug-in)": [1.000, 1.000, 0.999, 0.998, 0.995],
    "additive, slope (plug-in)": [0.999, 0.999, 1.014, 0.990, 1.001],
    "pairs, slope (plug-in)": [np.nan, 0.869, 0.873, 0.872, 0.867],
    "V_A / V_G": [0.969, 0.706, 0.515, 0.403, 0.119],
    "V_I / V_G": [0.001, 0.172, 0.383, 0.462, 0.681],
}


def main() -> None:
    name = "sim_arcadia_64qtl"
    out = RESULTS / "pub_preset"
    run([*cohort(name), "--preset", "pub", "--heldout", "0.15", "--top-pairs", "2016"], out)
    additive, pairs = truth(DATA / name)
    variants, table = read_table(out / "variants.parquet"), read_table(out / "pairs.parquet")
    variance = read_table(out / "variance.tsv").pivot(index="trait", columns="component", values="estimate")
    ours: dict[str, list[float]] = {}
    for t in range(5):
        trait = f"Trait{t + 1}"
        rows = variants[variants.trait == trait]
        a = additive[t][rows.variant_id.str[1:].astype(int) - 1]
        mine = table[table.trait == trait]
        i, j = (mine[f"variant_id_{k}"].str[1:].astype(int).to_numpy() - 1 for k in (1, 2))
        e, v = pairs[t][i, j], variance.loc[trait]
        genetic = 0.99 * v.phenotypic_variance
        for key, value in {
            "held-out R2": v.heldout_r2_network,
            "additive, r (plug-in)": np.corrcoef(rows.elm_sensitivity_mean, a)[0, 1],
            "additive, slope (plug-in)": slope(rows.elm_sensitivity_mean, a),
            "additive, r (debiased)": np.corrcoef(rows.elm_beta, a)[0, 1],
            "additive, slope (debiased)": slope(rows.elm_beta, a),
            "pairs, slope (plug-in)": slope(mine.elm_sensitivity_slope, e),
            "pairs, slope (debiased)": slope(mine.elm_beta, e),
            "pairs, r (debiased)": np.corrcoef(mine.elm_beta, e)[0, 1] if e.any() else np.nan,
            "pairs, SE / SE of the scan less additive": (
                mine.elm_standard_error.mean() / mine.interaction_residual_standard_error.mean()
            ),
            "V_A / V_G": v.additive_variance_debiased / genetic,
            "V_I / V_G": v.additive_by_additive_variance_debiased / genetic,
            "captured non-additive / V_G": v.captured_non_additive_variance / genetic,
        }.items():
            ours.setdefault(key, []).append(float(value))
    rows = []
    for key, values in ours.items():
        rows.append([key, "ours", *values])
        if key in PUB:
            rows.append([key, "pub", *PUB[key]])
    print(
        pd.DataFrame(rows, columns=["", "", *(f"trait {t}" for t in range(1, 6))])
        .round(4)
        .to_string(index=False)
    )
    print("truth: V_A / V_G = 1, .787, .505, .403, .122")


def slope(found, true) -> float:
    """Regression of the estimates on the truth, through the origin."""
    found, true = np.asarray(found, float), np.asarray(true, float)
    return float(found @ true / (true @ true)) if true.any() else np.nan


if __name__ == "__main__":
    main()
