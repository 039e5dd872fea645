"""Robust errors of pairs against statsmodels, and against what they must do."""

from __future__ import annotations

import numpy as np
import pytest
from reference.robust import cr1, hc3, leave_group_out

from gp_elm.association.interaction import interaction_pairs
from gp_elm.association.robust import robust_pairs
from gp_elm.errors import InputError


def cohort(
    n: int, pairs: int, *, seed: int, missing: float = 0.04
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Dosages of pairs, two traits whose noise grows with the genotype, covariates and families of 1 to 7."""
    rng = np.random.default_rng(seed)
    g_i, g_j = rng.binomial(2, 0.4, (2, n, pairs)).astype(float)
    covariates = np.column_stack([rng.normal(size=n), 1e3 * rng.binomial(1, 0.3, n)])
    traits = rng.normal(size=(n, 2)) * (1 + g_i[:, :1] * g_j[:, :1]) + covariates[:, :1]
    groups = np.repeat(np.arange(n), rng.integers(1, 8, n))[:n]
    traits += rng.normal(size=(n, 2))[groups]
    g_i[rng.random(g_i.shape) < missing] = np.nan
    g_j[rng.random(g_j.shape) < missing] = np.nan
    traits[rng.random(traits.shape) < missing] = np.nan
    return g_i, g_j, traits, covariates, groups


@pytest.mark.parametrize("with_covariates", [False, True])
def test_hc3_is_that_of_statsmodels(with_covariates: bool) -> None:
    g_i, g_j, traits, covariates, _ = cohort(150, 6, seed=1)
    x = covariates if with_covariates else None
    found = robust_pairs(g_i, g_j, traits, x)
    for p in range(6):
        for t in range(2):
            expected = hc3(g_i[:, p], g_j[:, p], traits[:, t], x)
            assert np.allclose([values[p, t] for values in found], expected, rtol=1e-9)


@pytest.mark.parametrize("with_covariates", [False, True])
def test_clustered_errors_are_the_jackknife_over_groups(with_covariates: bool) -> None:
    g_i, g_j, traits, covariates, groups = cohort(150, 4, seed=2)
    x = covariates if with_covariates else None
    names = np.array([f"family {g}" for g in groups])
    found = robust_pairs(g_i, g_j, traits, x, names)
    for p in range(4):
        for t in range(2):
            expected = leave_group_out(g_i[:, p], g_j[:, p], traits[:, t], groups, x)
            assert np.allclose([values[p, t] for values in found], expected, rtol=1e-7)


def test_clustered_errors_near_those_of_statsmodels_where_groups_are_many() -> None:
    g_i, g_j, traits, covariates, groups = cohort(4000, 2, seed=3)
    found = robust_pairs(g_i, g_j, traits, covariates, groups)
    for p in range(2):
        expected = cr1(g_i[:, p], g_j[:, p], traits[:, 0], groups, covariates)
        assert np.isclose(found.standard_error[p, 0], expected, rtol=0.02)


def test_groups_of_one_are_hc3() -> None:
    g_i, g_j, traits, covariates, _ = cohort(90, 3, seed=4)
    alone, grouped = robust_pairs(g_i, g_j, traits), robust_pairs(g_i, g_j, traits, None, np.arange(90))
    assert np.allclose(alone.standard_error, grouped.standard_error)
    assert np.allclose(alone.beta, interaction_pairs(g_i, g_j, traits).beta)


def test_collinear_products_and_single_carriers() -> None:
    rng = np.random.default_rng(5)
    n = 60
    g_i = rng.binomial(1, 0.5, (n, 4)).astype(float)
    g_j = rng.binomial(1, 0.5, (n, 4)).astype(float)
    g_j[:, 1] = g_i[:, 1]  # no product beyond its variants
    g_i[:, 2] = 1.0  # does not vary
    g_j[:, 3] = np.where(g_i[:, 3] == 1, 0.0, g_j[:, 3])
    g_j[np.flatnonzero(g_i[:, 3])[0], 3] = 1.0  # one sample carries both
    y = rng.normal(size=(n, 1))
    for groups in (None, np.arange(n) // 2):
        found = robust_pairs(g_i, g_j, y, None, groups)
        assert np.isfinite(found.beta[:, 0]).tolist() == [True, False, False, True]
        assert np.isfinite(found.standard_error[:, 0]).tolist() == [True, False, False, False]


def test_covariates_that_missing_calls_make_collinear() -> None:
    g_i, g_j, traits, covariates, _ = cohort(80, 2, seed=6, missing=0.0)
    rare = np.zeros(80)
    rare[:2] = 1.0
    g_i[:2, 1] = np.nan
    found = robust_pairs(g_i, g_j, traits, np.column_stack([covariates, rare]))
    expected = hc3(g_i[2:, 1], g_j[2:, 1], traits[2:, 0], covariates[2:])
    assert np.allclose([values[1, 0] for values in found], expected, rtol=1e-8)


def test_shapes_are_checked() -> None:
    g = np.zeros((5, 2))
    with pytest.raises(InputError, match=r"\(5, 2\) and \(5, 1\)"):
        robust_pairs(g, g[:, :1], np.zeros((5, 1)))
    with pytest.raises(InputError, match="3 groups beside 5 samples"):
        robust_pairs(g, g, np.zeros((5, 1)), None, np.arange(3))
