import copy

import numpy as np
import pytest
import torch
from model_cases import dosages, make_store, standardise

from gp_elm.errors import NetworkError
from gp_elm.models.feed import Feed
from gp_elm.models.networks import QuadraticNetwork
from gp_elm.models.recipe import Schedule
from gp_elm.models.training import Targets, fit

N, M = 300, 6


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    raw = dosages(np.random.default_rng(1), N, M)
    store = make_store(tmp_path_factory.mktemp("training") / "store", raw)
    z = standardise(raw)
    traits = standardise(np.stack([z[:, 0] * z[:, 1], z[:, 2] + 0.1 * z[:, 3]], axis=1))
    rows = np.arange(N)
    _, center, sd = store.moments(rows)
    return Feed(store, rows, columns=np.arange(M), center=center, scale=1 / sd), traits


def network(seed=0):
    module = QuadraticNetwork(M, 2, 8)
    module.initialise(torch.Generator().manual_seed(seed), units=1.0, output=0.1)
    return module


TRAIN, VALIDATION = np.arange(0, N - 60), np.arange(N - 60, N)
FAST = Schedule(learning_rate=1e-2, batch=32, epochs=30, ema=0.9)


@pytest.mark.parametrize("kind", ["squared", "absolute"])
def test_masked_loss_is_that_of_the_measured_values(kind):
    rng = np.random.default_rng(0)
    values, output = rng.standard_normal((2, 7, 3))
    values[rng.random((7, 3)) < 0.3] = np.nan
    index = np.array([6, 1, 3])
    total, count = Targets(values).loss(torch.from_numpy(output[index]), index, kind)
    error = (output - values)[index]
    expected = np.nansum(error**2 if kind == "squared" else np.abs(error))
    assert count == np.isfinite(error).sum()
    assert float(total) == pytest.approx(expected, rel=1e-6)


def test_learns_and_ends_with_its_best_weights(data):
    feed, traits = data
    module, told = network(), []
    targets = Targets(traits)
    history = fit(
        module,
        feed,
        targets,
        TRAIN,
        VALIDATION,
        FAST,
        seed=1,
        report=lambda epochs, loss: told.append((epochs, loss)),
    )
    assert min(history.validation_loss) == history.validation_loss[history.best_epoch] < 0.1
    with torch.no_grad():
        total, count = targets.loss(module(feed.take(VALIDATION)), VALIDATION, "squared")
    assert float(total) / count == pytest.approx(min(history.validation_loss), rel=1e-5)
    assert [loss for _, loss in told] == list(history.validation_loss)
    assert sum(epochs for epochs, _ in told) == FAST.epochs


def test_same_seed_same_weights_and_the_thread_count_is_given_back(data):
    feed, traits = data
    before = torch.get_num_threads()
    weights = []
    for seed in (1, 1, 2):
        module = network()
        fit(module, feed, Targets(traits), TRAIN, VALIDATION, FAST, seed=seed)
        weights.append(module.u.detach())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.get_num_threads() == before


def test_missing_values_and_validation_samples_are_not_learnt_from(data):
    feed, traits = data
    spoilt = traits.copy()
    spoilt[TRAIN[::3], 0] = np.nan
    left_out = np.concatenate([TRAIN[1:], VALIDATION])
    first, second = network(), network()
    fit(first, feed, Targets(spoilt), TRAIN[1:], VALIDATION, FAST, seed=1)
    spoilt[TRAIN[0]] = 1e6
    assert TRAIN[0] not in left_out
    fit(second, feed, Targets(spoilt), TRAIN[1:], VALIDATION, FAST, seed=1)
    assert torch.equal(first.u, second.u)


def test_absolute_penalty_makes_the_units_small(data):
    feed, traits = data
    sizes = []
    for l1 in (0.0, 1e-2):
        module = network()
        schedule = Schedule(learning_rate=1e-2, batch=32, epochs=10, l1=l1, l1_ramp=10.0)
        fit(module, feed, Targets(traits), TRAIN, VALIDATION, schedule, seed=1, sparse=("u", "v"))
        sizes.append(float(module.u.detach().abs().sum()))
    assert sizes[1] < 0.5 * sizes[0]


def test_stops_where_validation_no_longer_gains(data):
    feed, _ = data
    noise = np.random.default_rng(3).standard_normal((N, 2))
    schedule = Schedule(learning_rate=1e-2, batch=32, epochs=200, patience=4)
    told = []
    history = fit(
        network(),
        feed,
        Targets(noise),
        TRAIN,
        VALIDATION,
        schedule,
        seed=1,
        report=lambda e, _: told.append(e),
    )
    assert len(history.validation_loss) == history.best_epoch + 5 < 100
    assert sum(told) == 200


def test_a_loss_that_is_not_finite_is_an_error(data):
    feed, traits = data
    module = copy.deepcopy(network())
    with torch.no_grad():
        module.output.fill_(torch.inf)
    with pytest.raises(
        NetworkError, match="the loss is not finite after one epoch; give a smaller learning rate"
    ):
        fit(module, feed, Targets(traits), TRAIN, VALIDATION, FAST, seed=1)
