"""The two ways in which a store keeps a genotype, behind one interface: two-bit hard calls and dosage bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gp_elm.kernels import dosage_bytes, missing_calls
from gp_elm.kernels.bed import CODES
from gp_elm.kernels.call_sums import call_block_sums, call_sums
from gp_elm.kernels.decode import (
    CALLS_PER_BYTE,
    pack_transposed,
    row_bytes,
    unpack,
    unpack_raw,
)


@dataclass(frozen=True)
class Codec:
    """How genotypes lie in packed rows. :data:`CALLS` and :data:`DOSAGES` are the only two.

    Attributes
    ----------
    bits : int
        2 for hard calls in the code of a BED file (:mod:`gp_elm.kernels.decode`), 8 for dosages in steps of 1/127
        (:mod:`gp_elm.kernels.dosage_bytes`).
    """

    bits: int

    @property
    def per_byte(self) -> int:
        """Genotypes of a byte."""
        return CALLS_PER_BYTE if self.bits == 2 else 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the dosages that :meth:`pack_transposed` takes."""
        return np.dtype(np.int8 if self.bits == 2 else np.float32)

    def row_bytes(self, n_columns: int) -> int:
        """Bytes of a row of genotypes."""
        return row_bytes(n_columns) if self.bits == 2 else n_columns

    def pack_transposed(
        self,
        dosage: NDArray[Any],
        out: NDArray[np.uint8],
        first: int,
        place: NDArray[np.int64],
        sums: NDArray[np.int64],
    ) -> int:
        """Put a variant-major block (v, n) into zeroed rows from column ``first`` on; its sums to ``sums`` (3, v).

        Sample s goes to row ``place[s]``. -1, or the first variant of the block that holds what cannot be kept;
        nothing is then to be used.
        """
        pack = pack_transposed if self.bits == 2 else dosage_bytes.store_transposed
        wrong = int(pack(dosage, out, first, place))
        if wrong < 0:
            (call_block_sums if self.bits == 2 else dosage_bytes.byte_block_sums)(dosage, sums)
        return wrong

    def unpack(
        self,
        packed: NDArray[np.uint8],
        columns: NDArray[np.int64] | None,
        table: NDArray[np.float32],
        *,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Decode rows through a table (p, 4) of the values of 0, 1 and 2 copies and of a missing genotype.

        A dosage between two whole copies takes the value between theirs. Otherwise as
        :func:`gp_elm.kernels.decode.unpack`.
        """
        decode = unpack if self.bits == 2 else dosage_bytes.unpack_bytes
        return decode(packed, columns, table, out=out)

    def raw(
        self, packed: NDArray[np.uint8], *, dtype: type[np.floating] = np.float32
    ) -> NDArray[np.floating]:
        """Decode whole rows (rows, columns and padding) to dosages, missing genotypes 0."""
        return unpack_raw(packed, dtype=dtype) if self.bits == 2 else dosage_bytes.raw_dosages(packed, dtype)

    def byte_values(self) -> NDArray[np.float32]:
        """Dosages of the genotypes of each byte, NaN where missing: (256, per_byte), for a gather on a device."""
        if self.bits == 2:
            copies = CODES[(np.arange(256)[:, None] >> np.array([0, 2, 4, 6])) & 3]
            return np.where(copies < 0, np.nan, copies).astype(np.float32)
        byte = np.arange(256)[:, None]
        known = byte != dosage_bytes.MISSING_BYTE
        return np.where(known, byte / dosage_bytes.STEPS, np.nan).astype(np.float32)

    def add_sums(self, packed: NDArray[np.uint8], sums: NDArray[np.int64]) -> None:
        """Add to ``sums`` (3, m) the called rows of each column, and the sum and sum of squares of its genotypes.

        They are counted in copies (two bits) or in steps of 1/127 (bytes): whole numbers, so that sums over parts of
        the rows can be added and subtracted without loss.
        """
        (call_sums if self.bits == 2 else dosage_bytes.byte_sums)(packed, sums.shape[1], sums)

    def moments(
        self, sums: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Called rows, mean and standard deviation (divisor: the called rows) from :meth:`add_sums`; 0 where none."""
        called, total, squares = sums
        divisor = np.maximum(called, 1).astype(np.float64)
        if self.bits == 2:
            two = (squares - total) // 2
            one = total - 2 * two
            mean = (one + 2.0 * two) / divisor
            counts = np.column_stack([called - one - two, one, two])
            spread = (counts * (np.arange(3)[None, :] - mean[:, None]) ** 2).sum(axis=1)
            return called.astype(np.float64), mean, np.sqrt(spread / divisor)
        mean = total / (dosage_bytes.STEPS * divisor)
        # exact in 64 bits up to ten million rows
        spread = np.sqrt((called * squares - total * total).astype(np.float64))
        return called.astype(np.float64), mean, spread / (dosage_bytes.STEPS * divisor)

    def add_rows_at_missing(
        self, packed: NDArray[np.uint8], values: NDArray[np.float64], out: NDArray[np.float64]
    ) -> None:
        """Add to row j of ``out`` (m, k) the ``values`` (rows, k) of the rows whose genotype j is missing."""
        add = missing_calls.add_rows_at_missing if self.bits == 2 else dosage_bytes.add_rows_at_missing_bytes
        add(packed, len(out), values, out)

    def add_columns_at_missing(
        self, packed: NDArray[np.uint8], values: NDArray[np.float64], out: NDArray[np.float64]
    ) -> None:
        """Add to row r of ``out`` (rows, k) the ``values`` (m, k) of the columns whose genotype in row r is missing."""
        add = (
            missing_calls.add_columns_at_missing
            if self.bits == 2
            else dosage_bytes.add_columns_at_missing_bytes
        )
        add(packed, len(values), values, out)


CALLS = Codec(2)
DOSAGES = Codec(8)
