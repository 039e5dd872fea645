"""Rows of equal length in a file, read by place: one read for each run of neighbours."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gp_elm.errors import InputError

_BUFFERS = 1024  # of one read (IOV_MAX)


class RowFile:
    """An open file of rows. Not a memory map: its pages would count as ours, and random faults read ahead in vain.

    Parameters
    ----------
    path : Path
        The file.
    n_rows, row_bytes : int
        Its rows.
    header : int
        Bytes before the first row.

    Raises
    ------
    InputError
        Where the file has another size.
    """

    def __init__(self, path: Path, n_rows: int, row_bytes: int, header: int) -> None:
        self.path, self.row_bytes, self.header = path, row_bytes, header
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        weakref.finalize(self, os.close, self._descriptor)
        if hasattr(os, "posix_fadvise"):
            # what is asked for is what is wanted: the system's guesses would fetch the rows of held-out samples
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        found, expected = os.fstat(self._descriptor).st_size, header + n_rows * row_bytes
        if found != expected:
            raise InputError(f"{path}: {found} bytes, expected {expected}; write it again")

    def read(self, places: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Read the rows at ``places`` (r,) into ``out`` (r, row_bytes); any order, any thread."""
        if not len(places) or not self.row_bytes:
            return
        flat, width = out.reshape(-1).data, self.row_bytes
        steps = np.diff(places)
        if (steps == 1).all():
            self._fill([flat], int(places[0]))
            return
        order = None if (steps >= 0).all() else np.argsort(places, kind="stable")
        ascending = places if order is None else places[order]
        edges = (np.flatnonzero(np.diff(ascending) != 1) + 1).tolist()
        for start, stop in zip([0, *edges], [*edges, len(places)], strict=True):
            if order is None:
                self._fill([flat[start * width : stop * width]], int(ascending[start]))
                continue
            for first in range(start, stop, _BUFFERS):
                targets = order[first : min(first + _BUFFERS, stop)].tolist()
                self._fill([flat[k * width : (k + 1) * width] for k in targets], int(ascending[first]))

    def _fill(self, buffers: list[memoryview], place: int) -> None:
        offset = self.header + place * self.row_bytes
        wanted = sum(len(buffer) for buffer in buffers)
        while True:
            got = os.preadv(self._descriptor, buffers, offset)
            wanted -= got
            if not wanted:
                return
            if not got:
                raise InputError(f"{self.path}: the file has become shorter; start again")
            offset += got
            while got >= len(buffers[0]):
                got -= len(buffers.pop(0))
            buffers[0] = buffers[0][got:]
