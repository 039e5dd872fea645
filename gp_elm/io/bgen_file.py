"""Layout of a BGEN file: header, sample ids, and where its variants stand.

The format is https://www.chg.ox.ac.uk/~gav/bgen_format/spec/v1.2.html; the index that ``bgenix -index`` writes beside
it (``.bgi``) is a SQLite table of the same variants.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gp_elm.errors import InputError
from gp_elm.runtime.progress import Progress

log = logging.getLogger(__name__)

AGAIN = "copy the file again, or write it again with plink2 --export bgen-1.2"
HEAD_BYTES = 512  # holds the identifiers of nearly every variant


@dataclass(frozen=True)
class BgenHeader:
    """What the first bytes of a BGEN file say.

    Attributes
    ----------
    n_variants, n_samples : int
        Counts.
    layout : int
        1 (BGEN 1.1) or 2 (BGEN 1.2 and 1.3).
    compression : int
        0 none, 1 zlib, 2 zstd.
    sample_ids : list of str or None
        Those embedded.
    first : int
        Offset of the first variant.
    """

    n_variants: int
    n_samples: int
    layout: int
    compression: int
    sample_ids: list[str] | None
    first: int


class BgenVariant(NamedTuple):
    """Identity of a record, and where its genotypes stand.

    Attributes
    ----------
    chromosome, id : str
        The id is the rsid, or the other identifier where that is empty.
    position : int
        1-based.
    alleles : tuple of str
        In the order of the file.
    genotypes, size : int
        Offset and bytes of the genotype block.
    """

    chromosome: str
    position: int
    id: str
    alleles: tuple[str, ...]
    genotypes: int
    size: int


def read_header(path: Path) -> BgenHeader:
    """Header and embedded sample ids of a BGEN file; raises InputError where they make no sense."""
    size = path.stat().st_size
    with open(path, "rb") as handle:
        head = handle.read(24)
        if len(head) < 24:
            raise InputError(f"{path}: {size} bytes are too few for a BGEN header; {AGAIN}")
        offset, length, n_variants, n_samples, magic = struct.unpack("<IIII4s", head[:20])
        if magic not in (b"bgen", b"\0\0\0\0") or length < 20 or offset < length:
            raise InputError(
                f"{path}: bytes 17 to 20 are {magic.hex(' ')}, not 'bgen', or the header has no sensible length: "
                "this is no BGEN file; check the path"
            )
        if offset + 4 > size:
            raise InputError(f"{path}: {size:,} bytes, but the header alone takes {offset + 4:,}; {AGAIN}")
        handle.seek(length)  # the last four bytes of the header, which starts at 4
        (flags,) = struct.unpack("<I", handle.read(4))
        compression, layout = flags & 3, flags >> 2 & 15
        if layout not in (1, 2) or compression == 3 or (layout == 1 and compression == 2):
            raise InputError(
                f"{path}: layout {layout} with compression {compression} is no BGEN 1.1, 1.2 or 1.3; {AGAIN}"
            )
        if n_samples == 0 or n_variants == 0:
            raise InputError(
                f"{path}: {n_samples} samples, {n_variants} variants: the file is empty; {AGAIN}"
            )
        # a record takes at least its counts and lengths, and a byte
        if n_variants * 12 > size:
            raise InputError(
                f"{path}: {size:,} bytes cannot hold the {n_variants:,} variants of the header; {AGAIN}"
            )
        ids = _embedded_ids(path, handle.read(offset - length), n_samples) if flags >> 31 else None
    return BgenHeader(n_variants, n_samples, layout, compression, ids, offset + 4)


def _embedded_ids(path: Path, block: bytes, n_samples: int) -> list[str]:
    try:
        _, n = struct.unpack_from("<II", block)
        if n != n_samples:
            raise InputError(f"{path}: {n_samples:,} samples in the header, {n:,} ids embedded; {AGAIN}")
        ids, at = [], 8
        for _ in range(n):
            (width,) = struct.unpack_from("<H", block, at)
            if at + 2 + width > len(block):
                raise struct.error
            ids.append(block[at + 2 : at + 2 + width].decode("utf-8", "replace"))
            at += 2 + width
    except struct.error:
        raise InputError(f"{path}: the block of sample ids is cut short; {AGAIN}") from None
    return ids


def parse_variant(data: bytes, layout: int, compressed: bool, n_samples: int, offset: int = 0) -> BgenVariant:
    """Identity of the record that `data` starts with, `offset` being where that is in the file.

    Raises
    ------
    struct.error
        Where `data` ends before the genotypes.
    ValueError
        Where the record makes no sense.
    """
    at = 0
    if layout == 1:
        (n,) = struct.unpack_from("<I", data)
        if n != n_samples:
            raise ValueError(f"{n} samples in the record, {n_samples} in the header")
        at = 4
    texts = []
    for _ in range(3):
        (width,) = struct.unpack_from("<H", data, at)
        texts.append(_text(data, at + 2, width))
        at += 2 + width
    if layout == 1:
        (position,), n_alleles, at = struct.unpack_from("<I", data, at), 2, at + 4
    else:
        position, n_alleles = struct.unpack_from("<IH", data, at)
        at += 6
    if n_alleles < 2:
        raise ValueError(f"{n_alleles} alleles")
    alleles = []
    for _ in range(n_alleles):
        (width,) = struct.unpack_from("<I", data, at)
        alleles.append(_text(data, at + 4, width))
        at += 4 + width
    size = 6 * n_samples
    if layout == 2 or compressed:
        (size,) = struct.unpack_from("<I", data, at)
        at += 4
    other_id, rsid, chromosome = texts
    name = rsid if rsid not in ("", ".") else other_id or "."
    return BgenVariant(chromosome, position, name, tuple(alleles), offset + at, size)


def _text(data: bytes, at: int, width: int) -> str:
    if at + width > len(data):
        raise struct.error
    return data[at : at + width].decode("utf-8", "replace")


def scan_variants(path: Path, header: BgenHeader) -> Iterator[tuple[int, BgenVariant]]:
    """Offset and identity of every variant in the order of the file, found by stepping from one to the next."""
    end = path.stat().st_size
    at = header.first
    with (
        open(path, "rb", buffering=0) as handle,
        Progress(
            f"Finding the variants of {path.name}", total=header.n_variants, unit="variants"
        ) as progress,
    ):
        for row in range(header.n_variants):
            variant = _variant_at(path, handle.fileno(), at, end, row, header)
            yield at, variant
            at = variant.genotypes + variant.size
            progress.update(1)
    if at != end:
        log.warning(
            "%s: %d bytes follow the %d variants that the header counts, and are left out",
            path, end - at, header.n_variants,
        )  # fmt: skip


def _variant_at(path: Path, fd: int, at: int, end: int, row: int, header: BgenHeader) -> BgenVariant:
    width = HEAD_BYTES
    while True:
        data = os.pread(fd, width, at)
        try:
            found = parse_variant(data, header.layout, header.compression > 0, header.n_samples, at)
            if found.genotypes + found.size <= end:
                return found
            fault = "runs beyond the end of the file, which is truncated"
        except struct.error:
            if at + width < end:
                width *= 16
                continue
            fault = "runs beyond the end of the file, which is truncated"
        except ValueError as error:
            fault = f"makes no sense: {error}"
        raise InputError(
            f"{path}: variant {row + 1:,} of {header.n_variants:,} (byte {at:,}) {fault}; {AGAIN}"
        )


def indexed_variants(path: Path, header: BgenHeader) -> tuple[NDArray[np.int64], list[BgenVariant]] | None:
    """Offsets (m + 1,) and identities from the index beside a BGEN file; None where there is none that fits it."""
    index = Path(f"{path}.bgi")
    if not index.is_file():
        return None
    query = (
        "SELECT chromosome, position, rsid, number_of_alleles, allele1, allele2, file_start_position, size_in_bytes "
        "FROM Variant ORDER BY file_start_position"
    )
    try:
        with closing(
            sqlite3.connect(f"{index.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as connection:
            rows = connection.execute(query).fetchall()
        starts = np.array([row[6] for row in rows] + [path.stat().st_size], np.int64)
        sizes = np.array([row[7] for row in rows], np.int64)
        fits = len(rows) == header.n_variants and starts[0] == header.first
        fits = fits and bool((np.diff(starts) == sizes).all())
    except (sqlite3.Error, TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        log.warning("%s: not the index of this BGEN file; the variants are found without it", index)
        return None
    end = int(starts[-1])
    variants = []
    with open(path, "rb", buffering=0) as handle:
        for i, (chromosome, position, rsid, n_alleles, allele1, allele2, start, _) in enumerate(rows):
            if n_alleles == 2 and rsid not in ("", "."):
                variants.append(BgenVariant(str(chromosome), position, rsid, (allele1, allele2), 0, 0))
            else:
                # the index holds two alleles and no other identifier
                variants.append(_variant_at(path, handle.fileno(), start, end, i, header))
    return starts, variants
