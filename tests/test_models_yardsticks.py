import dataclasses
import logging

import numpy as np
import pytest
from elm_cases import MemoryStore
from model_cases import dosages, make_store, standardise

from gp_elm.elm.quadratic import QuadraticPopulation
from gp_elm.elm.study import Study
from gp_elm.errors import OutputError
from gp_elm.models import yardsticks
from gp_elm.models.crossfit import CrossFit
from gp_elm.models.recipe import FEW_LOCI
from gp_elm.models.yardsticks import YARDSTICKS, cross_fit_yardsticks
from gp_elm.predictors.covariates import CovariateModel
from gp_elm.predictors.lasso import fit_lasso

N, M, HELD = 720, 16, 120


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Two traits, one with interactions; a covariate; pairs of related samples; missing calls and phenotypes."""
    rng = np.random.default_rng(5)
    raw = dosages(rng, N, M, missing=0.02)
    store = make_store(tmp_path_factory.mktemp("yardsticks") / "store", raw)
    z = standardise(np.where(raw < 0, 1, raw).astype(float))
    covariate = rng.standard_normal((N, 1))
    additive = z[:, :4] @ np.array([1, 0.7, 0.6, 0.5])
    signal = np.stack([additive + z[:, 0] * z[:, 1] + 0.6 * z[:, 2] * z[:, 3], z[:, 3] - z[:, 0]], axis=1)
    traits = 7 + 3 * signal + 2 * covariate + 2 * rng.standard_normal((N, 2))
    traits[rng.random((N, 2)) < 0.05] = np.nan
    return raw, store, traits, covariate, rng


@pytest.fixture(scope="module")
def study(cohort):
    _, store, traits, covariate, rng = cohort
    rows = rng.permutation(N)[: N - HELD]
    folds = rng.permutation(np.arange(N // 2) % 3)[rows // 2]
    return {"store": store, "rows": rows, "traits": traits[rows], "covariates": covariate[rows],
            "folds": folds, "groups": rows // 2}  # fmt: skip


def fitted_to(study):
    """What cross_fit_networks would return, without networks."""
    store, rows, folds = study["store"], study["rows"], study["folds"]
    _, center, sd = store.moments(rows)
    models, lasso = [], []
    residual = np.full(study["traits"].shape, np.nan)
    for k in range(3):
        at = folds != k
        models.append(CovariateModel.fit(study["covariates"][at], study["traits"][at]))
        own = models[k].residual(study["covariates"][at], study["traits"][at])
        options = {"center": center, "sd": sd, "groups": study["groups"][at], "seed": k}
        lasso.append(fit_lasso(store, rows[at], own, **options))
        residual[~at] = models[k].residual(study["covariates"][~at], study["traits"][~at])
    return CrossFit([], lasso, [], {}, residual, folds, FEW_LOCI, models, [])


@pytest.fixture(scope="module")
def fitted(study):
    return fitted_to(study)


@pytest.fixture(scope="module")
def found(study, fitted):
    return cross_fit_yardsticks(**study, fitted=fitted, seed=3)


def r2(truth, predicted):
    return 1 - np.nanmean((truth - predicted) ** 2, axis=0) / np.nanvar(truth, axis=0)


def test_every_yardstick_finds_the_interactions(study, fitted, found):
    assert found.names == list(YARDSTICKS)
    assert found.left_out == {}
    lasso = np.empty(fitted.residual.shape)
    for k, fit in enumerate(fitted.lasso):
        mine = study["folds"] == k
        lasso[mine] = fit.predict(study["store"], study["rows"][mine])
    base = r2(fitted.residual, lasso)
    gain = {name: r2(fitted.residual, f) - base for name, f in found.out_of_fold.items()}
    assert gain["gblup_epistatic"][0] > 0.02
    assert gain["heredity_kernel"][0] > 0.12
    assert gain["product_lasso"][0] > 0.15
    assert all(values[1] > -0.04 for values in gain.values())


def test_a_fold_knows_nothing_of_its_own_traits(study, found):
    changed = dict(study, traits=study["traits"].copy())
    own = study["folds"] == 0
    changed["traits"][own] = np.random.default_rng(0).standard_normal((own.sum(), 2))
    again = cross_fit_yardsticks(**changed, fitted=fitted_to(changed), seed=3)
    for name in YARDSTICKS:
        np.testing.assert_array_equal(again.out_of_fold[name][own], found.out_of_fold[name][own])
        assert not np.array_equal(again.out_of_fold[name][~own], found.out_of_fold[name][~own])


def test_predictions_of_new_samples_are_the_mean_of_the_folds(study, found, cohort):
    _, store, traits, covariate, _ = cohort
    rows = np.setdiff1d(np.arange(N), study["rows"])
    truth = traits[rows] - 2 * covariate[rows]
    for name in YARDSTICKS:
        predicted = found.predict(store, rows, name)
        assert r2(truth, predicted + np.nanmean(truth - predicted, axis=0))[1] > 0.6
    each = [fit["product_lasso"].predict(store, rows) for fit in found.fits]
    np.testing.assert_allclose(found.predict(store, rows, "product_lasso"), np.mean(each, axis=0))


@pytest.mark.parametrize("name", ["heredity_kernel", "product_lasso"])
def test_forms_and_offsets_are_the_prediction_and_make_a_population(study, found, cohort, name):
    raw, store = cohort[:2]
    rows = study["rows"]
    _, center, _ = store.moments(rows)
    x = np.where(raw[rows] < 0, 0.0, raw[rows] - center)
    population = QuadraticPopulation(
        Study(MemoryStore(raw), rows, center, np.full(M, 2), np.arange(M), study["traits"], None, study["folds"]),
        found.forms[name],
        found.offsets[name],
    )  # fmt: skip
    for k in range(3):
        mine = study["folds"] == k
        form = found.forms[name][k]
        predicted = form(x[mine][:, form.columns]) + x[mine] @ found.offsets[name][k].T
        np.testing.assert_allclose(predicted, found.out_of_fold[name][mine], atol=1e-5)
    pair = population.epistasis(np.full((3, 2), 1 / 3)).pairs(np.array([0, 2]), np.array([1, 5]), 0)
    _, _, sd = store.moments(rows)
    assert pair[0] * sd[0] * sd[1] > 1.5
    assert abs(pair[1]) < 0.5


def test_finished_folds_are_taken_again_and_only_for_the_same_question(
    study, fitted, found, tmp_path, caplog
):
    caplog.set_level(logging.INFO, logger="gp_elm")
    first = cross_fit_yardsticks(**study, fitted=fitted, seed=3, directory=tmp_path)
    assert sorted(path.name for path in (tmp_path / "yardsticks").iterdir()) == ["fold_0", "fold_1", "fold_2"]
    (tmp_path / "yardsticks" / "fold_1" / "fold.json").unlink()
    (tmp_path / "yardsticks" / "fold_2" / "product_lasso.safetensors").write_bytes(b"cut short")
    caplog.clear()
    second = cross_fit_yardsticks(**study, fitted=fitted, seed=3, directory=tmp_path)
    assert [f"fold {k}: taken from" in caplog.text for k in range(3)] == [True, False, False]
    assert "fold_2 cannot be read" in caplog.text
    for name in YARDSTICKS:
        np.testing.assert_array_equal(first.out_of_fold[name], found.out_of_fold[name])
        np.testing.assert_array_equal(first.out_of_fold[name], second.out_of_fold[name])
    caplog.clear()
    other = [dataclasses.replace(fit, coefficients=fit.coefficients * 0.9) for fit in fitted.lasso]
    cross_fit_yardsticks(**study, fitted=dataclasses.replace(fitted, lasso=other), seed=3, directory=tmp_path)
    assert "taken from" not in caplog.text


def test_a_run_cut_off_leaves_no_half_written_fold(study, fitted, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(yardsticks, "save_file", full)
    with pytest.raises(OutputError, match="fold_0: cannot write the fold's yardsticks .*; free space there"):
        cross_fit_yardsticks(**study, fitted=fitted, seed=3, directory=tmp_path)
    assert list((tmp_path / "yardsticks").iterdir()) == []


def test_what_is_too_large_is_left_out_in_words(study, fitted, monkeypatch):
    monkeypatch.setattr(yardsticks.gblup, "LARGEST", 599)
    monkeypatch.setattr(yardsticks.product_lasso, "MOST_COLUMNS", 135)
    found = cross_fit_yardsticks(**study, fitted=fitted, seed=3)
    assert found.names == ["heredity_kernel"]
    assert list(found.forms) == ["heredity_kernel"]
    assert found.left_out == {
        "gblup_epistatic": "600 samples, more than the 599 whose relatedness is held in memory; ridge stands in",
        "product_lasso": "136 variants and products, more than 135; the heredity-weighted kernel stands in",
    }
    assert "more than the 100 samples to fit on" in yardsticks._left_out(150, 100, 14)["product_lasso"]
