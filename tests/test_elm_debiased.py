"""Debiased effects: what they reduce to, and what they recover from simulated truth."""

import numpy as np
import pytest
from elm_cases import Form, block_genotypes, make_study, random_form, reader

from gp_elm.association.interaction import interaction_pairs
from gp_elm.association.linear import dominance_block, scan_block
from gp_elm.elm.debiased import centred_reader, marginal_effects
from gp_elm.elm.pair_evidence import PairModel, sweep_pairs
from gp_elm.elm.pair_fits import fit_pairs
from gp_elm.elm.pair_ranks import screened_q_values, sweep_q_values
from gp_elm.elm.quadratic import QuadraticPopulation
from gp_elm.elm.sampled import SampledPopulation
from gp_elm.elm.study import network_weights


def zero_form(m, n_traits=2):
    return Form(
        np.arange(m), np.zeros((n_traits, m)), np.ones((1, m)), np.ones((1, m)), np.zeros((n_traits, 1))
    )


def columns_reader(raw):
    def read(variants):
        out = raw[:, variants].astype(float)
        out[out < 0] = np.nan
        return out

    return read


def predictions(study, forms):
    x = study.store.block(study.rows, center=study.center)
    out = np.empty(study.traits.shape)
    for k, form in enumerate(forms):
        rows = study.folds == k
        out[rows] = form(x[rows][:, form.columns])
    return out


@pytest.fixture
def small():
    rng = np.random.default_rng(11)
    raw, blocks = block_genotypes(rng, 400, [3, 1, 4, 2], missing=0.05)
    traits = rng.normal(size=(400, 2))
    traits[rng.random(traits.shape) < 0.1] = np.nan
    study = make_study(rng, raw, blocks, traits, covariates=rng.normal(size=(400, 2)))
    return rng, raw, study


@pytest.mark.parametrize("dominance", [False, True])
def test_a_network_that_predicts_nothing_leaves_the_classical_scan(small, dominance):
    _, raw, study = small
    population = QuadraticPopulation(study, [zero_form(10)] * 3)
    zero = np.zeros(study.traits.shape)
    found = marginal_effects(study, population, zero, study.traits, reader(raw), dominance=dominance)
    scan = (dominance_block if dominance else scan_block)(raw, study.traits, study.covariates)
    np.testing.assert_allclose(found.beta, scan.beta, rtol=1e-9)
    np.testing.assert_allclose(found.standard_error, scan.standard_error, rtol=1e-9)
    assert np.all(found.weights == 0)


def test_pairs_without_a_network_are_the_residual_scan(small):
    _, raw, study = small
    population = QuadraticPopulation(study, [zero_form(10)] * 3)
    read = centred_reader(reader(raw), study.center)
    model = PairModel.build(study, population, study.traits, read)
    swept = sweep_pairs(model, read, top=45)
    for kind in ("interaction_residual", "elm"):
        assert [s.n_tested for s in swept[kind]] == [45, 45]
    np.testing.assert_allclose(swept["elm"][0].top.z, swept["interaction_residual"][0].top.z)


