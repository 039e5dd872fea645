"""A frame in the form of a result table: every column, in order, typed, rows sorted."""

from __future__ import annotations

import re
from typing import Any, cast

import numpy as np
import pandas as pd

from gp_elm.errors import OptionError, OutputError
from gp_elm.io.columns import TABLES, Column


def columns_of(table: str) -> tuple[Column, ...]:
    """Return the columns of ``variants``, ``pairs``, ``pairs_ld``, ``pairs_all``, ``ablation`` or ``variance``."""
    name = "pairs" if table.startswith("pairs") else table
    if name not in TABLES:
        raise OptionError(f"there is no table {table!r}; choose one of {', '.join(TABLES)}")
    return TABLES[name]


def arrange(frame: pd.DataFrame, table: str, *, sort: bool = True) -> pd.DataFrame:
    """Bring a frame into the form of a result table: every column, in order, typed and sorted.

    Parameters
    ----------
    frame : pandas.DataFrame
        Its columns in any order. Columns that are not there become NA; columns of other names come last.
    table : str
        ``variants``, ``pairs``, ``pairs_ld``, ``ablation`` or ``variance``.
    sort : bool
        Sort the rows: ``variants`` by trait, chromosome and position, ``pairs`` by trait and p-value
        (``elm_p_value``, NA last), names in natural order (2 before 10); ``variance`` keeps its order.

    Returns
    -------
    pandas.DataFrame
        A new frame, plain index; strings as objects with None, whole numbers that can be missing as Int64.

    Raises
    ------
    OutputError
        Where a column cannot have its type.
    """
    columns = columns_of(table)
    data: dict[str, Any] = {}
    for column in columns:
        if column.name in frame.columns:
            data[column.name] = _cast(frame[column.name], column)
        elif column.dtype == "int64":
            raise OutputError(f"the {table} table has no column {column.name}, which cannot be NA; give it")
        else:
            data[column.name] = _cast(pd.Series([None] * len(frame), index=frame.index, dtype=object), column)
    data |= {name: frame[name] for name in frame.columns if name not in data}
    arranged = pd.DataFrame(data, index=frame.index)
    if sort and table != "variance":
        arranged = arranged.iloc[_order(arranged)]
    return arranged.reset_index(drop=True)


def natural_rank(names: pd.Series) -> np.ndarray:
    """Return the rank of each name in natural order: chr2 before chr10, numbers before words (X, MT).

    Parameters
    ----------
    names : pandas.Series
        Names, (n,); missing ones rank last.

    Returns
    -------
    numpy.ndarray
        (n,) int64; equal names have equal ranks.
    """
    codes, unique = pd.factorize(names)
    order = sorted(range(len(unique)), key=lambda k: _natural_key(str(unique[k])))
    rank = np.empty(len(unique) + 1, dtype=np.int64)
    rank[order] = np.arange(len(unique))
    rank[-1] = len(unique)
    return rank[codes]


def _cast(series: pd.Series, column: Column) -> Any:
    try:
        if column.dtype == "string":
            missing = series.isna().to_numpy()
            return series.astype(object).where(~missing, None)
        if column.dtype == "float64":
            return (
                series.astype("float64")
                if series.dtype != object
                else pd.to_numeric(series).astype("float64")
            )
        return series.astype(cast(Any, column.dtype))
    except (ValueError, TypeError) as error:
        raise OutputError(
            f"column {column.name} does not hold {column.dtype} throughout ({error})"
        ) from error


def _order(frame: pd.DataFrame) -> np.ndarray:
    if "variant_id_1" in frame:
        p_value = frame["elm_p_value"].to_numpy(np.float64, na_value=np.nan)
        keys = [natural_rank(frame[f"variant_id_{k}"]) for k in (2, 1)] + [
            p_value,
            natural_rank(frame["trait"]),
        ]
        if "predictor" in frame:
            keys.append(natural_rank(frame["predictor"]))
    else:
        keys = [frame["base_pair_location"].to_numpy(np.int64), natural_rank(frame["chromosome"])]
        keys.append(natural_rank(frame["trait"]))
    return np.lexsort(keys)


def _natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    parts = re.split(r"(\d+)", re.sub(r"^chr", "", name, flags=re.IGNORECASE))
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part)
