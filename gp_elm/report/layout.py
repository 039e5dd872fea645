"""Where points go on a genome axis, and which of them a picture needs."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

GWAS_COLOURS = ("#0072B2", "#56B4E9")
ELM_COLOURS = ("#D55E00", "#E69F00")
NEUTRAL = "#8A8A8A"
PREDICTOR_COLOURS = {
    "network": "#D55E00",
    "ridge": "#0072B2",
    "lasso": "#009E73",
    "gblup_epistatic": "#56B4E9",
    "heredity_kernel": "#CC79A7",
    "product_lasso": "#E69F00",
    "stacked": "#8A8A8A",
}
"""Okabe and Ito's palette, told apart with every common kind of colour vision, on white and on near-black."""

_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50}
_LATE = {"X": 1, "XY": 2, "Y": 3, "M": 4, "MT": 4, "0": 9}


class GenomeAxis(NamedTuple):
    """Positions on one axis for all chromosomes.

    x : float64 (m,), one per row of the frame; ticks, labels : one per chromosome; bounds : float64 (chromosomes + 1,);
    place : int64 (m,), the chromosome's number in the order.
    """

    x: np.ndarray
    ticks: np.ndarray
    labels: list[str]
    bounds: np.ndarray
    place: np.ndarray


def _roman(name: str) -> int | None:
    """Value of a Roman numeral made of I, V, X and L; None where it is not one."""
    if not re.fullmatch(r"(XL|L?X{0,3})(IX|IV|V?I{0,3})", name) or not name:
        return None
    values = [_ROMAN[letter] for letter in name]
    return sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))


def natural_order(names: list[str]) -> list[str]:
    """Chromosome names in the order a geneticist expects.

    Numbers by value, then X, XY, Y and MT, then other names; ``chr`` before a name changes nothing. Roman numerals
    count as numbers where a name other than X shows that they are in use (yeast). ``0``, PLINK's name for no
    chromosome, comes last.
    """
    bare = {name: re.sub(r"^chr(omosome)?_?", "", str(name), flags=re.IGNORECASE) for name in names}
    roman = any(_roman(b) is not None and b not in ("X", "") for b in bare.values())

    def key(name: str) -> tuple[int, int, list[tuple[int, int, str]]]:
        b = bare[name]
        value = _roman(b) if roman else None
        if value is not None:
            return (0, value, [])
        if b in _LATE:
            return (1 if b != "0" else 9, _LATE[b], [])
        if b.isdigit():
            return (0, int(b), [])
        # digits inside a name by value: 2L before 10L, scaffold_9 before scaffold_10
        parts = [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d+)", b) if p]
        return (0 if b[:1].isdigit() else 2, parts[0][1], parts)

    return sorted(names, key=key)


def genome_axis(chromosome: pd.Series, position: pd.Series) -> GenomeAxis:
    """Lay the chromosomes out one after another.

    Parameters
    ----------
    chromosome : pandas.Series of str (m,)
    position : pandas.Series of int (m,)
        1-based base pairs; 0 or missing where a variant is not placed. Such variants follow the placed ones of their
        chromosome in file order, at the cohort's usual spacing.

    Returns
    -------
    GenomeAxis
    """
    names = chromosome.astype(str).to_numpy()
    place = np.nan_to_num(pd.to_numeric(position, errors="coerce").to_numpy(float))
    order = natural_order(list(dict.fromkeys(names)))
    lookup = {name: k for k, name in enumerate(order)}
    index = np.array([lookup[name] for name in names], np.int64)
    spans = [
        np.ptp(place[(index == k) & (place > 0)]) for k in range(len(order)) if np.any(place[index == k] > 0)
    ]
    n_placed = int(np.count_nonzero(place > 0))
    spacing = sum(spans) / n_placed if n_placed and sum(spans) > 0 else 1.0
    x = np.zeros(len(names))
    bounds = [0.0]
    # chromosomes are kept apart by a gap in proportion to the genome
    gap = 0.004 * (sum(spans) + spacing * np.count_nonzero(place <= 0))
    for k in range(len(order)):
        rows = np.flatnonzero(index == k)
        placed = rows[place[rows] > 0]
        loose = rows[place[rows] <= 0]
        local = place[placed] - place[placed].min() if len(placed) else np.empty(0)
        end = local.max() if len(placed) else 0.0
        x[placed] = bounds[-1] + local
        x[loose] = bounds[-1] + end + spacing * np.arange(1, len(loose) + 1)
        bounds.append(bounds[-1] + end + spacing * len(loose) + gap)
    edges = np.array(bounds)
    labels = ["unplaced" if name == "0" else re.sub(r"^chr", "", name) for name in order]
    return GenomeAxis(x, (edges[:-1] + edges[1:] - gap) / 2, labels, edges, index)


def spread_labels(axis: GenomeAxis, share: float = 0.025) -> tuple[np.ndarray, list[str]]:
    """Ticks and labels of the chromosomes, blank where a chromosome is too short for its label to stand clear."""
    total = axis.bounds[-1] or 1.0
    kept, last = [], -np.inf
    for k, (tick, label) in enumerate(zip(axis.ticks, axis.labels, strict=True)):
        width = share * max(1.0, len(label) / 2) * total
        if tick - last >= width:
            kept.append(k)
            last = tick
    return axis.ticks[kept], [axis.labels[k] for k in kept]


def thin(
    x: np.ndarray, y: np.ndarray, *, keep_above: float, columns: int = 1600, rows: int = 300
) -> np.ndarray:
    """Indices of the points that a picture needs: all above a height, below it one per cell of a fine grid.

    Parameters
    ----------
    x, y : float64 (m,)
        NaN rows are dropped.
    keep_above : float
        Points with y at least this are all kept, so no peak is lost.
    columns, rows : int
        Cells of the grid, about one pixel each.

    Returns
    -------
    int64 (k,), ascending.
    """
    finite = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    high = y[finite] >= keep_above
    low = finite[~high]
    if len(low) == 0:
        return finite
    across = (x[low] - x[finite].min()) / (np.ptp(x[finite]) or 1.0)
    up = (y[low] - y[low].min()) / (np.ptp(y[low]) or 1.0)
    cell = (across * (columns - 1)).astype(np.int64) * rows + (up * (rows - 1)).astype(np.int64)
    _, first = np.unique(cell, return_index=True)
    return np.sort(np.concatenate([finite[high], low[first]]))
