"""A cohort to VCF Zarr 0.4 (https://github.com/sgkit-dev/vcf-zarr-spec), in Zarr format 2, which sgkit needs."""

from __future__ import annotations

import logging
import os
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
import zarr
from numcodecs import Blosc
from numpy.typing import NDArray

from gp_elm.errors import InputError
from gp_elm.io.blocks import default_chunk, source_blocks
from gp_elm.io.zarr_source import PathLike, check_target
from gp_elm.runtime.atomic import atomic_path
from gp_elm.runtime.progress import Progress
from gp_elm.schema import MISSING, check_cohort

log = logging.getLogger(__name__)

VERSION = "0.4"

# as bio2zarr writes, but fewer variants where the samples are so many that a block would not fit the memory
_CHUNK_VARIANTS, _CHUNK_SAMPLES = 1000, 10_000

_UNNAMED = ("0", ".", "")
_VCF_ALLELE = re.compile(r"[ACGTNacgtn]+|<[^<>\s]+>|\*").fullmatch

_NO_COPY = -2
_DIPLOID = np.array([[0, 0], [0, 1], [1, 1], [MISSING, MISSING]], np.int8)
_HAPLOID = np.array([[0, _NO_COPY], [1, _NO_COPY], [1, _NO_COPY], [MISSING, _NO_COPY]], np.int8)

_MISSING_FLOAT = np.array(0x7F800001, np.uint32).view(
    np.float32
)  # the NaN that VCF and BCF keep for missing values


