"""The index of a VCF or BCF (``.tbi``, ``.csi``): where to cut a file into parts of like size.

Formats: the SAM/BAM specification's CSIv1 and Tabix (https://samtools.github.io/hts-specs/).
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

Window = tuple[str, int, int]
"""Chromosome, first and last position, 1-based, both included."""

LAST = 2**31 - 2
"""Beyond every position."""


@dataclass
class Contig:
    """One chromosome of an index.

    Attributes
    ----------
    name : str
        As in the file.
    records : int
        How many it has; -1 where the index does not say.
    offsets : dict
        Place in the compressed file of the first record of each stretch, by the stretch's first position.
    """

    name: str
    records: int = -1
    offsets: dict[int, int] = field(default_factory=dict)
    first: int = 1 << 62


def read_index(path: Path, contigs: Sequence[str]) -> list[Contig] | None:
    """Chromosomes that have records, in the order of the file.

    Parameters
    ----------
    path : Path
        The index.
    contigs : sequence of str
        Names by number, for a BCF, whose index has none.

    Returns
    -------
    list of Contig or None
        None where the index cannot be understood; the file is then read from end to end.
    """
    try:
        with gzip.open(path, "rb") as handle:
            data = handle.read()
        found = _parse(data, list(contigs))
    except (OSError, EOFError, zlib.error, struct.error, IndexError, UnicodeDecodeError):
        return None
    return None if found is None else sorted((c for c in found if c.offsets), key=lambda c: c.first)


def _parse(data: bytes, names: list[str]) -> list[Contig] | None:
    if data[:4] == b"TBI\1":
        n_contigs, length = struct.unpack_from("<i24xi", data, 4)
        names, at = _names(data[36 : 36 + length]), 36 + length
        shift, depth, csi = 14, 5, False
    elif data[:4] == b"CSI\1":
        shift, depth, extra = struct.unpack_from("<iii", data, 4)
        if extra >= 28:
            names = _names(data[16 + 28 : 16 + extra])
        (n_contigs,) = struct.unpack_from("<i", data, 16 + extra)
        at, csi = 20 + extra, True
    else:
        return None
    leaf = ((1 << 3 * depth) - 1) // 7
    summary = ((1 << 3 * (depth + 1)) - 1) // 7 + 1
    found = []
    for k in range(n_contigs):
        contig = Contig(names[k])
        (n_bins,) = struct.unpack_from("<i", data, at)
        at += 4
        for _ in range(n_bins):
            number, n_chunks = struct.unpack_from("<I8xi" if csi else "<Ii", data, at)
            at += 16 if csi else 8
            chunks = struct.unpack_from(f"<{2 * n_chunks}Q", data, at)
            at += 16 * n_chunks
            if number == summary:
                contig.records = chunks[2]
            elif n_chunks:
                contig.first = min(contig.first, chunks[0])
                position = (number - leaf << shift) + 1 if number >= leaf else 1
                offset = min(chunks[::2]) >> 16
                contig.offsets[position] = min(contig.offsets.get(position, offset), offset)
        if not csi:
            (n_linear,) = struct.unpack_from("<i", data, at)
            at += 4 + 8 * n_linear
        found.append(contig)
    return found


def _names(data: bytes) -> list[str]:
    return data.decode().rstrip("\0").split("\0")


def cut(contigs: list[Contig], parts: int) -> list[Window]:
    """Windows of about the same number of compressed bytes, in the order of the file, that cover everything.

    Parameters
    ----------
    contigs : list of Contig
        From :func:`read_index`.
    parts : int
        How many windows are wanted; a chromosome has one at least.

    Returns
    -------
    list of Window
        Each record belongs to the one that its POS is in.
    """
    places = [offset for contig in contigs for offset in contig.offsets.values()]
    step = max(1, (max(places) - min(places)) // parts) if places else 1
    windows: list[Window] = []
    for contig in contigs:
        start, began = 1, min(contig.offsets.values())
        for position in sorted(contig.offsets)[1:]:
            if contig.offsets[position] - began >= step:
                windows.append((contig.name, start, position - 1))
                start, began = position, contig.offsets[position]
        windows.append((contig.name, start, LAST))
    return windows
