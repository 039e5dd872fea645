from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from packed_cohorts import random_dosage, store_of

from gp_elm.errors import OptionError
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


def test_no_batch_size_below_one(tmp_path: Path) -> None:
    store = store_of(random_dosage(3, 4, seed=2), tmp_path)
    with pytest.raises(OptionError, match="batch_size is 0; give 1 or more"):
        next(batches(store, np.arange(3), batch_size=0, seed=1, epoch=0))
