"""Copies of the effect allele recoded through a table, by kind of variant and kind of sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def recode(
    block: NDArray[Any],
    kind: NDArray[np.uint8],
    sex: NDArray[np.uint8],
    table: NDArray[np.int8],
    factor: NDArray[np.float32],
) -> NDArray[Any]:
    """Recode a block in place; rows of kind 0 stay as they are.

    Parameters
    ----------
    block : ndarray (v, k)
        Copies 0 to 2 as int8, -1 missing, or as floats, NaN missing.
    kind : ndarray of uint8 (v,)
        Kind of each row.
    sex : ndarray of uint8 (k,)
        Kind of each column.
    table : ndarray of int8 (kinds, sexes, 4)
        What 0, 1, 2 copies and a missing call become.
    factor : ndarray of float32 (kinds, sexes)
        By what floats are multiplied.

    Returns
    -------
    ndarray (v, k)
        The block.
    """
    changed = np.flatnonzero(kind)
    if not changed.size:
        return block
    if block.dtype.kind == "f":
        for row in changed:
            block[row] *= factor[kind[row]][sex]
    else:
        _recode(block, changed, kind, sex, table.reshape(len(table), -1))
    return block


@njit(cache=True, nogil=True)
def _recode(
    block: np.ndarray, changed: np.ndarray, kind: np.ndarray, sex: np.ndarray, table: np.ndarray
) -> None:
    for row in changed:
        entries = table[kind[row]]
        for column in range(block.shape[1]):
            # -1 is the last of the four entries
            block[row, column] = entries[4 * sex[column] + (block[row, column] & 3)]
