"""The network of one fold, made from its training samples by a recipe."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gp_elm.models.feed import Feed, choose_validation
from gp_elm.models.networks import GatedNetwork, QuadraticNetwork, TraitQuadraticNetwork, average_quadratic
from gp_elm.models.options import Recipe, Schedule
from gp_elm.models.prediction import FittedNetwork
from gp_elm.models.training import History, Targets, fit
from gp_elm.predictors.covariates import missing_patterns
from gp_elm.predictors.linear import LinearPredictor
from gp_elm.streaming.store import Store

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
WEIGHT_EXPONENT = 0.75
"""Power of the summed squared lasso coefficients that is the heredity weight of a locus (METHOD 8)."""
FALLBACK_LOCI = 32
"""Loci fed where the lasso selects none: those most correlated with any trait."""
_UNITS, _OUTPUT = 1.0, 0.1
_SHARED_UNITS, _SHARED_OUTPUT = 0.1, 1.0


@dataclass(frozen=True, eq=False)
class FoldSamples:
    """Training samples of a fold.

    Attributes
    ----------
    store : Store
        The genotypes.
    rows : ndarray of int64, shape (n,)
        Their rows in the store.
    traits : ndarray of float64, shape (n, T)
        Traits less covariates, NaN missing.
    groups : ndarray of int, shape (n,)
        Group of each sample.
    center, sd : ndarray of float64, shape (m,)
        Mean and standard deviation of each variant's dosage.
    """

    store: Store
    rows: Ints
    traits: Floats
    groups: NDArray[np.integer]
    center: Floats
    sd: Floats


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
    report: Report | None = None,
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
    report : callable, optional
        Told of the progress.

    Returns
    -------
    FittedNetwork
        The network.
    list of History
        One for each training loop.
    """
    trait_sd = np.nanstd(samples.traits, axis=0)
    trait_sd[~(trait_sd > 0)] = 1.0
    heredity = recipe.weighting == "heredity" and lasso is not None
    if heredity and lasso is not None:
        standardised = lasso.coefficients * samples.sd / trait_sd[:, None]
        columns, weight = heredity_weights(samples, standardised)
        target = samples.traits - lasso.predict(samples.store, samples.rows)
        effects = np.abs(standardised[:, columns])
    else:
        columns = np.flatnonzero(samples.sd > 0)
        weight = np.ones(len(columns))
        target = samples.traits
        effects = np.zeros((len(trait_sd), 0))
    shift = np.nan_to_num(np.nanmean(target, axis=0))
    scale = weight / samples.sd[columns]
    feed = Feed(
        samples.store,
        samples.rows,
        columns=columns,
        center=samples.center[columns],
        scale=scale,
        device=device,
        resident_bytes=resident_bytes,
    )
    job = _Job(feed, Targets((target - shift) / trait_sd, feed.device), samples, recipe, seed, report)
    if recipe.network == "quadratic" and heredity:
        modules = job.heredity_quadratic(effects / np.where(weight > 0, weight, 1.0))
    elif recipe.network == "quadratic":
        modules = job.few_loci_quadratic((target - shift) / trait_sd)
    else:
        modules = job.gated()
    network = FittedNetwork(
        columns=columns,
        center=samples.center[columns],
        input_scale=scale,
        modules=tuple(modules),
        output_scale=trait_sd,
        output_shift=shift,
        offset=lasso if heredity else None,
    )
    return network, job.histories


def heredity_weights(samples: FoldSamples, effects: Floats) -> tuple[Ints, Floats]:
    """Loci that the lasso selects for any trait, and their weights.

    Parameters
    ----------
    samples : FoldSamples
        Used where the lasso selects nothing.
    effects : ndarray of float64, shape (T, m)
        Lasso coefficients for standardised dosages and traits.

    Returns
    -------
    columns : ndarray of int64, shape (p,)
        Selected loci; the :data:`FALLBACK_LOCI` most correlated ones, equally weighted, where there are none.
    weight : ndarray of float64, shape (p,)
        (sum_t b_it^2)^.75, of root mean square 1.
    """
    strength = (effects**2).sum(axis=0) * (samples.sd > 0)
    columns = np.flatnonzero(strength)
    if len(columns):
        weight = strength[columns] ** WEIGHT_EXPONENT
        return columns, weight / np.sqrt(np.mean(weight**2))
    largest = np.max(np.abs(_correlations(samples)), axis=0, initial=0.0)
    columns = np.sort(np.argsort(-largest, kind="stable")[:FALLBACK_LOCI])
    columns = columns[samples.sd[columns] > 0]
    logger.info("the lasso selects no locus: the network gets the %d most correlated ones", len(columns))
    return columns, np.ones(len(columns))


class _Job:
    """Training loops of one fold over the same feed and targets."""

    def __init__(
        self,
        feed: Feed,
        targets: Targets,
        samples: FoldSamples,
        recipe: Recipe,
        seed: int,
        report: Report | None,
    ) -> None:
        self.feed, self.targets, self.recipe, self.seed, self.report = feed, targets, recipe, seed, report
        chosen = choose_validation(samples.groups, recipe.validation_fraction, seed)
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

        history = fit(
            module,
            self.feed,
            self.targets,
            self.train,
            self.validation,
            schedule,
            seed=self._seed(),
            sparse=sparse,
            report=tell,
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
        specific.initialise(self._generator(), units=_SHARED_UNITS, output=_SHARED_OUTPUT)
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


def _correlations(samples: FoldSamples) -> Floats:
    """Correlation of every trait with every variant, (T, m), missing values as the mean."""
    centred = np.nan_to_num(samples.traits - np.nanmean(samples.traits, axis=0))
    products = np.zeros((centred.shape[1], len(samples.center)))
    for start in range(0, len(samples.rows), 256):
        x = samples.store.block(samples.rows[start : start + 256], center=samples.center)
        products += centred[start : start + 256].T @ x
    spread = np.sqrt((centred**2).sum(axis=0))[:, None] * samples.sd * len(samples.rows) ** 0.5
    return np.divide(products, spread, out=np.zeros_like(products), where=spread > 0)
