"""Checks that text is text: NUL bytes, at which some parsers end a field without a word, and words of megabytes."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gp_elm.errors import InputError

LONGEST_WORD = 1_000
"""Characters of an id or of a value of a trait."""


class Readable(Protocol):
    """A stream of bytes, such as an open file or what a decompressor gives."""

    def read(self, size: int, /) -> bytes:
        """Give up to `size` bytes, none at the end."""
        ...


def refuse_nul(path: Path, stream: Readable | None = None) -> None:
    """Refuse a file that holds a NUL byte.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    stream : binary stream, optional
        Its content from the beginning, where it is not the file's own bytes; it is read to its end.

    Raises
    ------
    InputError
        Where there is one; the line is named.
    """
    if stream is None:
        with open(path, "rb") as raw:
            return refuse_nul(path, raw)
    line = 1
    while piece := stream.read(1 << 22):
        at = piece.find(b"\0")
        if at >= 0:
            line += piece.count(b"\n", 0, at)
            raise InputError(
                f"{path}:{line}: a NUL byte, which no text file holds; the file is damaged or not in UTF-8: copy it "
                "again, or save it as plain text"
            )
        line += piece.count(b"\n")


def short_text(values: ArrayLike, where: str) -> NDArray[np.str_]:
    """Make a fixed-width array of ids or values.

    Parameters
    ----------
    values : array_like (n,)
        Text.
    where : str
        The file, for messages.

    Returns
    -------
    ndarray of str (n,)
        The same.

    Raises
    ------
    InputError
        Where one is longer than `LONGEST_WORD`: an array as wide as that would take all the memory.
    """
    words = [str(value) for value in np.asarray(values, object)]
    longest = max(words, key=len, default="")
    if len(longest) > LONGEST_WORD:
        raise InputError(
            f"{where}: a word of {len(longest):,} characters, {longest[:20]!r}...; ids and values have at most "
            f"{LONGEST_WORD:,}: the file is damaged, copy it again, or shorten it"
        )
    return np.array(words, dtype=str)
