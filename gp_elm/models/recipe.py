"""The complete recipe of a fold's network: what the user asked for, and for the rest what suits the cohort."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from gp_elm.errors import OptionError
from gp_elm.models.options import TrainingOptions

STEPS_AN_EPOCH = 10
"""Batches are made smaller until an epoch has that many: with one step an epoch, early stopping stops at once."""

SMALLEST_BATCH = 16

SAMPLES_A_VARIANT = 20
"""Samples a variant from which a cohort counts as having few loci and much data (METHOD 8)."""

MOST_LOCI = 4_000
"""Few loci at the most: the least squares that the linear skip starts from hold their Gram matrix (128 MB)."""


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
    plateau : int
        Epochs without a better validation loss after which the rate falls to a tenth; 0: never.
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
    plateau: int = 0
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


FEW_LOCI = Recipe(
    network="quadratic",
    weighting="none",
    hidden=(512,),
    members=1,
    bias=True,
    skip=True,
    validation_fraction=0.1,
    schedule=Schedule(learning_rate=2e-3, l1=1e-4, l1_ramp=60.0, ema=0.99, batch=128, epochs=72),
)
"""Few loci and much data: all variants, a linear skip, an absolute penalty that grows (METHOD 8)."""

HEREDITY = Recipe(
    network="quadratic",
    weighting="heredity",
    hidden=(128,),
    members=4,
    bias=True,
    skip=False,
    validation_fraction=0.125,
    schedule=Schedule(learning_rate=5e-4, weight_decay=4e-2, batch=256, epochs=160, patience=8),
    trait_hidden=16,
    trait_schedule=Schedule(learning_rate=1e-3, weight_decay=3e-2, batch=256, epochs=160, patience=8),
)
"""Wide cohorts: half squares on the lasso's loci (METHOD 8; penalties chosen by inner validation)."""

GATED = Recipe(
    network="gelu",
    weighting="none",
    hidden=(256,),
    members=1,
    bias=True,
    skip=True,
    validation_fraction=0.1,
    schedule=Schedule(
        optimiser="adamw", learning_rate=1e-3, weight_decay=1e-2, ema=0.99, batch=128, epochs=100, patience=12
    ),
)
"""A multilayer network with one of the usual gates."""

PUB = Recipe(
    network="leaky_relu",
    weighting="none",
    hidden=(1024, 1024),
    members=1,
    bias=False,
    skip=False,
    validation_fraction=0.05,
    schedule=Schedule(
        optimiser="adamw", weight_decay=1.0, batch=128, epochs=200, patience=30, plateau=10, loss="absolute"
    ),
)
"""The network and training of the pub (METHOD 9); it stopped on its test samples, this one on inner validation."""


def choose_recipe(options: TrainingOptions, *, n_samples: int, n_variants: int) -> Recipe:
    """Recipe for a cohort: the user's options, and for the rest what worked (METHOD 8).

    Parameters
    ----------
    options : TrainingOptions
        What the user asked for.
    n_samples, n_variants : int
        Training samples of a fold and variants of the cohort. With ``n_variants <= n_samples / 20``, at most 4,000, a
        quadratic network learns on all variants; else on those that the lasso selects, weighted by it.

    Returns
    -------
    Recipe
        Every choice made.
    """
    few = n_variants * SAMPLES_A_VARIANT <= n_samples and n_variants <= MOST_LOCI
    thorough = options.preset == "thorough"
    weighting = options.weighting
    if weighting == "auto":
        weighting = "none" if few or options.preset == "pub" else "heredity"
    network = "quadratic" if options.network == "auto" else options.network
    if options.preset == "pub":
        recipe = replace(PUB, weighting=weighting)
    elif network != "quadratic":
        recipe = replace(GATED, network=network, weighting=weighting, skip=weighting == "none")
    else:
        recipe = HEREDITY if weighting == "heredity" else FEW_LOCI
    if thorough:
        recipe = replace(recipe, members=max(4, 2 * recipe.members))
    recipe = replace(
        recipe,
        schedule=_fit_batch(recipe.schedule, n_samples),
        trait_schedule=_fit_batch(recipe.trait_schedule, n_samples),
    )
    if recipe.network == "quadratic" and options.hidden is not None and len(options.hidden) > 1:
        raise OptionError(
            f"hidden is {options.hidden}, but a quadratic network has one hidden layer; give one width"
        )
    return _apply(recipe, options)


def _fit_batch(schedule: Schedule, n_samples: int) -> Schedule:
    return replace(schedule, batch=min(schedule.batch, max(SMALLEST_BATCH, n_samples // STEPS_AN_EPOCH)))


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
