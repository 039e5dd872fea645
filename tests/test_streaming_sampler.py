from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gp_elm.streaming.sampler import batch_bounds, epoch_order, share_of, validation_rows

SIZES = st.tuples(st.integers(0, 60), st.integers(1, 9), st.integers(1, 70))


@given(SIZES, st.integers(0, 9), st.integers(0, 9), st.booleans())
def test_the_order_is_a_permutation_in_windows(
    sizes: tuple[int, int, int], seed: int, epoch: int, shuffle: bool
) -> None:
    n, block, window = sizes
    order, edges = epoch_order(n, seed=seed, epoch=epoch, shuffle=shuffle, block=block, window=window)
    assert sorted(order.tolist()) == list(range(n))
    assert edges[0] == 0
    assert edges[-1] == n
    assert (np.diff(edges) <= max(window, block)).all()
    if not shuffle:
        assert order.tolist() == list(range(n))
    elif block > 1:
        # whole blocks of neighbours: no block is read for two windows
        held = [set((order[a:b] // block).tolist()) for a, b in itertools.pairwise(edges)]
        assert sum(map(len, held)) == len(set().union(*held))


def test_samples_that_fit_a_window_and_single_rows_are_permuted_as_they_are() -> None:
    whole = np.random.default_rng([3, 4]).permutation(50)
    for block, window in ((1, None), (7, 50), (7, None), (1, 8)):
        assert np.array_equal(epoch_order(50, seed=3, epoch=4, block=block, window=window)[0], whole)
    blocked = epoch_order(50, seed=3, epoch=4, block=5, window=20)[0]
    assert not np.array_equal(blocked, whole)
    assert not np.array_equal(blocked, epoch_order(50, seed=3, epoch=5, block=5, window=20)[0])


def test_a_window_mixes_its_blocks() -> None:
    order, edges = epoch_order(4000, seed=1, epoch=0, block=8, window=400)
    first = order[: edges[1]]
    assert len(set((first // 8).tolist())) == 50
    # neighbours in the file are no neighbours in the order, and a window spans the file
    assert (np.abs(np.diff(first)) == 1).mean() < 0.02
    assert np.ptp(first) > 3000


@given(st.integers(0, 40), st.integers(1, 5))
def test_shares_make_up_a_batch(size: int, processes: int) -> None:
    parts = [share_of(100, 100 + size, (rank, processes)) for rank in range(processes)]
    assert [b for a, b in parts[:-1]] == [a for a, b in parts[1:]]
    assert (parts[0][0], parts[-1][1]) == (100, 100 + size)
    assert max(b - a for a, b in parts) - min(b - a for a, b in parts) <= 1


def test_batch_bounds() -> None:
    assert list(batch_bounds(7, 3)) == [(0, 3), (3, 6), (6, 7)]


@given(st.lists(st.integers(0, 12), min_size=2, max_size=80), st.integers(0, 20))
def test_validation_takes_whole_groups(groups: list[int], seed: int) -> None:
    labels = np.array(groups)
    chosen = validation_rows(labels, len(labels), seed=seed)
    assert chosen.any()
    assert not chosen.all()
    if len(set(groups)) > 1:
        assert not set(labels[chosen]) & set(labels[~chosen])


def test_validation_is_about_the_share_asked_for() -> None:
    groups = np.repeat(np.arange(250), 4)
    assert 0.12 <= validation_rows(groups, 1000, seed=1).mean() <= 0.13
    assert validation_rows(None, 1000, seed=1, fraction=0.3).sum() == 300


def test_validation_follows_the_samples_when_they_are_permuted() -> None:
    groups = np.repeat(np.arange(40), 3)
    order = np.random.default_rng(0).permutation(120)
    chosen = validation_rows(groups, 120, seed=5)
    assert np.array_equal(validation_rows(groups[order], 120, seed=5), chosen[order])
