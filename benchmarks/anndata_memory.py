"""Peak memory and time of a linear scan of a backed AnnData, beyond what the imports take.

    python benchmarks/anndata_memory.py [--samples 20000] [--variants 20000] [--folder FOLDER]

Writes an h5ad (dense int8, sparse CSC, sparse CSR) and a zarr (dense int8), block by block, and scans each in a process
of its own, opened by `anndata.read_h5ad(backed="r")`, `anndata.experimental.read_lazy` and `read_anndata`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anndata as ad
import dask.array as da
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.io import write_elem

from gp_elm.io.anndata import write_anndata

SCAN = """
import sys, time, warnings
warnings.simplefilter("ignore")
import anndata as ad, dask.array, h5py, numba, pandas, scipy.stats, zarr
import gp_elm as ge
from gp_elm.io.anndata import read_anndata
ge.linear_scan, ge.add_phenotypes
import gp_elm.io.anndata_steps
how, path = sys.argv[1:]

def peak():
    # not ru_maxrss, which starts at what the parent process had
    words = open("/proc/self/status").read().split()
    return int(words[words.index("VmHWM:") + 1]) / 1024

base, start = peak(), time.perf_counter()
if how == "backed":
    adata = ad.read_h5ad(path, backed="r")
elif how == "lazy":
    adata = ad.experimental.read_lazy(path)
else:
    adata = read_anndata(path)
ge.add_phenotypes(adata, traits=["height"])
ge.linear_scan(adata)
print(f"{peak() - base:.0f} {base:.0f} {time.perf_counter() - start:.1f} {adata.varm['gwas_beta'].sum():.6f}")
"""


def write(folder: Path, n: int, m: int) -> dict[str, Path]:
    paths = {kind: folder / f"{kind}.h5ad" for kind in ("dense", "csc", "csr")} | {
        "zarr": folder / "dense.zarr"
    }
    if paths["zarr"].exists():  # it is written last
        return paths
    rng = np.random.default_rng(1)
    obs = pd.DataFrame({"height": rng.standard_normal(n)}, index=[f"s{k}" for k in range(n)])
    var = pd.DataFrame({"chrom": "1", "pos": np.arange(1, m + 1), "a0": "A", "a1": "C"})
    var.index = [f"v{k}" for k in range(m)]
    frequency = rng.uniform(0.05, 0.5, m)
    with h5py.File(paths["dense"], "w") as file:
        write_elem(file, "/", ad.AnnData(obs=obs, var=var))
        x = file.create_dataset("X", (n, m), np.int8)
        x.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        for start in range(0, n, 500):
            some = min(500, n - start)
            x[start : start + some] = rng.binomial(2, frequency, (some, m))
    with h5py.File(paths["dense"]) as file:
        for kind in ("csc", "csr"):
            with h5py.File(paths[kind], "w") as out:
                write_elem(out, "/", ad.AnnData(obs=obs, var=var))
                make = sp.csc_matrix if kind == "csc" else sp.csr_matrix
                write_elem(out, "X", make((0, m) if kind == "csr" else (n, 0), dtype=np.int8))
                stored = ad.io.sparse_dataset(out["X"])
                for start in range(0, m if kind == "csc" else n, 1000):
                    part = slice(start, start + 1000)
                    stored.append(make(file["X"][:, part] if kind == "csc" else file["X"][part]))
        write_anndata(
            ad.AnnData(X=da.from_array(file["X"], chunks=(n, 1000)), obs=obs, var=var), paths["zarr"]
        )
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--variants", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="keep the files here, and use those that are there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        paths = write(options.folder or Path(folder), options.samples, options.variants)
        print(f"written in {time.perf_counter() - began:.0f} s", flush=True)
        print("stored  opened  more than the imports (MB)  imports (MB)  seconds  sum of beta")
        for kind, path in paths.items():
            for how in ("lazy", "ours") if kind == "zarr" else ("backed", "lazy", "ours"):
                answer = subprocess.run(
                    [sys.executable, "-c", SCAN, how, str(path)], capture_output=True, text=True, check=True
                )
                print(f"{kind:7s} {how:7s} {answer.stdout.strip()}", flush=True)


if __name__ == "__main__":
    main()
