"""Arrays of a Zarr store (a folder or a .zip, format 2 or 3), opened for each read so that sources can be pickled."""

from __future__ import annotations

import contextlib
import logging
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from gp_elm.errors import InputError, OutputError
from gp_elm.io.blocks import BLOCK_BYTES, Index, default_chunk

log = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]

MARKERS = (".zgroup", "zarr.json")
"""Files of which one stands in every Zarr folder."""

BROKEN = (RuntimeError, ValueError, OSError, KeyError, TypeError, AttributeError, EOFError, zlib.error)
"""What zarr and its codecs raise for a store that is no store, or is damaged."""

_LARGEST_BLOCK = 8 * BLOCK_BYTES


@contextlib.contextmanager
def open_store(path: PathLike) -> Iterator[Any]:
    """Open a Zarr store for reading.

    Parameters
    ----------
    path : path
        A folder, or a ``.zip`` of one.

    Yields
    ------
    zarr.Group
        The root; not to be used later. Typed as anything, since to zarr's types each item may be a group or a number.

    Raises
    ------
    InputError
        Where there is no Zarr store, or one of its parts cannot be read.
    """
    try:
        with contextlib.ExitStack() as stack:
            store: Any = os.fspath(path)
            if os.path.isfile(path):
                store = stack.enter_context(zarr.storage.ZipStore(os.fspath(path), mode="r"))
            elif not os.path.exists(path):
                raise InputError(f"{path}: no such file or folder; check the path")
            elif not is_zarr(path):
                raise InputError(
                    f"{path}: no Zarr store (neither {' nor '.join(MARKERS)} is in it); check the path"
                )
            yield zarr.open_group(store, mode="r", use_consolidated=False)
    except InputError:
        raise
    except BROKEN as error:
        raise unreadable(path, error) from error


def unreadable(path: PathLike, error: Exception) -> InputError:
    """The one line for a store that zarr cannot read."""
    reason = (str(error).splitlines() or [""])[0].strip()[:200] or type(error).__name__
    return InputError(f"{path}: the Zarr store cannot be read ({reason}); copy or make it again")


def is_zarr(path: PathLike) -> bool:
    """Whether a folder is a Zarr store."""
    return any(os.path.isfile(os.path.join(path, name)) for name in MARKERS)


def warn_of_absent_blocks(path: PathLike, array: Any) -> None:
    """Say where blocks of an array are not in the store: writers may leave out empty ones, copying may lose some."""
    if os.path.isfile(path):  # a .zip that is cut short has no list of contents, and is no store at all
        return
    if (n_absent := array.nchunks - array.nchunks_initialized) > 0:
        log.warning(
            "%s: %d of %d blocks of %s are not there and are read as %s; copy the store again unless its writer leaves "
            "out empty blocks", path, n_absent, array.nchunks, array.basename, array.fill_value,
        )  # fmt: skip


def spans(index: Index, chunk: int) -> Iterator[tuple[Index, int, int]]:
    """Group positions by the chunk that they stand in, so that each chunk is decoded once.

    Yields
    ------
    places : ndarray of int64
        Where in ``index`` the positions of a chunk are.
    start, stop : int
        The least range that holds these positions.
    """
    owner = index // chunk
    order = np.argsort(owner, kind="stable")
    edges = np.flatnonzero(np.diff(owner[order])) + 1
    for places in np.split(order, edges):
        if len(places):
            yield places, int(index[places].min()), int(index[places].max()) + 1


def aligned_chunk(array: Any, n_samples: int, itemsize: int) -> int:
    """Variants of a dask chunk that decodes as few chunks of ``array`` twice as memory allows.

    About 16 MiB, in whole chunks of the array; a whole chunk where that is at most 128 MiB, else a part of one, which
    is then decoded once for each part.
    """
    wanted, stored = default_chunk(n_samples * itemsize), array.chunks[0]
    if wanted >= stored:
        return wanted // stored * stored
    return stored if stored * n_samples * itemsize <= _LARGEST_BLOCK else wanted


def store_token(path: PathLike, name: str) -> tuple[object, ...]:
    """What changes when an array of a store is written anew."""
    where = Path(path)
    files = [where] if where.is_file() else [where / name / file for file in (".zarray", "zarr.json")]
    states = [os.stat(file) for file in files if file.exists()]
    return os.path.abspath(path), name, *((state.st_size, state.st_mtime_ns) for state in states)


@dataclass(frozen=True)
class ZarrSource:
    """Dosages as they stand in an array (variants, samples) of a Zarr store.

    Attributes
    ----------
    path : str
        The store.
    name : str
        The array.
    shape : tuple of int
        Variants and samples.
    dtype : numpy.dtype
        Of the array.
    """

    path: str
    name: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def read(self, variants: Index, samples: Index | None) -> NDArray[Any]:
        """Dosages of some variants (v,) and samples (all where None)."""
        wanted = np.arange(self.shape[1]) if samples is None else samples
        block = np.empty((len(variants), len(wanted)), self.dtype)
        with open_store(self.path) as group:
            array = group[self.name]
            for rows, start, stop in spans(variants, array.chunks[0]):
                near = variants[rows] - start
                if samples is None:
                    block[rows] = array[start:stop][near]
                    continue
                for columns, left, right in spans(wanted, array.chunks[1]):
                    part = array[start:stop, left:right]
                    block[np.ix_(rows, columns)] = part[np.ix_(near, wanted[columns] - left)]
        return block

    def token(self) -> tuple[object, ...]:
        """What changes when the store changes."""
        return store_token(self.path, self.name)


def check_target(path: PathLike, source: str | None) -> Path:
    """Refuse to replace a folder that is no Zarr store, or the one that the genotypes are read from.

    Parameters
    ----------
    path : path
        Where a store is to be written.
    source : str or None
        The file or folder that is read.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    OutputError
        Where it may not be replaced.
    """
    target = Path(path)
    if source is not None and target.exists() and os.path.exists(source) and os.path.samefile(target, source):
        raise OutputError(f"{path}: the genotypes are read from there; choose another name")
    if target.is_file():
        raise OutputError(f"{path}: a file of that name is there; choose another name")
    if target.is_dir() and not is_zarr(target) and any(target.iterdir()):
        raise OutputError(f"{path}: a folder that is no Zarr store is there; choose another name")
    return target
