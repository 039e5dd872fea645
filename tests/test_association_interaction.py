"""Interaction tests of listed pairs against statsmodels and PLINK 1.9."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import interaction as twin
from test_association_linear import as_float, dataset, plink_tables, random_cohort

from gp_elm.association.interaction import genotypic_pairs, interaction_pairs, interaction_scan
from gp_elm.errors import InputError

PLINK = Path(__file__).parent / "data" / "plink"


@given(
    seed=st.integers(0, 10_000),
    covariates=st.integers(0, 3),
    missing=st.sampled_from([0.0, 0.05]),
    ploidy=st.sampled_from([1, 2]),
)
def test_pairs_equal_statsmodels(seed, covariates, missing, ploidy):
    dosage, y, z = random_cohort(seed, n=120, covariates=covariates, missing=missing, ploidy=ploidy)
    first, second = dosage[:, [0, 1, 2]], dosage[:, [3, 0, 5]]
    scan = interaction_pairs(first, second, y, z)
    beta, error, p, df = twin.pairs(as_float(first), as_float(second), y, z)
    np.testing.assert_allclose(scan.beta, beta, rtol=1e-7, atol=1e-8 * np.nanmin(error))
    np.testing.assert_allclose(scan.standard_error, error, rtol=1e-8)
    np.testing.assert_allclose(scan.p_value, p, rtol=1e-7)
    np.testing.assert_array_equal(np.where(np.isnan(beta), np.nan, scan.df), df)


def test_swapping_an_allele_flips_the_sign_and_nothing_else():
    dosage, y, z = random_cohort(2)
    first, second = dosage[:, :3], dosage[:, 3:]
    scan = interaction_pairs(first, second, y, z)
    swapped = interaction_pairs(np.where(first < 0, -1, 2 - first), second, y, z)
    np.testing.assert_allclose(swapped.beta, -scan.beta, rtol=1e-9)
    np.testing.assert_allclose(swapped.standard_error, scan.standard_error, rtol=1e-9)
    turned = interaction_pairs(second, first, y, z)
    np.testing.assert_allclose(turned.t, scan.t, rtol=1e-8)


def test_collinear_pairs_are_nan():
    dosage, y, z = random_cohort(2, ploidy=1, missing=0.0)
    constant = np.ones_like(dosage[:, :1])
    scan = interaction_pairs(
        np.hstack([dosage[:, :1], dosage[:, :1], 1 - dosage[:, :1]]),
        np.hstack([dosage[:, :1], constant, dosage[:, :1]]),
        y,
        z,
    )
    assert np.isnan(scan.beta).all()
    assert scan.n_degenerate == 9


def test_pairs_equal_plink19_epistasis():
    dosage, traits, _ = plink_tables()
    table = pd.read_csv(PLINK / "epistasis.epi.qt", sep=r"\s+")
    first = table["SNP1"].str[1:].astype(int).to_numpy()
    second = table["SNP2"].str[1:].astype(int).to_numpy()
    scan = interaction_pairs(dosage[:, first], dosage[:, second], traits[:, :1])
    np.testing.assert_allclose(scan.beta[:, 0], table["BETA_INT"], rtol=1e-5)
    np.testing.assert_allclose(scan.t[:, 0] ** 2, table["STAT"], rtol=1e-4)


@given(seed=st.integers(0, 10_000), covariates=st.integers(0, 2), ploidy=st.sampled_from([1, 2]))
def test_genotypic_equals_an_f_test_of_nested_models(seed, covariates, ploidy):
    rng = np.random.default_rng(seed)
    n = 200
    pair = rng.choice(ploidy + 1, size=(n, 2)).astype(np.int8)
    pair[rng.random((n, 2)) < 0.04] = -1
    y = rng.normal(size=(n, 1))
    z = rng.normal(size=(n, covariates)) if covariates else None
    test = genotypic_pairs(pair[:, :1], pair[:, 1:], y, z)
    if ploidy == 2:
        p, terms = twin.genotypic(*as_float(pair).T, y[:, 0], z)
        assert test.df_tested[0, 0] == terms == 4
    else:
        p, terms = interaction_pairs(pair[:, :1], pair[:, 1:], y, z).p_value[0, 0], 1
        assert test.df_tested[0, 0] == 1
    assert test.p_value[0, 0] == pytest.approx(p, rel=1e-7)


def test_an_empty_genotype_cell_costs_its_degree_of_freedom():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 3, (2, 300))
    empty = (a == 2) & (b == 2)
    a, b = a[~empty], b[~empty]
    test = genotypic_pairs(a[:, None], b[:, None], rng.normal(size=(len(a), 1)))
    assert test.df_tested[0, 0] == 3
    assert test.df[0, 0] == len(a) - 8


@pytest.mark.parametrize("keep", [1 << 20, 1])
def test_interaction_scan_keeps_the_order_of_the_pairs(keep, monkeypatch):
    monkeypatch.setattr("gp_elm.association.interaction.KEEP_BYTES", keep)
    dosage, y, z = random_cohort(4)
    samples = np.arange(len(y)) % 5 != 0
    pairs = np.array([[4, 1], [0, 5], [0, 3], [2, 3]])
    result = interaction_scan(dataset(dosage, y, z), pairs=pairs, samples=samples, genotypic=True)
    block = interaction_pairs(
        dosage[samples][:, pairs[:, 0]], dosage[samples][:, pairs[:, 1]], y[samples], z[samples]
    )
    np.testing.assert_allclose(result.dataset["beta"], block.beta, rtol=1e-9)
    np.testing.assert_array_equal(result.dataset["n"], block.n)
    assert (result.dataset["genotypic_df"].values <= 4).all()
    frame = result.to_frame()
    assert list(frame["variant_id_1"][:4]) == ["v4", "v0", "v0", "v2"]
    assert list(frame["variant_id_2"][:4]) == ["v1", "v5", "v3", "v3"]
    by_name = interaction_scan(dataset(dosage, y, z), pairs=frame[frame["trait"] == "t0"], samples=samples)
    np.testing.assert_array_equal(by_name.dataset["beta"], result.dataset["beta"])
    assert "v4 x v1" in set(result._labels())
    assert "Null hypothesis: the product of the two dosages" in str(result)


def test_pairs_that_cannot_be_tested_are_refused():
    dosage, y, z = random_cohort(4)
    cohort = dataset(dosage, y, z)
    with pytest.raises(InputError, match="pairs index variants 0 to 6; the cohort has 6"):
        interaction_scan(cohort, pairs=np.array([[0, 6]]))
    with pytest.raises(InputError, match="pair 0 holds variant 2 twice"):
        interaction_scan(cohort, pairs=np.array([[2, 2]]))
    with pytest.raises(InputError, match="variant 'rs1' of the pairs is not in the cohort"):
        interaction_scan(cohort, pairs=pd.DataFrame({"variant_id_1": ["v0"], "variant_id_2": ["rs1"]}))
    with pytest.raises(InputError, match="has no column 'variant_id_2'"):
        interaction_scan(cohort, pairs=pd.DataFrame({"variant_id_1": ["v0"]}))
    with pytest.raises(InputError, match=r"give a \(pairs, 2\) array"):
        interaction_scan(cohort, pairs=np.array([1, 2]))
    with pytest.raises(InputError, match=r"dosages have shapes \(90, 2\) and \(90, 1\)"):
        interaction_pairs(dosage[:, :2], dosage[:, :1], y)


def test_no_pairs_give_an_empty_table():
    dosage, y, z = random_cohort(4)
    result = interaction_scan(dataset(dosage, y, z), pairs=np.zeros((0, 2), dtype=int))
    assert len(result.to_frame()) == 0
    assert list(result.summary()["n_tested"]) == [0, 0, 0]
