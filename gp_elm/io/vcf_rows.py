"""Rows of a conversion as they come: a part of a BED file or of a dosage array, with its table of variants."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

BUFFER_BYTES = 1 << 22
"""Bytes of rows held before they are written, whatever the number of samples."""


class _Target(Protocol):
    def write(self, rows: NDArray[Any]) -> None:
        """Append rows."""


class Rows:
    """Collects rows of one length and writes them by the block.

    Parameters
    ----------
    target : object
        Has ``write(rows)``.
    variants : text file
        Gets the lines of a BIM file.
    width : int
        Items of a row.
    dtype : dtype
        Of an item.
    """

    def __init__(self, target: _Target, variants: Any, width: int, dtype: type[np.generic]) -> None:
        self._target, self._variants = target, variants
        self._buffer = np.zeros((rows_at_once(width * np.dtype(dtype).itemsize), width), dtype)
        self._filled = 0

    def describe(self, chromosome: str, position: int, name: str, alt: str, ref: str) -> None:
        """Add the line of the next row to the table of variants."""
        self._variants.write(f"{chromosome}\t{name}\t0\t{position}\t{alt}\t{ref}\n")

    def next_row(self) -> NDArray[Any]:
        """Memory of the next row, to be filled before the next call."""
        if self._filled == len(self._buffer):
            self.flush()
        self._filled += 1
        return self._buffer[self._filled - 1]

    def flush(self) -> None:
        """Write what is held."""
        self._target.write(self._buffer[: self._filled])
        self._filled = 0

    def __enter__(self) -> Rows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()


def rows_at_once(row_bytes: int) -> int:
    """Rows that make about 4 MiB, at least 1."""
    return max(1, BUFFER_BYTES // max(row_bytes, 1))


@contextlib.contextmanager
def open_rows(out: str, field: str, n_samples: int) -> Iterator[Rows]:
    """Write the rows of a task to ``OUT.bed`` (without its first three bytes) or ``OUT.zarr``, and ``OUT.bim``.

    Parameters
    ----------
    out : str
        Path without suffix.
    field : str
        "GT" or "DS".
    n_samples : int
        Samples.

    Yields
    ------
    Rows
        Rows of uint8 (ceil(n_samples / 4),) or of float32 (n_samples,).
    """
    with contextlib.ExitStack() as stack:
        variants = stack.enter_context(open(f"{out}.bim", "w", encoding="utf-8", newline="\n"))
        if field == "GT":
            bed = stack.enter_context(open(f"{out}.bed", "wb", buffering=0))
            yield stack.enter_context(Rows(_Bed(bed), variants, (n_samples + 3) // 4, np.uint8))
        else:
            array = stack.enter_context(contextlib.closing(DosageArray(Path(f"{out}.zarr"), n_samples)))
            yield stack.enter_context(Rows(array, variants, n_samples, np.float32))


class _Bed:
    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def write(self, rows: NDArray[Any]) -> None:
        """Append rows."""
        # an unbuffered write may take a part only
        data = rows.tobytes()
        while data:
            data = data[self._handle.write(data) :]


class DosageArray:
    """A compressed array (variants, samples) of float32 that grows by rows.

    Parameters
    ----------
    path : Path
        Folder of the Zarr array to make.
    n_samples : int
        Samples.
    """

    def __init__(self, path: Path, n_samples: int) -> None:
        # zarr takes most of a second to load, which hard calls need not pay in each process
        import zarr
        from zarr.codecs import BloscCodec

        self._chunk = rows_at_once(4 * n_samples)
        self._held = np.empty((0, n_samples), np.float32)
        self.array: Any = zarr.create_array(
            str(path), shape=(0, n_samples), chunks=(self._chunk, n_samples), dtype=np.float32,
            fill_value=np.nan, compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
        )  # fmt: skip

    def write(self, rows: NDArray[Any]) -> None:
        """Append rows; what does not fill a chunk is held until :meth:`close`."""
        self._held = np.concatenate([self._held, rows])
        whole = len(self._held) // self._chunk * self._chunk
        self._store(whole)

    def close(self) -> None:
        """Write what is held."""
        self._store(len(self._held))

    def _store(self, count: int) -> None:
        if count:
            start = self.array.shape[0]
            self.array.resize((start + count, self._held.shape[1]))
            self.array[start:] = self._held[:count]
            self._held = self._held[count:].copy()
