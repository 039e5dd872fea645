"""Makes the cohort of this folder and the outputs of plink2 --glm and plink1.9 --epistasis on it.

    python tests/data/plink/make.py

Needs plink2 (v2.00a3.5 made the files here) and plink1.9 (v1.90b6.26).
"""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
COMMANDS = [
    "plink2 --bfile cohort --pheno traits.tsv --covar covariates.tsv --glm hide-covar cols=+a1count,+ax "
    "--covar-variance-standardize --out glm",
    "plink2 --bfile cohort --pheno traits.tsv --glm allow-no-covars cols=+ax --pheno-name growth --out plain",
    "plink1.9 --bfile cohort --pheno traits.tsv --pheno-name growth --epistasis --epi1 1 --allow-no-sex "
    "--out epistasis",
]


def main() -> None:
    rng = np.random.default_rng(20)
    n, m = 150, 10
    dosage = rng.binomial(2, np.linspace(0.1, 0.5, m), (n, m))
    dosage[rng.random((n, m)) < 0.05] = -1
    traits = rng.normal(size=(n, 2)) + 0.5 * dosage[:, [3, 4]] + 0.4 * (dosage[:, [3]] * dosage[:, [5]])
    covariates = rng.normal(size=(n, 2)) * [1, 5] + [0, 40]
    traits[rng.random((n, 2)) < 0.06] = np.nan
    ids = [f"s{i}" for i in range(n)]
    variants = [f"v{j}" for j in range(m)]
    table = {"FID": ids, "IID": ids}
    pd.DataFrame({"IID": ids, **dict(zip(variants, dosage.T, strict=True))}).to_csv(
        HERE / "dosage.tsv", sep="\t", index=False
    )
    traits_table = pd.DataFrame({**table, "growth": traits[:, 0], "yield": traits[:, 1]})
    traits_table.to_csv(HERE / "traits.tsv", sep="\t", index=False, na_rep="NA", float_format="%.6f")
    covariates_table = pd.DataFrame({**table, "batch": covariates[:, 0], "age": covariates[:, 1]})
    covariates_table.to_csv(HERE / "covariates.tsv", sep="\t", index=False, float_format="%.6f")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("traits.tsv", "covariates.tsv"):
            (folder / file).write_text((HERE / file).read_text())
        codes = np.array([3, 2, 0, 1], dtype=np.uint8)[dosage].T
        padded = np.zeros((m, (n + 3) // 4 * 4), dtype=np.uint8)
        padded[:, :n] = codes
        packed = (padded.reshape(m, -1, 4) << np.array([0, 2, 4, 6], dtype=np.uint8)).sum(
            axis=2, dtype=np.uint8
        )
        (folder / "cohort.bed").write_bytes(b"\x6c\x1b\x01" + packed.tobytes())
        (folder / "cohort.bim").write_text(
            "".join(f"1\t{v}\t0\t{j + 1}\tA\tC\n" for j, v in enumerate(variants))
        )
        (folder / "cohort.fam").write_text("".join(f"{s} {s} 0 0 0 -9\n" for s in ids))
        for command in COMMANDS:
            subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
        for file in [*folder.glob("*.glm.linear"), folder / "epistasis.epi.qt"]:
            (HERE / file.name).write_text(file.read_text())


if __name__ == "__main__":
    main()
