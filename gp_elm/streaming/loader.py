"""Batches of packed genotypes from a store. Knows no torch: the caller decodes them where it trains."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gp_elm.errors import OptionError
from gp_elm.streaming.sampler import batch_bounds, epoch_order
from gp_elm.streaming.store import Store


def batches(
    store: Store,
    rows: NDArray[np.int64],
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    shuffle: bool = True,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Visit rows of a store once, in batches.

    Parameters
    ----------
    store : Store
        The genotypes.
    rows : ndarray of int64, shape (n,)
        Rows of the store to visit.
    batch_size : int
        Samples in a batch; the last batch may be smaller.
    seed, epoch : int
        The order depends on these two alone.
    shuffle : bool
        Whether to visit the rows in random order.

    Yields
    ------
    index : ndarray of int64, shape (b,)
        Positions within ``rows`` (so traits aligned with ``rows`` are taken as ``traits[index]``).
    packed : ndarray of uint8, shape (b, row_bytes)
        Their packed genotypes, for :func:`gp_elm.kernels.decode.unpack`.

    Raises
    ------
    OptionError
        Where the batch size is below 1.
    """
    if batch_size < 1:
        raise OptionError(f"batch_size is {batch_size}; give 1 or more")
    rows = np.asarray(rows)
    order = epoch_order(len(rows), seed=seed, epoch=epoch, shuffle=shuffle)
    for start, stop in batch_bounds(len(rows), batch_size):
        index = order[start:stop]
        yield index, store.packed(rows[index])
