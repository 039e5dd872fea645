"""The linear scan against statsmodels, PLINK 2, and itself under permutation, chunking and allele swaps."""

from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from reference import linear as twin

from gp_elm.association.linear import dominance_block, linear_scan, scan_block
from gp_elm.errors import InputError

PLINK = Path(__file__).parent / "data" / "plink"


def random_cohort(seed, *, n=90, m=6, traits=3, covariates=2, missing=0.08, ploidy=2):
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(ploidy, rng.uniform(0.15, 0.6, m), (n, m)).astype(np.int8)
    y = (rng.normal(size=(n, traits)) + dosage[:, :1] + rng.choice([0.0, 1e3])) * 10.0 ** rng.integers(-6, 6)
    z = rng.normal(size=(n, covariates)) * rng.uniform(0.1, 20) + rng.choice([0.0, 2000.0])
    dosage[rng.random((n, m)) < missing] = -1
    y[rng.random((n, traits)) < missing] = np.nan
    if covariates:
        z[rng.random(n) < 0.03, 0] = np.nan
    return dosage, y, z if covariates else None


def as_float(dosage):
    return np.where(dosage < 0, np.nan, dosage.astype(float))


@given(
    seed=st.integers(0, 10_000),
    covariates=st.integers(0, 4),
    missing=st.sampled_from([0.0, 0.02, 0.3]),
    ploidy=st.sampled_from([1, 2]),
)
def test_scan_equals_statsmodels(seed, covariates, missing, ploidy):
    dosage, y, z = random_cohort(seed, covariates=covariates, missing=missing, ploidy=ploidy)
    scan = scan_block(dosage, y, z)
    beta, error, p, df = twin.scan(as_float(dosage), y, z)
    np.testing.assert_allclose(scan.beta, beta, rtol=1e-8, atol=1e-9 * np.nanmin(error))
    np.testing.assert_allclose(scan.standard_error, error, rtol=1e-8)
    np.testing.assert_allclose(scan.p_value, p, rtol=1e-8)
    np.testing.assert_array_equal(scan.df, df)


@given(seed=st.integers(0, 10_000), covariates=st.integers(0, 2))
def test_dominance_equals_statsmodels(seed, covariates):
    dosage, y, z = random_cohort(seed, covariates=covariates)
    scan = dominance_block(dosage, y, z)
    beta, error, p, df = twin.scan(as_float(dosage), y, z, dominance=True)
    np.testing.assert_allclose(scan.beta, beta, rtol=1e-7, atol=1e-9 * np.nanmin(error))
    np.testing.assert_allclose(scan.standard_error, error, rtol=1e-8)
    np.testing.assert_allclose(scan.p_value, p, rtol=1e-7)
    np.testing.assert_array_equal(np.where(np.isnan(beta), np.nan, scan.df), df)


def test_float_dosages_are_used_as_they_are():
    rng = np.random.default_rng(0)
    dosage = rng.uniform(0, 2, (50, 3))
    dosage[4, 1] = np.nan
    y = rng.normal(size=(50, 1))
    scan = scan_block(dosage.astype(np.float32), y)
    beta, error, _, _ = twin.scan(dosage.astype(np.float32).astype(float), y, None)
    np.testing.assert_allclose(scan.beta, beta, rtol=1e-9)
    np.testing.assert_allclose(scan.standard_error, error, rtol=1e-9)


def test_degenerate_variants_are_nan_and_counted():
    rng = np.random.default_rng(0)
    n = 60
    z = rng.binomial(2, 0.5, (n, 1)).astype(float)
    dosage = np.column_stack([np.zeros(n), np.full(n, 2), z[:, 0], np.full(n, -1), rng.binomial(2, 0.5, n)])
    dosage = dosage.astype(np.int8)
    y = rng.normal(size=(n, 2))
    y[3:, 1] = np.nan
    scan = scan_block(dosage, y, z)
    assert np.isnan(scan.beta[:4]).all()
    assert np.isnan(scan.p_value[:4]).all()
    assert np.isfinite(scan.beta[4, 0])
    assert np.isnan(scan.beta[4, 1])  # three samples for three coefficients
    assert scan.n_degenerate == 9


