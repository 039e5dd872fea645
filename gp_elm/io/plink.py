"""PLINK 1 files: BED, BIM and FAM to a lazy cohort (https://www.cog-genomics.org/plink/1.9/formats)."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from gp_elm.errors import InputError, OptionError
from gp_elm.io.blocks import BedBlocks, attach

log = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]

MAGIC = b"\x6c\x1b"
BIM_COLUMNS = ("chromosome", "id", "cM", "position", "allele1", "allele2")
FAM_COLUMNS = ("FID", "IID", "father", "mother", "sex", "phenotype")
LONGEST_FIXED = 64  # characters; beyond, a fixed-width array of a million variants would take gigabytes


def read_plink(
    prefix: PathLike | None = None,
    *,
    bed: PathLike | None = None,
    bim: PathLike | None = None,
    fam: PathLike | None = None,
    chunk_variants: int | None = None,
    engine: str = "bed-reader",
) -> xr.Dataset:
    """Open a PLINK 1 fileset as a lazy cohort; no genotype is read.

    Parameters
    ----------
    prefix : path, optional
        Path without ``.bed``, ``.bim``, ``.fam``.
    bed, bim, fam : path, optional
        The three files, each beside or in place of ``prefix``.
    chunk_variants : int, optional
        Variants of a dask chunk; by default as many as make about 16 MiB.
    engine : {"bed-reader"}
        Decoder of the BED file.

    Returns
    -------
    xarray.Dataset
        A cohort (:mod:`gp_elm.schema`) with ``call_dosage`` int8 (variants, samples) counting BIM column 5,
        -1 missing, ``variant_ploidy`` 2 everywhere, and ``fam_phenotype`` (samples,), the text of FAM
        column 6. ``sample_id`` is the IID; where IIDs repeat between families it is FID_IID, and
        ``sample_iid`` holds the IID.

    Raises
    ------
    InputError
        Where a file is missing, malformed, truncated or does not belong to the others.
    OptionError
        Where the paths or the engine make no sense.
    """
    if engine != "bed-reader":
        raise OptionError(f"engine {engine!r} is not known; there is: bed-reader")
    if chunk_variants is not None and chunk_variants < 1:
        raise OptionError(f"chunk_variants is {chunk_variants}; give at least 1")
    paths = _three_paths(prefix, bed, bim, fam)
    samples = _read_fam(paths["fam"])
    variants = _read_bim(paths["bim"])
    n_samples, n_variants = len(samples["sample_id"]), len(variants["variant_id"])
    _check_bed(paths, n_samples, n_variants)
    log.info("%s: %d samples, %d variants", paths["bed"], n_samples, n_variants)
    cohort = xr.Dataset(
        {
            **{name: ("variants", values) for name, values in variants.items() if name != "contig_id"},
            "contig_id": ("contigs", variants["contig_id"]),
            "variant_ploidy": ("variants", np.full(n_variants, 2, np.int8)),
            **{name: ("samples", values) for name, values in samples.items()},
        },
        attrs={f"source_{kind}": str(path) for kind, path in paths.items()},
    )
    blocks = BedBlocks(
        str(paths["bed"]), (n_variants, n_samples), np.arange(n_variants), np.arange(n_samples)
    )
    return attach(cohort, blocks, chunk_variants=chunk_variants)


def _three_paths(
    prefix: PathLike | None, bed: PathLike | None, bim: PathLike | None, fam: PathLike | None
) -> dict[str, Path]:
    given = {"bed": bed, "bim": bim, "fam": fam}
    if prefix is None and None in given.values():
        lacking = ", ".join(kind for kind, path in given.items() if path is None)
        raise OptionError(f"no path for {lacking}; give a prefix (--bfile), or all of bed, bim and fam")
    paths = {}
    for kind, path in given.items():
        if path is None:
            stem = str(prefix)
            if stem.endswith((".bed", ".bim", ".fam")):
                stem = stem[:-4]
            path = f"{stem}.{kind}"
        paths[kind] = Path(path)
        if not paths[kind].is_file():
            hint = ""
            if Path(f"{path}.gz").is_file():
                hint = f"; {path}.gz is there: gunzip it first"
            elif paths[kind].with_suffix(".pgen").is_file():
                hint = "; a .pgen is there: convert it with plink2 --pfile ... --make-bed"
            raise InputError(f"{path}: no such file; check --bfile{hint}")
    return paths


def _check_bed(paths: dict[str, Path], n_samples: int, n_variants: int) -> None:
    bed = paths["bed"]
    with open(bed, "rb") as handle:
        head = handle.read(3)
    if head[:2] == b"\x1f\x8b":
        raise InputError(f"{bed}: the file is gzip-compressed; gunzip it first")
    if len(head) == 3 and head[:2] == MAGIC and head[2] == 0:
        raise InputError(
            f"{bed}: sample-major BED (third byte 0); rewrite it with plink --bfile ... --make-bed"
        )
    if head != MAGIC + b"\x01":
        raise InputError(
            f"{bed}: the first bytes are {head.hex(' ') or 'missing'}, not 6c 1b 01: this is no "
            "variant-major PLINK 1 BED; check the path, or rewrite it with plink --make-bed"
        )
    size, expected = bed.stat().st_size, 3 + n_variants * ((n_samples + 3) // 4)
    if size == expected:
        return
    what = "it is truncated" if size < expected else "it holds more"
    raise InputError(
        f"{bed}: {size:,} bytes, but {n_samples:,} samples in {paths['fam']} and {n_variants:,} variants "
        f"in {paths['bim']} need {expected:,}; {what}, or the files do not belong together: copy them again"
    )


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line that is not blank."""
    with open(path, encoding="utf-8", errors="replace") as handle:
        for number, line in enumerate(handle, start=1):
            if fields := line.split():
                yield number, fields


