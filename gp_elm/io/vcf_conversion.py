"""A VCF or BCF to a converted folder: parts read in processes of their own, joined in the order of the file."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import gp_elm
from gp_elm.errors import InputError
from gp_elm.io.converted import DOSAGE, STEM
from gp_elm.io.vcf_header import VcfHeader, index_of
from gp_elm.io.vcf_index import Contig, Window, cut, read_index
from gp_elm.io.vcf_regions import within
from gp_elm.io.vcf_rows import DosageArray, rows_at_once
from gp_elm.runtime.progress import Progress

log = logging.getLogger(__name__)

BED_MAGIC = b"\x6c\x1b\x01"
SMALL_BYTES = 8 << 20
"""A file up to this size is read by one process: starting another takes longer."""

# several parts a process, so that none waits long for the last
_PARTS = 4


@dataclass(frozen=True)
class Job:
    """A conversion.

    Attributes
    ----------
    path : Path
        The file.
    header : VcfHeader
        What it says.
    field : str
        "GT" or "DS".
    windows : list of Window, optional
        What to keep; everything where None.
    passed : bool
        Leave out records that failed a filter.
    processes : int
        How many may read.
    progress : bool, optional
        Draw a progress line; None where standard error is a terminal.
    """

    path: Path
    header: VcfHeader
    field: str
    windows: list[Window] | None
    passed: bool
    processes: int
    progress: bool | None


def usable_processes(path: Path) -> int:
    """Processes that read a file where the caller does not say."""
    if path.stat().st_size <= SMALL_BYTES:
        return 1
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def convert(job: Job, folder: Path, parts: Path) -> dict[str, int]:
    """Write the genotypes and the table of variants.

    Parameters
    ----------
    job : Job
        What to convert.
    folder : Path
        Existing folder for the result.
    parts : Path
        Existing folder for what is not joined yet; left empty.

    Returns
    -------
    dict
        :data:`gp_elm.io.vcf_records.COUNTS`, a number for each.

    Raises
    ------
    InputError
        Where the file cannot be used.
    """
    index = index_of(job.path) if job.header.blocked else None
    contigs = None if index is None else read_index(index, job.header.contigs)
    expected = None
    if contigs and job.windows is None and all(contig.records >= 0 for contig in contigs):
        expected = sum(contig.records for contig in contigs)
    groups = _groups(job, contigs)
    counts = _run(job, groups, folder, parts, expected)
    if groups[0] is not None and expected is not None and counts["records"] != expected:
        log.warning(
            "%s: the index names %d records, %d were found; reading the file again without %s",
            job.path, expected, counts["records"], index,
        )  # fmt: skip
        counts = _run(job, [None], folder, parts, None)
    return counts


def _groups(job: Job, contigs: list[Contig] | None) -> list[list[Window] | None]:
    """Windows of each task; [None] where the file is read from end to end."""
    if not contigs or (job.windows is None and job.processes == 1):
        return [None]
    wanted = _PARTS * job.processes if job.processes > 1 else 1
    windows = cut(contigs, wanted)
    if job.windows is not None:
        windows = within(windows, job.windows, str(job.path))
    size = -(-len(windows) // (2 * wanted))
    return [windows[k : k + size] for k in range(0, len(windows), size)]


def _run(
    job: Job, groups: list[list[Window] | None], folder: Path, parts: Path, expected: int | None
) -> dict[str, int]:
    tasks: list[dict[str, Any]] = [
        {
            "path": str(job.path), "out": str(parts / str(k)), "field": job.field,
            "n_samples": len(job.header.samples), "windows": job.windows if group is None else group,
            "indexed": group is not None, "passed": job.passed,
            "threads": job.processes if group is None and job.header.blocked else 1,
        }
        for k, group in enumerate(groups)
    ]  # fmt: skip
    counts: dict[str, int] = {}
    n_workers = min(job.processes, len(tasks))
    bar = Progress(f"Converting {job.path.name}", expected, unit="records", enabled=job.progress)
    with bar, _joined(job, folder) as join, _workers(n_workers) as workers:
        idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in workers:
            idle.put(worker)

        def perform(task: dict[str, Any]) -> dict[str, int]:
            worker = idle.get()
            try:
                return worker.perform(task, bar.update)
            finally:
                idle.put(worker)

        pool = ThreadPoolExecutor(n_workers)
        futures = [pool.submit(perform, task) for task in tasks]
        try:
            for task, future in zip(tasks, futures, strict=True):
                for name, count in future.result().items():
                    counts[name] = counts.get(name, 0) + count
                join(Path(task["out"]))
        except BaseException:
            for future in futures:
                future.cancel()
            for worker in workers:
                worker.stop()
            raise
        finally:
            pool.shutdown()
    return counts


@contextlib.contextmanager
def _joined(job: Job, folder: Path) -> Iterator[Callable[[Path], None]]:
    """Give a function that appends a part, and removes it."""
    with contextlib.ExitStack() as stack:
        variants = stack.enter_context(open(folder / f"{STEM}.bim", "wb"))
        bed: IO[bytes] | None = None
        array: DosageArray | None = None
        if job.field == "GT":
            bed = stack.enter_context(open(folder / f"{STEM}.bed", "wb"))
            bed.write(BED_MAGIC)
        else:
            shutil.rmtree(folder / DOSAGE, ignore_errors=True)
            array = DosageArray(folder / DOSAGE, len(job.header.samples))
            stack.callback(array.close)

        def append(part: Path) -> None:
            _move_into(variants, Path(f"{part}.bim"))
            if bed is not None:
                _move_into(bed, Path(f"{part}.bed"))
            if array is not None:
                _append_dosages(array, Path(f"{part}.zarr"))

        yield append


def _move_into(target: IO[bytes], part: Path) -> None:
    with open(part, "rb") as handle:
        shutil.copyfileobj(handle, target, 1 << 20)
    part.unlink()


def _append_dosages(target: DosageArray, part: Path) -> None:
    import zarr  # slow to load

    array: Any = zarr.open_array(str(part), mode="r")
    step = rows_at_once(4 * array.shape[1])
    for start in range(0, array.shape[0], step):
        target.write(array[start : start + step])
    shutil.rmtree(part)


@contextlib.contextmanager
def _workers(count: int) -> Iterator[list[_Worker]]:
    workers: list[_Worker] = []
    try:
        for _ in range(count):
            workers.append(_Worker())
        yield workers
    finally:
        for worker in workers:
            worker.close()


class _Worker:
    """A process that runs :mod:`gp_elm.io.vcf_records`."""

    def __init__(self) -> None:
        home = str(Path(gp_elm.__file__).parents[1])
        paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gp_elm.io.vcf_records"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )

    def perform(self, task: dict[str, Any], report: Callable[[int], None]) -> dict[str, int]:
        """Do one task; `report` gets the number of records read since the last time."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
        for line in process.stdout:
            answer = json.loads(line)
            if "records" in answer:
                report(answer["records"])
            elif "counts" in answer:
                return dict(answer["counts"])
            elif "os_error" in answer:
                raise OSError(*answer["os_error"])
            else:
                raise InputError(answer["error"])
        code = process.wait()
        raise InputError(
            f"{task['path']}: the process that reads it ended ({_ending(code)}); the file is damaged, or memory "
            "is short: copy the file again, or check it with bcftools view"
        )

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process; no thread may be waiting for it."""
        self.stop()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
