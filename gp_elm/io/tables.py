"""Result tables on disk: TSV and Parquet, written whole or not at all, in bounded memory."""

from __future__ import annotations

import contextlib
import gzip
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from gp_elm.errors import InputError, OptionError, OutputError
from gp_elm.io.arrangement import arrange, columns_of, natural_rank
from gp_elm.runtime.atomic import atomic_path

__all__ = ["arrange", "columns_of", "natural_rank", "read_table", "write_table"]

ROWS_AT_A_TIME = 65_536
"""Rows that are formatted at once."""

MISSING_WORD = "NA"

_ARROW = {"string": pa.string(), "float64": pa.float64(), "int64": pa.int64(), "Int64": pa.int64()}


def write_table(
    frame: pd.DataFrame | Iterable[pd.DataFrame],
    path: str | os.PathLike[str],
    *,
    table: str | None = None,
    tsv: bool = True,
    parquet: bool = True,
    compress: bool = True,
) -> list[Path]:
    """Write a table as ``PATH.tsv.gz`` and ``PATH.parquet``, each atomically, in bounded memory.

    Missing values are NA, numbers round-trip to the last bit, and the same table gives the same bytes.

    Parameters
    ----------
    frame : pandas.DataFrame or iterable of them
        The rows; an iterable of frames with the same columns is written piece by piece.
    path : path-like
        Without suffix.
    table : str, optional
        Name of the result table whose types the columns get (`arrange` does the rest); else they keep theirs.
    tsv, parquet : bool
        Which files to write.
    compress : bool
        Write ``.tsv.gz`` rather than ``.tsv``.

    Returns
    -------
    list of pathlib.Path
        What was written.

    Raises
    ------
    OutputError
        Where the disk is full or refuses, a value does not fit its column's type, or text holds a tab.
    """
    if not (tsv or parquet):
        raise OptionError("a table is to be written neither as TSV nor as Parquet; choose at least one")
    base = os.fspath(path)
    text_path = Path(base + (".tsv.gz" if compress else ".tsv"))
    parquet_path = Path(base + ".parquet")
    types = {column.name: column.dtype for column in columns_of(table)} if table else {}
    with contextlib.ExitStack() as stack:
        text = stack.enter_context(_open_text(text_path)) if tsv else None
        columnar = stack.enter_context(_open_parquet(parquet_path)) if parquet else None
        schema: pa.Schema | None = None
        for piece in _pieces(frame):
            rows = _to_arrow(piece, types, schema, base)
            if text is not None:
                if schema is None:
                    text.write(("\t".join(rows.column_names) + "\n").encode())
                text.write(_format(rows, text_path))
            if columnar is not None:
                columnar(rows)
            schema = rows.schema
        if schema is None:
            raise OutputError(
                f"{base}: there are no pieces to write, not even an empty one with the column names"
            )
    return [text_path] * tsv + [parquet_path] * parquet


def read_table(path: str | os.PathLike[str], *, table: str | None = None) -> pd.DataFrame:
    """Read a table that `write_table` wrote.

    Parameters
    ----------
    path : path-like
        A file that ends in ``.tsv``, ``.tsv.gz`` or ``.parquet``.
    table : str, optional
        Name of the result table whose types the columns get; by default they are inferred from a TSV.

    Returns
    -------
    pandas.DataFrame
        Strings as objects, None where missing; numbers as float64 or int64, Int64 where whole and missing.

    Raises
    ------
    InputError
        Where the file is not there or is no such table.
    """
    file = Path(path)
    types = {column.name: column.dtype for column in columns_of(table)} if table else {}
    try:
        if file.suffix == ".parquet":
            rows = pq.read_table(file)
        else:
            rows = pyarrow.csv.read_csv(
                file,
                parse_options=pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
                convert_options=pyarrow.csv.ConvertOptions(
                    null_values=[MISSING_WORD],
                    strings_can_be_null=True,
                    column_types={name: _ARROW[dtype] for name, dtype in types.items()},
                ),
            )
    except (OSError, pa.ArrowInvalid) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{file}: cannot be read as a table ({reason}); give a file that gp-elm wrote"
        ) from error
    return _to_pandas(rows, types)


