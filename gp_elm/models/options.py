"""What a user can ask of training."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gp_elm.errors import OptionError
from gp_elm.models.networks import GATED

NETWORKS = ("auto", "quadratic", *GATED)
PRESETS = ("default", "pub", "thorough")
WEIGHTINGS = ("auto", "heredity", "none")
LOSSES = ("squared", "absolute")
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class TrainingOptions:
    """Options of training; None leaves the choice to the recipe.

    Parameters
    ----------
    network : str
        ``auto``, ``quadratic`` or the name of a gate (:data:`gp_elm.models.networks.GATED`).
    preset : str
        ``default``; ``pub``: the network and training of the pub (METHOD 9); ``thorough``: more members.
    hidden : tuple of int, optional
        Widths of the hidden layers (one for ``quadratic``).
    epochs, batch, members, patience : int, optional
        Passes over the training samples; samples a step; networks averaged in a fold; passes without a better
        validation loss after which training stops (0: never).
    learning_rate, weight_decay, l1, ema : float, optional
        Step size; squared penalty; absolute penalty on the units of a quadratic network at the start of its ramp;
        decay of the running average of the weights (0: none).
    loss : str, optional
        ``squared`` or ``absolute``.
    weighting : str
        ``heredity``: inputs weighted by the lasso, on top of the lasso's prediction; ``none``; ``auto``.
    bias, skip : bool, optional
        Whether a gated network has biases, and a linear skip connection.
    validation_fraction : float, optional
        Share of the training samples, in whole groups, that choose the best state.
    device : str
        ``auto`` (a GPU where there is one), or a torch device.
    resident_bytes : int
        Decoded inputs up to this size are kept in memory during training; larger ones are decoded batch by batch.
    precision : str
        ``float32``; ``bfloat16``: networks are evaluated in it while they learn, weights and losses stay in float32;
        ``auto``: bfloat16 on a GPU that has it.
    checkpoint_minutes : float
        Time between two states of a training, from which it goes on after an interruption; a state that takes long to
        write is written less often, so that it costs at most a fiftieth of the time.
    parallel_folds : int
        Folds trained at the same time, each in a process of its own; 0: as many as there are GPUs, or on the CPU, where
        a network is so small that it trains on one thread and takes long enough, as many as there are cores.

    Raises
    ------
    OptionError
        Where a value makes no sense.
    """

    network: str = "auto"
    preset: str = "default"
    hidden: tuple[int, ...] | None = None
    epochs: int | None = None
    batch: int | None = None
    members: int | None = None
    patience: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    l1: float | None = None
    ema: float | None = None
    loss: str | None = None
    weighting: str = "auto"
    bias: bool | None = None
    skip: bool | None = None
    validation_fraction: float | None = None
    device: str = "auto"
    resident_bytes: int = 256 << 20
    precision: str = "auto"
    checkpoint_minutes: float = 5.0
    parallel_folds: int = 0

    def __post_init__(self) -> None:
        _one_of("network", self.network, NETWORKS)
        _one_of("preset", self.preset, PRESETS)
        _one_of("weighting", self.weighting, WEIGHTINGS)
        _one_of("precision", self.precision, PRECISIONS)
        if self.loss is not None:
            _one_of("loss", self.loss, LOSSES)
        if self.hidden is not None:
            object.__setattr__(self, "hidden", tuple(int(width) for width in self.hidden))
            if not self.hidden or min(self.hidden) < 1:
                raise OptionError(f"hidden is {self.hidden}; give one or more widths of at least 1")
            if len(self.hidden) > 1 and self.network == "quadratic":
                raise OptionError(
                    f"hidden is {self.hidden}, but a quadratic network has one hidden layer; give one"
                )
        for name, least in (
            ("epochs", 1),
            ("batch", 1),
            ("members", 1),
            ("patience", 0),
            ("resident_bytes", 0),
            ("parallel_folds", 0),
        ):
            _at_least(name, getattr(self, name), least)
        for name in ("learning_rate", "weight_decay", "l1", "checkpoint_minutes"):
            _at_least(name, getattr(self, name), 0)
        if self.learning_rate == 0:
            raise OptionError("learning_rate is 0; give a positive number")
        if self.ema is not None and not 0 <= self.ema < 1:
            raise OptionError(f"ema is {self.ema}; give a number from 0 to below 1")
        if self.validation_fraction is not None and not 0 < self.validation_fraction <= 0.5:
            raise OptionError(f"validation_fraction is {self.validation_fraction}; give a number in (0, 0.5]")
        if self.preset == "pub" and self.network not in ("auto", "leaky_relu"):
            raise OptionError(f"preset pub is a leaky ReLU network; leave out network={self.network!r}")


def choose_device(name: str) -> torch.device:
    """Device of a name; ``auto`` is a GPU where there is one.

    Raises
    ------
    OptionError
        Where torch has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise OptionError(f"device {name!r} cannot be used ({reason}); give device='cpu'") from error


def choose_autocast(precision: str, device: torch.device) -> bool:
    """Whether networks are evaluated in bfloat16 while they learn; ``auto`` is a GPU that has it."""
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return precision == "bfloat16"


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise OptionError(f"{name} is {value!r}; choose one of {', '.join(known)}")


def _at_least(name: str, value: float | None, least: float) -> None:
    if value is not None and not value >= least:
        raise OptionError(f"{name} is {value}; give {least:g} or more")
