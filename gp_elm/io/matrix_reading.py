"""Blocks of variants out of a matrix stored samples x variants, dense or sparse, in pieces of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import dask.array as da
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gp_elm.io.blocks import Index

PIECE_BYTES = 8 << 20
"""Bytes of a dense matrix in one piece."""
PIECE_ENTRIES = 1 << 20
"""Entries of a sparse matrix in one piece; each takes some twenty bytes on the way."""
GAP = 64
"""Variants between two that are wanted which are read along rather than jumped over."""

Chunks = tuple[tuple[int, ...], tuple[int, ...]]
"""Sizes of the stored chunks along samples and variants: all of them, or the one that all have."""
Counts = Callable[[NDArray[Any]], NDArray[Any]]


def row_pieces(n: int, sizes: tuple[int, ...], row_bytes: int) -> Iterator[tuple[int, int]]:
    """First and last sample of each piece: whole chunks, as many as fit `PIECE_BYTES`, at least one.

    Parameters
    ----------
    n : int
        Samples.
    sizes : tuple of int
        Chunks along the samples.
    row_bytes : int
        Bytes of a sample.

    Yields
    ------
    start, stop : int
    """
    most = max(PIECE_BYTES // max(row_bytes, 1), 1)
    ends = np.cumsum(sizes) if sum(sizes) == n else np.append(np.arange(sizes[0], n, sizes[0]), n)
    start = 0
    while start < n:
        first = int(np.searchsorted(ends, start, side="right"))
        last = int(np.searchsorted(ends, start + most, side="right")) - 1
        stop = int(ends[max(first, last)])
        yield start, stop
        start = stop


def dense(piece: Any) -> NDArray[Any]:
    """A piece as a plain array."""
    if isinstance(piece, da.Array):
        # the caller is often a dask task itself, and pieces are small: threads within threads gain nothing
        piece = piece.compute(scheduler="synchronous")
    return piece.toarray() if sp.issparse(piece) else np.asarray(piece)


def fill_dense(
    block: NDArray[Any], matrix: Any, chunks: Chunks, variants: Index, samples: Index | None, counts: Counts
) -> None:
    """Fill `block` (v, k) from a matrix that is sliced by rows and columns.

    Parameters
    ----------
    block : ndarray (v, k)
        Written in place.
    matrix : array-like (n, m)
        Samples x variants; a dask array's chunks may be sparse.
    chunks : Chunks
        Its stored chunks.
    variants, samples : ndarray of int64
        Ascending; None takes all samples.
    counts : callable
        Turns stored values into copies of the effect allele.
    """
    if not len(variants):
        return
    n = matrix.shape[0]
    width = max(GAP, max(chunks[1], default=1))
    edges = np.flatnonzero(np.diff(variants) > width) + 1
    for first, last in zip([0, *edges], [*edges, len(variants)], strict=True):
        columns = variants[first:last]
        low, high = int(columns[0]), int(columns[-1]) + 1
        gapless = high - low == len(columns)
        for start, stop in row_pieces(n, chunks[0], (high - low) * matrix.dtype.itemsize):
            if samples is None:
                place, rows = slice(start, stop), None
            else:
                a, b = np.searchsorted(samples, [start, stop])
                if a == b:
                    continue
                place, rows = slice(int(a), int(b)), samples[a:b] - start
            piece = dense(matrix[start:stop, low:high])
            if rows is not None:
                piece = piece[rows]
            if not gapless:
                piece = piece[:, columns - low]
            block[first:last, place] = counts(piece).T


def fill_csr(
    block: NDArray[Any],
    matrix: Any,
    shape: tuple[int, int],
    variants: Index,
    samples: Index | None,
    counts: Counts,
) -> None:
    """Fill `block` (v, k), zeros so far, from a matrix stored sample by sample: all of it is passed over.

    Parameters
    ----------
    block, variants, samples, counts
        As in `fill_dense`.
    matrix : scipy sparse matrix, or group of HDF5 or zarr
        With ``data``, ``indices``, ``indptr``.
    shape : tuple of int
        Variants and samples.
    """
    data, indices, indptr = _parts(matrix)
    ends = np.asarray(indptr[:], np.int64)
    row_of = _places(shape[0], variants)
    column_of = None if samples is None else _places(shape[1], samples)
    for first, last in _entry_pieces(ends):
        if column_of is not None and (column_of[first:last] < 0).all():
            continue
        variant = row_of[np.asarray(indices[ends[first] : ends[last]])]
        rows = np.repeat(np.arange(first, last), np.diff(ends[first : last + 1]))
        sample = rows if column_of is None else column_of[rows]
        kept = (variant >= 0) & (sample >= 0)
        values = np.asarray(data[ends[first] : ends[last]])[kept]
        block[variant[kept], sample[kept]] = counts(values)


def fill_csc(
    block: NDArray[Any],
    matrix: Any,
    shape: tuple[int, int],
    variants: Index,
    samples: Index | None,
    counts: Counts,
) -> None:
    """Fill `block` (v, k), zeros so far, from a matrix stored variant by variant.

    Parameters
    ----------
    block, matrix, shape, variants, samples, counts
        As in `fill_csr`.
    """
    if not len(variants):
        return
    data, indices, indptr = _parts(matrix)
    column_of = None if samples is None else _places(shape[1], samples)
    edges = np.flatnonzero(np.diff(variants) != 1) + 1
    for row, end in zip([0, *edges], [*edges, len(variants)], strict=True):
        ends = np.asarray(indptr[int(variants[row]) : int(variants[end - 1]) + 2], np.int64)
        for first, last in _entry_pieces(ends):
            variant = row + np.repeat(np.arange(first, last), np.diff(ends[first : last + 1]))
            sample: NDArray[Any] = np.asarray(indices[ends[first] : ends[last]])
            values: NDArray[Any] = np.asarray(data[ends[first] : ends[last]])
            if column_of is not None:
                sample = column_of[sample]
                kept = sample >= 0
                variant, sample, values = variant[kept], sample[kept], values[kept]
            block[variant, sample] = counts(values)


def stored_values(matrix: Any, layout: str, chunks: Chunks) -> Iterator[NDArray[Any]]:
    """All stored values, piece by piece, in the order that is quickest to read.

    Parameters
    ----------
    matrix : array-like, sparse matrix or group
        As in `fill_dense` or `fill_csr`.
    layout : {"dense", "csr", "csc"}
        How it is stored.
    chunks : Chunks
        Its stored chunks.

    Yields
    ------
    ndarray
    """
    if layout != "dense":
        data = _parts(matrix)[0]
        for start in range(0, data.shape[0], PIECE_ENTRIES):
            yield np.asarray(data[start : start + PIECE_ENTRIES])
    elif isinstance(matrix, da.Array):
        for block in matrix.blocks.ravel():
            values = block.compute(scheduler="synchronous")
            yield values.data if sp.issparse(values) else values
    else:
        n, m = matrix.shape
        for start, stop in row_pieces(n, chunks[0], m * matrix.dtype.itemsize):
            yield np.asarray(matrix[start:stop])


def _parts(matrix: Any) -> tuple[Any, Any, Any]:
    if sp.issparse(matrix):
        return matrix.data, matrix.indices, matrix.indptr
    return matrix["data"], matrix["indices"], matrix["indptr"]


def _places(size: int, positions: Index) -> NDArray[np.int32]:
    """Where each of `size` stands in `positions`, -1 where it does not."""
    places = np.full(size, -1, np.int32)
    places[positions] = np.arange(len(positions), dtype=np.int32)
    return places


def _entry_pieces(ends: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """First and last row (or column) of pieces of at most `PIECE_ENTRIES` entries, at least one row."""
    last_row = len(ends) - 1
    first = 0
    while first < last_row:
        last = int(np.searchsorted(ends, ends[first] + PIECE_ENTRIES, side="right")) - 1
        last = min(max(last, first + 1), last_row)
        yield first, last
        first = last
