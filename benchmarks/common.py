"""What the scripts of this folder share: where the data stand, and running a whole `gp-elm run` with its cost."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

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
