"""VCF and BCF to a lazy cohort (https://samtools.github.io/hts-specs/VCFv4.3.pdf), by way of a conversion made once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from gp_elm.errors import InputError, OptionError
from gp_elm.io.converted import (
    default_folder,
    open_converted,
    reusable,
    source_fingerprint,
    write_description,
)
from gp_elm.io.plink import PathLike
from gp_elm.io.vcf_conversion import Job, convert, usable_processes
from gp_elm.io.vcf_header import VcfHeader, read_header
from gp_elm.io.vcf_regions import parse_regions
from gp_elm.runtime.atomic import atomic_path

log = logging.getLogger(__name__)

FIELDS = ("GT", "DS")


def read_vcf(
    path: PathLike,
    *,
    field: str = "GT",
    regions: str | Sequence[str] | None = None,
    passed: bool = False,
    store: PathLike | None = None,
    chunk_variants: int | None = None,
    processes: int | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Open a VCF or BCF as a lazy cohort.

    The first call converts the file, in bounded memory, to a folder of PLINK 1 files (GT) or compressed dosages (DS);
    later calls with the same options open that folder at once, as long as the content of the file is the same.

    Parameters
    ----------
    path : path
        ``.vcf``, ``.vcf.gz`` (bgzip, or gzip) or ``.bcf``.
    field : {"GT", "DS"}
        Hard calls, or imputed dosages.
    regions : str or sequence of str, optional
        What to keep, by POS: ``"chr1:1000-2000,2"``, both ends included. Fast with an index beside the file (``.tbi``
        or ``.csi``); without one the file is read to its end.
    passed : bool
        Leave out records that failed a filter: those whose FILTER is neither ``PASS`` nor ``.``, as PLINK 2's
        ``--var-filter``.
    store : path, optional
        Folder for the conversion; ``FILE.gp_elm`` beside the file by default, or one under ``$XDG_CACHE_HOME/gp_elm``
        where that cannot be written.
    chunk_variants : int, optional
        Variants of a dask chunk; by default as many as make about 16 MiB.
    processes : int, optional
        How many read at once where the file has an index; the processors by default, 1 for a small file.
    progress : bool, optional
        Draw a progress line; None where standard error is a terminal.

    Returns
    -------
    xarray.Dataset
        A cohort (:mod:`gp_elm.schema`), in the order of the file. ``call_dosage`` (variants, samples) counts the
        ALT: int8 with -1 missing (GT), or float32 with NaN (DS). Chromosomes and ids (``.`` where none) are as in the
        file.

    Raises
    ------
    InputError
        Where the file is missing, malformed, truncated, unsorted or polyploid, or leaves no variant.
    OptionError
        Where an option makes no sense.
    OutputError
        Where the conversion cannot be written.

    Notes
    -----
    - A record with several ALTs becomes a row for each, with the same id; a call of another ALT counts 0 copies of
      this one and stays called, as ``bcftools norm -m-`` has it.
    - A call with one missing allele is missing. A haploid call of the ALT counts 2 copies, as PLINK writes it, and
      a haploid DS (scale 0..1, told by its GT) is doubled.
    - Left out, and counted in the log: records without ALT or without the field, the ALT ``*`` (an upstream
      deletion), and ALTs that name no allele (``<NON_REF>``, ``<*>``). Other symbolic ALTs (``<DEL>``) are kept.
    - DS is never replaced by GT.

    Examples
    --------
    >>> read_vcf("cohort.vcf.gz", regions="chr1,chr2:1-5000000", passed=True)  # doctest: +SKIP
    """
    if field not in FIELDS:
        raise OptionError(f"field is {field!r}; give 'GT' (hard calls) or 'DS' (dosages)")
    for name, number in (("chunk_variants", chunk_variants), ("processes", processes)):
        if number is not None and number < 1:
            raise OptionError(f"{name} is {number}; give at least 1")
    file = Path(path)
    header = read_header(file)
    windows = parse_regions(regions, header.contigs)
    places = None if windows is None else [list(window) for window in windows]
    options = {"field": field, "regions": places, "passed": passed}
    made_from = {"source": source_fingerprint(file), "options": options}
    folder = Path(store) if store is not None else default_folder(file, _label(options))
    description = reusable(folder, made_from)
    if description is None:
        job = Job(file, header, field, windows, passed, processes or usable_processes(file), progress)
        try:
            description = _convert(job, folder, made_from)
        except BaseException:
            if store is None:
                # holds the conversions of this file alone: it goes where there is none
                with contextlib.suppress(OSError):
                    folder.parent.rmdir()
            raise
    else:
        log.info("%s: opening its conversion %s", file, folder)
    log.info("%s: %s", file, _told(description))
    return open_converted(folder, description, {"vcf": str(file)}, chunk_variants)


def _label(options: dict[str, Any]) -> str:
    """Name of the folder: a conversion with other options stands beside, and does not take the place of, the first."""
    if options["regions"] is None and not options["passed"]:
        return str(options["field"])
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:8]
    return f"{options['field']}-{digest}"


def _convert(job: Job, folder: Path, made_from: dict[str, Any]) -> dict[str, Any]:
    _check_field(job.path, job.header, job.field)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        parts = temporary.parent / "parts"
        parts.mkdir()
        counts = convert(job, temporary, parts)
        if not counts["variants"]:
            raise InputError(f"{job.path}: no variant is left ({_reasons(counts)}); {_remedy(job, counts)}")
        if source_fingerprint(job.path) != made_from["source"]:
            raise InputError(
                f"{job.path}: the file changed while it was read; start again when it is complete"
            )
        description = write_description(temporary, made_from, job.header.samples, counts["variants"], counts)
    log.info("%s: converted to %s", job.path, folder)
    return description


def _check_field(path: Path, header: VcfHeader, field: str) -> None:
    if field == "DS" and "DS" not in header.formats:
        raise InputError(
            f"{path}: no DS in the header (it declares {', '.join(header.formats) or 'no FORMAT field'}); "
            "leave out --dosages to read GT"
        )


def _remedy(job: Job, counts: dict[str, int]) -> str:
    if not counts["records"] and job.windows is not None:
        return "check --regions: names of chromosomes are as in the file"
    if not counts["records"]:
        return "the file has a header alone; copy it again"
    if counts["without_field"]:
        return f"the records have no {job.field}; read the other of GT and DS (--dosages)"
    return "check the file and the filters"


def _told(description: dict[str, Any]) -> str:
    return (
        f"{len(description['samples']):,} samples, {description['n_variants']:,} variants of "
        f"{_reasons(description['counts'])}"
    )


def _reasons(counts: dict[str, int]) -> str:
    """Counts in words; those that are 0 are not said."""
    words = {
        "not_passed": "records left out by FILTER",
        "without_alt": "records without ALT left out",
        "without_field": "records without the field left out",
        "deletion_alleles": "ALTs '*' left out",
        "unspecified_alleles": "ALTs that name no allele left out",
        "multiallelic": "records with several ALTs split",
    }
    said = [f"{counts[name]:,} {word}" for name, word in words.items() if counts[name]]
    return "; ".join([f"{counts['records']:,} records", *said])
