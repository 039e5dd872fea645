from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed_cohorts import random_dosage, store_of

from gp_elm.errors import OptionError
from gp_elm.streaming import loader
from gp_elm.streaming.loader import batches


def test_every_row_once_with_its_own_genotypes(tmp_path: Path) -> None:
    dosage = random_dosage(23, 10, seed=1)
    store = store_of(dosage, tmp_path)
    rows = np.random.default_rng(0).permutation(23)[:17]
    seen = []
    for index, packed in batches(store, rows, batch_size=5, seed=3, epoch=2):
        assert np.array_equal(packed, store.packed(rows[index]))
        assert len(index) <= 5
        seen.extend(index)
    assert sorted(seen) == list(range(17))


def test_the_order_depends_on_seed_and_epoch_alone(tmp_path: Path) -> None:
    store = store_of(random_dosage(30, 4, seed=2), tmp_path)

    def order(batch_size: int, seed: int, epoch: int, shuffle: bool = True) -> list[int]:
        every = batches(store, np.arange(30), batch_size=batch_size, seed=seed, epoch=epoch, shuffle=shuffle)
        return [int(i) for index, _ in every for i in index]

    assert order(4, 1, 0) == order(7, 1, 0)
    assert order(4, 1, 0) != order(4, 1, 1)
    assert order(4, 1, 0) != order(4, 2, 0)
    assert order(4, 1, 0, shuffle=False) == list(range(30))


@given(
    st.integers(0, 40),
    st.integers(1, 9),
    st.tuples(st.integers(1, 40), st.integers(1, 90), st.integers(1, 30)),
    st.integers(1, 3),
    st.booleans(),
)
def test_neither_threads_nor_shares_nor_a_resumption_change_the_batches(
    tmp_path_factory: pytest.TempPathFactory,
    n: int,
    batch_size: int,
    sizes: tuple[int, int, int],
    threads: int,
    shuffle: bool,
) -> None:
    dosage = random_dosage(45, 10, seed=1)
    store = store_of(dosage, tmp_path_factory.mktemp("loader"))
    rows = np.random.default_rng(n).permutation(45)[:n]
    given = {"batch_size": batch_size, "seed": 3, "epoch": 2, "shuffle": shuffle}
    with pytest.MonkeyPatch.context() as patch:
        for name, size in zip(("BLOCK_BYTES", "WINDOW_BYTES", "_PIECE_BYTES"), sizes, strict=True):
            patch.setattr(loader, name, size)
        order, _ = loader.store_order(store, n, seed=3, epoch=2, shuffle=shuffle)
        every = list(batches(store, rows, threads=threads, **given))
        assert [int(i) for index, _ in every for i in index] == order.tolist()
        for index, packed in every:
            assert np.array_equal(packed, store.packed(rows[index]))
        first = len(every) // 2
        resumed = list(batches(store, rows, first=first, **given))
        assert len(resumed) == len(every) - first
        shared = zip(*(batches(store, rows, share=(k, 2), **given) for k in range(2)), strict=True)
        for (index, packed), (again, same), (both, left), (_, right) in (
            zip(every, every[:first] + resumed, *zip(*shared, strict=True), strict=True) if every else ()
        ):
            assert np.array_equal(index, again)
            assert np.array_equal(index, both)
            assert np.array_equal(packed, same)
            assert np.array_equal(packed, np.concatenate([left, right]))


def test_an_epoch_ends_after_the_samples_used(tmp_path: Path) -> None:
    store = store_of(random_dosage(30, 4, seed=2), tmp_path)
    every = list(batches(store, np.arange(30), batch_size=8, seed=1, epoch=0))
    fewer = list(batches(store, np.arange(30), batch_size=8, seed=1, epoch=0, used=24))
    assert [len(packed) for _, packed in fewer] == [8, 8, 8]
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(every, fewer, strict=False))


def test_leaving_early_ends_the_threads(tmp_path: Path) -> None:
    store = store_of(random_dosage(30, 4, seed=2), tmp_path)
    before = threading.active_count()
    next(batches(store, np.arange(30), batch_size=8, seed=1, epoch=0))
    assert threading.active_count() == before


def test_no_batch_size_below_one(tmp_path: Path) -> None:
    store = store_of(random_dosage(3, 4, seed=2), tmp_path)
    with pytest.raises(OptionError, match="batch_size is 0; give 1 or more"):
        next(batches(store, np.arange(3), batch_size=0, seed=1, epoch=0))
