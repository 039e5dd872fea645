"""What a store was made from: the cohort's samples and variants, and its files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gp_elm.io.blocks import source_blocks
from gp_elm.runtime.provenance import fingerprint


def cohort_identity(cohort: xr.Dataset) -> str:
    """Hash of what fixes the content of a store: sample ids, variant ids, effect alleles and ploidy, in order.

    Sexes count where X or Y do.
    """
    digest = hashlib.sha256()
    names = ["sample_id", "variant_id", "variant_effect_allele", "variant_ploidy"]
    if "variant_sex_linkage" in cohort:
        names += ["variant_sex_linkage", "sample_sex"]
    for name in names:
        values = np.asarray(cohort[name].values)
        digest.update(f"{name} {len(values)}\n".encode())
        for start in range(0, len(values), 65536):
            digest.update("\0".join(map(str, values[start : start + 65536])).encode())
    return digest.hexdigest()


def source_fingerprint(cohort: xr.Dataset) -> dict[str, Any]:
    """Fingerprints of the files that a cohort was opened from: sizes, and hashes of their content or of pieces of it.

    Empty where its genotypes have been changed since, or never came from a file.
    """
    blocks = source_blocks(cohort)
    if blocks is None:
        return {}
    named = {str(k): Path(str(v)) for k, v in cohort.attrs.items() if str(k).startswith("source_")}
    if Path(blocks.source.path) not in named.values():
        named["genotypes"] = Path(blocks.source.path)
    return {name: fingerprint(path) for name, path in named.items() if path.exists()}
