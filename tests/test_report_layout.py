from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gp_elm.report.layout import genome_axis, natural_order, spread_labels, thin


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["10", "2", "X", "1", "MT", "Y"], ["1", "2", "10", "X", "Y", "MT"]),
        (["chr10", "chrX", "chr9"], ["chr9", "chr10", "chrX"]),
        (["X", "IX", "IV", "V", "I"], ["I", "IV", "V", "IX", "X"]),
        (["X", "2", "1"], ["1", "2", "X"]),
        (["3R", "2L", "X", "10L"], ["2L", "3R", "10L", "X"]),
        (["scaffold_10", "scaffold_9", "1"], ["1", "scaffold_9", "scaffold_10"]),
        (["0", "2", "X"], ["2", "X", "0"]),
    ],
)
def test_chromosomes_in_natural_order(names: list[str], expected: list[str]) -> None:
    assert natural_order(names) == expected


def test_chromosomes_follow_one_another() -> None:
    axis = genome_axis(pd.Series(["2", "1", "1", "X"]), pd.Series([5, 100, 300, 7]))
    assert axis.labels == ["1", "2", "X"]
    assert axis.x[1] < axis.x[2] < axis.x[0] < axis.x[3]
    assert axis.x[2] - axis.x[1] == 200


def test_unplaced_variants_are_laid_out_by_order() -> None:
    axis = genome_axis(pd.Series(["1"] * 4 + ["2"] * 3), pd.Series([0] * 7))
    assert np.all(np.diff(axis.x) > 0)
    assert len(set(np.round(np.diff(axis.x[:4]), 9))) == 1
    mixed = genome_axis(pd.Series(["1"] * 4), pd.Series([100, 0, 900, 0]))
    assert mixed.x[0] < mixed.x[2] < mixed.x[1] < mixed.x[3]


def test_short_chromosomes_lose_their_label_not_their_place() -> None:
    names = [str(k) for k in range(1, 60)]
    axis = genome_axis(pd.Series(names).repeat(2), pd.Series([1, 1000] * 59))
    ticks, labels = spread_labels(axis)
    assert len(ticks) == len(labels) < 59
    assert np.all(np.diff(ticks) > 0)


@given(st.lists(st.floats(0, 12), min_size=1, max_size=400), st.floats(1, 6))
def test_thinning_never_drops_a_peak(heights: list[float], keep_above: float) -> None:
    y = np.array(heights)
    kept = thin(np.arange(len(y), dtype=float), y, keep_above=keep_above, columns=10, rows=10)
    assert set(np.flatnonzero(y >= keep_above)) <= set(kept)
    assert np.all(np.diff(kept) > 0)


def test_thinning_bounds_the_bulk_and_drops_missing() -> None:
    rng = np.random.default_rng(1)
    y = rng.exponential(0.4, 200_000)
    y[:5] = np.nan
    kept = thin(np.arange(200_000.0), y, keep_above=5, columns=100, rows=50)
    assert len(kept) <= 5000 + (y >= 5).sum()
    assert not np.isin(kept, np.arange(5)).any()
