"""Bit planes and the tallies of tiles against plain sums."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gp_elm.kernels.moments import build_planes, pack_rows, pair_moments
from gp_elm.kernels.topk import BINS_AN_OCTAVE, N_BINS, TopK, bin_edges, candidates


@given(
    seed=st.integers(0, 10_000),
    n=st.sampled_from([1, 63, 64, 65, 200]),
    ploidy=st.sampled_from([1, 2]),
    missing=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_moments_equal_plain_sums(seed, n, ploidy, missing, dtype):
    rng = np.random.default_rng(seed)
    x = (rng.integers(0, ploidy + 1, (n, 9)) - rng.uniform(0, ploidy, 9)).astype(dtype)
    if missing:
        x[rng.random(x.shape) < 0.2] = 0
    rows = rng.random(n) < 0.7
    first, second = build_planes(x[:, :4]), build_planes(x[:, 4:])
    out = np.empty((4, 4, 5))
    pair_moments(first, second, pack_rows(rows), out)
    a, b = x[rows, :4].astype(float), x[rows, 4:].astype(float)
    expected = np.stack([a.T @ b, (a**2).T @ b, a.T @ b**2, (a**2).T @ b**2])
    np.testing.assert_allclose(out, expected, rtol=1e-10, atol=1e-10)


def test_dosages_have_no_planes():
    assert build_planes(np.random.default_rng(0).normal(size=(20, 3))) is None


def test_a_constant_column_has_one_level():
    planes = build_planes(np.zeros((10, 2), dtype=np.float32))
    assert planes.n_levels.tolist() == [1, 1]
    assert planes.nbytes > 0


def test_bins_of_a_float_are_those_of_its_bits():
    edges = bin_edges()
    assert len(edges) == N_BINS
    assert edges[1] == 2.0**-10
    assert edges[-1] == 2.0**14
    np.testing.assert_allclose(edges[2:] / edges[1:-1] - 1, 1 / BINS_AN_OCTAVE, atol=0.004)


@given(seed=st.integers(0, 1000), size=st.sampled_from([1, 5, 60]))
def test_top_does_not_depend_on_the_order(seed, size):
    rng = np.random.default_rng(seed)
    beta = rng.integers(-9, 9, 3000).astype(float)  # many ties
    i, j = np.divmod(np.arange(3000), 60)
    expected = np.lexsort((j, i, -np.abs(beta)))[:size]
    for order in (np.arange(3000), rng.permutation(3000)):
        top = TopK(size)
        for part in np.array_split(order, 7):
            part = part[beta[part] ** 2 >= top.threshold]
            top.offer(i[part], j[part], beta[part], np.ones(len(part)))
        np.testing.assert_array_equal(top.result()[0] * 60 + top.result()[1], expected)


def test_candidates_hold_the_largest_and_their_ties():
    z2 = np.tile(np.arange(10.0, dtype=np.float32), (10, 1))
    row, column, beta, error = candidates(z2, z2.max(axis=1), z2, z2, 5, 0.0)
    assert len(row) == 10
    assert (column == 9).all()
    row, *_ = candidates(z2, z2.max(axis=1), z2, z2, 50, 8.5)
    assert len(row) == 10
    row, *_ = candidates(z2, z2.max(axis=1), z2, z2, 0, 0.0)
    assert len(row) == 0
    assert len(beta) == len(error) == 10


def test_nothing_offered_is_nothing_kept():
    i, j, beta, error = TopK(3).result()
    assert len(i) == len(j) == len(beta) == len(error) == 0
    off = TopK(0)
    off.offer(np.array([0]), np.array([1]), np.array([2.0]), np.array([1.0]))
    assert len(off.result()[0]) == 0
    assert off.threshold == pytest.approx(np.inf)
