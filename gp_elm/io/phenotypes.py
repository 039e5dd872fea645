"""Tables with a row for each sample, as PLINK users have them: traits, covariates, groups, lists of ids."""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gp_elm.errors import InputError
from gp_elm.io.plain_text import refuse_nul, short_text

MISSING_WORDS = frozenset({"", "na", "nan", "n/a", "#na", "."})
"""Words for a missing value, in lower case; the number -9 is missing too and is counted."""

FAMILY_NAMES = frozenset({"fid", "#fid", "family_id"})
SAMPLE_NAMES = frozenset({"iid", "#iid", "sample_id"})

Text = NDArray[np.str_]
TableSource = str | os.PathLike[str] | pd.DataFrame


@dataclass(frozen=True)
class SampleTable:
    """A parsed table: ids and the text of every other column.

    Attributes
    ----------
    source : str
        Path of the file, for messages.
    family, sample : ndarray of str (rows,)
        FID ("0" where there is none) and IID.
    columns : dict of str to ndarray of str (rows,)
        The other columns, as text without surrounding blanks.
    line : ndarray of int64 (rows,)
        Line of the file that each row came from.
    """

    source: str
    family: Text
    sample: Text
    columns: dict[str, Text]
    line: NDArray[np.int64]

    def __len__(self) -> int:
        """Rows of the table."""
        return len(self.sample)

    def where(self, row: int) -> str:
        """Place of a row, as ``file:line``."""
        return f"{self.source}:{self.line[row]}"


def read_table(source: TableSource) -> SampleTable:
    """Read a table of samples.

    Parameters
    ----------
    source : path or pandas.DataFrame
        A file with a header and columns ``FID IID``, ``IID`` or ``#IID`` and others, separated by tabs,
        commas or blanks, optionally gzip-compressed; or a DataFrame with them, or with sample ids as index.

    Returns
    -------
    SampleTable
        Ids and text columns.

    Raises
    ------
    InputError
        Where the header has no id column or repeats a name, a line has another number of fields, or an id is
        repeated.
    """
    if isinstance(source, pd.DataFrame):
        name, header, rows, lines = "DataFrame row", *_frame_rows(source)
    else:
        name, header, rows, lines = str(source), *_file_rows(Path(source))
    lower = [word.lower() for word in header]
    sample_at = [i for i, word in enumerate(lower) if word in SAMPLE_NAMES]
    family_at = [i for i, word in enumerate(lower) if word in FAMILY_NAMES]
    if len(sample_at) != 1 or len(family_at) > 1:
        raise InputError(
            f"{name}:1: the header {' '.join(header[:4])!r} has no column IID; the first line must name the "
            "columns: FID IID, or IID or #IID, and then the values"
        )
    repeated = [word for i, word in enumerate(header) if word in header[:i]]
    if repeated:
        raise InputError(f"{name}:1: the column {repeated[0]!r} stands twice in the header; rename one")
    if not rows:
        raise InputError(f"{name}: there is a header but no row; check that the file is complete")
    by_column = [short_text(values, name) for values in zip(*rows, strict=True)]
    sample = by_column[sample_at[0]]
    family = by_column[family_at[0]] if family_at else np.full(len(rows), "0")
    ids = {*sample_at, *family_at, *(i for i, word in enumerate(lower) if word == "sid")}
    columns = {word: by_column[i] for i, word in enumerate(header) if i not in ids}
    table = SampleTable(name, family, sample, columns, np.asarray(lines, np.int64))
    _refuse_repeated_ids(table)
    return table


def read_groups(source: TableSource) -> SampleTable:
    """Read a groups file: the id columns and one column of labels.

    Parameters
    ----------
    source : path or pandas.DataFrame
        As for :func:`read_table`, with one column beside the ids.

    Returns
    -------
    SampleTable
        Its only column holds the labels.

    Raises
    ------
    InputError
        Where there is no label column, or more than one.
    """
    table = read_table(source)
    if len(table.columns) != 1:
        raise InputError(
            f"{table.source}:1: a groups file has the id columns and one label column, but here there are "
            f"{len(table.columns)}: {', '.join(table.columns) or 'none'}; keep one"
        )
    return table


def numbers(table: SampleTable, column: str) -> tuple[NDArray[np.float64], int]:
    """Values of a column.

    Parameters
    ----------
    table : SampleTable
        The table.
    column : str
        Name of the column.

    Returns
    -------
    values : ndarray of float64 (rows,)
        NaN where missing.
    n_minus_nine : int
        How many values were -9, which counts as missing.

    Raises
    ------
    InputError
        Where a value is no finite number.
    """
    values = to_numbers(table.columns[column])
    if isinstance(values, int):
        text = table.columns[column][values]
        raise InputError(
            f"{table.where(values)}: {column} is {str(text)!r}, which is no number; write NA where it is "
            "missing, or choose other columns"
        )
    minus_nine = values == -9
    values[minus_nine] = np.nan
    return values, int(minus_nine.sum())


