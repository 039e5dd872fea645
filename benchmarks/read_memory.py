"""Peak memory of opening, scanning and converting a cohort, at 5,000 and 50,000 samples x 100,000 variants.

Each step runs in a process of its own, whose peak resident memory is what the system says (ru_maxrss). The goal is a
peak that does not grow with the samples: at most 15 % more at ten times as many. VCF and BCF have 4,000 variants, for
their text would take 20 GB; PLINK 2 writes them.

    python benchmarks/read_memory.py --folder /a/disk/with/12/GB
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# the process that starts the others imports and makes nothing: a child's peak begins at its parent's
VCF_VARIANTS = 4_000
GOAL = 1.15


def traits_and_covariates(prefix: Path):  # noqa: ANN201
    import numpy as np

    import gp_elm as ge

    cohort = ge.read_plink(prefix)
    rng = np.random.default_rng(1)
    n = cohort.sizes["samples"]
    return cohort.assign(
        sample_phenotype=(("samples", "traits"), rng.normal(size=(n, 1))),
        trait_id=("traits", ["trait"]),
        sample_covariate=(("samples", "covariates"), rng.normal(size=(n, 3))),
        covariate_id=("covariates", ["c1", "c2", "c3"]),
    )


def make_bed(prefix: Path, n_samples: int, n_variants: int) -> None:
    from common import write_bed

    write_bed(prefix, n_samples, n_variants)


def make_vcf(prefix: Path, n_samples: int, n_variants: int) -> None:
    few = Path(f"{prefix}.few")
    make_bed(few, n_samples, n_variants)
    for kind in (["vcf", "bgz"], ["bcf"]):
        command = [
            "plink2",
            "--bfile",
            few,
            "--export",
            *kind,
            "--out",
            few,
            "--threads",
            "1",
            "--memory",
            "1000",
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def imports(prefix: Path) -> None:
    import gp_elm as ge

    for function in (ge.read_plink, ge.linear_scan, ge.to_anndata):
        assert function


def opening(prefix: Path) -> None:
    import numpy as np
    import pandas as pd

    import gp_elm as ge

    ids = pd.read_csv(f"{prefix}.fam", sep=r"\s+", header=None, usecols=[0, 1], names=["FID", "IID"])
    traits = ids.assign(trait=np.random.default_rng(1).normal(size=len(ids)))
    ge.open_cohort(bfile=prefix, pheno=traits, maf=0.01)


def scan(prefix: Path) -> None:
    import gp_elm as ge

    ge.linear_scan(traits_and_covariates(prefix))


def store(prefix: Path) -> None:
    import gp_elm as ge
    from gp_elm.streaming.store import write_store

    write_store(ge.read_plink(prefix), f"{prefix}.store")
    shutil.rmtree(f"{prefix}.store")


def h5ad(prefix: Path) -> None:
    anndata_file(Path(f"{prefix}.h5ad"), prefix)


def zarr(prefix: Path) -> None:
    anndata_file(Path(f"{prefix}.zarr"), prefix)


def anndata_file(target: Path, prefix: Path) -> None:
    import gp_elm as ge
    from gp_elm.io.anndata import write_anndata

    write_anndata(ge.to_anndata(traits_and_covariates(prefix)), target)
    shutil.rmtree(target) if target.is_dir() else target.unlink()


def vcf(prefix: Path) -> None:
    from gp_elm.io.vcf import read_vcf

    read_vcf(f"{prefix}.few.vcf.gz", store=f"{prefix}.converted")
    shutil.rmtree(f"{prefix}.converted")


def bcf(prefix: Path) -> None:
    from gp_elm.io.vcf import read_vcf

    read_vcf(f"{prefix}.few.bcf", store=f"{prefix}.converted")
    shutil.rmtree(f"{prefix}.converted")


STEPS: dict[str, Callable[[Path], None]] = {
    "imports": imports, "open": opening, "scan": scan, "store": store, "h5ad": h5ad, "zarr": zarr, "vcf": vcf,
    "bcf": bcf,
}  # fmt: skip


def child(*arguments: object) -> dict[str, float] | None:
    """Seconds and peak MB of one step in a process of its own; None where it failed."""
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def measured(step: str, prefix: Path) -> None:
    began = time.perf_counter()
    STEPS[step](prefix)
    peak = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(
        json.dumps(
            {"seconds": time.perf_counter() - began, "peak": peak[0] / 1024, "workers": peak[1] / 1024}
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, help="where the genotypes are written, and removed (temporary)"
    )
    parser.add_argument("--samples", type=int, nargs=2, default=[5_000, 50_000])
    parser.add_argument("--variants", type=int, default=100_000)
    parser.add_argument("--only", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument(
        "--keep", action="store_true", help="leave the genotypes for another run in the same folder"
    )
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--prefix", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step == "make":
        make_bed(given.prefix, given.samples[0], given.variants)
        print("{}")
        return
    if given.step == "make_vcf":
        make_vcf(given.prefix, given.samples[0], given.variants)
        print("{}")
        return
    if given.step:
        measured(given.step, given.prefix)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
        compare(given, given.folder if given.keep and given.folder else Path(temporary))


def compare(given: argparse.Namespace, folder: Path) -> None:
    # BED, the store, and an uncompressed AnnData of the larger cohort
    needed = int(1.1 * max(given.samples) * given.variants * (0.25 + 0.25 + 1))
    if (free := shutil.disk_usage(folder).free) < needed:
        raise SystemExit(
            f"{folder}: {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB needed; choose another --folder"
        )
    steps = [step for step in given.only if step not in ("vcf", "bcf")]
    if len(steps) < len(given.only):
        if (
            shutil.which("plink2") is None
            or not (Path(__file__).parents[1] / "gp_elm" / "io" / "vcf.py").exists()
        ):
            print("vcf and bcf are left out: they need plink2 on the path")
        else:
            steps = given.only
    prefixes = [folder / f"n{n}" for n in given.samples]
    for prefix, n in zip(prefixes, given.samples, strict=True):
        if not Path(f"{prefix}.fam").exists():
            child("--step", "make", "--prefix", prefix, "--samples", n, n, "--variants", given.variants)
        if "vcf" in steps or "bcf" in steps:
            few = min(VCF_VARIANTS, given.variants)
            child("--step", "make_vcf", "--prefix", prefix, "--samples", n, n, "--variants", few)
    small, large = (f"{n:,}" for n in given.samples)
    print(f"{'step':>8} {'MB at ' + small:>14} {'MB at ' + large:>14} {'ratio':>6} {'s':>6} {'s':>6}")
    for step in steps:
        found = [child("--step", step, "--prefix", prefix) for prefix in prefixes]
        if None in found:
            print(f"{step:>8} failed")
            continue
        peaks = [max(one["peak"], one["workers"]) for one in found]
        ratio = peaks[1] / peaks[0]
        print(
            f"{step:>8} {peaks[0]:14.0f} {peaks[1]:14.0f} {ratio:6.2f} "
            f"{found[0]['seconds']:6.0f} {found[1]['seconds']:6.0f}{'' if ratio <= GOAL else '  above the goal'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
