"""Association results that other programs wrote, as rows with the columns of our tables."""

from __future__ import annotations

import glob
import io
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from gp_elm.errors import InputError
from gp_elm.io.gwas_formats import Format, recognise
from gp_elm.io.gwas_rows import COLUMNS, result_rows

logger = logging.getLogger(__name__)

OURS = frozenset(("trait", "variant_id", "effect_allele", "missing_rate"))
"""Columns by which a table of variants of ours is known, with a GWAS or without."""

MISSING_WORDS = ["NA", "#NA", "", "nan", "NaN", "-nan", "N/A", "."]
_BLOCK_BYTES = 16 << 20
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}

PathLike = str | os.PathLike[str]


def read_gwas(paths: PathLike | Sequence[PathLike], *, traits: Sequence[str] = ()) -> pd.DataFrame:
    """Read association results of PLINK, REGENIE, GEMMA, SAIGE, BOLT-LMM or GWAS-SSF, recognised by their header.

    Parameters
    ----------
    paths : path or sequence of paths
        Files, plain or compressed (gzip, zstd), or patterns such as ``gwas.*.glm.linear``; ``TRAIT=FILE`` says which
        trait a file is of.
    traits : sequence of str
        Names that the traits may have. Without ``TRAIT=`` the trait is that of a column ``trait``, or the one of
        these with which the file's name ends, or the only one of these if there is one file; or else it is taken from
        the file's name.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, the rows in the order of the files; additive tests alone. Effects are per copy of the effect
        allele, log odds ratios where the program reports odds ratios. `other_allele`, and for ``.qassoc`` the effect
        allele too, is None where the file does not name it. `n` is Int64, NA where the file does not say.

    Raises
    ------
    InputError
        Where a file is not there, its header is not known, a line is broken, or two files are of one trait.
    """
    frames = []
    source: dict[str, Path] = {}
    files = gwas_files(paths)
    for path, name in files:
        frame = _read(path, traits, name, alone=len(files) == 1)
        for trait in frame["trait"].unique():
            if trait in source:
                raise InputError(
                    f"{path}: trait {trait} stands already in {source[trait]}; give one file a trait, "
                    "or say which is which with TRAIT=FILE"
                )
            source[trait] = path
        frames.append(frame)
    return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]


def is_foreign(path: PathLike) -> bool:
    """Whether a path, a pattern or ``TRAIT=FILE`` is of another program's results rather than a table of ours.

    Raises
    ------
    InputError
        Where there is no such file, or it is neither.
    """
    file = gwas_files(path)[0][0]
    if file.suffix == ".parquet":
        return False
    header = _header(file)[0]
    return not OURS <= set(header) and recognise(header, str(file)).name != "gp-elm"


def gwas_files(paths: PathLike | Sequence[PathLike]) -> list[tuple[Path, str | None]]:
    """The files that paths, patterns and ``TRAIT=FILE`` name, each with its trait where given.

    Raises
    ------
    InputError
        Where there is no such file.
    """
    files: list[tuple[Path, str | None]] = []
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        text = os.fspath(path)
        # a trait's name may hold = itself, and so may a file's
        splits = [(text[: k.start()], Path(text[k.end() :])) for k in re.finditer("=", text)]
        named = [(file, trait) for trait, file in splits if file.is_file()]
        if Path(text).is_file():
            files.append((Path(text), None))
        elif named:
            files.append(named[-1])
        else:
            found = [Path(file) for file in sorted(glob.glob(text)) if Path(file).is_file()]
            if not found:
                raise InputError(f"{text}: no such file of association results; check the path")
            files += [(file, None) for file in found]
    return files


def _open(path: Path) -> Any:
    with open(path, "rb") as raw:
        start = raw.read(2)
    return pa.input_stream(str(path), compression=_MAGIC.get(start))


def _header(path: Path) -> tuple[list[str], str, int]:
    """Names of the columns, what separates them, and how many lines stand before the rows."""
    try:
        with _open(path) as stream:
            lines = stream.read(1 << 20).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read as text ({error}); give a table as the program wrote it"
        ) from error
    skipped = next(
        (k for k, line in enumerate(lines) if line.strip() and not line.startswith("##")), len(lines)
    )
    if skipped == len(lines):
        raise InputError(f"{path}: the file is empty; it needs a header and a row for each variant")
    line = lines[skipped].lstrip("#")
    mark = next((mark for mark in ("\t", ",") if mark in line), " ")
    words = [word.strip().strip('"') for word in (line.split() if mark == " " else line.split(mark))]
    repeated = [word for k, word in enumerate(words) if word in words[:k]]
    if repeated:
        raise InputError(f"{path}: the column {repeated[0]!r} stands twice in the header; rename one")
    return words, mark, skipped + 1


