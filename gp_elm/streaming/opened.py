"""An open genotype store: rows of samples, decoded where they are asked for."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gp_elm.errors import InputError
from gp_elm.kernels.codec import CALLS, DOSAGES, Codec
from gp_elm.kernels.decode import decode_table
from gp_elm.streaming.row_file import RowFile

FORMAT = "gp_elm genotype store"
VERSION = 2
ROWS = {CALLS: ("genotypes.bed", b"\x6c\x1b\x00"), DOSAGES: ("dosages.bin", b"")}
"""File of the rows, and its first bytes, by codec."""

SUMS, DESCRIPTION = "sums.npy", "store.json"
_READ_BYTES = 32 << 20


@dataclass(frozen=True, eq=False)
class Store:
    """An open store; the genotypes stay on disk. A copy in another process opens it again.

    Attributes
    ----------
    path : Path
        Its folder.
    n_samples, n_variants : int
        Its shape.
    sample_id : ndarray of str, shape (n_samples,)
        Sample of each row; rows are counted in the order of the cohort that was written.
    fingerprint : dict
        What the writer said about the source.
    identity : str
        Hash of the cohort's samples, variants and ploidy.
    codec : Codec
        How a row is packed.
    sums : ndarray of int64, shape (3, n_variants)
        Called samples, sum and sum of squares of each variant, over all samples, in the codec's units.
    """

    path: Path
    n_samples: int
    n_variants: int
    sample_id: NDArray[np.str_]
    fingerprint: dict[str, Any]
    identity: str
    codec: Codec
    sums: NDArray[np.int64]
    _rows: RowFile
    _place: NDArray[np.int64]

    def __reduce__(self) -> tuple[Any, ...]:
        return open_store, (self.path,)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.codec.row_bytes(self.n_variants)

    def packed(self, rows: ArrayLike) -> NDArray[np.uint8]:
        """Packed genotypes of some rows.

        Parameters
        ----------
        rows : array of int, shape (r,)
            Row indices, in any order.

        Returns
        -------
        ndarray of uint8, shape (r, row_bytes)
            Theirs, for :attr:`codec`.
        """
        rows = np.asarray(rows, dtype=np.int64)
        out = np.empty((len(rows), self.row_bytes), dtype=np.uint8)
        self.read(rows, out)
        return out

    def read(self, rows: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Read the packed genotypes of ``rows`` (r,) into ``out`` (r, row_bytes); from any thread."""
        if len(rows) and not 0 <= rows.min() <= rows.max() < self.n_samples:
            raise IndexError(f"rows {rows.min()} to {rows.max()} asked of a store of {self.n_samples}")
        self._rows.read(self._place[rows], out)

    def unpack(
        self, rows: ArrayLike, columns: NDArray[np.int64] | None, table: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Decode some rows (r,) through a table (p, 4) of the values of 0, 1, 2 copies and of a missing genotype.

        ``columns`` (p,) are the variants decoded; all where None. An imputed dosage takes a value between those of the
        whole copies. The result is (r, p).
        """
        rows = np.asarray(rows, dtype=np.int64)
        out = np.empty((len(rows), len(table)), dtype=np.float32)
        for part in self._parts(len(rows)):
            self.codec.unpack(self.packed(rows[part]), columns, table, out=out[part])
        return out

    def _parts(self, n_rows: int) -> list[slice]:
        """Parts of so many rows that are read at a time."""
        step = max(1, _READ_BYTES // max(self.row_bytes, 1))
        return [slice(start, start + step) for start in range(0, n_rows, step)]

    def block(
        self,
        rows: ArrayLike,
        *,
        columns: NDArray[np.int64] | None = None,
        center: NDArray[np.floating] | None = None,
        scale: NDArray[np.floating] | None = None,
    ) -> NDArray[np.float32]:
        """Decoded genotypes of some rows: ``(dosage - center) * scale``, missing calls 0.

        Parameters
        ----------
        rows : array of int, shape (r,)
            Row indices.
        columns : ndarray of int64, shape (p,), optional
            Variants to decode; all when not given.
        center, scale : ndarray, shape (p,), optional
            Aligned with ``columns``; 0 and 1 when not given.

        Returns
        -------
        ndarray of float32, shape (r, p)
            The block. Its size is the caller's business: take rows by hundreds.
        """
        count = self.n_variants if columns is None else len(columns)
        table = decode_table(np.zeros(count) if center is None else center, scale)
        if len(table) != count:
            raise InputError(f"{len(table)} centres for {count} variants; give one for each variant decoded")
        return self.unpack(rows, columns, table)

    def moments(
        self, rows: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Called samples, mean and standard deviation of each variant's dosage over some rows.

        Parameters
        ----------
        rows : array of int, shape (r,)
            Row indices.

        Returns
        -------
        n_called, mean, sd : ndarray of float64, shape (n_variants,)
            Over the called genotypes (divisor ``n_called``); mean and sd are 0 where none is called.
        """
        rows = np.asarray(rows, dtype=np.int64)
        visits = np.bincount(rows, minlength=self.n_samples)
        others = np.flatnonzero(visits == 0)
        # Sums are whole numbers: those of most samples are those of all less the others', of which fewer are read.
        subtract = len(others) < len(rows) and visits.max(initial=0) == 1
        sums = np.zeros((3, self.n_variants), dtype=np.int64)
        read = others if subtract else rows
        for part in self._parts(len(read)):
            self.codec.add_sums(self.packed(read[part]), sums)
        return self.codec.moments(self.sums - sums if subtract else sums)


def open_store(path: str | os.PathLike[str]) -> Store:
    """Open a store.

    Parameters
    ----------
    path : path
        Its folder.

    Returns
    -------
    Store
        The store.

    Raises
    ------
    InputError
        Where the folder holds no store, one of another version, or a truncated one.
    """
    path = Path(path)
    if not is_store(path):
        raise InputError(f"{path} is not a genotype store (no {DESCRIPTION} of this program); write it again")
    described = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
    if described.get("version") != VERSION:
        raise InputError(f"{path}: store of another version ({described.get('version')}); write it again")
    codec = CALLS if described["bits"] == 2 else DOSAGES
    n_samples, n_variants = int(described["n_samples"]), int(described["n_variants"])
    sample_id = np.array(described["sample_id"], dtype=str)
    name, header = ROWS[codec]
    return Store(
        path=path,
        n_samples=n_samples,
        n_variants=n_variants,
        sample_id=sample_id,
        fingerprint=described["fingerprint"],
        identity=described["identity"],
        codec=codec,
        sums=np.load(path / SUMS),
        _rows=RowFile(path / name, n_samples, codec.row_bytes(n_variants), len(header)),
        _place=place_of(sample_id),
    )


def place_of(sample_id: NDArray[np.str_]) -> NDArray[np.int64]:
    """Row of the file of each sample (n,): they stand in the order of their ids."""
    place = np.empty(len(sample_id), dtype=np.int64)
    place[np.argsort(sample_id, kind="stable")] = np.arange(len(sample_id))
    return place


def is_store(path: Path) -> bool:
    """Whether a folder holds a store, of any version."""
    try:
        described = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(described, dict) and described.get("format") == FORMAT
