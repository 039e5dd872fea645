import numpy as np
import pytest
import torch
from model_cases import dosages, make_store

from gp_elm.kernels.codec import CALLS, DOSAGES
from gp_elm.kernels.decode import decode_table
from gp_elm.models.feed import DeviceDecoder, Feed
from gp_elm.streaming import loader


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


def test_windows_shares_and_resumption_are_those_of_the_kept_inputs(store, monkeypatch):
    # rows of 8 bytes: blocks of 2 samples, windows of 20
    monkeypatch.setattr(loader, "BLOCK_BYTES", 16)
    monkeypatch.setattr(loader, "WINDOW_BYTES", 160)
    kept, streamed, expected = feeds(*store, np.arange(70), np.arange(30))
    learn = np.arange(0, 70, 2)
    shared = {"batch_size": 6, "seed": 1, "epoch": 2}
    whole = list(kept.epoch(learn, **shared))
    assert len(whole) == 6
    for feed in (kept, streamed):
        parts = [list(feed.epoch(learn, first=2, share=(k, 3), **shared)) for k in range(3)]
        for (index, z), *thirds in zip(whole[2:], *parts, strict=True):
            assert all(np.array_equal(index, own) for own, _ in thirds)
            assert torch.equal(z, torch.cat([own for _, own in thirds]))
            np.testing.assert_allclose(z, expected[index], rtol=1e-6)


@pytest.mark.parametrize("codec", [CALLS, DOSAGES])
@pytest.mark.parametrize("columns", [None, np.array([12, 0, 7, 7])])
def test_the_gather_of_other_devices_agrees_with_the_table(codec, columns):
    rng = np.random.default_rng(3)
    packed = rng.integers(0, 256, (9, codec.row_bytes(13)), dtype=np.uint8)
    # the padding of a row is of no column
    packed[:, -1] &= 0b11 if codec is CALLS else 255
    center, scale = rng.normal(size=(2, 13 if columns is None else 4))
    decoder = DeviceDecoder(codec, columns, center, scale, torch.device("cpu"))
    table = codec.unpack(packed, columns, decode_table(center, scale))
    np.testing.assert_allclose(decoder(torch.from_numpy(packed)), table, atol=2e-6)
