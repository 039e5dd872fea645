"""Makes the files of this folder: python tests/data/vcf/make.py (needs plink2, bcftools, bgzip and tabix).

`mixed.vcf` is random; `mixed.vcf.gz`, `mixed.bcf` and their indexes hold the same. `split.bed` is what
`bcftools norm -m-` and `plink2 --vcf --make-bed --vcf-half-call missing` make of its records with GT, and
`dosage.traw` what `plink2 --vcf dosage=DS --export Av` makes of `dosage.vcf`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from reference.vcf import random_vcf  # noqa: E402


def run(command: str) -> None:
    subprocess.run(command, shell=True, check=True, cwd=HERE, stdout=subprocess.DEVNULL)


def main() -> None:
    text = random_vcf(np.random.default_rng(11), n_samples=13, n_records=120, dosages=True)
    (HERE / "mixed.vcf").write_text(text)
    run(
        "bgzip -kf mixed.vcf && tabix -f mixed.vcf.gz && bcftools view -Ob mixed.vcf -o mixed.bcf --no-version"
    )
    run("bcftools index -f mixed.bcf")
    # what the reader leaves out, left out by bcftools
    run(
        "bcftools norm -m- mixed.vcf | bcftools view "
        '-e \'ALT="." || ALT="*" || ALT="<NON_REF>"\' | grep -v -P \'\\tDS\\t\' > split.vcf'
    )
    run("plink2 --vcf split.vcf --vcf-half-call missing --make-bed --out split")
    # PLINK 2 wants GT beside DS, and one ALT
    header = [line for line in text.splitlines() if line.startswith("#")]
    records = [line for line in text.splitlines() if "\tGT:DS\t" in line]
    plain = [line for line in records if "," not in line.split("\t")[4] and line.split("\t")[4][0] in "CTG"]
    # PLINK 2 takes a lone missing allele as haploid, gp_elm as a missing diploid call: no dosage there
    clear = [re.sub(r"\t\.:[0-9.]+", "\t.:.", line) for line in plain]
    (HERE / "dosage.vcf").write_text("\n".join(header + clear) + "\n")
    run("plink2 --vcf dosage.vcf dosage=DS --vcf-half-call missing --export Av --out dosage")
    for name in ("split.log", "dosage.log", "split.vcf", "split.fam"):
        (HERE / name).unlink()


if __name__ == "__main__":
    main()
