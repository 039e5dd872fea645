from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from model_cases import dosages, make_store, standardise

from gp_elm.predictors.gblup import EpistaticKernel
from gp_elm.predictors.ridge import fit_ridge

N, M = 260, 40


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two traits with missing values, the first with many interactions; kernels made by numpy."""
    rng = np.random.default_rng(2)
    raw = dosages(rng, N, M)
    store = make_store(tmp_path_factory.mktemp("gblup") / "store", raw)
    z = standardise(raw.astype(float))
    kernel = z @ z.T / M
    # the first trait follows the model exactly, with as much variance of either kernel
    square = kernel**2 / np.mean(np.diag(kernel) ** 2)
    draw = np.linalg.cholesky(0.4 * kernel + 0.4 * square + 0.2 * np.eye(N)) @ rng.standard_normal(N)
    traits = np.stack([5 + draw, z @ rng.standard_normal(M) / M**0.5 + 0.5 * rng.standard_normal(N)], axis=1)
    traits[rng.random(traits.shape) < 0.1] = np.nan
    _, center, sd = store.moments(np.arange(N))
    return {"store": store, "center": center, "sd": sd, "kernel": kernel, "square": square, "traits": traits}


def kernel_of(study, rows=None):
    rows = np.arange(N) if rows is None else rows
    return EpistaticKernel(study["store"], rows, center=study["center"], sd=study["sd"])


def test_is_the_best_linear_unbiased_prediction_at_its_variance_components(study):
    at = np.flatnonzero(np.arange(N) % 5 != 0)
    other = np.flatnonzero(np.arange(N) % 5 == 0)
    found = kernel_of(study)
    fit = found.fit(at, study["traits"][at], groups=None, seed=1, tolerance=1e-8)
    predicted = found.predict_at(fit, other)
    for t in range(2):
        known = at[np.isfinite(study["traits"][at, t])]
        additive, epistatic = fit.heritability[:, t]
        genetic = additive * study["kernel"] + epistatic * study["square"]
        v = genetic[np.ix_(known, known)] + (1 - additive - epistatic) * np.eye(len(known))
        # generalised least squares with the mean as the one fixed effect would estimate it; here it is the plain mean
        projection = np.eye(len(known)) - 1 / len(known)
        y = study["traits"][known, t]
        dual = projection @ np.linalg.pinv(projection @ v @ projection) @ (y - y.mean())
        fitted = genetic[:, known] @ dual
        expected = y.mean() + fitted[other] - fitted[known].mean()
        np.testing.assert_allclose(predicted[:, t], expected, atol=2e-4)
    assert np.all(fit.additive[other] == 0)


def test_the_ratio_is_that_of_a_regression_over_pairs_of_samples(study):
    fit = kernel_of(study).fit(np.arange(N), study["traits"], groups=None, seed=1)
    for t in range(2):
        known = np.flatnonzero(np.isfinite(study["traits"][:, t]))
        y = study["traits"][known, t] - study["traits"][known, t].mean()
        i, j = np.triu_indices(len(known), 1)
        design = [kernel[np.ix_(known, known)][i, j] for kernel in (study["kernel"], study["square"])]
        slopes = np.maximum(sm.OLS(y[i] * y[j], sm.add_constant(np.stack(design, 1))).fit().params[1:], 0)
        ratio = fit.heritability[1, t] / fit.heritability[:, t].sum()
        assert ratio == pytest.approx(slopes[1] / slopes.sum(), abs=2e-4)


def test_predicts_interactions_that_ridge_cannot(tmp_path):
    rng = np.random.default_rng(4)
    raw = dosages(rng, 900, 16)
    store = make_store(tmp_path / "store", raw)
    z = standardise(raw.astype(float))
    pairs = np.triu(rng.standard_normal((16, 16)), 1)
    signal = z @ rng.standard_normal(16) + np.einsum("si,ij,sj->s", z, pairs, z) / 2
    traits = (standardise(signal[:, None]) + 0.4 * rng.standard_normal((900, 1))) * 10
    _, center, sd = store.moments(np.arange(900))
    at, other = np.arange(700), np.arange(700, 900)
    kernel = EpistaticKernel(store, at, center=center, sd=sd)
    fit = kernel.fit(at, traits[at], groups=None, seed=1)
    predicted = kernel.predict([fit], other)
    ridge = fit_ridge(store, at, traits[at], center=center, sd=sd, groups=None, seed=1).predict(store, other)

    def r2(f):
        return 1 - np.mean((traits[other] - f) ** 2) / traits[other].var()

    assert r2(predicted) > r2(ridge) + 0.15


def test_predictions_by_rows_of_the_kernel_and_from_the_store_agree(study):
    rows = np.random.default_rng(0).permutation(N)
    kernel = kernel_of(study, rows)
    fits = [kernel.fit(np.arange(k, N), study["traits"][rows[k:]], groups=None, seed=1) for k in (0, 60)]
    mean = np.mean([kernel.predict_at(fit, np.arange(9)) for fit in fits], axis=0)
    np.testing.assert_allclose(kernel.predict(fits, rows[:9]), mean, atol=1e-5)


def test_a_heritable_trait_is_given_its_heritability(study):
    rng = np.random.default_rng(1)
    signal = standardise(study["kernel"] @ rng.standard_normal((N, 1)))
    fit = kernel_of(study).fit(np.arange(N), signal, groups=None, seed=1)
    assert fit.heritability.sum() >= 0.95
