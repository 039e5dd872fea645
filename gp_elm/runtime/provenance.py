"""What a result was made from: fingerprints of the input files, versions of what ran."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from gp_elm.errors import InputError

WHOLE_BYTES = 256 << 20
"""Files up to this size are hashed whole."""

_PIECE = 1 << 20
_N_PIECES = 64

PACKAGES = (
    "gp-elm",
    "anndata",
    "bgen",
    "cyvcf2",
    "dask",
    "h5py",
    "numba",
    "numpy",
    "pandas",
    "pandas-plink",
    "pgenlib",
    "pyarrow",
    "safetensors",
    "scipy",
    "torch",
    "xarray",
    "zarr",
)
"""Distributions whose versions are written down."""


def fingerprint(path: str | os.PathLike[str], *, whole_bytes: int = WHOLE_BYTES) -> dict[str, Any]:
    """Return what identifies the content of a file or folder, cheaply for a large one too.

    A file up to `whole_bytes` is hashed whole. Of a larger one, 64 evenly spaced pieces of 1 MiB are hashed,
    the first and the last among them; as a change between two pieces would be missed, its time of change
    then counts too. Of a folder, the names and the fingerprints of its files count. Two fingerprints are to be
    compared as a whole (``==``).

    Parameters
    ----------
    path : path-like
        The file.
    whole_bytes : int
        Largest size, in bytes, that is hashed whole.

    Returns
    -------
    dict
        ``name`` (without folder, so that a moved data set keeps its fingerprint), ``bytes``, ``sha256``,
        ``sampled``, and, where sampled, ``modified_ns``. JSON can hold it.

    Raises
    ------
    InputError
        Where the file cannot be read.
    """
    file = Path(path)
    if file.is_dir():
        return _folder_fingerprint(file, whole_bytes)
    try:
        with open(file, "rb") as handle:
            status = os.fstat(handle.fileno())
            size = status.st_size
            sampled = size > whole_bytes
            digest = hashlib.sha256()
            if sampled:
                for k in range(_N_PIECES):
                    handle.seek((size - _PIECE) * k // (_N_PIECES - 1) if size > _PIECE else 0)
                    digest.update(handle.read(_PIECE))
            else:
                while piece := handle.read(_PIECE):
                    digest.update(piece)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); check the path") from error
    found: dict[str, Any] = {
        "name": file.name,
        "bytes": size,
        "sha256": digest.hexdigest(),
        "sampled": sampled,
    }
    if sampled:
        found["modified_ns"] = status.st_mtime_ns
    return found


def _folder_fingerprint(folder: Path, whole_bytes: int) -> dict[str, Any]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in files)
    sampled = size > whole_bytes
    digest = hashlib.sha256()
    for path in files:
        state = path.stat()
        # a large folder is known by the sizes and times of its files
        content = [state.st_size, state.st_mtime_ns] if sampled else fingerprint(path)["sha256"]
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return {"name": folder.name, "bytes": size, "sha256": digest.hexdigest(), "sampled": sampled}


def environment() -> dict[str, Any]:
    """Return the versions and the machine that a result was made with.

    Returns
    -------
    dict
        ``python``, ``platform``, ``processors`` (usable by this process) and ``packages`` (name to version,
        None where not installed). No package is imported for it.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": _usable_processors(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
