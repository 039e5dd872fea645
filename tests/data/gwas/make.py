"""Makes the cohort of this folder and the results that PLINK 2, PLINK 1.9 and GEMMA give on it.

    python tests/data/gwas/make.py

Needs plink2 (v2.00a3.5 made the files here), plink1.9 (v1.90b6.26) and gemma (0.98.5). The cohort is a part of
example_data. REGENIE, SAIGE, BOLT-LMM and GWAS-SSF files hold PLINK 2's numbers under the header and in the layout that
their documentation shows:
https://rgcgithub.github.io/regenie/options/#output, https://saigegit.github.io/SAIGE-doc/docs/single_step2.html,
https://alkesgroup.broadinstitute.org/BOLT-LMM/BOLT-LMM_manual.html, https://github.com/EBISPOT/gwas-summary-statistics-standard
"""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[2] / "example_data" / "example"
COMMANDS = [
    f"plink2 --bfile {EXAMPLE} --keep keep.txt --extract extract.txt --make-bed --out cohort",
    "plink2 --bfile cohort --pheno traits.tsv --pheno-name trait_1,trait_2 --covar covariates.tsv "
    "--glm hide-covar --out default",
    "plink2 --bfile cohort --pheno traits.tsv --pheno-name trait_1,trait_2 --covar covariates.tsv "
    "--glm hide-covar omit-ref log10 cols=+a1freq --out log10",
    "plink2 --bfile cohort --pheno traits.tsv --pheno-name cases --covar covariates.tsv "
    "--glm hide-covar cols=+a1freq --out plink2",
    "plink2 --bfile cohort --pheno traits.tsv --pheno-name trait_1 --glm allow-no-covars genotypic --out genotypic",
    "plink1.9 --bfile cohort --pheno traits.tsv --pheno-name trait_1 --covar covariates.tsv --linear --allow-no-sex "
    "--out plink1",
    "plink1.9 --bfile cohort --pheno traits.tsv --pheno-name trait_1 --covar covariates.tsv --linear hide-covar "
    "--ci 0.95 --allow-no-sex --out plink1_ci",
    "plink1.9 --bfile cohort --pheno traits.tsv --pheno-name trait_1 --assoc --allow-no-sex --out plink1",
    "plink1.9 --bfile cohort --pheno traits.tsv --pheno-name cases --assoc --allow-no-sex --out plink1",
    "plink1.9 --bfile cohort --pheno traits.tsv --pheno-name cases --logistic --allow-no-sex --out plink1",
    "plink1.9 --bfile cohort --pheno traits.tsv --pheno-name trait_1 --allow-no-sex --make-bed --out gemma",
    "gemma -bfile gemma -gk 1 -o kinship",
    "gemma -bfile gemma -lm 4 -o gemma_lm",
    "gemma -bfile gemma -k output/kinship.cXX.txt -lmm 4 -o gemma_lmm",
]
KEPT = [
    "cohort.bed", "cohort.bim", "cohort.fam", "default.*.glm.*", "log10.*.glm.*", "plink2.*.glm.*", "genotypic.*.glm.*",
    "plink1.*assoc*", "plink1_ci.*assoc*", "output/*.assoc.txt",
]  # fmt: skip


def main() -> None:
    for file in HERE.iterdir():
        if file.suffix != ".py" and file.is_file():
            file.unlink()
    samples = pd.read_csv(f"{EXAMPLE}.fam", sep="\t", header=None, dtype=str).iloc[400:560]
    variants = pd.read_csv(f"{EXAMPLE}.bim", sep="\t", header=None, dtype=str).iloc[::42]
    traits = pd.read_csv(f"{EXAMPLE}.pheno.tsv", sep="\t")
    traits["cases"] = np.where(traits["trait_1"] > 0, 2, 1)
    covariates = pd.read_csv(f"{EXAMPLE}.covar.tsv", sep="\t")[["FID", "IID", "sex", "age"]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples.iloc[:, :2].to_csv(folder / "keep.txt", sep="\t", header=False, index=False)
        variants.iloc[:, 1].to_csv(folder / "extract.txt", header=False, index=False)
        for table, values in (("traits", traits), ("covariates", covariates)):
            here = values[values["IID"].isin(samples[1])]
            for place in (HERE, folder):
                here.to_csv(place / f"{table}.tsv", sep="\t", index=False)
        for command in COMMANDS:
            subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
        for pattern in KEPT:
            for file in folder.glob(pattern):
                if file.suffix != ".log":
                    (HERE / file.name).write_bytes(file.read_bytes())
    write_layouts(pd.read_csv(HERE / "log10.trait_1.glm.linear", sep="\t"))


def write_layouts(scan: pd.DataFrame) -> None:
    """The same results in the layouts of programs that are not at hand."""
    p = 10.0 ** -scan["LOG10_P"]
    chi_square = (scan["BETA"] / scan["SE"]) ** 2
    regenie = {
        "CHROM": scan["#CHROM"], "GENPOS": scan["POS"], "ID": scan["ID"], "ALLELE0": scan["REF"],
        "ALLELE1": scan["ALT"], "A1FREQ": scan["A1_FREQ"], "N": scan["OBS_CT"], "TEST": "ADD", "BETA": scan["BETA"],
        "SE": scan["SE"], "CHISQ": chi_square, "LOG10P": scan["LOG10_P"], "EXTRA": "NA",
    }  # fmt: skip
    _write(regenie, "regenie_trait_1.regenie", " ")
    saige = {
        "CHR": scan["#CHROM"], "POS": scan["POS"], "MarkerID": scan["ID"], "Allele1": scan["REF"],
        "Allele2": scan["ALT"], "AC_Allele2": 2 * scan["OBS_CT"] * scan["A1_FREQ"], "AF_Allele2": scan["A1_FREQ"],
        "MissingRate": 1 - scan["OBS_CT"] / 160, "BETA": scan["BETA"], "SE": scan["SE"],
        "Tstat": scan["BETA"] / scan["SE"] ** 2, "var": 1 / scan["SE"] ** 2, "p.value": p, "N": scan["OBS_CT"],
    }  # fmt: skip
    _write(saige, "saige.txt", "\t")
    bolt = {
        "SNP": scan["ID"], "CHR": scan["#CHROM"], "BP": scan["POS"], "GENPOS": 0, "ALLELE1": scan["ALT"],
        "ALLELE0": scan["REF"], "A1FREQ": scan["A1_FREQ"], "F_MISS": 1 - scan["OBS_CT"] / 160,
        "CHISQ_LINREG": chi_square, "P_LINREG": 0.5, "BETA": scan["BETA"], "SE": scan["SE"],
        "CHISQ_BOLT_LMM_INF": chi_square, "P_BOLT_LMM_INF": p,
    }  # fmt: skip
    _write(bolt, "bolt.stats", "\t")
    ssf = {
        "chromosome": scan["#CHROM"], "base_pair_location": scan["POS"], "effect_allele": scan["ALT"],
        "other_allele": scan["REF"], "beta": scan["BETA"], "standard_error": scan["SE"],
        "effect_allele_frequency": scan["A1_FREQ"], "neg_log_10_p_value": scan["LOG10_P"], "variant_id": "#NA",
        "rsid": scan["ID"], "n": scan["OBS_CT"],
    }  # fmt: skip
    _write(ssf, "gwas_ssf.tsv", "\t")


def _write(columns: dict, name: str, separator: str) -> None:
    pd.DataFrame(columns).to_csv(HERE / name, sep=separator, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
