"""A process of its own for what may crash or hang, with bounded memory."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from typing import Any

Work = Callable[..., tuple[str, Any]]

GIGABYTES = 6


class Child:
    """A process that works on one task after the other; a crash or a hang costs the process, not the harness.

    Parameters
    ----------
    work : callable
        A function of a module; gives a word and a result that can be pickled.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._work), daemon=True)
        self._process.start()
        theirs.close()

    def send(self, *task: Any) -> None:
        """Have `work` called with these arguments."""
        self._pipe.send(task)

    def receive(self, seconds: float) -> tuple[str, Any]:
        """What came of it, within so many seconds."""
        try:
            if self._pipe.poll(seconds):
                return self._pipe.recv()
            self._process.kill()
            words = f"hang: no answer within {seconds:.0f} s"
        except (EOFError, ConnectionError):
            self._process.join()
            words = ""
        self._process.join()
        code = self._process.exitcode or 0
        words = words or f"crash: {signal.Signals(-code).name if code < 0 else f'exit code {code}'}"
        self._start()
        return "fault", words

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(2)
        self._process.kill()
        self._process.join()


def _serve(pipe: Any, work: Work) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (GIGABYTES << 30,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable(logging.CRITICAL)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # htslib talks
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            pipe.send(work(*pipe.recv()))
