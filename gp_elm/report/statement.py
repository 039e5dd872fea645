"""One statement of the verdict."""

from typing import NamedTuple


class Statement(NamedTuple):
    """A sentence of the verdict, how to take it (``yes``, ``no``, ``caution`` or ``info``), and figures behind it."""

    mood: str
    text: str
    detail: str = ""
