import copy
import logging
import os
import signal

import numpy as np
import pytest
import torch
from model_cases import dosages, make_store, standardise

from gp_elm.errors import NetworkError
from gp_elm.models import checkpoint
from gp_elm.models.checkpoint import StateFile
from gp_elm.models.feed import Feed
from gp_elm.models.networks import QuadraticNetwork
from gp_elm.models.recipe import Schedule
from gp_elm.models.targets import Targets
from gp_elm.models.training import fit

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
    targets = Targets(values)
    total, count = targets.loss(torch.from_numpy(output[index]), index, kind), targets.count(index)
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
        total = targets.loss(module(feed.take(VALIDATION)), VALIDATION, "squared")
    assert float(total) / targets.count(VALIDATION) == pytest.approx(min(history.validation_loss), rel=1e-5)
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


class CutOff(Exception):
    """What ends a training in the middle of a step."""


class Stopping:
    """A network that fails at one of its calls."""

    def __init__(self, module, call, error):
        self.left, self.error = call, error
        module.register_forward_pre_hook(self)

    def __call__(self, module, given):
        self.left -= 1
        if self.left == 0:
            raise self.error


KEPT = {
    "averaged": Schedule(learning_rate=1e-2, batch=32, epochs=12, ema=0.9),
    "adamw, l1": Schedule("adamw", 1e-2, weight_decay=0.1, l1=1e-3, l1_ramp=5.0, batch=32, epochs=12),
    "plateau": Schedule(learning_rate=0.3, batch=32, epochs=14, plateau=1, patience=8, loss="absolute"),
}


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("calls", [(3, 30), (44, 51)])
def test_a_training_that_was_cut_off_ends_with_the_same_weights(data, tmp_path, name, calls, monkeypatch):
    monkeypatch.setattr(checkpoint, "_SHARE", 1e9)  # a state after each step
    feed, traits = data
    given = feed, Targets(traits), TRAIN, VALIDATION, KEPT[name]
    whole = network()
    course = fit(whole, *given, seed=1, sparse=("u", "v"))

    for call in calls:  # cut off twice, in other epochs and at other steps
        module = network()
        Stopping(module, call, CutOff())
        with pytest.raises(CutOff):
            fit(module, *given, seed=1, sparse=("u", "v"), state=StateFile(tmp_path / "loop", "key", 0.0))
    found = StateFile(tmp_path / "loop", "key", 0.0).load()
    assert found[1]["step"] > 0
    assert found[1]["losses"]
    told, module = [], network()
    state = StateFile(tmp_path / "loop", "key", 0.0)
    assert (
        fit(module, *given, seed=1, sparse=("u", "v"), state=state, report=lambda e, _: told.append(e))
        == course
    )
    assert sum(told) == KEPT[name].epochs
    for one, other in zip(module.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)

    again = network(seed=7)  # a finished one is not trained again
    Stopping(again, 1, CutOff())
    assert fit(again, *given, seed=1, state=StateFile(tmp_path / "loop", "key", 0.0)) == course
    assert torch.equal(again.u, whole.u)
    assert StateFile(tmp_path / "loop", "other", 0.0).load() is None


def test_a_state_that_cannot_be_read_is_left(tmp_path, caplog):
    state = StateFile(tmp_path / "loop", "key", 0.0)
    state.save({"a": np.arange(3)}, {"losses": [0.1, float("inf")]})
    assert state.load()[1] == {"losses": [0.1, float("inf")]}
    (tmp_path / "loop").write_bytes((tmp_path / "loop").read_bytes()[:-5])
    assert state.load() is None
    assert "loop cannot be read" in caplog.text


def test_states_cost_a_fiftieth_of_the_time(tmp_path):
    state = StateFile(tmp_path / "loop", "key", 0.0)
    assert state.due
    state.save({"a": np.arange(3)}, {})
    assert not state.due
    state._written -= 51 * state._cost
    assert state.due
    state.seconds = 3600.0
    assert not state.due


def test_ctrl_c_writes_the_state_first(data, tmp_path):
    feed, traits = data
    given = feed, Targets(traits), TRAIN, VALIDATION, FAST
    whole = network()
    fit(whole, *given, seed=1)

    def interrupt(epochs, loss):
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(network(), *given, seed=1, report=interrupt, state=StateFile(tmp_path / "loop", "key", 3600.0))
    assert signal.getsignal(signal.SIGINT) is before
    found = StateFile(tmp_path / "loop", "key", 0.0).load()
    assert (len(found[1]["losses"]), found[1]["step"]) == (1, 1)
    module = network()
    fit(module, *given, seed=1, state=StateFile(tmp_path / "loop", "key", 3600.0))
    assert torch.equal(module.u, whole.u)


def test_out_of_memory_halves_what_is_held_and_not_the_batch(data, caplog):
    feed, traits = data
    traits = np.where(np.random.default_rng(2).random(traits.shape) < 0.2, np.nan, traits)
    schedule = Schedule(learning_rate=1e-2, batch=32, epochs=4, ema=0.5, l1=1e-3)
    given = feed, Targets(traits), TRAIN, VALIDATION, schedule
    whole, module = network(), network()
    course = fit(whole, *given, seed=1, sparse=("u",))

    def small(_, given):
        if len(given[0]) > 15:
            raise torch.cuda.OutOfMemoryError("out of memory")

    module.register_forward_pre_hook(small)
    caplog.set_level(logging.WARNING)
    found = fit(module, *given, seed=1, sparse=("u",))
    np.testing.assert_allclose(found.validation_loss, course.validation_loss, rtol=1e-4)
    np.testing.assert_allclose(module.u.detach(), whole.u.detach(), rtol=1e-3, atol=1e-5)
    assert "out of memory on cpu: 16 samples at a time instead of 32" in caplog.text
    assert (
        caplog.text.count("out of memory") == 2 + 2
    )  # to 8 in training, from 60 to 15 in validation; no more

    Stopping(module, 1, torch.cuda.OutOfMemoryError("out of memory"))
    module.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(torch.cuda.OutOfMemoryError("again")))
    with pytest.raises(NetworkError, match="cpu has too little memory for one sample of this network; give"):
        fit(module, *given, seed=1)


def test_bfloat16_learns_the_same_with_weights_in_float32(data):
    feed, traits = data
    given = feed, Targets(traits), TRAIN, VALIDATION, FAST
    whole, module = network(), network()
    course, half = fit(whole, *given, seed=1), fit(module, *given, seed=1, autocast=True)
    assert module.u.dtype == torch.float32
    assert not torch.equal(module.u, whole.u)
    assert min(half.validation_loss) == pytest.approx(min(course.validation_loss), abs=0.03)
