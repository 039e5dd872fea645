"""The mixed model against a dense twin by statsmodels, and against GEMMA."""

import shutil
import subprocess

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from reference import mixed as twin

from gp_elm.association import mixed
from gp_elm.association.complete import complete_cases
from gp_elm.association.eigenbasis import Eigenbasis, reml
from gp_elm.association.linear import linear_scan
from gp_elm.association.mixed import LeaveOutKernels, left_out_together, linear_mixed_scan
from gp_elm.association.mixed_model import MixedModel
from gp_elm.errors import InputError


def families(rng, n_families, m, size=5):
    """Dosages (n, m) of full sibs."""
    parts = []
    frequency = rng.uniform(0.2, 0.8, m)
    for _ in range(n_families):
        parents = rng.random((2, 2, m)) < frequency
        side = rng.integers(0, 2, (size, 2, m))
        child = np.where(side == 0, parents[None, :, 0], parents[None, :, 1]).sum(1)
        parts.append(child)
    return np.concatenate(parts).astype(np.int8)


def make_cohort(dosage, traits, contig, covariates=None):
    n, m = dosage.shape
    cohort = xr.Dataset(
        {
            "call_dosage": (("variants", "samples"), da.from_array(dosage.T, chunks=(7, n))),
            "variant_contig": ("variants", contig),
            "contig_id": ("contigs", np.array([f"{k + 1}" for k in range(contig.max() + 1)])),
            "variant_position": ("variants", 1 + np.arange(m)),
            "variant_id": ("variants", np.array([f"v{j}" for j in range(m)])),
            "variant_effect_allele": ("variants", np.full(m, "A")),
            "variant_other_allele": ("variants", np.full(m, "G")),
            "variant_ploidy": ("variants", np.full(m, 2)),
            "sample_id": ("samples", np.array([f"s{i:03d}" for i in range(n)])),
            "sample_phenotype": (("samples", "traits"), traits),
            "trait_id": ("traits", np.array([f"t{t}" for t in range(traits.shape[1])])),
        }
    )
    if covariates is not None:
        cohort["sample_covariate"] = (("samples", "covariates"), covariates)
        cohort["covariate_id"] = ("covariates", np.array([f"c{k}" for k in range(covariates.shape[1])]))
    return cohort


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(5)
    dosage = families(rng, 30, 60)
    contig = np.repeat(np.arange(3), 20)
    covariates = rng.normal(size=(150, 2)) * [1.0, 40.0] + [0.0, 2000.0]
    traits = dosage @ rng.normal(size=(60, 4)) * 0.4 + rng.normal(size=(150, 4)) + covariates[:, :1]
    traits[:, 3] = 1e5 + 1e-3 * traits[:, 3]
    traits[rng.random(150) < 0.1, 1] = np.nan
    traits[rng.random(150) < 0.5, 2] = np.nan
    return dosage, contig, covariates, traits


@pytest.mark.parametrize("dominance", [False, True])
def test_it_is_the_dense_mixed_model_on_each_traits_own_samples(case, dominance):
    dosage, contig, covariates, traits = case
    found = linear_mixed_scan(make_cohort(dosage, traits, contig, covariates), dominance=dominance).dataset
    for trait in range(4):
        rows = np.isfinite(traits[:, trait])
        y, g = traits[rows, trait], dosage[rows]
        design = np.column_stack([np.ones(len(y)), (covariates[rows] - [0, 2000]) / [1, 40]])
        for j in (0, 25, 59):
            kernel = twin.relatedness(dosage[:, contig != contig[j]])[np.ix_(rows, rows)]
            h = twin.reml_h((y - y.mean()) / y.std(), design, kernel)
            regressors = [g[:, j], g[:, j] == 1] if dominance else [g[:, j]]
            expected = twin.gls(y, np.column_stack([design, *regressors]), kernel, h)
            assert found["mixed_model_h"].values[j, trait] == pytest.approx(h, abs=2e-4)
            np.testing.assert_allclose(
                found["beta"].values[j, trait], expected[0], rtol=2e-3, atol=1e-3 * expected[1]
            )
            np.testing.assert_allclose(found["standard_error"].values[j, trait], expected[1], rtol=1e-3)
            assert found["df"].values[j, trait] == expected[2]
            assert found["n"].values[j, trait] == rows.sum()


