"""Variance components against a likelihood written out, simulated truth, and their definitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from packed_cohorts import random_dosage, store_of
from reference.reml import minus_log_likelihood
from reference.reml import reml as reml_by_optimiser

from gp_elm.errors import InputError
from gp_elm.predictors.variance_components import (
    KERNEL_BYTES,
    component_rows,
    fit_components,
    genetic_kernels,
    haseman_elston,
    kernel_samples,
)

N = 300


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    dosage = random_dosage(N, 60, seed=5, missing=0.0, linkage=0.6)
    store = store_of(dosage, tmp_path_factory.mktemp("kernels"))
    return genetic_kernels(store, np.arange(N), dominance=True)


def simulated(
    kernels: dict[str, np.ndarray], components: list[float], n_traits: int, seed: int
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    v = sum(c * k for c, k in zip(components, kernels.values(), strict=False)) + components[-1] * np.eye(N)
    return np.linalg.cholesky(v) @ rng.normal(size=(N, n_traits))


def test_reml_is_the_maximum_of_the_likelihood(kernels: dict[str, np.ndarray]) -> None:
    traits = 3 + simulated(kernels, [2.0, 1.5, 0.8, 1.0], 3, seed=1)
    rng = np.random.default_rng(2)
    covariates = rng.normal(size=(N, 2)) * [1, 1e4]
    traits += covariates[:, :1]
    traits[rng.random(traits.shape) < 0.05] = np.nan
    traits[:, 2] *= 100
    found = fit_components(kernels, traits, covariates=covariates)
    assert found.names == ("additive", "additive_by_additive", "dominance", "residual")
    assert found.converged.all()
    for t in range(3):
        expected, error = reml_by_optimiser(list(kernels.values()), traits[:, t], covariates)
        assert np.allclose(found.estimates[t], expected, atol=0.02 * error.max())
        # Average and observed information agree to the order of 1 / sqrt(n).
        assert np.allclose(found.standard_errors[t], error, rtol=0.3)
        assert found.n[t] == np.isfinite(traits[:, t]).sum()


def test_a_component_that_would_be_negative_is_held_at_zero_and_said(kernels: dict[str, np.ndarray]) -> None:
    two = {name: kernels[name] for name in ("additive", "additive_by_additive")}
    traits = simulated(two, [1.0, 0.0, 1.0], 4, seed=3)
    found = fit_components(two, traits)
    assert found.converged.all() and (found.estimates >= 0).all()
    held = found.at_boundary[:, 1]
    assert 1 <= held.sum() < 4
    assert (found.estimates[held, 1] == 0).all() and np.isfinite(found.standard_errors).all()
    for t in np.flatnonzero(held):
        expected, _ = reml_by_optimiser(list(two.values()), traits[:, t])
        assert np.allclose(found.estimates[t], expected, atol=2e-3)
        x = np.ones((N, 1))
        away = found.estimates[t] + [0, 0.02, 0]
        here = minus_log_likelihood(found.estimates[t], list(two.values()), traits[:, t], x)
        assert minus_log_likelihood(away, list(two.values()), traits[:, t], x) > here


def test_traits_without_variance_or_samples_are_left_empty(kernels: dict[str, np.ndarray]) -> None:
    traits = simulated(kernels, [1.0, 0.0, 0.0, 1.0], 3, seed=4)
    traits[:, 1] = 7.0
    traits[9:, 2] = np.nan
    for found in (fit_components(kernels, traits), haseman_elston(kernels, traits)):
        assert np.isfinite(found.estimates[0]).all()
        assert np.isnan(found.estimates[1:]).all() and np.isnan(found.standard_errors[1:]).all()
        assert found.n.tolist() == [N, N, 9]


def test_kernels_by_their_definition(tmp_path: Path) -> None:
    n, m = 40, 30
    dosage = random_dosage(n, m, seed=6, missing=0.05)
    dosage[:, 4] = 1  # does not vary
    dosage[:, 5] = np.where(dosage[:, 5] == 1, 2, dosage[:, 5])  # no heterozygote
    found = genetic_kernels(store_of(dosage, tmp_path), np.arange(n), dominance=True)
    additive, dominance = [], []
    for g in np.where(dosage < 0, np.nan, dosage).T:
        known = np.isfinite(g)
        x = np.where(known, g - np.nanmean(g), 0.0)
        if not x.any():
            continue
        additive.append(x / np.nanstd(g))
        h = (g[known] == 1).astype(float)
        h -= np.polyval(np.polyfit(g[known], h, 1), g[known])
        if h.var() > 1e-3:
            dominance.append(np.zeros(n))
            dominance[-1][known] = h / h.std()
    three = [np.unique(g[g >= 0]).size == 3 for g in dosage.T]
    assert len(additive) == m - 1 and len(dominance) == sum(three)
    centre = np.eye(n) - 1 / n
    z, d = np.column_stack(additive), np.column_stack(dominance)
    expected = {"additive": z @ z.T, "additive_by_additive": (z @ z.T) ** 2, "dominance": d @ d.T}
    for name, kernel in expected.items():
        kernel = centre @ kernel @ centre
        assert np.allclose(found[name], kernel * n / np.trace(kernel), atol=1e-5)
    assert list(genetic_kernels(store_of(dosage, tmp_path), np.arange(n), epistasis=False)) == ["additive"]


def test_no_dominance_kernel_without_heterozygotes(tmp_path: Path) -> None:
    dosage = 2 * random_dosage(30, 20, seed=7, ploidy=1, missing=0.0)
    assert "dominance" not in genetic_kernels(store_of(dosage, tmp_path), np.arange(30), dominance=True)


def test_components_are_the_variances_of_the_terms(kernels: dict[str, np.ndarray]) -> None:
    for name, kernel in kernels.items():
        only = simulated({name: kernel}, [2.0, 1e-3], 400, seed=8)
        assert np.isclose(only.var(axis=0).mean(), 2.0, rtol=0.1)


def test_both_methods_find_the_truth_within_their_errors(kernels: dict[str, np.ndarray]) -> None:
    truth = np.array([1.0, 0.6, 0.5, 1.0])
    traits = simulated(kernels, list(truth), 40, seed=9)
    for found in (fit_components(kernels, traits), haseman_elston(kernels, traits)):
        mean, spread = found.estimates.mean(axis=0), found.estimates.std(axis=0, ddof=1)
        assert (np.abs(mean - truth) < 4 * spread / np.sqrt(40)).all()
        ratio = found.standard_errors.mean(axis=0) / spread
        assert (ratio > 0.65).all() and (ratio < 1.5).all()
    # What is unbiased is negative now and then.
    assert (haseman_elston(kernels, simulated(kernels, [1, 0, 0, 1], 20, seed=1)).estimates < 0).any()


def test_haseman_elston_solves_its_normal_equations(kernels: dict[str, np.ndarray]) -> None:
    y = simulated(kernels, [1.0, 1.0, 1.0, 1.0], 1, seed=10)
    found = haseman_elston(kernels, y + 50, covariates=np.arange(N)[:, None] * 1.0)
    x = np.column_stack([np.ones(N), np.arange(N)])
    m = np.eye(N) - x @ np.linalg.pinv(x)
    columns = np.column_stack([(m @ k @ m).ravel() for k in (*kernels.values(), np.eye(N))])
    expected = np.linalg.lstsq(columns, np.outer(m @ y, m @ y).ravel(), rcond=None)[0]
    assert np.allclose(found.estimates[0], expected)


def test_the_method_follows_the_number_of_samples(kernels: dict[str, np.ndarray]) -> None:
    y = simulated(kernels, [1.0, 0.0, 0.0, 1.0], 1, seed=11)
    moments = haseman_elston(kernels, y)
    found = fit_components(kernels, y, largest=N - 1)
    assert found.method == moments.method and np.array_equal(found.estimates, moments.estimates)
    assert fit_components(kernels, y, largest=N).method.startswith("REML")


def test_whole_groups_are_drawn_where_samples_are_many() -> None:
    groups = np.arange(100) // 4
    assert component_rows(groups, seed=1, limit=100).tolist() == list(range(100))
    rows = component_rows(groups, seed=1, limit=50)
    assert rows.size == 48 and np.bincount(groups[rows]).max() == 4
    assert (np.bincount(groups[rows])[np.unique(groups[rows])] == 4).all()


def test_kernels_of_other_samples_are_refused(kernels: dict[str, np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"additive kernel is \(300, 300\) beside 20 samples"):
        fit_components(kernels, np.zeros((20, 1)))


def test_kernels_fit_into_their_bytes() -> None:
    for count in (2, 3):  # additive, additive by additive, and in diploids dominance
        n = kernel_samples(count, complete=True)
        assert 8 * (count + 1) * n**2 <= KERNEL_BYTES < 8 * (count + 1) * (n + 1) ** 2
        assert kernel_samples(count, complete=False) == kernel_samples(2 * count, complete=True)


def test_kernels_are_overwritten_only_where_that_changes_nothing() -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(60, 90))
    kernels = {"additive": x @ x.T / 90}
    y, covariates = rng.normal(size=(60, 2)), rng.normal(size=(60, 1))
    wanted = haseman_elston(kernels, y, covariates=covariates)
    mine = {"additive": kernels["additive"].copy()}
    for _ in range(2):
        found = haseman_elston(mine, y, covariates=covariates, overwrite=True)
        np.testing.assert_allclose(found.estimates, wanted.estimates, rtol=1e-10)
    assert not np.allclose(mine["additive"], kernels["additive"])
    # with a trait that some samples lack, the next pattern needs them whole
    y[:5, 1] = np.nan
    wanted = haseman_elston(kernels, y, covariates=covariates)
    mine = {"additive": kernels["additive"].copy()}
    found = haseman_elston(mine, y, covariates=covariates, overwrite=True)
    np.testing.assert_array_equal(found.estimates, wanted.estimates)
    np.testing.assert_array_equal(mine["additive"], kernels["additive"])
