"""Which kind of genotypes stands at a path, by what is in it where that is cheap, else by its name."""

from __future__ import annotations

import contextlib
import gzip
import os
import zlib
from pathlib import Path
from typing import Literal

from gp_elm.errors import InputError
from gp_elm.io.zarr_source import PathLike, is_zarr, open_store

Kind = Literal["bfile", "vcf", "pfile", "bgen", "vcz", "zarr", "anndata"]

UNDERSTOOD = (
    "PLINK 1 (.bed) and PLINK 2 (.pgen) files or their prefix, VCF, BCF, BGEN, VCF Zarr (.vcz), a cohort saved by "
    "to_zarr, AnnData (.h5ad or .zarr)"
)

_PREFIXES: dict[Kind, tuple[str, ...]] = {
    "bfile": (".bed", ".bim", ".fam"),
    "pfile": (".pgen", ".pvar.zst", ".pvar", ".psam"),
}
_SUFFIXES: dict[str, Kind] = {
    ".vcf": "vcf", ".vcf.gz": "vcf", ".vcf.bgz": "vcf", ".bcf": "vcf", ".bgen": "bgen", ".h5ad": "anndata",
}  # fmt: skip

_GZIP, _HDF5, _ZIP = b"\x1f\x8b", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"


def kind_of(path: PathLike) -> tuple[Kind, str]:
    """Tell what stands at a path.

    Parameters
    ----------
    path : path
        A file, a folder, or the prefix of PLINK files.

    Returns
    -------
    kind : {"bfile", "vcf", "pfile", "bgen", "vcz", "zarr", "anndata"}
        ``zarr`` is a cohort saved by ``to_zarr``; ``vcf`` includes BCF.
    path : str
        The prefix for ``bfile`` and ``pfile``, else the path as given.

    Raises
    ------
    InputError
        Where nothing is there, nothing that is understood, or both PLINK 1 and PLINK 2 files have that prefix.
    """
    name = os.fspath(path)
    where = Path(path)
    if where.is_dir():
        if is_zarr(where):
            return _zarr_kind(name), name
        if found := _by_prefix(name):
            return found
        raise InputError(f"{name}: the folder is no Zarr store; give one of {UNDERSTOOD}")
    for kind, suffixes in _PREFIXES.items():
        for suffix in suffixes:
            if name.endswith(suffix):
                return kind, name[: -len(suffix)]
    if where.is_file():
        return _file_kind(name), name
    if found := _by_prefix(name):
        return found
    raise InputError(f"{name}: no such file, folder or prefix; give one of {UNDERSTOOD}")


def _by_prefix(name: str) -> tuple[Kind, str] | None:
    first, second = (os.path.isfile(name + suffix) for suffix in (".bed", ".pgen"))
    if first and second:
        raise InputError(f"{name}: {name}.bed and {name}.pgen are both there; give the one that is meant")
    if not first and not second:
        return None
    return ("bfile" if first else "pfile"), name


def _file_kind(name: str) -> Kind:
    head = _start_of(name)
    if head.startswith((b"##fileformat=VCF", b"BCF")):
        return "vcf"
    if head.startswith(_HDF5):
        return "anndata"
    if head[16:20] == b"bgen":
        return "bgen"
    if head.startswith(_ZIP):
        return _zarr_kind(name)
    for suffix, kind in _SUFFIXES.items():
        if name.lower().endswith(suffix):
            return kind
    raise InputError(f"{name}: the file is of no known kind; give one of {UNDERSTOOD}")


def _start_of(name: str) -> bytes:
    """The first bytes of a file, unpacked where it is gzip (BCF and most VCF are)."""
    with open(name, "rb") as handle:
        head = handle.read(24)
    if head.startswith(_GZIP):
        with contextlib.suppress(OSError, EOFError, zlib.error), gzip.open(name) as unpacked:
            head = unpacked.read(24)
    return head


def _zarr_kind(name: str) -> Kind:
    with open_store(name) as group:
        if group.attrs.get("encoding-type") == "anndata":
            return "anndata"
        if "vcf_zarr_version" in group.attrs or "call_genotype" in group:
            return "vcz"
        if "call_dosage" in group:
            return "zarr"
        found = ", ".join(sorted(group.keys())[:5]) or "nothing"
    raise InputError(f"{name}: the Zarr store holds {found}, no cohort; give one of {UNDERSTOOD}")
