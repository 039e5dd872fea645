"""Writing a store's rows: the source passes once, in blocks of variants; a strip of every row is on hand at a time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gp_elm.errors import InputError, OutputError
from gp_elm.io.bed import HEADER_BYTES, BedSource
from gp_elm.io.blocks import Blocks, source_blocks
from gp_elm.kernels.bed_transpose import transpose_bed
from gp_elm.kernels.call_sums import bed_sums
from gp_elm.kernels.codec import CALLS, Codec
from gp_elm.runtime.progress import Progress
from gp_elm.streaming.row_file import RowFile

_BLOCK_BYTES = 4 << 20
_WRITE_BYTES = 1 << 20  # five times faster than writes of 16 MiB: the pages stay in the cache
_THREADS = 2


def write_rows(
    cohort: xr.Dataset,
    target: Path,
    codec: Codec,
    header: bytes,
    place: NDArray[np.int64],
    *,
    progress: Progress | None,
    memory: int,
) -> NDArray[np.int64]:
    """Write packed rows: a strip of every row is filled in memory, then written at its place.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    target : Path
        File to write: the header, then one packed row a sample.
    codec : Codec
        How a row is packed.
    header : bytes
        First bytes of the file.
    place : ndarray of int64, shape (n,)
        Row of the file of each sample.
    progress : Progress, optional
        Counts variants.
    memory : int
        Bytes for the strip; a block of the source comes on top.

    Returns
    -------
    ndarray of int64, shape (3, m)
        What :meth:`Codec.add_sums <gp_elm.kernels.codec.Codec.add_sums>` counts, of all samples.

    Raises
    ------
    InputError
        Where a dosage is none that the codec keeps.
    OutputError
        Where the disk has no place for the file.
    """
    variants, samples = cohort["call_dosage"].shape
    width = codec.row_bytes(variants)
    _check_space(target, samples * width)
    sums = np.zeros((3, variants), dtype=np.int64)
    strip = np.zeros((samples, max(1, min(width, memory // max(samples, 1)))), dtype=np.uint8)
    per_strip = strip.shape[1] * codec.per_byte
    with open(target, "wb", buffering=0) as handle:
        handle.write(header)
        # Reserved now: a full disk is told before the work, not after.
        if samples * width and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle.fileno(), len(header), samples * width)
        else:
            handle.truncate(len(header) + samples * width)
        begin = 0
        for first, stop, fill in _pieces(cohort, codec, max(256, memory // max(samples, 1)), per_strip):
            fill(strip, first - begin, place, sums[:, first:stop])
            if progress is not None:
                progress.update(stop - first)
            if stop == begin + per_strip or stop == variants:
                used = codec.row_bytes(stop - begin)
                start = len(header) + codec.row_bytes(begin)
                _write_strip(handle.fileno(), strip[:, :used], start, width)
                strip[:] = 0
                begin = stop
    return sums


Fill = Callable[[NDArray[np.uint8], int, NDArray[np.int64], NDArray[np.int64]], None]
"""Puts a piece into a strip, from a column on and each sample at its place, and its sums where they belong."""


def _pieces(
    cohort: xr.Dataset, codec: Codec, at_most: int, per_strip: int
) -> Iterator[tuple[int, int, Fill]]:
    """Runs of variants, none across the end of a strip, with what puts each into the strip."""
    blocks = source_blocks(cohort)
    n_variants, n_samples = cohort["call_dosage"].shape
    if (
        blocks is not None
        and isinstance(blocks.source, BedSource)
        and codec is CALLS
        and n_samples
        and n_variants
    ):
        whole = blocks.source.shape[1]
        if n_samples == whole and np.array_equal(blocks.samples, np.arange(whole)):
            yield from _bed_pieces(cohort, blocks, per_strip)
            return
    for first, block in _dosage_blocks(cohort["call_dosage"], codec, at_most):
        done = 0
        while done < len(block):
            take = min(len(block) - done, per_strip - (first + done) % per_strip)
            start = first + done
            yield start, start + take, _dosage_fill(cohort, codec, block[done : done + take], start)
            done += take


def _dosage_blocks(dosage: xr.DataArray, codec: Codec, at_most: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """Consecutive blocks of variants (first variant, dosages), each within one chunk of the source."""
    data = dosage.data
    chunks = data.chunks[0] if hasattr(data, "chunks") else (len(data),)
    first = 0
    for size in chunks:
        for start in range(first, first + size, at_most):
            yield start, np.asarray(data[start : min(start + at_most, first + size)], dtype=codec.dtype)
        first += size


def _dosage_fill(cohort: xr.Dataset, codec: Codec, block: NDArray[Any], first: int) -> Fill:
    def fill(
        strip: NDArray[np.uint8], column: int, place: NDArray[np.int64], sums: NDArray[np.int64]
    ) -> None:
        wrong = codec.pack_transposed(block, strip, column, place, sums)
        if wrong >= 0:
            allowed = "0, 1, 2 and -1 (missing)" if codec is CALLS else "0 to 2 and NaN (missing)"
            name = cohort["variant_id"].values[first + wrong]
            raise InputError(f"variant {name}: a dosage is outside {allowed}; check its coding")

    return fill


def _bed_pieces(cohort: xr.Dataset, blocks: Blocks, per_strip: int) -> Iterator[tuple[int, int, Fill]]:
    """As :func:`_pieces`, of a whole BED file: its bits go to their places without being decoded between."""
    n_samples = len(blocks.samples)
    width = (n_samples + 3) // 4
    rows = RowFile(Path(blocks.source.path), blocks.source.shape[0], width, HEADER_BYTES)
    step = max(4, _BLOCK_BYTES // width // 4 * 4)
    held = min(step, (len(blocks.variants) + 3) // 4 * 4)
    buffers = [np.zeros((held, width), dtype=np.uint8) for _ in range(2)]
    recoded = np.zeros(len(blocks.variants), dtype=bool)
    if blocks.recoding is not None:
        recoded = blocks.recoding.kind[blocks.variants] != 0
    bounds, start = [], 0
    while start < len(blocks.variants):
        stop = min(start + step, len(blocks.variants), start + per_strip - start % per_strip)
        bounds.append((start, stop))
        start = stop
    edges = np.linspace(0, width, _THREADS + 1).astype(int)

    def read(k: int) -> NDArray[np.uint8]:
        start, stop = bounds[k]
        raw = buffers[k % 2][: (stop - start + 3) // 4 * 4]
        rows.read(blocks.variants[start:stop], raw[: stop - start])
        raw[stop - start :] = 0
        return raw

    with ThreadPoolExecutor(_THREADS + 1) as pool:

        def fill_from(raw: NDArray[np.uint8], count: int) -> Fill:
            def fill(
                strip: NDArray[np.uint8], column: int, place: NDArray[np.int64], sums: NDArray[np.int64]
            ) -> None:
                parts = [
                    pool.submit(transpose_bed, raw, strip, column // 4, place, a, b)
                    for a, b in pairwise(edges)
                ]
                bed_sums(raw[:count], n_samples, sums, 0)
                for part in parts:
                    part.result()

            return fill

        ahead = pool.submit(read, 0)
        for k, (start, stop) in enumerate(bounds):
            raw = ahead.result()
            if k + 1 < len(bounds):
                ahead = pool.submit(read, k + 1)
            if recoded[start:stop].any():
                # copies of a haploid chromosome, or of one sex, are other codes than the file's
                yield start, stop, _dosage_fill(cohort, CALLS, blocks[start:stop], start)
            else:
                yield start, stop, fill_from(raw, stop - start)


def _write_strip(descriptor: int, strip: NDArray[np.uint8], start: int, width: int) -> None:
    """Write the rows of a strip at every ``width`` bytes from ``start`` on."""
    # Written, not mapped: a memory map would count every page of the file that a strip touches as ours.
    at_once = max(1, _WRITE_BYTES // width) if strip.shape[1] == width else 1
    for first in range(0, len(strip), at_once):
        part = strip[first : first + at_once].reshape(-1).data
        done = 0
        while done < len(part):
            done += os.pwrite(descriptor, part[done:], start + first * width + done)


def _check_space(target: Path, needed: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise OutputError(
            f"{target}: the genotype store takes {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free there; "
            "free some space or choose another --out"
        )
