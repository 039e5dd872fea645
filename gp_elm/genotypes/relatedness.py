"""Genomic relatedness of samples: K = Z Z' / m of standardised dosages (VanRaden 2008, second method)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gp_elm.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TILE_BYTES = 64 << 20
"""Bytes of float32 dosages decoded at once."""
ROWS = 1024


class DosageStore(Protocol):
    """The part of the packed store that relatedness reads."""

    def block(self, rows: Ints, *, columns: Ints | None, center: Floats) -> NDArray[np.float32]:
        """Centred dosages (rows, columns), missing calls as 0."""
        ...

    def moments(self, rows: Ints) -> tuple[Floats, Floats, Floats]:
        """Called samples, mean and standard deviation of every variant over some rows, (m,) each."""
        ...


def relatedness_matrix(
    store: DosageStore,
    rows: Ints,
    *,
    variants: NDArray[np.integer] | None = None,
    exclude: NDArray[np.integer] | None = None,
) -> Floats:
    """Genomic relatedness of some samples, over all or some variants.

    Parameters
    ----------
    store : DosageStore
        Genotypes.
    rows : (n,) int
        Samples; mean and standard deviation of each variant are theirs.
    variants : (p,) int, optional
        Variants to use; all by default.
    exclude : (e,) int, optional
        Variants to leave out, such as a chromosome.

    Returns
    -------
    (n, n) float64
        Z Z' / m with m the variants that vary; a missing call counts as the mean. The mean of the diagonal is 1
        where no call is missing, in inbred lines too, as each variant is divided by its own observed spread.

    Raises
    ------
    InputError
        Where no variant varies.
    """
    cross, count = cross_product(store, rows, variants=variants, exclude=exclude)
    if count == 0:
        raise InputError(
            f"none of the variants varies in the {len(rows)} samples; relatedness cannot be computed from them"
        )
    cross /= count
    return cross


def cross_product(
    store: DosageStore,
    rows: Ints,
    *,
    variants: NDArray[np.integer] | None = None,
    exclude: NDArray[np.integer] | None = None,
) -> tuple[Floats, int]:
    """Z Z' and the number of variants behind it: sums over chromosomes add up and subtract.

    Parameters
    ----------
    store, rows, variants, exclude
        As in :func:`relatedness_matrix`.

    Returns
    -------
    (n, n) float64, int
        Memory besides it is one tile of dosages and one of products.
    """
    _, center, sd = store.moments(rows)
    used = np.arange(sd.size) if variants is None else np.unique(variants)
    if exclude is not None:
        used = np.setdiff1d(used, exclude)
    used = used[sd[used] > 0].astype(np.int64)
    n = rows.size
    cross = np.zeros((n, n))
    step = int(np.clip(TILE_BYTES // (4 * max(n, 1)), 64, 8192))
    for start in range(0, used.size, step):
        at = used[start : start + step]
        scale = (1.0 / sd[at]).astype(np.float32)
        z = np.empty((n, at.size), np.float32)
        for first in range(0, n, ROWS):
            part = slice(first, first + ROWS)
            z[part] = store.block(rows[part], columns=at, center=center[at]) * scale
        # Products of one tile in float32, their sum in float64: an error of about 1e-6 of the diagonal.
        for first in range(0, n, ROWS):
            part = slice(first, first + ROWS)
            cross[part, first:] += z[part] @ z[first:].T
    for first in range(0, n, ROWS):
        part = slice(first, first + ROWS)
        cross[first + ROWS :, part] = cross[part, first + ROWS :].T
    return cross, int(used.size)
