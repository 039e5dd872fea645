"""The progress line: figures by a clock of our own."""

import io

import pytest

from gp_elm.runtime.progress import Progress, format_quantity, format_seconds


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_rate_and_time_left():
    clock = Clock()
    progress = Progress("Scanning", total=100, unit="variants", enabled=False, clock=clock)
    assert progress.seconds_left is None
    clock.now = 2.0
    progress.update(20, loss=0.5)
    assert progress.rate == 10
    assert progress.seconds_left == 8
    assert progress.line() == "Scanning:  20% of 100 variants, 10/s, 8 s left, loss 0.5"


def test_unknown_total():
    clock = Clock()
    progress = Progress("Reading", enabled=False, clock=clock)
    clock.now = 1.0
    progress.update(5)
    assert progress.seconds_left is None
    assert progress.line() == "Reading: 5, 5/s"


def test_silent_where_there_is_no_terminal():
    stream = io.StringIO()
    with Progress("Scanning", total=2, stream=stream) as progress:
        progress.update()
    assert stream.getvalue() == ""


def test_drawn_seldom_and_taken_away():
    stream, clock = io.StringIO(), Clock()
    with Progress("Scanning", total=1000, stream=stream, enabled=True, interval=1, clock=clock) as progress:
        for _ in range(1000):
            clock.now += 0.01
            progress.update()
    assert stream.getvalue().count("Scanning") == 10
    assert stream.getvalue().endswith("\r")


def test_track_counts_what_is_done():
    progress = Progress("Blocks", total=6, enabled=False)
    assert list(progress.track([1, 2, 3], amount=float)) == [1, 2, 3]
    assert progress.done == 6


@pytest.mark.parametrize(
    ("seconds", "text"), [(8.4, "8 s"), (59.7, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_format_seconds(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (950.4, "950"), (12_340, "12.3 k"), (999_900, "1 M"), (4.56e6, "4.56 M"), (2e10, "20 G")],
)
def test_format_quantity(value, text):
    assert format_quantity(value) == text
