"""VCF Zarr (``.vcz``) to a lazy cohort (https://github.com/sgkit-dev/vcf-zarr-spec), and sgkit's own datasets."""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from gp_elm.errors import InputError, OptionError
from gp_elm.io.blocks import Blocks, Index, attach
from gp_elm.io.call_source import CallSource
from gp_elm.io.identity import cohort_dataset, sample_variables, variant_variables
from gp_elm.io.vcf_zarr_writing import write_vcf_zarr
from gp_elm.io.zarr_source import PathLike, aligned_chunk, open_store, warn_of_absent_blocks

__all__ = ["read_vcf_zarr", "write_vcf_zarr"]

log = logging.getLogger(__name__)

FIELDS = {"GT": "call_genotype", "DS": "call_DS"}

UNSPECIFIED = ("<NON_REF>", "<*>", "<X>")
"""ALTs that name no allele: what GVCF writers put for "anything else"."""

_FILTERED, _NO_ALT = "records left out by FILTER", "records without ALT left out"
_STARS, _UNSPECIFIED = "ALTs '*' left out", "ALTs that name no allele left out"

_ROWS_AT_ONCE = 100_000


class _Records(NamedTuple):
    """The rows of a cohort, one for each ALT that is kept, how many ALTs its record has, and what was left out."""

    variants: dict[str, NDArray]
    record: Index
    allele: Index
    n_alt: Index
    left_out: dict[str, int]


def read_vcf_zarr(
    path: PathLike,
    *,
    field: Literal["GT", "DS"] = "GT",
    passed: bool = False,
    chunk_variants: int | None = None,
) -> xr.Dataset:
    """Open a VCF Zarr store, as bio2zarr writes from VCF, PLINK and tskit, as a lazy cohort; no genotype is read.

    Parameters
    ----------
    path : path
        A ``.vcz`` folder or a ``.zip`` of it, Zarr format 2 or 3; or a Dataset saved by sgkit.
    field : {"GT", "DS"}
        Hard calls, or imputed dosages.
    passed : bool
        Leave out records that have a filter other than PASS.
    chunk_variants : int, optional
        Variants of a dask chunk; by default about 16 MiB in whole chunks of the store.

    Returns
    -------
    xarray.Dataset
        A cohort (:mod:`gp_elm.schema`) with a row for each ALT, which is the effect allele; alleles that are ``*`` or
        empty have none. ``call_dosage`` counts that allele: int8, -1 where a call is missing in whole or in part, a
        haploid call being 2 copies; float32 and NaN for DS, which is doubled where the call is haploid.
        ``variant_ploidy`` is 2 everywhere. A record that had no GT in the VCF cannot be told from one whose calls are
        all missing, and stays.

    Raises
    ------
    InputError
        Where there is no such store, it lacks a variable, its variables do not fit together, or no variant is left.
    OptionError
        Where an option makes no sense.
    """
    if field not in FIELDS:
        raise OptionError(f"field {field!r} is not known; give GT or DS")
    if chunk_variants is not None and chunk_variants < 1:
        raise OptionError(f"chunk_variants is {chunk_variants}; give at least 1")
    # format 3 has no final word on strings, which zarr says at each
    with open_store(path) as group, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = _texts(_array(group, "sample_id", path)[:])
        calls = _calls(group, field, len(names), path)
        warn_of_absent_blocks(path, calls)
        records = _read_records(group, path, passed=passed)
        if calls.ndim == 2 and (records.n_alt > 1).any():
            raise InputError(
                f"{path}: one DS a sample for records of several ALTs; split the ALTs in the VCF"
            )
        shape = len(records.record), len(names)
        source = CallSource(os.fspath(path), FIELDS[field], shape, records.record, records.allele)
        chunk = chunk_variants or aligned_chunk(calls, len(names), source.dtype.itemsize)
    if not shape[0] or not (names != "").any():
        raise InputError(
            f"{path}: no {'variant' if not shape[0] else 'sample'} is left; {_said(records.left_out)}"
        )
    log.info(
        "%s: %d samples, %d variants; %s", path, int((names != "").sum()), shape[0], _said(records.left_out)
    )
    kept = np.flatnonzero(names != "")  # an empty name is a sample that was deleted
    samples = sample_variables(None, names[kept], None, where=os.fspath(path))
    cohort = cohort_dataset(records.variants, samples, {"vcz": os.fspath(path)})
    blocks = Blocks(source, np.arange(shape[0]), kept)
    return attach(cohort, blocks, chunk_variants=chunk)


def _said(left_out: dict[str, int]) -> str:
    return "; ".join(f"{count:,} {what}" for what, count in left_out.items() if count) or "nothing left out"


def _array(group: Any, name: str, path: PathLike) -> Any:
    found = group[name] if name in group else None
    if not isinstance(found, zarr.Array):
        raise InputError(
            f"{path}: no array {name!r}, which every VCF Zarr has; make the store again with vcf2zarr"
        )
    return found


def _texts(values: Any) -> NDArray[np.object_]:
    """Strings of any kind that Zarr has, as Python's."""
    array = np.asarray(values)
    return (np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array).astype(object)


