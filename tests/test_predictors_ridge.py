from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from packed_cohorts import random_dosage, store_of
from reference.decode import centred_slowly
from reference.ridge import ridge

from gp_elm.errors import InputError
from gp_elm.predictors.conjugate_gradient import solve_shifted
from gp_elm.predictors.ridge import RidgeKernel, fit_ridge
from gp_elm.streaming.sampler import validation_rows
from gp_elm.streaming.store import Store


def problem(
    folder: Path, *, n: int = 120, m: int = 80
) -> tuple[Store, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A store, three traits with missing values, centre, sd, and features whose kernel has mean diagonal 1."""
    dosage = random_dosage(n, m, seed=1, linkage=0.5)
    dosage[:, 9] = 2
    store = store_of(dosage, folder)
    _, center, sd = store.moments(np.arange(n))
    features = centred_slowly(dosage, center) / np.where(sd > 0, sd, 1) / np.sqrt((sd > 0).sum())
    rng = np.random.default_rng(2)
    traits = 4 + features @ rng.normal(size=(m, 3)) + rng.normal(size=(n, 3)) * [0.1, 1, 3]
    traits[rng.random(traits.shape) < 0.1] = np.nan
    return store, traits, center, sd, features


@pytest.mark.parametrize("largest_kernel", [15_000, 0])
@pytest.mark.parametrize("heritability", [0.05, 0.5, 0.95])
def test_agrees_with_the_normal_equations(tmp_path: Path, largest_kernel: int, heritability: float) -> None:
    store, traits, center, sd, features = problem(tmp_path)
    kernel = RidgeKernel(store, np.arange(120), center=center, sd=sd, largest_kernel=largest_kernel)
    assert (kernel.kernel is None) == (largest_kernel == 0)
    model = kernel.fit(np.arange(120), traits, groups=None, seed=1, heritabilities=(heritability,))
    expected, intercept = ridge(features, traits, np.full(3, heritability))
    scale = np.where(sd > 0, sd, 1) * np.sqrt((sd > 0).sum())
    assert np.allclose(model.coefficients * scale, expected, atol=2e-4)
    assert not model.coefficients[:, 9].any()
    fitted = model.predict(store, np.arange(120))
    assert np.allclose(fitted, features @ expected.T + intercept, atol=1e-4)
    assert np.array_equal(model.penalty, np.full(3, heritability))


def test_the_heritability_is_the_one_that_predicts_the_validation_groups_best(tmp_path: Path) -> None:
    store, traits, center, sd, features = problem(tmp_path)
    groups = np.arange(120) // 4
    grid = (0.05, 0.3, 0.7, 0.9, 0.97, 0.99)
    model = fit_ridge(
        store, np.arange(120), traits, center=center, sd=sd, groups=groups, seed=3, heritabilities=grid
    )
    validation = validation_rows(groups, 120, seed=3)
    inner = np.where(validation[:, None], np.nan, traits)
    errors = np.empty((len(grid), 3))
    for s, h2 in enumerate(grid):
        weights, intercept = ridge(features, inner, np.full(3, h2))
        errors[s] = np.nanmean((traits - features @ weights.T - intercept)[validation] ** 2, axis=0)
    assert np.array_equal(model.penalty, np.array(grid)[errors.argmin(axis=0)])
    expected, _ = ridge(features, traits, model.penalty)
    scale = np.where(sd > 0, sd, 1) * np.sqrt((sd > 0).sum())
    assert np.allclose(model.coefficients * scale, expected, atol=1e-3)


def test_one_kernel_serves_the_folds(tmp_path: Path) -> None:
    store, traits, center, sd, features = problem(tmp_path)
    kernel = RidgeKernel(store, np.arange(119, -1, -1))
    rows = np.random.default_rng(4).permutation(120)[:90]
    model = kernel.fit(rows, traits[rows], groups=None, seed=1, heritabilities=(0.5,))
    expected, intercept = ridge(features[rows], traits[rows], np.full(3, 0.5))
    assert np.allclose(model.predict(store, np.arange(120)), features @ expected.T + intercept, atol=1e-4)


def test_traits_that_hold_nothing(tmp_path: Path) -> None:
    store, traits, center, sd, _ = problem(tmp_path)
    traits[:, 0], traits[:, 1] = 3.0, np.nan
    model = fit_ridge(store, np.arange(120), traits, center=center, sd=sd, groups=None, seed=1)
    assert not model.coefficients[:2].any()
    assert model.intercept[0] == pytest.approx(3)
    assert model.coefficients[2].any()


def test_rows_that_the_kernel_lacks(tmp_path: Path) -> None:
    store, traits, _, _, _ = problem(tmp_path)
    kernel = RidgeKernel(store, np.arange(100))
    with pytest.raises(InputError, match="sample s100 is not among the kernel's rows"):
        kernel.fit(np.arange(120), traits, groups=None, seed=1)
    with pytest.raises(InputError, match="120 samples with traits for 10 rows"):
        kernel.fit(np.arange(10), traits, groups=None, seed=1)


def test_all_shifts_are_solved_at_once() -> None:
    rng = np.random.default_rng(6)
    roots = rng.normal(size=(2, 30, 10))
    systems = roots @ roots.transpose(0, 2, 1)
    right = rng.normal(size=(30, 2))
    shifts = np.array([[0.5, 10.0], [3.0, 1.0], [100.0, 1.0]])
    solved = solve_shifted(
        lambda v: np.stack([systems[t] @ v[:, t] for t in range(2)], axis=1), right, shifts, tolerance=1e-10
    )
    for s in range(3):
        for t in range(2):
            expected = np.linalg.solve(systems[t] + shifts[s, t] * np.eye(30), right[:, t])
            assert np.allclose(solved[s, :, t], expected, atol=1e-8)
