"""One training loop for every network: masked loss, averaged weights, early stopping on validation samples."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from gp_elm.errors import NetworkError
from gp_elm.models.feed import Feed
from gp_elm.models.recipe import Schedule

logger = logging.getLogger(__name__)

SMALL_STEP = 3e7
"""Multiplications of a step below which one thread trains: a second one gains nothing there, and waits for the first
where the machine is shared."""

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

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"best_epoch": self.best_epoch, "validation_loss": list(self.validation_loss)}


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
    with _threads(schedule.batch * sum(w.numel() for w in module.parameters())):
        loop = _Loop(module, feed, targets, train, validation, schedule, seed, sparse)
        for epoch in range(schedule.epochs):
            loop.learn(epoch)
            if not loop.finite:
                if epoch == 0:
                    raise NetworkError("the loss is not finite after one epoch; give a smaller learning rate")
                logger.warning("the validation loss is no longer finite in epoch %d; training stops", epoch)
            stopping = not loop.finite or (bool(schedule.patience) and loop.stale >= schedule.patience)
            if report is not None:
                report(schedule.epochs - epoch if stopping else 1, loop.losses[-1])
            if stopping:
                break
        return loop.finish()


class _Loop:
    """State of one training."""

    def __init__(
        self,
        module: nn.Module,
        feed: Feed,
        targets: Targets,
        train: NDArray[np.int64],
        validation: NDArray[np.int64],
        schedule: Schedule,
        seed: int,
        sparse: tuple[str, ...],
    ) -> None:
        self.module, self.feed, self.targets, self.schedule, self.seed = module, feed, targets, schedule, seed
        self.train, self.validation = train, validation
        parameters = dict(module.named_parameters())
        self.weights = list(parameters.values())
        kind = torch.optim.AdamW if schedule.optimiser == "adamw" else torch.optim.Adam
        rate, decay = schedule.learning_rate, schedule.weight_decay
        self.optimiser = kind(self.weights, lr=rate, weight_decay=decay, fused=True)
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimiser, patience=schedule.plateau)
        self.penalised = [parameters[name] for name in sparse] if schedule.l1 else []
        # without averaging the average is the weights themselves
        self.average = [w.detach().clone() if schedule.ema else w.detach() for w in self.weights]
        self.named = dict(zip(parameters, self.average, strict=True))
        self.best = [average.clone() for average in self.average]
        self.best_epoch = 0
        self.losses: list[float] = []

    @property
    def finite(self) -> bool:
        """Whether the last validation loss is."""
        return bool(np.isfinite(self.losses[-1]))

    @property
    def stale(self) -> int:
        """Epochs since the best one."""
        return len(self.losses) - 1 - self.best_epoch

    def learn(self, epoch: int) -> None:
        """One pass over the training samples and one over the validation samples."""
        schedule, started = self.schedule, time.perf_counter()
        batches = self.feed.epoch(self.train, batch_size=schedule.batch, seed=self.seed, epoch=epoch)
        for number, (index, z) in enumerate(batches):
            total, count = self.targets.loss(self.module(z), index, schedule.loss)
            loss = total / count
            if self.penalised:
                progress = (epoch + number * schedule.batch / len(self.train)) / schedule.epochs
                strength = schedule.l1 * schedule.l1_ramp**progress
                for weight in self.penalised:
                    loss = loss + strength * weight.abs().sum()
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            if schedule.ema:
                for average, weight in zip(self.average, self.weights, strict=True):
                    average.lerp_(weight.detach(), 1 - schedule.ema)
        self.losses.append(self._validate())
        if schedule.plateau:
            self.plateau.step(self.losses[-1])
        if epoch == 0 or self.losses[-1] < self.losses[self.best_epoch]:
            self.best_epoch = epoch
            for kept, average in zip(self.best, self.average, strict=True):
                kept.copy_(average)
        logger.debug("epoch %d: loss %.5f, %.2f s", epoch, self.losses[-1], time.perf_counter() - started)

    def finish(self) -> History:
        """Give the module the weights of its best epoch."""
        with torch.no_grad():
            for weight, kept in zip(self.weights, self.best, strict=True):
                weight.copy_(kept)
        return History(tuple(loss for loss in self.losses if np.isfinite(loss)), self.best_epoch)

    def _validate(self) -> float:
        total = count = 0.0
        with torch.no_grad():
            for index, z in self.feed.blocks(self.validation):
                output = functional_call(self.module, self.named, (z,))
                part, values = self.targets.loss(output, index, self.schedule.loss)
                total += float(part)
                count += values
        return total / max(count, 1.0)


@contextmanager
def _threads(multiplications: float) -> Iterator[None]:
    """One torch thread within, where a step is small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if multiplications < SMALL_STEP else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
