"""X or a layer of an AnnData as a source of genotypes: stored samples x variants, read as variants x samples."""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import dask.array as da
import h5py
import numpy as np
import scipy.sparse as sp
import zarr
from numpy.typing import NDArray

from gp_elm.errors import InputError
from gp_elm.io.blocks import Index, default_chunk
from gp_elm.io.matrix_reading import Chunks, fill_csc, fill_csr, fill_dense, stored_values

log = logging.getLogger(__name__)

ROW_WINDOW_BYTES = 48 << 20
"""Bytes of genotypes read at once where the matrix is stored by samples, so that each read passes over all of it."""

Layout = Literal["dense", "csr", "csc"]


class H5Place(NamedTuple):
    """A dataset or group of an HDF5 file, which is opened for each read: an open one cannot be pickled."""

    path: str
    name: str
    mode: str


@dataclass(frozen=True, eq=False)
class MatrixSource:
    """Copies of the effect allele in a matrix of samples x variants, read as variants x samples.

    Attributes
    ----------
    matrix : H5Place, zarr array or group, dask array, numpy array or scipy sparse matrix
        Where they are.
    layout : {"dense", "csr", "csc"}
        How they are stored; chunks of a dask array are made dense as they come.
    chunks : (rows, columns) of tuple of int
        Sizes of the stored chunks along samples and variants.
    shape : tuple of int
        Variants and samples.
    dtype : numpy.dtype
        int8 with -1 missing, or floating point with NaN missing.
    path : str
        The file, or ``X in memory``.
    state : object
        What changes when the file changes.
    """

    matrix: Any
    layout: Layout
    chunks: Chunks
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    path: str
    state: object

    def read(self, variants: Index, samples: Index | None) -> NDArray[Any]:
        """Copies of the effect allele (v, k); missing calls are -1, or NaN where the dtype is floating point.

        Raises
        ------
        InputError
            Where the matrix holds what no genotype is.
        """
        wanted, variants_back = _ascending(variants)
        some, samples_back = (None, None) if samples is None else _ascending(samples)
        block = np.zeros((len(wanted), self.shape[1] if some is None else len(some)), self.dtype)
        with opened(self.matrix) as matrix:
            if self.layout == "dense":
                fill_dense(block, matrix, self.chunks, wanted, some, self._counts)
            else:
                fill = fill_csr if self.layout == "csr" else fill_csc
                fill(block, matrix, self.shape, wanted, some, self._counts)
        if variants_back is not None:
            block = block[variants_back]
        return block if samples_back is None else block[:, samples_back]

    def token(self) -> object:
        """What changes when the matrix changes."""
        return self.path, self.state

    def _counts(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values as stored to copies of the effect allele."""
        if values.dtype.kind == "b":
            values = values.astype(np.int8)
        missing = ~(values >= 0)
        if (highest := values.max(initial=0, where=~missing)) > 2:
            raise InputError(
                f"{self.path}: the matrix holds {highest:g}, which is no number of copies of an allele (0 to 2); give "
                "genotypes in X, or name their layer with layer="
            )
        if self.dtype.kind == "f":
            counts = values.astype(self.dtype)
            counts[missing] = np.nan
            return counts
        counts = np.where(missing, -1, values).astype(np.int8)
        if values.dtype.kind == "f" and (counts != values)[~missing].any():
            raise InputError(
                f"{self.path}: the matrix now holds fractions; open it again with from_anndata()"
            )
        return counts


def matrix_source(x: Any, name: str, *, hard_calls: bool | None = None) -> MatrixSource:
    """Make a source of X or a layer, without reading it beyond what its dtype needs.

    Parameters
    ----------
    x : array-like
        Dense or sparse; in memory, an HDF5 dataset, a zarr array, anndata's backed sparse matrix or a dask array.
    name : str
        ``X`` or the layer, for messages.
    hard_calls : bool, optional
        Whether a floating-point matrix holds whole numbers only and is read as int8; None looks through it.

    Returns
    -------
    MatrixSource
        The source.

    Raises
    ------
    InputError
        Where there is no matrix, or it is of another kind.
    """
    path, state = f"{name} in memory", cast(object, uuid.uuid4().hex)
    layout: Layout = "dense"
    matrix: Any = x
    if hasattr(x, "group") and hasattr(x, "format"):  # anndata's backed sparse matrix
        layout, matrix = x.format, x.group
    elif sp.issparse(x):
        layout = x.format
        if layout in ("csr", "csc") and not x.has_canonical_format:
            matrix = x.copy()
            matrix.sum_duplicates()
    elif isinstance(x, da.Array):
        # views of lazy AnnData are dask arrays with a parent; the plain array can be pickled
        matrix = da.Array(x.dask, x.name, x.chunks, dtype=x.dtype, meta=x._meta)
    elif isinstance(x, np.ndarray):
        matrix = np.asarray(x)
    elif not isinstance(x, h5py.Dataset | zarr.Array):
        what = "no X" if x is None else f"{name} of type {type(x).__name__}"
        raise InputError(f"the AnnData has {what}; give genotypes, samples x variants, in X or in layer=")
    stored = np.dtype(x.dtype)
    if layout not in ("dense", "csr", "csc") or stored.kind not in "biuf" or len(x.shape) != 2:
        raise InputError(f"{name} is {layout} of {stored}, which holds no genotypes; give int8 or float32")
    if isinstance(matrix, h5py.Dataset | h5py.Group):
        path = str(matrix.file.filename)
        status = os.stat(path)
        state = (os.path.abspath(path), matrix.name, status.st_size, status.st_mtime_ns)
        matrix = H5Place(path, str(matrix.name), str(matrix.file.mode))
    elif isinstance(matrix, zarr.Array | zarr.Group):
        path = str(matrix.store_path)
    n, m = (int(size) for size in x.shape)
    chunks = _chunks(x, n, m)
    if stored.kind == "f":
        if hard_calls is None:
            with opened(matrix) as there:
                hard_calls = _holds_whole_numbers(there, layout, chunks)
            log.info(
                "%s: %s holds %s", path, name, "hard calls" if hard_calls else "imputed dosages (fractions)"
            )
        dtype = np.dtype(np.int8) if hard_calls else np.promote_types(stored, np.float32)
    else:
        dtype = np.dtype(np.int8)
    return MatrixSource(matrix, layout, chunks, (m, n), dtype, path, state)


def window(source: MatrixSource) -> int:
    """Variants to read at once, so that the stored chunks are not read again and again.

    Parameters
    ----------
    source : MatrixSource
        The matrix.

    Returns
    -------
    int
        A multiple of the width of the stored chunks where they are narrow; where the matrix is stored by samples, as
        many variants as `ROW_WINDOW_BYTES` hold.
    """
    m, n = source.shape
    size = n * source.dtype.itemsize
    chunk = default_chunk(size)
    width = {"csr": m, "csc": 1}.get(source.layout, max(source.chunks[1], default=1))
    if width <= chunk:
        return chunk // width * width if width > 1 else chunk
    most = max(ROW_WINDOW_BYTES // max(size, 1), 1)
    if width <= most:
        return width
    passes = -(-width // most)
    in_memory = isinstance(source.matrix, np.ndarray) or sp.issparse(source.matrix)
    if passes > 1 and not in_memory:
        log.warning(
            "%s is stored by samples (%s): each pass over the variants reads it %d times; rewrite it by variants with "
            "gp-elm convert", source.path, source.layout if source.layout != "dense" else "chunks of rows", passes,
        )  # fmt: skip
    return most


@contextlib.contextmanager
def opened(matrix: Any) -> Iterator[Any]:
    """Open what lies in an HDF5 file; anything else is ready as it is."""
    if not isinstance(matrix, H5Place):
        yield matrix
        return
    try:
        file = h5py.File(matrix.path, matrix.mode)
    except OSError as error:
        raise InputError(f"{matrix.path}: cannot be opened again ({error}); has it been moved?") from error
    with file:
        yield file[matrix.name]


def _ascending(positions: Index) -> tuple[Index, Index | None]:
    """Positions ascending and each once, and how to bring them back."""
    if len(positions) < 2 or (np.diff(positions) > 0).all():
        return positions, None
    return np.unique(positions, return_inverse=True)


def _chunks(x: Any, n: int, m: int) -> Chunks:
    if isinstance(x, da.Array):
        return x.chunks[0], x.chunks[1]
    # sharded zarr is read by its inner chunks
    stored = getattr(x, "chunks", None) or (1, 1)
    if len(stored) != 2:
        stored = (1, 1)
    return (int(min(stored[0], max(n, 1))),), (int(min(stored[1], max(m, 1))),)


def _holds_whole_numbers(matrix: Any, layout: Layout, chunks: Chunks) -> bool:
    for values in stored_values(matrix, layout, chunks):
        if not ((np.rint(values) == values) | np.isnan(values)).all():
            return False
    return True
