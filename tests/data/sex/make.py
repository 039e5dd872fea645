"""A small cohort with sex chromosomes, and what PLINK 2 makes of it: ``python make.py``, run once (v2.00a3.5)."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
from reference.plink_files import write_bed  # noqa: E402

rng = np.random.default_rng(11)
N = 90
sex = rng.choice([0, 1, 2], N, p=[0.08, 0.46, 0.46])
male, female = np.flatnonzero(sex == 1), np.flatnonzero(sex == 2)
chromosomes = ["1"] * 14 + ["2"] * 4 + ["X"] * 8 + ["Y"] * 3 + ["XY"] * 2 + ["MT"] * 3
M = len(chromosomes)
dosage = rng.binomial(2, rng.uniform(0.1, 0.9, (M, 1)), (M, N)).astype(np.int8)
dosage[2] = 2 * rng.integers(0, 2, N)  # no heterozygote
dosage[3] = np.where(rng.random(N) < 0.9, 1, 0)  # too many
dosage[4] = 0
dosage[4, :6] = 1  # six copies
dosage[5] = 2
dosage[5, 3:8] = 1  # five copies of the other allele
dosage[6] = rng.choice([0, 1, 2], N, p=[0.45, 0.25, 0.3])
dosage[7] = rng.choice([0, 1, 2], N, p=[0.3, 0.35, 0.35])
for v, name in enumerate(chromosomes):
    if name in ("X", "Y"):
        dosage[v, male] = 2 * rng.binomial(1, 0.4, len(male))
    if name == "MT":
        dosage[v] = 2 * rng.binomial(1, 0.6, N)
    if name == "Y":
        dosage[v, sex == 2] = -1
rate = np.full((M, 1), 0.04)
rate[[8, 9, 22, 26]] = [[0.12], [0.2], [0.12], [0.2]]
lost = rng.random((M, N)) < rate
lost[[4, 5]] = False
dosage[lost] = -1
x, y, mt = (np.flatnonzero(np.array(chromosomes) == name) for name in ("X", "Y", "MT"))
dosage[x[0], male[:4]] = 1
dosage[x[5], male[7]] = 1
dosage[y[0], male[2:4]] = 1
dosage[y[1], female[:3]] = 2
dosage[mt[1], [1, 8, 15]] = 1
trait = rng.standard_normal(N) + 0.6 * (dosage[x[2]] > 0) + 0.5 * (sex == 1)
alleles = [("A", "G")] * M
alleles[0], alleles[1], alleles[2], alleles[3], alleles[8], alleles[9], alleles[10] = (
    ("AT", "A"), (".", "C"), ("a", "c"), ("*", "G"), ("N", "A"), ("<DEL>", "T"), ("0", "C"),
)  # fmt: skip
family = [f"f{k // 3}" if k % 7 else "0" for k in range(N)]

for old in HERE.glob("[!m]*.*"):
    old.unlink()
write_bed(HERE / "cohort.bed", dosage)
(HERE / "cohort.bim").write_text(
    "".join(
        f"{c}\tv{v}\t0\t{100 * (v + 1)}\t{a}\t{b}\n"
        for v, (c, (a, b)) in enumerate(zip(chromosomes, alleles, strict=True))
    )
)
(HERE / "cohort.fam").write_text("".join(f"{family[k]} s{k} 0 0 {sex[k]} {trait[k]:.6f}\n" for k in range(N)))


def plink2(work: Path, *words: str, out: str) -> Path:
    subprocess.run(["plink2", *words, "--out", work / out, "--threads", "1"], check=True, capture_output=True)
    return work / out


with tempfile.TemporaryDirectory() as folder:
    work = Path(folder)
    raw = ["--bfile", str(HERE / "cohort")]
    plink2(work, *raw, "--set-hh-missing", "--set-mixed-mt-missing", "--make-bed", out="clean")
    clean = ["--bfile", str(work / "clean")]
    sexed = [*clean, "--remove-nosex"]
    glm = "cols=chrom,pos,ref,alt,a1freq,nobs,beta,se,p"
    for model in "12":
        for name, words in (
            ("", ["no-x-sex", "allow-no-covars"]),
            ("_sex", ["sex", "hide-covar", "allow-no-covars"]),
        ):
            # with sex as a covariate the samples of unknown sex leave by themselves
            made = plink2(
                work,
                *(clean if name else sexed),
                "--glm",
                "omit-ref",
                *words,
                glm,
                "--xchr-model",
                model,
                out=f"m{model}{name}",
            )
            (HERE / f"xchr_model_{model}{name}.glm.linear").write_text(
                Path(f"{made}.PHENO1.glm.linear").read_text()
            )
    made = plink2(work, *sexed, "--freq", "--missing", "variant-only", out="f")
    for kind in ("afreq", "vmiss"):
        (HERE / f"cohort.{kind}").write_text(Path(f"{made}.{kind}").read_text())
    made = plink2(work, *sexed, "--missing", "sample-only", out="f")
    (HERE / "cohort.smiss").write_text(Path(f"{made}.smiss").read_text())
    columns = "cols=chrom,ax,gcounts,femalep,p"
    for name, words in (("", []), ("_midp", ["midp"])):
        made = plink2(work, *sexed, "--hardy", *words, columns, out="h")
        for kind in ("hardy", "hardy.x"):
            (HERE / f"cohort{name}.{kind}").write_text(Path(f"{made}.{kind}").read_text())
    lists = []
    for words in (
        "--maf 0.1", "--max-maf 0.3", "--mac 6", "--mac 7", "--max-mac 5", "--max-mac 40", "--geno 0.1", "--geno 0.05",
        "--maf 0.2 --max-maf 0.4 --geno 0.1",
        "--autosome --hwe 0.05", "--autosome --hwe 0.001", "--autosome --hwe 0.05 midp",
        "--snps-only", "--snps-only just-acgt", "--chr 1 --from-bp 300", "--chr 1 --to-bp 700",
        "--chr 2 --from-bp 1500.5 --to-bp 1700", "--chr X", "--chr 23", "--chr 23-26", "--chr chrX,25",
    ):  # fmt: skip
        made = plink2(work, *sexed, *words.split(), "--write-snplist", out="l")
        lists.append(f"variants\t{words}\t{' '.join(Path(f'{made}.snplist').read_text().split())}")
    (work / "fam.txt").write_text("f1\nf4\nf9\nnone\n")
    (work / "zero.txt").write_text("0\n")
    for words in ("--keep-fam fam.txt", "--remove-fam fam.txt", "--keep-fam zero.txt", "--mind 0.06"):
        option, value = words.split()
        value = str(work / value) if value.endswith("txt") else value
        made = plink2(work, *sexed, option, value, "--write-samples", out="l")
        ids = [line.split()[1] for line in Path(f"{made}.id").read_text().splitlines()[1:]]
        lists.append(f"samples\t{words}\t{' '.join(ids)}")
    (HERE / "lists.tsv").write_text("\n".join(lists) + "\n")
