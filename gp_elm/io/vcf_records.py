"""Records of a VCF or BCF to packed rows, by cyvcf2, in a process of its own.

``python -m gp_elm.io.vcf_records`` takes a task a line on standard input (JSON, :class:`Task`) and answers each with
lines on standard output: ``{"records": n}`` as it goes, then ``{"counts": ...}`` or ``{"error": ...}``. A process of
its own, because htslib prints to standard error, and can crash on a damaged file; and one not made by multiprocessing,
which would run the user's script again.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cyvcf2
import numpy as np
from numpy.typing import NDArray

from gp_elm.errors import InputError
from gp_elm.io.vcf_index import Window
from gp_elm.io.vcf_rows import Rows, open_rows
from gp_elm.kernels.vcf_calls import OK, TOO_MANY_ALLELES, double_haploid, pack_calls

UNSPECIFIED = frozenset({"<NON_REF>", "<*>", "<X>", ".", ""})
"""ALTs that name no allele: what GVCF writers put for "anything else"."""

COUNTS = (
    "records", "not_passed", "without_alt", "without_field", "deletion_alleles", "unspecified_alleles",
    "multiallelic", "variants",
)  # fmt: skip
"""What is counted: records seen, left out for three reasons, ALTs left out for two, records split, rows written."""

_SECONDS_BETWEEN_REPORTS = 0.2


@dataclass(frozen=True)
class Task:
    """Part of a file to convert.

    Attributes
    ----------
    path : str
        The file.
    out : str
        Where the rows go, without suffix.
    field : str
        "GT" or "DS".
    n_samples : int
        Samples of the header.
    windows : list of Window, optional
        What to keep; everything where None.
    indexed : bool
        Jump to the windows by the index; where False, the file is read from end to end.
    passed : bool
        Leave out records that failed a filter.
    threads : int
        Threads that decompress.
    """

    path: str
    out: str
    field: str
    n_samples: int
    windows: list[Window] | None
    indexed: bool
    passed: bool
    threads: int


def convert(task: Task, report: Any = None) -> dict[str, int]:
    """Write the rows of one task.

    Parameters
    ----------
    task : Task
        What to read.
    report : callable, optional
        Called now and then with the number of records read since.

    Returns
    -------
    dict
        A number for each of `COUNTS`.

    Raises
    ------
    InputError
        Where a record cannot be used.
    """
    counts = dict.fromkeys(COUNTS, 0)
    reported, told = 0, time.monotonic()
    place = (None, 0)
    left: set[str] = set()
    with open_rows(task.out, task.field, task.n_samples) as rows:
        for record in _records(task):
            counts["records"] += 1
            place = _check_order(task.path, record, place, left)
            if task.passed and record.FILTER is not None:
                counts["not_passed"] += 1
            else:
                _write(task, record, rows, counts)
            if report is not None and time.monotonic() - told > _SECONDS_BETWEEN_REPORTS:
                report(counts["records"] - reported)
                reported, told = counts["records"], time.monotonic()
    if report is not None:
        report(counts["records"] - reported)
    return counts


def _records(task: Task) -> Iterator[Any]:
    reader = cyvcf2.VCF(task.path, lazy=True, threads=task.threads)
    if task.windows is None:
        yield from reader
        return
    by_contig: dict[str, list[tuple[int, int]]] = {}
    for name, start, stop in task.windows:
        by_contig.setdefault(name, []).append((start, stop))
    if not task.indexed:
        for record in reader:
            position = record.POS
            if any(start <= position <= stop for start, stop in by_contig.get(record.CHROM, ())):
                yield record
        return
    for name, start, stop in task.windows:
        quoted = f"{{{name}}}" if ":" in name or "," in name else name
        for record in reader(f"{quoted}:{start}-{stop}"):
            # a deletion that begins before the window reaches into it, and belongs to the window before
            if start <= record.POS <= stop:
                yield record


def _check_order(path: str, record: Any, last: tuple[Any, int], left: set[str]) -> tuple[Any, int]:
    name, position = record.CHROM, record.POS
    if position < 1:
        raise InputError(f"{path}: a record of {name} at position {position}; positions start at 1")
    if name == last[0]:
        if position < last[1]:
            raise InputError(
                f"{path}: {name}:{position} stands behind {name}:{last[1]}; sort the file with bcftools sort"
            )
    else:
        if name in left:
            raise InputError(
                f"{path}: records of {name} stand in two places; sort the file with bcftools sort"
            )
        left.add(last[0])
    return name, position


def _write(task: Task, record: Any, rows: Rows, counts: dict[str, int]) -> None:
    alts = record.ALT
    kept = []
    for k, alt in enumerate(alts, start=1):
        if alt in UNSPECIFIED:
            counts["unspecified_alleles"] += 1
        elif alt == "*":
            counts["deletion_alleles"] += 1
        else:
            kept.append((k, alt))
    if not alts:
        counts["without_alt"] += 1
    if not kept:
        return
    calls = _calls(record)
    dosage = None
    if task.field == "DS":
        dosage = _dosage(task, record, calls)
    if (calls if task.field == "GT" else dosage) is None:
        counts["without_field"] += 1
        return
    counts["multiallelic"] += len(alts) > 1
    counts["variants"] += len(kept)
    # blanks would break the table of variants
    name = "_".join((record.ID or ".").split()) or "."
    for k, alt in kept:
        rows.describe(record.CHROM, record.POS, name, alt, record.REF)
        if dosage is not None:
            rows.next_row()[:] = dosage[:, k - 1]
        else:
            _explain(task, record, pack_calls(calls, k, len(alts), rows.next_row()))


def _calls(record: Any) -> NDArray[np.int16] | None:
    try:
        genotype = record.genotype
    except Exception:  # what cyvcf2 raises where the record has no GT
        return None
    return None if genotype is None else genotype.array()


def _dosage(task: Task, record: Any, calls: NDArray[np.int16] | None) -> NDArray[np.float32] | None:
    try:
        values = record.format("DS")
    except KeyError:  # not declared in the header
        return None
    if values is None:
        return None
    where = f"{task.path}: {record.CHROM}:{record.POS}"
    if values.dtype.kind not in "fi":
        raise InputError(f"{where}: DS is declared as text; declare it as Number=A,Type=Float in the header")
    if values.shape[1] != len(record.ALT):
        raise InputError(
            f"{where}: {values.shape[1]} DS values a sample for {len(record.ALT)} ALTs; split the ALTs or give "
            "a value for each (Number=A)"
        )
    # integers have their own code for missing, far below zero
    # and VCF's NaN of missing floats is a signalling one, which warns in every sum
    dosage = np.where(np.isnan(values) | (values < -1e6), np.nan, values).astype(np.float32)
    if calls is not None:
        _explain(task, record, double_haploid(calls, dosage))
    # NaN is neither
    wrong = dosage[(dosage < -0.001) | (dosage > 2.001)]
    if wrong.size:
        raise InputError(
            f"{where}: a dosage (DS) of {wrong[0]:g}; copies of an allele lie between 0 and 2 "
            "(0 and 1, doubled here, where GT is haploid)"
        )
    return np.clip(dosage, 0, 2)


def _explain(task: Task, record: Any, status: int) -> None:
    if status == OK:
        return
    where = f"{task.path}: {record.CHROM}:{record.POS}"
    if status == TOO_MANY_ALLELES:
        raise InputError(
            f"{where}: a call of more than two alleles; polyploid genotypes cannot be used, "
            "call them as diploid or leave the record out"
        )
    raise InputError(
        f"{where}: a call of an allele beyond the {len(record.ALT)} ALTs of the record; mend the file"
    )


def _complaint(log: Any) -> str | None:
    """Last error that htslib printed, without its tag."""
    log.seek(0)
    lines = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.startswith("[E::")]
    return lines[-1].split("] ", 1)[-1] if lines else None


def main() -> None:
    """Answer tasks until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # the same file takes what htslib prints, which is said in the error, or not at all
    log = tempfile.TemporaryFile()
    os.dup2(log.fileno(), 2)
    os.dup2(log.fileno(), 1)
    # releases for NumPy 1 cannot be told to say less
    if (set_level := getattr(cyvcf2.cyvcf2, "set_htslib_log_level", None)) is not None:
        set_level(1)

    def answer(**what: Any) -> None:
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    for line in sys.stdin:
        task = Task(**json.loads(line))
        log.truncate(0)
        try:
            counts = convert(task, lambda n: answer(records=n))
            # where records are taken by region, htslib stops at damage without more than a word of it
            damage = _complaint(log)
        except InputError as error:
            answer(error=str(error))
            return
        except OSError as error:
            if error.errno is not None:
                answer(os_error=[error.errno, error.strerror, error.filename])
                return
            damage = _complaint(log) or str(error)
        except Exception as error:  # cyvcf2 raises bare exceptions
            damage = _complaint(log) or str(error)
        if damage:
            damage = " ".join(damage.split())
            answer(error=f"{task.path}: the file is damaged ({damage}); copy it again or mend it")
            return
        answer(counts=counts)


if __name__ == "__main__":
    main()
