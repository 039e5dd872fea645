"""One training loop for every network: masked loss, averaged weights, early stopping on validation samples.

A loop can be left at any step and goes on from its last state with the same weights. Several processes can share its
batches, and a batch that does not fit the device is learnt in parts: both change the order of summation alone.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gp_elm.models.checkpoint import StateFile
from gp_elm.models.feed import Feed
from gp_elm.models.loop import History, Loop
from gp_elm.models.ranks import ALONE, Ranks
from gp_elm.models.recipe import Schedule
from gp_elm.models.targets import Targets

SMALL_STEP = 3e7
"""Multiplications of a step below which one thread trains: a second one gains nothing there, and waits for the first
where the machine is shared."""

Report = Callable[[int, float], None]
"""Called after each epoch with the epochs done since the last call and the validation loss."""


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
    state: StateFile | None = None,
    autocast: bool = False,
    ranks: Ranks = ALONE,
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
    state : StateFile, optional
        Where the state is kept, and found again.
    autocast : bool
        Whether the network is evaluated in bfloat16 while it learns; weights and losses stay in float32.
    ranks : Ranks
        The processes that share each batch; all of them call this with the same arguments.

    Returns
    -------
    History
        Validation losses.

    Raises
    ------
    NetworkError
        Where the loss becomes infinite or NaN in the first epoch, or the device is too small for one sample.
    KeyboardInterrupt
        On Ctrl-C, once the state is written.
    """
    multiplications = schedule.batch * sum(w.numel() for w in module.parameters())
    with _threads(multiplications), _interrupts(held_back=state is not None) as interrupted:
        loop = Loop(module, feed, targets, train, validation, schedule, seed, sparse, autocast, ranks)
        found = ranks.share(None if state is None else state.load())
        if found is not None:
            loop.restore(*found)
            if report is not None and loop.losses:
                report(schedule.epochs if loop.finished else len(loop.losses), loop.losses[-1])
        while not loop.finished:
            for _ in loop.steps():
                if state is not None and (state.due or interrupted()):
                    state.save(*loop.state())
                _stop(interrupted)
            finished = loop.judge()
            if report is not None:
                report(schedule.epochs - len(loop.losses) + 1 if finished else 1, loop.losses[-1])
            if state is not None and finished:
                state.save(*loop.state())
        _stop(interrupted)
        return loop.finish()


def _stop(interrupted: Callable[[], bool]) -> None:
    if interrupted():
        raise KeyboardInterrupt


@contextmanager
def _interrupts(*, held_back: bool) -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C back between two steps, where a state can be written; a second one stops at once."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    here = threading.current_thread() is threading.main_thread()
    # a shell lets its background jobs ignore Ctrl-C
    if not (held_back and here) or signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _threads(multiplications: float) -> Iterator[None]:
    """One torch thread within, where a step is small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if multiplications < SMALL_STEP else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
