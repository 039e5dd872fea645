"""What a user can ask of training, and the complete recipe that follows from it and from the cohort."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch

from gp_elm.errors import OptionError
from gp_elm.models.networks import GATED

NETWORKS = ("auto", "quadratic", *GATED)
PRESETS = ("default", "pub", "thorough")
WEIGHTINGS = ("auto", "heredity", "none")
LOSSES = ("squared", "absolute")

FEW_LOCI = 20
"""Samples a variant from which a cohort counts as having few loci and much data (METHOD 8)."""


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

    def __post_init__(self) -> None:
        _one_of("network", self.network, NETWORKS)
        _one_of("preset", self.preset, PRESETS)
        _one_of("weighting", self.weighting, WEIGHTINGS)
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
        ):
            _at_least(name, getattr(self, name), least)
        for name in ("learning_rate", "weight_decay", "l1"):
            _at_least(name, getattr(self, name), 0)
        if self.learning_rate == 0:
            raise OptionError("learning_rate is 0; give a positive number")
        if self.ema is not None and not 0 <= self.ema < 1:
            raise OptionError(f"ema is {self.ema}; give a number from 0 to below 1")
        if self.validation_fraction is not None and not 0 < self.validation_fraction <= 0.5:
            raise OptionError(f"validation_fraction is {self.validation_fraction}; give a number in (0, 0.5]")
        if self.preset == "pub" and self.network not in ("auto", "leaky_relu"):
            raise OptionError(f"preset pub is a leaky ReLU network; leave out network={self.network!r}")


@dataclass(frozen=True)
class Schedule:
    """One training loop, complete.

    Attributes
    ----------
    optimiser : str
        ``adam`` (weight decay in the loss) or ``adamw`` (decoupled).
    learning_rate, weight_decay, l1, l1_ramp, ema : float
        ``l1`` grows by the factor ``l1_ramp`` over the run.
    batch, epochs, patience : int
        ``patience`` 0: no early stop.
    plateau : bool
        Whether the rate falls by 10 where the validation loss has not improved for 10 epochs.
    loss : str
        ``squared`` or ``absolute``.
    """

    optimiser: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    l1: float = 0.0
    l1_ramp: float = 1.0
    ema: float = 0.0
    batch: int = 128
    epochs: int = 72
    patience: int = 0
    plateau: bool = False
    loss: str = "squared"


@dataclass(frozen=True)
class Recipe:
    """Network and training of a cohort, complete; :func:`choose_recipe` makes it.

    Attributes
    ----------
    network, weighting : str
        As in :class:`TrainingOptions`, never ``auto``.
    hidden : tuple of int
        Widths of the hidden layers.
    members : int
        Networks averaged.
    bias, skip : bool
        Of a gated network.
    validation_fraction : float
        Share of the training samples that choose the best state.
    schedule : Schedule
        Training of the members.
    trait_hidden : int
        Units a trait of the trait-specific quadratic network that is averaged with the members; 0 for none.
    trait_schedule : Schedule
        Its training.
    """

    network: str
    weighting: str
    hidden: tuple[int, ...]
    members: int
    bias: bool
    skip: bool
    validation_fraction: float
    schedule: Schedule
    trait_hidden: int = 0
    trait_schedule: Schedule = Schedule()

    def describe(self) -> str:
        """The recipe in words, one line."""
        width = "-".join(str(w) for w in self.hidden)
        parts = [f"{self.network} network, hidden {width}"]
        if self.trait_hidden:
            parts.append(f"and {self.trait_hidden} units a trait")
        if self.members > 1:
            parts.append(f"mean of {self.members} members")
        parts.append(
            "on the heredity-weighted loci of the lasso"
            if self.weighting == "heredity"
            else "on all variants"
        )
        parts.append(f"at most {self.schedule.epochs} epochs of batches of {self.schedule.batch}")
        return ", ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """As nested JSON values."""
        return asdict(self)


FEW_LOCI_SCHEDULE = Schedule(learning_rate=2e-3, l1=1e-4, l1_ramp=60.0, ema=0.99, batch=128, epochs=72)
HEREDITY_SCHEDULE = Schedule(learning_rate=5e-4, weight_decay=1e-2, batch=256, epochs=160, patience=8)
TRAIT_SCHEDULE = Schedule(learning_rate=1e-3, weight_decay=3e-2, batch=256, epochs=160, patience=8)
GATED_SCHEDULE = Schedule(
    optimiser="adamw", learning_rate=1e-3, weight_decay=1e-2, ema=0.99, batch=128, epochs=100, patience=12
)
PUB_SCHEDULE = Schedule(
    optimiser="adamw",
    learning_rate=1e-3,
    weight_decay=1.0,
    batch=128,
    epochs=200,
    patience=30,
    plateau=True,
    loss="absolute",
)


def choose_recipe(options: TrainingOptions, *, n_samples: int, n_variants: int) -> Recipe:
    """Recipe for a cohort: the user's options, and for the rest what worked (METHOD 8).

    Parameters
    ----------
    options : TrainingOptions
        What the user asked for.
    n_samples, n_variants : int
        Training samples of a fold and variants of the cohort. With ``n_variants <= n_samples / 20`` a quadratic
        network learns on all variants; else on those that the lasso selects, weighted by it.

    Returns
    -------
    Recipe
        Every choice made.
    """
    few = n_variants * FEW_LOCI <= n_samples
    if options.preset == "pub":
        recipe = Recipe("leaky_relu", "none", (1024, 1024), 1, False, False, 0.1, PUB_SCHEDULE)
        if options.weighting == "heredity":
            recipe = replace(recipe, weighting="heredity")
        return _apply(recipe, options)
    weighting = options.weighting if options.weighting != "auto" else ("none" if few else "heredity")
    thorough = options.preset == "thorough"
    if options.network in ("auto", "quadratic"):
        if weighting == "none":
            recipe = Recipe(
                "quadratic", weighting, (512,), 4 if thorough else 1, True, True, 0.1, FEW_LOCI_SCHEDULE
            )
        else:
            recipe = Recipe(
                "quadratic",
                weighting,
                (128,),
                8 if thorough else 4,
                True,
                False,
                0.125,
                HEREDITY_SCHEDULE,
                trait_hidden=16,
                trait_schedule=TRAIT_SCHEDULE,
            )
    else:
        skip = weighting == "none"
        recipe = Recipe(
            options.network, weighting, (256,), 4 if thorough else 1, True, skip, 0.1, GATED_SCHEDULE
        )
    return _apply(recipe, options)


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


def _apply(recipe: Recipe, options: TrainingOptions) -> Recipe:
    """The recipe with what the user set."""
    names = {field.name for field in fields(Schedule)}
    asked = {field.name: getattr(options, field.name) for field in fields(options)}
    given = {name: value for name, value in asked.items() if value is not None}
    schedule = replace(recipe.schedule, **{k: v for k, v in given.items() if k in names})
    # the trait-specific network has a rate and a penalty of its own
    shared = names - {"learning_rate", "weight_decay"}
    trait_schedule = replace(recipe.trait_schedule, **{k: v for k, v in given.items() if k in shared})
    direct = {
        k: v for k, v in given.items() if k in ("hidden", "members", "bias", "skip", "validation_fraction")
    }
    return replace(recipe, schedule=schedule, trait_schedule=trait_schedule, **direct)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise OptionError(f"{name} is {value!r}; choose one of {', '.join(known)}")


def _at_least(name: str, value: float | None, least: float) -> None:
    if value is not None and not value >= least:
        raise OptionError(f"{name} is {value}; give {least:g} or more")
