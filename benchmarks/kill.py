"""SIGKILL at random times: the same command again must end in the tables of an uninterrupted run.

    python benchmarks/kill.py [KILLS]

KILLS (20) kills are spread over convert, train, elm and gwas on a small simulated cohort, each in a folder of its own.
A kill counts only where the command was still there. States of a training are written as often as their cost allows
(``--checkpoint-minutes 0``). A command killed at its very end left everything; the repeated one may then say so.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

COHORT = ["--n-samples", "800", "--n-variants", "40", "--n-additive", "8", "--n-pairs", "3", "--seed", "1"]
TRAIN = ["--folds", "2", "--epochs", "24", "--hidden", "64", "--checkpoint-minutes", "0"]
COMMANDS = {"convert": [], "train": TRAIN, "elm": TRAIN, "gwas": []}
EARLIEST = 0.3  # of the time of the uninterrupted run: before that Python is still importing


def command(name: str, cohort: Path, out: Path) -> list[str]:
    inputs = ["--bfile", str(cohort), "--pheno", f"{cohort}.pheno.tsv", "--quiet", "--out", str(out)]
    return [sys.executable, "-m", "gp_elm", name, *COMMANDS[name], *inputs]


def start(words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def content(path: Path) -> bytes:
    """What a file says, without what depends on the time of writing."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".h5ad":
        import anndata

        read = anndata.read_h5ad(path)
        x = read.X if isinstance(read.X, np.ndarray) else read.X.toarray()
        return x.tobytes() + read.obs.to_csv().encode() + read.var.to_csv().encode()
    return path.read_bytes()


def tables(folder: Path) -> dict[str, bytes]:
    """Content of every table and network of a results folder, by its place."""
    kept = (".gz", ".tsv", ".parquet", ".safetensors", ".h5ad")
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.suffix in kept and not any(part.startswith(".") for part in name.parts):
            found[str(name)] = content(path)
    return found


def killed(words: list[str], seconds: float) -> tuple[bool, float]:
    """Start a command and kill it after some time: whether it was still there, and seconds that it had."""
    began, process = time.perf_counter(), start(words)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()
    return process.returncode == -9, time.perf_counter() - began


def state_of(folder: Path) -> str:
    """How far a killed command came, in words."""
    folds = sorted(path.name for path in folder.glob("work/folds/fold_*"))
    if folds:
        return ", ".join(folds)
    there = (
        sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        if folder.exists()
        else []
    )
    return ", ".join(there) or "nothing"


def try_command(name: str, cohort: Path, folder: Path, kills: int, draw: Callable[[], float]) -> int:
    """Kill a command some times; returns how often the repeated command failed or gave other tables."""
    whole = folder / name
    began = time.perf_counter()
    process = start(command(name, cohort, whole))
    _, said = process.communicate()
    if process.returncode:
        sys.exit(said.decode())
    took = time.perf_counter() - began
    wanted = tables(whole)
    print(f"{name}: {took:.1f} s uninterrupted, {len(wanted)} tables and networks", flush=True)
    failures = done = 0
    while done < kills:
        out = folder / f"{name}_{done}"
        seconds = took * (EARLIEST + (1 - EARLIEST) * draw())
        there, lasted = killed(command(name, cohort, out), seconds)
        if not there:  # the first run compiled, or shared the machine
            shutil.rmtree(out)
            took = lasted
            continue
        state, left = state_of(out), len(list(out.rglob(".*.partial")))
        process = start(command(name, cohort, out))
        _, said = process.communicate()
        found = tables(out)
        differ = [key for key in sorted(wanted | found) if wanted.get(key) != found.get(key)]
        outcome = "identical" if not differ else f"DIFFER: {', '.join(differ)}"
        if process.returncode and (differ or b"is there already" not in said):
            outcome = f"FAILED: {said.decode().strip().splitlines()[-1]}"
        failures += not outcome.startswith("identical")
        debris = len(list(out.rglob(".*.partial")))
        print(
            f"  killed at {seconds:4.1f} s  {outcome}  (left: {state}; half-written {left}, after: {debris})",
            flush=True,
        )
        shutil.rmtree(out)
        done += 1
    return failures


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory(prefix="gp_elm_kill_") as name:
        folder = Path(name)
        cohort = folder / "cohort"
        made = [sys.executable, "-m", "gp_elm", "simulate", *COHORT, "--out", str(cohort)]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shares = np.diff(np.linspace(0, kills, len(COMMANDS) + 1).round().astype(int))
        failures = sum(
            try_command(each, cohort, folder, int(share), rng.random)
            for each, share in zip(COMMANDS, shares, strict=True)
        )
    print(f"{kills} kills, {failures} not resumed to the tables of the uninterrupted run")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
