"""What a damaged file says, read again as plainly as can be: nothing here comes from the package."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

GENOTYPE = {"00": 2, "01": -1, "10": 1, "11": 0}


@dataclass
class Content:
    """Samples and variants in the order of the files; None where no plain reading is at hand."""

    samples: list[str] | None = None
    variants: list[tuple[str, int, str, str, str]] | None = (
        None  # chromosome, position, id, effect, other allele
    )
    dosage: np.ndarray | None = None
    values: dict[str, dict[str, float]] = field(default_factory=dict)


def lines_of(data: bytes) -> list[str]:
    """Lines that are not blank."""
    text = data.decode("utf-8-sig", errors="replace")
    return [line for line in re.split(r"\r\n|\n|\r", text) if line.strip(" \t")]


def rows_of(data: bytes) -> list[list[str]]:
    """Fields between blanks and tabs, of each line that is not blank."""
    return [re.split("[ \t]+", line.strip(" \t")) for line in lines_of(data)]


def position(text: str) -> int:
    return max(0, int(float(text)))


def bed(files: dict[str, bytes]) -> Content:
    variants = [(f[0], position(f[3]), f[1], f[4], f[5]) for f in rows_of(files["bim"])]
    samples = sample_ids([(f[0], f[1]) for f in rows_of(files["fam"])])
    width = (len(samples) + 3) // 4
    body = files["bed"][3:]
    if len(body) != width * len(variants):
        raise ValueError("the size does not fit")
    dosage = np.zeros((len(variants), len(samples)))
    for v in range(len(variants)):
        for s in range(len(samples)):
            two = body[v * width + s // 4] >> 2 * (s % 4) & 3
            dosage[v, s] = GENOTYPE[f"{two:02b}"]
    return Content(samples, variants, dosage)


def sample_ids(names: list[tuple[str, str]]) -> list[str]:
    iids = [iid for _, iid in names]
    return iids if len(set(iids)) == len(iids) else [f"{fid}_{iid}" for fid, iid in names]


def vcf(files: dict[str, bytes], kind: str = "vcf") -> Content:
    data = files[kind]
    if kind == "bcf":
        if not shutil.which("bcftools"):
            return Content()
        done = subprocess.run(["bcftools", "view"], input=data, capture_output=True, timeout=20)
        if done.returncode:
            raise ValueError("bcftools refuses it")
        data = done.stdout
    elif data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    samples: list[str] = []
    variants, dosage = [], []
    for line in data.decode(errors="replace").split("\n"):
        fields = line.rstrip("\r").split("\t")
        if fields[0] == "#CHROM":
            samples = fields[9:]
        if line.startswith("#") or len(fields) < 10:
            continue
        names = fields[8].split(":")
        calls = [dict(zip(names, text.split(":"), strict=False)) for text in fields[9:]]
        for k, alt in enumerate(fields[4].split(","), start=1):
            if alt in (".", "*") or not {"GT", "DS"} & set(names):
                continue
            variants.append((fields[0], position(fields[1]), fields[2], alt, fields[3]))
            if "DS" in names:
                dosage.append([number(call.get("DS", ".").split(",")[min(k, 1) - 1]) for call in calls])
            else:
                dosage.append([copies(call.get("GT", "."), str(k)) for call in calls])
    return Content(samples, variants, np.array(dosage))


def copies(call: str, allele: str) -> int:
    alleles = re.split(r"[/|]", call)
    if "." in alleles:
        return -1
    return sum(a == allele for a in alleles) * (2 if len(alleles) == 1 else 1)


def number(text: str) -> float:
    return np.nan if text in (".", "") else float(text)


def pgen(files: dict[str, bytes]) -> Content:
    """Samples and variants; the genotypes lie in a format that takes more than a few lines."""
    head: list[str] = []
    variants = []
    for fields in rows_of(files["pvar"]):
        if fields[0].startswith("##"):
            continue
        if fields[0].startswith("#"):
            head = fields
            continue
        row = dict(zip(head, fields, strict=False))
        variants.append((row["#CHROM"], position(row["POS"]), row["ID"], row["ALT"], row["REF"]))
    rows = [fields for fields in rows_of(files["psam"]) if not fields[0].startswith("##")]
    head, *body = rows
    j = next(k for k, name in enumerate(head) if name.lstrip("#") == "IID")
    names = [(row[0] if head[0] == "#FID" else "0", row[j]) for row in body]
    return Content(sample_ids(names), variants)


def bgen(files: dict[str, bytes]) -> Content:
    """Samples of the sample file, variants of the BGEN 1.2 file (https://www.chg.ox.ac.uk/~gav/bgen_format/)."""
    data = files["bgen"]
    samples = sample_ids([(f[0], f[1]) for f in rows_of(files["sample"])[2:]])
    place = 4 + int.from_bytes(data[:4], "little")
    n_variants = int.from_bytes(data[8:12], "little")
    variants = []

    def text(width: int) -> str:
        nonlocal place
        size = int.from_bytes(data[place : place + width], "little")
        place += width + size
        if place > len(data):
            raise ValueError("truncated")
        return data[place - size : place].decode(errors="replace")

    for _ in range(n_variants):
        first, second, chromosome = text(2), text(2), text(2)
        where = int.from_bytes(data[place : place + 4], "little")
        place += 6
        ref, alt = text(4), text(4)
        place += 4 + int.from_bytes(data[place : place + 4], "little")
        variants.append((chromosome, where, second or first, alt, ref))
    return Content(samples, variants)


def table(data: bytes, column: str) -> dict[str, float]:
    """Values of a column by IID; raises where it is no plain table of numbers."""
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    rows = lines_of(data)
    delimiter = next((d for d in "\t,;" if d in rows[0]), None)
    head, *body = ([field.strip() for field in row.split(delimiter)] for row in rows)
    i = next(k for k, name in enumerate(head) if name.lstrip("#") == "IID")
    j = head.index(column)
    values = {}
    for row in body:
        if row[i] in values:
            raise ValueError("an id comes twice")
        text = row[j]
        value = np.nan if text.lower() in ("na", "nan", "n/a", ".", "") else float(text)
        values[row[i]] = np.nan if value == -9 else value
    return values


def read(kind: str, folder: Path, names: dict[str, str]) -> Content:
    """Read the files (kind of file: name) of a folder as format `kind`."""
    files = {part: (folder / name).read_bytes() for part, name in names.items()}
    content = {
        "bed": bed,
        "vcf": vcf,
        "bcf": lambda f: vcf(f, "bcf"),
        "pgen": pgen,
        "bgen": bgen,
    }[kind](files)
    for part, column in (("pheno", "height"), ("covar", "age")):
        if part in files:
            content.values[part] = table(files[part], column)
    return content
