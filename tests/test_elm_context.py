"""The context test: its null against plain twins and simulated traits, its power against hubs."""

import numpy as np
import pytest
from elm_cases import Form, block_genotypes, make_study, reader
from reference.products import product_correlations, quadratic_tail
from scipy import stats

from gp_elm.elm import context
from gp_elm.elm.context import context_p_values
from gp_elm.elm.context_null import central_moments, product_eigenvalues
from gp_elm.elm.debiased import centred_reader
from gp_elm.elm.mixture import cauchy_combination, gamma_p_value, ratio_p_value
from gp_elm.elm.pair_evidence import PairModel, sweep_pairs
from gp_elm.elm.quadratic import QuadraticPopulation


def no_network(m, n_traits):
    return [Form(np.arange(m), np.zeros((n_traits, m)), *np.zeros((2, 1, m)), np.zeros((n_traits, 1)))] * 3


def p_values_of(rng, raw, blocks, traits, *, covariates=None, forms=None):
    study = make_study(rng, raw, blocks, traits, covariates=covariates)
    read = centred_reader(reader(raw), study.center)
    forms = forms or no_network(len(blocks), traits.shape[1])
    model = PairModel.build(study, QuadraticPopulation(study, forms), traits, read)
    return context_p_values(model, sweep_pairs(model, read, top=5)["elm"], read)


def test_ratio_tail_is_imhofs_integral():
    rng = np.random.default_rng(0)
    eigenvalues = rng.gamma(0.7, size=30)
    for df in (60, 1000):
        mean = eigenvalues.sum()
        for q in mean * np.array([0.5, 0.9, 1.0, 1.2, 1.8]):
            weights = np.r_[eigenvalues - q / df, np.full(df - 30, -q / df)]
            exact = quadratic_tail(weights, 0.0)
            assert ratio_p_value(eigenvalues, df, q) == pytest.approx(exact, rel=0.06, abs=1e-9)
    # One eigenvalue: the square of a correlation, which is a beta variable.
    assert ratio_p_value(np.ones(1), 100, 20.0) == pytest.approx(stats.beta.sf(0.2, 0.5, 49.5), rel=0.1)
    assert ratio_p_value(np.ones(5), 100, 200.0) == 1e-300


def test_gamma_tail_is_chi_squared_and_normal_where_they_are():
    k = 7.0
    q = np.array([3.0, 7.0, 20.0, 60.0])
    found = gamma_p_value(q, np.float64(k), np.float64(2 * k), np.float64(8 * k))
    np.testing.assert_allclose(found, stats.chi2.sf(q, k), rtol=1e-8)
    plain = gamma_p_value(q, np.float64(k), np.float64(4.0), np.float64(0.0))
    np.testing.assert_allclose(plain, stats.norm.sf(q, k, 2), rtol=1e-8)
    assert np.isnan(gamma_p_value(np.array([1.0]), np.array([1.0]), np.zeros(1), np.zeros(1)))[0]


def test_cauchy_combination():
    p = np.array([0.03, 0.4])
    statistic = np.tan((0.5 - p) * np.pi).mean()
    assert cauchy_combination(p) == pytest.approx(stats.cauchy.sf(statistic))
    assert cauchy_combination(np.array([1e-200, 0.5])) == pytest.approx(2e-200)
    assert cauchy_combination(np.array([0.2, 0.2])) == pytest.approx(0.2)
    assert np.isnan(cauchy_combination(np.array([0.2, np.nan])))


def test_eigenvalues_are_those_of_the_residualised_products():
    rng = np.random.default_rng(1)
    raw, _ = block_genotypes(rng, 200, [3, 3, 3])
    x = raw - raw.mean(0)
    covariates = rng.normal(size=(200, 2))
    basis = np.linalg.qr(np.column_stack([np.ones(200), covariates]))[0]
    others = np.array([0, 1, 2, 6, 7, 8])
    expected = np.linalg.eigvalsh(product_correlations(x, covariates, 4, others))
    np.testing.assert_allclose(product_eigenvalues(x, 4, others, basis), expected, atol=1e-10)
    x[:, 6] = 0
    assert product_eigenvalues(x, 4, others, basis).size == 5
    assert product_eigenvalues(x, 6, np.array([0, 1]), basis).size == 0


@pytest.mark.parametrize("n, share", [(150, 1.0), (1500, 1.0), (1500, 0.4)])
def test_moments_are_those_of_the_eigenvalues(n, share):
    rng = np.random.default_rng(2)
    blocks = np.repeat(np.arange(25), 4)
    raw, _ = block_genotypes(rng, n, [4] * 25)
    raw[:, :4] = rng.binomial(2, [0.02, 0.05, 0.1, 0.2], size=(n, 4))
    x = (raw - raw.mean(0)).astype(np.float32)
    count = np.full(100, 96.0)
    rows = np.sort(rng.choice(n, int(share * n), replace=False))
    basis = np.full((rows.size, 1), rows.size**-0.5)
    second, third = central_moments(
        lambda a, b: x[:, a:b], rows, np.array([float(n)]), basis, blocks, count, rng
    )
    second, third = second[:, 0], third[:, 0]
    found, exact = [], []
    for i in range(0, 100, 2):
        values = product_eigenvalues(
            x.astype(float), i, np.flatnonzero(blocks != blocks[i]), np.full((n, 1), n**-0.5)
        )
        centred = np.r_[values, np.zeros(n - 3 - values.size)] - values.sum() / (n - 3)
        exact.append([(centred**2).sum(), (centred**3).sum()])
        found.append([second[i], third[i]])
    ratio = np.array(found) / np.array(exact)
    np.testing.assert_allclose(np.median(ratio, axis=0), 1.0, atol=0.12 if share == 1 else 0.2)
    assert ratio[:, 0].std() < 0.2


