"""One small cohort in every format, written by PLINK 2 (v2.00a3.5, 9 Aug 2022): ``python make.py`` in this folder.

``calls.*`` holds hard calls, ``dosages.*`` imputed dosages of the same samples and variants, ``alleles.*`` sites with
two ALT alleles, chrX and MT. ``*.traw`` and ``*.glm.linear`` are what PLINK 2 itself reads and computes from them.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

N_SAMPLES, N_VARIANTS = 60, 40
HERE = Path(__file__).parent


def plink2(*arguments: str) -> None:
    """Run PLINK 2 here, one thread, quietly."""
    command = ["plink2", "--silent", "--threads", "1", "--memory", "640", *" ".join(arguments).split()]
    subprocess.run(command, cwd=HERE, check=True)


def vcf(name: str, lines: list[str], samples: list[str]) -> None:
    """Write a VCF with GT and DS."""
    head = ["##fileformat=VCFv4.3", *(f"##contig=<ID={c}>" for c in ("1", "2", "X", "MT"))]
    head.append('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">')
    head.append('##FORMAT=<ID=DS,Number=A,Type=Float,Description="Dosage">')
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *samples]
    (HERE / name).write_text("\n".join([*head, "\t".join(columns), *lines]) + "\n")


def main() -> None:
    """Make all files."""
    rng = np.random.default_rng(20260)
    samples = [f"s{i:02d}" for i in rng.permutation(N_SAMPLES)]
    frequency = rng.uniform(0.08, 0.6, N_VARIANTS)
    copies = rng.binomial(2, frequency[:, None], (N_VARIANTS, N_SAMPLES))
    called = rng.random(copies.shape) > 0.04
    noise = np.where(rng.random(copies.shape) < 0.5, 0, rng.normal(0, 0.12, copies.shape))
    dosage = np.clip(copies + noise, 0, 2)
    bases = [rng.choice(list("ACGT"), 2, replace=False) for _ in range(N_VARIANTS)]
    bases[7], bases[30] = ("A", "ACGT"), ("TTG", "T")
    place = [(1 + v // 25, 1000 * (v + 1) + 7) for v in range(N_VARIANTS)]
    texts = ["0/0", "0/1", "1/1"]
    calls, imputed = [], []
    for v, ((chromosome, position), (ref, alt)) in enumerate(zip(place, bases, strict=True)):
        front = f"{chromosome}\t{position}\trs{v + 1}\t{ref}\t{alt}\t.\tPASS\t.\t"
        gt = [texts[c] if ok else "./." for c, ok in zip(copies[v], called[v], strict=True)]
        ds = [f"{d:.4f}" if ok else "." for d, ok in zip(dosage[v], called[v], strict=True)]
        calls.append(front + "GT\t" + "\t".join(gt))
        imputed.append(front + "GT:DS\t" + "\t".join(f"{g}:{d}" for g, d in zip(gt, ds, strict=True)))
    vcf("calls.in.vcf", calls, samples)
    vcf("dosages.in.vcf", imputed, samples)

    sex = rng.integers(1, 3, N_SAMPLES)
    trait = copies[3] * 0.8 - copies[21] * 0.5 + rng.normal(0, 1, N_SAMPLES)
    age = rng.integers(20, 70, N_SAMPLES)
    rows = zip(samples, sex, strict=True)
    (HERE / "sex.txt").write_text("#IID\tSEX\n" + "".join(f"{i}\t{s}\n" for i, s in rows))
    values = zip(samples, trait, strict=True)
    (HERE / "trait.tsv").write_text("IID\theight\n" + "".join(f"{i}\t{t:.5f}\n" for i, t in values))
    ages = zip(samples, age, strict=True)
    (HERE / "covariate.tsv").write_text("IID\tage\n" + "".join(f"{i}\t{a}\n" for i, a in ages))

    plink2("--vcf calls.in.vcf --update-sex sex.txt --pheno trait.tsv --make-pgen --out calls")
    plink2("--vcf dosages.in.vcf dosage=DS --update-sex sex.txt --make-pgen --out dosages")
    plink2("--pfile calls --make-pgen vzs --out zipped")
    plink2("--pfile calls --make-bed --out calls")
    plink2("--pfile calls --export vcf --out calls")
    plink2("--pfile calls --export vcf bgz --out calls")
    plink2("--pfile calls --export bcf --out calls")
    for bits in (8, 16):
        version = "bgen-1.3" if bits == 8 else "bgen-1.2"
        plink2(f"--pfile calls --export {version} ref-first bits={bits} --out calls{bits}")
        plink2(f"--pfile dosages --export {version} ref-first bits={bits} --out dosages{bits}")
        # what PLINK 2 takes for hard calls (--hard-call-threshold 0.1) of these probabilities
        source = f"--bgen dosages{bits}.bgen ref-first --sample dosages{bits}.sample"
        plink2(f"{source} --make-pgen --out kept")
        plink2(f"--pfile kept --export Av --out dosages{bits}")
        plink2(f"{source} --make-bed --out dosages{bits}")
    plink2("--pfile calls --export bgen-1.1 --out calls11")
    plink2("--pfile calls --export bgen-1.2 --out calls_last")
    plink2("--pfile dosages --export vcf vcf-dosage=DS-force --out dosages")
    plink2("--pfile dosages --export Av --out dosages")
    plink2("--pfile calls --export Av --out calls")
    for kind in ("calls", "dosages"):
        plink2(
            f"--pfile {kind} --pheno trait.tsv --pheno-name height --covar covariate.tsv --covar-variance-standardize",
            f"--glm hide-covar cols=+a1freq --out {kind}",
        )

    def drawn(alleles: int, males_haploid: bool, phase: str) -> list[str]:
        made = []
        for s in sex:
            pair = rng.integers(0, alleles, 2)
            text = str(pair[0]) if males_haploid and s == 1 else phase.join(map(str, pair))
            made.append(
                text if rng.random() > 0.05 else ("." if "/" not in text and "|" not in text else "./.")
            )
        return made

    alleles = [
        ("1", 10, "A", "C,G", drawn(3, False, "/")),
        ("1", 20, "G", "T", drawn(2, False, "|")),
        ("2", 30, "T", "A,C,TT", drawn(4, False, "/")),
        ("X", 5000000, "C", "G", drawn(2, True, "/")),
        ("MT", 40, "A", "T", [t[0] for t in drawn(2, False, "/")]),
    ]
    lines = [
        f"{c}\t{p}\tm{i}\t{ref}\t{alt}\t.\t.\t.\tGT\t" + "\t".join(gt)
        for i, (c, p, ref, alt, gt) in enumerate(alleles)
    ]
    vcf("alleles.vcf", lines, samples)
    plink2("--vcf alleles.vcf --update-sex sex.txt --make-pgen --out alleles")
    plink2("--pfile alleles --max-alleles 2 --export bgen-1.2 ref-first --out alleles")
    plink2("--pfile alleles --max-alleles 2 --make-bed --out alleles")
    for pattern in (
        "*.log",
        "kept.*",
        "*.in.vcf",
        "sex.txt",
        "zipped.pgen",
        "zipped.psam",
        "dosages*.fam",
        "dosages*.bim",
    ):
        for path in HERE.glob(pattern):
            path.unlink()


if __name__ == "__main__":
    main()
