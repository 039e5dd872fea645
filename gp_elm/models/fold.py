"""The network of one fold, made from its training samples by a recipe."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gp_elm.errors import OptionError
from gp_elm.models.checkpoint import Unfinished
from gp_elm.models.feed import Feed
from gp_elm.models.heredity import HeredityWeights, heredity_weights
from gp_elm.models.loop import History
from gp_elm.models.networks import GatedNetwork, QuadraticNetwork, TraitQuadraticNetwork, average_quadratic
from gp_elm.models.prediction import FittedNetwork
from gp_elm.models.ranks import Inputs, current_ranks
from gp_elm.models.recipe import Recipe, Schedule
from gp_elm.models.samples import FoldSamples
from gp_elm.models.targets import Targets
from gp_elm.models.training import fit
from gp_elm.predictors.covariates import missing_patterns
from gp_elm.predictors.linear import LinearPredictor
from gp_elm.streaming.sampler import validation_rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_UNITS, _OUTPUT = 1.0, 0.1
# near zero: a half square starts flat, and early stopping keeps most units there (chosen by inner validation, yeast)
_SHARED_UNITS, _SHARED_OUTPUT = 0.1, 0.3
_TRAIT_UNITS, _TRAIT_OUTPUT = 0.1, 1.0


Report = Callable[[float, float], None]
"""Told the share of the fold's training done since the last call, and the validation loss."""


def train_network(
    samples: FoldSamples,
    recipe: Recipe,
    *,
    seed: int,
    lasso: LinearPredictor | None = None,
    device: torch.device | str = "cpu",
    resident_bytes: int = 256 << 20,
    autocast: bool = False,
    report: Report | None = None,
    unfinished: Unfinished | None = None,
) -> tuple[FittedNetwork, list[History]]:
    """Train a fold's network.

    Parameters
    ----------
    samples : FoldSamples
        What it may see.
    recipe : Recipe
        Network and training.
    seed : int
        Seed of the weights, the validation samples and the order of the samples.
    lasso : LinearPredictor, optional
        Fitted to the same samples; needed for heredity weighting.
    device : torch.device
        Where to train.
    resident_bytes : int
        Largest size of decoded inputs that are kept.
    autocast : bool
        Whether the networks are evaluated in bfloat16 while they learn.
    report : callable, optional
        Told of the progress.
    unfinished : Unfinished, optional
        Where the training loops are kept, and taken up again.

    Returns
    -------
    FittedNetwork
        The network.
    list of History
        One for each training loop.
    """
    trait_sd = np.nanstd(samples.traits, axis=0)
    trait_sd[~(trait_sd > 0)] = 1.0
    if recipe.weighting == "heredity":
        if lasso is None:
            raise OptionError(
                "heredity weighting needs the lasso of the same samples; give lasso=fit_lasso(...)"
            )
        weights = heredity_weights(samples, lasso.coefficients * samples.sd / trait_sd[:, None])
        target = samples.traits - lasso.predict(samples.store, samples.rows)
    else:
        lasso = None
        varying = np.flatnonzero(samples.sd > 0)
        weights = HeredityWeights(varying, np.ones(len(varying)), np.ones((len(trait_sd), len(varying))))
        target = samples.traits
    columns = weights.columns
    shift = np.nan_to_num(np.nanmean(target, axis=0))
    scale = weights.shared / samples.sd[columns]
    given: dict[str, Any] = {
        "columns": columns,
        "center": samples.center[columns],
        "scale": scale,
        "resident_bytes": resident_bytes,
    }
    feed = Feed(samples.store, samples.rows, device=device, **given)
    target = (target - shift) / trait_sd
    # the other processes make the same inputs, and join in each training loop
    current_ranks().share(Inputs(samples.store.path, samples.rows, given, feed.device.type, target))
    job = _Job(feed, Targets(target, feed.device), samples, recipe, seed, autocast, report, unfinished)
    if recipe.network != "quadratic":
        modules = job.gated()
    elif recipe.weighting == "heredity":
        modules = job.heredity_quadratic(weights.by_trait / weights.shared)
    else:
        modules = job.few_loci_quadratic(target)
    network = FittedNetwork(
        columns=columns,
        center=samples.center[columns],
        input_scale=scale,
        modules=tuple(modules),
        output_scale=trait_sd,
        output_shift=shift,
        offset=lasso,
    )
    return network, job.histories


