import dataclasses
import io
import logging

import numpy as np
import pytest
import torch
from model_cases import dosages, make_store, standardise
from safetensors import SafetensorError

from gp_elm.errors import InputError, NetworkError, OptionError, OutputError
from gp_elm.models import checkpoint
from gp_elm.models.checkpoint import StateFile
from gp_elm.models.crossfit import PREDICTORS, cross_fit_networks
from gp_elm.models.fold import train_network
from gp_elm.models.fold_job import FoldJob
from gp_elm.models.heredity import heredity_weights
from gp_elm.models.options import TrainingOptions
from gp_elm.models.recipe import HEREDITY, choose_recipe
from gp_elm.models.samples import FoldSamples
from gp_elm.models.side_by_side import SideBySide
from gp_elm.predictors.linear import LinearPredictor
from gp_elm.runtime.progress import Progress

N, M = 900, 12
QUICK = TrainingOptions(epochs=20, batch=16, learning_rate=5e-3, hidden=(32,))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two traits, one with an interaction; a covariate; pairs of related samples; missing calls and phenotypes."""
    rng = np.random.default_rng(5)
    # the loci that interact have main effects too, without which heredity weighting would not look at them
    raw = dosages(rng, N, M, missing=0.02)
    store = make_store(tmp_path_factory.mktemp("crossfit") / "store", raw)
    z = standardise(np.where(raw < 0, 1, raw).astype(float))
    covariate = rng.standard_normal((N, 1))
    signal = np.stack([z[:, 0] + 0.5 * (z[:, 1] + z[:, 2]) + z[:, 1] * z[:, 2], z[:, 3] - z[:, 0]], axis=1)
    traits = 7 + 3 * signal + 2 * covariate + rng.standard_normal((N, 2))
    traits[rng.random((N, 2)) < 0.05] = np.nan
    groups = np.arange(N) // 2
    return {
        "store": store,
        "rows": np.arange(N),
        "traits": traits,
        "covariates": covariate,
        "folds": rng.permutation(np.arange(N // 2) % 3)[groups],
        "groups": groups,
    }


@pytest.fixture(scope="module")
def fitted(study):
    return cross_fit_networks(**study, options=QUICK, seed=3)


def r2(truth, predicted):
    return 1 - np.nanmean((truth - predicted) ** 2, axis=0) / np.nanvar(truth, axis=0)


def test_learns_the_interaction_that_linear_predictors_cannot(study, fitted):
    scores = {name: r2(fitted.residual, fitted.out_of_fold[name]) for name in PREDICTORS}
    assert scores["network"][0] > 0.85
    assert scores["lasso"][0] < 0.65
    assert all(scores[name][1] > 0.85 for name in PREDICTORS)
    # the covariate is out of the residual
    known = np.isfinite(fitted.residual[:, 1])
    assert abs(np.corrcoef(study["covariates"][known, 0], fitted.residual[known, 1])[0, 1]) < 0.02
    assert np.array_equal(np.isnan(fitted.residual), np.isnan(study["traits"]))


def test_out_of_fold_predictions_are_those_of_the_fold_that_never_saw_the_sample(study, fitted):
    for k in range(3):
        mine = np.flatnonzero(study["folds"] == k)
        for name, fits in zip(PREDICTORS, (fitted.networks, fitted.lasso, fitted.ridge), strict=True):
            assert np.array_equal(fitted.out_of_fold[name][mine], fits[k].predict(study["store"], mine))


def test_a_fold_knows_nothing_of_its_own_traits(study, fitted):
    changed = dict(study, traits=study["traits"].copy())
    own = study["folds"] == 0
    changed["traits"][own] = np.random.default_rng(0).standard_normal((own.sum(), 2))
    again = cross_fit_networks(**changed, options=QUICK, seed=3)
    for name in PREDICTORS:
        assert np.array_equal(again.out_of_fold[name][own], fitted.out_of_fold[name][own])
        assert not np.array_equal(again.out_of_fold[name][~own], fitted.out_of_fold[name][~own])


def test_predictions_of_new_samples_are_the_mean_of_the_folds(study, fitted):
    rows = np.array([3, 4])
    expected = np.mean([fit.predict(study["store"], rows) for fit in fitted.ridge], axis=0)
    assert np.array_equal(fitted.predict(study["store"], rows, predictor="ridge"), expected)
    residual = fitted.residual_of(study["traits"][rows], study["covariates"][rows])
    np.testing.assert_allclose(residual, fitted.residual[rows], atol=0.3)


def test_finished_folds_are_taken_again_and_only_for_the_same_question(study, fitted, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="gp_elm")
    first = cross_fit_networks(**study, options=QUICK, seed=3, directory=tmp_path)
    assert np.array_equal(first.out_of_fold["network"], fitted.out_of_fold["network"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fold_0", "fold_1", "fold_2"]

    (tmp_path / "fold_1" / "fold.json").unlink()
    (tmp_path / "fold_2" / "network.safetensors").write_bytes(b"cut short")
    caplog.clear()
    second = cross_fit_networks(**study, options=QUICK, seed=3, directory=tmp_path)
    assert [f"fold {k}: taken from" in caplog.text for k in range(3)] == [True, False, False]
    assert "fold_2 cannot be read" in caplog.text
    for name in PREDICTORS:
        assert np.array_equal(first.out_of_fold[name], second.out_of_fold[name])
    assert np.array_equal(first.residual, second.residual, equal_nan=True)
    assert second.history[0] == first.history[0]

    for change in ({"seed": 4}, {"options": dataclasses.replace(QUICK, epochs=13)}):
        caplog.clear()
        cross_fit_networks(**{**study, "options": QUICK, "seed": 3, **change}, directory=tmp_path)
        assert "taken from" not in caplog.text
        assert "trained with other data, options or seed" in caplog.text


def test_a_run_cut_off_leaves_no_half_written_fold(study, tmp_path, monkeypatch):
    def full(*_, **__):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(
        OutputError, match="fold_0.*: the disk is full; nothing was left half-written. Free some space"
    ):
        cross_fit_networks(**study, options=QUICK, seed=3, directory=tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


class CutOff(Exception):
    """What ends a training just after a state was written."""


@pytest.mark.parametrize("minutes", [0.0, 5.0])  # after each step; at the end of each training loop
def test_a_fold_in_training_goes_on_with_the_same_weights(study, tmp_path, monkeypatch, minutes):
    monkeypatch.setattr(checkpoint, "_SHARE", 1e9)
    options = TrainingOptions(weighting="heredity", epochs=2, members=2, checkpoint_minutes=minutes)
    whole = cross_fit_networks(**study, options=options, seed=3)
    save, saved = StateFile.save, []

    def save_and_stop(self, arrays, values):
        save(self, arrays, values)
        saved.append(self.path.name)
        if len(saved) in stops:
            raise CutOff

    monkeypatch.setattr(StateFile, "save", save_and_stop)
    stops = (7, 50, 51, 90) if minutes == 0 else (1, 3, 4, 7)
    for _ in stops:
        with pytest.raises(CutOff):
            cross_fit_networks(**study, options=options, seed=3, directory=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir())[-1].endswith(".unfinished")
    stops = ()
    again = cross_fit_networks(**study, options=options, seed=3, directory=tmp_path)
    for name in PREDICTORS:
        assert np.array_equal(again.out_of_fold[name], whole.out_of_fold[name])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fold_0", "fold_1", "fold_2"]


def test_folds_side_by_side_are_those_one_after_another(study, fitted, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="gp_elm")
    both = dataclasses.replace(QUICK, parallel_folds=2)
    found = cross_fit_networks(**study, options=both, seed=3, directory=tmp_path)
    for name in PREDICTORS:
        assert np.array_equal(found.out_of_fold[name], fitted.out_of_fold[name])
    for one, other in zip(found.history, fitted.history, strict=True):
        assert one["loops"] == other["loops"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fold_0", "fold_1", "fold_2"]


def test_what_a_folds_process_says(study, caplog):
    caplog.set_level(logging.INFO, logger="gp_elm")
    bar = Progress("Training", total=3, enabled=False)
    with SideBySide(study["store"], 0, 3, torch.device("cpu")) as side:
        side._heard(["done", 0.25, 0.5], bar)
        side._heard(["log", logging.WARNING, "out of memory"], bar)
        assert (bar.done, bar.fields, caplog.messages) == (0.25, {"loss": 0.5}, ["out of memory"])
        with pytest.raises(NetworkError, match="the loss is not finite"):
            side._heard(["NetworkError", "the loss is not finite"], bar)


@pytest.mark.parametrize(
    ("options", "where", "expected"),
    [
        ({}, "here", False),  # a second's work
        ({"epochs": 5000}, "here", True),
        ({"epochs": 5000}, None, False),  # nowhere to leave the fold
        ({"epochs": 5000, "hidden": (100_000,), "batch": 256}, "here", False),  # takes all cores by itself
        ({"epochs": 5000, "parallel_folds": 1}, "here", False),
        ({"parallel_folds": 2}, "here", True),
    ],
)
def test_where_folds_are_trained_side_by_side(study, monkeypatch, tmp_path, options, where, expected):
    monkeypatch.setattr("gp_elm.models.side_by_side.os.sched_getaffinity", lambda _: {0, 1})
    options = dataclasses.replace(QUICK, **options)
    rows = study["rows"]
    ones = np.ones(M)
    job = FoldJob(
        rows, study["traits"], None, study["groups"], ones, ones, choose_recipe(options, n_samples=900, n_variants=M),
        options, 1, where and tmp_path, "key",
    )  # fmt: skip
    lasso = LinearPredictor(np.ones((2, M)), np.zeros(2), ones)
    with SideBySide(study["store"], options.parallel_folds, 3, torch.device("cpu")) as side:
        assert side.pays(job, (lasso, lasso)) == expected


def test_progress_shows_loss_and_rate(study, monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    cross_fit_networks(**study, options=QUICK, seed=3, progress=True)
    line = written.getvalue()
    assert "Training" in line
    assert "/s" in line
    assert "left" in line
    assert "loss" in line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"traits": np.zeros((3, 2))}, "traits has 3 samples, rows has 900; align them"),
        ({"folds": np.zeros(N, int)}, "1 filled folds of 1; give at least 2"),
        ({"folds": np.arange(N) % 2 * 2}, "2 filled folds of 3"),
        ({"folds": np.arange(N) % 3}, "group 0 lies in more than one fold; keep related samples together"),
    ],
)
def test_arrays_that_are_no_cross_fitting_are_refused(study, change, message):
    with pytest.raises(InputError, match=message):
        cross_fit_networks(**{**study, **change}, options=QUICK)


def test_an_unusable_device_is_refused_before_anything_is_fitted(study):
    with pytest.raises(OptionError, match="device 'abacus' cannot be used"):
        cross_fit_networks(**study, options=TrainingOptions(device="abacus"))


@pytest.mark.parametrize("network", ["quadratic", "gelu"])
def test_heredity_weighted_networks_stand_on_the_lasso(study, network):
    options = TrainingOptions(network=network, weighting="heredity", batch=16, learning_rate=2e-3, members=2)
    fit = cross_fit_networks(**study, options=options, seed=3)
    for trained, lasso in zip(fit.networks, fit.lasso, strict=True):
        selected = np.flatnonzero((lasso.coefficients != 0).any(axis=0))
        assert np.array_equal(trained.columns, selected)
        assert trained.offset is lasso
    scores = {name: r2(fit.residual, fit.out_of_fold[name]) for name in PREDICTORS}
    assert scores["network"][0] > scores["lasso"][0] + 0.05
    assert scores["network"][1] > scores["lasso"][1] - 0.02


def test_heredity_weights(study):
    rows = np.arange(N)
    _, center, sd = study["store"].moments(rows)
    residual = study["traits"] - np.nanmean(study["traits"], axis=0)
    samples = FoldSamples(study["store"], rows, residual, rows, center, sd)
    effects = np.zeros((2, M))
    effects[0, [2, 5]], effects[1, 5] = (0.3, -0.4), 0.3
    weights = heredity_weights(samples, effects)
    assert np.array_equal(weights.columns, [2, 5])
    shared = np.array([0.09, 0.25]) ** 0.75
    np.testing.assert_allclose(weights.shared, shared / np.sqrt(np.mean(shared**2)))
    np.testing.assert_allclose(weights.by_trait[1], [0, 1])
    assert weights.by_trait[0, 0] > 0

    none = heredity_weights(samples, np.zeros((2, M)))
    assert np.array_equal(none.columns, np.arange(M))
    assert np.all(none.shared == 1)
    with pytest.raises(OptionError, match="heredity weighting needs the lasso"):
        train_network(samples, HEREDITY, seed=1)
