import json

import numpy as np
import pytest
import torch
from model_cases import dosages, make_store

from gp_elm.errors import InputError
from gp_elm.models.networks import GatedNetwork, QuadraticNetwork
from gp_elm.models.prediction import FittedNetwork
from gp_elm.predictors.linear import LinearPredictor

N, M, T = 50, 12, 3
COLUMNS = np.array([1, 4, 5, 10])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    raw = dosages(np.random.default_rng(1), N, M, missing=0.1)
    return make_store(tmp_path_factory.mktemp("prediction") / "store", raw), raw


def fitted(*modules, offset=False):
    rng = np.random.default_rng(2)
    for seed, module in enumerate(modules):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.normal_(generator=torch.Generator().manual_seed(seed))
    linear = LinearPredictor(rng.standard_normal((T, M)), rng.standard_normal(T), rng.uniform(0.5, 1.5, M))
    return FittedNetwork(
        columns=COLUMNS,
        center=rng.uniform(0.5, 1.5, 4),
        input_scale=rng.uniform(0.5, 2, 4),
        modules=modules,
        output_scale=rng.uniform(1, 3, T),
        output_shift=rng.standard_normal(T),
        offset=linear if offset else None,
    )


def quadratics():
    return QuadraticNetwork(4, T, 5), QuadraticNetwork(4, T, 3, tied=True, skip=False)


def test_prediction_is_its_formula_and_the_mean_of_the_members(store):
    packed, raw = store
    network = fitted(*quadratics(), offset=True)
    rows = np.array([7, 0, 33])
    x = np.where(raw[np.ix_(rows, COLUMNS)] < 0, 0, raw[np.ix_(rows, COLUMNS)] - network.center)
    z = torch.from_numpy((x * network.input_scale).astype(np.float32))
    mean = np.mean([module(z).detach().numpy() for module in network.modules], axis=0)
    expected = mean * network.output_scale + network.output_shift
    np.testing.assert_allclose(network.predict_dosage(x), expected, rtol=1e-4, atol=1e-4)
    whole = expected + network.offset.predict(packed, rows)
    np.testing.assert_allclose(network.predict(packed, rows), whole, rtol=1e-4, atol=1e-4)


def test_batches_change_nothing(store, monkeypatch):
    packed, _ = store
    network = fitted(GatedNetwork(4, T, (6,)))
    whole = network.predict(packed, np.arange(N))
    monkeypatch.setattr("gp_elm.models.prediction._ROWS", 7)
    np.testing.assert_allclose(network.predict(packed, np.arange(N)), whole, rtol=1e-12)


def test_quadratic_form_is_the_network():
    network = fitted(*quadratics())
    form = network.quadratic_form()
    x = np.random.default_rng(3).standard_normal((20, 4))
    np.testing.assert_allclose(form(x), network.predict_dosage(x), rtol=1e-10, atol=1e-10)
    assert form.u.shape == form.v.shape == (8, 4)
    assert form.output.shape == (T, 8)


def test_other_networks_have_no_quadratic_form():
    assert fitted(GatedNetwork(4, T, (6,))).quadratic_form() is None


@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize(
    "modules",
    [quadratics(), (GatedNetwork(4, T, (6, 3), gate="swiglu", bias=False, skip=True),)],
    ids=["quadratic", "gated"],
)
def test_files_give_the_network_back(store, tmp_path, modules, offset):
    packed, _ = store
    network = fitted(*modules, offset=offset)
    network.save(tmp_path)
    same = FittedNetwork.load(tmp_path)
    assert np.array_equal(same.predict(packed, np.arange(N)), network.predict(packed, np.arange(N)))
    assert same.columns.dtype == np.int64
    assert not any(path.suffix in (".pkl", ".pt") for path in tmp_path.iterdir())


def test_what_is_no_network_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no trained network .*; train it again"):
        FittedNetwork.load(tmp_path)
    network = fitted(*quadratics())
    network.save(tmp_path)
    described = json.loads((tmp_path / "network.json").read_text())
    (tmp_path / "network.json").write_text(json.dumps({**described, "format": "gp_elm network 0"}))
    with pytest.raises(InputError, match="network of another version"):
        FittedNetwork.load(tmp_path)
    (tmp_path / "network.json").write_text(json.dumps(described))
    (tmp_path / "network.safetensors").write_bytes(b"cut short")
    with pytest.raises(InputError, match="holds no trained network"):
        FittedNetwork.load(tmp_path)
