"""Detached Jacobians and factored sensitivities against autograd, dense computation and closed forms."""

import numpy as np
import pytest
import torch
from elm_cases import block_genotypes, make_study

from gp_elm.elm.detach import Detached, check_exact, reconstruction_error
from gp_elm.elm.sensitivity import Sensitivities
from gp_elm.errors import NetworkError
from gp_elm.models.networks import GATED, GatedNetwork, QuadraticNetwork
from gp_elm.models.prediction import FittedNetwork


def gated(gate, *, bias=True, skip=True, p=7, seed=0):
    network = GatedNetwork(p, 3, (11, 5), gate=gate, bias=bias, skip=skip).double()
    network.initialise(torch.Generator().manual_seed(seed))
    if skip:
        torch.nn.init.normal_(network.linear.weight, generator=torch.Generator().manual_seed(seed))
    return network.requires_grad_(False)


@pytest.mark.parametrize("gate", GATED)
@pytest.mark.parametrize("bias", [True, False])
def test_detached_jacobian_rebuilds_the_network(gate, bias):
    network = gated(gate, bias=bias)
    z = torch.randn(20, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert check_exact([network], z) < 1e-12
    detached = Detached.at(network, z)
    if not bias:
        assert float(detached.offset(z).abs().max()) == 0.0
        rebuilt = torch.stack([(detached.jacobian(z, t) * z).sum(1) for t in range(3)], 1)
        torch.testing.assert_close(rebuilt, network(z))


def test_relu_jacobian_is_autograds_and_gelus_is_not():
    z = torch.randn(10, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for gate, same in (("relu", True), ("leaky_relu", True), ("gelu", False)):
        network = gated(gate)
        full = torch.autograd.functional.jacobian(lambda x, n=network: n(x)[:, 0].sum(), z)
        detached = Detached.at(network, z).jacobian(z, 0)
        assert torch.allclose(full, detached) is same


def test_a_gate_that_is_not_frozen_is_refused():
    class Leaky(GatedNetwork):
        def forward_with_gates(self, z, gates):
            return super().forward_with_gates(z, gates) + torch.tanh(z[:, :1])

        def forward(self, z):
            return super().forward(z) + torch.tanh(z[:, :1])

    network = Leaky(7, 3, (5,), gate="relu").double().requires_grad_(False)
    z = torch.randn(10, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert reconstruction_error([network], z) > 1e-3
    with pytest.raises(NetworkError, match="does not rebuild the network"):
        check_exact([network], z)


def fitted(module, columns, center, rng, traits):
    p = len(columns)
    return FittedNetwork(
        np.asarray(columns),
        center[columns],
        rng.uniform(0.5, 2, p),
        (module,),
        rng.uniform(0.5, 2, traits),
        np.zeros(traits),
    )


@pytest.mark.parametrize("kind", ["quadratic", "gelu", "swiglu"])
def test_factored_summaries_equal_dense_ones(kind):
    rng = np.random.default_rng(4)
    raw, blocks = block_genotypes(rng, 150, [2, 1, 3, 1])
    study = make_study(rng, raw, blocks, rng.normal(size=(150, 3)))
    networks = []
    for k in range(3):
        if kind == "quadratic":
            module = QuadraticNetwork(7, 3, 6)
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter.normal_(generator=torch.Generator().manual_seed(k))
        else:
            module = gated(kind, seed=k).float()
        networks.append(fitted(module, np.arange(7), study.center, rng, 3))
    found = Sensitivities(study, networks)
    for trait in range(3):
        mean, variance, slope = np.zeros(7), np.zeros(7), np.zeros((7, 7))
        spread = np.zeros(7)
        covariances = np.zeros((7, 7))
        for k, network in enumerate(networks):
            rows = np.flatnonzero(study.folds == k)
            x = study.store.block(rows, columns=network.columns, center=network.center).astype(float)
            z = torch.from_numpy(x * network.input_scale)
            member = network.members()[0]
            jacobian = Detached.at(member, z).jacobian(z, trait).numpy()
            jacobian = jacobian * network.input_scale * network.output_scale[trait]
            share = rows.size / 150
            mean += share * jacobian.mean(0)
            variance += share * jacobian.var(0)
            covariances += share * (jacobian - jacobian.mean(0)).T @ (x - x.mean(0)) / rows.size
            spread += share * x.var(0)
        factors = found.factors(trait)
        np.testing.assert_allclose(factors.mean, mean, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(factors.sd, np.sqrt(variance), rtol=1e-6, atol=1e-9)
        slope = 0.5 * (covariances / spread[None, :] + (covariances / spread[None, :]).T)
        i, j = np.triu_indices(7, 1)
        np.testing.assert_allclose(factors.slopes(i, j), slope[i, j], rtol=1e-5, atol=1e-8)
        top_i, top_j = factors.top(5, tile=3)
        score = np.abs(covariances * np.sqrt(spread)[:, None] / np.sqrt(spread)[None, :])
        score = np.abs(
            (covariances / spread[None, :] + (covariances / spread[None, :]).T)
            * np.sqrt(spread[:, None] * spread[None, :])
        )
        best = np.argsort(-score[i, j])[:5]
        assert set(zip(top_i.tolist(), top_j.tolist(), strict=True)) == set(
            zip(i[best].tolist(), j[best].tolist(), strict=True)
        )


def test_a_linear_network_has_no_sensitivity_variance():
    rng = np.random.default_rng(5)
    raw, blocks = block_genotypes(rng, 90, [1] * 5)
    study = make_study(rng, raw, blocks, rng.normal(size=(90, 2)))
    module = QuadraticNetwork(5, 2, 3)
    with torch.no_grad():
        module.linear.normal_(generator=torch.Generator().manual_seed(0))
    networks = [fitted(module, np.arange(5), study.center, rng, 2) for _ in range(3)]
    factors = Sensitivities(study, networks).factors(0)
    assert np.all(factors.sd == 0)
    assert np.all(factors.slopes(np.array([0, 1]), np.array([2, 3])) == 0)
