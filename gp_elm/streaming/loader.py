"""Batches of packed genotypes from a store, read ahead by threads. Knows no torch; the caller decodes them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from gp_elm.errors import OptionError
from gp_elm.streaming.opened import Store
from gp_elm.streaming.sampler import batch_bounds, epoch_order, share_of

BLOCK_BYTES = 128 << 10
"""Bytes of a block of neighbours: a read of so many takes few more from the disk, which gives whole pages."""

WINDOW_BYTES = 64 << 20
"""Bytes of the window within which samples are shuffled. Two are in memory, one used and one read ahead."""

THREADS = 2
"""Threads that read ahead."""

_PIECE_BYTES = 4 << 20  # of one thread's read


def store_order(
    store: Store, n: int, *, seed: int, epoch: int, shuffle: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order and windows (:func:`~gp_elm.streaming.sampler.epoch_order`) of ``n`` samples of a store."""
    width = max(store.row_bytes, 1)
    block, window = -(-BLOCK_BYTES // width), max(WINDOW_BYTES // width, 1)
    return epoch_order(n, seed=seed, epoch=epoch, shuffle=shuffle, block=block, window=window)


def batches(
    store: Store,
    rows: NDArray[np.int64],
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    shuffle: bool = True,
    used: int | None = None,
    first: int = 0,
    share: tuple[int, int] = (0, 1),
    threads: int = THREADS,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Visit rows of a store once, in batches.

    The batches depend on the seed, the epoch and the sizes alone: neither on ``first``, ``share`` nor ``threads``.

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
    used : int, optional
        Samples after which the epoch ends; all where None.
    first : int
        Batches of the epoch that are left out at its beginning: a resumed training has done them.
    share : tuple of int
        Which part of each batch is read, and of how many, for processes that share a batch.
    threads : int
        Threads that read ahead, 1 or more.

    Yields
    ------
    index : ndarray of int64, shape (b,)
        Positions within ``rows`` of the whole batch (so traits aligned with ``rows`` are taken as ``traits[index]``).
    packed : ndarray of uint8, shape (b, row_bytes)
        Packed genotypes of the share of the batch (``share_of(0, b, share)``), for the store's codec.

    Raises
    ------
    OptionError
        Where the batch size is below 1.
    """
    if batch_size < 1:
        raise OptionError(f"batch_size is {batch_size}; give 1 or more")
    rows = np.asarray(rows, dtype=np.int64)
    order, edges = store_order(store, len(rows), seed=seed, epoch=epoch, shuffle=shuffle)
    bounds = list(islice(batch_bounds(len(rows) if used is None else used, batch_size), first, None))
    mine = [share_of(start, stop, share) for start, stop in bounds]
    wanted = np.concatenate([np.arange(a, b) for a, b in mine] or [np.empty(0, np.int64)])
    windows = _read_ahead(store, rows, order, np.split(wanted, np.searchsorted(wanted, edges[1:-1])), threads)
    numbers = place = np.empty(0, dtype=np.int64)
    packed = np.empty((0, store.row_bytes), dtype=np.uint8)
    done = 0
    for (start, stop), (begin, end) in zip(bounds, mine, strict=True):
        parts, missing = [], end - begin
        while True:
            upto = int(np.searchsorted(numbers, end))
            parts.append(packed[place[done:upto]])
            missing -= upto - done
            done = upto
            if not missing:
                break
            numbers, place, packed = next(windows)
            done = 0
        yield order[start:stop], parts[0] if len(parts) == 1 else np.concatenate(parts)


def _read_ahead(
    store: Store,
    rows: NDArray[np.int64],
    order: NDArray[np.int64],
    windows: list[NDArray[np.int64]],
    threads: int,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]]:
    """Numbers of a window's samples in the order of the epoch, where each is in the buffer, and the buffer.

    A buffer is overwritten after the next window has been asked for.
    """
    most = max(len(window) for window in windows)
    buffers = [np.empty((most, store.row_bytes), dtype=np.uint8) for _ in windows[:2]]
    step = max(1, _PIECE_BYTES // max(store.row_bytes, 1))
    pool = ThreadPoolExecutor(threads, thread_name_prefix="gp_elm-read")

    def begin(k: int) -> tuple[NDArray[np.int64], NDArray[np.uint8], list[Future[None]]]:
        positions = order[windows[k]]
        ascending = np.argsort(positions)
        place = np.empty_like(ascending)
        place[ascending] = np.arange(len(place))
        asked, buffer = rows[positions[ascending]], buffers[k % 2][: len(place)]
        reads = [pool.submit(store.read, asked[a:b], buffer[a:b]) for a, b in batch_bounds(len(asked), step)]
        return place, buffer, reads

    try:
        ahead = begin(0)
        for k, numbers in enumerate(windows):
            place, buffer, reads = ahead
            if k + 1 < len(windows):
                ahead = begin(k + 1)
            for read in reads:
                read.result()
            yield numbers, place, buffer
    finally:
        pool.shutdown(cancel_futures=True)
