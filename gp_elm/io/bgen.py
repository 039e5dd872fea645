"""BGEN 1.1, 1.2 and 1.3 files to a lazy cohort."""

from __future__ import annotations

import logging
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import xarray as xr
from numpy.typing import NDArray

from gp_elm.errors import InputError, OptionError
from gp_elm.io.bgen_file import AGAIN, BgenHeader, indexed_variants, parse_variant, read_header, scan_variants
from gp_elm.io.blocks import Blocks, Index, attach
from gp_elm.io.identity import cohort_dataset, sample_variables, variant_variables
from gp_elm.io.oxford_sample import read_sample_file
from gp_elm.io.plink import PathLike
from gp_elm.kernels.bgen import FAULTS, decode_layout1, decode_layout2, hard_calls

log = logging.getLogger(__name__)


def read_bgen(
    path: PathLike,
    *,
    sample: PathLike | None = None,
    reference: Literal["first", "last"] = "first",
    dosages: bool = True,
    chunk_variants: int | None = None,
) -> xr.Dataset:
    """Open a BGEN file as a lazy cohort; no genotype is read.

    BGEN does not say which allele is the reference. UK Biobank's imputed files, ``qctool`` and ``plink2 --export
    bgen-1.2 ref-first`` write it first; ``plink2 --export bgen-1.2`` (also 1.1 and 1.3) without ``ref-first`` writes it
    last. The log says which allele is counted.

    Parameters
    ----------
    path : path
        The file, of BGEN 1.1, 1.2 or 1.3; diploid and haploid calls, phased or not, of any number of alleles. An index
        beside it (``.bgen.bgi``, from ``bgenix -index``) is used where there is one; without it, the variants are found
        by stepping through the file, once.
    sample : path, optional
        Oxford ``.sample`` file; by default the ids embedded in the file, or the ``.sample`` file beside it.
    reference : {"first", "last"}
        Which allele of a variant is REF. The others are ALT, effect alleles, each a row of its own.
    dosages : bool
        Expected copies of the effect allele as float32; False takes hard calls as PLINK 2 does
        (``--hard-call-threshold 0.1``): the nearest whole number within 0.1 copy, missing otherwise.
    chunk_variants : int, optional
        Variants of a dask chunk; by default as many as make about 16 MiB.

    Returns
    -------
    xarray.Dataset
        A cohort (:mod:`gp_elm.schema`) with ``call_dosage`` (variants, samples) counting the effect allele: float32,
        NaN missing, or int8, -1 missing. A haploid call of the effect allele counts as two copies, as in PLINK.
        ``variant_ploidy`` is 2 everywhere; ``fam_phenotype`` is there where the ``.sample`` file has one trait.

    Raises
    ------
    InputError
        Where a file is missing, malformed, truncated or does not belong to the other; on reading the genotypes, where
        a block is damaged, or a sample has ploidy above 2.
    OptionError
        Where an option makes no sense.
    """
    if chunk_variants is not None and chunk_variants < 1:
        raise OptionError(f"chunk_variants is {chunk_variants}; give at least 1")
    if reference not in ("first", "last"):
        raise OptionError(f"reference is {reference!r}; give 'first' or 'last' (--bgen-reference)")
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file}: no such file; check --bgen")
    header = read_header(file)
    samples, sample_path = _samples(file, header, sample)
    starts, variants, record, allele = _variants(file, header, reference)
    log.info(
        "%s: %d samples, %d variants, %d records; %s; the effect allele is ALT, REF being the %s allele",
        file, header.n_samples, len(record), header.n_variants,
        "expected copies" if dosages else "hard calls within 0.1 copy", reference,
    )  # fmt: skip
    source = BgenSource(
        str(file), (len(record), header.n_samples), np.dtype(np.float32 if dosages else np.int8),
        header.layout, header.compression, starts, record, allele,
    )  # fmt: skip
    sources = {"bgen": str(file)} | ({"sample": str(sample_path)} if sample_path else {})
    cohort = cohort_dataset(variants, samples, sources)
    return attach(cohort, Blocks.whole(source), chunk_variants=chunk_variants)


def _samples(
    file: Path, header: BgenHeader, sample: PathLike | None
) -> tuple[dict[str, NDArray], Path | None]:
    beside = file.with_suffix(".sample")
    if sample is None and header.sample_ids is None and not beside.is_file():
        raise InputError(f"{file}: no sample ids in the file and no {beside.name} beside it; give --sample")
    if sample is None and header.sample_ids is not None:
        hint = f"; --sample {beside} would give it" if beside.is_file() else ""
        log.info("%s: sample ids are those embedded; sex is not known%s", file, hint)
        return sample_variables(None, header.sample_ids, None, where=str(file)), None
    table = Path(sample) if sample is not None else beside
    samples = read_sample_file(table)
    n = len(samples["sample_id"])
    if n != header.n_samples:
        raise InputError(
            f"{table}: {n:,} samples, but {file} holds {header.n_samples:,}; give the .sample file written with it"
        )
    return samples, table


