"""Reading a split that a user made, or another run wrote."""

from __future__ import annotations

import logging
import os

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from gp_elm.errors import InputError
from gp_elm.genotypes.splits import SETS, Split, split_cohort
from gp_elm.io.phenotypes import SampleTable, is_missing, read_table
from gp_elm.io.sample_ids import SampleIndex

log = logging.getLogger(__name__)


def read_split(
    source: str | os.PathLike[str] | pd.DataFrame, cohort: xr.Dataset, *, n_folds: int = 5, seed: int = 1
) -> Split:
    """Read a user's split, such as the ``split.tsv`` of another run.

    Parameters
    ----------
    source : path or pandas.DataFrame
        Columns ``family_id sample_id`` (or ``FID IID``), ``set`` (``discovery`` or ``heldout``) and,
        optionally, ``fold``. Rows of samples that the cohort lacks are counted in the log.
    cohort : xarray.Dataset
        The cohort; ``sample_group`` gives the groups where it is there.
    n_folds, seed : int
        For the folds where the file has none.

    Returns
    -------
    Split
        The split.

    Raises
    ------
    InputError
        Where a column is missing, a value is not known, or a sample of the cohort has no row.
    """
    table = read_table(source)
    if "set" not in table.columns:
        raise InputError(
            f"{table.source}:1: no column 'set'; a split file has sample_id, set and optionally fold"
        )
    samples, rows = SampleIndex(cohort).match(table)
    n = cohort.sizes["samples"]
    if len(samples) < n:
        absent = np.setdiff1d(np.arange(n), samples)
        raise InputError(
            f"{table.source}: {len(absent)} samples of the cohort have no row, the first is "
            f"{cohort['sample_id'].to_numpy()[absent[0]]}; add them, or leave them out with --remove"
        )
    if len(samples) < len(table):
        log.info("%s: %d rows name samples that are not used", table.source, len(table) - len(samples))
    sets = table.columns["set"][rows]
    unknown = np.flatnonzero(~np.isin(sets, SETS))
    if len(unknown):
        row = int(rows[unknown[0]])
        raise InputError(
            f"{table.where(row)}: set is {str(table.columns['set'][row])!r}; write discovery or heldout"
        )
    fold = _fold_column(table, rows, sets == SETS[1]) if "fold" in table.columns else None
    groups = cohort["sample_group"].to_numpy() if "sample_group" in cohort else None
    return split_cohort(
        groups,
        n,
        n_folds=n_folds,
        seed=seed,
        sample_id=cohort["sample_id"].to_numpy(),
        sample_set=sets,
        fold=fold,
    )


def _fold_column(
    table: SampleTable, rows: NDArray[np.int64], heldout: NDArray[np.bool_]
) -> NDArray[np.int64]:
    text = table.columns["fold"][rows]
    fold = np.full(len(rows), -1, np.int64)
    for i in np.flatnonzero(~heldout):
        word = str(text[i]).removesuffix(".0")  # as a table with missing values writes whole numbers
        if is_missing(text[i : i + 1])[0] or not word.isdigit():
            raise InputError(
                f"{table.where(int(rows[i]))}: fold is {word!r}; give every discovery sample a number from 0"
            )
        fold[i] = int(word)
    return fold
