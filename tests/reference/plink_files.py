"""PLINK 1 files written and read one genotype at a time, from the format page."""

from __future__ import annotations

from pathlib import Path

import numpy as np

# copies of allele 1 -> two bits (https://www.cog-genomics.org/plink/1.9/formats#bed)
BITS = {2: 0b00, -1: 0b01, 1: 0b10, 0: 0b11}
DOSAGE = {bits: dosage for dosage, bits in BITS.items()}


def write_bed(path: Path, dosage: np.ndarray) -> None:
    """Write copies of allele 1 (variants, samples), -1 missing."""
    out = bytearray(b"\x6c\x1b\x01")
    for row in dosage:
        for start in range(0, len(row), 4):
            byte = 0
            for place, value in enumerate(row[start : start + 4]):
                byte |= BITS[int(value)] << (2 * place)
            out.append(byte)
    path.write_bytes(bytes(out))


def read_bed(path: Path, n_variants: int, n_samples: int) -> np.ndarray:
    """Read copies of allele 1 (variants, samples), -1 missing."""
    data = path.read_bytes()[3:]
    width = (n_samples + 3) // 4
    return np.array(
        [
            [DOSAGE[data[v * width + s // 4] >> (2 * (s % 4)) & 0b11] for s in range(n_samples)]
            for v in range(n_variants)
        ],
        dtype=np.int8,
    ).reshape(n_variants, n_samples)


def write_plink(
    prefix: Path,
    dosage: np.ndarray,
    *,
    iid: list[str] | None = None,
    fid: list[str] | None = None,
    chromosomes: list[str] | None = None,
    phenotype: list[str] | None = None,
) -> Path:
    """Write a fileset: samples s0, s1, ..., variants v0, v1, ... at 100, 200, ... with alleles A and G."""
    n_variants, n_samples = dosage.shape
    iid = iid or [f"s{i}" for i in range(n_samples)]
    fid = fid or ["0"] * n_samples
    chromosomes = chromosomes or ["1"] * n_variants
    phenotype = phenotype or ["-9"] * n_samples
    write_bed(Path(f"{prefix}.bed"), dosage)
    Path(f"{prefix}.bim").write_text(
        "".join(f"{c}\tv{i}\t0\t{100 * (i + 1)}\tA\tG\n" for i, c in enumerate(chromosomes))
    )
    Path(f"{prefix}.fam").write_text(
        "".join(
            f"{f} {i} 0 0 {k % 3} {p}\n" for k, (f, i, p) in enumerate(zip(fid, iid, phenotype, strict=True))
        )
    )
    return prefix
