"""V_A and V_AA of 19 yeast traits beside a REML written independently, on the same strains.

The independent one (tests/reference/reml.py: a general optimiser on the dense likelihood) is too slow for all strains,
so both see the same random 2,000 strains, whole tetrads; the tool's REML and Haseman-Elston also see all.

python benchmarks/science_components.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from common import DATA, RESULTS

from gp_elm.cohort import open_cohort
from gp_elm.predictors.variance_components import (
    component_rows,
    fit_components,
    genetic_kernels,
    haseman_elston,
)
from gp_elm.runtime.atomic import atomic_path
from gp_elm.streaming.store import write_store

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from reference.reml import reml  # noqa: E402

OUT = RESULTS / "science_components"
STRAINS = 2000
SEED = 1


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    base = DATA / "yeast_bloom2015" / "yeast_bloom2015"
    cohort = open_cohort(bfile=base, pheno=f"{base}.pheno.tsv")
    names = [str(name) for name in cohort["trait_id"].values]
    # Hydroxyurea's replicates correlate .11.
    left = [name for name in names if name != "Hydroxyurea" and not path_of(name).exists()]
    if left:
        traits = np.asarray(cohort["sample_phenotype"].values, dtype=float)
        groups = pd.read_table(f"{base}.groups.tsv", index_col="IID", dtype=str).iloc[:, -1]
        labels = groups.loc[[str(name) for name in cohort["sample_id"].values]].to_numpy(str)
        with tempfile.TemporaryDirectory() as folder:
            store = write_store(cohort, Path(folder) / "store")
            some = component_rows(labels, seed=SEED, limit=STRAINS)
            kernels = {
                "all": genetic_kernels(store, np.arange(len(labels))),
                "some": genetic_kernels(store, some),
            }
        for name in left:
            y = traits[:, [names.index(name)]]
            frame = one_trait(name, y, y[some], kernels)
            with atomic_path(path_of(name)) as part:
                frame.to_parquet(part)
            print(frame.round(4).to_string(index=False), flush=True)
    report(pd.concat([pd.read_parquet(path_of(n)) for n in names if n != "Hydroxyurea"], ignore_index=True))


def path_of(trait: str) -> Path:
    return OUT / f"{trait}.parquet"


def one_trait(name: str, y: np.ndarray, y_some: np.ndarray, kernels: dict) -> pd.DataFrame:
    """Components of a trait by every method, in shares of the phenotypic variance."""
    found = {}
    for sample, values in (("all", y), ("some", y_some)):
        for method, fit in (("REML", fit_components), ("Haseman-Elston", haseman_elston)):
            fits = fit(kernels[sample], values)
            found[sample, method] = fits.estimates[0], fits.standard_errors[0]
    found["some", "independent REML"] = reml(list(kernels["some"].values()), y_some[:, 0])
    rows = []
    for (sample, method), (estimate, error) in found.items():
        scale = np.nanvar(y if sample == "all" else y_some)
        row = {"trait": name, "strains": sample, "method": method}
        for k, component in enumerate(("V_A", "V_AA")):
            row |= {component: estimate[k] / scale, f"SE {component}": error[k] / scale}
        rows.append(row)
    return pd.DataFrame(rows)


def report(found: pd.DataFrame) -> None:
    """Each trait's components, their means, and how many agree within two standard errors."""
    wide = found.pivot(
        index="trait", columns=["strains", "method"], values=["V_A", "SE V_A", "V_AA", "SE V_AA"]
    )
    for component in ("V_A", "V_AA"):
        columns = [(component, *key) for key in dict.fromkeys(zip(found.strains, found.method, strict=True))]
        errors = [("SE " + component, "all", "REML"), ("SE " + component, "some", "REML")]
        print(wide[columns + errors].round(3).to_string())
        print(wide[columns + errors].mean().round(3).to_string())
        gap = (wide[component, "some", "REML"] - wide[component, "some", "independent REML"]).abs()
        within = int((gap < 2 * wide["SE " + component, "some", "independent REML"]).sum())
        print(
            f"{component}: within two standard errors of the independent REML in {within} of {len(wide)} traits,"
        )
        print(f"  largest difference {gap.max():.5f} of V_P")


if __name__ == "__main__":
    main()