def test_given_h_equals_statsmodels_closely_and_h_of_zero_is_the_linear_scan(case):
    dosage, contig, covariates, traits = case
    kernel = twin.relatedness(dosage)
    response = np.where(np.isfinite(traits), traits, 0.0)
    for h in (0.0, 0.6):
        model = MixedModel(kernel, complete_cases(traits, covariates), h=np.full(4, h))
        beta, error, df = model.scan(dosage.T, response)
        for trait in (0, 1, 2):
            rows = np.isfinite(traits[:, trait])
            design = np.column_stack([np.ones(rows.sum()), covariates[rows], dosage[rows, 8]])
            expected = twin.gls(traits[rows, trait], design, kernel[np.ix_(rows, rows)], h)
            np.testing.assert_allclose([beta[8, trait], error[8, trait], df[8, trait]], expected, rtol=1e-7)
    model = MixedModel(kernel, complete_cases(traits, covariates), h=np.zeros(4))
    scan = linear_scan(make_cohort(dosage, traits, contig, covariates)).dataset
    np.testing.assert_allclose(model.scan(dosage.T, response)[0], scan["beta"].values, rtol=1e-6)


def test_degenerate_variants_and_traits_are_nan_and_missing_calls_are_the_mean(case):
    dosage, contig, _, traits = (np.array(a) for a in case)
    dosage = dosage.astype(np.int8)
    dosage[:, 3] = 1
    covariates = dosage[:, [4]].astype(float)
    dosage[::9, 5] = -1
    traits[:, 1] = 7.0
    traits[:, 2] = np.nan
    found = linear_mixed_scan(make_cohort(dosage, traits, contig, covariates)).dataset
    assert np.isnan(found["beta"].values[[3, 4]]).all()
    assert np.isnan(found["beta"].values[:, [1, 2]]).all()
    assert np.isfinite(found["p_value"].values[5, [0, 3]]).all()
    filled = dosage.astype(np.float32)
    filled[::9, 5] = dosage[dosage[:, 5] >= 0, 5].mean()
    again = linear_mixed_scan(make_cohort(filled, traits, contig, covariates)).dataset
    np.testing.assert_allclose(found["beta"].values[5], again["beta"].values[5], rtol=1e-4)
    assert found["missing_rate"].values[5] == pytest.approx(17 / 150)


