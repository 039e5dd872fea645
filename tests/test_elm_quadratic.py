"""The closed-form population against sampling it, and against ordinary least squares."""

import numpy as np
import pytest
from elm_cases import block_genotypes, make_study, random_form

from gp_elm.elm.debiased import centred_reader
from gp_elm.elm.quadratic import QuadraticPopulation
from gp_elm.elm.sampled import SampledPopulation


@pytest.fixture(params=[(1, 0.0), (2, 0.0), (2, 0.1)], ids=["haploid", "diploid", "missing"])
def case(request):
    ploidy, missing = request.param
    rng = np.random.default_rng(5)
    raw, blocks = block_genotypes(rng, 300, [3, 1, 4, 2], ploidy=ploidy, missing=missing)
    study = make_study(rng, raw, blocks, rng.normal(size=(300, 2)))
    forms = [
        random_form(rng, [0, 2, 3, 4, 6, 8]),
        random_form(rng, [1, 3, 5, 7, 9]),
        random_form(rng, range(10)),
    ]
    return rng, raw, study, forms


def population_draw(rng, raw, study, n):
    """Blocks from random members, by hand."""
    x = np.empty((n, raw.shape[1]))
    who = rng.integers(0, raw.shape[0], (n, study.blocks.max() + 1))
    for i in range(raw.shape[1]):
        x[:, i] = raw[who[:, study.blocks[i]], i]
    return x


def test_epistasis_matches_regression_in_a_large_draw(case):
    rng, raw, study, forms = case
    weights = rng.uniform(0.2, 1.0, (3, 2))
    exact = QuadraticPopulation(study, forms).epistasis(weights)
    draw = population_draw(rng, raw, study, 400_000)
    x = np.where(draw < 0, 0.0, draw - study.center)
    f = sum(w * form(x[:, form.columns]) for w, form in zip(weights, forms, strict=True))
    f -= f.mean(0)
    for i, j in [(0, 3), (1, 5), (4, 9), (2, 8)]:
        both = (draw[:, i] >= 0) & (draw[:, j] >= 0)
        design = np.column_stack([np.ones(both.sum()), x[both, i], x[both, j], x[both, i] * x[both, j]])
        coefficient, residual, *_ = np.linalg.lstsq(design, f[both], rcond=None)
        error = np.sqrt(residual / both.sum() * np.linalg.inv(design.T @ design)[3, 3])
        found = np.array([exact.pairs(np.array([i]), np.array([j]), t)[0] for t in range(2)])
        assert np.all(np.abs(found - coefficient[3]) < 4.5 * error)


def test_tile_equals_pairs(case):
    rng, _, study, forms = case
    exact = QuadraticPopulation(study, forms).epistasis(np.ones((3, 2)))
    tile = exact.tile(1, 6, 4, 10)
    i, j = np.meshgrid(np.arange(1, 6), np.arange(4, 10), indexing="ij")
    listed = np.stack([exact.pairs(i.ravel(), j.ravel(), t) for t in range(2)]).reshape(tile.shape)
    same_block = study.blocks[1:6, None] == study.blocks[None, 4:10]
    assert np.isnan(tile[:, same_block]).all()
    np.testing.assert_allclose(tile[:, ~same_block], listed[:, ~same_block], rtol=1e-4, atol=1e-5)


def test_interaction_has_no_additive_part_in_the_population(case):
    rng, raw, study, forms = case
    population = QuadraticPopulation(study, forms)
    draw = population_draw(rng, raw, study, 200_000)
    x = np.where(draw < 0, 0.0, draw - study.center)
    for k, form in enumerate(forms):
        coefficients, constant = population._projection[k]
        quadratic = ((x[:, form.columns] @ form.u.T) * (x[:, form.columns] @ form.v.T)) @ form.output.T
        rest = quadratic - x @ coefficients.T - constant
        z = np.abs(np.corrcoef(np.column_stack([x, rest]), rowvar=False)[:10, 10:]) * np.sqrt(len(x))
        assert z.max() < 5
        assert np.all(np.abs(rest.mean(0)) < 5 * rest.std(0) / np.sqrt(len(x)))


def test_out_of_fold_interaction_uses_each_samples_own_fold(case):
    _, raw, study, forms = case
    population = QuadraticPopulation(study, forms)
    x = np.where(raw < 0, 0.0, raw - study.center)
    found = population.interaction()
    for k, form in enumerate(forms):
        rows = study.folds == k
        coefficients, _ = population._projection[k]
        z = x[rows]
        rest = ((z[:, form.columns] @ form.u.T) * (z[:, form.columns] @ form.v.T)) @ form.output.T
        rest -= z @ coefficients.T
        np.testing.assert_allclose(found[rows], rest - rest.mean(0), atol=1e-4)


def test_blocks_add_up_to_the_prediction_of_an_additive_network(case):
    _, raw, study, forms = case
    for form in forms:
        form.output[:] = 0.0
    population = QuadraticPopulation(study, forms)
    x = np.where(raw < 0, 0.0, raw - study.center)
    whole = np.empty((300, 2))
    for k, form in enumerate(forms):
        rows = study.folds == k
        whole[rows] = form(x[rows][:, form.columns])
    parts = sum(population.block_part(b) for b in population.blocks_with_columns())
    np.testing.assert_allclose(parts, whole, atol=1e-4)
    assert np.all(population.interaction() == 0)


def test_sampled_population_agrees_with_the_closed_form(case):
    rng, raw, study, forms = case
    weights = np.full((3, 2), 1 / 3)
    exact = QuadraticPopulation(study, forms).epistasis(weights)
    read = centred_reader(lambda a, b: raw[:, a:b], study.center)
    sampled = SampledPopulation(
        study, [f.columns for f in forms], [lambda x, f=f: f(x) for f in forms], None, n=60_000, seed=3
    )
    drawn = sampled.epistasis(weights, read)
    i, j = np.array([0, 1, 4, 2]), np.array([3, 5, 9, 8])
    spread = np.sqrt(drawn.variance() / (study.store.moments(study.rows)[2][[0, 1, 4, 2]] ** 2)[:, None])
    spread /= study.store.moments(study.rows)[2][[3, 5, 9, 8]][:, None]
    difference = np.stack([drawn.pairs(i, j, t) - exact.pairs(i, j, t) for t in range(2)], axis=1)
    # Missing calls leave the drawn regressions with fewer samples than the closed form's moments.
    assert np.all(np.abs(difference) < 6 * spread)
    np.testing.assert_allclose(
        drawn.tile(0, 3, 3, 6)[:, 0, 0],
        [drawn.pairs(i[:1], j[:1], t)[0] for t in range(2)],
        rtol=1e-3,
        atol=1e-5,
    )
    exact_part, drawn_part = QuadraticPopulation(study, forms).interaction(), sampled.interaction()
    for t in range(2):
        assert np.corrcoef(exact_part[:, t], drawn_part[:, t])[0, 1] > 0.998
