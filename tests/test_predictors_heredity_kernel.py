from __future__ import annotations

import numpy as np
import pytest
from model_cases import dosages, make_store, standardise
from sklearn.kernel_ridge import KernelRidge
from sklearn.preprocessing import KernelCenterer

from gp_elm.errors import InputError
from gp_elm.predictors import heredity_kernel
from gp_elm.predictors.heredity_kernel import fit_heredity_kernel
from gp_elm.predictors.lasso import fit_lasso
from gp_elm.predictors.quadratic_predictor import QuadraticPredictor
from gp_elm.streaming.sampler import validation_rows

N, M = 800, 60


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Three traits: interactions of loci with main effects, none, and no genetics at all."""
    rng = np.random.default_rng(7)
    raw = dosages(rng, N, M, missing=0.02)
    store = make_store(tmp_path_factory.mktemp("heredity") / "store", raw)
    z = standardise(np.where(raw < 0, 1, raw).astype(float))
    additive = z[:, :6] @ np.array([1, 0.8, 0.6, 0.5, 0.5, 0.4])
    pairs = z[:, 0] * z[:, 1] + 0.7 * z[:, 2] * z[:, 3]
    signal = np.stack([additive + pairs, additive, np.zeros(N)], axis=1)
    traits = 3 + 2 * (signal + rng.standard_normal((N, 3)))
    traits[rng.random((N, 3)) < 0.05] = np.nan
    rows = rng.permutation(N)[:600]
    _, center, sd = store.moments(rows)
    options = {"groups": rows // 2, "seed": 3}
    lasso = fit_lasso(store, rows, traits[rows], center=center, sd=sd, **options)
    other = np.setdiff1d(np.arange(N), rows)
    return store, rows, other, traits, lasso, {"sd": sd, **options}


@pytest.fixture(scope="module")
def fitted(study):
    store, rows, _, traits, lasso, options = study
    return fit_heredity_kernel(store, rows, traits[rows], lasso, squares=M, **options)


def test_is_kernel_ridge_on_what_the_lasso_leaves(study, fitted):
    store, rows, other, traits, lasso, options = study
    residual = traits[rows] - lasso.predict(store, rows)
    validation = validation_rows(options["groups"], len(rows), seed=3)
    b = lasso.coefficients[0] * options["sd"]
    z = store.block(np.r_[rows, other], center=lasso.center, scale=1 / options["sd"]).astype(float)
    x = z * np.sqrt(np.abs(b))
    known = np.flatnonzero(np.isfinite(residual[:, 0]))
    kernel = (x @ x[known].T) ** 2
    size = np.diag(kernel[known]).mean()

    def ridge(train, test, share):
        centerer = KernelCenterer().fit(kernel[np.ix_(known[train], train)])
        inside = centerer.transform(kernel[np.ix_(known[train], train)])
        y = residual[known[train], 0]
        model = KernelRidge(kernel="precomputed", alpha=size * (1 - share) / share).fit(inside, y - y.mean())
        return y.mean() + model.predict(centerer.transform(kernel[np.ix_(test, train)]))

    inner = validation[known]
    errors = [
        np.mean((residual[known[inner], 0] - ridge(np.flatnonzero(~inner), known[inner], s)) ** 2)
        for s in heredity_kernel.SHARES[1:]
    ]
    share = heredity_kernel.SHARES[1 + int(np.argmin(errors))]
    assert fitted.penalty[0] == share
    expected = lasso.predict(store, other)[:, 0] + ridge(
        np.arange(len(known)), np.arange(len(rows), len(z)), share
    )
    np.testing.assert_allclose(fitted.predict(store, other)[:, 0], expected, atol=2e-3)


def test_predicts_the_interactions_and_harms_no_trait_without(study, fitted):
    store, _, other, traits, lasso, _ = study

    def r2(f):
        return 1 - np.nanmean((traits[other] - f) ** 2, axis=0) / np.nanvar(traits[other], axis=0)

    gain = r2(fitted.predict(store, other)) - r2(lasso.predict(store, other))
    assert gain[0] > 0.15
    assert np.all(gain[1:] > -0.02)


def test_few_squares_say_nearly_the_same(study, fitted):
    store, rows, other, traits, lasso, options = study
    few = fit_heredity_kernel(store, rows, traits[rows], lasso, squares=8, **options)
    assert np.all(np.count_nonzero(few.output, axis=1) <= 8)
    whole, part = (f.predict(store, other)[:, 0] for f in (fitted, few))
    assert np.corrcoef(whole, part)[0, 1] > 0.99
    assert np.nanmean(traits[rows, 0] - few.predict(store, rows)[:, 0]) == pytest.approx(0, abs=1e-5)


def test_products_through_the_loci_are_those_of_the_kernel(study, fitted, monkeypatch):
    store, rows, other, traits, lasso, options = study
    monkeypatch.setattr(heredity_kernel, "_LARGEST_KERNEL", 10)
    again = fit_heredity_kernel(store, rows, traits[rows], lasso, squares=M, **options)
    np.testing.assert_allclose(again.predict(store, other), fitted.predict(store, other), atol=2e-3)


def test_a_trait_without_loci_keeps_the_lasso(study):
    store, rows, other, traits, lasso, options = study
    none = type(lasso)(np.zeros_like(lasso.coefficients), lasso.intercept, lasso.center, lasso.penalty)
    fit = fit_heredity_kernel(store, rows, traits[rows], none, **options)
    assert len(fit.columns) == 0
    assert np.all(fit.penalty == 0)
    np.testing.assert_array_equal(fit.predict(store, other), none.predict(store, other))


def test_saved_and_read_again(fitted, study, tmp_path):
    path = tmp_path / "kernel.safetensors"
    fitted.save(path)
    again = QuadraticPredictor.load(path)
    assert np.array_equal(again.predict(study[0], study[2]), fitted.predict(study[0], study[2]))
    fitted.linear.save(path)
    with pytest.raises(InputError, match="holds no quadratic predictor .*; fit it again"):
        QuadraticPredictor.load(path)
