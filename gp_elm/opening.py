"""Genotypes of any kind to a lazy cohort: one door for the command line, `open_cohort` and a path alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from gp_elm.errors import OptionError
from gp_elm.io.plink import PathLike, read_plink

if TYPE_CHECKING:
    import anndata as ad

# Each reader is imported when a file of its kind is opened: the libraries behind them take longer to load than PLINK 2
# takes for a small scan.
_STARTS = {
    "source": "--cohort",
    "bfile": "--bfile",
    "bed": "--bed",
    "vcf": "--vcf",
    "pfile": "--pfile",
    "pgen": "--pgen",
    "bgen": "--bgen",
}
_SAME = {"bed": "bfile", "pgen": "pfile"}
_BELONGS = {
    "bfile": ("bim", "fam"),
    "pfile": ("pvar", "psam"),
    "vcf": ("regions", "passed", "store"),
    "bgen": ("sample", "bgen_reference"),
}


def open_genotypes(
    source: PathLike | xr.Dataset | ad.AnnData | None = None,
    *,
    bfile: PathLike | None = None,
    bed: PathLike | None = None,
    bim: PathLike | None = None,
    fam: PathLike | None = None,
    vcf: PathLike | None = None,
    regions: str | None = None,
    passed: bool = False,
    store: PathLike | None = None,
    pfile: PathLike | None = None,
    pgen: PathLike | None = None,
    pvar: PathLike | None = None,
    psam: PathLike | None = None,
    bgen: PathLike | None = None,
    sample: PathLike | None = None,
    bgen_reference: str | None = None,
    dosages: bool = False,
    chunk_variants: int | None = None,
) -> xr.Dataset:
    """Open genotypes, lazily, without traits beyond those that the source itself holds.

    Parameters
    ----------
    source : path, xarray.Dataset or anndata.AnnData, optional
        Anything that is understood: a prefix of PLINK files or one of them, VCF, BCF, BGEN, VCF Zarr (``.vcz``), a
        cohort saved by ``to_zarr``, AnnData (``.h5ad``, ``.zarr``), or one of these already open. It takes the
        place of the options below it.
    bfile, bed, bim, fam
        As for :func:`gp_elm.io.plink.read_plink`.
    vcf, regions, passed, store
        As for :func:`gp_elm.io.vcf.read_vcf`.
    pfile, pgen, pvar, psam
        Prefix of PLINK 2 files, or the three files (:func:`gp_elm.io.pgen.read_pgen`).
    bgen, sample, bgen_reference
        As for :func:`gp_elm.io.bgen.read_bgen`; ``bgen_reference`` is ``"first"`` or ``"last"``.
    dosages : bool
        Take imputed dosages (DS of a VCF, PGEN, BGEN) rather than hard calls.
    chunk_variants : int, optional
        Variants of a dask chunk.

    Returns
    -------
    xarray.Dataset
        A cohort (:mod:`gp_elm.schema`).

    Raises
    ------
    OptionError
        Where no source is given, several are, or an option does not belong to the source.
    InputError
        Where a file cannot be used.
    """
    given: dict[str, Any] = {
        "source": source, "bfile": bfile, "bed": bed, "bim": bim, "fam": fam, "vcf": vcf, "regions": regions,
        "passed": passed or None, "store": store, "pfile": pfile, "pgen": pgen, "pvar": pvar, "psam": psam,
        "bgen": bgen, "sample": sample, "bgen_reference": bgen_reference,
    }  # fmt: skip
    given = {name: value for name, value in given.items() if value is not None}
    starts = {_SAME.get(name, name) for name in given if name in _STARTS}
    if len(starts) > 1:
        flags = " and ".join(sorted(_STARTS[name] for name in given if name in _STARTS))
        raise OptionError(f"{flags} are both given; give the genotypes once")
    opened = source is not None and not isinstance(source, str | os.PathLike)
    if source is not None:
        starts = {"open"} if opened else {_place(source, given)}
    for owner, names in _BELONGS.items():
        for name in names:
            if name in given and owner not in starts and (name, starts) != ("passed", {"vcz"}):
                flag = f"--{name.replace('_', '-')}"
                raise OptionError(
                    f"{flag} goes with --{owner}, which is not given; leave {flag} out or add it"
                )
    if not starts:
        raise OptionError(
            "no genotypes; give --bfile, --vcf, --pfile, --bgen, or --cohort with a path of any of these, "
            "VCF Zarr or AnnData"
        )
    (kind,) = starts
    if dosages and kind in ("bfile", "zarr", "anndata", "open"):
        raise OptionError("--dosages goes with --vcf, --pfile, --bgen or VCF Zarr; leave it out")
    return _READERS[kind](given, dosages, chunk_variants)


def anndata_of(source: PathLike | xr.Dataset | ad.AnnData | None) -> ad.AnnData | None:
    """The AnnData that a source is, or that stands at its path; None for every other source."""
    if source is None or isinstance(source, xr.Dataset):
        return None
    if not isinstance(source, str | os.PathLike):
        return source
    from gp_elm.io.recognise import kind_of

    kind, path = kind_of(source)
    if kind != "anndata":
        return None
    from gp_elm.io.anndata import read_anndata

    return read_anndata(path)


def _place(source: PathLike, given: dict[str, Any]) -> str:
    """Kind of the source at a path; `given` gets it under the name of that kind."""
    from gp_elm.io.recognise import kind_of

    kind, path = kind_of(source)
    given[kind] = path
    return kind


def _open(given: dict[str, Any], dosages: bool, chunk: int | None) -> xr.Dataset:
    source = given["source"]
    if isinstance(source, xr.Dataset):
        return source
    from gp_elm.io.anndata import from_anndata

    return from_anndata(source).cohort


def _bfile(given: dict[str, Any], dosages: bool, chunk: int | None) -> xr.Dataset:
    bed, bim, fam = (given.get(name) for name in ("bed", "bim", "fam"))
    return read_plink(given.get("bfile"), bed=bed, bim=bim, fam=fam, chunk_variants=chunk)


def _vcf(given: dict[str, Any], dosages: bool, chunk: int | None) -> xr.Dataset:
    from gp_elm.io.vcf import read_vcf

    return read_vcf(
        given["vcf"], field="DS" if dosages else "GT", regions=given.get("regions"),
        passed=given.get("passed", False), store=given.get("store"), chunk_variants=chunk,
    )  # fmt: skip


def _pfile(given: dict[str, Any], dosages: bool, chunk: int | None) -> xr.Dataset:
    from gp_elm.io.pgen import read_pgen

    pgen, pvar, psam = (given.get(name) for name in ("pgen", "pvar", "psam"))
    return read_pgen(
        given.get("pfile"), pgen=pgen, pvar=pvar, psam=psam, dosages=dosages, chunk_variants=chunk
    )


def _bgen(given: dict[str, Any], dosages: bool, chunk: int | None) -> xr.Dataset:
    from gp_elm.io.bgen import read_bgen

    return read_bgen(
        given["bgen"], sample=given.get("sample"), reference=given.get("bgen_reference") or "first",
        dosages=dosages, chunk_variants=chunk,
    )  # fmt: skip


def _vcz(given: dict[str, Any], dosages: bool, chunk: int | None) -> xr.Dataset:
    from gp_elm.io.vcf_zarr import read_vcf_zarr

    return read_vcf_zarr(
        given["vcz"], field="DS" if dosages else "GT", passed=given.get("passed", False), chunk_variants=chunk
    )


def _zarr(given: dict[str, Any], dosages: bool, chunk: int | None) -> xr.Dataset:
    from gp_elm.io.zarr_cohort import open_zarr_cohort

    return open_zarr_cohort(given["zarr"], chunk_variants=chunk)


def _anndata(given: dict[str, Any], dosages: bool, chunk: int | None) -> xr.Dataset:
    from gp_elm.io.anndata import from_anndata, read_anndata

    return from_anndata(read_anndata(given["anndata"])).cohort


_READERS: dict[str, Callable[[dict[str, Any], bool, int | None], xr.Dataset]] = {
    "bfile": _bfile, "vcf": _vcf, "pfile": _pfile, "bgen": _bgen, "vcz": _vcz, "zarr": _zarr, "anndata": _anndata,
    "open": _open,
}  # fmt: skip


def genotype_files(options: dict[str, Any]) -> dict[str, Path]:
    """Files and folders behind the options of :func:`open_genotypes`, by the option that names each alone."""
    files: dict[str, PathLike] = {
        name: options[name]
        for name in ("bed", "bim", "fam", "vcf", "pgen", "pvar", "psam", "bgen", "sample")
        if options.get(name) is not None
    }
    if options.get("bfile") is not None:
        files |= {kind: f"{os.fspath(options['bfile'])}.{kind}" for kind in ("bed", "bim", "fam")}
    if options.get("pfile") is not None:
        base = os.fspath(options["pfile"])
        packed = not Path(f"{base}.pvar").exists() and Path(f"{base}.pvar.zst").exists()
        files |= {
            "pgen": f"{base}.pgen",
            "pvar": f"{base}.pvar{'.zst' if packed else ''}",
            "psam": f"{base}.psam",
        }
    if options.get("source") is not None:
        from gp_elm.io.recognise import kind_of

        kind, path = kind_of(options["source"])
        if kind in ("bfile", "pfile"):
            return genotype_files({**options, "source": None, kind: path})
        files["source"] = path
        options = {**options, kind: path}
    if options.get("bgen") is not None and options.get("sample") is None:
        from gp_elm.io.bgen_file import read_header

        bgen = Path(options["bgen"])
        # the ids of the samples are part of what was read, wherever they stand
        if bgen.is_file() and read_header(bgen).sample_ids is None:
            files["sample"] = bgen.with_suffix(".sample")
    return {name: Path(path) for name, path in files.items()}
