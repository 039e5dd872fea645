"""Pairs a second of the exhaustive interaction sweep.

    python benchmarks/pairs.py [--threads 1] [--yeast PREFIX]

Prints one line a case: samples, variants, columns, covariates, seconds (processor seconds too), pairs a second, peak
memory. Kernels are compiled before the clock starts. ``--yeast`` times a share of the tiles of a cross of the shape of
Bloom et al. 2015 (3,500 samples x 10,303 variants, 57 columns in 19 patterns of missing values) and extrapolates.
``--plink`` times ``plink1.9 --epistasis`` on the same genotypes, without covariates.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
from threadpoolctl import threadpool_limits

from gp_elm.association.pair_sweep import pair_sweep


class Enough(Exception):
    """Raised by the progress hook to stop a sweep."""


def measure(
    name: str,
    genotypes: np.ndarray,
    traits: np.ndarray,
    covariates: np.ndarray | None,
    *,
    share: float = 1.0,
) -> None:
    """Time one sweep, or its first share of tiles, and print a line."""
    centred = (genotypes - genotypes.mean(axis=0)).astype(np.float32)
    clock: list[float] = []
    done_pairs = [0]

    def progress(done: int, total: int) -> None:
        clock.append(time.perf_counter())
        done_pairs[0] = done
        if done >= share * total:
            raise Enough

    read: Callable[[int, int], np.ndarray] = lambda start, stop: centred[:, start:stop]  # noqa: E731
    n, m = genotypes.shape
    start, cpu = time.perf_counter(), time.process_time()
    try:
        pair_sweep(read, m, traits, covariates, progress=progress)
    except Enough:
        pass
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    total = m * (m - 1) // 2
    q = 0 if covariates is None else covariates.shape[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = (
        f"{name:28s} n={n} m={m} columns={traits.shape[1]} covariates={q}: {wall:.2f} s, cpu {cpu:.2f} s, "
        f"{done_pairs[0] / wall / 1e6:.2f} M pairs/s, {done_pairs[0] / cpu / 1e6:.2f} M pairs/s a processor, "
        f"peak {peak:.0f} MB"
    )
    if share < 1:
        line += f"; {done_pairs[0] / total:.1%} of the pairs, in all {wall * total / done_pairs[0]:.0f} s"
    print(line, flush=True)


def plink_epistasis(genotypes: np.ndarray, trait: np.ndarray) -> None:
    """Time plink1.9 --epistasis on the same data."""
    n, m = genotypes.shape
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / "cohort"
        codes = np.array([3, 2, 0], dtype=np.uint8)[genotypes.astype(int)].T
        padded = np.zeros((m, (n + 3) // 4 * 4), dtype=np.uint8)
        padded[:, :n] = codes
        packed = (padded.reshape(m, -1, 4) << np.array([0, 2, 4, 6], dtype=np.uint8)).sum(
            axis=2, dtype=np.uint8
        )
        prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + packed.tobytes())
        prefix.with_suffix(".bim").write_text("".join(f"1\tv{j}\t0\t{j + 1}\tA\tC\n" for j in range(m)))
        prefix.with_suffix(".fam").write_text("".join(f"s{i} s{i} 0 0 1 {trait[i]:.9g}\n" for i in range(n)))
        command = [
            "plink1.9",
            "--bfile",
            str(prefix),
            "--epistasis",
            "--epi1",
            "1e-6",
            "--threads",
            "1",
            "--out",
            str(prefix),
        ]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        wall = time.perf_counter() - start
    print(
        f"{'plink1.9 --epistasis':28s} n={n} m={m}: {wall:.2f} s, {m * (m - 1) / 2 / wall / 1e6:.3f} M pairs/s"
    )


def main() -> None:
    """Run the cases."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--variants", type=int, nargs="*", default=[1_000, 4_000])
    parser.add_argument("--yeast", action="store_true")
    parser.add_argument("--plink", action="store_true")
    arguments = parser.parse_args()
    numba.set_num_threads(arguments.threads)
    rng = np.random.default_rng(1)
    n = arguments.samples
    with threadpool_limits(arguments.threads):
        warm = rng.binomial(2, 0.4, (300, 80)).astype(float)
        pair_sweep(lambda a, b: warm[:, a:b] - 0.8, 80, rng.normal(size=(300, 1)), rng.normal(size=(300, 1)))
        covariates = rng.normal(size=(n, 5))
        trait = rng.normal(size=(n, 1))
        for m in arguments.variants:
            genotypes = rng.binomial(2, rng.uniform(0.05, 0.5, m), (n, m)).astype(np.int8)
            measure("diploid", genotypes, trait, None)
            measure("diploid, covariates", genotypes, trait, covariates)
            if m <= 1_000:
                haploid = (genotypes > 0).astype(np.int8)
                measure("haploid", haploid, trait, None)
                measure("diploid, 20 traits", genotypes, rng.normal(size=(n, 20)), None)
                if arguments.plink:
                    plink_epistasis(genotypes, trait[:, 0])
        if arguments.yeast:
            n, m = 3_500, 10_303
            genotypes = rng.binomial(1, 0.5, (n, m)).astype(np.int8)
            traits = np.repeat(rng.normal(size=(n, 19)), 3, axis=1) + rng.normal(size=(n, 57))
            for column in range(19):
                traits[rng.random(n) < rng.uniform(0.01, 0.14), 3 * column : 3 * column + 3] = np.nan
            measure("yeast-like", genotypes, traits, None, share=0.05)


if __name__ == "__main__":
    main()
