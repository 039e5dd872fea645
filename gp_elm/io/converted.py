"""Genotypes of a format that is slow to read, converted once: a folder that opens lazily ever after.

The folder has ``genotypes.bed``, ``.bim`` and ``.fam`` (a valid PLINK 1 fileset) for hard calls, or ``dosage.zarr``
(variants, samples; compressed float32) with the same ``.bim`` and ``.fam``; and ``conversion.json``, which says what
it was made from.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from gp_elm.errors import OutputError
from gp_elm.io.bed import HEADER_BYTES, BedSource
from gp_elm.io.blocks import Blocks, Index, Source, attach
from gp_elm.io.identity import cohort_dataset, sample_variables, variant_variables
from gp_elm.runtime.provenance import fingerprint

log = logging.getLogger(__name__)

FORMAT, VERSION = "gp_elm converted genotypes", 1
DESCRIPTION = "conversion.json"
STEM = "genotypes"
DOSAGE = "dosage.zarr"


@dataclass(frozen=True)
class ZarrSource:
    """Dosages of the effect allele in a Zarr array (variants, samples) of float32, NaN missing.

    Attributes
    ----------
    path : str
        Folder of the array.
    shape : tuple of int
        Variants and samples.
    """

    path: str
    shape: tuple[int, int]
    dtype: np.dtype[Any] = np.dtype(np.float32)

    def read(self, variants: Index, samples: Index | None) -> NDArray[np.float32]:
        """Dosages of some variants (v,) and samples (all where None)."""
        import zarr  # slow to load

        array: Any = zarr.open_array(self.path, mode="r")
        if not len(variants):
            return np.empty((0, self.shape[1] if samples is None else len(samples)), np.float32)
        first, last = int(variants.min()), int(variants.max())
        if last - first + 1 == len(variants) and bool((np.diff(variants) == 1).all()):
            block = array[first : last + 1]
        else:
            block = array.oindex[variants, :]
        return np.ascontiguousarray(block if samples is None else block[:, samples], dtype=np.float32)

    def token(self) -> tuple[object, ...]:
        """What changes when the array is written again."""
        state = os.stat(Path(self.path) / "zarr.json")
        return os.path.abspath(self.path), state.st_size, state.st_mtime_ns, state.st_ino


def source_fingerprint(path: Path) -> dict[str, Any]:
    """What identifies the content of a file wherever it stands: its size and a hash of it, or of pieces of it."""
    return {name: value for name, value in fingerprint(path).items() if name != "name"}


def default_folder(path: Path, label: str) -> Path:
    """Where the conversion of a file goes: beside it, or in the user's cache where that cannot be written.

    Parameters
    ----------
    path : Path
        The file.
    label : str
        Name of the conversion among those of the file.

    Returns
    -------
    Path
        ``FILE.gp_elm/LABEL``, or a folder under ``$XDG_CACHE_HOME/gp_elm`` (``~/.cache/gp_elm``).
    """
    beside = Path(f"{os.fspath(path)}.gp_elm")
    if (beside / label / DESCRIPTION).is_file() or os.access(
        beside if beside.is_dir() else path.absolute().parent, os.W_OK
    ):
        return beside / label
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    where = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]
    return cache / "gp_elm" / f"{path.name}-{where}" / label


def reusable(folder: Path, made_from: dict[str, Any]) -> dict[str, Any] | None:
    """Description of a conversion that is whole and was made from this source with these options.

    Parameters
    ----------
    folder : Path
        Where it may stand.
    made_from : dict
        Fingerprint and options, as given to :func:`write_description`.

    Returns
    -------
    dict or None
        None where it has to be made.

    Raises
    ------
    OutputError
        Where something else stands there.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    try:
        found = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        ours = found["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise OutputError(f"{folder}: something else stands there; choose another folder for the conversion")
    if found.get("version") != VERSION or found.get("made_from") != made_from or not _whole(folder, found):
        log.info("%s: made from another file or with other options, or incomplete; converting again", folder)
        return None
    return dict(found)


def _whole(folder: Path, found: dict[str, Any]) -> bool:
    n_samples, n_variants = len(found["samples"]), found["n_variants"]
    if (
        not (folder / f"{STEM}.bim").is_file()
        or (folder / f"{STEM}.bim").stat().st_size != found["bim_bytes"]
    ):
        return False
    if found["dosages"]:
        return (folder / DOSAGE / "zarr.json").is_file()
    bed = folder / f"{STEM}.bed"
    return bed.is_file() and bed.stat().st_size == HEADER_BYTES + n_variants * ((n_samples + 3) // 4)


def write_description(
    folder: Path, made_from: dict[str, Any], samples: Sequence[str], n_variants: int, counts: dict[str, int]
) -> dict[str, Any]:
    """Write the sample file and the description: the last step of a conversion.

    Parameters
    ----------
    folder : Path
        Holds the genotypes and the table of variants.
    made_from : dict
        Fingerprint of the source, and options.
    samples : sequence of str
        Sample ids.
    n_variants : int
        Rows written.
    counts : dict
        What was read and left out.

    Returns
    -------
    dict
        The description.
    """
    with open(folder / f"{STEM}.fam", "w", encoding="utf-8", newline="\n") as handle:
        for name in samples:
            # blanks would break the columns; the description keeps the name as it is
            handle.write(f"0\t{'_'.join(name.split())}\t0\t0\t0\t-9\n")
    description = {
        "format": FORMAT,
        "version": VERSION,
        "made_from": made_from,
        "dosages": (folder / DOSAGE).is_dir(),
        "n_variants": n_variants,
        "bim_bytes": (folder / f"{STEM}.bim").stat().st_size,
        "counts": counts,
        "samples": list(samples),
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1, ensure_ascii=False), encoding="utf-8")
    return description


def open_converted(
    folder: Path, description: dict[str, Any], sources: dict[str, str], chunk_variants: int | None
) -> xr.Dataset:
    """Open a conversion as a lazy cohort.

    Parameters
    ----------
    folder : Path
        Where it stands.
    description : dict
        From :func:`reusable` or :func:`write_description`.
    sources : dict
        Files to name in ``attrs``, by kind.
    chunk_variants : int, optional
        Variants of a dask chunk.

    Returns
    -------
    xarray.Dataset
        A cohort (:mod:`gp_elm.schema`).
    """
    frame = pd.read_csv(
        folder / f"{STEM}.bim", sep="\t", header=None, dtype={0: str, 1: str, 3: np.int64, 4: str, 5: str},
        usecols=[0, 1, 3, 4, 5], quoting=csv.QUOTE_NONE, keep_default_na=False,
    )  # fmt: skip
    variants = variant_variables(frame[0], frame[3].to_numpy(np.int64), frame[1], frame[4], frame[5])
    samples = sample_variables(None, description["samples"], None, where=next(iter(sources.values())))
    shape = (len(frame), len(description["samples"]))
    source: Source
    if description["dosages"]:
        source = ZarrSource(str(folder / DOSAGE), shape)
    else:
        source = BedSource(str(folder / f"{STEM}.bed"), shape)
    return attach(
        cohort_dataset(variants, samples, sources), Blocks.whole(source), chunk_variants=chunk_variants
    )
