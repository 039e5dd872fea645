from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from gp_elm.errors import InputError
from gp_elm.predictors.stacking import stack_weights


@pytest.fixture
def case():
    rng = np.random.default_rng(1)
    truth = rng.standard_normal(600)
    predictions = np.stack([truth + rng.standard_normal(600) * s for s in (0.5, 1.0)] + [-truth], axis=1)
    y = 3 + truth + 0.7 * rng.standard_normal(600)
    y[::17] = np.nan
    return y, predictions, rng.permutation(600) % 5


def test_agrees_with_scikit_learn(case):
    y, predictions, folds = case
    by_fold, overall = stack_weights(y, predictions, folds)
    known = np.isfinite(y)

    def expected(mask):
        return LinearRegression(positive=True).fit(predictions[mask], y[mask]).coef_

    np.testing.assert_allclose(overall, expected(known), atol=1e-10)
    for k in range(5):
        np.testing.assert_allclose(by_fold[k], expected(known & (folds != k)), atol=1e-10)
    assert overall[0] > overall[1] > 0
    assert overall[2] == 0


def test_a_folds_weights_know_nothing_of_its_samples(case):
    y, predictions, folds = case
    changed = np.where(folds == 2, 100.0, y)
    before, after = (stack_weights(v, predictions, folds)[0] for v in (y, changed))
    assert np.array_equal(before[2], after[2])
    assert not np.array_equal(before[1], after[1])


def test_a_trait_without_values_and_arrays_that_do_not_match(case):
    y, predictions, folds = case
    by_fold, overall = stack_weights(np.full(600, np.nan), predictions, folds)
    assert not by_fold.any()
    assert not overall.any()
    with pytest.raises(InputError, match="600 trait values, 600 predictions and 3 folds; align them"):
        stack_weights(y, predictions, folds[:3])
