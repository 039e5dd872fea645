import copy

import pytest
import torch

from gp_elm.errors import OptionError
from gp_elm.models.networks import (
    GATED,
    GatedNetwork,
    QuadraticNetwork,
    TraitQuadraticNetwork,
    average_quadratic,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randomise(module, seed=0):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(generator=generator(seed)).mul_(0.3)
    return module.double()


def networks():
    for gate in GATED:
        for bias in (False, True):
            yield f"{gate}-{bias}", GatedNetwork(6, 3, (8, 5), gate=gate, bias=bias, skip=bias)
    for tied in (False, True):
        for skip in (False, True):
            yield f"quadratic-{tied}-{skip}", QuadraticNetwork(6, 3, 7, tied=tied, skip=skip)


@pytest.mark.parametrize(("name", "network"), list(networks()))
def test_frozen_gates_rebuild_the_network_and_leave_an_affine_map(name, network):
    network = randomise(network)
    z, other = torch.randn(2, 20, 6, generator=generator(1), dtype=torch.float64)
    gates = network.gates(z)
    torch.testing.assert_close(network.forward_with_gates(z, gates), network(z), rtol=1e-12, atol=1e-12)
    at_zero = network.forward_with_gates(torch.zeros_like(z), gates)
    total = network.forward_with_gates(z + 2 * other, gates) - at_zero
    parts = (network.forward_with_gates(z, gates) - at_zero) + 2 * (
        network.forward_with_gates(other, gates) - at_zero
    )
    torch.testing.assert_close(total, parts, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("gate", GATED)
def test_without_biases_the_network_is_zero_at_zero(gate):
    network = randomise(GatedNetwork(6, 3, (8, 5), gate=gate, bias=False))
    assert torch.all(network(torch.zeros(2, 6, dtype=torch.float64)) == 0)


def test_half_squares_and_products_agree_where_the_branches_do():
    tied = randomise(QuadraticNetwork(6, 2, 4, tied=True))
    free = QuadraticNetwork(6, 2, 4).double()
    state = dict(tied.state_dict())
    free.load_state_dict({**state, "v": state["u"] / 2, "v_bias": state["u_bias"] / 2})
    z = torch.randn(9, 6, generator=generator(2), dtype=torch.float64)
    torch.testing.assert_close(tied(z), free(z))


def test_trait_network_is_its_formula_and_one_quadratic_network():
    weight = torch.rand(3, 6, generator=generator(3))
    network = randomise(TraitQuadraticNetwork(weight, 4))
    z = torch.randn(9, 6, generator=generator(4), dtype=torch.float64)
    expected = torch.empty(9, 3, dtype=torch.float64)
    for t in range(3):
        units = (z * network.weight[t]) @ network.u[t].T + network.u_bias[t]
        expected[:, t] = network.constant[t] + (units**2 / 2) @ network.output[t]
    torch.testing.assert_close(network(z), expected)
    torch.testing.assert_close(network.as_quadratic().double()(z), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("tied", [False, True])
def test_average_of_quadratic_networks_is_one(tied):
    parts = [randomise(QuadraticNetwork(6, 2, h, tied=tied, skip=h > 3), h) for h in (3, 5)]
    z = torch.randn(9, 6, generator=generator(4), dtype=torch.float64)
    expected = 0.25 * parts[0](z) + 0.75 * parts[1](z)
    got = average_quadratic([copy.deepcopy(p).float() for p in parts], [0.25, 0.75]).double()
    assert got.u.shape == (8, 6)
    torch.testing.assert_close(got(z), expected, rtol=1e-5, atol=1e-5)


def test_initial_weights_depend_on_the_generator_alone():
    first, second, third = (GatedNetwork(6, 3, (8,), gate="swiglu") for _ in range(3))
    first.initialise(generator(1))
    second.initialise(generator(1))
    third.initialise(generator(2))
    assert torch.equal(first.branches[0].weight, second.branches[0].weight)
    assert not torch.equal(first.branches[0].weight, third.branches[0].weight)


def test_unknown_gate_is_refused():
    with pytest.raises(OptionError, match="no gate is called 'tanh'; choose one of leaky_relu"):
        GatedNetwork(2, 1, (3,), gate="tanh")