CASES = {
    "haploid": dict(sizes=[1] * 40, ploidy=1, missing=0.0, lost=0.0),
    "missing": dict(sizes=[1] * 40, ploidy=2, missing=0.05, lost=0.2),
    "blocks": dict(sizes=[10, 1, 20, 5, 12], ploidy=2, missing=0.02, lost=0.0),
}


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_nothing_is_found_where_nothing_interacts(monkeypatch, case, exact):
    monkeypatch.setattr(context, "EXACT_WORK", np.inf if exact else 0)
    rng = np.random.default_rng(3)
    c = CASES[case]
    # Several patterns of missing traits, of several traits each.
    raw, blocks = block_genotypes(rng, 500, c["sizes"], ploidy=c["ploidy"], missing=c["missing"])
    traits = rng.normal(size=(500, 45))
    for first in (0, 15, 30):
        traits[rng.random(500) < c["lost"], first : first + 15] = np.nan
    p = p_values_of(rng, raw, blocks, traits, covariates=rng.normal(size=(500, 2)))
    assert np.isfinite(p).all() and p.min() > 0 and p.max() <= 1
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.02)
    assert np.mean(p < 0.5) == pytest.approx(0.5, abs=0.06)


def test_a_trait_measured_in_few_of_the_samples_keeps_its_level(monkeypatch):
    monkeypatch.setattr(context, "EXACT_WORK", 0)
    rng = np.random.default_rng(8)
    raw, blocks = block_genotypes(rng, 1000, [1] * 250)
    traits = rng.normal(size=(1000, 16))
    traits[200:, 1:] = np.nan
    p = p_values_of(rng, raw, blocks, traits)[:, 1:]
    assert np.mean(p < 0.05) == pytest.approx(0.055, abs=0.025)
    assert np.mean(p < 0.001) < 0.004


def test_hubs_are_found_by_the_sum_and_single_partners_by_the_smallest():
    rng = np.random.default_rng(4)
    raw, blocks = block_genotypes(rng, 2000, [1] * 50, ploidy=1)
    x = (raw - raw.mean(0)) / raw.std(0)
    hub = np.column_stack([x[:, 0] * (x[:, 1:21] @ rng.choice([-1, 1], 20)) * 0.045 for _ in range(20)])
    single = np.repeat((x[:, 0] * x[:, 1])[:, None] * 0.15, 20, axis=1)
    p = p_values_of(rng, raw, blocks, np.hstack([hub, single]) + rng.normal(size=(2000, 40)))
    assert np.mean(p[0, :20] < 0.05) > 0.9 and np.mean(p[0, 20:] < 0.05) > 0.9
    assert np.mean(p[1, 20:] < 0.05) > 0.9
    assert np.mean(p[30:] < 0.05) == pytest.approx(0.05, abs=0.03)


def test_a_partner_in_the_own_block_does_not_count():
    rng = np.random.default_rng(5)
    raw, blocks = block_genotypes(rng, 1500, [10, 10, 10, 10])
    x = raw - raw.mean(0)
    y = (x[:, 0] * x[:, 2])[:, None] + 2 * rng.normal(size=(1500, 8))
    p = p_values_of(rng, raw, blocks, y)
    assert np.median(p[[0, 2]]) > 0.05
    apart = p_values_of(rng, raw, np.arange(40), y)
    assert np.all(apart[[0, 2]] < 1e-6)
    assert np.isnan(p_values_of(rng, raw, np.zeros(40, int), y)).all()


def test_monomorphic_loci_and_pairs_that_were_not_swept():
    rng = np.random.default_rng(6)
    raw, blocks = block_genotypes(rng, 300, [1] * 12)
    raw[:, 3] = 1
    y = rng.normal(size=(300, 2))
    p = p_values_of(rng, raw, blocks, y)
    assert np.isnan(p[3]).all() and np.isfinite(np.delete(p, 3, axis=0)).all()
    study = make_study(rng, raw, blocks, y)
    read = centred_reader(reader(raw), study.center)
    model = PairModel.build(study, QuadraticPopulation(study, no_network(12, 2)), y, read)
    assert np.isnan(context_p_values(model, None, read)).all()


def test_the_network_sharpens_the_test_and_keeps_its_level():
    rng = np.random.default_rng(7)
    raw, blocks = block_genotypes(rng, 1500, [1] * 30, ploidy=1)
    x = raw - raw.mean(0)
    u, v = np.zeros((2, 10, 30))
    u[np.arange(10), np.arange(10)], v[np.arange(10), np.arange(10, 20)] = 1.0, 1.0
    truth = Form(np.arange(30), np.zeros((20, 30)), u, v, np.full((20, 10), 0.5))
    y = truth(x) + 0.3 * rng.normal(size=(1500, 20))
    y -= y.mean(0)
    plain, sharp = p_values_of(rng, raw, blocks, y), p_values_of(rng, raw, blocks, y, forms=[truth] * 3)
    assert np.median(np.log(sharp[:20])) < 1.3 * np.median(np.log(plain[:20]))
    assert np.mean(sharp[20:] < 0.05) == pytest.approx(0.05, abs=0.05)
