"""The packed genotype store: sample-major rows, written once from the variant-major source.

A store is a folder. ``genotypes.bed`` (hard calls, two bits each, with ``.bim`` and ``.fam``) or ``dosages.bin`` (a
byte each) holds a row a sample, in the order of the sample ids; ``sums.npy`` what the moments of each variant are made
of; ``store.json`` shape, sample ids, identity of the cohort, fingerprint of the source.
``docs/reference/store.md`` describes the format and says why.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gp_elm.errors import InputError, OutputError
from gp_elm.kernels.codec import CALLS, DOSAGES
from gp_elm.runtime.atomic import atomic_path
from gp_elm.runtime.progress import Progress
from gp_elm.streaming.identity import cohort_identity, source_fingerprint
from gp_elm.streaming.opened import (
    DESCRIPTION,
    FORMAT,
    ROWS,
    SUMS,
    VERSION,
    Store,
    is_store,
    open_store,
    place_of,
)
from gp_elm.streaming.plink_names import write_names
from gp_elm.streaming.writing import write_rows

logger = logging.getLogger(__name__)

__all__ = ["Store", "cohort_identity", "ensure_store", "open_store", "write_store"]


def write_store(
    cohort: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    fingerprint: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    memory: int = 128 << 20,
) -> Store:
    """Write a cohort to a store, in one pass over the source with bounded memory.

    Hard calls take two bits. Imputed dosages (``call_dosage`` of floating point) take a byte, in steps of 1/127 of a
    copy: whole copies are exact, any other dosage is moved by at most 1/254.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort (:mod:`gp_elm.schema`); ``call_dosage`` may be lazy and is read in its own chunks of variants.
    path : path
        Folder to write. It appears only when complete, and replaces a store that is already there.
    fingerprint : mapping, optional
        What identifies the source (JSON values), kept in the store for :func:`ensure_store`; where none is given,
        the fingerprints of the files that the cohort was opened from.
    progress : Progress, optional
        Counts variants.
    memory : int
        Bytes for the strip of packed rows held before it goes to disk; a block of the source comes on top.

    Returns
    -------
    Store
        The store, open.

    Raises
    ------
    InputError
        Where a dosage is above 2.
    OutputError
        Where the folder cannot be written, or the disk has no place for it.
    """
    path = Path(path)
    dosage = cohort["call_dosage"]
    codec = DOSAGES if dosage.dtype.kind == "f" else CALLS
    name, header = ROWS[codec]
    sample_id = np.array(cohort["sample_id"].values, dtype=str)
    description = {
        "format": FORMAT,
        "version": VERSION,
        "bits": codec.bits,
        "n_samples": dosage.sizes["samples"],
        "n_variants": dosage.sizes["variants"],
        "identity": cohort_identity(cohort),
        "sample_id": sample_id.tolist(),
    }
    if path.exists() and not is_store(path):
        raise OutputError(f"{path} exists and is not a genotype store; remove it or choose another folder")
    # a file is hashed beside the writing, which waits for the disk or reads the same pages
    with ThreadPoolExecutor(1) as pool, atomic_path(path) as folder:
        hashed = pool.submit(dict if fingerprint else lambda: source_fingerprint(cohort))
        folder.mkdir()
        sums = write_rows(
            cohort, folder / name, codec, header, place_of(sample_id), progress=progress, memory=memory
        )
        np.save(folder / SUMS, sums)
        if codec is CALLS:
            write_names(cohort, (folder / name).with_suffix(""), np.argsort(sample_id, kind="stable"))
        description["fingerprint"] = dict(fingerprint or hashed.result())
        (folder / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
    return open_store(path)


def ensure_store(
    cohort: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    fingerprint: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Store:
    """Open the store at ``path`` if it was made from this cohort and source, else write it.

    Parameters
    ----------
    cohort, path, fingerprint, progress
        As in :func:`write_store`. A store is reused where its identity (samples, variants, alleles, ploidy) and its
        fingerprint are the ones given.

    Returns
    -------
    Store
        The store, open.
    """
    path = Path(path)
    wanted = json.loads(json.dumps(dict(fingerprint or source_fingerprint(cohort))))
    if is_store(path):
        try:
            store = open_store(path)
        except (InputError, OSError, KeyError) as error:
            logger.info("writing the genotype store %s again: %s", path, error)
        else:
            if store.fingerprint == wanted and store.identity == cohort_identity(cohort):
                logger.info("reusing the genotype store %s", path)
                return store
            logger.info(
                "writing the genotype store %s again: its source, samples or variants have changed", path
            )
    return write_store(cohort, path, fingerprint=wanted, progress=progress)
