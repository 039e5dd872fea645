"""Oxford ``.sample`` files: ids, sex and a trait (https://www.cog-genomics.org/plink/2.0/formats#sample)."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gp_elm.errors import InputError
from gp_elm.io.identity import sample_variables
from gp_elm.io.plain_text import refuse_nul, short_text

log = logging.getLogger(__name__)

SEXES = {"1": 1, "M": 1, "m": 1, "male": 1, "2": 2, "F": 2, "f": 2, "female": 2}


def read_sample_file(path: Path) -> dict[str, NDArray]:
    """Samples of a ``.sample`` file.

    Parameters
    ----------
    path : Path
        The file: a line of names that starts with ``ID_1 ID_2`` or ``ID``, a line of types, a line for each sample.

    Returns
    -------
    dict
        As :func:`gp_elm.io.identity.sample_variables`, and ``fam_phenotype`` where one column alone is of type P or B.

    Raises
    ------
    InputError
        Where the file is missing or malformed, or ids repeat.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; check --sample")
    refuse_nul(path)
    # bytes are split at blanks and tabs alone, text at what Unicode takes for one too
    numbered = [
        (number, [word.decode(errors="replace") for word in words])
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
        if (words := line.split())
    ]
    if len(numbered) < 2 or not numbered[0][1][0].upper().startswith("ID"):
        raise InputError(
            f"{path}: no .sample file: the first line must start with ID_1 ID_2 or ID, the second with 0 0; "
            "give the .sample file written with the BGEN"
        )
    (_, names), (second, types) = numbered[:2]
    if len(types) != len(names) or types[0] != "0":
        raise InputError(f"{path}:{second}: {' '.join(types[:4])} is no line of column types; write it again")
    rows = numbered[2:]
    for number, fields in rows:
        if len(fields) != len(names):
            raise InputError(
                f"{path}:{number}: {len(fields)} columns, but the first line has {len(names)}; mend it"
            )
    if not rows:
        raise InputError(f"{path}: no sample; copy it again")
    columns = dict(zip(names, np.array([fields for _, fields in rows], object).T, strict=True))
    two_ids = len(names) > 1 and names[1].upper() in ("ID_2", "ID2")
    family = columns[names[0]] if two_ids else None
    sex = None
    if label := next((name for name in names if name.lower() == "sex"), None):
        sex = [SEXES.get(value, 0) for value in columns[label]]
    samples = sample_variables(family, columns[names[1] if two_ids else names[0]], sex, where=str(path))
    traits = [name for name, kind in zip(names, types, strict=True) if kind in ("P", "B")]
    if len(traits) == 1:
        samples["fam_phenotype"] = short_text(columns[traits[0]], str(path))
    elif traits:
        log.info("%s: %d traits (%s); give them with --pheno", path, len(traits), ", ".join(traits))
    return samples
