"""Held-out scores, captured variance, bootstrap by group and calibration against plain formulas."""

import numpy as np
import pytest
import statsmodels.api as sm

from gp_elm.elm.calibration import calibrate
from gp_elm.elm.variance import GroupBootstrap, captured_variance, prediction_r2, sum_of_squares_variance


def test_estimates_are_the_plain_formulas():
    rng = np.random.default_rng(0)
    y = rng.normal(size=200)
    f = 0.4 * y + rng.normal(size=200)
    y[:20] = np.nan
    seen = np.isfinite(y)
    bootstrap = GroupBootstrap(np.arange(200), seed=1)
    r2 = prediction_r2(y, f, bootstrap)[0]
    assert r2 == pytest.approx(1 - np.mean((y - f)[seen] ** 2) / np.var(y[seen]))
    captured = captured_variance(y, f, bootstrap)[0]
    assert captured == pytest.approx(2 * np.cov(y[seen], f[seen], bias=True)[0, 1] - np.var(f[seen]))


def test_bootstrap_error_matches_the_spread_of_the_estimate_and_grows_with_groups():
    rng = np.random.default_rng(1)
    estimates, errors, grouped = [], [], []
    for _ in range(200):
        shared = np.repeat(rng.normal(size=50), 4)
        f = shared
        y = f + np.repeat(rng.normal(size=50), 4) + 0.3 * rng.normal(size=200)
        groups = np.repeat(np.arange(50), 4)
        bootstrap = GroupBootstrap(groups, seed=2)
        e = GroupBootstrap.estimate(captured_variance(y, f, bootstrap), "")
        estimates.append(e.estimate)
        grouped.append(e.standard_error)
        alone = GroupBootstrap(np.arange(200), seed=2)
        errors.append(GroupBootstrap.estimate(captured_variance(y, f, alone), "").standard_error)
    assert np.mean(grouped) == pytest.approx(np.std(estimates), rel=0.2)
    assert np.mean(errors) < 0.7 * np.mean(grouped)


def test_sum_of_squares_is_unbiased():
    rng = np.random.default_rng(2)
    beta = rng.normal(size=300) * 0.2
    spread = rng.uniform(0.2, 0.5, 300)
    truth = (beta**2 * spread).sum()
    found = [
        sum_of_squares_variance(beta + 0.3 * rng.normal(size=300), np.full(300, 0.3), spread)
        for _ in range(300)
    ]
    values = np.array([e.estimate for e in found])
    assert values.mean() == pytest.approx(truth, abs=4 * values.std() / np.sqrt(300))
    assert np.mean([e.standard_error for e in found]) == pytest.approx(values.std(), rel=0.2)


def test_calibration_is_clustered_least_squares():
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(40), 5)
    additive, interaction = rng.normal(size=(2, 200))
    y = 1.0 + 0.8 * additive + 0.3 * interaction + np.repeat(rng.normal(size=40), 5)
    y[3] = np.nan
    found = calibrate(y, additive, interaction, groups)
    keep = np.isfinite(y)
    design = sm.add_constant(np.column_stack([additive, interaction])[keep])
    fit = sm.OLS(y[keep], design).fit(cov_type="cluster", cov_kwds={"groups": groups[keep]})
    for k, name in enumerate(("calibration_additive", "calibration_interaction"), start=1):
        assert found[name].estimate == pytest.approx(fit.params[k])
        assert found[name].standard_error == pytest.approx(fit.bse[k])


def test_a_part_that_does_not_vary_has_no_slope():
    rng = np.random.default_rng(4)
    f = rng.normal(size=50)
    found = calibrate(f + rng.normal(size=50), f, np.zeros(50), np.arange(50))
    assert np.isnan(found["calibration_interaction"].estimate)
    assert np.isfinite(found["calibration_additive"].estimate)
