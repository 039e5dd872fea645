"""Thinning by LD: what stays, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
from packed_cohorts import random_dosage
from reference.thinning import prune

from gp_elm.genotypes.thinning import LEVELS, evenly_spaced, thin_variants

CONTIG = np.repeat([0, 1, 2], [50, 3, 27])


@pytest.fixture(scope="module")
def raw() -> np.ndarray:
    """Variants of 300 samples with LD between neighbours, missing calls, one that never varies."""
    dosage = random_dosage(300, 80, seed=3, missing=0.02, linkage=0.8)
    dosage[:, 20] = 2
    return dosage


def thin(raw: np.ndarray, most: int, window: int = 16):
    return thin_variants(lambda start, stop: raw[:, start:stop], CONTIG, most, window=window)


@pytest.mark.parametrize("most", [60, 40, 30, 20])
def test_agrees_with_pairs_looked_at_one_by_one(raw: np.ndarray, most: int) -> None:
    found = thin(raw, most)
    assert found.ld_r2 is not None and not found.by_window
    assert found.kept.tolist() == prune(raw, CONTIG, found.ld_r2, 16, LEVELS)
    assert found.kept.size <= most
    # the next milder level would have left too many
    milder = LEVELS.index(found.ld_r2) - 1
    if milder >= 0:
        assert len(prune(raw, CONTIG, LEVELS[milder], 16, LEVELS)) > most


def test_monomorphic_variants_go_first(raw: np.ndarray) -> None:
    found = thin(raw, 79)
    assert found.ld_r2 is None and found.kept.tolist() == [j for j in range(80) if j != 20]
    assert found.words() == "all variants that vary"


def test_the_best_of_each_window_where_pruning_leaves_too_many(raw: np.ndarray) -> None:
    found = thin(raw, 5)
    left = np.array(prune(raw, CONTIG, LEVELS[-1], 16, LEVELS))
    known = np.where(raw >= 0, raw, np.nan).astype(float)
    information = np.nansum((known - np.nanmean(known, axis=0)) ** 2, axis=0)
    best = [part[np.argmax(information[part])] for part in np.array_split(left, 5)]
    assert found.by_window and found.kept.tolist() == best
    assert found.words().endswith("then the best of each window")


def test_neither_alleles_nor_the_order_of_samples_matter(raw: np.ndarray) -> None:
    flipped = raw.copy()
    flipped[:, ::3] = np.where(raw[:, ::3] < 0, -1, 2 - raw[:, ::3])
    for other in (flipped, raw[np.random.default_rng(0).permutation(300)]):
        for most in (40, 20, 5):
            assert thin(other, most).kept.tolist() == thin(raw, most).kept.tolist()


def test_of_equal_variants_the_better_called_stays() -> None:
    column = np.random.default_rng(1).binomial(2, 0.4, 200).astype(np.int8)
    copies = np.column_stack([column, column, column])
    copies[:40, [0, 2]] = -1
    found = thin_variants(lambda start, stop: copies[:, start:stop], np.zeros(3, np.int64), 1)
    assert found.kept.tolist() == [1]


def test_samples_are_spaced_in_the_order_of_their_names() -> None:
    names = np.array([f"s{i:03d}" for i in range(100)])
    chosen = evenly_spaced(np.arange(100), names, 10)
    assert chosen.tolist() == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
    order = np.random.default_rng(2).permutation(100)
    again = evenly_spaced(np.arange(100), names[order], 10)
    assert sorted(names[order][again]) == sorted(names[chosen])
    assert evenly_spaced(np.arange(100), names, 100).tolist() == list(range(100))


def test_dosages_are_thinned_as_calls_are(raw: np.ndarray) -> None:
    dosage = np.where(raw < 0, np.nan, raw).astype(np.float32)
    dosage[:, 20] = 1.003
    for most in (79, 40, 5):
        assert thin(dosage, most).kept.tolist() == thin(raw, most).kept.tolist()
