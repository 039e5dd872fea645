"""PLINK 2 files: PGEN, PVAR and PSAM to a lazy cohort (https://www.cog-genomics.org/plink/2.0/formats)."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gp_elm.errors import InputError, OptionError
from gp_elm.io.blocks import Blocks, Index, attach
from gp_elm.io.identity import cohort_dataset, variant_variables
from gp_elm.io.optional import require
from gp_elm.io.pgen_header import AGAIN, check_pgen
from gp_elm.io.plink import PathLike
from gp_elm.io.plink2_tables import read_psam, read_pvar

log = logging.getLogger(__name__)


def read_pgen(
    prefix: PathLike | None = None,
    *,
    pgen: PathLike | None = None,
    pvar: PathLike | None = None,
    psam: PathLike | None = None,
    dosages: bool = False,
    chunk_variants: int | None = None,
) -> xr.Dataset:
    """Open a PLINK 2 fileset as a lazy cohort; no genotype is read. Needs ``gp-elm[pgen]``.

    Parameters
    ----------
    prefix : path, optional
        Path without ``.pgen``, ``.pvar`` (or ``.pvar.zst``), ``.psam``.
    pgen, pvar, psam : path, optional
        The three files, each beside or in place of ``prefix``; a ``.bim`` and a ``.fam`` do as well.
    dosages : bool
        Read imputed dosages, in steps of 1/16384 copy, and hard calls where there is none; False reads hard calls.
    chunk_variants : int, optional
        Variants of a dask chunk; by default as many as make about 16 MiB.

    Returns
    -------
    xarray.Dataset
        A cohort (:mod:`gp_elm.schema`) with ``call_dosage`` (variants, samples) counting ALT, int8 with -1 missing or
        float32 with NaN missing. A variant with several ALT alleles has a row for each. A haploid call of ALT counts
        as two copies, as PLINK stores it. ``variant_ploidy`` is 2 everywhere; ``fam_phenotype`` is there where the
        ``.psam`` has one phenotype.

    Raises
    ------
    InputError
        Where a file is missing, malformed, truncated or does not belong to the others; on reading the genotypes, where
        a record is damaged.
    OptionError
        Where the paths make no sense, or Pgenlib is not installed.
    """
    if chunk_variants is not None and chunk_variants < 1:
        raise OptionError(f"chunk_variants is {chunk_variants}; give at least 1")
    paths = _three_paths(prefix, pgen, pvar, psam)
    require("pgenlib", extra="pgen", purpose="PGEN files")
    samples = read_psam(paths["psam"])
    frame = read_pvar(paths["pvar"])
    n_samples = len(samples["sample_id"])
    check_pgen(paths["pgen"], len(frame), n_samples, paths["pvar"], paths["psam"])
    n_alts = frame["ALT"].str.count(",").to_numpy(np.int64) + 1
    record = np.repeat(np.arange(len(frame)), n_alts)
    allele = np.arange(len(record)) - np.repeat(np.cumsum(n_alts) - n_alts, n_alts) + 1
    effect = frame["ALT"].to_numpy(object)
    if len(record) > len(frame):
        effect = np.array([name for names in effect for name in names.split(",")], object)
    kept = ~np.isin(effect, ("*", "<*>"))
    if not kept.any():
        raise InputError(f"{paths['pvar']}: no variant with an ALT allele; {AGAIN}")
    record, allele, effect = record[kept], allele[kept], effect[kept]
    log.info(
        "%s: %d samples, %d variants, %d records%s; %s of ALT%s",
        paths["pgen"], n_samples, len(record), len(frame),
        f", {int((n_alts > 1).sum())} with a row for each of several ALT alleles" if (n_alts > 1).any() else "",
        "dosages" if dosages else "hard calls",
        f"; {int((~kept).sum())} ALT alleles * are left out" if not kept.all() else "",
    )  # fmt: skip
    shown = frame.iloc[record]
    variants = variant_variables(shown["CHROM"], shown["POS"].to_numpy(), shown["ID"], effect, shown["REF"])
    source = PgenSource(
        str(paths["pgen"]), (len(record), n_samples), np.dtype(np.float32 if dosages else np.int8),
        record.astype(np.uint32), allele.astype(np.uint8), len(frame),
        np.concatenate([[0], np.cumsum(n_alts + 1)]).astype(np.uintp) if (n_alts > 1).any() else None,
    )  # fmt: skip
    cohort = cohort_dataset(variants, samples, {kind: str(path) for kind, path in paths.items()})
    return attach(cohort, Blocks.whole(source), chunk_variants=chunk_variants)


def _three_paths(
    prefix: PathLike | None, pgen: PathLike | None, pvar: PathLike | None, psam: PathLike | None
) -> dict[str, Path]:
    given = {"pgen": pgen, "pvar": pvar, "psam": psam}
    if prefix is None and None in given.values():
        lacking = ", ".join(kind for kind, path in given.items() if path is None)
        raise OptionError(f"no path for {lacking}; give a prefix (--pfile), or all of pgen, pvar and psam")
    stem = str(prefix)
    for ending in (".pgen", ".pvar.zst", ".pvar", ".psam"):
        stem = stem.removesuffix(ending)
    paths = {}
    for kind, path in given.items():
        paths[kind] = Path(f"{stem}.{kind}" if path is None else path)
        packed = Path(f"{stem}.{kind}.zst")
        if path is None and not paths[kind].is_file() and kind == "pvar" and packed.is_file():
            paths[kind] = packed
        if not paths[kind].is_file():
            raise InputError(f"{paths[kind]}: no such file; check --pfile")
    return paths


@dataclass(frozen=True, eq=False)
class PgenSource:
    """Copies of ALT alleles in a PGEN file, through Pgenlib, opened anew for each block.

    Attributes
    ----------
    path : str
        The file.
    shape : tuple of int
        Rows and samples.
    dtype : numpy.dtype
        int8, hard calls, -1 missing; or float32, dosages, NaN missing.
    record : ndarray of uint32 (rows,)
        Variant of the file that a row shows.
    allele : ndarray of uint8 (rows,)
        Its allele, 1 for the first ALT.
    n_records : int
        Variants of the file.
    allele_starts : ndarray of uintp (n_records + 1,) or None
        Where the alleles of each variant start, counted over all; None where all have two.
    """

    path: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    record: NDArray[np.uint32]
    allele: NDArray[np.uint8]
    n_records: int
    allele_starts: NDArray[np.uintp] | None

    def read(self, variants: Index, samples: Index | None) -> NDArray[Any]:
        """Copies of the effect allele of some rows (v,) and samples (all where None)."""
        pgenlib = require("pgenlib", extra="pgen", purpose="PGEN files")
        n = self.shape[1]
        # Pgenlib takes samples in rising order, each once
        chosen, back = (None, None) if samples is None else np.unique(samples, return_inverse=True)
        width = n if chosen is None else len(chosen)
        block = np.empty((len(variants), width), self.dtype)
        if not block.size:
            return block if samples is None else np.empty((len(variants), len(samples)), self.dtype)
        record, allele = self.record[variants], self.allele[variants]
        try:
            with pgenlib.PgenReader(
                os.fsencode(self.path), raw_sample_ct=n, variant_ct=self.n_records,
                sample_subset=None if chosen is None else chosen.astype(np.uint32),
                allele_idx_offsets=self.allele_starts,
            ) as reader:  # fmt: skip
                read = reader.read_list if self.dtype.kind == "i" else reader.read_dosages_list
                for a in np.unique(allele):
                    rows = np.flatnonzero(allele == a)
                    part = block if len(rows) == len(block) else np.empty((len(rows), width), self.dtype)
                    read(record[rows], part, allele_idx=int(a))
                    if part is not block:
                        block[rows] = part
        except (RuntimeError, AssertionError, OverflowError, MemoryError) as error:
            remedy = AGAIN
            if self.dtype.kind == "f" and self.allele_starts is not None:
                remedy += "; dosages of variants with several ALT alleles cannot be read: leave --dosages out"
            raise InputError(
                f"{self.path}: Pgenlib cannot read some of variants {int(record.min()) + 1:,} to "
                f"{int(record.max()) + 1:,} ({' '.join(str(error).split()) or type(error).__name__}); {remedy}"
            ) from error
        if self.dtype.kind == "i":
            np.maximum(block, -1, out=block)  # Pgenlib writes -9 for a missing call
        else:
            block[block < 0] = np.nan
        return block if back is None else block[:, back]

    def token(self) -> tuple[object, ...]:
        """What changes when the file changes."""
        state = os.stat(self.path)
        return (
            os.path.abspath(self.path), state.st_size, state.st_mtime_ns, str(self.dtype), self.record, self.allele
        )  # fmt: skip
