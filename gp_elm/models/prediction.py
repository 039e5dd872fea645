"""Trained networks of a fold: prediction from a store or from dosages, the quadratic form, files."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import nn

from gp_elm.errors import InputError
from gp_elm.models.networks import FreezableNetwork, GatedNetwork, QuadraticNetwork
from gp_elm.predictors.linear import LinearPredictor
from gp_elm.streaming.store import Store

Floats = NDArray[np.float64]
FORMAT = "gp_elm network 1"
_TENSORS, _DESCRIPTION, _OFFSET = "network.safetensors", "network.json", "offset.safetensors"
_ARRAYS = ("columns", "center", "input_scale", "output_scale", "output_shift")
_ROWS = 2048


@dataclass(frozen=True, eq=False)
class QuadraticForm:
    """f_t(x) = constant_t + linear_t . x + sum_h output_th (u_h . x)(v_h . x), without the network's offset.

    Attributes
    ----------
    columns : ndarray of int64, shape (p,)
        Variants of the store, ascending.
    constant : ndarray of float64, shape (T,)
    linear : ndarray of float64, shape (T, p)
    u, v : ndarray of float64, shape (h, p)
    output : ndarray of float64, shape (T, h)
        x is the dosage of ``columns`` per copy of the effect allele, less the network's ``center``; 0 where missing.
    """

    columns: NDArray[np.int64]
    constant: Floats
    linear: Floats
    u: Floats
    v: Floats
    output: Floats

    def __call__(self, x: Floats) -> Floats:
        """Traits (n, T) of centred dosages (n, p)."""
        return self.constant + x @ self.linear.T + ((x @ self.u.T) * (x @ self.v.T)) @ self.output.T


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """The network of a fold: the mean of its members on scaled dosages, plus a linear offset.

    f_t(g) = output_shift_t + output_scale_t * mean_k module_k(z)_t [+ offset_t(g)], z = (g - center) * input_scale.

    Attributes
    ----------
    columns : ndarray of int64, shape (p,)
        Variants of the store that are inputs, ascending.
    center, input_scale : ndarray of float64, shape (p,)
        Mean dosage of the training samples; factor of each input.
    modules : tuple of nn.Module
        The members (:class:`~gp_elm.models.networks.FreezableNetwork`).
    output_scale, output_shift : ndarray of float64, shape (T,)
        To the traits' own scale.
    offset : LinearPredictor or None
        The lasso that a heredity-weighted network stands on.
    """

    columns: NDArray[np.int64]
    center: Floats
    input_scale: Floats
    modules: tuple[nn.Module, ...]
    output_scale: Floats
    output_shift: Floats
    offset: LinearPredictor | None = None
    _double: list[FreezableNetwork] = field(default_factory=list, init=False, repr=False)

    @property
    def n_traits(self) -> int:
        """Number of traits T."""
        return len(self.output_scale)

    def members(self) -> Sequence[FreezableNetwork]:
        """The modules in float64 on the CPU, for inference: maps of z to traits of unit variance."""
        if not self._double:
            self._double.extend(cast(FreezableNetwork, _copy_double(module)) for module in self.modules)
        return self._double

    def predict_dosage(self, x: NDArray[np.floating]) -> Floats:
        """Prediction from dosages, without the offset.

        Parameters
        ----------
        x : ndarray of float, shape (n, p)
            Dosages of ``columns`` less ``center``; 0 where missing.

        Returns
        -------
        ndarray of float64, shape (n, T)
            On the traits' scale, covariates taken out.
        """
        z = torch.from_numpy(np.asarray(x, dtype=np.float64) * self.input_scale)
        with torch.no_grad():
            outputs = [member(z).numpy() for member in self.members()]
        return np.mean(outputs, axis=0) * self.output_scale + self.output_shift

    def predict(self, store: Store, rows: NDArray[np.int64]) -> Floats:
        """Prediction of samples of a store, the offset included.

        Parameters
        ----------
        store : Store
            The store that the network was trained from, or one with the same variants.
        rows : ndarray of int64, shape (n,)
            Rows of the store.

        Returns
        -------
        ndarray of float64, shape (n, T)
            On the traits' scale, covariates taken out.
        """
        rows = np.asarray(rows, dtype=np.int64)
        out = np.empty((len(rows), self.n_traits))
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            x = store.block(part, columns=self.columns, center=self.center)
            out[start : start + _ROWS] = self.predict_dosage(x)
        return out if self.offset is None else out + self.offset.predict(store, rows)

    def quadratic_form(self) -> QuadraticForm | None:
        """The network part as a quadratic form of centred dosages, or None where it is not one."""
        if not all(isinstance(module, QuadraticNetwork) for module in self.modules):
            return None
        share = 1.0 / len(self.modules)
        traits, inputs = self.n_traits, len(self.columns)
        constant, linear = self.output_shift.copy(), np.zeros((traits, inputs))
        us, vs, outputs = [], [], []
        for module in cast("Sequence[QuadraticNetwork]", self.members()):
            state = {name: value.detach().numpy() for name, value in module.named_parameters()}
            u, a, output = state["u"], state["u_bias"], state["output"]
            v, b = (0.5 * u, 0.5 * a) if module.tied else (state["v"], state["v_bias"])
            scaled = share * self.output_scale[:, None] * output
            skip = state.get("linear", np.zeros((traits, inputs)))
            constant += share * self.output_scale * state["constant"] + scaled @ (a * b)
            linear += share * self.output_scale[:, None] * skip + (scaled * a) @ v + (scaled * b) @ u
            us.append(u)
            vs.append(v)
            outputs.append(scaled)
        return QuadraticForm(
            columns=self.columns,
            constant=constant,
            linear=linear * self.input_scale,
            u=np.concatenate(us) * self.input_scale,
            v=np.concatenate(vs) * self.input_scale,
            output=np.concatenate(outputs, axis=1),
        )

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the network to a folder: weights as safetensors, the rest as JSON."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        tensors = {name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}
        for k, module in enumerate(self.modules):
            for name, value in module.state_dict().items():
                tensors[f"{k}.{name}"] = np.ascontiguousarray(value.cpu().numpy())
        save_file(tensors, directory / _TENSORS)
        described = {
            "format": FORMAT,
            "members": [_describe(module) for module in self.modules],
            "offset": self.offset is not None,
        }
        (directory / _DESCRIPTION).write_text(json.dumps(described, indent=1), encoding="utf-8")
        if self.offset is not None:
            self.offset.save(directory / _OFFSET)

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> FittedNetwork:
        """Read a network from a folder.

        Raises
        ------
        InputError
            Where the folder holds no network of this program.
        """
        directory = Path(directory)
        try:
            described = json.loads((directory / _DESCRIPTION).read_text(encoding="utf-8"))
            tensors = load_file(directory / _TENSORS)
        except (OSError, ValueError, SafetensorError) as error:
            raise InputError(f"{directory} holds no trained network ({error}); train it again") from error
        if described.get("format") != FORMAT:
            raise InputError(
                f"{directory}: network of another version ({described.get('format')}); train it again"
            )
        modules = []
        for k, member in enumerate(described["members"]):
            module = _build(member)
            state = {
                n.partition(".")[2]: torch.from_numpy(v) for n, v in tensors.items() if n.startswith(f"{k}.")
            }
            module.load_state_dict(state)
            modules.append(module.eval())
        offset = LinearPredictor.load(directory / _OFFSET) if described["offset"] else None
        arrays = {name: tensors[name] for name in _ARRAYS}
        return cls(modules=tuple(modules), offset=offset, **arrays)


def _copy_double(module: nn.Module) -> nn.Module:
    same = _build(_describe(module))
    same.load_state_dict(module.state_dict())
    return same.double().eval().requires_grad_(False)


def _describe(module: nn.Module) -> dict[str, Any]:
    """What :func:`_build` needs to make the module again."""
    if isinstance(module, QuadraticNetwork):
        hidden, inputs = module.u.shape
        sizes = {"n_inputs": inputs, "n_traits": len(module.constant), "hidden": hidden}
        return {"kind": "quadratic", **sizes, "tied": module.tied, "skip": module.skip}
    if isinstance(module, GatedNetwork):
        hidden_widths = [layer.out_features for layer in module.layers]
        sizes = {"n_inputs": module.n_inputs, "n_traits": module.head.out_features}
        bias = module.head.bias is not None
        return {
            "kind": "gated",
            **sizes,
            "hidden": hidden_widths,
            "gate": module.gate,
            "bias": bias,
            "skip": module.skip,
        }
    raise TypeError(f"no way to save a {type(module).__name__}")


def _build(described: dict[str, Any]) -> nn.Module:
    kinds: dict[str, type[nn.Module]] = {"quadratic": QuadraticNetwork, "gated": GatedNetwork}
    arguments = {name: value for name, value in described.items() if name != "kind"}
    return kinds[described["kind"]](**arguments)
