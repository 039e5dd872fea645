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
from gp_elm.io.bed import BedSource
from gp_elm.io.blocks import Blocks, attach
from gp_elm.io.identity import cohort_dataset, sample_variables, variant_variables
from gp_elm.io.plain_text import refuse_nul, short_text

log = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]

MAGIC = b"\x6c\x1b"
BIM_COLUMNS = ("chromosome", "id", "cM", "position", "allele1", "allele2")
FAM_COLUMNS = ("FID", "IID", "father", "mother", "sex", "phenotype")


def read_plink(
    prefix: PathLike | None = None,
    *,
    bed: PathLike | None = None,
    bim: PathLike | None = None,
    fam: PathLike | None = None,
    chunk_variants: int | None = None,
    engine: str = "auto",
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
    engine : {"auto", "pandas-plink"}
        What decodes the BED: our own table, or pandas-plink (``pip install "gp-elm[pandas-plink]"``), which takes
        longer and gives the same Dataset. Its chunks hold every sample here: in chunks that do not start at a
        multiple of 4 samples it reads other samples' calls (35 % of the cells are wrong at chunks of 1,001).

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
        Where the paths, or ``engine``, make no sense, or pandas-plink is asked for and not installed.
    """
    if engine not in ("auto", "pandas-plink"):
        raise OptionError(f"engine is {engine!r}; give 'auto' or 'pandas-plink'")
    if chunk_variants is not None and chunk_variants < 1:
        raise OptionError(f"chunk_variants is {chunk_variants}; give at least 1")
    paths = _three_paths(prefix, bed, bim, fam)
    samples = _read_fam(paths["fam"])
    variants = _read_bim(paths["bim"])
    n_samples, n_variants = len(samples["sample_id"]), len(variants["variant_id"])
    _check_bed(paths, n_samples, n_variants)
    log.info("%s: %d samples, %d variants", paths["bed"], n_samples, n_variants)
    cohort = cohort_dataset(variants, samples, {kind: str(path) for kind, path in paths.items()})
    if engine == "pandas-plink":
        from gp_elm.io.pandas_plink import read_bed

        array = read_bed(**paths, shape=(n_variants, n_samples), chunk_variants=chunk_variants)
        return cohort.assign(call_dosage=(("variants", "samples"), array))
    source = BedSource(str(paths["bed"]), (n_variants, n_samples))
    return attach(cohort, Blocks.whole(source), chunk_variants=chunk_variants)


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
    refuse_nul(path)
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
    ids = frame["id"]
    if n_repeated := int(ids.duplicated(keep=False).sum()):
        log.info(
            "%s: %d variants share their id with another; they are told apart by place and alleles",
            path,
            n_repeated,
        )
    return variant_variables(
        frame["chromosome"], np.maximum(position, 0).astype(np.int64), ids, frame["allele1"], frame["allele2"]
    )


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
    sex = pd.to_numeric(frame["sex"], errors="coerce").to_numpy(np.float64)
    return {
        **sample_variables(
            frame["FID"].to_numpy(object), frame["IID"].to_numpy(object), sex, where=str(path)
        ),
        "fam_phenotype": short_text(frame["phenotype"].to_numpy(object), str(path)),
    }
