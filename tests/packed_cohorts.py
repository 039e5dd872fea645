"""Small cohorts and stores for the tests of streaming and predictors."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr

from gp_elm.streaming.store import Store, write_store


def random_dosage(
    samples: int, variants: int, *, seed: int, missing: float = 0.03, ploidy: int = 2, linkage: float = 0.0
) -> np.ndarray:
    """Dosages (samples, variants); ``linkage`` is the chance that a call repeats its left neighbour's."""
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(ploidy, rng.uniform(0.15, 0.85, variants), size=(samples, variants)).astype(np.int8)
    for v in range(1, variants):
        same = rng.random(samples) < linkage
        dosage[same, v] = dosage[same, v - 1]
    dosage[rng.random(dosage.shape) < missing] = -1
    return dosage


def cohort_of(dosage: np.ndarray, *, chunk: int = 7) -> xr.Dataset:
    """A lazy cohort that holds these dosages (samples, variants)."""
    samples, variants = dosage.shape
    lazy = da.from_array(np.ascontiguousarray(dosage.T), chunks=(chunk, max(samples // 2, 1)))
    return xr.Dataset(
        {
            "call_dosage": (("variants", "samples"), lazy),
            "sample_id": ("samples", np.array([f"s{i}" for i in range(samples)])),
            "variant_id": ("variants", np.array([f"v{i}" for i in range(variants)])),
            "variant_effect_allele": ("variants", np.full(variants, "A")),
            "variant_ploidy": ("variants", np.full(variants, 2)),
        }
    )


def store_of(dosage: np.ndarray, folder: Path) -> Store:
    """A store that holds these dosages (samples, variants)."""
    return write_store(cohort_of(dosage), folder / "store")
