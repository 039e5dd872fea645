"""Debiased effects by generalised least squares: against dense algebra, and on families with a polygenic trait."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from elm_cases import MemoryStore, make_study, random_form, reader
from reference import mixed as twin
from test_association_mixed import families, make_cohort

from gp_elm.association.mixed import linear_mixed_scan
from gp_elm.elm import effects
from gp_elm.elm.debiased import centred_reader, marginal_effects
from gp_elm.elm.effects import Analysis
from gp_elm.elm.pair_evidence import PairModel
from gp_elm.elm.quadratic import QuadraticPopulation
from gp_elm.elm.sampled import SampledPopulation
from gp_elm.elm.structured import Structure
from gp_elm.elm.study import network_weights
from gp_elm.errors import InputError
from gp_elm.io import components

# More variants than samples, so that the eigenbasis is one of its own; where K is short of rank it is not.
M = 240
CONTIG = np.repeat(np.arange(4), 60)
BLOCKS = np.repeat(np.arange(8), 30)


def predictions(study, forms):
    x = study.store.block(study.rows, center=study.center)
    out = np.empty(study.traits.shape)
    for k, form in enumerate(forms):
        rows = study.folds == k
        out[rows] = form(x[rows][:, form.columns])
    return out


def build(study, **options):
    return Structure(study.store, study.rows, CONTIG, study.traits, study.covariates, **options)


def close(found, expected, *, beta, error):
    """Coefficient, standard error and degrees of freedom agree, each to its relative tolerance."""
    assert found[0] == pytest.approx(expected[0], rel=beta, abs=beta * expected[1])
    assert found[1] == pytest.approx(expected[1], rel=error)
    assert found[2] == expected[2]


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(6)
    raw = families(rng, 30, M)
    traits = raw[:, ::10] @ rng.normal(size=(24, 2)) + 3 * rng.normal(size=(150, 2)) + 50
    traits[rng.random(150) < 0.1, 1] = np.nan
    study = make_study(rng, raw, BLOCKS, traits, covariates=rng.normal(size=(150, 2)))
    # A network that reads some of the variants only: blocks with a part of their own, and without.
    forms = [random_form(rng, [0, 1, 31, 40, 170]) for _ in range(3)]
    return raw, study, forms, QuadraticPopulation(study, forms), predictions(study, forms)


@pytest.mark.parametrize("dominance", [False, True])
def test_without_a_network_it_is_the_mixed_model(case, dominance):
    raw, study, _, population, f = case
    found = build(study).marginal(
        study, population, 0 * f, study.traits - 50, reader(raw), dominance=dominance
    )
    cohort = make_cohort(raw, study.traits, CONTIG, study.covariates)
    scan = linear_mixed_scan(cohort, dominance=dominance).dataset
    # The population's own blocks still enter with weight 0.
    assert np.all(found.weights == 0)
    np.testing.assert_allclose(found.beta, scan["beta"].values, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found.df, scan["df"].values)
    # The errors are robust ones: the same on average where h is the response's own, missing samples or not.
    ratio = np.nanmean(found.standard_error / scan["standard_error"].values, axis=0)
    np.testing.assert_allclose(ratio, 1.0, atol=0.1)
    assert found.structured.all()


def test_effects_are_the_dense_regression_of_what_the_rest_of_the_genome_leaves(case):
    raw, study, _, population, f = case
    h = np.array([0.5, 0.3])
    structure = build(study, h=h)
    np.testing.assert_array_equal(structure.h, h)
    residual = study.traits - np.nanmean(study.traits, axis=0)
    found = structure.marginal(study, population, f, residual, reader(raw))
    weight = structure.network_weights(residual, f, study.folds)[study.folds]
    assert (weight > 0).any()
    for variant in (0, 29, 40, 100, 239):
        block = BLOCKS[variant]
        part = population.block_part(block) if block in set(population.blocks_with_columns()) else 0.0
        kernel = twin.relatedness(raw[:, CONTIG != CONTIG[variant]])
        for trait in range(2):
            rows = np.isfinite(study.traits[:, trait])
            y = (study.traits - weight * (f - part))[rows, trait]
            design = np.column_stack([np.ones(rows.sum()), study.covariates[rows], raw[rows, variant]])
            expected = twin.gls(y, design, kernel[np.ix_(rows, rows)], h[trait], robust=True)
            got = [a[variant, trait] for a in (found.beta, found.standard_error, found.df)]
            # The samples that have the trait have another eigenbasis than all: their robust errors differ by chance.
            close(got, expected, beta=1e-4, error=1e-3 if trait == 0 else 0.3)


def test_weights_are_in_the_metric_of_v_and_fitted_on_the_other_folds(case):
    raw, study, _, _, f = case
    y = study.traits - np.nanmean(study.traits, axis=0) + 0.3 * f
    structure = build(study, h=np.array([0.6, 0.0]))
    found = structure.network_weights(y, f, study.folds, noise=0.25)
    plain = network_weights(y, f, study.folds, noise=0.25)
    np.testing.assert_allclose(found[:, 1], plain[:, 1], rtol=1e-9)
    for k in range(3):
        use = study.folds != k
        v = 0.6 * twin.relatedness(raw)[np.ix_(use, use)] + 0.4 * np.eye(use.sum())
        inverse = np.linalg.inv(v)
        one = np.ones(use.sum())
        project = inverse - np.outer(inverse @ one, one @ inverse) / (one @ inverse @ one)
        a, b = y[use, 0], f[use, 0]
        assert found[k, 0] == pytest.approx((a @ project @ b) / (1.25 * b @ project @ b), rel=1e-4)
    changed = y.copy()
    changed[study.folds == 0] *= 5
    np.testing.assert_allclose(structure.network_weights(changed, f, study.folds)[0, 0], found[0, 0] * 1.25)


def test_listed_pairs_are_the_dense_regression_with_all_chromosomes(case):
    raw, study, _, _, _ = case
    raw = raw.astype(float)
    raw[::7, 3] = np.nan
    structure = build(study, h=np.array([0.5, 0.4]))
    i, j = np.array([0, 3, 5, 3]), np.array([90, 200, 110, 3])
    kernel = twin.relatedness(case[0])
    for trait in range(2):
        response = study.traits[:, trait] * 2
        beta, error, df = structure.pairs(trait, raw[:, i], raw[:, j], response)
        rows = np.isfinite(response)
        for k in range(3):
            g = [np.nan_to_num(raw[:, v], nan=np.nanmean(raw[:, v])) for v in (i[k], j[k])]
            design = np.column_stack([np.ones(150), study.covariates, *g, g[0] * g[1]])[rows]
            expected = twin.gls(
                response[rows], design, kernel[np.ix_(rows, rows)], structure.h[trait], robust=True
            )
            close((beta[k], error[k], df[k]), expected, beta=1e-4, error=1e-3 if trait == 0 else 0.3)
    assert np.isfinite(beta[3])
    carrier = raw[:, [0]] > 0
    assert np.isnan(structure.pairs(0, 1.0 * carrier, 1.0 * carrier, study.traits[:, 0])[0]).all()
    with pytest.raises(InputError, match="the response is missing in 150 samples that have the trait"):
        structure.pairs(0, raw[:, i], raw[:, j], np.full(150, np.nan))


def test_a_trait_that_is_left_alone(case):
    raw, study, _, population, f = case
    traits = np.where([True, False], study.traits, np.nan)
    structure = Structure(study.store, study.rows, CONTIG, traits, study.covariates)
    assert np.isfinite(structure.h).tolist() == [True, False]
    found = structure.marginal(study, population, f, study.traits - 50, reader(raw))
    ordinary = marginal_effects(study, population, f, study.traits - 50, reader(raw))
    both = ordinary.replaced(found)
    assert both.structured.tolist() == [True, False]
    np.testing.assert_array_equal(both.beta[:, 1], ordinary.beta[:, 1])
    np.testing.assert_array_equal(both.beta[:, 0], found.beta[:, 0])
    np.testing.assert_array_equal(both.population_check, ordinary.population_check)
    assert np.isnan(structure.pairs(1, raw[:, :1], raw[:, 1:2], study.traits[:, 1])).all()


@pytest.mark.parametrize("measured", [0, 1, 3, 5, 6, 12])
def test_a_heldout_trait_measured_in_few_samples_has_no_pairs(case, measured):
    raw, study, _, _, _ = case
    traits = study.traits.copy()
    traits[np.flatnonzero(np.isfinite(traits[:, 1]))[measured:], 1] = np.nan
    structure = build(replace(study, traits=traits), h=np.array([0.5, 0.5]))
    beta, error, _ = structure.pairs(1, raw[:, :2] * 1.0, raw[:, 90:92] * 1.0, traits[:, 1])
    # Intercept, two covariates, both loci and their product leave a degree of freedom to seven samples.
    assert np.isfinite(beta).any() == np.isfinite(error).any() == (measured >= 7)
    assert np.isfinite(structure.pairs(0, raw[:, :2] * 1.0, raw[:, 90:92] * 1.0, traits[:, 0])[0]).all()


def test_one_chromosome_is_left_out_by_blocks(case):
    raw, study, _, population, f = case
    whole = np.zeros(M, int)
    structure = Structure(study.store, study.rows, whole, study.traits, study.covariates, blocks=BLOCKS)
    found = structure.marginal(study, population, 0 * f, study.traits - 50, reader(raw))
    kernel = twin.relatedness(raw[:, BLOCKS != BLOCKS[4]])
    rows = np.isfinite(study.traits[:, 1])
    design = np.column_stack([np.ones(rows.sum()), study.covariates[rows]])
    y, kernel = study.traits[rows, 1], kernel[np.ix_(rows, rows)]
    expected = twin.gls(
        y, np.column_stack([design, raw[rows, 4]]), kernel, twin.reml_h(y - 50, design, kernel)
    )
    close([a[4, 1] for a in (found.beta, found.standard_error, found.df)], expected, beta=1e-3, error=0.3)


def test_effects_by_sampling_agree_with_the_closed_form(case):
    raw, study, forms, population, f = case
    structure = build(study)
    drawn = SampledPopulation(
        study, [form.columns for form in forms], [form.__call__ for form in forms], None, n=100_000, seed=1
    )
    residual = study.traits - 50
    exact = structure.marginal(study, population, f, residual, reader(raw))
    sampled = structure.marginal(study, drawn, f, residual, reader(raw))
    # Both aim at the same effect; they differ by what the cohort makes of a block's own part.
    assert np.abs((sampled.beta - exact.beta) / exact.standard_error)[CONTIG > 2].max() < 0.5
    np.testing.assert_allclose(sampled.standard_error[CONTIG > 2], exact.standard_error[CONTIG > 2], rtol=0.1)


def test_families_are_accounted_for():
    """A polygenic trait on half of the chromosomes of sibs: nothing on the other half, no less than a mixed model."""
    rng = np.random.default_rng(12)
    m, contig = 400, np.repeat(np.arange(8), 50)
    causal = contig < 4
    null, power = {"ols": [], "mixed": [], "gls": []}, {"ols": [], "mixed": [], "gls": []}
    for _ in range(6):
        raw = families(rng, 40, m, size=8)
        alpha = np.where(causal, rng.normal(size=m), 0.0)
        genetic = raw @ alpha
        y = genetic / genetic.std() + 0.7 * rng.normal(size=320)
        study = make_study(rng, raw, np.arange(m) // 5, y[:, None])
        # A network that knows a third of the loci.
        known = alpha * (rng.random(m) < 0.33) / genetic.std()
        forms = [random_form(rng, range(m), n_traits=1, hidden=1) for _ in range(3)]
        for form in forms:
            form.linear[:] = known + 0.02 * rng.normal(size=m)
            form.output[:] = 0.0
        population, f = QuadraticPopulation(study, forms), predictions(study, forms)
        structure, residual = (
            Structure(study.store, study.rows, contig, study.traits),
            study.traits - y.mean(),
        )
        found = {
            "ols": marginal_effects(study, population, f, residual, reader(raw)),
            "mixed": structure.marginal(study, population, 0 * f, residual, reader(raw)),
            "gls": structure.marginal(study, population, f, residual, reader(raw)),
        }
        assert found["ols"].population_check[0] > 1.5
        for name, effect in found.items():
            z = (effect.beta / effect.standard_error)[:, 0]
            null[name].append(z[~causal])
            power[name].append(np.mean(z[causal] ** 2))
    rates = {name: np.mean(np.abs(np.concatenate(z)) > 1.96) for name, z in null.items()}
    assert rates["ols"] > 0.1
    assert rates["gls"] == pytest.approx(0.05, abs=0.015)
    assert np.mean(power["gls"]) > np.mean(power["mixed"])


def test_pair_models_take_its_weights(case):
    raw, study, _, population, _ = case
    structure = build(study)
    read = centred_reader(reader(raw), study.center)
    model = PairModel.build(study, population, study.traits - 50, read, weigh=structure.network_weights)
    expected = structure.network_weights(study.traits - 50, population.interaction(), study.folds)
    np.testing.assert_array_equal(model.weights, expected)


def test_heldout_samples_take_the_discovery_h(case):
    raw, study, _, _, _ = case
    discovery = build(study)
    again = Structure(
        MemoryStore(raw), np.arange(60), CONTIG, study.traits[:60], study.covariates[:60], h=discovery.h
    )
    np.testing.assert_array_equal(again.h, discovery.h)


def analysis_of(raw, study, forms, f, contig=None):
    """An Analysis over a study in memory, without training."""
    fold_networks = [SimpleNamespace(offset=None, quadratic_form=lambda form=form: form) for form in forms]
    residual = study.traits - np.nanmean(study.traits, axis=0)
    cohort = {
        "variant_contig": SimpleNamespace(values=CONTIG if contig is None else contig),
        "variant_position": SimpleNamespace(values=np.zeros(M, int)),
    }
    return Analysis(
        SimpleNamespace(
            study=study,
            store=study.store,
            read=reader(raw),
            seed=1,
            cohort=cohort,
            fitted=SimpleNamespace(networks=fold_networks, out_of_fold={"network": f}, residual=residual),
        )
    )


def test_an_analysis_takes_it_where_the_population_check_fails(case, monkeypatch, caplog):
    raw, study, forms, _, f = case
    monkeypatch.setattr(components, "STRUCTURED", 1e9)
    analysis = analysis_of(raw, study, forms, f)
    assert analysis.structure is None and analysis.marginal is analysis.ordinary
    first = analysis.ordinary.population_check
    monkeypatch.setattr(components, "STRUCTURED", float(first.mean()))
    # two hundred variants: by its own error neither trait's check would fail
    assert not any(analysis_of(raw, study, forms, f).structured())
    monkeypatch.setattr(components, "CHECK_ERRORS", 0.0)
    analysis = analysis_of(raw, study, forms, f)
    at = np.array(analysis.structured())
    assert at.sum() == 1
    assert np.isfinite(analysis.structure.h).tolist() == at.tolist()
    for found, ordinary in (
        (analysis.marginal, analysis.ordinary),
        (analysis.dominance, analysis._effects(dominance=True)),
    ):
        assert found.structured.tolist() == at.tolist()
        np.testing.assert_array_equal(found.beta[:, ~at], ordinary.beta[:, ~at])
        assert not np.allclose(found.beta[:, at], ordinary.beta[:, at])
        np.testing.assert_array_equal(found.population_check, ordinary.population_check)
    monkeypatch.setattr(effects, "MOST_SAMPLES", 100)
    assert analysis_of(raw, study, forms, f).structure is None
    assert "its 150 samples are more than the 100" in caplog.text


def test_variants_without_a_map_in_one_block_count_as_structured(case, monkeypatch):
    raw, study, forms, _, f = case
    monkeypatch.setattr(components, "STRUCTURED", 1e9)
    one = replace(study, blocks=np.zeros(M, int))
    assert analysis_of(raw, one, forms, f, contig=np.zeros(M, int)).structured() == [True, True]
    assert analysis_of(raw, one, forms, f).structured() == [False, False]
    assert analysis_of(raw, study, forms, f, contig=np.zeros(M, int)).structured() == [False, False]
