"""How fast BED is decoded: our table, bed-reader and pandas-plink, each into int8 with -1 missing, inside dask blocks.

5,000 and 5,001 samples x 20,000 variants, all samples and a random half of them; million genotypes a second, the best
of several rounds in turn. pandas-plink runs in the environment of `make test-pandas-plink`, where the others run too:

    .venv-pandas-plink/bin/python benchmarks/read_bed.py
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# a fair comparison is one thread each
os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})

import dask
import dask.array as da
import numpy as np
from common import write_bed

from gp_elm.io.blocks import default_chunk, select
from gp_elm.io.plink import read_plink

Job = Callable[[], da.Array]


def ours(prefix: Path, chosen: np.ndarray | None) -> Job:
    cohort = select(read_plink(prefix), samples=chosen)
    return lambda: cohort["call_dosage"].data


def by_pandas_plink(prefix: Path, chosen: np.ndarray | None) -> Job:
    importlib.metadata.version("pandas-plink")
    cohort = select(read_plink(prefix, engine="pandas-plink"), samples=chosen)
    return lambda: cohort["call_dosage"].data


def by_bed_reader(prefix: Path, chosen: np.ndarray | None) -> Job:
    from bed_reader import open_bed

    with open_bed(f"{prefix}.bed") as bed:
        n_samples, n_variants = bed.shape
    chunk = default_chunk(n_samples if chosen is None else len(chosen))
    samples = slice(None) if chosen is None else chosen

    def read(block_info: dict) -> np.ndarray:
        start, stop = block_info[None]["array-location"][0]
        with open_bed(f"{prefix}.bed", num_threads=1, skip_format_check=True) as bed:
            # order F of samples x variants is order C of variants x samples
            values = bed.read(index=(samples, slice(start, stop)), dtype="int8", order="F", num_threads=1).T
        values[values == -127] = -1
        return values

    sizes = tuple(min(chunk, n_variants - start) for start in range(0, n_variants, chunk))
    wide = n_samples if chosen is None else len(chosen)
    return lambda: da.map_blocks(read, chunks=(sizes, (wide,)), dtype=np.int8, meta=np.empty((0, 0), np.int8))


READERS = {"gp-elm": ours, "bed-reader": by_bed_reader, "pandas-plink": by_pandas_plink}


def total(array: da.Array) -> int:
    """Visit every block once, keeping none; the sum of a few columns shows that all read the same."""
    sums = da.map_blocks(lambda block: block[:, ::997].sum(dtype=np.int64)[None, None], array, chunks=(1, 1))
    return int(sums.compute().sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for package in ("gp-elm", "bed-reader", "pandas-plink", "numpy", "dask"):
        try:
            print(package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            print(package, "is not installed: left out")
    print(
        f"{'samples':>8} {'read':>6} "
        + " ".join(f"{name:>13}" for name in READERS)
        + "   million genotypes/s"
    )
    with tempfile.TemporaryDirectory() as folder, dask.config.set(scheduler="synchronous"):
        for n_samples in (5_000, 5_001):
            prefix = write_bed(Path(folder) / f"n{n_samples}", n_samples, arguments.variants)
            half = np.sort(np.random.default_rng(1).permutation(n_samples)[: n_samples // 2])
            for word, chosen in (("all", None), ("half", half)):
                jobs: dict[str, Job] = {}
                for name, reader in READERS.items():
                    try:
                        jobs[name] = reader(prefix, chosen)
                    except ImportError:
                        continue
                sums, best = set(), dict.fromkeys(jobs, np.inf)
                for _ in range(arguments.rounds):
                    for name, job in jobs.items():
                        began = time.perf_counter()
                        sums.add(total(job()))
                        best[name] = min(best[name], time.perf_counter() - began)
                assert len(sums) == 1, "the readers do not agree"
                read = arguments.variants * (n_samples if chosen is None else len(half)) / 1e6
                shown = (f"{read / best[name]:13,.0f}" if name in best else f"{'-':>13}" for name in READERS)
                print(f"{n_samples:>8,} {word:>6} {' '.join(shown)}")


if __name__ == "__main__":
    main()
