"""BGZF files and their index, TBI or CSI, as ``bgzip`` and ``tabix`` make them.

Formats: https://samtools.github.io/hts-specs/SAMv1.pdf (section 4.1, BGZF),
https://samtools.github.io/hts-specs/tabix.pdf and https://samtools.github.io/hts-specs/CSIv1.pdf.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

BLOCK = 0xFF00
"""Bytes of text in a block: bgzip's own choice, so that even what does not compress fits 64 KiB."""

END_OF_FILE = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends every BGZF file."""

LAST_OF_TBI = 1 << 29
"""Last position that a TBI index can hold."""

_SHIFT = 14  # the smallest bin holds 2^14 positions, each next level 8 times as many
_TBI_DEPTH = 5
_VCF = struct.pack(
    "<6i", 2, 1, 2, 0, ord("#"), 0
)  # format VCF, columns of name, begin and end, comment, skip


class BgzfWriter:
    """Write bytes as BGZF; blocks are compressed in threads, in order.

    Parameters
    ----------
    handle : binary file
        Where to write, from its beginning.
    level : int
        Compression level of zlib, 0 to 9.
    threads : int, optional
        Threads that compress; by default the processors, at most four.
    """

    def __init__(self, handle: BinaryIO, *, level: int = 6, threads: int | None = None) -> None:
        self._handle = handle
        self._level = level
        self._threads = threads or min(4, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._threads)
        self._waiting: deque[Future[bytes]] = deque()
        self._buffer = bytearray()
        self._n_blocks = 0
        self._addresses = [0]
        self._closed = False

    def tell(self) -> int:
        """Return the present place: number of the block << 16 | offset in it; `virtual_offset` translates it."""
        return self._n_blocks << 16 | len(self._buffer)

    def write(self, data: bytes) -> None:
        """Append `data`."""
        self._buffer += data
        if len(self._buffer) >= BLOCK:
            n = len(self._buffer) // BLOCK * BLOCK
            view = bytes(self._buffer[:n])
            del self._buffer[:n]
            for start in range(0, n, BLOCK):
                self._submit(view[start : start + BLOCK])

    def virtual_offset(self, place: int) -> int:
        """Translate a place that `tell` gave: address of the compressed block << 16 | offset. After `close`."""
        return self._addresses[place >> 16] << 16 | place & 0xFFFF

    def close(self) -> None:
        """Write what is left and the block that ends the file, once; the handle stays open."""
        if self._closed:
            return
        self._closed = True
        if self._buffer:
            self._submit(bytes(self._buffer))
            self._buffer.clear()
        while self._waiting:
            self._store(self._waiting.popleft().result())
        self._handle.write(END_OF_FILE)
        self._pool.shutdown()

    def __enter__(self) -> BgzfWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._pool.shutdown(cancel_futures=True)

    def _submit(self, data: bytes) -> None:
        self._waiting.append(self._pool.submit(_block, data, self._level))
        self._n_blocks += 1
        while len(self._waiting) > 4 * self._threads:
            self._store(self._waiting.popleft().result())

    def _store(self, block: bytes) -> None:
        self._handle.write(block)
        self._addresses.append(self._addresses[-1] + len(block))


def _block(data: bytes, level: int) -> bytes:
    packed = _deflate(data, level)
    if len(packed) > 0xFFFF - 25:
        packed = _deflate(data, 0)
    head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0"
    return b"".join(
        (
            head,
            struct.pack("<H", len(packed) + 25),
            packed,
            struct.pack("<II", zlib.crc32(data), len(data)),
        )
    )


def _deflate(data: bytes, level: int) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush()


class PositionIndex:
    """Index of the records of a BGZF file by position, collected while they are written."""

    def __init__(self) -> None:
        self._contigs: dict[bytes, _Contig] = {}
        self._name = b""
        self._last = -1
        self.disorder = ""
        """What breaks the order of the records, in words; empty while they are sorted."""

    def add(self, name: bytes, begin: int, end: int, start: int, stop: int) -> None:
        """Add a record.

        Parameters
        ----------
        name : bytes
            Its contig.
        begin, end : int
            First position, from 0, and the one after its last.
        start, stop : int
            Places of its first byte and of the byte after it, from `BgzfWriter.tell`.
        """
        if self.disorder:
            return
        if name != self._name:
            if name in self._contigs:
                self.disorder = f"contig {name.decode(errors='replace')} comes again after another one"
                return
            self._contigs[name] = _Contig()
            self._name, self._last = name, -1
        if begin < self._last:
            self.disorder = (
                f"position {begin + 1} of contig {name.decode(errors='replace')} comes after {self._last + 1}"
            )
            return
        self._last = begin
        self._contigs[name].add(begin, max(end, begin + 1), start, stop)

    @property
    def suffix(self) -> str:
        """``.tbi``, or ``.csi`` where a position lies beyond what TBI can hold."""
        last = max((contig.last for contig in self._contigs.values()), default=0)
        return ".csi" if last > LAST_OF_TBI else ".tbi"

    def save(self, path: str | os.PathLike[str], written: BgzfWriter) -> None:
        """Write the index of the file that `written`, which is closed, has made.

        Parameters
        ----------
        path : path-like
            Where to; the format is `suffix`'s, whatever it ends in.
        written : BgzfWriter
            The writer that gave the places.
        """
        names = b"".join(name + b"\0" for name in self._contigs)
        about = _VCF + struct.pack("<i", len(names)) + names
        csi = self.suffix == ".csi"
        depth = _TBI_DEPTH
        while csi and max(contig.last for contig in self._contigs.values()) > 1 << (_SHIFT + 3 * depth):
            depth += 1
        with Path(path).open("wb") as handle, BgzfWriter(handle, threads=1) as out:
            count = struct.pack("<i", len(self._contigs))
            if csi:
                out.write(b"CSI\1" + struct.pack("<3i", _SHIFT, depth, len(about)) + about + count)
            else:
                out.write(b"TBI\1" + count + about)
            for contig in self._contigs.values():
                out.write(contig.packed(written, depth, csi=csi))
            out.write(struct.pack("<Q", 0))


class _Contig:
    """Bins and linear index of one contig; a bin is (level above the smallest, number in it)."""

    def __init__(self) -> None:
        self.last = 0
        self._n = 0
        self._bins: dict[tuple[int, int], list[list[int]]] = {}
        self._windows: list[int] = []
        self._start = self._stop = 0

    def add(self, begin: int, end: int, start: int, stop: int) -> None:
        if not self._n:
            self._start = start
        self._n += 1
        self._stop = stop
        self.last = max(self.last, end)
        low, high = begin >> _SHIFT, (end - 1) >> _SHIFT
        # records come by position: a window that is already there has an earlier one
        self._windows += [-1] * (low - len(self._windows)) + [start] * (
            high + 1 - max(low, len(self._windows))
        )
        level = 0
        while low != high:
            low, high, level = low >> 3, high >> 3, level + 1
        chunks = self._bins.setdefault((level, low), [])
        if chunks and chunks[-1][1] >> 16 == start >> 16:
            chunks[-1][1] = stop
        else:
            chunks.append([start, stop])

    def packed(self, written: BgzfWriter, depth: int, *, csi: bool) -> bytes:
        windows = self._windows[:]
        for k in range(len(windows) - 2, -1, -1):
            if windows[k] < 0:
                windows[k] = windows[k + 1]
        offsets = [written.virtual_offset(place) for place in windows]
        parts = [struct.pack("<i", len(self._bins) + 1)]
        for (level, k), chunks in self._bins.items():
            first = ((1 << 3 * (depth - level)) - 1) // 7
            lowest = struct.pack("<Q", offsets[k << 3 * level]) if csi else b""
            parts.append(struct.pack("<I", first + k) + lowest + struct.pack("<i", len(chunks)))
            parts += [struct.pack("<QQ", *map(written.virtual_offset, chunk)) for chunk in chunks]
        # the bin after the last one counts the records: bcftools index --stats reads it
        parts.append(struct.pack("<I", ((1 << 3 * (depth + 1)) - 1) // 7 + 1) + (b"\0" * 8 if csi else b""))
        parts.append(
            struct.pack(
                "<iQQQQ",
                2,
                written.virtual_offset(self._start),
                written.virtual_offset(self._stop),
                self._n,
                0,
            )
        )
        if not csi:
            parts.append(struct.pack(f"<i{len(offsets)}Q", len(offsets), *offsets))
        return b"".join(parts)
