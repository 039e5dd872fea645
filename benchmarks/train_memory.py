"""Peak memory of the store, of training, of the network's effects and of the scan, as the samples grow; and of a run.

Each step is a process of its own, whose peak resident memory is what the system says (ru_maxrss); where it starts
others, what they hold together, looked at twice a second. The goal is a peak
that does not grow with the samples, at most 15 % more at ten times as many, and stays below 2 GiB; a whole run on
20,000 samples x 200,000 variants, thinned to 20,000 for the networks, stays below 3 GiB.

    python benchmarks/train_memory.py --folder /a/disk/with/8/GB
    python benchmarks/train_memory.py --samples 2000 10000 --variants 20000 --only store train elm gwas
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# the process that starts the others imports and makes nothing: a child's peak begins at its parent's
GOAL, LIMIT, RUN_LIMIT = 1.15, 2048, 3072
STEPS = ("imports", "store", "train", "elm", "gwas", "run")
TRAINING = ["--epochs", "1", "--folds", "2", "--members", "1"]
THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


def make(prefix: Path, n_samples: int, n_variants: int, n_traits: int) -> None:
    """Random genotypes without LD, traits of 20 loci each with half of the variance, three covariates."""
    import numpy as np
    from common import write_bed

    import gp_elm as ge

    write_bed(prefix, n_samples, n_variants)
    rng = np.random.default_rng(2)
    cohort = ge.read_plink(prefix)
    loci = np.linspace(0, n_variants - 1, 20).astype(int)
    dosage = np.maximum(np.vstack([cohort["call_dosage"][i : i + 1].values for i in loci]), 0).T
    genetic = dosage @ rng.normal(size=(loci.size, n_traits))
    traits = genetic / genetic.std(0) + rng.normal(size=(n_samples, n_traits))
    covariates = rng.normal(size=(n_samples, 3))
    for name, words, values in (("pheno", "trait", traits), ("covar", "covariate", covariates)):
        with open(f"{prefix}.{name}.tsv", "w") as file:
            print("sample_id", *(f"{words}_{k}" for k in range(values.shape[1])), sep="\t", file=file)
            for i, row in enumerate(values):
                print(f"s{i}", *(f"{value:.6g}" for value in row), sep="\t", file=file)


def write_store(prefix: Path) -> None:
    import gp_elm as ge
    from gp_elm.streaming.store import write_store

    write_store(ge.read_plink(prefix), f"{prefix}.store")
    shutil.rmtree(f"{prefix}.store")


def imports() -> None:
    import gp_elm as ge

    for function in (ge.read_plink, ge.linear_scan, ge.cross_fit, ge.elm_effects):
        assert function


def own(*arguments: object) -> list[str]:
    """Command of a step of this script."""
    return [sys.executable, __file__, *map(str, arguments)]


def command(step: str, prefix: Path, given: argparse.Namespace) -> list[str]:
    """What a step runs."""
    if step in ("imports", "store"):
        return own("--step", step, "--prefix", prefix)
    data = ["--bfile", prefix, "--pheno", f"{prefix}.pheno.tsv", "--covar", f"{prefix}.covar.tsv"]
    if step == "gwas":
        return list(map(str, [sys.executable, "-m", "gp_elm", "gwas", *data, "--out", f"{prefix}.gwas"]))
    more: list[object] = [*TRAINING, "--out", f"{prefix}.out"]
    if given.max_variants:
        more += ["--max-variants", given.max_variants]
    return list(map(str, [sys.executable, "-m", "gp_elm", step, *data, *more]))


def tree_memory(root: int) -> float:
    """MB that a process and those below it hold now, shared pages split among them."""
    parents, total = {}, 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
    for pid in parents:
        above = pid
        while above != root and above in parents:
            above = parents[above]
        if above != root:
            continue
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024
    return total


def watch(words: list[str], said: Path) -> None:
    """Run a step; print its exit code, seconds, peak MB of its largest process, and peak MB of all together."""
    began, together = time.perf_counter(), 0.0
    with open(said, "w") as log:
        running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=log)
        while running.poll() is None:
            together = max(together, tree_memory(running.pid))
            time.sleep(0.5)
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps([running.returncode, time.perf_counter() - began, max(largest, together)]))


def measured(step: str, prefix: Path, given: argparse.Namespace) -> tuple[float, float]:
    """Seconds and peak MB of a step; NaN where it failed."""
    said = Path(f"{prefix}.{step}.log")
    # a process in between, so that the largest child is that of this step alone
    words = own("--watch", json.dumps(command(step, prefix, given)), "--prefix", said)
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | THREADS)
    status, seconds, peak = json.loads(done.stdout)
    if status:
        print(f"{step} failed: {said.read_text()[-600:]}", file=sys.stderr)
        return float("nan"), float("nan")
    return seconds, peak


def compare(given: argparse.Namespace, folder: Path) -> None:
    needed = int(1.2 * max(given.samples) * given.variants * (0.25 + 0.25))
    if (free := shutil.disk_usage(folder).free) < needed:
        raise SystemExit(
            f"{folder}: {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB needed; choose another --folder"
        )
    prefixes = [folder / f"n{n}" for n in given.samples]
    for prefix, n in zip(prefixes, given.samples, strict=True):
        shape = ["--samples", n, "--variants", given.variants, "--traits", given.traits]
        subprocess.run(
            own("--step", "make", "--prefix", prefix, *shape), check=True, env=os.environ | THREADS
        )
    sizes = "".join(f"{f'MB at {n:,}':>14}" for n in given.samples)
    print(f"{given.variants:,} variants\n{'step':>8}{sizes} {'ratio':>6}  seconds", flush=True)
    for step in given.only:
        found = [measured(step, prefix, given) for prefix in prefixes]
        peaks = [peak for _, peak in found]
        ratio = peaks[-1] / peaks[0]
        limit = RUN_LIMIT if step == "run" else LIMIT
        words = ["grows" if ratio > GOAL else "", "above the limit" if max(peaks) > limit else ""]
        print(
            f"{step:>8}{''.join(f'{peak:14.0f}' for peak in peaks)} {ratio:6.2f}  "
            f"{' '.join(f'{seconds:.0f}' for seconds, _ in found)}  {' '.join(word for word in words if word)}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="where everything is written, and removed (temporary)")
    parser.add_argument("--samples", type=int, nargs="+", default=[5_000, 50_000])
    parser.add_argument("--variants", type=int, default=100_000)
    parser.add_argument("--traits", type=int, default=2)
    parser.add_argument("--max-variants", type=int, help="as for gp-elm run")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=STEPS[:-1])
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--prefix", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--watch", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.watch:
        watch(json.loads(given.watch), given.prefix)
    elif given.step == "make":
        make(given.prefix, given.samples[0], given.variants, given.traits)
    elif given.step == "store":
        write_store(given.prefix)
    elif given.step == "imports":
        imports()
    else:
        with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
            compare(given, Path(temporary))


if __name__ == "__main__":
    main()