def _line_of(path: Path, row: int) -> int:
    """Line of a row, counted without blank lines."""
    return next(number for i, (number, _) in enumerate(_lines(path)) if i == row)


def _read_columns(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Whitespace-separated columns without a header, as text; a line with another number is named."""
    names = [*columns, "surplus"]
    try:
        frame = pd.read_csv(
            path, sep=r"\s+", header=None, names=names, dtype=str, index_col=False,
            quoting=csv.QUOTE_NONE, keep_default_na=False, na_values=[""], encoding_errors="replace",
        )  # fmt: skip
    except pd.errors.ParserError:  # more fields than names
        frame = None
    if frame is None or frame[columns[-1]].isna().any() or frame["surplus"].notna().any():
        for number, fields in _lines(path):
            if len(fields) != len(columns):
                raise InputError(
                    f"{path}:{number}: {len(fields)} columns, expected {len(columns)} "
                    f"({', '.join(columns)}); mend the line, or rewrite the files with plink --make-bed"
                )
        raise InputError(f"{path}: not a table of {len(columns)} columns ({', '.join(columns)})")
    if frame.empty:
        raise InputError(f"{path}: the file is empty; copy it again")
    return frame.drop(columns="surplus")


def _text(values: pd.Series) -> NDArray[np.str_] | NDArray[np.object_]:
    array = values.to_numpy(dtype=object)
    longest = int(values.str.len().max()) if len(values) else 0
    return array if longest > LONGEST_FIXED else array.astype(str)


def _read_bim(path: Path) -> dict[str, NDArray]:
    frame = _read_columns(path, BIM_COLUMNS)
    position = pd.to_numeric(frame["position"], errors="coerce").to_numpy(np.float64)
    wrong = ~(np.isfinite(position) & (position == np.trunc(position)))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{path}:{_line_of(path, row)}: position {frame['position'].iloc[row]!r} is no whole number; "
            "write the base-pair position, or 0 where it is not known"
        )
    if n_negative := int((position < 0).sum()):
        log.warning("%s: %d negative positions are read as 0 (unplaced)", path, n_negative)
    codes, names = pd.factorize(frame["chromosome"])
    ids = frame["id"]
    if n_repeated := int(ids.duplicated(keep=False).sum()):
        log.info(
            "%s: %d variants share their id with another; they are told apart by place and alleles",
            path,
            n_repeated,
        )
    return {
        "variant_contig": codes.astype(np.int32),
        "contig_id": np.asarray(names, dtype=str),
        "variant_position": np.maximum(position, 0).astype(np.int64),
        "variant_id": _text(ids),
        "variant_effect_allele": _text(frame["allele1"]),
        "variant_other_allele": _text(frame["allele2"]),
    }


def _read_fam(path: Path) -> dict[str, NDArray]:
    frame = _read_columns(path, FAM_COLUMNS)
    repeated = frame.duplicated(["FID", "IID"], keep=False)
    if repeated.any():
        first = frame[repeated.to_numpy()].iloc[0]
        same = np.flatnonzero((frame["FID"] == first["FID"]) & (frame["IID"] == first["IID"]))
        numbers = [str(_line_of(path, int(row))) for row in same[:3]]
        n_more = len(frame[repeated.to_numpy()].drop_duplicates(["FID", "IID"])) - 1
        raise InputError(
            f"{path}: sample {first['FID']} {first['IID']} (FID IID) stands on lines {' and '.join(numbers)}"
            f"{f', and {n_more} more ids are repeated' if n_more else ''}; rename the copies or remove them"
        )
    iid, family = frame["IID"].to_numpy(object).astype(str), frame["FID"].to_numpy(object).astype(str)
    if pd.Index(iid).is_unique:
        sample_id = iid
    else:
        sample_id = np.char.add(np.char.add(family, "_"), iid)
        repeated_iid = iid[pd.Index(iid).duplicated()][0]
        log.info(
            "%s: IID %r and others repeat between families; sample_id is FID_IID", path, str(repeated_iid)
        )
        if not pd.Index(sample_id).is_unique:
            raise InputError(
                f"{path}: FID_IID {sample_id[pd.Index(sample_id).duplicated()][0]!r} names two samples; "
                "rename the samples so that IID is unique (plink --update-ids)"
            )
    extra = {} if sample_id is iid else {"sample_iid": iid}
    sex = pd.to_numeric(frame["sex"], errors="coerce").to_numpy(np.float64)
    return {
        "sample_id": sample_id,
        "sample_family_id": family,
        "sample_sex": np.where(np.isin(sex, (1, 2)), sex, 0).astype(np.int8),
        "fam_phenotype": frame["phenotype"].to_numpy(object).astype(str),
        **extra,
    }
