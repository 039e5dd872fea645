"""Relatedness against its definition, over tiles, chromosomes and missing calls."""

import numpy as np
import pytest
from elm_cases import MemoryStore

from gp_elm.errors import InputError
from gp_elm.genotypes import relatedness
from gp_elm.genotypes.relatedness import cross_product, relatedness_matrix


@pytest.fixture
def genotypes():
    rng = np.random.default_rng(3)
    raw = rng.binomial(2, rng.uniform(0.1, 0.9, 150), (70, 150)).astype(np.int8)
    raw[rng.random(raw.shape) < 0.05] = -1
    raw[:, 7] = 2
    return raw


def definition(raw):
    g = np.where(raw < 0, np.nan, raw).astype(float)
    with np.errstate(invalid="ignore"):
        z = (g - np.nanmean(g, axis=0)) / np.nanstd(g, axis=0)
    varies = np.nanstd(g, axis=0) > 0
    z = np.nan_to_num(z[:, varies])
    return z @ z.T / varies.sum()


def test_it_is_its_definition_whatever_the_tiles(genotypes, monkeypatch):
    rows = np.array([5, 1, 30, 8, 60, 61, 69, 2, 44])
    for tile, n_rows in [(relatedness.TILE_BYTES, relatedness.ROWS), (1, 4)]:
        monkeypatch.setattr(relatedness, "TILE_BYTES", tile)
        monkeypatch.setattr(relatedness, "ROWS", n_rows)
        found = relatedness_matrix(MemoryStore(genotypes), rows)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, found.T)
        np.testing.assert_allclose(found, definition(genotypes[rows]), atol=2e-6)


def test_variants_can_be_chosen_or_left_out_and_add_up(genotypes):
    store, rows = MemoryStore(genotypes), np.arange(70)
    out = np.arange(20, 90)
    found = relatedness_matrix(store, rows, exclude=out)
    np.testing.assert_allclose(found, definition(np.delete(genotypes, out, axis=1)), atol=2e-6)
    np.testing.assert_allclose(
        relatedness_matrix(store, rows, variants=out), definition(genotypes[:, out]), atol=2e-6
    )
    (all_of_it, count), (part, part_count) = (
        cross_product(store, rows),
        cross_product(store, rows, variants=out),
    )
    assert count == 149 and part_count == 70
    np.testing.assert_allclose((all_of_it - part) / (count - part_count), found, atol=2e-6)


def test_no_variant_that_varies_is_refused(genotypes):
    with pytest.raises(InputError, match="none of the variants varies in the 70 samples"):
        relatedness_matrix(MemoryStore(genotypes), np.arange(70), variants=np.array([7]))
