from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gp_elm.streaming.sampler import batch_bounds, epoch_order, validation_rows


@given(st.integers(0, 50), st.integers(0, 9), st.integers(0, 9))
def test_the_order_is_a_permutation(n: int, seed: int, epoch: int) -> None:
    assert sorted(epoch_order(n, seed=seed, epoch=epoch)) == list(range(n))


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
