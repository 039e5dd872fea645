"""A cohort saved as it is, as xarray's ``to_zarr`` saves any Dataset, and opened again without loss."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numcodecs import Blosc

from gp_elm.errors import InputError, OptionError
from gp_elm.io.blocks import Blocks, attach, default_chunk, source_blocks
from gp_elm.io.identity import text_array
from gp_elm.io.zarr_source import (
    PathLike,
    ZarrSource,
    aligned_chunk,
    check_target,
    open_store,
    warn_of_absent_blocks,
)
from gp_elm.runtime.atomic import atomic_path
from gp_elm.runtime.progress import Progress
from gp_elm.schema import MISSING, check_cohort

log = logging.getLogger(__name__)

DOSAGE, DIMS = "call_dosage", ("variants", "samples")

_PACKED, _FILL = ("scale_factor", "add_offset"), "_FillValue"


def open_zarr_cohort(path: PathLike, *, chunk_variants: int | None = None) -> xr.Dataset:
    """Open a cohort saved by :func:`save_cohort` or by ``cohort.to_zarr(path)``; no genotype is read.

    Parameters
    ----------
    path : path
        The Zarr folder; format 2 or 3.
    chunk_variants : int, optional
        Variants of a dask chunk; by default about 16 MiB in whole chunks of the store.

    Returns
    -------
    xarray.Dataset
        What was saved: the same variables, dtypes and ``attrs``, with ``call_dosage`` lazy.

    Raises
    ------
    InputError
        Where there is no such store, it holds no cohort, or its numbers are packed (``scale_factor``).
    OptionError
        Where ``chunk_variants`` is below 1.
    """
    if chunk_variants is not None and chunk_variants < 1:
        raise OptionError(f"chunk_variants is {chunk_variants}; give at least 1")
    if os.path.isfile(path):
        raise InputError(f"{path}: a file, but a saved cohort is a folder; unzip it first")
    # format 3 has no final word on strings, which zarr says at each
    with open_store(path) as group, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # codes of missing values stay what they are: masking would turn int8 into floats
        saved = xr.open_zarr(
            os.fspath(path), chunks={}, consolidated=False, mask_and_scale=False, decode_timedelta=False
        )
        for name, variable in saved.variables.items():
            _check_plain(variable, f"{path}: {name}")
        loaded = _in_memory(saved)
        try:
            check_cohort(loaded)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        array = group[DOSAGE]
        warn_of_absent_blocks(path, array)
        shape = array.shape[0], array.shape[1]
        chunk = chunk_variants or aligned_chunk(array, shape[1], array.dtype.itemsize)
        source = ZarrSource(os.fspath(path), DOSAGE, shape, np.dtype(array.dtype))
    log.info("%s: %d samples, %d variants", path, shape[1], shape[0])
    cohort = attach(loaded.drop_vars(DOSAGE), Blocks.whole(source), chunk_variants=chunk)
    cohort[DOSAGE].attrs.update(loaded[DOSAGE].attrs)
    return cohort


def _check_plain(variable: xr.Variable, what: str) -> None:
    """Refuse numbers that are not what they stand for, since nothing is decoded."""
    codes = [key for key in _PACKED if key in variable.attrs]
    missing = variable.attrs.get(_FILL, np.nan)
    if variable.dtype.kind == "f" and not np.isnan(missing):
        codes.append(f"{_FILL} {missing}")
    if codes:
        raise InputError(f"{what} is encoded ({codes[0]}); save the cohort without that encoding")


def _in_memory(saved: xr.Dataset) -> xr.Dataset:
    """Everything but variables as large as the genotypes, without what only the store needed."""
    loaded = {}
    for name, variable in saved.variables.items():
        attrs = {key: value for key, value in variable.attrs.items() if key != _FILL}
        data = variable.data
        if name != DOSAGE and not set(DIMS) <= set(variable.dims):
            values = variable.to_numpy()
            data = text_array(values) if values.dtype.kind in "OT" else values
        loaded[name] = xr.Variable(variable.dims, data, attrs)
    return saved.assign(loaded).drop_encoding()


def save_cohort(cohort: xr.Dataset, path: PathLike, *, progress: Progress | None = None) -> Path:
    """Save a cohort with its traits, covariates and groups, block by block and atomically.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    path : path
        The folder, by custom ``NAME.zarr``. A Zarr store that is there is replaced.
    progress : Progress, optional
        Counts variants; by default one is drawn on a terminal.

    Returns
    -------
    pathlib.Path
        What was written: a Zarr store of format 2, compressed, which ``xarray.open_zarr`` opens too.

    Raises
    ------
    InputError
        Where the Dataset is no cohort.
    OutputError
        Where the place cannot be written to.
    """
    check_cohort(cohort)
    blocks = source_blocks(cohort)
    target = check_target(path, None if blocks is None else blocks.source.path)
    dosage = cohort[DOSAGE]
    n_variants, n_samples = dosage.shape
    chunk = max(1, min(default_chunk(n_samples * dosage.dtype.itemsize), n_variants))
    with atomic_path(target) as temporary:
        cohort.drop_vars(DOSAGE).drop_encoding().to_zarr(
            temporary, mode="w", zarr_format=2, consolidated=False
        )
        root = zarr.open_group(temporary, mode="r+", zarr_format=2)
        array: Any = root.create_array(
            DOSAGE,
            shape=dosage.shape,
            dtype=dosage.dtype,
            chunks=(chunk, max(n_samples, 1)),
            compressors=Blosc("zstd", 3, Blosc.BITSHUFFLE),
            # a block that gets lost reads as missing; xarray takes it for a code of missing values, as it should
            fill_value=MISSING if dosage.dtype.kind == "i" else np.nan,
            config={"write_empty_chunks": True},
        )
        array.attrs.update({**_plain(dosage.attrs), "_ARRAY_DIMENSIONS": list(DIMS)})
        with progress or Progress(f"Writing {target.name}", n_variants, unit="variants") as bar:
            for start in range(0, n_variants, chunk):
                stop = min(start + chunk, n_variants)
                array[start:stop] = (
                    blocks[start:stop, :] if blocks is not None else np.asarray(dosage[start:stop])
                )
                bar.update(stop - start)
        zarr.consolidate_metadata(root.store)
    log.info("%s: %d samples, %d variants written", path, n_samples, n_variants)
    return target


def _plain(attrs: dict[Any, Any]) -> dict[str, Any]:
    return {
        str(key): value.item() if isinstance(value, np.generic) else value for key, value in attrs.items()
    }