def test_one_carrier_is_no_degenerate_variant():
    rng = np.random.default_rng(0)
    dosage = np.zeros((5000, 1), dtype=np.int8)
    dosage[17] = 1
    y = rng.normal(size=(5000, 1))
    scan = scan_block(dosage, y)
    beta, error, _, _ = twin.scan(dosage.astype(float), y, None)
    np.testing.assert_allclose([scan.beta, scan.standard_error], [beta, error], rtol=1e-9)


def test_a_covariate_lost_with_the_missing_calls_costs_no_degree_of_freedom():
    rng = np.random.default_rng(3)
    n = 80
    dosage, y = rng.binomial(2, 0.4, (n, 1)).astype(np.int8), rng.normal(size=(n, 1))
    z = np.zeros((n, 2))
    z[:5, 0] = 1.0
    z[:, 1] = rng.normal(size=n)
    dosage[:5] = -1
    scan = scan_block(dosage, y, z)
    beta, error, _, df = twin.scan(as_float(dosage), y, z[:, 1:])
    np.testing.assert_allclose([scan.beta, scan.standard_error], [beta, error], rtol=1e-9)
    assert scan.df[0, 0] == df[0, 0] == 75 - 3


def test_collinear_covariates_count_once():
    dosage, y, z = random_cohort(5, covariates=1)
    twice = np.column_stack([z, 3 * z + 2, np.ones(len(z))])
    first, second = scan_block(dosage, y, z), scan_block(dosage, y, twice)
    np.testing.assert_allclose(first.beta, second.beta, rtol=1e-9)
    np.testing.assert_array_equal(first.df, second.df)


def test_a_constant_trait_is_nan():
    dosage, y, z = random_cohort(5)
    y[:, 1] = 7.0
    scan = scan_block(dosage, y, z)
    assert np.isnan(scan.p_value[:, 1]).all()
    assert np.isfinite(scan.p_value[:, [0, 2]]).all()


@given(seed=st.integers(0, 10_000))
def test_laws_of_a_scan(seed):
    dosage, y, z = random_cohort(seed)
    scan = scan_block(dosage, y, z)
    order = np.random.default_rng(seed).permutation(len(y))
    permuted = scan_block(dosage[order], y[order], z[order])
    np.testing.assert_allclose(permuted.t, scan.t, rtol=1e-8, atol=1e-10)
    swapped = scan_block(np.where(dosage < 0, -1, 2 - dosage).astype(np.int8), y, z)
    np.testing.assert_allclose(swapped.beta, -scan.beta, rtol=1e-8, atol=1e-10 * scan.standard_error.min())
    np.testing.assert_allclose(swapped.standard_error, scan.standard_error, rtol=1e-9)


def plink_tables():
    dosage = pd.read_csv(PLINK / "dosage.tsv", sep="\t").iloc[:, 1:].to_numpy(np.int8)
    traits = pd.read_csv(PLINK / "traits.tsv", sep="\t").iloc[:, 2:].to_numpy(float)
    covariates = pd.read_csv(PLINK / "covariates.tsv", sep="\t").iloc[:, 2:].to_numpy(float)
    return dosage, traits, covariates


@pytest.mark.parametrize(
    ("trait", "name", "covar"), [(0, "glm.growth", True), (1, "glm.yield", True), (0, "plain.growth", False)]
)
def test_scan_equals_plink2(trait, name, covar):
    dosage, traits, covariates = plink_tables()
    scan = scan_block(dosage, traits[:, [trait]], covariates if covar else None)
    table = pd.read_csv(PLINK / f"{name}.glm.linear", sep="\t")
    table = table[table["TEST"] == "ADD"]
    assert (table["A1"] == "A").all()
    np.testing.assert_array_equal(scan.n[:, 0], table["OBS_CT"])
    np.testing.assert_allclose(scan.beta[:, 0], table["BETA"], rtol=1e-5)
    np.testing.assert_allclose(scan.standard_error[:, 0], table["SE"], rtol=1e-5)
    np.testing.assert_allclose(scan.p_value[:, 0], table["P"], rtol=1e-4)