def to_numbers(text: Text) -> NDArray[np.float64] | int:
    """Numbers of a text column, NaN where missing, or the position of the first word that is no number."""
    missing = is_missing(text)
    filled = np.where(missing, "nan", text)
    # Python reads 1_2 as 12, but in a table it is a label
    if not np.any(np.char.find(filled, "_") >= 0):
        try:
            values: NDArray[np.float64] = filled.astype(np.float64)
        except ValueError:
            pass
        else:
            if not np.isinf(values).any():
                return values
    return next(i for i, word in enumerate(filled) if not is_number(word))


def is_missing(text: Text) -> NDArray[np.bool_]:
    """Whether each word of a column stands for a missing value."""
    return np.isin(np.char.lower(text), list(MISSING_WORDS))


def is_number(word: str) -> bool:
    """Whether a word is a finite number, or the word nan."""
    try:
        return "_" not in word and not np.isinf(float(word))
    except ValueError:
        return False


def open_text(path: Path) -> TextIO:
    """Open a text file, gzip-compressed or not, as UTF-8."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path")
    with open(path, "rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    # -sig: spreadsheets put a byte-order mark before the header
    if zipped:
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8-sig"))
    return open(path, encoding="utf-8-sig")


def read_text(path: Path) -> str:
    """Read a text file whole, gzip-compressed or not, as UTF-8; InputError where it is damaged or no text."""
    try:
        with open_text(path) as handle:
            text = handle.read()
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file in UTF-8; save it as plain text with tabs") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); copy it again") from error
    refuse_nul(path, io.BytesIO(text.encode()))
    return text


def _file_rows(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """Header, rows and line numbers of a delimited file."""
    lines = read_text(path).split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise InputError(f"{path}: the file is empty; it needs a header and a row for each sample")
    delimiter = next((mark for mark in ("\t", ",") if mark in lines[0]), " ")
    header, *found = _split(lines, delimiter)
    rows, numbers_ = [], []
    for number, fields in enumerate(found, start=2):
        if not any(fields):
            continue
        if len(fields) != len(header):
            raise InputError(
                f"{path}:{number}: {len(fields)} fields, but the header has {len(header)} "
                f"(separated by {_NAMED[delimiter]}); mend the line, and write NA for missing values"
            )
        rows.append(fields)
        numbers_.append(number)
    return header, rows, numbers_


_NAMED = {"\t": "tabs", ",": "commas", " ": "blanks"}


def _split(lines: list[str], delimiter: str) -> Iterator[list[str]]:
    for line in lines:
        if delimiter == " ":
            line = " ".join(line.split())
        if '"' in line:
            # one reader a line, so that a stray quotation mark cannot swallow the lines after it
            yield [word.strip() for word in next(csv.reader([line], delimiter=delimiter))]
        else:
            yield [word.strip() for word in line.split(delimiter)]


def _frame_rows(frame: pd.DataFrame) -> tuple[list[str], list[list[str]], list[int]]:
    """Header, rows and row numbers of a DataFrame."""
    frame = frame.copy()
    frame.columns = pd.Index([str(name) for name in frame.columns])
    if not {str(name).lower() for name in frame.columns} & SAMPLE_NAMES:
        frame.insert(0, "IID", frame.index.astype(str))
    for name in frame.select_dtypes(bool).columns:
        frame[name] = frame[name].astype(int)
    cells = frame.astype(object).where(frame.notna(), "NA").astype(str).to_numpy(dtype=object)
    return list(frame.columns), cells.tolist(), list(range(len(frame)))


def _refuse_repeated_ids(table: SampleTable) -> None:
    pairs = pd.MultiIndex.from_arrays([table.family, table.sample])
    if pairs.is_unique:
        return
    row = int(np.flatnonzero(pairs.duplicated())[0])
    first = int(np.flatnonzero((table.family == table.family[row]) & (table.sample == table.sample[row]))[0])
    label = str(table.sample[row]) if table.family[row] == "0" else f"{table.family[row]} {table.sample[row]}"
    n_repeated = int(pairs.duplicated().sum())
    more = f" and {n_repeated - 1} more rows repeat an id" if n_repeated > 1 else ""
    raise InputError(
        f"{table.where(row)}: sample {label!r} stands already on line {table.line[first]}{more}; "
        "keep one row for each sample"
    )