def _calls(group: Any, field: str, n_samples: int, path: PathLike) -> Any:
    name = FIELDS[field]
    if name not in group:
        others = [other for other, array in FIELDS.items() if array in group]
        hint = (
            f"read the field {others[0]}"
            if others
            else "make the store again with vcf2zarr from a VCF that has it"
        )
        raise InputError(f"{path}: no array {name!r}, so the store has no {field}; {hint}")
    calls = _array(group, name, path)
    n_records = _array(group, "variant_position", path).shape[0]
    wanted = (
        "(variants, samples, ploidy)" if field == "GT" else "(variants, samples) or (variants, samples, ALT)"
    )
    if calls.ndim not in ((3,) if field == "GT" else (2, 3)) or calls.dtype.kind not in (
        "i" if field == "GT" else "fi"
    ):
        raise InputError(
            f"{path}: {name} is {calls.dtype} {calls.shape}, not numbers {wanted}; make the store again"
        )
    if calls.shape[:2] != (n_records, n_samples):
        raise InputError(
            f"{path}: {name} has {calls.shape[0]} records and {calls.shape[1]} samples, but variant_position "
            f"{n_records} and sample_id {n_samples}; make the store again"
        )
    if field == "GT" and calls.shape[2] not in (1, 2):
        raise InputError(
            f"{path}: calls of {calls.shape[2]} copies; only haploid and diploid ones can be read"
        )
    return calls


def _contigs(group: Any, path: PathLike) -> NDArray[np.object_]:
    if "contig_id" not in group and "contigs" in group.attrs:  # sgkit before 0.6
        return _texts(group.attrs["contigs"])
    return _texts(_array(group, "contig_id", path)[:])


def _filtered(group: Any, path: PathLike) -> NDArray[np.bool_]:
    """Whether each record (r,) has a filter other than PASS."""
    table = _array(group, "variant_filter", path)[:]
    names = _texts(group["filter_id"][:] if "filter_id" in group else group.attrs.get("filters", []))
    if table.ndim != 2 or table.shape[1] != len(names):
        raise InputError(
            f"{path}: variant_filter is {table.shape} for {len(names)} filters; make the store again"
        )
    return table[:, names != "PASS"].any(axis=1)


def _read_records(group: Any, path: PathLike, *, passed: bool) -> _Records:
    alleles = _array(group, "variant_allele", path)
    position = _array(group, "variant_position", path)[:].astype(np.int64)
    contig = _array(group, "variant_contig", path)[:].astype(np.int64)
    contigs = _contigs(group, path)
    n_records = len(position)
    if alleles.ndim != 2 or alleles.shape[0] != n_records or contig.shape != (n_records,):
        raise InputError(
            f"{path}: variant_allele is {alleles.shape} and variant_contig {contig.shape} for {n_records} positions; "
            "make the store again"
        )
    if n_records and not (0 <= contig.min() and contig.max() < len(contigs)):
        raise InputError(
            f"{path}: variant_contig goes beyond the {len(contigs)} names in contig_id; make it again"
        )
    if n_records and position.min() < 0:
        raise InputError(f"{path}: variant_position holds {position.min()}; make the store again")
    filtered = _filtered(group, path) if passed else np.zeros(n_records, bool)
    left_out = dict.fromkeys((_FILTERED, _NO_ALT, _STARS, _UNSPECIFIED), 0)
    left_out[_FILTERED] = int(filtered.sum())
    columns: dict[str, list[NDArray]] = {
        name: [] for name in ("record", "allele", "n_alt", "id", "effect", "other")
    }
    for start in range(0, n_records, _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, n_records)
        names = _texts(alleles[start:stop])
        alt, kept = names[:, 1:], ~filtered[start:stop, None]
        named = kept & (alt != "") & (alt != ".")
        n_alt = named.sum(axis=1)
        left_out[_NO_ALT] += int((kept[:, 0] & (n_alt == 0)).sum())
        for what, words in ((_STARS, ("*",)), (_UNSPECIFIED, UNSPECIFIED)):
            dropped = named & np.isin(alt, words)
            left_out[what] += int(dropped.sum())
            named &= ~dropped
        record, column = np.nonzero(named)
        columns["record"].append(record + start)
        columns["allele"].append(column + 1)
        columns["n_alt"].append(n_alt[record])
        columns["id"].append(_ids(group, start, stop)[record])
        columns["effect"].append(alt[record, column])
        columns["other"].append(names[record, 0])
    joined = {name: np.concatenate(parts) if parts else np.array([]) for name, parts in columns.items()}
    record = joined["record"].astype(np.int64)
    variants = variant_variables(
        contigs[contig[record]], position[record], joined["id"], joined["effect"], joined["other"]
    )
    return _Records(
        variants, record, joined["allele"].astype(np.int64), joined["n_alt"].astype(np.int64), left_out
    )


def _ids(group: Any, start: int, stop: int) -> NDArray[np.object_]:
    """Identifiers of some records, '.' where there is none."""
    if "variant_id" not in group:
        return np.full(stop - start, ".", object)
    ids = _texts(group["variant_id"][start:stop])
    if "variant_id_mask" in group:
        ids[np.asarray(group["variant_id_mask"][start:stop], bool)] = "."
    ids[ids == ""] = "."
    return ids
