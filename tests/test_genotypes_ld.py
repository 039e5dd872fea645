"""LD blocks: cut where there is no LD, joined where there is, and chromosomes always cut."""

import numpy as np
import pytest
from elm_cases import block_genotypes

from gp_elm.genotypes.ld import between_chromosome_quantile, ld_blocks, ld_threshold, pair_ld_r2


def reader(raw):
    x = (raw - raw.mean(0)).astype(np.float32)
    return lambda start, stop: x[:, start:stop]


def test_blocks_of_the_simulation_are_found():
    rng = np.random.default_rng(0)
    sizes = [3, 5, 1, 1, 4, 2]
    raw, truth = block_genotypes(rng, 3000, sizes)
    contig = np.zeros(16, int)
    labels, threshold = ld_blocks(reader(raw), contig, np.arange(1, 17), 3000, seed=1)
    assert threshold == pytest.approx(0.02)
    assert labels.tolist() == truth.tolist()
    for tile in (2, 5):
        again, _ = ld_blocks(reader(raw), contig, np.arange(1, 17), 3000, seed=1, tile=tile)
        assert again.tolist() == truth.tolist()


def test_unplaced_variants_fall_into_clusters_whatever_their_order():
    rng = np.random.default_rng(1)
    raw, truth = block_genotypes(rng, 3000, [3, 4, 2])
    order = rng.permutation(9)
    labels, _ = ld_blocks(reader(raw[:, order]), np.zeros(9, int), np.zeros(9, int), 3000, seed=1)
    same = labels[:, None] == labels[None, :]
    assert np.array_equal(same, truth[order][:, None] == truth[order][None, :])


def test_chromosomes_are_always_cut():
    rng = np.random.default_rng(2)
    raw, _ = block_genotypes(rng, 500, [6])
    labels, _ = ld_blocks(reader(raw), np.array([0, 0, 0, 1, 1, 1]), np.arange(1, 7), 500, seed=1)
    assert set(labels[:3]).isdisjoint(labels[3:])


def test_structure_raises_the_threshold():
    rng = np.random.default_rng(3)
    population = rng.random(1000) < 0.5
    frequency = np.where(population[:, None], 0.6, 0.4)
    raw = rng.binomial(2, frequency, size=(1000, 40)).astype(np.int8)
    contig = np.repeat([0, 1], 20)
    between = between_chromosome_quantile(reader(raw), contig, seed=1)
    assert 0.02 < between < 0.1
    assert ld_threshold(1000, 400, between) == max(between, ld_threshold(1000, 400, 0.0))
    # What structure makes of LD between chromosomes is not taken for LD within them.
    labels, _ = ld_blocks(reader(raw), contig, np.arange(1, 41), 1000, seed=1)
    assert np.unique(labels).size > 10


def test_ld_with_unplaced_markers_is_not_taken_for_structure():
    rng = np.random.default_rng(5)
    raw, truth = block_genotypes(rng, 2000, [4, 4, 4])
    # Two markers of the last block stand on no chromosome.
    contig = np.repeat([0, 1, 2], [4, 6, 2])
    position = np.r_[np.arange(1, 11), 0, 0]
    labels, threshold = ld_blocks(reader(raw), contig, position, 2000, seed=1)
    assert threshold < 0.1
    assert labels[0] == labels[3] and labels[10] == labels[11]
    # However strong, LD between chromosomes never makes LD within them invisible.
    assert between_chromosome_quantile(reader(raw[:, [0, 0, 1, 1]]), np.array([0, 1, 0, 1]), seed=1) == 0.1


def test_r2_is_the_squared_correlation_of_the_complete_cases():
    rng = np.random.default_rng(4)
    a, b = rng.integers(0, 3, (2, 60, 4)).astype(float)
    a[:5, 0] = np.nan
    b[3:9, 1] = np.nan
    b[:, 3] = 1.0
    found = pair_ld_r2(a, b)
    for k in range(3):
        both = np.isfinite(a[:, k]) & np.isfinite(b[:, k])
        assert found[k] == pytest.approx(np.corrcoef(a[both, k], b[both, k])[0, 1] ** 2)
    assert np.isnan(found[3])
