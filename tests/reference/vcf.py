"""A VCF as text, read one call at a time: the slow twin of gp_elm.io.vcf."""

from __future__ import annotations

import math
from typing import NamedTuple


class Row(NamedTuple):
    """One ALT of one record."""

    chromosome: str
    position: int
    name: str
    alt: str
    ref: str
    copies: list[float]


def read_rows(text: str, field: str = "GT", passed: bool = False) -> list[Row]:
    """Rows of a VCF: GT with -1 missing, or DS with NaN missing."""
    rows = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        chromosome, position, name, ref, alts, _, filters, _, keys, *calls = line.split("\t")
        if passed and filters not in ("PASS", "."):
            continue
        names = keys.split(":")
        if field not in names:
            continue
        for k, alt in enumerate(alts.split(","), start=1):
            if alt in (".", "*", "<NON_REF>", "<*>"):
                continue
            copies = []
            for call in calls:
                values = dict(zip(names, call.split(":"), strict=False))
                copies.append(hard(values["GT"], k) if field == "GT" else dosage(values, k))
            rows.append(Row(chromosome, int(position), name, alt, ref, copies))
    return rows


def hard(call: str, alt: int) -> int:
    alleles = call.replace("|", "/").split("/")
    if "." in alleles:
        return -1
    copies = sum(int(allele) == alt for allele in alleles)
    return 2 * copies if len(alleles) == 1 else copies


def dosage(values: dict[str, str], alt: int) -> float:
    given = values.get("DS", ".").split(",")
    if len(given) < alt or given[alt - 1] == ".":
        return math.nan
    haploid = values.get("GT", "./.").isdigit()
    return float(given[alt - 1]) * (2 if haploid else 1)


def random_vcf(rng, n_samples: int = 7, n_records: int = 12, *, dosages: bool = False) -> str:
    """Sorted records of mixed kinds: phase, ploidy, missing and half-missing calls, several and odd ALTs, FILTER."""
    lines = [
        "##fileformat=VCFv4.3",
        '##FILTER=<ID=q10,Description="low quality">',
        "##contig=<ID=1>",
        "##contig=<ID=2>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        '##FORMAT=<ID=DS,Number=A,Type=Float,Description="Dosage">',
        "\t".join(
            "#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT".split() + [f"s{i}" for i in range(n_samples)]
        ),
    ]
    positions = sorted(rng.integers(1, 3_000_000, n_records))
    second = rng.integers(0, n_records + 1)
    for i, position in enumerate(sorted(positions[:second]) + sorted(positions[second:])):
        ref = str(rng.choice(["A", "G", "ACGT" * 5]))
        pool = ["C", "T", "GA", "*", "<DEL>", "<NON_REF>"]
        n_alt = int(rng.choice([0, 1, 1, 1, 1, 2, 3]))
        alts = [
            str(alt) for alt in rng.choice(pool, n_alt, replace=False, p=[0.3, 0.3, 0.2, 0.1, 0.05, 0.05])
        ]
        keys = str(rng.choice(["GT", "GT", "GT:DS", "DS"] if dosages else ["GT", "GT", "GT", "DS"]))
        calls = []
        for _ in range(n_samples):
            ploidy = int(rng.choice([1, 2, 2, 2, 2]))
            alleles = [str(rng.choice([".", *map(str, range(n_alt + 1)), "0"])) for _ in range(ploidy)]
            call = str(rng.choice(["/", "|"])).join(alleles)
            top = 1 if call.isdigit() and "GT" in keys else 2
            given = ",".join(
                "." if rng.random() < 0.2 else f"{rng.random() * top:.3f}" for _ in range(max(n_alt, 1))
            )
            calls.append(":".join({"GT": call, "DS": given}[key] for key in keys.split(":")))
        name = f"rs{i}" if rng.random() < 0.5 else "."
        filters = str(rng.choice(["PASS", ".", "q10"]))
        chromosome = "1" if i < second else "2"
        fields = [chromosome, str(position), name, ref, ",".join(alts) or ".", ".", filters, ".", keys]
        lines.append("\t".join(fields + calls))
    return "\n".join(lines) + "\n"
