"""Lists of samples or variants, one id a line, and of pairs of variants."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from gp_elm.errors import InputError
from gp_elm.io.phenotypes import FAMILY_NAMES, SAMPLE_NAMES, read_text


def read_ids(source: str | os.PathLike[str] | Sequence[str]) -> tuple[str, list[tuple[str, str]]]:
    """Read a list of samples or variants.

    Parameters
    ----------
    source : path or sequence of str
        A file with an id, or FID and IID, at the start of each line, with or without a header; or the ids.

    Returns
    -------
    name : str
        Path of the file, for messages.
    ids : list of (str, str)
        First and second word of each line; the second is empty where there is one word.

    Raises
    ------
    InputError
        Where the file is missing or empty.
    """
    if not isinstance(source, str | os.PathLike):
        return "the list", [(str(word), "") for word in source]
    lines = read_text(Path(source)).split("\n")
    fields = [words for line in lines if (words := line.replace(",", " ").split())]
    header = fields[0][0].lower() if fields else ""
    if header in FAMILY_NAMES | SAMPLE_NAMES:
        fields = fields[1:]
    two = header not in SAMPLE_NAMES
    ids = [(words[0], words[1] if two and len(words) > 1 else "") for words in fields]
    if not ids:
        raise InputError(f"{source}: the list is empty; write one id on each line")
    return str(source), ids


def read_pairs(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a list of pairs: a table with columns ``variant_id_1`` and ``variant_id_2``, any separator.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    pandas.DataFrame
        Its columns as text.

    Raises
    ------
    InputError
        Where it cannot be read, or a column is missing.
    """
    text = read_text(Path(path))
    try:
        listed = pd.read_csv(io.StringIO(text), sep=None, engine="python", dtype=str)
    except (ValueError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: cannot be read as a list of pairs ({reason}); give a table with variant_id_1 and variant_id_2"
        ) from error
    for name in ("variant_id_1", "variant_id_2"):
        if name not in listed.columns:
            raise InputError(
                f"{path}:1: no column {name!r}; a list of pairs has variant_id_1 and variant_id_2"
            )
    return listed
