"""Made once, from calls.vcf and a dummy of PLINK 2, by programs that the tests do not need:

    python -m venv bz && bz/bin/pip install "bio2zarr[all]==0.2.1" pysam && bz/bin/python make.py bio2zarr
    python -m venv sg && sg/bin/pip install sgkit==0.10.0 && sg/bin/python make.py sgkit

The first also needs plink2 (2.00) on the path.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def pack(folder: Path, name: str) -> None:
    with zipfile.ZipFile(HERE / name, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                packed.writestr(zipfile.ZipInfo(str(file.relative_to(folder))), file.read_bytes())


def convert(program: str, source: Path, folder: Path, *options: str, zarr_format: int = 2) -> None:
    environment = {**os.environ, "BIO2ZARR_DEFAULT_ZARR_FORMAT": str(zarr_format)}
    command = [str(Path(sys.executable).parent / program), "convert", str(source), str(folder), *options]
    subprocess.run([*command, "--no-progress", "--force"], env=environment, check=True)


def with_bio2zarr(work: Path) -> None:
    import pysam
    import tskit

    packed = work / "calls.vcf.gz"
    pysam.tabix_compress(str(HERE / "calls.vcf"), str(packed), force=True)
    pysam.tabix_index(str(packed), preset="vcf", force=True)
    chunks = ("--variants-chunk-size", "3", "--samples-chunk-size", "2")
    for zarr_format in (2, 3):
        convert("vcf2zarr", packed, work / f"v{zarr_format}", *chunks, zarr_format=zarr_format)
        pack(work / f"v{zarr_format}", f"calls.v{zarr_format}.vcz.zip")

    dummy = ["plink2", "--dummy", "7", "23", "0.1", "acgt", "--seed", "3", "--threads", "1", "--make-bed"]
    subprocess.run([*dummy, "--out", str(HERE / "dummy")], check=True, stdout=subprocess.DEVNULL)
    (HERE / "dummy.log").unlink()
    convert("plink2zarr", HERE / "dummy", work / "plink", *chunks)
    pack(work / "plink", "dummy.vcz.zip")

    tables = tskit.TableCollection(sequence_length=100)
    for _ in range(3):
        individual = tables.individuals.add_row()
        for _ in range(2):
            tables.nodes.add_row(flags=tskit.NODE_IS_SAMPLE, time=0, individual=individual)
    root = tables.nodes.add_row(time=1)
    for child in range(6):
        tables.edges.add_row(0, 100, root, child)
    for position, nodes in ((10, (0, 3)), (20, (1,)), (30, (4, 5, 0))):
        site = tables.sites.add_row(position, "A")
        for node in nodes:
            tables.mutations.add_row(site, node, "T")
    tables.sort()
    tables.tree_sequence().dump(work / "three.trees")
    convert("tskit2zarr", work / "three.trees", work / "tskit")
    pack(work / "tskit", "tskit.vcz.zip")


def with_sgkit(work: Path) -> None:
    import sgkit
    import xarray as xr

    calls = sgkit.simulate_genotype_call_dataset(n_variant=6, n_sample=5, n_contig=2, seed=4, missing_pct=0.2)
    haploid = calls["call_genotype"].to_numpy()
    haploid[:2, :3, 1] = -2
    calls["call_genotype"] = xr.Variable(("variants", "samples", "ploidy"), haploid, {"mixed_ploidy": True})
    sgkit.save_dataset(calls, work / "sgkit")
    pack(work / "sgkit", "sgkit.zarr.zip")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        {"bio2zarr": with_bio2zarr, "sgkit": with_sgkit}[sys.argv[1]](Path(folder))
