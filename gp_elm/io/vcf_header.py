"""What a VCF or BCF file says of itself before its first record, and whether it is whole."""

from __future__ import annotations

import gzip
import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gp_elm.errors import InputError

COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
# the empty block that ends a BGZF file (SAM/BAM specification, section 4.1.2)
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_GZIP = b"\x1f\x8b"
# nobody's header is longer; a file without line ends would otherwise be read whole
_LONGEST_LINE = 1 << 28


@dataclass(frozen=True)
class VcfHeader:
    """A header.

    Attributes
    ----------
    samples : tuple of str
        In the order of the file.
    contigs : tuple of str
        Chromosomes declared, at the place of their BCF number; empty where none are.
    formats : dict
        (Number, Type) of each FORMAT field declared.
    binary : bool
        BCF.
    blocked : bool
        BGZF, which can be indexed.
    """

    samples: tuple[str, ...]
    contigs: tuple[str, ...]
    formats: dict[str, tuple[str, str]]
    binary: bool
    blocked: bool


def read_header(path: Path) -> VcfHeader:
    """Read the header, and check what can be checked without reading the records.

    Parameters
    ----------
    path : Path
        VCF, compressed or not, or BCF.

    Returns
    -------
    VcfHeader
        What it says.

    Raises
    ------
    InputError
        Where the file is missing, empty, truncated, no VCF, has no samples or one of them twice, or where its first
        record has another number of columns than the header.
    """
    try:
        size = path.stat().st_size if path.is_file() else -1
        if size < 0:
            raise InputError(f"{path}: no such file; check --vcf")
        if size == 0:
            raise InputError(f"{path}: the file is empty; copy it again")
        with open(path, "rb") as raw:
            head = raw.read(18)
            raw.seek(max(0, size - len(_BGZF_END)))
            tail = raw.read()
        packed = head[:2] == _GZIP
        blocked = packed and len(head) == 18 and bool(head[3] & 4) and head[12:14] == b"BC"
        if blocked and tail != _BGZF_END:
            raise InputError(f"{path}: the file is truncated (its last BGZF block is missing); copy it again")
        opened: IO[bytes] = gzip.open(path, "rb") if packed else open(path, "rb")  # type: ignore[assignment]
        with opened as handle:
            return _parse(path, handle, blocked)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path}: the compressed data end early or are damaged; copy the file again"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def _parse(path: Path, handle: IO[bytes], blocked: bool) -> VcfHeader:
    start = handle.read(5)
    binary = start[:3] == b"BCF"
    if binary:
        if start != b"BCF\x02\x02" and start != b"BCF\x02\x01":
            raise InputError(f"{path}: BCF of an old version; convert it with bcftools view")
        (length,) = struct.unpack("<I", handle.read(4).ljust(4, b"\0"))
        text = handle.read(min(length, _LONGEST_LINE))
        if len(text) < length:
            raise InputError(f"{path}: the file ends within its header; copy it again")
        lines = iter(text.rstrip(b"\0").decode("utf-8", "replace").split("\n"))
    elif start[:2] == b"##" or start == b"#CHRO":
        lines = _text_lines(path, start, handle)
    else:
        raise InputError(
            f"{path}: this is no VCF or BCF (it starts with {start!r}, not ##fileformat=VCF); check the path"
        )
    contigs: dict[int, str] = {}
    formats = {}
    first = True
    for line in lines:
        if first and not line.startswith("##fileformat=VCF"):
            raise InputError(f"{path}: the first line is not ##fileformat=VCF; the header is missing")
        first = False
        if line.startswith("##contig=<"):
            name = re.search(r"[<,]ID=([^,>]+)", line)
            number = re.search(r"[<,]IDX=(\d+)", line)
            if name:
                contigs[int(number[1]) if number else len(contigs)] = name[1]
        elif line.startswith("##FORMAT=<"):
            field = {key: value for key, value in re.findall(r"[<,](ID|Number|Type)=([^,>]+)", line)}
            formats[field.get("ID", "")] = (field.get("Number", ""), field.get("Type", ""))
        elif line.startswith("#CHROM"):
            samples = _samples(path, line)
            if not binary:
                _check_first_record(path, lines, len(samples))
            named = tuple(contigs.get(k, "") for k in range(max(contigs, default=-1) + 1))
            return VcfHeader(samples, named, formats, binary, blocked)
        elif not line.startswith("##"):
            break
    raise InputError(
        f"{path}: the header line that starts with #CHROM is missing; mend the header or copy the file again"
    )


def _text_lines(path: Path, start: bytes, handle: IO[bytes]) -> Iterator[str]:
    while line := start + handle.readline(_LONGEST_LINE):
        if len(line) >= _LONGEST_LINE:
            raise InputError(f"{path}: a line of more than {_LONGEST_LINE:,} bytes; this is no VCF")
        start = b""
        yield line.decode("utf-8", "replace").rstrip("\r\n")


def _samples(path: Path, line: str) -> tuple[str, ...]:
    names = line.split("\t")
    if tuple(names[:8]) != COLUMNS:
        raise InputError(
            f"{path}: the line #CHROM does not begin with the columns {' '.join(COLUMNS)}, separated by tabs; "
            "mend the header"
        )
    if len(names) < 10:
        raise InputError(f"{path}: no samples; a VCF of sites alone has no genotypes to read")
    samples = names[9:]
    if len(set(samples)) < len(samples):
        seen: set[str] = set()
        twice = next(name for name in samples if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InputError(f"{path}: sample {twice!r} is there twice; rename one (bcftools reheader)")
    if "" in samples:
        raise InputError(
            f"{path}: column {samples.index('') + 10} of the line #CHROM has no name; give it one"
        )
    return tuple(samples)


def _check_first_record(path: Path, lines: Iterator[str], n_samples: int) -> None:
    # a surplus of columns is not seen by the library, and it stands in all records or in none
    record = next(lines, None)
    found = 0 if not record else record.count("\t") + 1
    if record and found != n_samples + 9:
        raise InputError(
            f"{path}: the first record has {found} columns, the header {n_samples + 9}; "
            "mend the file or copy it again"
        )


def index_of(path: Path) -> Path | None:
    """Index beside a file (``.csi`` or ``.tbi``) that is not older than it; None where there is none."""
    for suffix in (".csi", ".tbi"):
        index = Path(f"{os.fspath(path)}{suffix}")
        if index.is_file() and index.stat().st_mtime >= path.stat().st_mtime - 1:
            return index
    return None
