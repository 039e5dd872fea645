from __future__ import annotations

import numpy as np
import pytest

from gp_elm.errors import InputError
from gp_elm.predictors.covariates import CovariateModel, missing_patterns


def test_each_trait_is_fitted_on_its_complete_cases() -> None:
    rng = np.random.default_rng(1)
    covariates = rng.normal(size=(60, 3)) * [1, 1e6, 1e-6]
    traits = (
        2 + covariates @ (rng.normal(size=(3, 4)) / np.array([[1], [1e6], [1e-6]])) + rng.normal(size=(60, 4))
    )
    traits[rng.random(traits.shape) < 0.1] = np.nan
    covariates[3, 1] = np.nan
    model = CovariateModel.fit(covariates, traits)
    residual = model.residual(covariates, traits)
    assert np.isnan(residual[3]).all()
    for t in range(4):
        known = ~np.isnan(traits[:, t])
        known[3] = False
        design = np.column_stack([np.ones(known.sum()), covariates[known]])
        assert np.array_equal(~np.isnan(residual[:, t]), known)
        assert np.allclose(design.T @ residual[known, t] / np.abs(design).sum(axis=0), 0, atol=1e-12)


def test_without_covariates_the_mean_is_taken_out() -> None:
    traits = np.array([[1.0, np.nan], [3.0, 5.0]])
    model = CovariateModel.fit(None, traits)
    assert np.allclose(model.coefficients, [[2.0, 5.0]], rtol=1e-14)
    assert np.allclose(model.residual(None, np.array([[4.0, 5.0]])), [[2.0, 0.0]], atol=1e-14)


def test_collinear_covariates_change_no_residual() -> None:
    rng = np.random.default_rng(2)
    one, traits = rng.normal(size=(30, 1)), rng.normal(size=(30, 2))
    single = CovariateModel.fit(one, traits).residual(one, traits)
    twice = np.hstack([one, 3 * one, np.zeros((30, 1))])
    assert np.allclose(CovariateModel.fit(twice, traits).residual(twice, traits), single, atol=1e-12)


def test_too_few_samples() -> None:
    traits = np.column_stack([np.arange(5.0), [1.0, np.nan, np.nan, np.nan, 2.0]])
    with pytest.raises(
        InputError, match="trait 2 has 2 samples with all covariates, fewer than the 3 coefficients"
    ):
        CovariateModel.fit(np.random.default_rng(0).normal(size=(5, 2)), traits)


def test_missing_patterns_group_the_columns() -> None:
    masks = np.array([[True, False, True], [True, True, True]])
    patterns = [(mask.tolist(), columns.tolist()) for mask, columns in missing_patterns(masks)]
    assert patterns == [([True, True], [0, 2]), ([False, True], [1])]
