"""Locus sensitivities in factored form, and the plug-in screens that follow from them (METHOD 2 and 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gp_elm.elm.detach import Detached, check_exact
from gp_elm.elm.study import Floats, Study
from gp_elm.models.networks import FreezableNetwork, GatedNetwork, QuadraticNetwork
from gp_elm.models.prediction import FittedNetwork

Ints = NDArray[np.int64]
ROWS = 1024
CHECKED = 64


def first_layer(network: FreezableNetwork) -> tuple[Floats, Floats | None]:
    """Weights of a network's first layer W (h, p), and of its linear skip (T, p), None where it has none."""
    if isinstance(network, QuadraticNetwork):
        skip = network.linear
        return network.u.detach().numpy(), None if skip is None else skip.detach().numpy()
    if isinstance(network, GatedNetwork):
        layer = network.linear
        return cast(
            Tensor, network.layers[0].weight
        ).detach().numpy(), None if layer is None else layer.weight.detach().numpy()
    raise TypeError(f"no first layer known of a {type(network).__name__}")


def upper_factors(network: FreezableNetwork, z: Tensor, trait: int) -> Floats:
    """V_t (n, h): detached Jacobian of a trait with respect to the first layer, W z; the skip left out."""
    detached = Detached.at(network, z)
    if isinstance(network, QuadraticNetwork):
        return (detached.gates[0] * network.output[trait]).detach().numpy()
    assert isinstance(network, GatedNetwork)
    seen: list[Tensor] = []
    handle = network.layers[0].register_forward_hook(lambda _module, _input, output: seen.append(output))
    try:
        out = detached(z.detach().requires_grad_(True))
    finally:
        handle.remove()
    (gradient,) = torch.autograd.grad(out[:, trait].sum(), seen[0])
    return gradient.numpy()


