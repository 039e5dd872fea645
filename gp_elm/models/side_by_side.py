"""Folds trained side by side: each in a process of its own, with one thread or one GPU.

A network's step with few multiplications runs on one thread however many there are; the folds then fill the cores. The
process that trains a fold gets its job through a pipe, tells its progress through another, and ends when the first one
is closed, so that nothing goes on where the command was killed. It writes the fold where the command finds it.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Any

import numpy as np
import torch

from gp_elm import errors
from gp_elm.models.checkpoint import FittedFold
from gp_elm.models.fold_job import FoldJob, Linear
from gp_elm.models.ranks import current_ranks
from gp_elm.models.training import SMALL_STEP
from gp_elm.runtime.progress import Progress
from gp_elm.streaming.store import Store, open_store

logger = logging.getLogger("gp_elm")
_START = 20.0  # seconds of training that starting processes is worth
_STEP, _RATE = (
    5e-4,
    1e10,
)  # seconds of a small step besides its multiplications; multiplications and additions a second


class SideBySide:
    """Processes that train folds.

    Parameters
    ----------
    store : Store
        The genotypes.
    asked : int
        Folds at the same time; 0 leaves it to the cores and to the work.
    n_folds : int
        Number of folds.
    device : torch.device
        Where they are trained; each GPU takes one fold at a time.
    """

    def __init__(self, store: Store, asked: int, n_folds: int, device: torch.device) -> None:
        self.store, self.asked, self.device = store, asked, device
        self.gpus = torch.cuda.device_count() if device.type == "cuda" and device.index is None else 0
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        places = self.gpus if device.type == "cuda" else cores
        self.at_once = 1 if current_ranks().size > 1 else min(asked or places, n_folds)
        self._pool = ThreadPoolExecutor(max(self.at_once, 1))
        self._processes: list[subprocess.Popen[bytes]] = []
        self._waiting: dict[int, Future[FittedFold]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> SideBySide:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in self._processes:
                if process.poll() is None:  # it writes its state
                    process.send_signal(signal.SIGINT)
        self._pool.shutdown()

    def pays(self, job: FoldJob, linear: Linear) -> bool:
        """Whether a fold is trained in a process of its own, rather than here."""
        if self.at_once < 2 or job.place is None:
            return False
        if self.asked or self.gpus:
            return True
        recipe = job.recipe
        used = np.any(linear[0].coefficients != 0, axis=0) if recipe.weighting == "heredity" else job.sd > 0
        size = np.count_nonzero(used) * recipe.hidden[0] + sum(
            a * b for a, b in zip(recipe.hidden, recipe.hidden[1:], strict=False)
        )
        schedule = recipe.schedule
        if schedule.batch * size >= SMALL_STEP:
            return False
        # early stopping comes after some times its patience
        epochs = min(schedule.epochs, 4 * schedule.patience) if schedule.patience else schedule.epochs
        steps = recipe.members * epochs * len(job.rows) / schedule.batch
        return bool(steps * (_STEP + 6 * schedule.batch * size / _RATE) > _START)

    def train(self, k: int, job: FoldJob, bar: Progress) -> None:
        """Train a fold, when its turn comes."""
        if self.gpus:
            job = replace(job, options=replace(job.options, device=f"cuda:{k % self.gpus}"))
        self._waiting[k] = self._pool.submit(self._run, k, job, bar)

    def finished(self) -> dict[int, FittedFold]:
        """The folds, once all are trained."""
        return {k: future.result() for k, future in self._waiting.items()}

    def _run(self, k: int, job: FoldJob, bar: Progress) -> FittedFold:
        # a session of its own: Ctrl-C reaches it once, from here
        with subprocess.Popen(
            [sys.executable, "-m", "gp_elm.models.side_by_side"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            self._processes.append(process)
            assert process.stdin is not None and process.stdout is not None
            pickle.dump((self.store.path, logger.level, job), process.stdin)
            process.stdin.flush()
            for line in process.stdout:
                self._heard(json.loads(line), bar)
            code = process.wait()
        found = job.found() if code == 0 else None
        if found is None:
            raise RuntimeError(f"the process that trained fold {k} ended with code {code}")
        return found

    def _heard(self, said: list[Any], bar: Progress) -> None:
        kind, *values = said
        with self._lock:
            if kind == "done":
                bar.update(values[0], loss=values[1])
            elif kind == "log":
                logger.log(*values)
            else:
                raise getattr(errors, kind)(*values)


class _Sent(logging.Handler):
    """Messages of a fold's process, for the command to show."""

    def emit(self, record: logging.LogRecord) -> None:
        _tell("log", record.levelno, record.getMessage())


def _tell(*values: Any) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _ends_with_the_command() -> None:
    while os.read(0, 1 << 16):
        pass
    os._exit(1)


def main() -> int:
    """Train the fold whose job comes through standard input."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # from the command, even where that ignores it
    path, level, job = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_ends_with_the_command, daemon=True).start()
    logger.setLevel(level)
    logger.addHandler(_Sent())
    logger.propagate = False
    try:
        store = open_store(path)
        linear = job.unfinished.load_linear()
        job.train(store, linear, lambda share, loss: _tell("done", share, loss))
    except errors.GpElmError as error:
        _tell(type(error).__name__, str(error))
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
