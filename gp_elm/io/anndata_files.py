"""AnnData files, ``.h5ad`` and ``.zarr``: written block by block and atomically, opened lazily."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import anndata as ad
import dask.array as da
import h5py
import zarr
from anndata.experimental import read_elem_lazy
from anndata.io import read_elem, write_elem

from gp_elm.errors import InputError, OptionError, OutputError
from gp_elm.runtime.atomic import atomic_path

_BLOCK_BYTES = 32 << 20
_CHUNK = 1024
_SLOTS = ("obs", "var", "uns", "obsm", "varm", "obsp", "varp", "layers")
MARGIN = 1 << 20
"""Bytes for everything but X, at the least."""


def write_anndata(adata: ad.AnnData, path: str | os.PathLike[str]) -> Path:
    """Write an AnnData as ``.h5ad`` or ``.zarr``, atomically; a lazy X is computed block by block.

    Parameters
    ----------
    adata : anndata.AnnData
        n samples x m variants; X may be a dask array.
    path : path-like
        Ends in ``.h5ad`` or ``.zarr``.

    Returns
    -------
    pathlib.Path
        What was written.

    Raises
    ------
    OptionError
        Where the path ends otherwise.
    OutputError
        Where the disk is full or refuses.
    """
    target = Path(path)
    _check_suffix(target)
    _check_room(adata, target)
    with atomic_path(target) as temporary, _opened(temporary, "w") as group:
        # everything but X goes as anndata writes it; X goes alone, in chunks that fit both its axes
        bare = ad.AnnData(**{slot: getattr(adata, slot) for slot in _SLOTS})
        write_elem(group, "/", bare)
        if adata.X is not None:
            _write_matrix(group, adata.X)
        if target.suffix == ".zarr":
            zarr.consolidate_metadata(group.store, zarr_format=2)
    return target


def read_anndata(path: str | os.PathLike[str]) -> ad.AnnData:
    """Open an ``.h5ad`` or ``.zarr`` with everything in memory but X and the layers, which are dask arrays.

    Parameters
    ----------
    path : path-like
        Ends in ``.h5ad`` or ``.zarr``.

    Returns
    -------
    anndata.AnnData
        n samples x m variants.

    Raises
    ------
    InputError
        Where there is no such file, or it holds no AnnData.
    """
    source = Path(path)
    _check_suffix(source)
    try:
        with _opened(source, "r") as group:
            parts = {slot: read_elem(group[slot]) for slot in _SLOTS if slot in group and slot != "layers"}
            if "layers" in group:
                parts["layers"] = {name: _lazy(group["layers"][name]) for name in group["layers"]}
            if "X" in group:
                parts["X"] = _lazy(group["X"])
    except (OSError, KeyError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{source}: cannot be read as an AnnData ({reason}); give what anndata or gp-elm run wrote"
        ) from error
    return ad.AnnData(**parts)


def _lazy(stored: Any) -> da.Array:
    """A matrix as a dask array in chunks of variants, or of samples where it is stored so."""
    if not hasattr(
        stored, "shape"
    ):  # sparse: an entry takes five bytes or more, and chunks are copied on the way
        n, m = (int(size) for size in stored.attrs["shape"])
        if stored.attrs["encoding-type"] == "csc_matrix":
            return read_elem_lazy(stored, chunks=(n, _width(n, m, 5)))
        return read_elem_lazy(stored, chunks=(_width(m, n, 5), m))
    n, m = stored.shape
    width = _width(n, m, stored.dtype.itemsize)
    rows, columns = stored.chunks or (1, 1)
    if columns <= 4 * width:
        return read_elem_lazy(stored, chunks=(n, width))
    fitting = _BLOCK_BYTES // max(m * stored.dtype.itemsize, 1) // rows * rows
    return read_elem_lazy(stored, chunks=(min(max(fitting, rows), n), m))


def _write_matrix(group: Any, x: Any) -> None:
    n, m = x.shape
    width = _width(n, m, x.dtype.itemsize)
    layout = {"shape": (n, m), "dtype": x.dtype, "chunks": (max(min(n, _CHUNK), 1), min(width, _CHUNK))}
    if isinstance(group, h5py.Group):
        # of the filters that every HDF5 has, the quickest
        array = group.create_dataset("X", compression="gzip", compression_opts=1, **layout)
    else:
        array = group.create_array("X", **layout)
    # what https://anndata.readthedocs.io/en/stable/fileformat-prose.html asks of a dense array
    array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    # one block after the other: dask's own store reads ahead of a slow disk, without bound
    for start in range(0, m, width):
        block = x[:, start : start + width]
        array[:, start : start + width] = block.compute() if isinstance(block, da.Array) else block


def _width(n: int, m: int, itemsize: int) -> int:
    """Return the number of variants in a block: a multiple of the chunks' width, or below it."""
    columns = max(_BLOCK_BYTES // max(n * itemsize, 1), 1)
    return max(min(columns // _CHUNK * _CHUNK or columns, m), 1)


@contextlib.contextmanager
def _opened(path: Path, mode: Literal["r", "w"]) -> Iterator[Any]:
    if path.suffix == ".h5ad":
        with h5py.File(path, mode) as file:
            yield file
    else:
        # format 2 is what other readers of AnnData expect so far
        yield zarr.open_group(str(path), mode=mode, zarr_format=2)


def _check_room(adata: ad.AnnData, target: Path) -> None:
    """Refuse a disk without room for X before HDF5 opens a file: it cannot close one that it failed to flush."""
    needed = (0 if adata.X is None else adata.X.nbytes) + MARGIN
    folder = target.parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"{target}: the disk is full ({free} bytes free, about {needed} needed); nothing was left half-written. "
            "Free some space or choose another --out, then run the same command again"
        )


def _check_suffix(path: Path) -> None:
    if path.suffix not in (".h5ad", ".zarr"):
        raise OptionError(f"{path}: an AnnData file ends in .h5ad or .zarr; rename it")
