"""VCF to store: seconds of `read_vcf` against `vcf2zarr convert` on the same file, and peak memory by cohort size.

python benchmarks/read_vcf.py [--samples 2000 --variants 50000 --repeats 3] [--memory 5000 50000 --memory-variants 2000]

The file is simulated, written as bgzip VCF by `plink2` and indexed by `tabix`, which must be installed. vcf2zarr
(bio2zarr) is left out, and that is said, where it is not on the path; --vcf2zarr names it elsewhere. Both use
--processes processes, in turns, the best of the repeats counts.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

READ = (
    "import sys; from gp_elm.io.vcf import read_vcf; import resource as r; "
    "read_vcf(sys.argv[1], store=sys.argv[2], processes=int(sys.argv[3]), progress=False); "
    "print(r.getrusage(r.RUSAGE_SELF).ru_maxrss // 1024, r.getrusage(r.RUSAGE_CHILDREN).ru_maxrss // 1024)"
)


def vcf_file(folder: Path, n_samples: int, n_variants: int) -> Path:
    from gp_elm.simulate import simulate

    base = folder / f"c{n_samples}"
    simulate(base, n_samples=n_samples, n_variants=n_variants, missing_rate=0.01, seed=1)
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run(["plink2", "--bfile", str(base), "--export", "vcf", "bgz", "--out", str(base)], **quiet)
    path = base.with_suffix(".vcf.gz")
    subprocess.run(["tabix", "-f", str(path)], **quiet)
    return path


def timed(command: list[str]) -> tuple[float, float, str]:
    """Wall and processor seconds, and output, of a command and what it starts."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, used, done.stdout


def speed(folder: Path, options: argparse.Namespace) -> None:
    path = vcf_file(folder, options.samples, options.variants)
    store, vcz = folder / "store", folder / "out.vcz"
    commands = {
        "gp_elm read_vcf": [sys.executable, "-c", READ, str(path), str(store), str(options.processes)]
    }
    if options.vcf2zarr is None:
        print("vcf2zarr is not installed (pip install bio2zarr[vcf]): it is left out")
    else:
        commands["vcf2zarr convert"] = [
            options.vcf2zarr, "convert", "--force", "--no-progress", "-p", str(options.processes), str(path), str(vcz),
        ]  # fmt: skip
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(options.repeats):
        for name, command in commands.items():
            for made in (store, vcz):
                shutil.rmtree(made, ignore_errors=True)
            seconds[name].append(timed(command)[:2])
    print(f"{options.samples} samples x {options.variants} variants, {path.stat().st_size / 1e6:.0f} MB")
    for name, runs in seconds.items():
        print(
            f"{name}: {min(wall for wall, _ in runs):.1f} s, {min(used for _, used in runs):.1f} processor s"
        )
    if len(seconds) == 2:
        ours, theirs = (tuple(min(column) for column in zip(*runs, strict=True)) for runs in seconds.values())
        print(
            f"vcf2zarr / gp_elm: {theirs[0] / ours[0]:.1f} in time, {theirs[1] / ours[1]:.1f} in processor time"
        )


def memory(folder: Path, options: argparse.Namespace) -> None:
    for n_samples in options.memory:
        path = vcf_file(folder, n_samples, options.memory_variants)
        command = [
            sys.executable,
            "-c",
            READ,
            str(path),
            str(folder / f"m{n_samples}"),
            str(options.processes),
        ]
        wall, _, printed = timed(command)
        parent, child = printed.split()
        print(
            f"{n_samples} samples x {options.memory_variants} variants: {wall:.1f} s, "
            f"peak {parent} MB, largest reading process {child} MB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--variants", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--memory", type=int, nargs="*", default=[5000, 50_000])
    parser.add_argument("--memory-variants", type=int, default=2000)
    parser.add_argument("--vcf2zarr", default=shutil.which("vcf2zarr"))
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with tempfile.TemporaryDirectory() as folder:
        speed(Path(folder), options)
        memory(Path(folder), options)


if __name__ == "__main__":
    main()
