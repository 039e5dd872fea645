"""Networks whose gates can be frozen.

Every network here is made of linear maps and gates: ``forward(z)`` is the network, ``gates(z)`` its gates at an input,
``forward_with_gates(z, gates)`` the network with those gates, which is affine in ``z``. So
``forward_with_gates(z, gates(z))`` equals ``forward(z)``, and equivalent linear mapping is the derivative of the frozen
network. Shapes: ``z`` is (n, p), inputs; the output is (n, T), traits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from gp_elm.errors import OptionError

LEAK = 0.01
"""Slope of leaky ReLU below zero."""

Gate = Callable[[Tensor], Tensor]

# z * gate(z) is the activation
GATES: dict[str, Gate] = {
    "leaky_relu": lambda z: torch.where(z > 0, z.new_ones(()), z.new_full((), LEAK)),
    "relu": lambda z: (z > 0).to(z.dtype),
    "gelu": lambda z: 0.5 * (1.0 + torch.erf(z * 0.5**0.5)),
    "silu": torch.sigmoid,
}
_ACTIVATIONS: dict[str, Gate] = {
    "leaky_relu": lambda z: functional.leaky_relu(z, LEAK),
    "relu": functional.relu,
    "gelu": functional.gelu,
    "silu": functional.silu,
}
GATED = (*GATES, "swiglu")
"""Names of the gates of :class:`GatedNetwork`."""


class FreezableNetwork(Protocol):
    """What equivalent linear mapping asks of a network."""

    def __call__(self, z: Tensor) -> Tensor:
        """Traits (n, T) of the inputs (n, p)."""

    def gates(self, z: Tensor) -> list[Tensor]:
        """Gates at the inputs, each (n, width)."""

    def forward_with_gates(self, z: Tensor, gates: Sequence[Tensor]) -> Tensor:
        """Traits (n, T) with the gates held at the given values."""


class QuadraticNetwork(nn.Module):
    """f_t(z) = constant_t + linear_t . z + sum_h output_th (u_h . z + a_h) (v_h . z + b_h), or half squares.

    The gate is the v branch; with ``tied`` it is half of the u branch, so that a unit is (u_h . z + a_h)^2 / 2.

    Parameters
    ----------
    n_inputs, n_traits, hidden : int
        p, T and the number of units h.
    tied : bool
        Half squares instead of products: no ``v`` and ``v_bias``.
    skip : bool
        Whether there is a linear skip connection.
    """

    def __init__(
        self, n_inputs: int, n_traits: int, hidden: int, *, tied: bool = False, skip: bool = True
    ) -> None:
        super().__init__()
        self.tied, self.skip = tied, skip
        self.constant = nn.Parameter(torch.zeros(n_traits))
        self.linear = nn.Parameter(torch.zeros(n_traits, n_inputs)) if skip else None
        self.u = nn.Parameter(torch.zeros(hidden, n_inputs))
        self.u_bias = nn.Parameter(torch.zeros(hidden))
        self.v = None if tied else nn.Parameter(torch.zeros(hidden, n_inputs))
        self.v_bias = None if tied else nn.Parameter(torch.zeros(hidden))
        self.output = nn.Parameter(torch.zeros(n_traits, hidden))

    def initialise(self, generator: torch.Generator, *, units: float, output: float) -> None:
        """Draw the weights: u and v with variance ``units``^2 / p, the output with ``output``^2 / h."""
        hidden, inputs = self.u.shape
        with torch.no_grad():
            self.u.normal_(0, units / max(inputs, 1) ** 0.5, generator=generator)
            if self.v is not None:
                self.v.normal_(0, units / max(inputs, 1) ** 0.5, generator=generator)
            self.output.normal_(0, output / hidden**0.5, generator=generator)

    def gates(self, z: Tensor) -> list[Tensor]:
        """The v branch, or half of the u branch: one tensor (n, h)."""
        if self.v is None or self.v_bias is None:
            return [0.5 * torch.addmm(self.u_bias, z, self.u.T)]
        return [torch.addmm(self.v_bias, z, self.v.T)]

    def forward_with_gates(self, z: Tensor, gates: Sequence[Tensor]) -> Tensor:
        """Traits (n, T) with the gates held at the given values."""
        out = torch.addmm(self.constant, torch.addmm(self.u_bias, z, self.u.T) * gates[0], self.output.T)
        return out if self.linear is None else torch.addmm(out, z, self.linear.T)

    def forward(self, z: Tensor) -> Tensor:
        """Traits (n, T) of the inputs (n, p)."""
        if self.v is not None:
            return self.forward_with_gates(z, self.gates(z))
        pre = torch.addmm(self.u_bias, z, self.u.T)
        out = torch.addmm(self.constant, pre.square(), self.output.T, alpha=0.5)
        return out if self.linear is None else torch.addmm(out, z, self.linear.T)


class TraitQuadraticNetwork(nn.Module):
    """f_t(z) = constant_t + sum_h output_th (u_th . (z o weight_t) + a_th)^2 / 2: units of its own for each trait.

    Parameters
    ----------
    weight : Tensor, shape (T, p)
        How strongly each input speaks to each trait; fixed.
    hidden : int
        Units a trait.
    """

    weight: Tensor

    def __init__(self, weight: Tensor, hidden: int) -> None:
        super().__init__()
        traits, inputs = weight.shape
        self.register_buffer("weight", weight)
        self.constant = nn.Parameter(torch.zeros(traits))
        self.u = nn.Parameter(torch.zeros(traits, hidden, inputs))
        self.u_bias = nn.Parameter(torch.zeros(traits, hidden))
        self.output = nn.Parameter(torch.zeros(traits, hidden))

    def initialise(self, generator: torch.Generator, *, units: float, output: float) -> None:
        """Draw the weights: u with variance ``units``^2 / p, the output with ``output``^2 / h."""
        _, hidden, inputs = self.u.shape
        with torch.no_grad():
            self.u.normal_(0, units / max(inputs, 1) ** 0.5, generator=generator)
            self.output.normal_(0, output / hidden**0.5, generator=generator)

    def forward(self, z: Tensor) -> Tensor:
        """Traits (n, T) of the inputs (n, p)."""
        traits, hidden, _ = self.u.shape
        u = (self.u * self.weight[:, None, :]).flatten(0, 1)
        pre = torch.addmm(self.u_bias.flatten(), z, u.T).view(len(z), traits, hidden)
        return torch.addcmul(self.constant, (pre.square() * self.output).sum(2), torch.tensor(0.5))

    def as_quadratic(self) -> QuadraticNetwork:
        """The same function as one quadratic network with T * h half squares."""
        traits, hidden, inputs = self.u.shape
        same = QuadraticNetwork(inputs, traits, traits * hidden, tied=True, skip=False)
        with torch.no_grad():
            same.constant.copy_(self.constant)
            same.u.copy_((self.u * self.weight[:, None, :]).flatten(0, 1))
            same.u_bias.copy_(self.u_bias.flatten())
            same.output.copy_(torch.block_diag(*self.output))
        return same


class GatedNetwork(nn.Module):
    """A multilayer network whose hidden layers are z * gate(z), with an optional linear skip connection.

    Parameters
    ----------
    n_inputs, n_traits : int
        p and T.
    hidden : sequence of int
        Widths of the hidden layers.
    gate : str
        One of :data:`GATED`. In ``swiglu`` a layer is (A z + a) * silu(B z + b), the second factor being the gate.
    bias : bool
        Whether the layers have biases.
    skip : bool
        Whether there is a linear skip connection.
    """

    def __init__(
        self,
        n_inputs: int,
        n_traits: int,
        hidden: Sequence[int],
        *,
        gate: str = "gelu",
        bias: bool = True,
        skip: bool = False,
    ) -> None:
        super().__init__()
        if gate not in GATED:
            raise OptionError(f"no gate is called {gate!r}; choose one of {', '.join(GATED)}")
        self.n_inputs, self.gate, self.skip = n_inputs, gate, skip
        widths = [n_inputs, *hidden]
        pairs = list(zip(widths, widths[1:], strict=False))
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=bias) for a, b in pairs)
        branches = pairs if gate == "swiglu" else []
        self.branches = nn.ModuleList(nn.Linear(a, b, bias=bias) for a, b in branches)
        self.head = nn.Linear(widths[-1], n_traits, bias=bias)
        self.linear = nn.Linear(n_inputs, n_traits, bias=False) if skip else None

    def initialise(self, generator: torch.Generator, *, head: float = 1.0) -> None:
        """Draw the weights as torch does (uniform, bound 1 / sqrt(fan in)), the head times ``head``; the skip is 0."""
        with torch.no_grad():
            for module in [*self.layers, *self.branches, self.head]:
                bound = max(module.in_features, 1) ** -0.5
                for parameter in module.parameters():
                    parameter.uniform_(-bound, bound, generator=generator)
            for parameter in self.head.parameters():
                parameter.mul_(head)
            if self.linear is not None:
                self.linear.weight.zero_()

    def gates(self, z: Tensor) -> list[Tensor]:
        """Gates of each hidden layer at the inputs, (n, width) each."""
        found, hidden = [], z
        for k, layer in enumerate(self.layers):
            pre = layer(hidden)
            if self.gate == "swiglu":
                gate = functional.silu(self.branches[k](hidden))
            else:
                gate = GATES[self.gate](pre)
            found.append(gate)
            hidden = pre * gate
        return found

    def forward_with_gates(self, z: Tensor, gates: Sequence[Tensor]) -> Tensor:
        """Traits (n, T) with the gates held at the given values."""
        hidden = z
        for layer, gate in zip(self.layers, gates, strict=True):
            hidden = layer(hidden) * gate
        out = self.head(hidden)
        return out if self.linear is None else out + self.linear(z)

    def forward(self, z: Tensor) -> Tensor:
        """Traits (n, T) of the inputs (n, p)."""
        hidden = z
        for k, layer in enumerate(self.layers):
            if self.gate == "swiglu":
                hidden = layer(hidden) * functional.silu(self.branches[k](hidden))
            else:
                hidden = _ACTIVATIONS[self.gate](layer(hidden))
        out = self.head(hidden)
        return out if self.linear is None else out + self.linear(z)


def average_quadratic(networks: Sequence[QuadraticNetwork], weights: Sequence[float]) -> QuadraticNetwork:
    """Weighted average of quadratic networks, itself one quadratic network with the units of all.

    Parameters
    ----------
    networks : sequence of QuadraticNetwork
        Over the same inputs and traits; all tied or none.
    weights : sequence of float
        One for each.

    Returns
    -------
    QuadraticNetwork
        The network x -> sum_k weights_k networks_k(x).
    """
    first = networks[0]
    traits, inputs = len(first.constant), first.u.shape[1]
    skip = any(network.linear is not None for network in networks)
    hidden = sum(len(network.u) for network in networks)
    total = QuadraticNetwork(inputs, traits, hidden, tied=first.tied, skip=skip)
    with torch.no_grad():
        for name in ("u", "u_bias", "v", "v_bias"):
            target = getattr(total, name)
            if target is not None:
                target.copy_(torch.cat([getattr(network, name) for network in networks]))
        outputs = [w * network.output for w, network in zip(weights, networks, strict=True)]
        total.output.copy_(torch.cat(outputs, 1))
        for weight, network in zip(weights, networks, strict=True):
            total.constant.add_(weight * network.constant)
            if total.linear is not None and network.linear is not None:
                total.linear.add_(weight * network.linear)
    return total
