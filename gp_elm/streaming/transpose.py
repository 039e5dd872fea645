"""From variant-major dosages to sample-major packed rows, in one pass with bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gp_elm.errors import InputError
from gp_elm.kernels.decode import CALLS_PER_BYTE, pack_transposed, row_bytes
from gp_elm.runtime.progress import Progress


def _blocks(dosage: xr.DataArray, at_most: int) -> Iterator[tuple[int, NDArray[np.int8]]]:
    """Consecutive blocks of variants (first variant, dosages), each within one chunk of the source."""
    data = dosage.data
    chunks = data.chunks[0] if hasattr(data, "chunks") else (len(data),)
    first = 0
    for size in chunks:
        for start in range(first, first + size, at_most):
            yield start, np.asarray(data[start : min(start + at_most, first + size)], dtype=np.int8)
        first += size


def write_packed(cohort: xr.Dataset, target: Path, progress: Progress | None, memory: int) -> None:
    """Write packed rows: a strip of every row is filled in memory, then written at its place.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort with hard calls.
    target : Path
        File to write, one packed row a sample.
    progress : Progress, optional
        Counts variants.
    memory : int
        Bytes for the strip; a block of the source comes on top.

    Raises
    ------
    InputError
        Where a dosage is outside 0, 1, 2 and -1.
    """
    dosage = cohort["call_dosage"]
    variants, samples = dosage.shape
    width = row_bytes(variants)
    strip_bytes = max(1, min(width, memory // max(samples, 1)))
    strip = np.zeros((samples, strip_bytes), dtype=np.uint8)
    per_strip, strip_first = strip_bytes * CALLS_PER_BYTE, 0
    with open(target, "wb") as handle:
        if samples * width:
            # Reserved now: a full disk is told before the work, not after.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle.fileno(), 0, samples * width)
            else:
                handle.truncate(samples * width)

        def flush() -> None:
            # Written row by row: a memory map would count every page of the file that a strip touches as ours.
            first = strip_first // CALLS_PER_BYTE
            used = min(strip_bytes, width - first)
            for row in range(samples if used > 0 else 0):
                handle.seek(row * width + first)
                handle.write(strip[row, :used].data)

        for first, block in _blocks(dosage, max(256, memory // max(samples, 1))):
            done = 0
            while done < len(block):
                column = first + done - strip_first
                take = min(len(block) - done, per_strip - column)
                wrong = pack_transposed(block[done : done + take], strip, column)
                if wrong >= 0:
                    name = cohort["variant_id"].values[first + done + wrong]
                    raise InputError(
                        f"variant {name}: a dosage is outside 0, 1, 2 and -1 (missing); check its coding"
                    )
                done += take
                if column + take == per_strip:
                    flush()
                    strip[:] = 0
                    strip_first += per_strip
            if progress is not None:
                progress.update(len(block))
        flush()
