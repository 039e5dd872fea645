"""Products of the centred genotype matrix X (samples x variants, missing calls 0) with tall and wide matrices.

Rows of the store pass in blocks; dosages are decoded as whole numbers and centred afterwards, in the small result, so
that the decoder stays far faster than the product.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gp_elm.kernels.codec import CALLS, Codec
from gp_elm.streaming.store import Store

_BLOCK_BYTES = 32 << 20


def row_blocks(n_rows: int, row_size: int, *, block_bytes: int = _BLOCK_BYTES) -> Iterator[tuple[int, int]]:
    """Start and stop of blocks of rows of ``row_size`` bytes each that take about ``block_bytes`` once decoded."""
    step = int(np.clip(block_bytes // max(row_size, 1), 16, 2048))
    for start in range(0, n_rows, step):
        yield start, min(start + step, n_rows)


def product(
    store: Store, rows: ArrayLike, coefficients: NDArray[np.floating], *, center: NDArray[np.float64]
) -> NDArray[np.float64]:
    """X times coefficients, in float64.

    Parameters
    ----------
    store : Store
        The genotypes.
    rows : array of int, shape (n,)
        Rows of the store.
    coefficients : ndarray, shape (m, k)
        Per effect allele.
    center : ndarray of float64, shape (m,)
        What is subtracted from each variant's dosage; a missing call counts as the centre.

    Returns
    -------
    ndarray of float64, shape (n, k)
        The product.
    """
    rows = np.asarray(rows, dtype=np.int64)
    coefficients = np.ascontiguousarray(coefficients, dtype=np.float64)
    at_center = coefficients * center[:, None]
    shift = at_center.sum(axis=0)
    out = np.empty((len(rows), coefficients.shape[1]))
    for start, stop in row_blocks(len(rows), 8 * store.n_variants):
        packed = store.packed(rows[start:stop])
        dosage = store.codec.raw(packed, dtype=np.float64)[:, : store.n_variants]
        out[start:stop] = dosage @ coefficients - shift
        store.codec.add_columns_at_missing(packed, at_center, out[start:stop])
    return out


def transpose_product(
    store: Store,
    rows: ArrayLike,
    values: NDArray[np.floating],
    *,
    center: NDArray[np.float64],
    dtype: type[np.floating] = np.float64,
) -> NDArray[np.float64]:
    """X transposed times values.

    Parameters
    ----------
    store : Store
        The genotypes.
    rows : array of int, shape (n,)
        Rows of the store.
    values : ndarray, shape (n, k)
        Values of each row.
    center : ndarray of float64, shape (m,)
        What is subtracted from each variant's dosage; a missing call counts as the centre.
    dtype : float64 or float32
        Arithmetic within a block; blocks are added up in float64.

    Returns
    -------
    ndarray of float64, shape (m, k)
        The product.
    """
    rows = np.asarray(rows, dtype=np.int64)
    total = TransposeSum(store.n_variants, values.shape[1], dtype=dtype, codec=store.codec)
    for start, stop in row_blocks(len(rows), np.dtype(dtype).itemsize * store.n_variants):
        total.add(store.packed(rows[start:stop]), values[start:stop])
    return total.result(center)


class TransposeSum:
    """Running sum of X transposed times values, over blocks of packed rows.

    Parameters
    ----------
    n_variants, n_values : int
        Shape of the result.
    dtype : float64 or float32
        Arithmetic within a block.
    codec : Codec
        That of the store.
    """

    def __init__(
        self,
        n_variants: int,
        n_values: int,
        *,
        dtype: type[np.floating] = np.float64,
        codec: Codec = CALLS,
    ) -> None:
        self._dtype, self._codec = dtype, codec
        self._raw = np.zeros((n_values, n_variants))
        self._missing = np.zeros((n_variants, n_values))
        self._sum = np.zeros(n_values)

    def add(self, packed: NDArray[np.uint8], values: NDArray[np.floating]) -> None:
        """Add a block: packed rows (b, row_bytes) and their values (b, n_values)."""
        m = self._raw.shape[1]
        doubles = np.ascontiguousarray(values, dtype=np.float64)
        dosage = self._codec.raw(packed, dtype=self._dtype)
        self._raw += (doubles.T.astype(self._dtype) @ dosage)[:, :m]
        self._sum += doubles.sum(axis=0)
        self._codec.add_rows_at_missing(packed, doubles, self._missing)

    def result(self, center: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum for genotypes centred at ``center`` (n_variants,): shape (n_variants, n_values)."""
        return self._raw.T - center[:, None] * (self._sum[None, :] - self._missing)
