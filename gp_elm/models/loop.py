"""State of one training loop: its steps, what ends an epoch, and how it is written down and taken up again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from gp_elm.errors import NetworkError
from gp_elm.models.feed import BLOCK, Feed
from gp_elm.models.ranks import Ranks
from gp_elm.models.recipe import Schedule
from gp_elm.models.targets import Targets
from gp_elm.streaming.sampler import batch_bounds, share_of

logger = logging.getLogger(__name__)

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
_PLATEAU = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")


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


class Loop:
    """State of one training: ``len(losses)`` epochs done, ``step`` steps of the next."""

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
        autocast: bool,
        ranks: Ranks,
    ) -> None:
        self.module, self.feed, self.targets, self.schedule, self.seed = module, feed, targets, schedule, seed
        self.train, self.autocast, self.ranks = train, autocast, ranks
        self.validation = np.array_split(validation, ranks.size)[ranks.rank]
        parameters = dict(module.named_parameters())
        self.weights = list(parameters.values())
        kind = torch.optim.AdamW if schedule.optimiser == "adamw" else torch.optim.Adam
        rate, decay = schedule.learning_rate, schedule.weight_decay
        self.optimiser = kind(self.weights, lr=rate, weight_decay=decay, fused=True)
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimiser, patience=schedule.plateau)
        # the last process has a sample of every batch
        mine = schedule.l1 and ranks.rank == ranks.size - 1
        self.penalised = [parameters[name] for name in sparse] if mine else []
        # without averaging the average is the weights themselves
        self.average = [w.detach().clone() if schedule.ema else w.detach() for w in self.weights]
        self.named = dict(zip(parameters, self.average, strict=True))
        self.best = [average.clone() for average in self.average]
        self.best_epoch = self.step = 0
        self.losses: list[float] = []
        self.finished = False
        # what goes through the device at once
        self.part, self.block = schedule.batch, BLOCK

    def steps(self) -> Iterator[int]:
        """Learn from the batches of an epoch, from where it stands."""
        schedule, share = self.schedule, (self.ranks.rank, self.ranks.size)
        batches = self.feed.epoch(
            self.train,
            batch_size=schedule.batch,
            seed=self.seed,
            epoch=len(self.losses),
            first=self.step,
            share=share,
        )
        for index, z in batches:
            begin, end = share_of(0, len(index), share)
            self._gradients(index[begin:end], z, self.targets.count(index))
            self.ranks.add_gradients(self.weights)
            self.optimiser.step()
            if schedule.ema:
                for average, weight in zip(self.average, self.weights, strict=True):
                    average.lerp_(weight.detach(), 1 - schedule.ema)
            self.step += 1
            yield self.step

    def _gradients(self, index: NDArray[np.int64], z: Tensor, count: float) -> None:
        """Gradients of this process's part of a batch's mean loss over ``count`` values."""
        while True:
            self.optimiser.zero_grad()
            try:
                for start, stop in batch_bounds(len(index), self.part):
                    with torch.autocast(z.device.type, torch.bfloat16, enabled=self.autocast):
                        output = self.module(z[start:stop])
                    loss = self.targets.loss(output, index[start:stop], self.schedule.loss) / count
                    if self.penalised and start == 0:
                        loss = loss + self._penalty()
                    loss.backward()
                return
            except torch.cuda.OutOfMemoryError as error:
                self.part = self._halved(min(self.part, len(index)), error)

    def _penalty(self) -> Tensor | float:
        schedule = self.schedule
        progress = (len(self.losses) + self.step * schedule.batch / len(self.train)) / schedule.epochs
        strength = schedule.l1 * schedule.l1_ramp**progress
        return sum(strength * weight.abs().sum() for weight in self.penalised)

    def judge(self) -> bool:
        """End an epoch: validation loss, learning rate, best weights; returns whether it was the last one."""
        schedule, epoch = self.schedule, len(self.losses)
        self.losses.append(self._validate())
        self.step = 0
        if schedule.plateau:
            self.plateau.step(self.losses[-1])
        if epoch == 0 or self.losses[-1] < self.losses[self.best_epoch]:
            self.best_epoch = epoch
            for kept, average in zip(self.best, self.average, strict=True):
                kept.copy_(average)
        logger.debug("epoch %d: loss %.5f", epoch, self.losses[-1])
        finite = bool(np.isfinite(self.losses[-1]))
        if not finite:
            if epoch == 0:
                raise NetworkError("the loss is not finite after one epoch; give a smaller learning rate")
            logger.warning("the validation loss is no longer finite in epoch %d; training stops", epoch)
        stale = bool(schedule.patience) and epoch - self.best_epoch >= schedule.patience
        self.finished = not finite or stale or len(self.losses) == schedule.epochs
        return self.finished

    def _validate(self) -> float:
        while True:
            total = count = 0.0
            try:
                with torch.no_grad():
                    for index, z in self.feed.blocks(self.validation, self.block):
                        output = functional_call(self.module, self.named, (z,))
                        total += float(self.targets.loss(output, index, self.schedule.loss))
                        count += self.targets.count(index)
            except torch.cuda.OutOfMemoryError as error:
                self.block = self._halved(min(self.block, len(self.validation)), error)
            else:
                total, count = self.ranks.totals(total, count)
                return total / max(count, 1.0)

    def _halved(self, size: int, error: BaseException) -> int:
        device = self.feed.device
        if size < 2:
            raise NetworkError(
                f"{device} has too little memory for one sample of this network; give narrower --hidden or --device cpu"
            ) from error
        half = (size + 1) // 2
        logger.warning(
            "out of memory on %s: %d samples at a time instead of %d; a step still learns from the asked batch",
            device, half, size,
        )  # fmt: skip
        return half

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """All that the rest of the training depends on; of a finished one, its result."""
        values = {
            "finished": self.finished, "step": self.step, "losses": self.losses, "best_epoch": self.best_epoch,
            "rate": self.optimiser.param_groups[0]["lr"],
            "plateau": {name: getattr(self.plateau, name) for name in _PLATEAU},
        }  # fmt: skip
        arrays: dict[str, NDArray[Any]] = {}
        for k, weight in enumerate(self.weights):
            kept = {"best": self.best[k]}
            if not self.finished:
                kept |= {
                    "weight": weight.detach(),
                    "average": self.average[k],
                    **self.optimiser.state[weight],
                }
            arrays |= {f"{k}.{name}": tensor.cpu().numpy() for name, tensor in kept.items()}
        return arrays, values

    def restore(self, arrays: dict[str, NDArray[Any]], values: dict[str, Any]) -> None:
        """Go on from a state."""
        self.finished, self.step = values["finished"], values["step"]
        self.losses, self.best_epoch = values["losses"], values["best_epoch"]
        for name, value in values["plateau"].items():
            setattr(self.plateau, name, value)
        for k, best in enumerate(self.best):
            best.copy_(torch.from_numpy(arrays[f"{k}.best"]))
        if self.finished:
            return
        with torch.no_grad():
            for k, (weight, average) in enumerate(zip(self.weights, self.average, strict=True)):
                weight.copy_(torch.from_numpy(arrays[f"{k}.weight"]))
                average.copy_(torch.from_numpy(arrays[f"{k}.average"]))
        moments = {
            k: {name: torch.from_numpy(arrays[f"{k}.{name}"]) for name in _MOMENTS}
            for k in range(len(self.weights))
        }
        groups = self.optimiser.state_dict()["param_groups"]
        groups[0]["lr"] = values["rate"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})

    def finish(self) -> History:
        """Give the module the weights of its best epoch."""
        with torch.no_grad():
            for weight, kept in zip(self.weights, self.best, strict=True):
                weight.copy_(kept)
        return History(tuple(loss for loss in self.losses if np.isfinite(loss)), self.best_epoch)
