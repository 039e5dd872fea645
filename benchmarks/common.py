"""What the scripts of this folder share: where the data stand, a whole `gp-elm run` with its cost, random genotypes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

DATA = Path(os.environ.get("GP_ELM_DATA", Path(__file__).parents[2] / "shared" / "data"))
RESULTS = Path("results")


def cohort(name: str) -> list[str]:
    """`--bfile` and `--pheno` of a data set."""
    base = DATA / name / name
    return ["--bfile", str(base), "--pheno", f"{base}.pheno.tsv"]


def run(arguments: list[str], out: Path) -> None:
    """`gp-elm run` in a process of its own; prints seconds and peak memory. A finished run is taken as it is."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "gp_elm", "run", *arguments, "--out", str(out)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{' '.join(command[2:])}\n  {time.perf_counter() - began:.0f} s, peak {peak:.0f} MB", flush=True)


def write_bed(prefix: Path, n_samples: int, n_variants: int, *, seed: int = 1) -> Path:
    """A PLINK fileset of random calls, 1 % missing, written block by block; unrelated samples, no LD."""
    rng = np.random.default_rng(seed)
    with open(f"{prefix}.bed", "wb") as bed:
        bed.write(b"\x6c\x1b\x01")
        step = max(1, (64 << 20) // n_samples)
        for start in range(0, n_variants, step):
            rows = min(step, n_variants - start)
            frequency = rng.uniform(0.05, 0.95, rows).astype(np.float32)
            # 00 two copies, 10 one, 11 none, 01 missing, by where a byte falls among the genotypes' shares
            shares = np.cumsum([frequency**2, 2 * frequency * (1 - frequency)], axis=0) * 253
            draws = rng.integers(0, 256, (rows, (n_samples + 3) // 4 * 4), dtype=np.uint8)
            codes = np.full(draws.shape, 0b11, np.uint8)
            codes[draws < shares[1].astype(np.uint8)[:, None]] = 0b10
            codes[draws < shares[0].astype(np.uint8)[:, None]] = 0b00
            codes[draws >= 253] = 0b01
            codes[:, n_samples:] = 0
            quads = codes.reshape(rows, -1, 4)
            bed.write(quads[..., 0] | quads[..., 1] << 2 | quads[..., 2] << 4 | quads[..., 3] << 6)
    with open(f"{prefix}.bim", "w") as bim:
        bim.writelines(f"{1 + i * 22 // n_variants}\trs{i}\t0\t{i + 1}\tA\tG\n" for i in range(n_variants))
    with open(f"{prefix}.fam", "w") as fam:
        fam.writelines(f"s{i} s{i} 0 0 {1 + i % 2} -9\n" for i in range(n_samples))
    return prefix
