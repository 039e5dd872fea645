"""BIM and FAM files beside the rows of a store, so that PLINK 1.9 reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

_LINES = 65536


def write_names(cohort: xr.Dataset, prefix: Path, order: NDArray[np.int64]) -> None:
    """Write ``prefix.bim`` and ``prefix.fam``; what the cohort does not know is 0.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    prefix : Path
        Path without suffix.
    order : ndarray of int64, shape (n,)
        Sample of each line of the FAM.
    """
    n, m = cohort.sizes["samples"], cohort.sizes["variants"]
    nothing = np.full(max(n, m), "0")
    contig = nothing[:m]
    if "variant_contig" in cohort:
        contig = np.asarray(cohort["contig_id"].values).astype(str)[cohort["variant_contig"].values]
    variants = [_of(cohort, f"variant_{name}", nothing[:m]) for name in ("id", "position")]
    alleles = [_of(cohort, f"variant_{name}_allele", nothing[:m]) for name in ("effect", "other")]
    with open(f"{prefix}.bim", "w", encoding="utf-8") as bim:
        for c, v, p, a, b in _rows(contig, *variants, *alleles):
            bim.writelines(f"{c[i]}\t{v[i]}\t0\t{p[i]}\t{a[i]}\t{b[i]}\n" for i in range(len(c)))
    names = ("family_id", "id", "sex")
    samples = [np.asarray(_of(cohort, f"sample_{name}", nothing[:n]))[order] for name in names]
    with open(f"{prefix}.fam", "w", encoding="utf-8") as fam:
        for f, i, s in _rows(*samples):
            fam.writelines(f"{f[k]}\t{i[k]}\t0\t0\t{s[k]}\t-9\n" for k in range(len(f)))


def _of(cohort: xr.Dataset, name: str, otherwise: NDArray[np.str_]) -> NDArray[np.generic]:
    return np.asarray(cohort[name].values) if name in cohort else otherwise


def _rows(*columns: NDArray[np.generic]) -> Iterator[tuple[list[object], ...]]:
    for start in range(0, len(columns[0]), _LINES):
        yield tuple(column[start : start + _LINES].tolist() for column in columns)
