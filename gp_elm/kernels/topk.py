"""Running summaries of very many z statistics: the K largest, a fine histogram of z^2, sums for calibration."""

from __future__ import annotations

import numpy as np

FIRST_OCTAVE = -10
LAST_OCTAVE = 14
BINS_AN_OCTAVE = 128
N_BINS = (LAST_OCTAVE - FIRST_OCTAVE) * BINS_AN_OCTAVE + 2
"""One bin below 2^-10, 128 an octave up to 2^14 (z^2 of 16,384), one above."""

# The bits of a float32 from the exponent down to its seventh mantissa bit number 128 equal steps an octave.
FIRST_KEY = (127 + FIRST_OCTAVE) * BINS_AN_OCTAVE
KEY_SHIFT = 16


def bin_edges() -> np.ndarray:
    """Lower edges of the bins of z^2.

    Returns
    -------
    (N_BINS,) float64
        0 first; bin b holds edges[b] <= z^2 < edges[b + 1].
    """
    steps = np.arange(N_BINS - 1)
    edges = 2.0 ** (FIRST_OCTAVE + steps // BINS_AN_OCTAVE) * (
        1.0 + (steps % BINS_AN_OCTAVE) / BINS_AN_OCTAVE
    )
    return np.concatenate([[0.0], edges])


def candidates(
    z2: np.ndarray,
    row_max: np.ndarray,
    beta: np.ndarray,
    standard_error: np.ndarray,
    size: int,
    threshold: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What of a tile may belong to the K largest.

    Parameters
    ----------
    z2, beta, standard_error : (I, J)
        NaN where a pair was not tested.
    row_max : (I,)
        Largest z^2 of each row, to skip rows without a candidate.
    size : int
        K.
    threshold : float
        z^2 below it cannot enter.

    Returns
    -------
    row, column, beta, standard_error
        Of every pair at or above the threshold; of no more than the K largest of the tile and their ties.
    """
    rows = np.flatnonzero(row_max >= threshold)
    if size <= 0 or len(rows) == 0:
        none = np.zeros(0)
        return none.astype(np.int64), none.astype(np.int64), none, none
    part = z2[rows]
    row, column = np.nonzero(part >= threshold)
    if len(row) > 2 * size:
        values = part[row, column]
        cut = np.partition(values, len(values) - size)[len(values) - size]
        keep = values >= cut * (1.0 - 1e-6)
        row, column = row[keep], column[keep]
    row = rows[row]
    return row, column, beta[row, column].astype(np.float64), standard_error[row, column].astype(np.float64)


class TopK:
    """The K pairs of largest |z| seen so far; ties go to the smaller (i, j), so the order of tiles does not matter.

    Parameters
    ----------
    size : int
        K.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._parts: list[tuple[np.ndarray, ...]] = []
        self._held = 0
        self.threshold = 0.0 if size > 0 else np.inf
        """Pairs whose z^2 is below it cannot enter."""

    def offer(self, i: np.ndarray, j: np.ndarray, beta: np.ndarray, standard_error: np.ndarray) -> None:
        """Offer pairs; all arrays (c,), beta and standard error finite."""
        if self.size <= 0 or len(i) == 0:
            return
        self._parts.append(
            (
                i.astype(np.int64),
                j.astype(np.int64),
                beta.astype(np.float64),
                standard_error.astype(np.float64),
            )
        )
        self._held += len(i)
        if self._held >= 2 * self.size + 1024:
            self._compress()

    def _compress(self) -> None:
        if not self._parts:
            return
        i, j, beta, error = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        with np.errstate(divide="ignore", invalid="ignore"):
            size = np.abs(beta / error)
        order = np.lexsort((j, i, -size))[: self.size]
        self._parts = [(i[order], j[order], beta[order], error[order])]
        self._held = len(order)
        if len(order) == self.size:
            # candidates are filtered on z^2 rounded to float32
            self.threshold = float(size[order[-1]] ** 2) * (1.0 - 1e-6)

    def result(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The pairs in descending |z|: i, j, beta, standard error."""
        self._compress()
        if not self._parts:
            empty = np.zeros(0)
            return empty.astype(np.int64), empty.astype(np.int64), empty, empty.copy()
        i, j, beta, error = self._parts[0]
        return i, j, beta, error
