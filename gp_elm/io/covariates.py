"""Covariate columns to a design matrix: numbers as they are, categories as indicator columns."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from gp_elm.errors import InputError
from gp_elm.io.phenotypes import SampleTable, Text, is_missing, is_number, numbers, to_numbers

log = logging.getLogger(__name__)

COLLINEAR = 1e-8
"""Share of a centred column's sum of squares that must be left after the others are taken out."""

LEAST_WEIGHT = 1e-5
"""Weight, on the scale of unit columns, below which a column is no part of a collinearity."""

MOST_NAMED = 3
"""Collinear columns that a message spells out."""


def is_categorical(table: SampleTable, column: str) -> bool:
    """Whether a column holds categories rather than numbers.

    Parameters
    ----------
    table : SampleTable
        The table.
    column : str
        Name of the column.

    Returns
    -------
    bool
        True where some value is no number.

    Raises
    ------
    InputError
        Where most values are numbers and some are text: one of the two is a mistake.
    """
    text = table.columns[column]
    row = to_numbers(text)
    if not isinstance(row, int):
        return False
    called = text[~is_missing(text)]
    n_numbers = sum(is_number(word) for word in called)
    if 2 * n_numbers > len(called):
        raise InputError(
            f"{table.where(row)}: covariate {column} is {str(text[row])!r}, but {n_numbers} of its "
            f"{len(called)} values are numbers; write NA, or put a letter before the numbers of categories"
        )
    return True


def encode(
    table: SampleTable, rows: NDArray[np.int64], names: Sequence[str]
) -> tuple[NDArray[np.float64], list[str]]:
    """Design matrix of the chosen covariates.

    Parameters
    ----------
    table : SampleTable
        The table.
    rows : ndarray of int64 (n,)
        Its rows to encode, without missing values in categorical columns.
    names : sequence of str
        Its columns to encode.

    Returns
    -------
    values : ndarray of float64 (n, k)
        NaN where a number is missing. A category of L levels becomes L - 1 indicators named
        ``covariate=level``; the first level in sorted order is the reference.
    labels : list of str
        Names of the k columns.

    Raises
    ------
    InputError
        Where a category has one level only.
    """
    columns, labels = [], []
    for name in names:
        if not is_categorical(table, name):
            values, n_minus_nine = numbers(table, name)
            if n_minus_nine:
                log.warning("%s: %s: %d values of -9 are read as missing", table.source, name, n_minus_nine)
            columns.append(values[rows])
            labels.append(name)
            continue
        text: Text = table.columns[name][rows]
        levels = np.unique(text)
        if len(levels) == 1:
            raise InputError(
                f"{table.source}: constant in the {len(rows)} samples used: {name}={levels[0]}; leave it out"
            )
        log.info("covariate %s is categorical: %d levels, reference %s", name, len(levels), levels[0])
        columns += [(text == level).astype(np.float64) for level in levels[1:]]
        labels += [f"{name}={level}" for level in levels[1:]]
    return np.column_stack(columns) if columns else np.empty((len(rows), 0)), labels


def check_rank(values: NDArray[np.float64], labels: Sequence[str], source: str) -> None:
    """Refuse covariates that cannot be told apart.

    Parameters
    ----------
    values : ndarray of float64 (n, k)
        Covariates without missing values.
    labels : sequence of str
        Their names.
    source : str
        The file, for messages.

    Raises
    ------
    InputError
        Where there are as many columns as samples, or a column is constant or a linear combination of others.
    """
    n, k = values.shape
    if k + 2 >= n:
        raise InputError(
            f"{source}: {k} covariate columns for {n} samples leave nothing to estimate ({_widest(labels)}); "
            "use fewer covariates"
        )
    centred = values - values.mean(axis=0)
    norms = np.sqrt((centred**2).sum(axis=0))
    constant = norms <= 1e-12 * np.abs(values).max(axis=0, initial=0.0) * np.sqrt(n)
    if constant.any():
        names = ", ".join(labels[j] for j in np.flatnonzero(constant).tolist())
        raise InputError(f"{source}: constant in the {n} samples used: {names}; leave it out")
    centred /= norms
    dependent = _dependent(centred.T @ centred)
    if not dependent:
        return
    said = []
    for j, weights in list(dependent.items())[:MOST_NAMED]:
        partners = [labels[i] for i, weight in weights.items() if abs(weight) > LEAST_WEIGHT]
        said.append(f"{labels[j]} follows from {_summary(partners)}")
    more = f"; and {len(dependent) - len(said)} more" if len(dependent) > len(said) else ""
    culprits = list(dict.fromkeys(labels[j].split("=")[0] for j in dependent))
    raise InputError(
        f"{source}: collinear covariates in the {n} samples used: {'; '.join(said)}{more}; "
        f"leave out {', '.join(culprits[:5])}"
    )


def _dependent(gram: NDArray[np.float64]) -> dict[int, dict[int, float]]:
    """Columns that follow from those before them, with the weights of these (a growing Cholesky factor)."""
    k = len(gram)
    factor = np.zeros((k, k))
    kept: list[int] = []
    dependent: dict[int, dict[int, float]] = {}
    for j in range(k):
        r = len(kept)
        found = factor[:r, :r]
        row = solve_triangular(found, gram[kept, j], lower=True, check_finite=False) if r else np.empty(0)
        left = gram[j, j] - row @ row
        if left < COLLINEAR:
            weights = solve_triangular(found, row, lower=True, trans="T", check_finite=False)
            dependent[j] = dict(zip(kept, weights.tolist(), strict=True))
            continue
        factor[r, :r] = row
        factor[r, r] = np.sqrt(left)
        kept.append(j)
    return dependent


def _summary(labels: Sequence[str]) -> str:
    """Covariates of some columns; a category with many columns is named once."""
    counts = _columns_of(labels)
    names = [
        next(label for label in labels if label.split("=")[0] == name)
        if count == 1
        else f"{name} ({count} levels)"
        for name, count in counts.items()
    ]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _columns_of(labels: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for label in labels:
        name = label.split("=")[0]
        counts[name] = counts.get(name, 0) + 1
    return counts


def _widest(labels: Sequence[str]) -> str:
    counts = _columns_of(labels)
    name = max(counts, key=lambda key: counts[key])
    return f"{name} alone makes {counts[name]}" if counts[name] > 1 else ", ".join(labels[:5])
