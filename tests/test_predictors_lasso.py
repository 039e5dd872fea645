from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from packed_cohorts import random_dosage, store_of
from reference.decode import centred_slowly
from reference.lasso import lasso

from gp_elm.errors import InputError
from gp_elm.predictors import working_set
from gp_elm.predictors.lasso import fit_lasso, fit_lasso_at
from gp_elm.streaming.sampler import validation_rows
from gp_elm.streaming.store import Store


def problem(
    folder: Path,
    *,
    n: int = 150,
    m: int = 120,
    linkage: float = 0.0,
    missing_traits: float = 0.1,
    causal: int = 6,
) -> tuple[Store, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A store, three traits with their own missing values, centre, sd, and standardised features."""
    dosage = random_dosage(n, m, seed=1, linkage=linkage)
    store = store_of(dosage, folder)
    _, center, sd = store.moments(np.arange(n))
    features = centred_slowly(dosage, center) / np.where(sd > 0, sd, 1)
    rng = np.random.default_rng(2)
    effects = np.zeros((m, 3))
    effects[rng.permutation(m)[:causal]] = rng.normal(size=(causal, 3))
    traits = 5 + 3 * (features @ effects + rng.normal(size=(n, 3)) * [1, 2, 4])
    traits[rng.random(traits.shape) < missing_traits] = np.nan
    return store, traits, center, sd, features


@pytest.mark.parametrize("linkage", [0.0, 0.95])
@pytest.mark.parametrize("missing", [0.0, 0.15])
def test_agrees_with_scikit_learn_at_given_penalties(tmp_path: Path, linkage: float, missing: float) -> None:
    store, traits, center, sd, features = problem(tmp_path, linkage=linkage, missing_traits=missing)
    for penalty in (np.array([2.0, 1.0, 3.0]), np.array([0.05, 0.2, 0.1])):
        model = fit_lasso_at(
            store, np.arange(150), traits, center=center, sd=sd, penalty=penalty, tolerance=1e-7
        )
        expected, intercept = lasso(features, traits, penalty)
        assert np.allclose(model.coefficients * sd, expected, atol=3e-5)
        assert np.allclose(model.intercept, intercept, atol=1e-4)
        fitted = model.predict(store, np.arange(150))
        assert np.allclose(fitted, features @ expected.T + intercept, atol=1e-4)


def test_the_penalty_is_the_one_that_predicts_the_validation_groups_best(tmp_path: Path) -> None:
    store, traits, center, sd, features = problem(tmp_path)
    groups = np.repeat(np.arange(50), 3)
    model = fit_lasso(store, np.arange(150), traits, center=center, sd=sd, groups=groups, seed=4, patience=99)
    validation = validation_rows(groups, 150, seed=4)
    inner = np.where(validation[:, None], np.nan, traits)
    for t in range(3):
        errors = []
        for factor in (0.5, 1.0, 2.0):
            weights, intercept = lasso(features, inner[:, [t]], model.penalty[[t]] * factor)
            tested = validation & ~np.isnan(traits[:, t])
            predicted = features[tested] @ weights[0] + intercept[0]
            errors.append(np.mean((traits[tested, t] - predicted) ** 2))
        assert errors[1] <= 1.001 * min(errors)
    expected, _ = lasso(features, traits, model.penalty)
    assert np.allclose(model.coefficients * sd, expected, atol=1e-3)


def test_threads_blocks_and_the_order_of_samples_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, traits, center, sd, _ = problem(tmp_path, linkage=0.8)
    groups = np.arange(150) // 2
    first = fit_lasso(store, np.arange(150), traits, center=center, sd=sd, groups=groups, seed=1)
    options = {"center": center, "sd": sd, "seed": 1}
    threads = fit_lasso(store, np.arange(150), traits, groups=groups, threads=3, **options)
    assert np.array_equal(first.coefficients, threads.coefficients)
    order = np.random.default_rng(5).permutation(150)
    mixed = fit_lasso(store, order, traits[order], groups=groups[order], **options)
    assert np.allclose(mixed.coefficients, first.coefficients, atol=1e-4)
    monkeypatch.setattr(
        working_set, "row_blocks", lambda n, size: ((s, min(s + 11, n)) for s in range(0, n, 11))
    )
    blocks = fit_lasso(store, np.arange(150), traits, groups=groups, **options)
    assert np.allclose(blocks.coefficients, first.coefficients, atol=1e-4)


def test_other_effect_allele_flips_the_coefficients(tmp_path: Path) -> None:
    dosage = random_dosage(100, 30, seed=7)
    flipped = np.where(dosage == -1, -1, 2 - dosage).astype(np.int8)
    traits = np.maximum(dosage[:, :2], 0) + np.random.default_rng(8).normal(size=(100, 2))
    models = []
    for name, values in (("a", dosage), ("b", flipped)):
        store = store_of(values, tmp_path / name)
        _, center, sd = store.moments(np.arange(100))
        models.append(fit_lasso(store, np.arange(100), traits, center=center, sd=sd, groups=None, seed=1))
    assert np.allclose(models[0].coefficients, -models[1].coefficients, atol=1e-4)
    assert np.any(models[0].coefficients)


def test_traits_and_variants_that_hold_nothing(tmp_path: Path) -> None:
    dosage = random_dosage(60, 20, seed=3, missing=0)
    dosage[:, 5] = 1
    store = store_of(dosage, tmp_path)
    _, center, sd = store.moments(np.arange(60))
    traits = np.column_stack([np.full(60, 7.0), np.full(60, np.nan), dosage[:, 3] * 1.0])
    model = fit_lasso(store, np.arange(60), traits, center=center, sd=sd, groups=None, seed=1)
    assert not model.coefficients[:2].any()
    assert model.intercept[0] == pytest.approx(7)
    assert not model.coefficients[:, 5].any()
    assert model.coefficients[2, 3] == pytest.approx(1, abs=0.02)
    assert np.isfinite(model.predict(store, np.arange(60))[:, [0, 2]]).all()
    with pytest.raises(InputError, match="60 samples with traits for 59 rows"):
        fit_lasso(store, np.arange(59), traits, center=center, sd=sd, groups=None, seed=1)


def test_a_trait_measured_only_in_the_first_samples_is_fitted_on_those(tmp_path: Path) -> None:
    dosage = random_dosage(300, 20, seed=5)
    store = store_of(dosage, tmp_path)
    rows = np.arange(300)
    traits = np.full((300, 1), np.nan)
    traits[:60, 0] = dosage[:60, 3] + 0.1 * np.random.default_rng(1).normal(size=60)
    _, center, sd = store.moments(rows)
    fitted = fit_lasso(store, rows, traits, center=center, sd=sd, groups=rows, seed=1)
    assert fitted.coefficients[0, 3] > 0.5
