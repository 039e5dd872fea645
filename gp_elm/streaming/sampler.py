"""Order of the samples in training: depends on the seed and the epoch only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def epoch_order(
    n: int, *, seed: int, epoch: int, shuffle: bool = True, block: int = 1, window: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order in which ``n`` samples are visited, and the windows in which they are read.

    Samples that fit a window together are permuted as they are. More of them are cut into blocks of neighbours; the
    blocks are permuted, and then the samples within each window of ``window // block`` blocks: a block is then one
    read, and what is on hand at a time is a window.

    Parameters
    ----------
    n : int
        Number of samples.
    seed, epoch : int
        The order is a function of these two alone (and of the sizes), so that a resumed training visits the samples as
        it would have.
    shuffle : bool
        False gives 0, 1, ..., n - 1.
    block : int
        Neighbours that are read together, 1 or more.
    window : int, optional
        Samples on hand at a time, at least a block; all where None.

    Returns
    -------
    order : ndarray of int64, shape (n,)
        A permutation of 0, ..., n - 1.
    edges : ndarray of int64, shape (windows + 1,)
        Window k holds ``order[edges[k]:edges[k + 1]]``.
    """
    window = max(n if window is None else window, block, 1)
    even = np.r_[np.arange(0, n, window), n]
    if not shuffle:
        return np.arange(n, dtype=np.int64), even
    rng = np.random.default_rng([seed, epoch])
    if n <= window or block == 1:
        return rng.permutation(n).astype(np.int64), even
    at_once = window // block
    blocks = rng.permutation(-(-n // block))
    parts = []
    for start in range(0, len(blocks), at_once):
        held = blocks[start : start + at_once, None] * block + np.arange(block)
        parts.append(rng.permutation(held[held < n]))
    return np.concatenate(parts), np.r_[0, np.cumsum([len(part) for part in parts])]


def batch_bounds(n: int, batch_size: int) -> Iterator[tuple[int, int]]:
    """Start and stop of consecutive batches; the last may be smaller."""
    for start in range(0, n, batch_size):
        yield start, min(start + batch_size, n)


def share_of(start: int, stop: int, share: tuple[int, int]) -> tuple[int, int]:
    """Bounds of part ``share[0]`` of the ``share[1]`` even parts of a batch."""
    rank, size = share
    return start + (stop - start) * rank // size, start + (stop - start) * (rank + 1) // size


def validation_rows(
    groups: NDArray[np.generic] | None, n: int, *, seed: int, fraction: float = 0.125
) -> NDArray[np.bool_]:
    """Choose samples for inner validation, by whole groups.

    Parameters
    ----------
    groups : ndarray, shape (n,), optional
        Label of each sample's group; every sample is its own group when not given.
    n : int
        Number of samples.
    seed : int
        The choice depends on it and on the labels, not on the order of the samples within a group.
    fraction : float
        Share of the samples wanted; the last group drawn may exceed it.

    Returns
    -------
    ndarray of bool, shape (n,)
        True for validation. With a single group, samples are drawn from within it.
    """
    labels = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(labels.max(initial=-1)) + 1
    if count < 2:
        labels, count = np.arange(n), n
    order = np.random.default_rng([seed, 0x5EED]).permutation(count)
    before = np.cumsum(np.bincount(labels, minlength=count)[order])
    # A group belongs to the validation samples as long as those drawn before it are too few; one always stays out.
    drawn = order[: min(int(np.searchsorted(before, fraction * n)) + 1, max(count - 1, 0))]
    chosen: NDArray[np.bool_] = np.isin(labels, drawn)
    return chosen
