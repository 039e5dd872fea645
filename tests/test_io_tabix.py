"""BGZF and its index, read by htslib (cyvcf2 always; bgzip, tabix and bcftools where they are installed)."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
from cyvcf2 import VCF

from gp_elm.io.tabix import BLOCK, END_OF_FILE, BgzfWriter, PositionIndex

Record = tuple[str, int, int]

HEADER = "##fileformat=VCFv4.3\n{contigs}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def indexed(path: Path, records: list[Record], *, level: int = 6) -> str:
    """Write records (contig, first from 1, last) as an indexed VCF, each named by its number."""
    names = dict.fromkeys(name for name, _, _ in records)
    index = PositionIndex()
    with path.open("wb") as handle, BgzfWriter(handle, level=level, threads=2) as out:
        out.write(HEADER.format(contigs="".join(f"##contig=<ID={n}>\n" for n in names)).encode())
        for k, (name, first, last) in enumerate(records):
            start = out.tell()
            out.write(f"{name}\t{first}\tr{k}\tN\t<DEL>\t.\t.\tEND={last}\n".encode())
            index.add(name.encode(), first - 1, last, start, out.tell())
    assert not index.disorder
    index.save(f"{path}{index.suffix}", out)
    return index.suffix


def cohort(rng: np.random.Generator, *, longest: int, n: int = 4000) -> list[Record]:
    records = []
    for name in ("1", "chr2", "scaffold_3"):
        first = np.sort(rng.integers(1, longest, n))
        length = np.where(rng.random(n) < 0.02, rng.integers(1, longest // 10, n), rng.integers(1, 50, n))
        records += [(name, int(f), int(f + k)) for f, k in zip(first, length, strict=True)]
    return records


def found(path: Path, region: str) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cyvcf2 of a region without records
        return [record.ID for record in VCF(str(path))(region)]


@pytest.mark.parametrize(("longest", "suffix"), [(240_000_000, ".tbi"), (2_000_000_000, ".csi")])
def test_region_queries_find_what_overlaps(tmp_path: Path, longest: int, suffix: str) -> None:
    rng = np.random.default_rng(1)
    records = cohort(rng, longest=longest)
    path = tmp_path / "a.vcf.gz"
    assert indexed(path, records) == suffix
    assert gzip.decompress(path.read_bytes()).count(b"\n") == len(records) + 5
    n_found = 0
    for name in ("1", "chr2", "scaffold_3"):
        for low in rng.integers(1, longest, 25):
            high = int(low + rng.choice([1, 1000, 50_000, longest // 5]))
            expected = [
                f"r{k}" for k, (c, f, e) in enumerate(records) if c == name and f <= high and e >= low
            ]
            assert found(path, f"{name}:{low}-{high}") == expected
            n_found += len(expected)
    assert n_found > 5_000


@pytest.mark.skipif(not shutil.which("tabix") or not shutil.which("bcftools"), reason="needs tabix, bcftools")
@pytest.mark.parametrize("longest", [240_000_000, 2_000_000_000])
def test_as_tabix_makes_it(tmp_path: Path, longest: int) -> None:
    records = cohort(np.random.default_rng(2), longest=longest, n=3000)
    ours, theirs = tmp_path / "ours.vcf.gz", tmp_path / "theirs.vcf.gz"
    suffix = indexed(ours, records)
    shutil.copy(ours, theirs)
    kind = ["--csi"] if suffix == ".csi" else []
    subprocess.run(["tabix", "-p", "vcf", *kind, theirs], check=True)
    for arguments in (["tabix", "-l"], ["bcftools", "index", "-s"]):
        text = [
            subprocess.run([*arguments, p], capture_output=True, text=True, check=True)
            for p in (ours, theirs)
        ]
        assert text[0].stdout == text[1].stdout != ""
    region = f"chr2:{longest // 3}-{longest // 2}"
    text = [subprocess.run(["tabix", p, region], capture_output=True, check=True) for p in (ours, theirs)]
    assert text[0].stdout == text[1].stdout != b""
    subprocess.run(["bgzip", "--test", ours], check=True)


def test_blocks(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    path = tmp_path / "a.gz"
    # random bytes do not compress: the block must still fit; one write ends at a block's end
    data = [rng.bytes(BLOCK), rng.bytes(3 * BLOCK + 17), b"A" * 500_000, b"", b"end"]
    places = []
    with path.open("wb") as handle, BgzfWriter(handle) as out:
        for piece in data:
            places.append(out.tell())
            out.write(piece)
    content = path.read_bytes()
    assert gzip.decompress(content) == b"".join(data)
    assert content.endswith(END_OF_FILE) and content.count(END_OF_FILE) == 1
    for place, piece in zip(places, data, strict=True):
        offset = out.virtual_offset(place)
        with path.open("rb") as handle:
            handle.seek(offset >> 16)
            with gzip.GzipFile(fileobj=handle) as rest:
                rest.read(offset & 0xFFFF)
                assert rest.read(len(piece)) == piece


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([("1", 5), ("2", 1), ("1", 9)], "contig 1 comes again"),
        ([("1", 5), ("1", 4), ("2", 1)], "position 4 of contig 1 comes after 5"),
    ],
)
def test_disorder_is_told(records: list[tuple[str, int]], words: str) -> None:
    index = PositionIndex()
    for k, (name, position) in enumerate(records):
        index.add(name.encode(), position - 1, position, k, k + 1)
    assert words in index.disorder


def test_no_records(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf.gz"
    assert indexed(path, []) == ".tbi"
    assert list(VCF(str(path))) == []


def test_nothing_is_closed_on_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    with path.open("wb") as handle, pytest.raises(RuntimeError, match="stop"), BgzfWriter(handle) as out:
        out.write(b"A" * 1_000_000)
        raise RuntimeError("stop")
    assert not path.read_bytes().endswith(END_OF_FILE)
