import numpy as np
import pytest
import torch
from model_cases import dosages, make_store

from gp_elm.models.feed import Feed


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    raw = dosages(np.random.default_rng(0), 70, 30, missing=0.1)
    return make_store(tmp_path_factory.mktemp("feed") / "store", raw), raw


def feeds(store, raw, rows, columns):
    _, center, sd = store.moments(rows)
    shared = {"columns": columns, "center": center[columns], "scale": 1 / sd[columns]}
    expected = np.where(raw < 0, 0, (raw - center) / sd)[np.ix_(rows, columns)]
    return Feed(store, rows, **shared), Feed(store, rows, **shared, resident_bytes=0), expected


def test_kept_and_streamed_inputs_are_the_same(store):
    rows, columns = np.arange(5, 70)[::-1].copy(), np.array([3, 4, 17, 29])
    kept, streamed, expected = feeds(*store, rows, columns)
    index = np.array([60, 2, 2, 33])
    for feed in (kept, streamed):
        np.testing.assert_allclose(feed.take(index).numpy(), expected[index], rtol=1e-6)
    learn = np.arange(0, 65, 2)
    visited = []
    for (i, z), (j, w) in zip(
        kept.epoch(learn, batch_size=8, seed=1, epoch=2),
        streamed.epoch(learn, batch_size=8, seed=1, epoch=2),
        strict=True,
    ):
        assert np.array_equal(i, j)
        assert torch.equal(z, w)
        np.testing.assert_allclose(z.numpy(), expected[i], rtol=1e-6)
        visited.extend(i)
    # 33 samples: the last batch would hold one
    assert len(visited) == 32
    assert set(visited) < set(learn)


def test_order_depends_on_seed_and_epoch(store):
    kept, _, _ = feeds(*store, np.arange(70), np.arange(30))
    learn = np.arange(64)

    def order(seed, epoch):
        return np.concatenate([i for i, _ in kept.epoch(learn, batch_size=16, seed=seed, epoch=epoch)])

    assert np.array_equal(order(1, 0), order(1, 0))
    assert not np.array_equal(order(1, 0), order(1, 1))
    assert not np.array_equal(order(1, 0), order(2, 0))
    assert np.array_equal(np.sort(order(3, 5)), learn)


def test_a_set_smaller_than_half_a_batch_is_still_visited(store):
    kept, streamed, _ = feeds(*store, np.arange(70), np.arange(30))
    for feed in (kept, streamed):
        ((index, z),) = feed.epoch(np.arange(5), batch_size=128, seed=0, epoch=0)
        assert len(index) == len(z) == 5


def test_blocks_keep_the_order(store):
    kept, _, expected = feeds(*store, np.arange(70), np.arange(30))
    index = np.arange(69, -1, -1)
    blocks = list(kept.blocks(index, 32))
    assert [len(z) for _, z in blocks] == [32, 32, 6]
    np.testing.assert_allclose(np.concatenate([z for _, z in blocks]), expected[::-1], rtol=1e-6)
