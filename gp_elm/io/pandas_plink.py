"""Genotypes that pandas-plink (or its fork for NumPy 2, pandas-plink-ng) reads: a user's array, or our own BED.

pandas-plink calls BIM column 5 ``a0`` and column 6 ``a1``; an array read with ``ref="a1"`` (its default) counts
column 6, one read with ``ref="a0"`` column 5. The array keeps no note of it, but while it is lazy its dask tasks do.

pandas-plink reads wrong genotypes where a chunk of samples does not start at a multiple of 4: it takes the two bits
of a call by the place in the chunk, not in the byte, so that every call of that chunk is another sample's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from gp_elm.errors import InputError, OptionError
from gp_elm.io.blocks import default_chunk
from gp_elm.io.identity import cohort_dataset, sample_variables, variant_variables
from gp_elm.io.optional import require
from gp_elm.schema import MISSING

log = logging.getLogger(__name__)

DIMS = ("sample", "variant")
NEEDED = {
    "iid": "sample",
    "chrom": "variant",
    "snp": "variant",
    "pos": "variant",
    "a0": "variant",
    "a1": "variant",
}
WHERE = "the pandas-plink array"

_READ = "_read_bed_chunk"
# what moves genotypes or makes them missing, but leaves the allele they count
_KEEPING = frozenset(
    {
        _READ,
        "from-value",
        "concatenate",
        "transpose",
        "getitem",
        "rechunk-merge",
        "rechunk-split",
        "rechunk-p2p",
    }
    | {"where", "array", "isnan", "invert", "astype"}
)


def from_pandas_plink(G: xr.DataArray, ref: str | None = None) -> xr.Dataset:
    """Take an array of ``pandas_plink.read_plink1_bin`` as a cohort, lazily.

    Parameters
    ----------
    G : xarray.DataArray
        dims ``sample, variant``, with the coords ``iid chrom snp pos a0 a1`` and, where there, ``fid gender trait``;
        chosen samples and variants, in any order, lazy or in memory. 0, 1, 2 and NaN (or -1 in integers).
    ref : {"a0", "a1"}, optional
        What ``read_plink1_bin`` was told. A lazy array tells it by itself; it must be given for one that was computed,
        loaded, or calculated with.

    Returns
    -------
    xarray.Dataset
        A cohort (:mod:`gp_elm.schema`) with ``call_dosage`` int8 (variants, samples) counting BIM column 5 (``a0``)
        whatever ``ref`` was, -1 missing; ``fam_phenotype`` holds the coord ``trait``.

    Raises
    ------
    InputError
        Where the array lacks a coord, its ``ref`` cannot be told, or its chunks made pandas-plink read wrong genotypes;
        when computed, where it holds anything but copies of an allele.
    OptionError
        Where ``ref`` is another word, or not what the array was read with.
    """
    if not isinstance(G, xr.DataArray):
        raise InputError(
            f"from_pandas_plink got a {type(G).__name__}; give the DataArray of pandas_plink.read_plink1_bin"
        )
    if set(G.dims) != set(DIMS):
        raise InputError(f"{WHERE} has dims {G.dims}, expected {DIMS}; give that of read_plink1_bin")
    lacking = [name for name, dim in NEEDED.items() if name not in G.coords or G.coords[name].dims != (dim,)]
    if lacking:
        raise InputError(
            f"{WHERE} lacks the coords {', '.join(lacking)}; give the one that read_plink1_bin made"
        )
    G = G.transpose("variant", "sample")
    reads = list(_reads(G.data))
    _check_layout(reads)
    counted = _counted_allele(G.data, reads, ref)
    beds = {str(getattr(read[0], "filename", "")) for read in reads}
    cohort = cohort_dataset(_variants(G), _samples(G), {"bed": beds.pop()} if len(beds) == 1 else {})
    log.info("%s: %d samples, %d variants", WHERE, cohort.sizes["samples"], cohort.sizes["variants"])
    return cohort.assign(call_dosage=(("variants", "samples"), _copies(G.data, counted == "a1")))


def read_bed(bed: Path, bim: Path, fam: Path, shape: tuple[int, int], chunk_variants: int | None) -> da.Array:
    """Dosages of a BED as pandas-plink reads it, in chunks that each hold every sample.

    Parameters
    ----------
    bed, bim, fam : Path
        The files.
    shape : tuple of int
        Variants and samples that they hold.
    chunk_variants : int, optional
        Variants of a chunk.

    Returns
    -------
    dask.array.Array of int8, (variants, samples)
        Copies of BIM column 5, -1 missing.

    Raises
    ------
    InputError
        Where pandas-plink does not read these files.
    OptionError
        Where it is not installed.
    """
    package = require("pandas_plink", extra="pandas-plink", purpose="arrays of engine='pandas-plink'")
    chunk = package.Chunk(nsamples=None, nvariants=chunk_variants or default_chunk(shape[1]))
    try:
        G = package.read_plink1_bin(bed, bim, fam, verbose=False, ref="a0", chunk=chunk)
    except (ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{bed}: pandas-plink cannot read the files ({reason}); leave engine out") from error
    if G.shape != shape[::-1]:
        raise InputError(
            f"{bed}: pandas-plink sees {G.shape[0]} samples and {G.shape[1]} variants, but the files hold "
            f"{shape[1]} and {shape[0]}; leave engine out"
        )
    return _copies(G.data.T, False)


def _reads(data: Any) -> Iterator[tuple[Any, ...]]:
    """Arguments of each read of pandas-plink behind an array: bytes, shape (2), rows (2), columns (2), ref."""
    if not isinstance(data, da.Array):
        return
    for key, task in dict(data.dask).items():
        if isinstance(key, str) and key.startswith(_READ):
            yield task.args if hasattr(task, "args") else task[1:]


def _check_layout(reads: list[tuple[Any, ...]]) -> None:
    for read in reads:
        # columns are what the bytes of a row hold: samples, or the variants of a sample-major BED
        start, stop = read[5], read[6]
        if start % 4:
            raise InputError(
                f"{WHERE} was read in chunks of {stop - start} samples, no multiple of 4, and pandas-plink reads wrong "
                "genotypes then; read again with chunk=Chunk(nsamples=None), or with read_plink"
            )


def _counted_allele(data: Any, reads: list[tuple[Any, ...]], ref: str | None) -> str:
    """``"a0"`` or ``"a1"``: what the array counts."""
    if ref not in (None, "a0", "a1"):
        raise OptionError(f"ref is {ref!r}; give 'a0' or 'a1', as to read_plink1_bin")
    made_with = {str(read[7].name) for read in reads}
    layers = {name.rsplit("-", 1)[0] for name in data.dask.layers} if reads else set()
    untouched = all(name.startswith(_READ) or name in _KEEPING for name in layers)
    if len(made_with) == 1 and untouched:
        found = made_with.pop()
        if ref not in (None, found):
            raise OptionError(f"ref is {ref!r}, but {WHERE} was read with ref={found!r}; leave ref out")
        return found
    if ref is not None:
        return ref
    why = "it is not lazy, or was persisted"
    if len(made_with) > 1:
        why = "its parts were read with both"
    elif made_with:
        why = "it was calculated with since it was read"
    raise InputError(
        f"{WHERE} does not say which allele it counts ({why}); give ref= what read_plink1_bin got ('a1' by default)"
    )


def _copies(data: Any, flip: bool) -> da.Array:
    """Copies of the other allele instead where ``flip``; int8, -1 missing, all samples in one chunk."""
    if not isinstance(data, da.Array):
        data = da.from_array(data, chunks=(default_chunk(data.shape[1] * data.itemsize), -1))
    # to one byte a genotype first, so that the chunks put together are small
    return da.map_blocks(_calls, data, flip, dtype=np.int8, meta=np.empty((0, 0), np.int8)).rechunk({1: -1})


def _calls(block: NDArray[Any], flip: bool) -> NDArray[np.int8]:
    missing = np.isnan(block) if block.dtype.kind == "f" else block == MISSING
    known = np.where(missing, 0, block)
    wrong = ~((known == 0) | (known == 1) | (known == 2))
    if wrong.any():
        raise InputError(
            f"{WHERE} holds {known[wrong][0]}, expected 0, 1, 2 or NaN; give the one that read_plink1_bin made"
        )
    copies = known.astype(np.int8)
    if flip:
        np.subtract(2, copies, out=copies)
    copies[missing] = MISSING
    return np.ascontiguousarray(copies)


def _text(G: xr.DataArray, name: str) -> NDArray[np.object_]:
    values = G.coords[name].to_numpy().astype(object)
    missing = pd.isna(values)
    if missing.any():
        raise InputError(
            f"{WHERE}: coord {name} is missing in {int(missing.sum())} places, as pandas-plink reads the word NA; "
            f"fill it with G.assign_coords({name}=...), or open the files with read_plink"
        )
    return values


def _variants(G: xr.DataArray) -> dict[str, NDArray]:
    position = pd.to_numeric(pd.Series(G.coords["pos"].to_numpy()), errors="coerce").to_numpy(np.float64)
    if not np.isfinite(position).all():
        raise InputError(f"{WHERE}: coord pos holds what is no number; write the base-pair position, or 0")
    if n_negative := int((position < 0).sum()):
        log.warning("%s: %d negative positions are read as 0 (unplaced)", WHERE, n_negative)
    chromosome, names, effect, other = (_text(G, name) for name in ("chrom", "snp", "a0", "a1"))
    return variant_variables(chromosome, np.maximum(position, 0).astype(np.int64), names, effect, other)


def _samples(G: xr.DataArray) -> dict[str, NDArray]:
    sex = None
    if "gender" in G.coords:
        sex = pd.to_numeric(pd.Series(G.coords["gender"].to_numpy()), errors="coerce").to_numpy(np.float64)
    samples = sample_variables(
        _text(G, "fid") if "fid" in G.coords else None, _text(G, "iid"), sex, where=WHERE
    )
    if "trait" in G.coords:
        trait = G.coords["trait"].to_numpy().astype(object)
        samples["fam_phenotype"] = np.where(pd.isna(trait), "NA", trait).astype(str)
    return samples
