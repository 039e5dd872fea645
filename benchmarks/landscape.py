"""Effects of the exhaustive protein landscape against its exact Walsh coefficients.

python benchmarks/landscape.py
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from common import DATA, RESULTS, cohort, run

from gp_elm.io.tables import read_table


def main() -> None:
    out = RESULTS / "landscape_fp13"
    run(cohort("landscape_fp13"), out)
    truth = pd.read_csv(DATA / "landscape_fp13" / "truth_walsh_coefficients.tsv", sep="\t")
    variants, pairs = read_table(out / "variants.parquet"), read_table(out / "pairs.parquet")
    single = truth[truth.order == 1].set_index("loci").coef_pm1
    found = variants.set_index("variant_id")
    report(
        "additive",
        found.loc[single.index, "elm_beta"] / 2,
        found.loc[single.index, "elm_standard_error"] / 2,
        single,
    )
    double = truth[truth.order == 2]
    names = double.loci.str.split(r"[^A-Za-z0-9_]+", expand=True)
    key = {
        frozenset(k): v for k, v in zip(zip(names[0], names[1], strict=True), double.coef_pm1, strict=True)
    }
    true = np.array([key[frozenset(k)] for k in zip(pairs.variant_id_1, pairs.variant_id_2, strict=True)])
    for kind in ("elm", "interaction_residual", "interaction"):
        report(f"pairs, {kind}", pairs[f"{kind}_beta"] / 4, pairs[f"{kind}_standard_error"] / 4, true)
    report("pairs, plug-in slope", pairs.elm_sensitivity_slope / 4, pairs.elm_standard_error * np.nan, true)
    variance = read_table(out / "variance.tsv").set_index("component").estimate
    shares = truth.groupby("order").variance_fraction.sum()
    print("share of the variance, found (truth):")
    for order, name in ((1, "additive_variance_debiased"), (2, "additive_by_additive_variance_debiased")):
        print(f"  order {order}: {variance[name] / variance.phenotypic_variance:.4f} ({shares[order]:.4f})")
    captured = variance.captured_genetic_variance / variance.phenotypic_variance
    print(f"  captured by the network: {captured:.4f} (orders 1 and 2: {shares[1] + shares[2]:.4f})")
    print(variance[[c for c in variance.index if c.startswith("heldout_r2")]].round(4).to_string())


def report(name: str, beta, error, true) -> None:
    """One line: correlation, slope, spread of z about the truth."""
    beta, error, true = (np.asarray(a, float) for a in (beta, error, true))
    z = (beta - true) / error
    r, slope = np.corrcoef(beta, true)[0, 1], beta @ true / (true @ true)
    print(
        f"{name}: {beta.size} effects, r {r:.4f}, slope {slope:.4f}, mean SE {error.mean():.5f}, sd of z {z.std():.2f}"
    )


if __name__ == "__main__":
    main()
