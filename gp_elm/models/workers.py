"""``torchrun -m gp_elm``: the first process runs the command, the others join its training loops, and only those."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable

import torch.distributed as dist

from gp_elm.models.feed import Feed
from gp_elm.models.ranks import Inputs, Ranks, join_ranks
from gp_elm.models.targets import Targets
from gp_elm.models.training import fit
from gp_elm.streaming.store import open_store


def run_among_ranks(command: Callable[[], None]) -> None:
    """Run a command in the first process; the others train with it until it is done.

    Only the first reads the cohort, writes files and draws progress.

    Parameters
    ----------
    command : callable
        The command; it may end in SystemExit. After a failure ``torchrun`` ends the others.
    """
    ranks = join_ranks()
    if ranks.rank == 0:
        code: object = None
        try:
            command()
        except SystemExit as end:
            code = end.code
        if code:
            raise SystemExit(code)
        ranks.share(None)
    else:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process says when to stop
        logging.getLogger("gp_elm").setLevel(logging.ERROR)
        _serve(ranks)
    dist.destroy_process_group()


def _serve(ranks: Ranks) -> None:
    feed: Feed | None = None
    while (message := ranks.receive()) is not None:
        if isinstance(message, Inputs):
            feed = Feed(open_store(message.store), message.rows, device=message.device, **message.feed)
            targets = Targets(message.targets, feed.device)
        elif feed is not None:
            module, train, validation, schedule, given = message
            fit(module.to(feed.device), feed, targets, train, validation, schedule, ranks=ranks, **given)
