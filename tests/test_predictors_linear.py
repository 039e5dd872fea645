from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from packed_cohorts import random_dosage, store_of
from reference.decode import centred_slowly
from safetensors.numpy import save_file

from gp_elm.errors import InputError
from gp_elm.predictors import linear
from gp_elm.predictors.linear import LinearPredictor


@pytest.mark.parametrize("support", [40, 3, 0])
def test_predictions_sparse_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, support: int) -> None:
    dosage = random_dosage(33, 40, seed=1)
    store = store_of(dosage, tmp_path)
    rng = np.random.default_rng(2)
    coefficients = np.zeros((2, 40))
    coefficients[:, rng.permutation(40)[:support]] = rng.normal(size=(2, support))
    model = LinearPredictor(coefficients, np.array([1.0, -2.0]), rng.normal(size=40))
    rows = rng.permutation(33)[:20]
    expected = centred_slowly(dosage, model.center)[rows] @ coefficients.T + model.intercept
    assert np.allclose(model.predict(store, rows), expected, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(linear, "row_blocks", lambda n, size: ((s, s + 1) for s in range(n)))
    assert np.allclose(model.predict(store, rows), expected, rtol=1e-12, atol=1e-12)


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    model = LinearPredictor(rng.normal(size=(2, 5)), rng.normal(size=2), rng.normal(size=5))
    model.save(tmp_path / "lasso.safetensors")
    again = LinearPredictor.load(tmp_path / "lasso.safetensors")
    for name in ("coefficients", "intercept", "center", "penalty"):
        assert np.array_equal(getattr(model, name), getattr(again, name), equal_nan=True)


def test_what_cannot_be_loaded_or_used(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(InputError, match="text: not a readable safetensors file"):
        LinearPredictor.load(tmp_path / "text")
    save_file({"weights": np.zeros(2)}, tmp_path / "other")
    with pytest.raises(InputError, match="other: no tensor 'coefficients'"):
        LinearPredictor.load(tmp_path / "other")
    model = LinearPredictor(np.zeros((1, 4)), np.zeros(1), np.zeros(4))
    with pytest.raises(InputError, match="6 variants, but the predictor was fitted on 4"):
        model.predict(store_of(random_dosage(3, 6, seed=4), tmp_path), [0])
