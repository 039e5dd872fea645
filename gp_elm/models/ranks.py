"""Processes that train one network together: each learns from its part of every batch, gradients are summed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import nn

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together.

    Attributes
    ----------
    rank : int
        Its number, from 0.
    size : int
        How many there are.
    """

    rank: int = 0
    size: int = 1

    def share(self, value: T) -> T:
        """The first process's value, in all of them."""
        if self.size == 1:
            return value
        held = [value]
        dist.broadcast_object_list(held, src=0, device=torch.device("cpu"))
        return held[0]

    def receive(self) -> Any:
        """What the first process shares."""
        return self.share(None)

    def add_gradients(self, weights: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its sum over the processes; a process without samples adds 0."""
        if self.size == 1:
            return
        weights = list(weights)
        flat = torch.cat([(w.new_zeros(w.shape) if w.grad is None else w.grad).reshape(-1) for w in weights])
        dist.all_reduce(flat)
        for weight, part in zip(weights, flat.split([w.numel() for w in weights]), strict=True):
            weight.grad = part.view(weight.shape)

    def totals(self, *values: float) -> tuple[float, ...]:
        """Each value summed over the processes."""
        if self.size == 1:
            return values
        summed = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(summed)
        return tuple(summed.tolist())


ALONE = Ranks()
_WAIT = timedelta(days=30)  # the others wait while the first converts, scans and fits the linear models
_current = ALONE


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a process makes a fold's inputs and targets from.

    Attributes
    ----------
    store : Path
        Folder of the genotypes, on a file system that all processes see.
    rows : ndarray of int64, shape (n,)
        Rows of the store.
    feed : dict
        The feed's other arguments.
    device : str
        Kind of device; each process has its own of that kind.
    targets : ndarray of float64, shape (n, T)
        NaN missing.
    """

    store: Path
    rows: NDArray[np.int64]
    feed: dict[str, Any]
    device: str
    targets: NDArray[np.float64]


def current_ranks() -> Ranks:
    """The processes of :func:`join_ranks`; this one alone where it was not called."""
    return _current


def join_ranks() -> Ranks:
    """Join the processes that ``torchrun`` started."""
    global _current
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=_WAIT)
    _current = Ranks(dist.get_rank(), dist.get_world_size())
    return _current
