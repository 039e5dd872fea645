"""Frequencies against counting one genotype at a time; chunks and the samples' order change nothing."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from reference.plink_files import write_plink

from gp_elm.genotypes.frequencies import VariantStatistics, sample_missing_rate, variant_statistics
from gp_elm.io.plink import read_plink


def cohort_of(dosage: np.ndarray, *, chunk: int = 4, ploidy: int = 2) -> xr.Dataset:
    return xr.Dataset(
        {
            "call_dosage": (("variants", "samples"), da.from_array(dosage, chunks=(chunk, -1))),
            "variant_ploidy": ("variants", np.full(len(dosage), ploidy, np.int8)),
        }
    )


def assert_counts(found: VariantStatistics, dosage: np.ndarray, ploidy: int = 2) -> None:
    for v, row in enumerate(dosage):
        called = [float(g) for g in row if g >= 0]
        assert found.n_called[v] == len(called)
        assert found.missing_rate[v] == pytest.approx(1 - len(called) / len(row))
        assert found.n_heterozygous[v] == (called.count(1) if ploidy == 2 else 0)
        if called:
            assert found.mean[v] == pytest.approx(np.mean(called), rel=1e-14)
            assert found.variance[v] == pytest.approx(np.var(called), rel=1e-12)
            assert found.effect_allele_frequency[v] == pytest.approx(np.mean(called) / ploidy)
        else:
            assert np.isnan([found.mean[v], found.variance[v], found.effect_allele_frequency[v]]).all()
        assert found.monomorphic[v] == (len(set(called)) < 2)


@given(
    arrays.arrays(np.int8, st.tuples(st.integers(1, 8), st.integers(1, 12)), elements=st.integers(-1, 2)),
    st.integers(1, 9),
)
def test_counts_in_any_chunks(dosage: np.ndarray, chunk: int) -> None:
    found = variant_statistics(cohort_of(dosage, chunk=chunk))
    assert_counts(found, dosage)
    shuffled = variant_statistics(cohort_of(np.ascontiguousarray(dosage[:, ::-1]), chunk=1))
    np.testing.assert_array_equal(found.mean, shuffled.mean)
    np.testing.assert_array_equal(found.variance, shuffled.variance)
    np.testing.assert_array_equal(
        sample_missing_rate(cohort_of(dosage, chunk=chunk)), (dosage < 0).mean(axis=0)
    )


def test_some_samples() -> None:
    dosage = np.random.default_rng(1).integers(-1, 3, (9, 20)).astype(np.int8)
    chosen = np.array([3, 4, 11, 19])
    found = variant_statistics(cohort_of(dosage), samples=chosen)
    assert found.n_samples == 4
    assert_counts(found, dosage[:, chosen])
    mask = np.isin(np.arange(20), chosen)
    np.testing.assert_array_equal(variant_statistics(cohort_of(dosage), samples=mask).mean, found.mean)


def test_haploid_and_float_dosages() -> None:
    dosage = np.random.default_rng(2).integers(-1, 2, (9, 20)).astype(np.int8)
    assert_counts(variant_statistics(cohort_of(dosage, ploidy=1)), dosage, ploidy=1)
    floats = np.where(dosage < 0, np.nan, dosage / 4 + 0.125).astype(np.float32)
    found = variant_statistics(cohort_of(floats))
    np.testing.assert_allclose(found.mean, np.nanmean(floats, axis=1), rtol=1e-6)
    np.testing.assert_allclose(found.variance, np.nanvar(floats, axis=1), rtol=1e-4)
    np.testing.assert_allclose(sample_missing_rate(cohort_of(floats)), np.isnan(floats).mean(axis=0))


def test_swapping_the_alleles_flips_the_frequency() -> None:
    dosage = np.random.default_rng(3).integers(-1, 3, (9, 40)).astype(np.int8)
    swapped = np.where(dosage < 0, -1, 2 - dosage).astype(np.int8)
    one, two = variant_statistics(cohort_of(dosage)), variant_statistics(cohort_of(swapped))
    np.testing.assert_allclose(one.effect_allele_frequency + two.effect_allele_frequency, 1, rtol=1e-12)
    np.testing.assert_allclose(one.variance, two.variance, rtol=1e-12)
    np.testing.assert_allclose(one.minor_allele_frequency, two.minor_allele_frequency, rtol=1e-12)


def test_from_a_bed_file(tmp_path: Path) -> None:
    dosage = np.random.default_rng(4).integers(-1, 3, (50, 33)).astype(np.int8)
    cohort = read_plink(write_plink(tmp_path / "x", dosage), chunk_variants=7)
    assert_counts(variant_statistics(cohort), dosage)