def write_vcf_zarr(cohort: xr.Dataset, path: PathLike, *, progress: Progress | None = None) -> Path:
    """Write a cohort as VCF Zarr, block by block and atomically; sgkit, vcztools and bio2zarr's tools read it.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort. Each variant becomes a record whose ALT is the effect allele.
    path : path
        The folder, by custom ``NAME.vcz``. A Zarr store that is there is replaced.
    progress : Progress, optional
        Counts variants; by default one is drawn on a terminal.

    Returns
    -------
    pathlib.Path
        What was written. Hard calls are ``call_genotype``, unphased, haploid where ``variant_ploidy`` is 1 and in
        males on X. Dosages are ``call_DS``, from 0 to 2 in any ploidy. Traits and covariates have no place in
        the format.

    Raises
    ------
    InputError
        Where the Dataset is no cohort, holds dosages that no call can have, or an allele without a name is carried.
    OutputError
        Where the place cannot be written to.
    """
    check_cohort(cohort)
    blocks = source_blocks(cohort)
    target = check_target(path, None if blocks is None else blocks.source.path)
    n_variants, n_samples = cohort.sizes["variants"], cohort.sizes["samples"]
    dosage = cohort["call_dosage"]
    chunk = max(1, min(_CHUNK_VARIANTS, default_chunk(n_samples * dosage.dtype.itemsize), n_variants))
    step = max(1, default_chunk(n_samples * dosage.dtype.itemsize) // chunk) * chunk
    with atomic_path(target) as temporary:
        root = zarr.open_group(temporary, mode="w", zarr_format=2)
        root.attrs.update({"vcf_zarr_version": VERSION, "source": f"gp_elm-{version('gp-elm')}"})
        writer = _Writer(root, {"variants": chunk, "samples": min(_CHUNK_SAMPLES, max(n_samples, 1))})
        unnamed = _write_identity(cohort, writer, os.fspath(path))
        float_calls = dosage.dtype.kind == "f"
        arrays = (_float_arrays if float_calls else _call_arrays)(writer, n_variants, n_samples)
        ploidy = cohort["variant_ploidy"].to_numpy()
        one_copy = _one_copy(cohort)
        if not float_calls and ((ploidy == 1).any() or one_copy is not None):
            arrays["call_genotype"].attrs["mixed_ploidy"] = True
        bar = progress or Progress(f"Writing {target.name}", n_variants, unit="variants")
        with bar:
            for start in range(0, n_variants, step):
                stop = min(start + step, n_variants)
                block = blocks[start:stop, :] if blocks is not None else np.asarray(dosage[start:stop].data)
                _check_block(block, ploidy[start:stop], unnamed[start:stop], start, cohort)
                if float_calls:
                    copies = block.astype(np.float32)
                    copies[ploidy[start:stop] == 1] *= 2
                    if one_copy is not None:
                        copies[np.ix_(one_copy.halved[start:stop], one_copy.males)] *= 2
                    arrays["call_DS"][start:stop] = np.where(np.isnan(copies), _MISSING_FLOAT, copies)
                else:
                    _write_calls(arrays, start, block, ploidy[start:stop], writer.chunks["samples"], one_copy)
                bar.update(stop - start)
        zarr.consolidate_metadata(root.store)
    log.info("%s: %d samples, %d variants written", path, n_samples, n_variants)
    return target


class _OneCopy(NamedTuple):
    """Where males carry one copy: ``variants`` (m,) of X, ``halved`` (m,) those that count it 1, ``males`` (n,)."""

    variants: NDArray[np.bool_]
    halved: NDArray[np.bool_]
    males: NDArray[np.bool_]


def _one_copy(cohort: xr.Dataset) -> _OneCopy | None:
    if "variant_sex_linkage" not in cohort or "sample_sex" not in cohort:
        return None
    linkage = cohort["variant_sex_linkage"].to_numpy()
    return _OneCopy(np.isin(linkage, (1, 2)), linkage == 1, cohort["sample_sex"].to_numpy() == 1)


class _Writer:
    """Arrays of a group, each with the names of its dims."""

    def __init__(self, root: zarr.Group, chunks: dict[str, int]) -> None:
        self.root, self.chunks = root, chunks

    def empty(self, name: str, dims: tuple[str, ...], shape: tuple[int, ...], dtype: Any) -> Any:
        """An array to be filled in, chunked along variants and samples."""
        text, shuffle = dtype is str, Blosc.NOSHUFFLE if dtype is str else Blosc.SHUFFLE
        if np.dtype(dtype).itemsize == 1:
            shuffle = Blosc.BITSHUFFLE
        array = self.root.create_array(
            name,
            shape=shape,
            dtype=dtype,
            chunks=tuple(min(self.chunks.get(d, n), n) or 1 for d, n in zip(dims, shape, strict=True)),
            compressors=Blosc("zstd", 5, shuffle),
            # any other is taken for a code of missing values by xarray, which would turn the numbers into floats
            fill_value="" if text else None,
            config={"write_empty_chunks": True},
        )
        array.attrs["_ARRAY_DIMENSIONS"] = list(dims)
        return array

    def write(self, name: str, dims: tuple[str, ...], values: NDArray) -> None:
        """An array that is at hand."""
        text = values.dtype.kind in "UO"
        array = self.empty(name, dims, values.shape, str if text else values.dtype)
        rows = array.chunks[0]
        for start in range(0, len(values), rows):
            part = values[start : start + rows]
            array[start : start + rows] = part.astype(object) if text else part


def _call_arrays(writer: _Writer, n_variants: int, n_samples: int) -> dict[str, Any]:
    dims, shape = ("variants", "samples", "ploidy"), (n_variants, n_samples, 2)
    return {
        "call_genotype": writer.empty("call_genotype", dims, shape, np.int8),
        "call_genotype_mask": writer.empty("call_genotype_mask", dims, shape, np.bool_),
        "call_genotype_phased": writer.empty("call_genotype_phased", dims[:2], shape[:2], np.bool_),
    }


def _float_arrays(writer: _Writer, n_variants: int, n_samples: int) -> dict[str, Any]:
    array = writer.empty("call_DS", ("variants", "samples"), (n_variants, n_samples), np.float32)
    array.attrs["description"] = "Dosage of the ALT allele"
    return {"call_DS": array}


def _write_identity(cohort: xr.Dataset, writer: _Writer, path: str) -> NDArray[np.bool_]:
    """Everything but the calls; says which variants (m,) have an effect allele without a name."""
    contig, names = cohort["variant_contig"].to_numpy(), cohort["contig_id"].to_numpy()
    position = cohort["variant_position"].to_numpy()
    ids = cohort["variant_id"].to_numpy()
    effect, other = (
        cohort[f"variant_{which}_allele"].to_numpy().astype(object) for which in ("effect", "other")
    )
    unnamed, no_other = np.isin(effect, _UNNAMED), np.isin(other, _UNNAMED)
    alleles = np.column_stack([np.where(no_other, "N", other), np.where(unnamed, "", effect)])
    if no_other.any() or unnamed.any():
        log.warning(
            "%s: %d other alleles without a name are written as REF N, %d effect alleles as no ALT",
            path, int(no_other.sum()), int(unnamed.sum()),
        )  # fmt: skip
    odd = {str(allele) for allele in set(effect) | set(other) if not _VCF_ALLELE(allele)} - set(_UNNAMED)
    if odd:
        log.warning(
            "%s: alleles such as %s are written but are none that VCF allows",
            path,
            ", ".join(sorted(odd)[:3]),
        )
    if position.max(initial=0) > np.iinfo(np.int32).max:
        raise InputError(f"{path}: position {position.max()} is beyond what VCF allows (2^31 - 1)")
    length = np.array([len(allele) for allele in alleles[:, 0]], np.int32)
    no_id = np.isin(ids, (".", ""))
    variants = ("variants",)
    writer.write("contig_id", ("contigs",), names)
    writer.write("filter_id", ("filters",), np.array(["PASS"]))
    writer.write("filter_description", ("filters",), np.array(["All filters passed"]))
    writer.write("sample_id", ("samples",), cohort["sample_id"].to_numpy())
    writer.write("variant_contig", variants, contig.astype(np.int16 if len(names) < 2**15 else np.int32))
    writer.write("variant_position", variants, position.astype(np.int32))
    writer.write("variant_length", variants, length)
    writer.write("variant_id", variants, np.where(no_id, ".", ids))
    writer.write("variant_id_mask", variants, no_id)
    writer.write("variant_allele", ("variants", "alleles"), alleles)
    writer.write("variant_quality", variants, np.full(len(ids), _MISSING_FLOAT))
    writer.write("variant_filter", ("variants", "filters"), np.zeros((len(ids), 1), bool))
    index = _region_index(contig, position, length, writer.chunks["variants"])
    if index is None:
        log.warning(
            "%s: the variants are not in order of chromosome and position, so there is no index of regions; sort the "
            "cohort (plink2 --sort-vars) for queries by region", path,
        )  # fmt: skip
    else:
        writer.write("region_index", ("region_index_values", "region_index_fields"), index)
    return unnamed


def _region_index(
    contig: NDArray, position: NDArray, length: NDArray, chunk: int
) -> NDArray[np.int32] | None:
    """Chunk, contig, first and last position, last base, records for each chromosome in a chunk; None if unsorted."""
    new = np.flatnonzero(np.diff(contig) != 0) + 1
    starts = np.r_[0, new] if len(contig) else new
    if len(np.unique(contig[starts])) < len(starts) or np.any(
        (np.diff(position) < 0) & (np.diff(contig) == 0)
    ):
        return None
    first = np.union1d(starts, np.arange(0, len(contig), chunk)).astype(np.int64)
    last = np.r_[first[1:], len(contig)] - 1
    end = np.maximum.reduceat(position + length - 1, first) if len(first) else first
    rows = (first // chunk, contig[first], position[first], position[last], end, last - first + 1)
    return np.column_stack(rows).astype(np.int32)


def _check_block(
    block: NDArray,
    ploidy: NDArray,
    unnamed: NDArray[np.bool_],
    start: int,
    cohort: xr.Dataset,
) -> None:
    floats = block.dtype.kind == "f"
    wrong = (block < (0 if floats else MISSING)) | (block > ploidy[:, None] + (0.001 if floats else 0))
    for found, what in (
        (wrong.any(axis=1), "holds a dosage outside 0 to its ploidy; read the cohort again"),
        (
            unnamed & (block > 0).any(axis=1),
            "has an effect allele without a name that samples carry; give it a name",
        ),
    ):
        if found.any():
            row = start + int(np.flatnonzero(found)[0])
            raise InputError(f"variant {row + 1} ({cohort['variant_id'].to_numpy()[row]}) {what}")


def _write_calls(
    arrays: dict[str, Any],
    start: int,
    block: NDArray,
    ploidy: NDArray,
    chunk_samples: int,
    one_copy: _OneCopy | None,
) -> None:
    stop = start + len(block)
    for left in range(0, block.shape[1], chunk_samples):
        part = block[:, left : left + chunk_samples]
        calls = _DIPLOID[part]
        if (haploid := ploidy == 1).any():
            calls[haploid] = _HAPLOID[part[haploid]]
        if one_copy is not None:
            males = np.flatnonzero(one_copy.males[left : left + part.shape[1]])
            place_x = np.ix_(np.flatnonzero(one_copy.variants[start:stop]), males)
            calls[place_x] = _HAPLOID[part[place_x]]
        place = (slice(start, stop), slice(left, left + part.shape[1]))
        arrays["call_genotype"][place] = calls
        arrays["call_genotype_mask"][place] = calls < 0
        arrays["call_genotype_phased"][place] = np.zeros(part.shape, bool)
