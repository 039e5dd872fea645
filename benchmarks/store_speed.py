"""BED to store beside `plink2 --make-bed` on the same file; random rows from the containers that were considered.

Both read the whole BED and write its genotypes once. They take turns; a store's time covers its whole process but the
start of Python: opening the fileset, its fingerprint (a hash of its content), rows, BIM and FAM, and the flush to disk
that PLINK leaves to the system (a second figure of PLINK has the flush of its BED added).

The containers hold the same packed rows: the store's file; a memory map of it; Zarr v3, a row a chunk, 64 or 1,024 of
them a shard. Rows are drawn at random, one by one and 128 at a time, from memory and with the pages dropped before each
draw; bytes are those that the system fetched from the disk.

    python benchmarks/store_speed.py --folder /a/disk/with/1/GB
"""

from __future__ import annotations

import argparse
import mmap
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import zarr
from common import write_bed

import gp_elm as ge
from gp_elm.streaming.store import Store, write_store

Rows = Callable[[np.ndarray], np.ndarray]


def flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def drop(path: Path) -> None:
    """Drop the pages of a file, or of the files of a folder, from memory."""
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def processor_seconds(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def speed(prefix: Path, folder: Path, rounds: int) -> Store:
    write_store(ge.read_plink(write_bed(folder / "few", 101, 203)), folder / "few.store")  # compiles
    columns: dict[str, list[float]] = {}
    for k in range(rounds):
        for name in ("store", "plink") if k % 2 else ("plink", "store"):
            who = resource.RUSAGE_SELF if name == "store" else resource.RUSAGE_CHILDREN
            began, used = time.perf_counter(), processor_seconds(who)
            if name == "store":
                store = write_store(ge.read_plink(prefix), folder / "store")
            else:
                command = ["plink2", "--bfile", prefix, "--make-bed", "--out", folder / "copy"]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                columns.setdefault("plink, not flushed", []).append(time.perf_counter() - began)
                flush(folder / "copy.bed")
            columns.setdefault(name, []).append(time.perf_counter() - began)
            columns.setdefault(f"{name}, processor", []).append(processor_seconds(who) - used)
    for name, seconds in columns.items():
        print(f"{name}: median {median(seconds):.2f} s of {' '.join(f'{s:.2f}' for s in seconds)}")
    for other in ("plink", "plink, not flushed"):
        print(f"store over {other}: {median(columns['store']) / median(columns[other]):.2f} of the time")
    ratio = median(columns["store, processor"]) / median(columns["plink, processor"])
    print(f"store over plink: {ratio:.2f} of the processor time", flush=True)
    return store


def containers(store: Store, folder: Path) -> None:
    n, width = store.n_samples, store.row_bytes
    everyone = np.argsort(store.sample_id)  # the order of the file
    mapped = np.memmap(store.path / "genotypes.bed", np.uint8, "r", offset=3, shape=(n, width))
    readers: dict[str, tuple[Path, Rows]] = {
        "file": (store.path / "genotypes.bed", store.packed),
        "memory map": (store.path / "genotypes.bed", lambda rows: np.asarray(mapped[rows])),
    }
    for shard in (64, 1024):
        path = folder / f"shards{shard}"
        array = zarr.create_array(
            path, shape=(n, width), chunks=(1, width), shards=(shard, width), dtype="uint8", compressors=None
        )
        for start in range(0, n, shard):
            array[start : start + shard] = store.packed(everyone[start : start + shard])
        opened = zarr.open_array(path, mode="r")
        readers[f"Zarr v3, {shard} rows a shard"] = (path, lambda rows, z=opened: z.oindex[rows])
    os.sync()
    rng = np.random.default_rng(1)
    for name, (path, read) in readers.items():
        figures = []
        for size, draws in ((1, 100), (128, 4)):
            drawn = [np.sort(rng.choice(n, size, replace=False)) for _ in range(draws)]
            for rows in drawn:
                read(rows)
            began = time.perf_counter()
            for rows in drawn:
                read(rows)
            figures.append(f"{size * draws / (time.perf_counter() - began):,.0f} rows/s from memory")
            before, spent = resource.getrusage(resource.RUSAGE_SELF).ru_inblock, 0.0
            for rows in drawn:
                if name == "memory map":
                    mapped._mmap.madvise(mmap.MADV_DONTNEED)  # mapped pages are not dropped otherwise
                drop(path)
                began = time.perf_counter()
                read(rows)
                spent += time.perf_counter() - began
            fetched = 512 * (resource.getrusage(resource.RUSAGE_SELF).ru_inblock - before)
            figures.append(
                f"{size * draws / spent:,.0f} rows/s from disk, {fetched / (size * draws * width):.2f} of their bytes"
            )
        print(
            f"{name}: one by one {', '.join(figures[:2])}; 128 at a time {', '.join(figures[2:])}", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--variants", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as holder:
        folder = Path(holder)
        prefix = write_bed(folder / "c", given.samples, given.variants)
        containers(speed(prefix, folder, given.rounds), folder)


if __name__ == "__main__":
    main()
