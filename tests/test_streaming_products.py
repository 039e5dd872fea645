from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from packed_cohorts import random_dosage, store_of
from reference.decode import centred_slowly

from gp_elm.streaming import products


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_products_agree_with_the_matrix_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: float
) -> None:
    dosage = random_dosage(61, 37, seed=1, missing=missing)
    store = store_of(dosage, tmp_path)
    rng = np.random.default_rng(2)
    rows, center = rng.permutation(61)[:50], rng.normal(size=37)
    matrix = centred_slowly(dosage, center)[rows]
    wide, tall = rng.normal(size=(37, 3)), rng.normal(size=(50, 2))
    for step in (3, 50):
        monkeypatch.setattr(
            products,
            "row_blocks",
            lambda n, size, step=step: ((s, min(s + step, n)) for s in range(0, n, step)),
        )
        assert np.allclose(
            products.product(store, rows, wide, center=center), matrix @ wide, rtol=1e-12, atol=1e-12
        )
        got = products.transpose_product(store, rows, tall, center=center)
        assert np.allclose(got, matrix.T @ tall, rtol=1e-12, atol=1e-12)
        single = products.transpose_product(store, rows, tall, center=center, dtype=np.float32)
        assert np.allclose(single, matrix.T @ tall, atol=1e-4)


def test_row_blocks_cover_the_rows() -> None:
    bounds = list(products.row_blocks(5000, 1 << 20))
    assert bounds[0][0] == 0
    assert bounds[-1][1] == 5000
    assert all(a[1] == b[0] for a, b in zip(bounds, bounds[1:], strict=False))
    assert bounds[0][1] == 32
