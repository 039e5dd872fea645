"""Names of chromosomes without what some programs put before them."""

from __future__ import annotations

import re

_PADDED = re.compile(r"0+(\d+|X|Y|XY|M|MT)", re.IGNORECASE)


def bare_chromosome(name: str) -> str:
    """A name without ``chr``, and without zeros before a number, X, Y, XY or MT: ``chr01`` is ``1``, ``0X`` is ``X``.

    References
    ----------
    https://www.cog-genomics.org/plink/2.0/data#irreg_output: the names of ``--output-chr 0M``, which PLINK 2 reads so.
    """
    word = name[3:] if name[:3].lower() == "chr" and len(name) > 3 else name
    padded = _PADDED.fullmatch(word)
    return padded[1] if padded else word
