"""A variant-major BED file as a source of genotypes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gp_elm.errors import InputError
from gp_elm.io.blocks import Index
from gp_elm.kernels.bed import decode_bed

HEADER_BYTES = 3


@dataclass(frozen=True)
class BedSource:
    """Copies of BIM column 5 in a variant-major BED file, int8, -1 missing.

    Attributes
    ----------
    path : str
        The file.
    shape : tuple of int
        Variants and samples.
    """

    path: str
    shape: tuple[int, int]
    dtype: np.dtype[Any] = np.dtype(np.int8)

    def read(self, variants: Index, samples: Index | None) -> NDArray[np.int8]:
        """Dosages of some variants (v,) and samples (all where None)."""
        return decode_bed(self._rows(variants), self.shape[1], samples)

    def token(self) -> tuple[object, ...]:
        """What changes when the file changes."""
        state = os.stat(self.path)
        return os.path.abspath(self.path), state.st_size, state.st_mtime_ns

    def _rows(self, variants: Index) -> NDArray[np.uint8]:
        width = (self.shape[1] + 3) // 4
        rows = np.empty((len(variants), width), dtype=np.uint8)
        view = rows.reshape(-1)
        # one read for each run of neighbours; a read, not a memory map, whose pages would count as ours
        edges = np.flatnonzero(np.diff(variants) != 1) + 1
        with open(self.path, "rb", buffering=0) as handle:
            for start, stop in zip([0, *edges], [*edges, len(variants)], strict=True):
                wanted = view[start * width : stop * width]
                offset = HEADER_BYTES + int(variants[start]) * width if len(variants) else 0
                done = 0
                while done < len(wanted):
                    got = os.preadv(handle.fileno(), [wanted[done:].data], offset + done)
                    if got == 0:
                        raise InputError(f"{self.path}: the file has become shorter; start again")
                    done += got
        return rows