def test_gemma_gives_the_same_at_its_own_h(tmp_path):
    gemma = shutil.which("gemma")
    if gemma is None:
        pytest.skip("gemma is not installed")
    rng = np.random.default_rng(2)
    dosage = families(rng, 50, 90)
    n, m = dosage.shape
    contig = np.repeat(np.arange(3), 30)
    y = dosage @ rng.normal(size=m) * 0.25 + rng.normal(size=n)
    kernel = twin.relatedness(dosage[:, contig != 0])
    covariate = rng.normal(size=n)
    # BIMBAM mean genotypes: id, counted allele, other allele, dosages.
    mine = np.flatnonzero(contig == 0)
    lines = [f"v{j},A,G," + ",".join(map(str, dosage[:, j])) for j in mine]
    (tmp_path / "g.txt").write_text("\n".join(lines) + "\n")
    np.savetxt(tmp_path / "y.txt", y)
    np.savetxt(tmp_path / "c.txt", np.column_stack([np.ones(n), covariate]))
    np.savetxt(tmp_path / "k.txt", kernel, fmt="%.12g")
    subprocess.run(
        [gemma, "-g", "g.txt", "-p", "y.txt", "-c", "c.txt", "-k", "k.txt", "-lmm", "1", "-maf", "0", "-o", "out"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "output" / "out.assoc.txt", sep="\t")
    assert len(table) == 30
    cases = complete_cases(y[:, None], covariate[:, None])
    for _, row in table.iterrows():
        j = int(row["rs"][1:])
        # GEMMA's V is lambda K + I, lambda fitted with the variant in the model.
        h = np.array([row["l_remle"] / (1 + row["l_remle"])])
        beta, error, _ = MixedModel(kernel, cases, h=h).scan(dosage[:, [j]].T, y[:, None])
        np.testing.assert_allclose([beta[0, 0], error[0, 0]], [row["beta"], row["se"]], rtol=2e-4)
    scan = linear_mixed_scan(make_cohort(dosage, y[:, None], contig, covariate[:, None])).dataset
    z = (scan["beta"] / scan["standard_error"]).values[mine, 0]
    np.testing.assert_allclose(z, table["beta"] / table["se"], atol=0.15)
    log = (tmp_path / "output" / "out.log.txt").read_text()
    pve = float(log.split("pve estimate in the null model = ")[1].split()[0])
    assert scan["mixed_model_h"].values[0, 0] == pytest.approx(pve, abs=1e-4)


def test_a_basis_of_low_rank_keeps_populations():
    rng = np.random.default_rng(0)
    population = np.repeat(np.arange(3), 80)
    frequency = rng.uniform(0.1, 0.9, (3, 400))
    dosage = rng.binomial(2, frequency[population])
    kernel = twin.relatedness(dosage)
    y = (population - 1.0)[:, None] * 2 + rng.normal(size=(240, 1))
    cases = complete_cases(y, None)
    exact, low = (MixedModel(kernel, cases, most_exact=most, rank=12) for most in (1000, 100))
    basis = Eigenbasis.of(kernel, most_exact=100, rank=12)
    assert basis.values.size == 252 and basis.multiplicity.sum() == pytest.approx(240)
    root = basis.root_weights(0.5)
    x = basis.rotate(dosage[:, :4].astype(float)) * root[:, None]
    # The leading eigenvectors are exact, and the others share their mean.
    low_kernel = basis.vectors * (basis.values[:12] - basis.values[-1]) @ basis.vectors.T
    expected = np.linalg.inv(0.5 * (low_kernel + basis.values[-1] * np.eye(240)) + 0.5 * np.eye(240))
    np.testing.assert_allclose(x.T @ x, dosage[:, :4].T @ expected @ dosage[:, :4], rtol=1e-8)
    z_exact, z_low = (np.divide(*model.scan(dosage[:, :60].T, y)[:2]) for model in (exact, low))
    plain = MixedModel(kernel, cases, h=np.zeros(1)).scan(dosage[:, :60].T, y)
    assert np.mean((plain[0] / plain[1]) ** 2) > 10
    assert np.mean(z_low**2) == pytest.approx(np.mean(z_exact**2), abs=0.3)


def test_reml_at_its_bounds():
    rng = np.random.default_rng(1)
    values = np.r_[np.full(50, 2.0), np.full(50, 0.01)]
    basis = Eigenbasis(np.eye(100), values, np.ones(100))
    design = np.zeros((100, 1))
    design[0] = 1.0
    assert reml(basis, np.r_[np.full(50, 0.1), np.full(50, 1.0)] * rng.choice([-1, 1], 100), design) == 0.0
    assert reml(basis, np.sqrt(values) * rng.choice([-1, 1], 100), design) > 0.99


def test_what_is_left_out_together():
    contig = np.array([2, 2, 5, 5, 5])
    assert left_out_together(contig, lambda: pytest.fail("not asked")).tolist() == [0, 0, 1, 1, 1]
    blocks = np.repeat(np.arange(30), 3)
    labels = left_out_together(np.zeros(90, int), lambda: blocks)
    assert np.unique(labels).size == 20 and np.bincount(labels).max() <= 6
    assert all(np.unique(labels[blocks == b]).size == 1 for b in range(30))
    assert (left_out_together(np.zeros(4, int), lambda: np.zeros(4, int)) == -1).all()
    # Without most of the variants nothing of the relatedness would remain.
    assert (left_out_together(np.zeros(7, int), lambda: np.r_[0, 0, 0, 0, 1, 2, 3]) == -1).all()


def test_kernels_without_a_chromosome(case, monkeypatch):
    from elm_cases import MemoryStore

    dosage, contig, _, _ = case
    kernels = LeaveOutKernels(MemoryStore(dosage), np.arange(150), contig)
    np.testing.assert_allclose(kernels.whole(), twin.relatedness(dosage), atol=2e-6)
    np.testing.assert_allclose(kernels.without(1), twin.relatedness(dosage[:, contig != 1]), atol=3e-6)
    alone = LeaveOutKernels(MemoryStore(dosage), np.arange(150), np.full(60, -1))
    np.testing.assert_allclose(alone.without(-1), alone.whole())
    monkeypatch.setattr(mixed, "MOST_SAMPLES", 100)
    with pytest.raises(InputError, match="150 samples: the mixed model holds"):
        LeaveOutKernels(MemoryStore(dosage), np.arange(150), contig)
    with pytest.raises(InputError, match="none of the 2 variants varies"):
        LeaveOutKernels(MemoryStore(np.ones((9, 2), np.int8)), np.arange(9), np.zeros(2, int))
