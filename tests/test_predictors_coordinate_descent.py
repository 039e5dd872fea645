from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gp_elm.predictors.coordinate_descent import lasso_on_gram


@given(st.integers(0, 10_000), st.floats(0.005, 0.9), st.floats(0, 0.999))
def test_the_optimality_conditions_hold(seed: int, share: float, likeness: float) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(60, 1)) * likeness + rng.normal(size=(60, 25)) * np.sqrt(1 - likeness**2)
    features[:, 7] = features[:, 8]
    features[:, 9] = 0
    trait = features[:, :3].sum(axis=1) + rng.normal(size=60)
    gram, target = features.T @ features / 60, features.T @ trait / 60
    penalty = share * np.abs(target).max()
    beta = np.zeros(25)
    rounds = lasso_on_gram(gram, target, penalty, beta, 1e-6, 500)
    assert rounds < 500
    gradient = target - gram @ beta
    assert np.all(np.abs(gradient) <= penalty * (1 + 1e-5))
    active = beta != 0
    assert np.allclose(gradient[active], penalty * np.sign(beta[active]), rtol=1e-5)
    assert beta[9] == 0
