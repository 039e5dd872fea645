from __future__ import annotations

import numpy as np
import pytest
from model_cases import dosages, make_store, standardise
from sklearn.linear_model import Lasso

from gp_elm.predictors.product_lasso import ProductDesign, product_columns
from gp_elm.streaming.sampler import validation_rows

N, M = 700, 10


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Three traits, two of them with missing values of their own; the design as sklearn wants it."""
    rng = np.random.default_rng(3)
    raw = dosages(rng, N, M, missing=0.02)
    store = make_store(tmp_path_factory.mktemp("products") / "store", raw)
    rows = rng.permutation(N)
    _, center, sd = store.moments(rows)
    z = store.block(np.arange(N), center=center, scale=1 / sd).astype(float)
    first, second = np.triu_indices(M, 1)
    design = np.hstack([z, z[:, first] * z[:, second]])
    beta = np.zeros((design.shape[1], 3))
    for t in range(3):
        beta[rng.choice(design.shape[1], 8, replace=False), t] = rng.standard_normal(8)
    traits = 4 + 3 * (design @ beta + rng.standard_normal((N, 3)))
    for t in (1, 2):
        traits[rng.random(N) < 0.2, t] = np.nan
    return {"products": ProductDesign(store, rows, center=center, sd=sd), "store": store, "design": design,
            "traits": traits, "beta": beta}  # fmt: skip


def by_sklearn(design, y, penalty):
    """Prediction for all rows of a lasso on columns standardised where y is known."""
    known = np.isfinite(y)
    mean, sd = design[known].mean(0), design[known].std(0)
    model = Lasso(alpha=penalty, tol=1e-9, max_iter=50_000).fit((design[known] - mean) / sd, y[known])
    return model.predict((design - mean) / sd)


def test_agrees_with_scikit_learn(study):
    rows = np.random.default_rng(9).permutation(N)[:500]
    groups = rows // 2
    fit = study["products"].fit(rows, study["traits"][rows], groups=groups, seed=5)
    predicted = fit.predict(study["store"], np.arange(N))
    for t in range(3):
        y = np.full(N, np.nan)
        y[rows] = study["traits"][rows, t]
        np.testing.assert_allclose(predicted[:, t], by_sklearn(study["design"], y, fit.penalty[t]), atol=2e-3)


def test_the_penalty_is_the_one_that_predicts_the_validation_groups_best(study):
    rows, groups = np.arange(500), np.arange(500) // 2
    fit = study["products"].fit(rows, study["traits"][rows], groups=groups, seed=5)
    validation = validation_rows(groups, 500, seed=5)
    for t in range(3):
        y = study["traits"][:500, t]
        inner = np.where(validation, np.nan, y)

        def error(penalty, inner=inner, y=y):
            f = by_sklearn(study["design"][:500], inner, penalty)
            return np.nanmean((y - f)[validation] ** 2)

        assert error(fit.penalty[t]) <= min(error(fit.penalty[t] * factor) for factor in (0.5, 0.7, 1.5, 2.5))


def test_finds_the_products(study):
    fit = study["products"].fit(np.arange(N), study["traits"], groups=None, seed=5)
    first, second = np.triu_indices(M, 1)
    for t in range(3):
        form = (fit.units.T * fit.output[t]) @ fit.units
        found = 2 * form[first, second]
        assert np.corrcoef(found, study["beta"][M:, t])[0, 1] > 0.98
        np.testing.assert_allclose(np.diag(form), 0, atol=1e-10)


def test_a_trait_without_signal_is_its_mean(study):
    noise = 2 + np.random.default_rng(8).standard_normal((N, 1))
    constant = np.full((N, 1), 2.0)
    fit = study["products"].fit(np.arange(N), np.hstack([noise, constant]), groups=None, seed=5)
    predicted = fit.predict(study["store"], np.arange(N))
    assert predicted[:, 0].std() < 0.15
    np.testing.assert_allclose(predicted[:, 1], 2.0)


def test_variants_that_do_not_vary_stay_out(tmp_path):
    rng = np.random.default_rng(1)
    raw = dosages(rng, 200, 5)
    raw[:, 2] = 1
    store = make_store(tmp_path / "store", raw)
    rows = np.arange(200)
    _, center, sd = store.moments(rows)
    y = standardise(raw[:, [0]].astype(float) * raw[:, [1]]) + 0.1 * rng.standard_normal((200, 1))
    fit = ProductDesign(store, rows, center=center, sd=sd).fit(rows, y, groups=None, seed=1)
    assert fit.linear.coefficients[0, 2] == 0
    assert np.all(fit.units[:, list(fit.columns).index(2)] == 0)
    assert np.mean((fit.predict(store, rows) - y) ** 2) < 0.05


def test_number_of_columns():
    assert product_columns(64) == 64 + 64 * 63 // 2
