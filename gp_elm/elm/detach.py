"""The detached Jacobian of a network, and the check that it rebuilds the prediction (METHOD 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gp_elm.errors import NetworkError
from gp_elm.models.networks import FreezableNetwork

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
"""Largest error of J x + b against f, relative to the spread of f."""


@dataclass(frozen=True)
class Detached:
    """A network with its gates frozen at a batch of inputs: affine in the input, ``z -> J z + b``.

    Attributes
    ----------
    network : FreezableNetwork
        The network.
    gates : list of Tensor
        Its gates at the batch.
    """

    network: FreezableNetwork
    gates: list[Tensor]

    @classmethod
    def at(cls, network: FreezableNetwork, z: Tensor) -> Detached:
        """Freeze the gates at a batch of inputs (n, p)."""
        with torch.no_grad():
            return cls(network, [gate.detach() for gate in network.gates(z)])

    def __call__(self, z: Tensor) -> Tensor:
        """The frozen network, (n, T)."""
        return self.network.forward_with_gates(z, self.gates)

    def jacobian(self, z: Tensor, trait: int) -> Tensor:
        """Detached Jacobian of a trait, (n, p): row s is the map of sample s."""
        z = z.detach().requires_grad_(True)
        # A sample's output depends on its own input alone, so that one backward pass gives every sample's row.
        (gradient,) = torch.autograd.grad(self(z)[:, trait].sum(), z)
        return gradient

    def offset(self, z: Tensor) -> Tensor:
        """b(x): the frozen network's own output at zero input, (n, T)."""
        with torch.no_grad():
            return self(torch.zeros_like(z))


def reconstruction_error(networks: Sequence[FreezableNetwork], z: Tensor) -> float:
    """Largest |J z + b - f| over samples, traits and networks, relative to the standard deviation of f.

    Parameters
    ----------
    networks : sequence of FreezableNetwork
        The networks, of the dtype of z.
    z : (n, p) Tensor
        Inputs.

    Returns
    -------
    float
        The error; about 1e-15 in float64 for a network whose gates are all found.
    """
    worst = 0.0
    for network in networks:
        detached = Detached.at(network, z)
        with torch.no_grad():
            f = network(z)
        offset = detached.offset(z)
        for trait in range(f.shape[1]):
            rebuilt = (detached.jacobian(z, trait) * z).sum(1) + offset[:, trait]
            spread = float(f[:, trait].std())
            error = float((rebuilt.detach() - f[:, trait]).abs().max())
            worst = max(worst, error / spread if spread > 0 else error)
    return worst


def check_exact(networks: Sequence[FreezableNetwork], z: Tensor) -> float:
    """The reconstruction error, refused where it is above the tolerance of the dtype.

    Raises
    ------
    NetworkError
        Where J x + b does not rebuild the prediction.
    """
    error = reconstruction_error(networks, z)
    tolerance = TOLERANCE[z.dtype]
    if not error <= tolerance:
        raise NetworkError(
            f"the detached Jacobian does not rebuild the network: |J x + b - f| is {error:.2g} of sd(f), "
            f"more than {tolerance:g}; the network has an operation whose gate is not frozen"
        )
    return error
