"""The scale check: links, shares and flags against known scales."""

from types import SimpleNamespace

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.interpolate import make_lsq_spline
from sklearn.isotonic import IsotonicRegression

from gp_elm.elm.scale import MonotoneLink, ScaleCheck, scale_flags


def check(score, network, y, *, seed=1):
    folds = np.arange(len(y)) % 5
    study = SimpleNamespace(folds=folds, n_folds=5)
    columns = [np.asarray(v, float).reshape(len(y), -1) for v in (score, network, y)]
    return ScaleCheck(study, *columns, np.arange(len(y)), seed)


def test_link_increases_and_fits_like_an_isotonic_regression():
    rng = np.random.default_rng(0)
    score = rng.normal(size=4000)
    y = np.exp(score) + rng.normal(size=4000)
    link = MonotoneLink.fit(score, y)
    grid = np.linspace(-6, 6, 500)
    assert np.all(np.diff(link(grid)) >= -1e-12)
    # Straight on both sides of the data.
    np.testing.assert_allclose(np.diff(link(np.array([5.0, 6.0, 7.0])), 2), 0, atol=1e-9)
    isotonic = IsotonicRegression().fit(score, y)
    between = np.linspace(-2, 2, 200)
    truth = np.exp(between)
    assert np.mean((link(between) - truth) ** 2) < np.mean((isotonic.predict(between) - truth) ** 2)
    assert link(between) == pytest.approx(truth, abs=0.3)


def test_link_of_a_falling_trait_is_flat_and_of_few_samples_straight():
    rng = np.random.default_rng(1)
    score = rng.normal(size=500)
    y = 3.0 - score
    assert np.ptp(MonotoneLink.fit(score, y)(score)) < 0.05 and MonotoneLink.fit(score, y)(
        score
    ).mean() == pytest.approx(y.mean())
    few, value = score[:20], 2 * score[:20] + 1
    np.testing.assert_allclose(MonotoneLink.fit(few, value)(few), value, atol=1e-9)
    constant = MonotoneLink.fit(np.zeros(100), rng.normal(size=100) + 5)
    assert constant(np.array([0.0]))[0] == pytest.approx(5, abs=0.5)


def test_link_is_the_least_squares_spline_where_nothing_binds():
    rng = np.random.default_rng(2)
    score = rng.uniform(-1, 1, 800)
    y = 2 * score + 0.3 * score**3 + 0.05 * rng.normal(size=800)
    link = MonotoneLink.fit(score, y)
    order = np.argsort(score)
    plain = make_lsq_spline(score[order], y[order], link.spline.t, k=3)
    np.testing.assert_allclose(link(score), plain(score), atol=1e-6)


def simulated(rng, scale, *, pairs=0.0, n=2000, m=20):
    """A score with little error, a network that knows everything, and the trait on a scale."""
    x = rng.normal(size=(n, m))
    additive = x @ rng.normal(size=m) / np.sqrt(m)
    interaction = np.sqrt(pairs) * (x[:, 0] * x[:, 1] + x[:, 2] * x[:, 3]) / np.sqrt(2)
    latent = additive + interaction
    y = scale(latent) + 0.5 * rng.normal(size=n)
    return additive + 0.02 * rng.normal(size=n), scale(latent), y


def test_share_is_nothing_of_a_bent_additive_trait_and_everything_of_pairs():
    rng = np.random.default_rng(3)
    bent = check(*simulated(rng, np.exp))
    assert bent.specific_share[0].estimate < 0.2 and bent.made_by_scale[0]
    assert bent.link_gain[0].ci_lower > 0.05 and bent.tukey[0].ci_lower > 0
    real = check(*simulated(rng, lambda z: z, pairs=0.3))
    share = real.specific_share[0]
    assert share.ci_lower < 1 < share.ci_upper + 0.01 and share.estimate == pytest.approx(1, abs=0.05)
    assert not real.made_by_scale[0] and abs(real.link_gain[0].estimate) < 0.01
    assert abs(real.tukey[0].estimate) < 0.05 < bent.tukey[0].estimate
    nothing = check(*simulated(rng, lambda z: z))
    assert np.isnan(nothing.specific_share[0].estimate) and not nothing.made_by_scale[0]


def test_link_takes_out_what_the_scale_makes():
    rng = np.random.default_rng(4)
    score, network, y = simulated(rng, np.exp)
    found = check(score, network, y)
    assert np.corrcoef(found.rest_of_link[:, 0], score**2)[0, 1] == pytest.approx(0, abs=0.05)
    assert found.link[:, 0] == pytest.approx(np.exp(score), abs=3) and found.link.shape == (2000, 1)
    new = np.linspace(-1, 1, 7)[:, None]
    np.testing.assert_allclose(found.heldout_link(new)[:, 0], np.exp(new[:, 0]), atol=0.25)


def test_link_of_a_fold_never_sees_the_fold():
    rng = np.random.default_rng(5)
    score, network, y = simulated(rng, np.exp, n=500)
    first = check(score, network, y)
    fold = np.arange(500) % 5 == 2
    other = y.copy()
    other[fold] += 100 * rng.normal(size=fold.sum())
    second = check(score, network, other)
    np.testing.assert_array_equal(first.link[fold], second.link[fold])
    assert np.abs(first.link[~fold] - second.link[~fold]).max() > 1


def test_tukeys_test_is_the_regression_on_the_squared_score():
    rng = np.random.default_rng(6)
    score, network, y = simulated(rng, np.exp, n=1000)
    y[:100] = np.nan
    found = check(score, network, y).tukey[0]
    known = np.isfinite(y)
    z = (score[known] - score[known].mean()) / score[known].std()
    fit = sm.OLS(y[known] / y[known].std(), sm.add_constant(np.column_stack([z, z**2]))).fit(cov_type="HC0")
    assert found.estimate == pytest.approx(fit.params[2])
    assert found.standard_error == pytest.approx(fit.bse[2], rel=0.25)


def test_traits_stand_alone_and_missing_values_count_for_nothing():
    rng = np.random.default_rng(7)
    bent, straight = simulated(rng, np.exp, n=1000), simulated(rng, lambda z: z, pairs=0.3, n=1000)
    both = check(*(np.column_stack([a, b]) for a, b in zip(bent, straight, strict=True)))
    alone = check(*straight)
    assert both.specific_share[1] == alone.specific_share[0]
    np.testing.assert_array_equal(both.link[:, 1], alone.link[:, 0])
    gap = straight[2].copy()
    gap[:50] = np.nan
    missing = check(straight[0], straight[1], gap)
    assert np.isfinite(missing.link).all() and np.isnan(missing.rest_of_link[:50]).all()
    empty = check(np.zeros(1000), np.zeros(1000), gap)
    assert np.isnan(empty.tukey[0].estimate) and np.isnan(empty.specific_share[0].estimate)
    assert not empty.made_by_scale[0]


def test_pairs_are_flagged_only_where_they_die():
    p = np.array([1e-9, 1e-9, 1e-9, 9e-5, 1e-2, np.nan])
    scale_p = np.array([0.3, 1e-8, np.nan, 1.1e-4, 0.9, 0.5])
    assert scale_flags(p, scale_p, 1e-4).tolist() == [True, False, False, False, False, False]
