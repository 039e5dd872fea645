"""A progress line for long loops: share done, rate, time left, and a few figures such as the loss."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TextIO, TypeVar

T = TypeVar("T")


class Progress:
    """Progress of one loop, on one line of standard error; silent where that is no terminal.

    Parameters
    ----------
    label : str
        What is being done, such as ``"Training fold 2 of 5"``.
    total : float or None
        Number of units of the whole job; None where it is not known.
    unit : str
        Name of a unit, in the plural, such as ``"variants"``.
    stream : text file, optional
        Where to write; standard error by default.
    enabled : bool or None
        Whether to draw; None draws where `stream` is a terminal.
    interval : float
        Least number of seconds between two drawings.
    clock : callable
        Seconds as a float; another one can be given in tests.

    Examples
    --------
    >>> with Progress("Scanning", total=3, unit="variants", enabled=False) as progress:
    ...     for _ in range(3):
    ...         progress.update(1, loss=0.5)
    >>> progress.done
    3
    """

    def __init__(
        self,
        label: str,
        total: float | None = None,
        *,
        unit: str = "",
        stream: TextIO | None = None,
        enabled: bool | None = None,
        interval: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label = label
        self.total = total
        self.unit = unit
        self.done: float = 0
        self.fields: dict[str, object] = {}
        self._stream = sys.stderr if stream is None else stream
        self._enabled = self._stream.isatty() if enabled is None else enabled
        self._interval = interval
        self._clock = clock
        self._start = clock()
        self._drawn_at = float("-inf")
        self._width = 0

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    @property
    def rate(self) -> float:
        """Units per second so far; 0 before the first."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds still to go at the rate so far; None where it cannot be known."""
        if self.total is None or self.rate == 0:
            return None
        return max(self.total - self.done, 0) / self.rate

    def update(self, amount: float = 1, **fields: object) -> None:
        """Count `amount` more units as done, and show `fields` (name, figure) beside them."""
        self.done += amount
        self.fields.update(fields)
        self._draw()

    def line(self) -> str:
        """Return the line that stands for the present state."""
        unit = f" {self.unit}" if self.unit else ""
        if self.total:
            share = min(self.done / self.total, 1.0)
            parts = [f"{self.label}: {share:4.0%} of {self.total:,.0f}{unit}"]
        else:
            parts = [f"{self.label}: {self.done:,.0f}{unit}"]
        if self.rate > 0:
            parts.append(f"{format_quantity(self.rate)}/s")
        left = self.seconds_left
        if left is not None and self.total and self.done < self.total:
            parts.append(f"{format_seconds(left)} left")
        parts += [f"{name} {_figure(value)}" for name, value in self.fields.items()]
        return ", ".join(parts)

    def track(self, items: Iterable[T], amount: Callable[[T], float] = lambda item: 1) -> Iterator[T]:
        """Yield `items`, and count each, as `amount` of it units, once the caller is done with it."""
        with self:
            for item in items:
                yield item
                self.update(amount(item))

    def close(self) -> None:
        """Take the line away."""
        if self._enabled and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
        self._enabled = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _draw(self) -> None:
        now = self._clock()
        if not self._enabled or now - self._drawn_at < self._interval:
            return
        self._drawn_at = now
        line = self.line()
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)


def format_seconds(seconds: float) -> str:
    """Write a duration as people do: ``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_quantity(value: float) -> str:
    """Write a number in at most four characters and a suffix: ``950``, ``12.3 k``, ``4.56 M``."""
    for limit, divisor, suffix in (
        (1e3, 1.0, ""),
        (1e6, 1e3, " k"),
        (1e9, 1e6, " M"),
        (float("inf"), 1e9, " G"),
    ):
        if abs(value) < limit * 0.9995:
            return f"{value / divisor:.3g}{suffix}"
    return f"{value:.3g}"


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
