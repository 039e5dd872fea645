"""Small stores and traits for the tests of gp_elm.models."""

from __future__ import annotations

import numpy as np
import xarray as xr

from gp_elm.streaming.store import write_store


def make_store(path, raw, *, ploidy=2):
    """A store on disk from raw dosages (n, m), -1 missing."""
    n, m = raw.shape
    cohort = xr.Dataset(
        {
            "call_dosage": (("variants", "samples"), np.ascontiguousarray(raw.T, dtype=np.int8)),
            "sample_id": ("samples", np.array([f"s{i}" for i in range(n)])),
            "variant_id": ("variants", np.array([f"v{j}" for j in range(m)])),
            "variant_effect_allele": ("variants", np.array(["A"] * m)),
            "variant_ploidy": ("variants", np.full(m, ploidy)),
        }
    )
    return write_store(cohort, path)


def dosages(rng, n, m, *, ploidy=2, missing=0.0):
    """Independent dosages (n, m) int8, -1 missing."""
    raw = rng.binomial(ploidy, rng.uniform(0.3, 0.7, m), (n, m)).astype(np.int8)
    raw[rng.random((n, m)) < missing] = -1
    return raw


def standardise(x):
    """Columns of mean 0 and variance 1."""
    return (x - x.mean(0)) / x.std(0)
