"""Predictions of REGENIE's first step, each chromosome left out in turn, matched to the samples of a cohort."""

from __future__ import annotations

import logging
import os
import zlib
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gp_elm.errors import InputError
from gp_elm.io.phenotypes import open_text

logger = logging.getLogger(__name__)

MISSING_WORDS = frozenset({"NA", "nan", "NaN", "."})


def read_loco(pred_list: str | os.PathLike[str], cohort: xr.Dataset) -> xr.DataArray:
    """Read the files that REGENIE's ``_pred.list`` names, for the traits of a cohort.

    Parameters
    ----------
    pred_list : path
        A line for each trait: its name and its ``.loco`` or ``.loco.gz`` file. A file that is not where the line says
        is looked for beside the list.
    cohort : xarray.Dataset
        A cohort with phenotypes. Samples are matched by ``FID_IID``.

    Returns
    -------
    xarray.DataArray
        ``(traits, chromosomes, samples)`` float64 with coordinates ``traits`` and ``chromosomes`` (names as in the
        file: 23 is X and the other sex chromosomes), NaN for a sample without a prediction. REGENIE writes them in
        standard deviations of the trait less its covariates, not in the trait's own units.

    Raises
    ------
    InputError
        Where a file or a trait is missing, a line is broken, or no sample is in both.
    """
    listed = _listed(Path(pred_list))
    traits = [str(name) for name in cohort["trait_id"].values]
    lacking = [name for name in traits if name not in listed]
    if lacking:
        raise InputError(
            f"{pred_list}: no line for trait {lacking[0]}, only for {', '.join(list(listed)[:8])}; give the list of "
            "the same traits, or choose traits with --traits"
        )
    position = _positions(cohort)
    values, chromosomes = [], None
    for name in traits:
        found, numbers = _read(listed[name], position, cohort.sizes["samples"], name)
        if chromosomes is not None and found != chromosomes:
            raise InputError(
                f"{listed[name]}: other chromosomes than in the file of {traits[0]}; run step 1 again"
            )
        chromosomes = found
        values.append(numbers)
    return xr.DataArray(
        np.stack(values),
        dims=("traits", "chromosomes", "samples"),
        coords={"traits": traits, "chromosomes": chromosomes},
    )


def loco_files(pred_list: str | os.PathLike[str]) -> list[Path]:
    """The list and every file that it names.

    Raises
    ------
    InputError
        Where one is not there.
    """
    return [Path(pred_list), *_listed(Path(pred_list)).values()]


def _listed(path: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    with open_text(path) as handle:
        try:
            lines = handle.read().splitlines()
        except (UnicodeDecodeError, EOFError, OSError, zlib.error) as error:
            raise InputError(f"{path}: not a text file; give REGENIE's _pred.list") from error
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2:
            raise InputError(
                f"{path}:{number}: {len(words)} words, but a line holds a trait and its .loco file; give REGENIE's "
                "_pred.list"
            )
        if words[0] in files:
            raise InputError(f"{path}:{number}: trait {words[0]} stands twice; keep one line for it")
        file = Path(words[1])
        places = [file, path.parent / file, path.parent / file.name]
        there = next((place for place in places if place.is_file()), None)
        if there is None:
            raise InputError(
                f"{path}:{number}: {words[1]} is not there; put it beside the list or mend the path"
            )
        files[words[0]] = there
    if not files:
        raise InputError(f"{path}: the list is empty; give REGENIE's _pred.list")
    return files


def _positions(cohort: xr.Dataset) -> dict[str, int]:
    """Position of each sample by FID_IID, where REGENIE takes a missing FID as 0 or as the IID."""
    sample = [str(word) for word in cohort[("sample_iid" if "sample_iid" in cohort else "sample_id")].values]
    family = (
        [str(word) for word in cohort["sample_family_id"].values]
        if "sample_family_id" in cohort
        else ["0"] * len(sample)
    )
    position = {f"{f}_{s}": k for k, (f, s) in enumerate(zip(family, sample, strict=True))}
    for k, (f, s) in enumerate(zip(family, sample, strict=True)):
        if f == "0":
            position.setdefault(f"{s}_{s}", k)
    return position


def _read(
    path: Path, position: dict[str, int], n_samples: int, trait: str
) -> tuple[list[str], NDArray[np.float64]]:
    chromosomes: list[str] = []
    rows: list[NDArray[np.float64]] = []
    try:
        with open_text(path) as handle:
            header = handle.readline().split()
            if not header or header[0] != "FID_IID":
                start = header[0] if header else ""
                raise InputError(
                    f"{path}:1: begins with {start!r} instead of FID_IID; give a .loco file of REGENIE"
                )
            at = np.array([position.get(word, -1) for word in header[1:]], dtype=np.int64)
            known = at >= 0
            if np.unique(at[known]).size < known.sum():
                raise InputError(f"{path}:1: a sample stands twice in the header; run step 1 again")
            if not known.any():
                raise InputError(
                    f"{path}:1: no sample is both here and in the genotypes; FID_IID is {header[1:2]} here and "
                    f"{next(iter(position))!r} there"
                )
            for number, line in enumerate(handle, start=2):
                words = line.split()
                if not words:
                    continue
                if len(words) != len(header):
                    raise InputError(
                        f"{path}:{number}: {len(words)} words, but the header has {len(header)}; write the file again"
                    )
                row = np.full(n_samples, np.nan)
                row[at[known]] = _numbers(np.array(words[1:], dtype=object)[known], f"{path}:{number}")
                chromosomes.append(words[0])
                rows.append(row)
    except (UnicodeDecodeError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); write the file again") from error
    if not rows or len(set(chromosomes)) < len(rows):
        raise InputError(f"{path}: a row for each chromosome is expected once; run step 1 again")
    values = np.stack(rows)
    n_missing = int(np.isnan(values).any(axis=0).sum())
    logger.info(
        "%s: predictions of %s without each of %d chromosomes; %d of %d samples have one, %d of the file are not in "
        "the cohort", path, trait, len(rows), n_samples - n_missing, n_samples, int((~known).sum()),
    )  # fmt: skip
    if n_missing == n_samples:
        raise InputError(
            f"{path}: no sample of the cohort has a prediction for every chromosome; run step 1 again"
        )
    if n_missing:
        logger.warning(
            "%s: %d samples have no prediction; the scan of %s leaves them out", path, n_missing, trait
        )
    return chromosomes, values


def _numbers(words: NDArray[np.object_], where: str) -> NDArray[np.float64]:
    try:
        values = np.array([np.nan if word in MISSING_WORDS else float(word) for word in words])
    except ValueError as error:
        raise InputError(f"{where}: a prediction is no number ({error}); write the file again") from error
    if np.isinf(values).any():
        raise InputError(f"{where}: a prediction is infinite; run step 1 again")
    return values