@dataclass(frozen=True)
class TraitFactors:
    """Factored sensitivities of one trait, all folds and members stacked; J = V W + linear.

    Attributes
    ----------
    w : (H, p) float
        First layers, per allele.
    c : (H, p) float
        Cov(V, x): one pass over the data.
    mean, sd : (p,) float
        Mean and standard deviation of each locus's sensitivity over the samples, trait units per allele; the
        standard deviation is that within the folds' networks.
    spread : (p,) float
        Var(x).
    """

    w: Floats
    c: Floats
    mean: Floats
    sd: Floats
    spread: Floats

    def slopes(self, i: Ints, j: Ints) -> Floats:
        """Plug-in epistatic effects of pairs of columns: half of Cov(J_i, x_j)/Var(x_j) + Cov(J_j, x_i)/Var(x_i)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            forward = np.einsum("hk,hk->k", self.w[:, i], self.c[:, j]) / self.spread[j]
            backward = np.einsum("hk,hk->k", self.w[:, j], self.c[:, i]) / self.spread[i]
        return 0.5 * (forward + backward)

    def top(self, k: int, *, tile: int = 1024) -> tuple[Ints, Ints]:
        """The k pairs of columns with the largest variance ``slope^2 Var(x_i) Var(x_j)``, one product a tile."""
        root = np.sqrt(np.maximum(self.spread, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            w = np.where(root > 0, self.w * root, 0.0).astype(np.float32)
            c = np.where(root > 0, self.c / root, 0.0).astype(np.float32)
        left, right = np.concatenate([w, c]), np.concatenate([c, w])
        p = self.w.shape[1]
        best_i, best_j, best = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
        floor = np.float32(0)
        for i0 in range(0, p, tile):
            for j0 in range(i0, p, tile):
                score = np.abs(left[:, i0 : i0 + tile].T @ right[:, j0 : j0 + tile])
                i, j = np.nonzero(score > floor)
                i, j, value = i + i0, j + j0, score[i, j]
                upper = i < j
                best_i, best_j = np.r_[best_i, i[upper]], np.r_[best_j, j[upper]]
                best = np.r_[best, value[upper]]
                if best.size > k:
                    order = np.argsort(-best, kind="stable")[:k]
                    best_i, best_j, best = best_i[order], best_j[order], best[order]
                    floor = best[-1]
        return best_i, best_j


class Sensitivities:
    """Sensitivities of cross-fitted networks, each fold's on the samples that it never saw.

    Parameters
    ----------
    study : Study
        Discovery samples.
    networks : sequence of FittedNetwork
        One a fold.

    Attributes
    ----------
    columns : (p,) int
        Variants that some network reads.
    reconstruction_error : float
        Largest |J x + b - f| / sd(f), in float64.

    Raises
    ------
    NetworkError
        Where the detached Jacobian does not rebuild a network.
    """

    def __init__(self, study: Study, networks: Sequence[FittedNetwork]) -> None:
        self.study, self.networks = study, networks
        self.columns: Ints = np.unique(np.concatenate([n.columns for n in networks])).astype(np.int64)
        self._last: tuple[int, TraitFactors] | None = None
        self.reconstruction_error = 0.0
        for k, network in enumerate(networks):
            rows = np.flatnonzero(study.folds == k)[:CHECKED]
            error = check_exact(network.members(), self._inputs(network, rows))
            self.reconstruction_error = max(self.reconstruction_error, error)

    def _inputs(self, network: FittedNetwork, rows: Ints) -> Tensor:
        x = self.study.store.block(self.study.rows[rows], columns=network.columns, center=network.center)
        return torch.from_numpy(x * network.input_scale)

    def factors(self, trait: int) -> TraitFactors:
        """Factors and summaries of a trait; one pass over the data, the last trait's are kept."""
        if self._last is None or self._last[0] != trait:
            self._last = (trait, self._factors(trait))
        return self._last[1]

    def _factors(self, trait: int) -> TraitFactors:
        study, p = self.study, self.columns.size
        ws, cs = [], []
        mean, variance, spread = np.zeros(p), np.zeros(p), np.zeros(p)
        for k, network in enumerate(self.networks):
            mine = np.flatnonzero(study.folds == k)
            at = np.searchsorted(self.columns, network.columns)
            share = mine.size / study.rows.size
            scale = network.output_scale[trait] / len(network.modules)
            layers = [first_layer(member) for member in network.members()]
            w = np.concatenate([layer for layer, _ in layers]) * network.input_scale
            s_v, s_x, s_xx = np.zeros(len(w)), np.zeros(at.size), np.zeros(at.size)
            s_vx, s_vv = np.zeros(w.shape), np.zeros((len(w), len(w)))
            for start in range(0, mine.size, ROWS):
                z = self._inputs(network, mine[start : start + ROWS])
                v = (
                    np.concatenate([upper_factors(member, z, trait) for member in network.members()], axis=1)
                    * scale
                )
                x = z.numpy() / network.input_scale
                s_v, s_x, s_xx = s_v + v.sum(0), s_x + x.sum(0), s_xx + (x * x).sum(0)
                s_vx, s_vv = s_vx + v.T @ x, s_vv + v.T @ v
            mean_v, mean_x = s_v / mine.size, s_x / mine.size
            covariance = s_vv / mine.size - np.outer(mean_v, mean_v)
            keep = np.diag(s_vv) > 0
            here, c = np.zeros((int(keep.sum()), p)), np.zeros((int(keep.sum()), p))
            here[:, at] = w[keep]
            c[:, at] = share * (s_vx / mine.size - np.outer(mean_v, mean_x))[keep]
            ws.append(here)
            cs.append(c)
            skips = [scale * skip[trait] * network.input_scale for _, skip in layers if skip is not None]
            mean[at] += share * (mean_v @ w + sum(skips))
            variance[at] += share * ((covariance[np.ix_(keep, keep)] @ w[keep]) * w[keep]).sum(0)
            spread[at] += share * (s_xx / mine.size - mean_x**2)
            if network.offset is not None:
                mean += share * network.offset.coefficients[trait, self.columns]
        sd = np.sqrt(np.maximum(variance, 0.0))
        return TraitFactors(np.concatenate(ws), np.concatenate(cs), mean, sd, spread)