def dataset(dosage, y, z, *, chunk=2):
    n, m = dosage.shape
    data = {
        "call_dosage": (("variants", "samples"), da.from_array(dosage.T.copy(), chunks=(chunk, n))),
        "variant_contig": (("variants",), np.arange(m) % 2),
        "contig_id": (("contigs",), np.array(["1", "X"])),
        "variant_position": (("variants",), np.arange(m) + 1),
        "variant_id": (("variants",), np.array([f"v{j}" for j in range(m)])),
        "variant_effect_allele": (("variants",), np.full(m, "A")),
        "variant_other_allele": (("variants",), np.full(m, "C")),
        "variant_ploidy": (("variants",), np.full(m, 2)),
        "sample_id": (("samples",), np.array([f"s{i}" for i in range(n)])),
        "sample_phenotype": (("samples", "traits"), y),
        "trait_id": (("traits",), np.array([f"t{t}" for t in range(y.shape[1])])),
    }
    if z is not None:
        data["sample_covariate"] = (("samples", "covariates"), z)
    return xr.Dataset(data)


@pytest.mark.parametrize("chunk", [1, 4, 6])
def test_linear_scan_of_a_cohort_uses_the_selected_samples(chunk, monkeypatch):
    dosage, y, z = random_cohort(11)
    samples = np.arange(len(y)) % 4 != 0
    monkeypatch.setattr("gp_elm.association.cohort_access.READ_BYTES", 3 * len(y))
    steps = []
    result = linear_scan(
        dataset(dosage, y, z, chunk=chunk), samples=samples, progress=lambda *s: steps.append(s)
    )
    block = scan_block(dosage[samples], y[samples], z[samples])
    np.testing.assert_allclose(result.dataset["beta"], block.beta, rtol=1e-10)
    np.testing.assert_allclose(result.dataset["standard_error"], block.standard_error, rtol=1e-10)
    assert steps[-1] == (6, 6)
    frame = result.to_frame()
    assert list(frame.columns[:9]) == [
        "trait", "chromosome", "base_pair_location", "variant_id", "effect_allele", "other_allele",
        "effect_allele_frequency", "missing_rate", "n",
    ]  # fmt: skip
    assert len(frame) == 18
    called = as_float(dosage[samples])
    np.testing.assert_allclose(frame["effect_allele_frequency"][:6], np.nanmean(called, axis=0) / 2)
    np.testing.assert_allclose(frame["missing_rate"][:6], np.isnan(called).mean(axis=0), atol=1e-15)


def test_a_mask_of_the_wrong_length_is_refused():
    dosage, y, z = random_cohort(11)
    with pytest.raises(InputError, match=r"samples is bool of shape \(3,\); give one bool for each of 90"):
        linear_scan(dataset(dosage, y, z), samples=np.ones(3, dtype=bool))
    with pytest.raises(InputError, match="no sample is selected"):
        linear_scan(dataset(dosage, y, z), samples=np.zeros(90, dtype=bool))


def test_shapes_that_do_not_match_are_refused():
    dosage, y, z = random_cohort(11)
    with pytest.raises(InputError, match="dosage has 90 samples but traits have 80"):
        scan_block(dosage, y[:80], z[:80])
    with pytest.raises(InputError, match=r"covariates have shape \(80, 2\) but there are 90 samples"):
        scan_block(dosage, y, z[:80])
    with pytest.raises(InputError, match=r"traits have shape \(90,\)"):
        scan_block(dosage, y[:, 0])


@pytest.mark.parametrize("chunk", [1, 6])
def test_dominance_of_imputed_dosages_is_refused_and_of_whole_ones_is_that_of_hard_calls(chunk):
    dosage, y, z = random_cohort(4)
    hard = linear_scan(dataset(dosage, y, z), dominance=True).dataset
    whole = dataset(dosage, y, z, chunk=chunk)
    whole = whole.assign(call_dosage=(whole["call_dosage"].dims, as_float(dosage.T).astype(np.float32)))
    xr.testing.assert_allclose(linear_scan(whole, dominance=True).dataset, hard)
    imputed = whole.copy(deep=True)
    imputed["call_dosage"][3, 5] = 0.97
    name = str(imputed["variant_id"].values[3])
    with pytest.raises(
        InputError,
        match=rf"--dominance: variant {name} has a dosage of 0.97, but .* needs hard calls; leave out --dos",
    ):
        linear_scan(imputed.chunk({"variants": chunk}), dominance=True)
    assert np.isfinite(linear_scan(imputed).dataset["beta"]).all()
    # a heterozygous call of MT counts one half where all count 0/1
    imputed["variant_ploidy"][3] = 1
    linear_scan(imputed, dominance=True)