@contextlib.contextmanager
def _open_parquet(path: Path) -> Iterator[Callable[[pa.Table], None]]:
    # the schema is known only when the first rows come
    with atomic_path(path) as temporary, contextlib.ExitStack() as stack:
        writers: list[pq.ParquetWriter] = []

        def write(rows: pa.Table) -> None:
            if not writers:
                writers.append(
                    stack.enter_context(pq.ParquetWriter(temporary, rows.schema, compression="zstd"))
                )
            writers[0].write_table(rows)

        yield write


@contextlib.contextmanager
def _open_text(path: Path) -> Iterator[IO[bytes]]:
    with atomic_path(path) as temporary, open(temporary, "wb") as raw:
        if path.suffix != ".gz":
            yield raw
            return
        # no name and no time in the header: the same table gives the same bytes; a level above 2 takes
        # three times as long for digits, and saves a twentieth
        with gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=2, mtime=0) as packed:
            yield cast(IO[bytes], packed)


def _pieces(frame: pd.DataFrame | Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    for whole in [frame] if isinstance(frame, pd.DataFrame) else frame:
        for start in range(0, max(len(whole), 1), ROWS_AT_A_TIME):
            yield whole.iloc[start : start + ROWS_AT_A_TIME]


def _to_arrow(piece: pd.DataFrame, types: dict[str, str], schema: pa.Schema | None, where: str) -> pa.Table:
    arrays = []
    for name in piece.columns:
        series = piece[name]
        kind = schema.field(name).type if schema is not None else _ARROW.get(types.get(name, ""))
        if kind is None:
            kind = _infer(series)
        try:
            arrays.append(
                pa.array(series.astype(object) if kind == pa.string() else series, kind, from_pandas=True)
            )
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            reason = " ".join(str(error).split())
            raise OutputError(f"{where}: column {name} does not hold {kind} throughout ({reason})") from error
    return pa.Table.from_arrays(arrays, names=[str(name) for name in piece.columns])


def _infer(series: pd.Series) -> pa.DataType:
    if pd.api.types.is_bool_dtype(series.dtype):
        return pa.bool_()
    if pd.api.types.is_integer_dtype(series.dtype):
        return pa.int64()
    if pd.api.types.is_float_dtype(series.dtype):
        return pa.float64()
    return pa.string()


def _format(rows: pa.Table, path: Path) -> memoryview | bytes:
    if rows.num_rows == 0:
        return b""
    texts = []
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        text = pc.cast(column, pa.string())
        if column.type == pa.string():
            broken = pc.match_substring_regex(text, r"[\t\r\n]")
            if pc.any(broken).as_py():
                value = text.filter(broken)[0].as_py()
                raise OutputError(
                    f"{path}: column {name} holds {value!r}, with a tab or a line end; rename it"
                )
        texts.append(pc.fill_null(text, MISSING_WORD).combine_chunks())
    texts[-1] = pc.binary_join_element_wise(texts[-1], "\n", "")
    lines = pc.binary_join_element_wise(*texts, "\t") if len(texts) > 1 else texts[0]
    lines = lines.cast(pa.large_string())
    # the lines lie one after the other in the array's own data buffer
    _, offsets, data = lines.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[lines.offset : lines.offset + len(lines) + 1]
    return memoryview(data)[ends[0] : ends[-1]]


def _to_pandas(rows: pa.Table, types: dict[str, str]) -> pd.DataFrame:
    data: dict[str, Any] = {}
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if pa.types.is_null(column.type):
            column = column.cast(_ARROW[types.get(name, "float64")])
        if pa.types.is_integer(column.type) and (column.null_count or types.get(name) == "Int64"):
            data[name] = column.to_pandas(types_mapper=lambda _: pd.Int64Dtype())
        else:
            data[name] = column.to_pandas()
    return pd.DataFrame(data)
