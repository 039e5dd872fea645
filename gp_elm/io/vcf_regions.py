"""Regions as a user writes them, ``chr1:1000-2000,2``, and their meeting with windows of a file."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gp_elm.errors import InputError, OptionError
from gp_elm.io.vcf_index import LAST, Window

_PLACE = re.compile(r"(?P<name>.+):(?P<start>\d+)(?P<range>-(?P<stop>\d*))?")


def parse_regions(regions: str | Sequence[str] | None, contigs: Sequence[str]) -> list[Window] | None:
    """Read regions, sort them by chromosome and place, and join those that meet.

    Parameters
    ----------
    regions : str or sequence of str, optional
        ``name``, ``name:position``, ``name:start-stop`` or ``name:start-``, 1-based, both ends included; a string has
        them separated by commas.
    contigs : sequence of str
        Chromosomes of the header, which settle what a name with a colon in it means.

    Returns
    -------
    list of Window or None
        None where no region is given.

    Raises
    ------
    OptionError
        Where a region cannot be understood.
    """
    if regions is None:
        return None
    texts = regions.split(",") if isinstance(regions, str) else list(regions)
    found: dict[str, list[tuple[int, int]]] = {}
    for text in (text.strip() for text in texts):
        place = _PLACE.fullmatch(text)
        if text in contigs or (place is None and text and ":" not in text):
            name, start, stop = text, 1, LAST
        elif place is None:
            raise OptionError(
                f"--regions {text!r} is no region; write chr1, chr1:1000 or chr1:1000-2000, separated by commas"
            )
        else:
            name, start = place["name"], int(place["start"])
            stop = start if place["range"] is None else int(place["stop"] or LAST)
            if stop < start or start < 1:
                raise OptionError(
                    f"--regions {text!r}: give a first position from 1 and a last one behind it"
                )
        found.setdefault(name, []).append((start, stop))
    return [(name, *piece) for name, pieces in found.items() for piece in _joined(pieces)]


def _joined(pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(pieces):
        if joined and start <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        else:
            joined.append((start, stop))
    return joined


def within(windows: list[Window], regions: list[Window], path: str) -> list[Window]:
    """The part of each window that is in a region, in the order of the windows.

    Parameters
    ----------
    windows : list of Window
        Of a file, each chromosome covered.
    regions : list of Window
        From :func:`parse_regions`.
    path : str
        The file, for the message.

    Returns
    -------
    list of Window
        At least one.

    Raises
    ------
    InputError
        Where a region names a chromosome that has no records.
    """
    names = list(dict.fromkeys(name for name, _, _ in windows))
    for name, _, _ in regions:
        if name not in names:
            some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise InputError(f"{path}: no records of chromosome {name!r} (--regions); it has {some}")
    return [
        (name, max(start, first), min(stop, last))
        for name, start, stop in windows
        for named, first, last in regions
        if named == name and max(start, first) <= min(stop, last)
    ]
