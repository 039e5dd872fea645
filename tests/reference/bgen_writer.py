"""BGEN 1.2 written plainly: any ploidy up to 2, phase, number of alleles and bits, one value at a time."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np


def genotype_order(n_alleles: int) -> list[tuple[int, int]]:
    """Unphased diploid genotypes in the order of the format."""
    return [(i, j) for j in range(n_alleles) for i in range(j + 1)]


def probability_block(
    sets: list[list[list[int]] | None], ploidy: list[int], n_alleles: int, phased: bool, bits: int
) -> bytes:
    """Block of integers that sum to 2**bits - 1 in each set; None is a missing sample."""
    packed, n_bits = 0, 0
    n_hidden = len(genotype_order(n_alleles)) - 1
    for sample, p in zip(sets, ploidy, strict=True):
        if sample is None:
            width = n_hidden if p == 2 and not phased else p * (n_alleles - 1)
            n_bits += width * bits
            continue
        for values in sample:
            for value in values[:-1]:
                packed |= value << n_bits
                n_bits += bits
    kinds = bytes(p | (128 if s is None else 0) for s, p in zip(sets, ploidy, strict=True))
    head = struct.pack("<IHBB", len(ploidy), n_alleles, min(ploidy), max(ploidy))
    return head + kinds + bytes([phased, bits]) + packed.to_bytes(-(-n_bits // 8), "little")


def write_bgen(
    path: Path, records: list[tuple[str, int, str, list[str], bytes]], ids: list[str] | None
) -> None:
    """Write records (chromosome, position, id, alleles, block), zlib-compressed, with embedded ids where given."""
    n = struct.unpack("<I", records[0][4][:4])[0]
    samples = b""
    if ids is not None:
        body = b"".join(struct.pack("<H", len(i)) + i.encode() for i in ids)
        samples = struct.pack("<II", 8 + len(body), n) + body
    flags = 1 | 2 << 2 | (ids is not None) << 31
    out = struct.pack("<IIII4sI", 20 + len(samples), 20, len(records), n, b"bgen", flags) + samples
    for chromosome, position, name, alleles, block in records:
        for text in ("", name, chromosome):
            out += struct.pack("<H", len(text)) + text.encode()
        out += struct.pack("<IH", position, len(alleles))
        for allele in alleles:
            out += struct.pack("<I", len(allele)) + allele.encode()
        packed = zlib.compress(block)
        out += struct.pack("<II", len(packed) + 4, len(block)) + packed
    path.write_bytes(out)


def random_record(
    rng: np.random.Generator, n: int, n_alleles: int, phased: bool, bits: int
) -> tuple[bytes, np.ndarray]:
    """A block, and the copies of every allele (alleles, n) that it stands for; haploid calls count two."""
    full = 2**bits - 1
    sets: list[list[list[int]] | None] = []
    ploidy = [int(p) for p in rng.integers(1, 3, n)]
    copies = np.full((n_alleles, n), np.nan)
    for i, p in enumerate(ploidy):
        if rng.random() < 0.2:
            sets.append(None)
            continue
        whole = p == 2 and not phased
        size = len(genotype_order(n_alleles)) if whole else n_alleles
        drawn = [np.sort(rng.integers(0, full + 1, size - 1)) for _ in range(1 if whole else p)]
        values = [[int(v) for v in np.diff([0, *d.tolist(), full])] for d in drawn]
        sets.append(values)
        copies[:, i] = 0
        for one in values:
            for index, value in enumerate(one):
                for allele in genotype_order(n_alleles)[index] if whole else (index,):
                    copies[allele, i] += value / full * (2 if p == 1 else 1)
    return probability_block(sets, ploidy, n_alleles, phased, bits), copies
