"""One training loop for every network: masked loss, averaged weights, early stopping on validation samples."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from gp_elm.errors import NetworkError
from gp_elm.models.feed import Feed
from gp_elm.models.options import Schedule

logger = logging.getLogger(__name__)

Report = Callable[[int, float], None]
"""Called after each epoch with the epochs done since the last call and the validation loss."""


@dataclass(frozen=True)
class History:
    """Course of one training.

    Attributes
    ----------
    validation_loss : tuple of float
        After each epoch, for traits of unit variance.
    best_epoch : int
        Epoch whose weights were kept, from 0.
    """

    validation_loss: tuple[float, ...]
    best_epoch: int


class Targets:
    """Traits as a loss sees them: unit variance, missing values masked.

    Parameters
    ----------
    values : ndarray of float, shape (n, T)
        Targets, NaN missing.
    device : torch.device
        Where they go.
    """

    def __init__(self, values: NDArray[np.float64], device: torch.device | str = "cpu") -> None:
        measured = np.isfinite(values)
        self.values = torch.from_numpy(np.where(measured, values, 0.0).astype(np.float32)).to(device)
        complete = bool(measured.all())
        self.mask = None if complete else torch.from_numpy(measured.astype(np.float32)).to(device)

    def loss(self, output: Tensor, index: NDArray[np.int64], kind: str) -> tuple[Tensor, float]:
        """Sum of the losses of the samples ``index`` over measured traits, and how many values that is."""
        at = torch.from_numpy(index).to(self.values.device)
        error = output - self.values[at]
        count = float(error.numel())
        if self.mask is not None:
            mask = self.mask[at]
            error = error * mask
            count = max(float(mask.sum()), 1.0)
        return (error.square() if kind == "squared" else error.abs()).sum(), count


def fit(
    module: nn.Module,
    feed: Feed,
    targets: Targets,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    schedule: Schedule,
    *,
    seed: int,
    sparse: tuple[str, ...] = (),
    report: Report | None = None,
) -> History:
    """Train a network in place; it ends with the weights of its best epoch.

    Parameters
    ----------
    module : nn.Module
        The network, on the feed's device.
    feed : Feed
        Inputs.
    targets : Targets
        Traits of the feed's samples.
    train, validation : ndarray of int64
        Positions within the feed of the samples that are learnt from and of those that choose the epoch.
    schedule : Schedule
        The training.
    seed : int
        Seed of the order of the samples.
    sparse : tuple of str
        Names of the parameters that bear the absolute penalty ``l1``.
    report : callable, optional
        Told of every epoch.

    Returns
    -------
    History
        Validation losses.

    Raises
    ------
    NetworkError
        Where the loss becomes infinite or NaN in the first epoch.
    """
    parameters = dict(module.named_parameters())
    weights = list(parameters.values())
    optimiser = _optimiser(weights, schedule)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, patience=10) if schedule.plateau else None
    penalised = [parameters[name] for name in sparse] if schedule.l1 else []
    averages = [w.detach().clone() for w in weights] if schedule.ema else [w.detach() for w in weights]
    averaged = dict(zip(parameters, averages, strict=True))
    best = [a.clone() for a in averages]
    losses: list[float] = []
    best_epoch = 0
    for epoch in range(schedule.epochs):
        rate = schedule.l1
        for number, (index, z) in enumerate(
            feed.epoch(train, batch_size=schedule.batch, seed=seed, epoch=epoch)
        ):
            total, count = targets.loss(module(z), index, schedule.loss)
            loss = total / count
            if penalised:
                progress = (epoch + min(number * schedule.batch / len(train), 1.0)) / schedule.epochs
                rate = schedule.l1 * schedule.l1_ramp**progress
                loss = loss + rate * sum((w.abs().sum() for w in penalised), torch.zeros(()))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if schedule.ema:
                for average, weight in zip(averages, weights, strict=True):
                    average.lerp_(weight.detach(), 1 - schedule.ema)
        losses.append(_validation_loss(module, averaged, feed, targets, validation, schedule.loss))
        if not np.isfinite(losses[-1]):
            if epoch == 0:
                raise NetworkError("the loss is not finite after one epoch; give a smaller learning rate")
            logger.warning("the validation loss is no longer finite at epoch %d; training stops", epoch)
            losses.pop()
            break
        if epoch == 0 or losses[-1] < losses[best_epoch]:
            best_epoch = epoch
            for kept, average in zip(best, averages, strict=True):
                kept.copy_(average)
        if plateau is not None:
            plateau.step(losses[-1])
        stopping = bool(schedule.patience) and epoch - best_epoch >= schedule.patience
        if report is not None:
            report(schedule.epochs - epoch if stopping else 1, losses[-1])
        if stopping:
            break
    with torch.no_grad():
        for weight, kept in zip(weights, best, strict=True):
            weight.copy_(kept)
    return History(tuple(losses), best_epoch)


def _optimiser(weights: list[nn.Parameter], schedule: Schedule) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if schedule.optimiser == "adamw" else torch.optim.Adam
    return kind(weights, lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True)


def _validation_loss(
    module: nn.Module,
    weights: dict[str, Tensor],
    feed: Feed,
    targets: Targets,
    validation: NDArray[np.int64],
    kind: str,
) -> float:
    total = count = 0.0
    with torch.no_grad():
        for index, z in feed.blocks(validation):
            part, values = targets.loss(functional_call(module, weights, (z,)), index, kind)
            total += float(part)
            count += values
    return total / max(count, 1.0)