class _Tabbed(io.RawIOBase):
    """A stream whose runs of blanks have become single tabs."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._rest, self._ready = stream, b"", b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            block = self._stream.read(_BLOCK_BYTES)
            lines = (self._rest + block).split(b"\n")
            self._rest = lines.pop() if block else b""
            if not block and not any(lines):
                return 0
            self._ready = b"\n".join([b"\t".join(line.split()) for line in lines] + [b""])
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size


def _read(path: Path, traits: Sequence[str], name: str | None, *, alone: bool) -> pd.DataFrame:
    header, mark, skip = _header(path)
    known = recognise(header, str(path))
    wanted = known.source(header)
    counts = {"rows": 0, "other tests": 0, "not fitted": 0}
    tests: set[str] = set()
    pieces = []
    try:
        with _open(path) as stream:
            reader = pyarrow.csv.open_csv(
                io.BufferedReader(_Tabbed(stream), _BLOCK_BYTES) if mark == " " else stream,
                read_options=pyarrow.csv.ReadOptions(
                    column_names=header, skip_rows=skip, block_size=_BLOCK_BYTES, use_threads=False
                ),
                parse_options=pyarrow.csv.ParseOptions(delimiter="\t" if mark == " " else mark),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types={word: pa.string() for word in header},
                    include_columns=list(wanted.values()),
                    null_values=MISSING_WORDS,
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=True,
                ),
            )
            for batch in reader:
                first = skip + counts["rows"] + 1
                counts["rows"] += batch.num_rows
                text = {ours: batch.column(word) for ours, word in wanted.items()}
                rows = np.arange(first, first + batch.num_rows)
                if "test" in text:
                    additive = pc.fill_null(pc.equal(text["test"], "ADD"), False)
                    if len(tests) < 9:
                        tests |= set(pc.unique(text["test"]).to_pylist()) - {None}
                    text = {ours: column.filter(additive) for ours, column in text.items()}
                    rows = rows[additive.to_numpy(zero_copy_only=False)]
                    counts["other tests"] += batch.num_rows - len(rows)
                pieces.append(result_rows(text, rows, str(path)))
    except (pa.ArrowInvalid, OSError) as error:
        if counts["rows"] or "Empty CSV" not in str(error):
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{path}: a line is broken ({reason}); mend it, or write the file again"
            ) from error
    if not counts["rows"]:
        raise InputError(f"{path}: there is a header but no row; check that the file is complete")
    frame = pd.concat(pieces, ignore_index=True)
    if not len(frame):
        raise InputError(
            f"{path}: no row has TEST ADD (there is {', '.join(sorted(tests))}); give additive tests"
        )
    if name is not None or "trait" not in wanted:
        frame["trait"] = name or _trait_of(path, known, traits, alone=alone)
    untested = int(frame["gwas_p_value"].isna().sum())
    logger.info(
        "%s: %s, %d variants and traits (%s)%s%s", path, known.name, len(frame),
        ", ".join(map(str, frame["trait"].unique()[:5])),
        f"; {counts['other tests']} rows of other tests left out" if counts["other tests"] else "",
        f"; {untested} rows have no p-value" if untested else "",
    )  # fmt: skip
    if "effect_allele" not in wanted:
        logger.warning(
            "%s names no effect allele: taken as the minor one, which it is unless PLINK ran with "
            "--keep-allele-order; --linear names it",
            path,
        )
    if "DOMDEV" in tests:
        logger.warning("%s: its additive effects stand beside a dominance term (genotypic model)", path)
    return frame[list(COLUMNS)]


def _trait_of(path: Path, known: Format, traits: Sequence[str], *, alone: bool) -> str:
    stem = re.sub(rf"({known.suffix})?(\.(gz|bgz|zst))?$", "", path.name)
    matching = [t for t in traits if re.search(rf"(^|[._-]){re.escape(t)}$", stem)]
    if matching:
        return max(matching, key=len)
    named = stem.rsplit(".", 1)[-1] if "glm" in known.suffix else stem
    if len(traits) == 1 and alone:
        if "glm" in known.suffix:
            logger.warning("%s: taken as trait %s, the only one there is, not %s", path, traits[0], named)
        return traits[0]
    return named