def test_sweep_and_fit_agree_inside_and_across_blocks():
    rng = np.random.default_rng(4)
    raw, blocks = block_genotypes(rng, 500, [3, 1, 4, 2])
    study = make_study(rng, raw, blocks, rng.normal(size=(500, 2)))
    forms = [random_form(rng, range(10)) for _ in range(3)]
    study.traits[:] = predictions(study, forms) + rng.normal(size=(500, 2))
    population = QuadraticPopulation(study, forms)
    read = centred_reader(reader(raw), study.center)
    model = PairModel.build(study, population, study.traits, read)
    swept = sweep_pairs(model, read, top=45)
    for trait in range(2):
        top = swept["elm"][trait].top
        assert len(np.unique(top.i * 10 + top.j)) == swept["elm"][trait].n_tested == 45
        found = fit_pairs(model, trait, top.i, top.j, columns_reader(raw), None)
        np.testing.assert_allclose(found.beta["elm"], top.beta, rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(found.standard_error["elm"], top.standard_error, rtol=1e-3)
        q, rank = sweep_q_values(swept["elm"][trait], top.i, top.j, found.p_value("elm"), 10)
        assert rank.tolist() == list(range(1, 46))
        assert np.all(np.diff(q) >= 0) and np.all(q <= 1)


def test_order_of_samples_changes_nothing_and_swapping_alleles_turns_signs(small):
    rng, raw, study = small
    forms = [random_form(rng, range(10)) for _ in range(3)]

    def run(study, raw, forms):
        population = QuadraticPopulation(study, forms)
        f = predictions(study, forms)
        effects = marginal_effects(study, population, f, study.traits, reader(raw))
        read = centred_reader(reader(raw), study.center)
        model = PairModel.build(study, population, study.traits, read)
        pairs = fit_pairs(model, 0, np.array([0, 3, 1]), np.array([4, 8, 9]), columns_reader(raw), None)
        return effects.beta, effects.standard_error, pairs.beta["elm"]

    beta, error, pair = run(study, raw, forms)
    order = rng.permutation(400)
    permuted = make_study(
        rng, raw[order], study.blocks, study.traits[order], covariates=study.covariates[order]
    )
    permuted.folds[:] = study.folds[order]
    for found, expected in zip(run(permuted, raw[order], forms), (beta, error, pair), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    swapped_raw = raw.copy()
    swapped_raw[:, 0] = np.where(raw[:, 0] < 0, -1, 2 - raw[:, 0])
    swapped = make_study(rng, swapped_raw, study.blocks, study.traits, covariates=study.covariates)
    swapped.folds[:] = study.folds
    turned = []
    for form in forms:
        sign = np.where(form.columns == 0, -1.0, 1.0)
        turned.append(Form(form.columns, form.linear * sign, form.u * sign, form.v * sign, form.output))
    beta2, error2, pair2 = run(swapped, swapped_raw, turned)
    np.testing.assert_allclose(beta2[0], -beta[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(beta2[1:], beta[1:], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(error2, error, rtol=1e-4)
    np.testing.assert_allclose(pair2 * [-1, 1, 1], pair, rtol=1e-3, atol=1e-5)


def simulated(rng, n, m, *, spoilt=False):
    raw, blocks = block_genotypes(rng, n, [1] * m, ploidy=1)
    x = raw - raw.mean(0)
    additive = rng.normal(size=m)
    u, v = np.zeros((6, m)), np.zeros((6, m))
    for h, (i, j) in enumerate(rng.permutation(m)[:12].reshape(6, 2)):
        u[h, i], v[h, j] = 1.0, 1.0
    size = rng.choice([-2.0, 2.0], size=(1, 6))
    truth = Form(np.arange(m), additive[None], u, v, size)
    genetic = truth(x)
    y = genetic + rng.normal(size=genetic.shape) * genetic.std()
    study = make_study(rng, raw, blocks, y)
    known = [Form(truth.columns, 0.8 * truth.linear, truth.u, truth.v, 0.7 * truth.output) for _ in range(3)]
    if spoilt:
        known = [
            Form(
                truth.columns,
                truth.linear,
                rng.normal(size=u.shape),
                rng.normal(size=v.shape),
                4 * truth.output,
            )
            for _ in range(3)
        ]
    effects = np.zeros((m, m))
    for h in range(6):
        i, j = int(np.argmax(u[h])), int(np.argmax(v[h]))
        effects[i, j] = effects[j, i] = size[0, h]
    return raw, study, known, additive, effects


@pytest.mark.parametrize("spoilt", [False, True])
def test_debiased_pairs_are_unbiased_calibrated_and_never_worse_than_the_scan(spoilt):
    rng = np.random.default_rng(21)
    z_null, errors, ideal, slopes = [], [], [], []
    for _ in range(12):
        raw, study, forms, additive, effects = simulated(rng, 1200, 24, spoilt=spoilt)
        population = QuadraticPopulation(study, forms)
        read = centred_reader(reader(raw), study.center)
        x = np.column_stack([np.ones(1200), raw - study.center])
        rest = study.traits - x @ np.linalg.lstsq(x, study.traits, rcond=None)[0]
        rest *= 1200 / (1200 - 25)
        noise = 1200 / (1200 - 25) * np.var(study.traits) / 2
        ideal.append(np.sqrt(noise / np.var(rest)))
        model = PairModel.build(study, population, rest, read)
        swept = sweep_pairs(model, read, top=276)
        top, scan = swept["elm"][0].top, swept["interaction_residual"][0].top
        true = effects[top.i, top.j]
        z_null.append(top.z[true == 0])
        slopes.append((top.beta @ true) / (true @ true))
        errors.append(top.standard_error.mean() / scan.standard_error.mean())
    z = np.concatenate(z_null)
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.05, abs=0.012)
    assert np.mean(slopes) == pytest.approx(1.0, abs=0.05)
    # Known effects up to their size, which the weight finds: only the noise is left.
    assert np.mean(errors) < (1.005 if spoilt else 1.02 * np.mean(ideal))
    assert np.mean(ideal) < 0.95


def test_debiased_marginal_effects_recover_the_truth_with_smaller_errors():
    rng = np.random.default_rng(8)
    z, ratio = [], []
    for _ in range(15):
        raw, study, forms, additive, _ = simulated(rng, 1000, 20)
        population = QuadraticPopulation(study, forms)
        f = predictions(study, forms)
        found = marginal_effects(study, population, f, study.traits - study.traits.mean(0), reader(raw))
        scan = scan_block(raw, study.traits)
        z.append((found.beta[:, 0] - additive) / found.standard_error[:, 0])
        ratio.append((found.standard_error / scan.standard_error).mean())
    assert np.mean(ratio) < 0.8
    assert np.mean(np.abs(np.concatenate(z)) > 1.96) == pytest.approx(0.05, abs=0.03)


def test_marginal_effects_by_sampling_agree_with_the_closed_form():
    rng = np.random.default_rng(2)
    raw, study, forms, _, _ = simulated(rng, 800, 12)
    f = predictions(study, forms)
    residual = study.traits - study.traits.mean(0)
    exact = marginal_effects(study, QuadraticPopulation(study, forms), f, residual, reader(raw))
    drawn = SampledPopulation(
        study, [form.columns for form in forms], [form.__call__ for form in forms], None, n=200_000, seed=1
    )
    sampled = marginal_effects(study, drawn, f, residual, reader(raw))
    difference = (sampled.beta - exact.beta) / exact.standard_error
    assert np.abs(difference).max() < 0.5
    assert np.all(sampled.standard_error > 0.99 * exact.standard_error)
    assert np.all(sampled.standard_error < 1.1 * exact.standard_error)


def test_population_check_is_near_one_without_structure():
    rng = np.random.default_rng(3)
    checks = []
    for _ in range(10):
        raw, study, forms, _, _ = simulated(rng, 600, 30)
        f = predictions(study, forms)
        found = marginal_effects(study, QuadraticPopulation(study, forms), f, study.traits, reader(raw))
        checks.append(found.population_check[0])
    assert np.mean(checks) == pytest.approx(1.0, abs=0.15)


def drawn_population(study, forms, *, n=20_000, offsets=None):
    return SampledPopulation(
        study, [form.columns for form in forms], [form.__call__ for form in forms], offsets, n=n, seed=1
    )


@pytest.mark.parametrize("sizes", [[1] * 30, [10, 10, 10], [25, 5]])
@pytest.mark.parametrize("n", [400, 4000])
def test_population_check_of_a_drawn_population_is_near_one_without_structure(sizes, n):
    rng = np.random.default_rng(3)
    checks = []
    for _ in range(15):
        raw, blocks = block_genotypes(rng, 400, sizes, missing=0.02)
        study = make_study(rng, raw, blocks, rng.normal(size=(400, 8)))
        study.traits[rng.random(study.traits.shape) < [0.5] * 4 + [0.0] * 4] = np.nan
        forms = [random_form(rng, range(0, 30, 2), n_traits=8) for _ in range(3)]
        for form in forms:
            # Products with the variant's own block make its errors unequal; the scan takes them as equal.
            form.output *= 0.05
        f = predictions(study, forms)
        found = marginal_effects(study, drawn_population(study, forms, n=n), f, study.traits, reader(raw))
        checks.append(found.population_check)
    assert np.mean(checks) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("sizes", [[1] * 30, [10, 10, 10], [25, 5]])
def test_population_check_of_a_drawn_population_is_that_of_the_closed_form(sizes):
    rng = np.random.default_rng(5)
    # Families: two halves of a chromosome are together more often than chance.
    found = []
    for _ in range(6):
        raw, blocks = block_genotypes(rng, 60, sizes, ploidy=1)
        family = rng.integers(0, 60, (30, 2, 1)).repeat(10, axis=0)
        parent = np.take_along_axis(family[:, :, 0], rng.integers(0, 2, (300, 2)), axis=1)
        raw = (raw[parent[:, 0]] + raw[parent[:, 1]]).astype(np.int8)
        study = make_study(rng, raw, blocks, rng.normal(size=(300, 2)))
        forms = [random_form(rng, range(30)) for _ in range(3)]
        offsets = [rng.normal(size=(2, 30)) for _ in range(3)]
        f = predictions(study, forms)
        for k, offset in enumerate(offsets):
            f[study.folds == k] += (raw - study.center)[study.folds == k] @ offset.T
        for population in (
            QuadraticPopulation(study, forms, offsets),
            drawn_population(study, forms, offsets=offsets),
        ):
            effects = marginal_effects(study, population, f, study.traits, reader(raw))
            found.append(effects.population_check)
    exact, drawn = np.array(found[::2]), np.array(found[1::2])
    assert exact.mean() > 1.5
    # The drawn means are off by n / N_P of the variance, which few blocks share among all their variants.
    np.testing.assert_allclose(drawn, exact, rtol=0.35)
    np.testing.assert_allclose(drawn.mean(), exact.mean(), rtol=0.08)


def test_weights_are_fitted_on_the_other_folds():
    rng = np.random.default_rng(9)
    folds = np.arange(90) % 3
    f = rng.normal(size=(90, 1))
    y = 0.5 * f + 0.01 * rng.normal(size=(90, 1))
    y[folds == 0] = 1.2 * f[folds == 0]
    weights = network_weights(y, f, folds)
    assert weights[0, 0] == pytest.approx(0.5, abs=0.02)
    assert weights[1, 0] > 0.6
    assert np.all(network_weights(-f, f, folds) == 0)
    assert network_weights(y, f, folds, noise=1.0)[0, 0] == pytest.approx(weights[0, 0] / 2)


def test_a_network_out_of_proportion_cannot_spoil_its_fold():
    rng = np.random.default_rng(10)
    folds = np.arange(300) % 3
    y = rng.normal(size=(300, 1))
    f = 0.8 * y + 0.3 * rng.normal(size=(300, 1))
    f[folds == 2] *= 1000.0
    weights = network_weights(y, f, folds)
    assert (weights[2] * f[folds == 2]).std() <= y[folds != 2].std() * 1.0001
    tiny = np.where(folds[:, None] == 0, f, 1e-6 * f)
    assert network_weights(y, tiny, folds).max() <= 2.0


def test_interaction_of_the_raw_trait_is_the_classical_test(small):
    _, raw, study = small
    read = centred_reader(reader(raw), study.center)
    model = PairModel.build(study, QuadraticPopulation(study, [zero_form(10)] * 3), study.traits, read)
    i, j = np.array([0, 2]), np.array([5, 9])
    found = fit_pairs(model, 1, i, j, columns_reader(raw), None)
    g = columns_reader(raw)(np.arange(10))
    expected = interaction_pairs(g[:, i], g[:, j], study.traits[:, [1]], study.covariates)
    np.testing.assert_allclose(found.beta["interaction"], expected.beta[:, 0])
    np.testing.assert_allclose(found.p_value("interaction"), expected.p_value[:, 0])


def test_a_candidate_that_cannot_be_tested_leaves_the_others_their_q_values():
    q, rank = screened_q_values(np.array([1e-9, np.nan, 1e-4, 0.5]), 1000)
    np.testing.assert_allclose(q[[0, 2, 3]], [1e-6, 0.05, 1.0])
    assert np.isnan(q[1]) and rank.tolist() == [1, -1, 2, 3]
