"""The files of a simulated cohort: PLINK genotypes, tables and the truth, written together or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from gp_elm.errors import OutputError
from gp_elm.runtime.atomic import atomic_path, explain_os_error
from gp_elm.runtime.progress import Progress
from gp_elm.simulate.covariates import draw_covariates
from gp_elm.simulate.genotypes import Pedigree, VariantLayout, draw_pedigree, lay_out_variants, stream_dosages
from gp_elm.simulate.options import SimulateOptions
from gp_elm.simulate.traits import choose_causal_loci, simulate_traits, trait_names

SUFFIXES = (
    ".bed",
    ".bim",
    ".fam",
    ".pheno.tsv",
    ".covar.tsv",
    ".groups.tsv",
    ".truth_effects.tsv",
    ".truth_variance.tsv",
)
"""What stands behind the prefix; covariates and groups only where there are any."""

_MAGIC = bytes([0x6C, 0x1B, 0x01])
_MISSING = 3
# two-bit codes of the PLINK BED format: 00 two copies of A1, 01 missing, 10 one copy, 11 none
_BED_DIPLOID = np.array([0b11, 0b10, 0b00, 0b01], dtype=np.uint8)
_BED_HAPLOID = np.array([0b11, 0b00, 0b00, 0b01], dtype=np.uint8)


def simulate(
    out: str | os.PathLike[str],
    options: SimulateOptions | None = None,
    *,
    overwrite: bool = False,
    progress: bool | None = False,
    **fields: Any,
) -> dict[str, Path]:
    """Simulate a cohort and write ``OUT.bed``, ``.bim``, ``.fam``, the tables and the truth.

    Genotypes are streamed: memory holds the causal loci and a few blocks, whatever the number of variants.

    Parameters
    ----------
    out : path-like
        Prefix of the files.
    options : SimulateOptions, optional
        What to simulate; instead, its fields can be given by name.
    overwrite : bool
        Replace files of an earlier simulation.
    progress : bool or None
        Draw a progress line; None where standard error is a terminal.
    **fields
        Fields of `SimulateOptions`.

    Returns
    -------
    dict
        Path of each file that was written, by suffix.

    Raises
    ------
    OptionError
        Where the options make no sense.
    OutputError
        Where files stand there already, or the disk is full.

    Notes
    -----
    ``OUT.truth_effects.tsv`` has ``trait kind variant_id_1 effect_allele_1 variant_id_2 effect_allele_2
    beta variance_share``: kind ``additive``, ``dominance`` or ``epistatic``, beta per copy of the effect
    allele (for a pair, per product of copies; for dominance, of [dosage = 1] beside the dosage) in units of
    the trait before its monotone change of scale. ``OUT.truth_variance.tsv`` has ``trait component value share``.

    Examples
    --------
    >>> simulate("cohort", n_samples=500, n_variants=1000, additive_variance=0.4, seed=7)  # doctest: +SKIP
    """
    options = SimulateOptions(**fields) if options is None else options
    paths = _paths(out, options)
    if not overwrite:
        present = [path for path in paths.values() if path.exists()]
        if present:
            raise OutputError(f"{present[0]} exists already; choose another --out or give --overwrite")
    # each purpose has a stream of its own, so that other traits leave the genotypes as they are
    layout_rng, pedigree_rng, haplotypes, meioses, missing, loci_rng, trait_rng, covariate_rng = (
        np.random.Generator(np.random.PCG64(child)) for child in np.random.SeedSequence(options.seed).spawn(8)
    )
    layout = lay_out_variants(options, layout_rng)
    pedigree = draw_pedigree(options, pedigree_rng)
    loci = choose_causal_loci(options, layout, loci_rng)
    covariates, design = draw_covariates(options, pedigree.sex, covariate_rng)
    causal = np.unique(
        np.concatenate([np.r_[one.additive, one.dominance, one.pairs.ravel()] for one in loci])
    )
    with contextlib.ExitStack() as stack:
        temporary = {suffix: stack.enter_context(atomic_path(path)) for suffix, path in paths.items()}
        blocks = stream_dosages(options, layout, pedigree, haplotype_rng=haplotypes, meiosis_rng=meioses)
        with _named(paths[".bed"]), open(temporary[".bed"], "wb") as bed:
            dosages = _write_bed(bed, options, blocks, causal.astype(np.int64), missing, progress)
        traits = simulate_traits(options, layout, loci, dosages, pedigree.family, design, rng=trait_rng)
        ids = _sample_ids(pedigree)
        tables = {
            ".pheno.tsv": ids.join(pd.DataFrame(traits.values, columns=trait_names(options))),
            ".covar.tsv": ids.join(covariates),
            ".groups.tsv": ids.assign(family=np.where(pedigree.family >= 0, ids["FID"], ids["IID"])),
            ".truth_effects.tsv": traits.effects,
            ".truth_variance.tsv": traits.variances,
        }
        with _named(paths[".bim"]):
            _write_bim(temporary[".bim"], layout)
        with _named(paths[".fam"]):
            _write_rows(temporary[".fam"], _fam(pedigree, ids), header=False)
        for suffix in [suffix for suffix in tables if suffix in paths]:
            with _named(paths[suffix]):
                _write_rows(temporary[suffix], tables[suffix])
    return paths


def _paths(out: str | os.PathLike[str], options: SimulateOptions) -> dict[str, Path]:
    absent = set()
    if not options.has_covariates:
        absent.add(".covar.tsv")
    if options.family_fraction == 0:
        absent.add(".groups.tsv")
    return {suffix: Path(os.fspath(out) + suffix) for suffix in SUFFIXES if suffix not in absent}


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        explained = explain_os_error(error, path)
        if explained is None:
            raise
        raise explained from error


def _write_bed(
    bed: IO[bytes],
    options: SimulateOptions,
    blocks: Iterator[tuple[int, np.ndarray]],
    causal: np.ndarray,
    rng: np.random.Generator,
    progress: bool | None,
) -> dict[int, np.ndarray]:
    """Write the blocks as they come, and return the complete dosages of the causal variants."""
    bed.write(_MAGIC)
    kept: dict[int, np.ndarray] = {}
    codes = _BED_DIPLOID if options.ploidy == 2 else _BED_HAPLOID
    # several draws for one call count as one: this rate leaves a share of missing_rate drawn at least once
    rate = -np.log1p(-options.missing_rate) * options.n_samples
    with Progress("Simulating", options.n_variants, unit="variants", enabled=progress) as bar:
        for start, dosage in blocks:
            for j in causal[np.searchsorted(causal, start) : np.searchsorted(causal, start + len(dosage))]:
                kept[int(j)] = dosage[j - start].copy()
            if rate > 0:
                for row in dosage:
                    row[rng.integers(0, len(row), rng.poisson(rate))] = _MISSING
            bed.write(_pack(codes[dosage]).tobytes())
            bar.update(len(dosage))
    return kept


def _pack(codes: np.ndarray) -> np.ndarray:
    rows, n = codes.shape
    padded = np.zeros((rows, -(-n // 4) * 4), dtype=np.uint8)
    padded[:, :n] = codes
    packed = padded[:, 0::4].copy()
    for k in (1, 2, 3):
        packed |= padded[:, k::4] << (2 * k)
    return packed


def _sample_ids(pedigree: Pedigree) -> pd.DataFrame:
    n = len(pedigree.family)
    width = len(str(n))
    family = [f"F{k + 1:0{width}d}" if k >= 0 else "0" for k in pedigree.family]
    return pd.DataFrame({"FID": family, "IID": [f"S{i + 1:0{width}d}" for i in range(n)]})


def _fam(pedigree: Pedigree, ids: pd.DataFrame) -> pd.DataFrame:
    names = np.append(ids["IID"].to_numpy(), "0")
    return ids.assign(
        father=names[pedigree.father], mother=names[pedigree.mother], sex=pedigree.sex, phenotype=-9
    )


def _write_bim(path: Path, layout: VariantLayout, rows: int = 65_536) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as handle:
        for start in range(0, len(layout.position), rows):
            part = slice(start, start + rows)
            frame = pd.DataFrame(
                {
                    "chromosome": layout.chromosome[part],
                    "id": layout.variant_id[part],
                    "centimorgans": np.char.mod("%.6f", layout.position[part] / 1e6),
                    "position": layout.position[part],
                    "a1": layout.effect_allele[part],
                    "a2": layout.other_allele[part],
                }
            )
            frame.to_csv(handle, sep="\t", header=False, index=False, lineterminator="\n")


def _write_rows(path: Path, frame: pd.DataFrame, *, header: bool = True) -> None:
    # seven digits: the last bits of a sum may differ from one processor to the next, the files may not
    frame.to_csv(
        path, sep="\t", header=header, index=False, na_rep="NA", float_format="%.7g", lineterminator="\n"
    )
