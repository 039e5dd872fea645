"""The packed genotype store: sample-major, two bits a call, written once from the variant-major source.

A store is a folder with ``genotypes.bin`` (one row a sample, padded to whole bytes; the code is that of
:mod:`gp_elm.kernels.decode`) and ``store.json`` (shape, sample ids, identity of the cohort, fingerprint of the source).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from gp_elm.errors import InputError, OutputError
from gp_elm.kernels.decode import (
    count_codes,
    decode_table,
    row_bytes,
    unpack,
)
from gp_elm.runtime.atomic import atomic_path
from gp_elm.runtime.progress import Progress
from gp_elm.streaming.transpose import write_packed

logger = logging.getLogger(__name__)

FORMAT = "gp_elm genotype store"
VERSION = 1
_GENOTYPES = "genotypes.bin"
_DESCRIPTION = "store.json"
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Store:
    """An open store; the genotypes stay on disk (read-only memory map).

    Attributes
    ----------
    path : Path
        Its folder.
    n_samples, n_variants : int
        Its shape.
    sample_id : ndarray of str, shape (n_samples,)
        Sample of each row.
    fingerprint : dict
        What the writer said about the source.
    identity : str
        Hash of the cohort's samples, variants and ploidy.
    """

    path: Path
    n_samples: int
    n_variants: int
    sample_id: NDArray[np.str_]
    fingerprint: dict[str, Any]
    identity: str
    _packed: NDArray[np.uint8]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return row_bytes(self.n_variants)

    def packed(self, rows: ArrayLike) -> NDArray[np.uint8]:
        """Packed genotypes of some rows.

        Parameters
        ----------
        rows : array of int, shape (r,)
            Row indices, in any order.

        Returns
        -------
        ndarray of uint8, shape (r, row_bytes)
            A copy.
        """
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) and rows[-1] - rows[0] + 1 == len(rows) and np.all(np.diff(rows) == 1):
            return np.array(self._packed[rows[0] : rows[-1] + 1])
        return np.asarray(self._packed[rows])

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
        return unpack(self.packed(rows), columns, table)

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
        counts = np.zeros((self.n_variants, 4), dtype=np.int64)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            counts += count_codes(self.packed(rows[start : start + _ROWS_AT_ONCE]), self.n_variants)
        called = counts[:, :3].sum(axis=1).astype(np.float64)
        divisor = np.maximum(called, 1.0)
        mean = (counts[:, 1] + 2.0 * counts[:, 2]) / divisor
        squares = (counts[:, :3] * (np.arange(3)[None, :] - mean[:, None]) ** 2).sum(axis=1)
        return called, mean, np.sqrt(squares / divisor)


def cohort_identity(cohort: xr.Dataset) -> str:
    """Hash of what fixes the content of a store: sample ids, variant ids, effect alleles and ploidy, in order.

    Sexes count where X or Y do.
    """
    digest = hashlib.sha256()
    names = ["sample_id", "variant_id", "variant_effect_allele", "variant_ploidy"]
    if "variant_sex_linkage" in cohort:
        names += ["variant_sex_linkage", "sample_sex"]
    for name in names:
        values = np.asarray(cohort[name].values)
        digest.update(f"{name} {len(values)}\n".encode())
        for start in range(0, len(values), 65536):
            digest.update("\0".join(map(str, values[start : start + 65536])).encode())
    return digest.hexdigest()


def write_store(
    cohort: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    fingerprint: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    memory: int = 128 << 20,
) -> Store:
    """Write a cohort's hard calls to a store, in one pass over the source with bounded memory.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort (:mod:`gp_elm.schema`); ``call_dosage`` may be lazy and is read in its own chunks of variants.
    path : path
        Folder to write. It appears only when complete, and replaces a store that is already there.
    fingerprint : mapping, optional
        What identifies the source (JSON values), kept in the store for :func:`ensure_store`.
    progress : Progress, optional
        Counts variants.
    memory : int
        Bytes for the strip of packed rows held before it goes to disk; a block of the source comes on top.

    Returns
    -------
    Store
        The store, open.

    Raises
    ------
    InputError
        Where the cohort has dosages rather than hard calls, or a dosage above 2.
    OutputError
        Where the folder cannot be written.
    """
    path = Path(path)
    dosage = cohort["call_dosage"]
    if dosage.dtype.kind == "f":
        raise InputError(
            "call_dosage holds imputed dosages (floating point), which the two-bit store cannot keep; "
            "open the cohort with hard calls"
        )
    description = {
        "format": FORMAT,
        "version": VERSION,
        "n_samples": dosage.sizes["samples"],
        "n_variants": dosage.sizes["variants"],
        "identity": cohort_identity(cohort),
        "fingerprint": dict(fingerprint or {}),
        "sample_id": [str(name) for name in cohort["sample_id"].values],
    }
    if path.exists() and not _is_store(path):
        raise OutputError(f"{path} exists and is not a genotype store; remove it or choose another folder")
    with atomic_path(path) as folder:
        folder.mkdir()
        write_packed(cohort, folder / _GENOTYPES, progress, memory)
        (folder / _DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
    return open_store(path)


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
    if not _is_store(path):
        raise InputError(
            f"{path} is not a genotype store (no {_DESCRIPTION} of this program); write it again"
        )
    described = json.loads((path / _DESCRIPTION).read_text(encoding="utf-8"))
    shape = (int(described["n_samples"]), row_bytes(int(described["n_variants"])))
    found = (path / _GENOTYPES).stat().st_size
    if found != shape[0] * shape[1]:
        raise InputError(
            f"{path / _GENOTYPES}: {found} bytes, expected {shape[0] * shape[1]}; remove the folder"
        )
    empty = np.zeros(shape, dtype=np.uint8)
    return Store(
        path=path,
        n_samples=shape[0],
        n_variants=int(described["n_variants"]),
        sample_id=np.array(described["sample_id"], dtype=str),
        fingerprint=described["fingerprint"],
        identity=described["identity"],
        _packed=np.memmap(path / _GENOTYPES, dtype=np.uint8, mode="r", shape=shape) if found else empty,
    )


def ensure_store(
    cohort: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    fingerprint: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Store:
    """Open the store at ``path`` if it was made from this cohort and source, else write it.

    Parameters
    ----------
    cohort, path, fingerprint, progress
        As in :func:`write_store`. A store is reused where its identity (samples, variants, alleles, ploidy) and its
        fingerprint are the ones given.

    Returns
    -------
    Store
        The store, open.
    """
    path = Path(path)
    wanted = json.loads(json.dumps(dict(fingerprint or {})))
    if _is_store(path):
        try:
            store = open_store(path)
        except (InputError, OSError, KeyError) as error:
            logger.info("writing the genotype store %s again: %s", path, error)
        else:
            if store.fingerprint == wanted and store.identity == cohort_identity(cohort):
                logger.info("reusing the genotype store %s", path)
                return store
            logger.info(
                "writing the genotype store %s again: its source, samples or variants have changed", path
            )
    return write_store(cohort, path, fingerprint=wanted, progress=progress)


def _is_store(path: Path) -> bool:
    try:
        described = json.loads((path / _DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(described, dict) and (described.get("format"), described.get("version")) == (
        FORMAT,
        VERSION,
    )