def _variants(
    file: Path, header: BgenHeader, reference: str
) -> tuple[Index, dict[str, NDArray], NDArray[np.uint32], NDArray[np.uint16]]:
    """Offsets of the records (records + 1,), identity of the rows, and record and allele of each row."""
    found = indexed_variants(file, header)
    if found is None:
        pairs = list(scan_variants(file, header))
        last = pairs[-1][1]
        starts = np.array([at for at, _ in pairs] + [last.genotypes + last.size], np.int64)
        records = [variant for _, variant in pairs]
    else:
        starts, records = found
    rows = []
    n_star = 0
    for i, variant in enumerate(records):
        n_alleles = len(variant.alleles)
        ref = 0 if reference == "first" else n_alleles - 1
        for a in range(n_alleles):
            if a != ref and variant.alleles[a] in ("*", "<*>"):
                n_star += 1
            elif a != ref:
                rows.append((i, a, variant.alleles[a], variant.alleles[ref]))
    if n_star:
        log.info("%s: %d ALT alleles * are left out", file, n_star)
    n_several = sum(len(variant.alleles) > 2 for variant in records)
    if n_several:
        log.info("%s: %d records with several ALT alleles have a row for each", file, n_several)
    if not rows:
        raise InputError(f"{file}: no variant with an ALT allele; {AGAIN}")
    record, allele, effect, other = zip(*rows, strict=True)
    shown = [records[i] for i in record]
    identity = variant_variables(
        [v.chromosome for v in shown], np.array([v.position for v in shown], np.int64), [v.id for v in shown],
        effect, other,
    )  # fmt: skip
    return starts, identity, np.array(record, np.uint32), np.array(allele, np.uint16)


@dataclass(frozen=True, eq=False)
class BgenSource:
    """Copies of the effect allele in a BGEN file.

    Attributes
    ----------
    path : str
        The file.
    shape : tuple of int
        Rows and samples.
    dtype : numpy.dtype
        float32, expected copies, NaN missing; or int8, hard calls, -1 missing.
    layout, compression : int
        As in the header.
    starts : ndarray of int64 (records + 1,)
        Where each record starts and ends.
    record : ndarray of uint32 (rows,)
        Record of each row.
    allele : ndarray of uint16 (rows,)
        Allele of the record that a row counts.
    """

    path: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    layout: int
    compression: int
    starts: Index
    record: NDArray[np.uint32]
    allele: NDArray[np.uint16]

    def read(self, variants: Index, samples: Index | None) -> NDArray[Any]:
        """Copies of the effect allele of some rows (v,) and samples (all where None)."""
        n = self.shape[1]
        block = np.empty((len(variants), n if samples is None else len(samples)), self.dtype)
        dosage = np.empty(n, np.float32)
        last, probabilities, n_alleles, name = -1, np.empty(0, np.uint8), 0, ""
        with open(self.path, "rb", buffering=0) as handle:
            for out, row in zip(block, variants, strict=True):
                if (record := int(self.record[row])) != last:
                    probabilities, n_alleles, name = self._probabilities(handle.fileno(), record)
                    last = record
                self._decode(probabilities, n_alleles, int(self.allele[row]), dosage, name)
                chosen = dosage if samples is None else dosage[samples]
                if self.dtype.kind == "f":
                    out[:] = chosen
                else:
                    hard_calls(chosen, out)
        return block

    def token(self) -> tuple[object, ...]:
        """What changes when the file changes."""
        state = os.stat(self.path)
        return (
            os.path.abspath(self.path), state.st_size, state.st_mtime_ns, str(self.dtype), self.record, self.allele
        )  # fmt: skip

    def _probabilities(self, fd: int, record: int) -> tuple[NDArray[np.uint8], int, str]:
        """Uncompressed block, number of alleles and name of a record."""
        start, end = int(self.starts[record]), int(self.starts[record + 1])
        n = self.shape[1]
        name = f"variant {record + 1:,} (byte {start:,})"
        try:
            data = os.pread(fd, end - start, start)
            variant = parse_variant(data, self.layout, self.compression > 0, n)
            name = f"variant {record + 1:,} ({variant.id}, {variant.chromosome}:{variant.position})"
            unpacked: bytes | memoryview
            packed: bytes | memoryview = memoryview(data)[
                variant.genotypes : variant.genotypes + variant.size
            ]
            k = len(variant.alleles)
            size = 6 * n
            # at most 32 bits for each probability of a phased or unphased diploid sample
            limit = size if self.layout == 1 else 10 + n + 4 * n * max(k * (k + 1) // 2 - 1, 2 * (k - 1))
            if self.layout == 2 and self.compression:
                size, packed = int.from_bytes(packed[:4], "little"), packed[4:]
            if len(packed) == 0 or (self.compression and size > limit):
                raise ValueError("its length makes no sense")
            if self.compression == 1:
                unpacked = zlib.decompressobj().decompress(packed, size + 1)
            elif self.compression == 2:
                unpacked = pa.Codec("zstd").decompress(packed, decompressed_size=size)
            else:
                unpacked, size = packed, size if self.layout == 1 else len(packed)
            if len(unpacked) != size:
                raise ValueError(f"{len(unpacked):,} bytes after unpacking, not {size:,}")
        except struct.error:
            raise InputError(f"{self.path}: {name} is cut short; {AGAIN}") from None
        except (ValueError, OSError, zlib.error, pa.ArrowException) as error:
            raise InputError(f"{self.path}: {name} cannot be unpacked ({error}); {AGAIN}") from error
        return np.frombuffer(unpacked, np.uint8), k, name

    def _decode(
        self,
        probabilities: NDArray[np.uint8],
        n_alleles: int,
        allele: int,
        dosage: NDArray[np.float32],
        name: str,
    ) -> None:
        if self.layout == 1:
            decode_layout1(probabilities.view("<u2"), allele, dosage)
        elif fault := decode_layout2(probabilities, n_alleles, allele, dosage):
            remedy = "leave the variant out" if fault == 4 else AGAIN
            raise InputError(f"{self.path}: {name}: {FAULTS[fault]}; {remedy}")
