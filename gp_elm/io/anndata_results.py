"""Results of methods as one table of variants, each column under its method's prefix."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Protocol

import pandas as pd


class VariantResult(Protocol):
    """A method's effects of variants on traits."""

    prefix: ClassVar[str]

    def to_frame(self) -> pd.DataFrame:
        """One row a trait and variant."""


_IDENTITY = ["trait", "chromosome", "base_pair_location", "variant_id", "effect_allele", "other_allele"]
SHARED = [*_IDENTITY, "effect_allele_frequency", "missing_rate", "n"]


def result_frame(result: VariantResult) -> pd.DataFrame:
    """Rows of a result, its own columns with the method's prefix."""
    table = result.to_frame().drop(columns=["df"], errors="ignore")
    if "n" in table:
        # what cannot be tested used no samples; the tables know no missing n
        table["n"] = table["n"].fillna(0).astype("int64")
    return table.rename(columns={c: f"{result.prefix}{c}" for c in table.columns if c not in SHARED})


def joined(table: pd.DataFrame, other: pd.DataFrame, replaced: Collection[str] = ()) -> pd.DataFrame:
    """Two tables of variants as one, matched by trait and identity; of a column in both, the first counts.

    Parameters
    ----------
    table, other : pandas.DataFrame
        Rows by trait and variant.
    replaced : collection of str
        Columns of `table` whose values `other` replaces: those of all rows where the method names them as its own,
        those of its own rows where several methods have them.

    Returns
    -------
    pandas.DataFrame
        The rows of both.
    """
    keys = [*_IDENTITY, "_copy"]
    table = table.drop(columns=[c for c in replaced if c not in SHARED])
    if set(table.columns) <= set(SHARED):
        return other
    # Rows that agree in everything, such as unplaced markers of one name, are told apart by their order.
    table, other = (t.assign(_copy=t.groupby(_IDENTITY, sort=False).cumcount()) for t in (table, other))
    shared = [c for c in SHARED if c in table and c in other and c not in keys]
    known = [c for c in other.columns if c in table.columns and c not in keys and c not in shared]
    both = table.merge(
        other.drop(columns=known), how="outer", on=keys, sort=False, suffixes=(" first", " second")
    ).drop(columns="_copy")
    for column in shared:
        first, second = both.pop(f"{column} first"), both.pop(f"{column} second")
        if column in replaced:
            first, second = second, first
        values = first.where(first.notna(), second)
        both[column] = values.astype("int64") if column == "n" else values
    return both
