"""PLINK 2's ``.pvar`` and ``.psam`` (https://www.cog-genomics.org/plink/2.0/formats), with or without a header."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from gp_elm.errors import InputError
from gp_elm.io.identity import sample_variables
from gp_elm.io.plain_text import refuse_nul, short_text

log = logging.getLogger(__name__)

BIM = ("CHROM", "ID", "CM", "POS", "ALT", "REF")
FAM = ("FID", "IID", "PAT", "MAT", "SEX", "PHENO1")
SEXES = {"1": 1, "M": 1, "m": 1, "2": 2, "F": 2, "f": 2}
NO_TRAIT = ("FID", "IID", "SID", "PAT", "MAT", "SEX")


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """Text of a file, unpacked where its name ends with .zst."""
    with open(path, "rb") as raw:
        binary = pa.CompressedInputStream(raw, "zstd") if path.suffix == ".zst" else raw
        with io.TextIOWrapper(binary, encoding="utf-8", errors="replace") as text:
            yield text


def _read(path: Path, headerless: tuple[str, ...], first: tuple[str, ...], wanted: set[str]) -> pd.DataFrame:
    """Columns of a table as text; `first` are the names that its header may start with."""
    names: list[str] = []
    try:
        with open(path, "rb") as raw:
            refuse_nul(path, pa.CompressedInputStream(raw, "zstd") if path.suffix == ".zst" else raw)
        with _opened(path) as text:
            skipped, line = 0, ""
            for line in text:
                if (
                    line.startswith("#")
                    and line.split()[0].lstrip("#") in first
                    and not line.startswith("##")
                ):
                    names = line.lstrip("#").split()
                elif line.strip() and not line.startswith("#"):
                    break
                skipped += 1
            else:
                raise InputError(f"{path}: the file holds no line of data; copy it again")
        fields = len(line.split())
        if not names:
            names = list(headerless)
            if fields == len(headerless) - 1:
                names = [name for name in names if name not in ("CM", "PHENO1")]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{path}:{skipped}: the column {twice} is there twice; rename or remove one")
        with _opened(path) as text:
            for _ in range(skipped):
                next(text)
            frame = pd.read_csv(
                text, sep=r"\s+", header=None, names=names, dtype=str, index_col=False,
                usecols=[name for name in names if name in wanted or name == names[-1]],
                quoting=csv.QUOTE_NONE, keep_default_na=False, na_values=[""],
            )  # fmt: skip
    except pd.errors.ParserError:
        frame = None
    except (OSError, EOFError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read ({error}); copy it again") from error
    if frame is None or frame[names[-1]].isna().any() or fields != len(names):
        with _opened(path) as text:
            for number, line in enumerate(text, 1):
                if number > skipped and (found := len(line.split())) not in (0, len(names)):
                    raise InputError(
                        f"{path}:{number}: {found} columns, expected {len(names)} ({', '.join(names)}); mend the "
                        "line, or write the files again with plink2 --make-pgen"
                    )
        raise InputError(f"{path}: not a table of {len(names)} columns ({', '.join(names)})")
    return frame


def read_pvar(path: Path) -> pd.DataFrame:
    """Variants of a ``.pvar`` or ``.pvar.zst``.

    Parameters
    ----------
    path : Path
        The file, with a ``#CHROM`` line, or without (the layout of a BIM file, with or without the third column).

    Returns
    -------
    pandas.DataFrame
        ``CHROM``, ``ID``, ``REF``, ``ALT`` (alleles separated by commas) as text, ``POS`` int64; a row a variant.

    Raises
    ------
    InputError
        Where the file is malformed or empty.
    """
    wanted = ["CHROM", "POS", "ID", "REF", "ALT"]
    frame = _read(path, BIM, ("CHROM",), set(wanted))
    if lacking := [name for name in wanted if name not in frame]:
        raise InputError(f"{path}: no column {', '.join(lacking)}; write it again with plink2 --make-pgen")
    position = pd.to_numeric(frame["POS"], errors="coerce").to_numpy(np.float64)
    wrong = ~(np.isfinite(position) & (position == np.trunc(position)))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{path}: position {frame['POS'].iloc[row]!r} of variant {row + 1:,} ({frame['ID'].iloc[row]}) is no whole "
            "number; write the base-pair position, or 0 where it is not known"
        )
    if n_negative := int((position < 0).sum()):
        log.warning("%s: %d negative positions are read as 0 (unplaced)", path, n_negative)
    return frame[wanted].assign(POS=np.maximum(position, 0).astype(np.int64))


def read_psam(path: Path) -> dict[str, NDArray]:
    """Samples of a ``.psam``.

    Parameters
    ----------
    path : Path
        The file, with a ``#FID`` or ``#IID`` line, or without (the layout of a FAM file).

    Returns
    -------
    dict
        As :func:`gp_elm.io.identity.sample_variables`, and ``fam_phenotype``, text, where the file has exactly one
        phenotype column.

    Raises
    ------
    InputError
        Where the file is malformed or empty, has no IID, or ids repeat.
    """
    with _opened(path) as text:
        head = next((line for line in text if not line.startswith("##")), "")
    if head.startswith("#") and "IID" not in head.lstrip("#").split():
        raise InputError(
            f"{path}: the header {head.strip()[:60]!r} has no column IID; write #IID or #FID IID"
        )
    frame = _read(path, FAM, ("FID", "IID"), {*NO_TRAIT, *head.lstrip("#").split(), "PHENO1"})
    family = frame["FID"].to_numpy(object) if "FID" in frame else None
    sex = frame["SEX"].map(SEXES).fillna(0).to_numpy() if "SEX" in frame else None
    samples = sample_variables(family, frame["IID"].to_numpy(object), sex, where=str(path))
    traits = [str(name) for name in frame if name not in NO_TRAIT]
    if len(traits) == 1:
        samples["fam_phenotype"] = short_text(frame[traits[0]].to_numpy(object), str(path))
    elif traits:
        log.info(
            "%s: %d phenotypes (%s); give them with --pheno %s", path, len(traits), ", ".join(traits), path
        )
    return samples