class _Job:
    """Training loops of one fold over the same feed and targets."""

    def __init__(
        self,
        feed: Feed,
        targets: Targets,
        samples: FoldSamples,
        recipe: Recipe,
        seed: int,
        autocast: bool,
        report: Report | None,
        unfinished: Unfinished | None,
    ) -> None:
        self.feed, self.targets, self.recipe, self.seed = feed, targets, recipe, seed
        self.autocast, self.report, self.unfinished = autocast, report, unfinished
        fraction = recipe.validation_fraction
        chosen = validation_rows(samples.groups, len(samples.rows), seed=seed, fraction=fraction)
        self.validation, self.train = np.flatnonzero(chosen), np.flatnonzero(~chosen)
        self.loops = recipe.members + (1 if recipe.trait_hidden else 0)
        self.histories: list[History] = []
        self.n_traits = targets.values.shape[1]

    def fit(self, module: nn.Module, schedule: Schedule, sparse: tuple[str, ...] = ()) -> None:
        """One training loop, with a seed of its own."""
        share = 1.0 / (self.loops * schedule.epochs)

        def tell(epochs: int, loss: float) -> None:
            if self.report is not None:
                self.report(epochs * share, loss)

        ranks = current_ranks()
        given: dict[str, Any] = {"seed": self._seed(), "sparse": sparse, "autocast": self.autocast}
        if ranks.size > 1:
            ranks.share((copy.deepcopy(module).cpu(), self.train, self.validation, schedule, given))
        state = None if self.unfinished is None else self.unfinished.loop(len(self.histories))
        history = fit(
            module,
            self.feed,
            self.targets,
            self.train,
            self.validation,
            schedule,
            report=tell,
            state=state,
            ranks=ranks,
            **given,
        )
        self.histories.append(history)

    def _seed(self) -> int:
        # another stream for each loop of each fold
        return int(np.random.SeedSequence([self.seed, len(self.histories)]).generate_state(1)[0])

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed())

    def few_loci_quadratic(self, target: Floats) -> list[nn.Module]:
        """Linear skip started at least squares, products of free branches under a growing absolute penalty."""
        linear, constant = _least_squares(self.feed, target, self.train)
        networks = []
        for _ in range(self.recipe.members):
            network = QuadraticNetwork(len(self.feed.columns), self.n_traits, self.recipe.hidden[0])
            network.initialise(self._generator(), units=_UNITS, output=_OUTPUT)
            with torch.no_grad():
                if network.linear is not None:
                    network.linear.copy_(torch.from_numpy(linear))
                network.constant.copy_(torch.from_numpy(constant))
            network.to(self.feed.device)
            self.fit(network, self.recipe.schedule, sparse=("u", "v"))
            networks.append(network.cpu())
        return [average_quadratic(networks, [1 / len(networks)] * len(networks))]

    def heredity_quadratic(self, trait_weight: Floats) -> list[nn.Module]:
        """Mean of the shared networks, averaged with the network of trait-specific units."""
        recipe = self.recipe
        shared = []
        for _ in range(recipe.members):
            network = QuadraticNetwork(
                len(self.feed.columns), self.n_traits, recipe.hidden[0], tied=True, skip=False
            )
            network.initialise(self._generator(), units=_SHARED_UNITS, output=_SHARED_OUTPUT)
            self.fit(network.to(self.feed.device), recipe.schedule)
            shared.append(network.cpu())
        if not recipe.trait_hidden:
            return [average_quadratic(shared, [1 / len(shared)] * len(shared))]
        weight = torch.from_numpy(trait_weight.astype(np.float32))
        specific = TraitQuadraticNetwork(weight, recipe.trait_hidden)
        specific.initialise(self._generator(), units=_TRAIT_UNITS, output=_TRAIT_OUTPUT)
        self.fit(specific.to(self.feed.device), recipe.trait_schedule)
        networks = [*shared, specific.cpu().as_quadratic()]
        return [average_quadratic(networks, [0.5 / len(shared)] * len(shared) + [0.5])]

    def gated(self) -> list[nn.Module]:
        """Members of a multilayer network."""
        recipe = self.recipe
        networks: list[nn.Module] = []
        for _ in range(recipe.members):
            network = GatedNetwork(
                len(self.feed.columns),
                self.n_traits,
                recipe.hidden,
                gate=recipe.network,
                bias=recipe.bias,
                skip=recipe.skip,
            )
            network.initialise(self._generator())
            self.fit(network.to(self.feed.device), recipe.schedule)
            networks.append(network.cpu().eval())
        return networks


def _least_squares(feed: Feed, target: Floats, index: Ints) -> tuple[Floats, Floats]:
    """Ordinary least squares of each trait on all inputs: coefficients (T, p) and intercepts (T,).

    Traits with the same missing samples share a system; a trace of ridge keeps collinear inputs apart.
    """
    inputs, traits = len(feed.columns), target.shape[1]
    measured = np.isfinite(target)
    patterns = missing_patterns(measured)
    gram = np.zeros((len(patterns), inputs + 1, inputs + 1))
    cross = np.zeros((inputs + 1, traits))
    for at, z in feed.blocks(index):
        x = np.concatenate([np.ones((len(at), 1)), z.cpu().numpy()], axis=1, dtype=np.float64)
        cross += x.T @ np.where(measured[at], target[at], 0.0)
        for k, (mask, _) in enumerate(patterns):
            gram[k] += x[mask[at]].T @ x[mask[at]]
    solution = np.zeros((inputs + 1, traits))
    for k, (_, mine) in enumerate(patterns):
        ridge = 1e-6 * np.trace(gram[k]) / (inputs + 1) * np.eye(inputs + 1)
        solution[:, mine] = np.linalg.solve(gram[k] + ridge, cross[:, mine])
    return solution[1:].T.copy(), solution[0].copy()
