"""What the package warned of during a run, kept for its record and report."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def recorded_warnings() -> Iterator[list[str]]:
    """Collect what the package warns of, for the report."""
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler = Keep(level=logging.WARNING)
    package = logging.getLogger("gp_elm")
    package.addHandler(handler)
    try:
        yield found
    finally:
        package.removeHandler(handler)
