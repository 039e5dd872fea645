"""The heredity prior: weights, weighted q-values and ranks against brute force, and the choice of the exponent."""

from types import SimpleNamespace

import numpy as np
import pytest
from elm_cases import block_genotypes, make_study, reader
from scipy import stats

from gp_elm.association.sweep_summary import ColumnSweep, TopPairs, VariantPairs
from gp_elm.elm.debiased import centred_reader
from gp_elm.elm.pair_ranks import sweep_q_values
from gp_elm.elm.prior import HeredityPrior
from gp_elm.elm.prior_exponent import choose_exponent, independent_pairs
from gp_elm.elm.prior_strength import locus_strength
from gp_elm.kernels.topk import N_BINS

DF = 10_000


def sweep_of(i, j, z, kept):
    """A sweep over pairs that kept the strongest."""
    order = np.argsort(-np.abs(z), kind="stable")[:kept]
    empty = VariantPairs(*(np.empty(0) for _ in range(4)))
    top = TopPairs(i[order], j[order], z[order], np.ones(order.size))
    return ColumnSweep(top, empty, np.zeros(N_BINS, np.int64), z.size, 0, 0.0, 0, DF, DF + 4)


def independent_study(rng, m, n=300):
    raw, blocks = block_genotypes(rng, n, [1] * m)
    return make_study(rng, raw, blocks, rng.normal(size=(n, 1)))


def test_weights_have_mean_one_over_pairs_of_varying_loci_across_blocks():
    rng = np.random.default_rng(1)
    blocks = np.array([0, 0, 0, 1, 2, 2, 3, 3, 3, 3])
    strength = rng.uniform(0.1, 2.0, size=(2, 10))
    strength[:, 4] = 0.0
    prior = HeredityPrior(strength, blocks, 1.5)
    i, j = np.triu_indices(10, 1)
    across = blocks[i] != blocks[j]
    for trait in range(2):
        weight = np.exp(prior.log_weight(trait, i, j))
        varying = across & (i != 4) & (j != 4)
        assert weight[varying].mean() == pytest.approx(1.0)
        assert np.all(weight[~across] == 1.0)
        raw = (strength[trait, i] * strength[trait, j]) ** 1.5
        np.testing.assert_allclose(weight[varying] / raw[varying], weight[varying][0] / raw[varying][0])
        assert np.all(weight[across & ~varying] == 0)


def test_no_exponent_leaves_q_values_and_ranks_as_they_are():
    rng = np.random.default_rng(9)
    m = 40
    i, j = np.triu_indices(m, 1)
    strength = np.where(np.arange(m) < 12, 0.0, rng.uniform(0.2, 1.0, m))[None, :]
    tested = (i >= 12) & (j >= 12)
    z = rng.normal(size=i.size) * 2
    p = np.where(tested, 2 * stats.t.sf(np.abs(z), DF), np.nan) * rng.uniform(1, 1.2, i.size)
    sweep = sweep_of(i[tested], j[tested], z[tested], 200)
    found = HeredityPrior(strength, np.arange(m) // 3, 0.0).q_values(0, sweep, i, j, p)
    for got, expected in zip(found, sweep_q_values(sweep, i, j, p, m), strict=True):
        np.testing.assert_array_equal(got, expected)
    # Equal strengths are no prior at any exponent, whatever else does not vary.
    sweep = sweep_of(i[tested], j[tested], z[tested], tested.sum())
    p = 2 * stats.t.sf(np.abs(z), DF)
    equal = HeredityPrior((strength > 0) * 0.3, np.arange(m) // 3, 2.0)
    q, _ = equal.q_values(0, sweep, i[tested], j[tested], p[tested])
    np.testing.assert_allclose(q, stats.false_discovery_control(p[tested]))


def test_degenerate_pairs_never_make_q_values_smaller():
    """The weights of the pairs tested add up to their number at most, as Benjamini-Hochberg on p / weight asks."""
    rng = np.random.default_rng(10)
    m = 40
    i, j = np.triu_indices(m, 1)
    strength = np.where(np.arange(m) < 20, 0.1, rng.uniform(0.2, 1.0, m))[None, :]
    tested = (i >= 20) | (j >= 20)  # the pairs of weak loci, such as rare ones, are degenerate
    z = np.where(tested, rng.normal(size=i.size), 0.0)
    prior = HeredityPrior(strength, np.arange(m), 2.0)
    p = 2 * stats.t.sf(np.abs(z), DF)
    i, j, z, p = i[tested], j[tested], z[tested], p[tested]
    weight = np.exp(prior.log_weight(0, i, j))
    assert weight.mean() > 1.2
    q, _ = prior.q_values(0, sweep_of(i, j, z, z.size), i, j, p)
    ratio = np.minimum(p / weight * weight.mean(), 1.0)
    np.testing.assert_allclose(q, stats.false_discovery_control(ratio), rtol=1e-8)


def test_a_weighted_q_value_is_no_smaller_than_the_exact_p_over_the_weight():
    rng = np.random.default_rng(11)
    m = 30
    i, j = np.triu_indices(m, 1)
    z = rng.normal(size=i.size)
    z[0] = 12.0
    prior = HeredityPrior(rng.uniform(0.2, 1.0, size=(1, m)), np.arange(m), 2.0)
    p = np.full(i.size, 0.02)  # exact p-values, without the missing calls that made the sweep's so small
    q, _ = prior.q_values(0, sweep_of(i, j, z, i.size), i, j, p)
    assert np.all(q >= np.minimum(p / np.exp(prior.log_weight(0, i, j)), 1.0) * (1 - 1e-12))


def test_weighted_q_values_are_benjamini_hochberg_on_p_over_weight():
    rng = np.random.default_rng(2)
    m = 30
    i, j = np.triu_indices(m, 1)
    z = rng.normal(size=i.size)
    z[:20] += 4
    prior = HeredityPrior(rng.uniform(0.2, 1.0, size=(1, m)), np.arange(m) // 3, 2.0)
    sweep = sweep_of(i, j, z, i.size)
    p = 2 * stats.t.sf(np.abs(z), DF)
    ratio = p / np.exp(prior.log_weight(0, i, j))
    q, rank = prior.q_values(0, sweep, i, j, p)
    expected = stats.false_discovery_control(np.minimum(ratio, 1.0))
    np.testing.assert_allclose(q, expected, rtol=1e-8)
    np.testing.assert_array_equal(rank, stats.rankdata(ratio, method="ordinal"))


def test_a_rank_that_a_pair_not_kept_could_undercut_is_unknown():
    rng = np.random.default_rng(3)
    m = 60
    i, j = np.triu_indices(m, 1)
    z = rng.normal(size=i.size) * 1.5
    prior = HeredityPrior(rng.uniform(0.2, 1.0, size=(1, m)), np.arange(m) // 4, 2.0)
    p = 2 * stats.t.sf(np.abs(z), DF)
    ratio = p / np.exp(prior.log_weight(0, i, j))
    truth = stats.rankdata(ratio, method="ordinal")
    full_q, _ = prior.q_values(0, sweep_of(i, j, z, i.size), i, j, p)
    sweep = sweep_of(i, j, z, 400)
    q, rank = prior.q_values(0, sweep, i, j, p)
    known = rank > 0
    assert 10 < known.sum() < 400
    np.testing.assert_array_equal(rank[known], truth[known])
    assert np.all(q >= full_q * (1 - 1e-9))
    # The bound is sharp: the first unknown ratio could have been undercut by what the cut leaves open.
    first = ratio[~known].min()
    weight = np.exp(prior.log_weight(0, i, j))
    kept = np.zeros(i.size, bool)
    kept[np.argsort(-np.abs(z), kind="stable")[:400]] = True
    assert np.any(p[kept].max() / weight[~kept] < first)


def test_a_peak_is_one_pair():
    rng = np.random.default_rng(4)
    raw, blocks = block_genotypes(rng, 400, [8, 8, 8])
    study = make_study(rng, raw, blocks, rng.normal(size=(400, 1)))
    i, j = np.triu_indices(24, 1)
    order = rng.permutation(i.size)
    i, j = i[order], j[order]
    kept = independent_pairs(study, i, j)
    r2 = np.corrcoef(raw.T) ** 2 * (blocks[:, None] == blocks[None, :])
    same = r2[np.ix_(i, i)] * r2[np.ix_(j, j)] > 0.1
    assert not np.any(np.triu(same[np.ix_(kept, kept)], 1))
    for k in set(range(i.size)) - set(kept.tolist()):
        assert same[k, kept[kept < k]].any()


@pytest.mark.parametrize("kept", [2_000, 19_900])
def test_the_exponent_is_found_where_there_is_heredity(kept):
    rng = np.random.default_rng(5)
    m = 200
    study = independent_study(rng, m)
    i, j = np.triu_indices(m, 1)
    strength = np.exp(rng.normal(size=(1, m)))
    weight = np.exp(HeredityPrior(strength, study.blocks, 1.5).log_weight(0, i, j))
    with_effect = rng.random(i.size) < 0.01 * weight
    z = rng.normal(size=i.size) * np.where(with_effect, 5.0, 1.0)
    exponent = choose_exponent(study, strength, [sweep_of(i, j, z, kept)])
    assert 1.0 <= exponent <= 2.0
    assert choose_exponent(study, rng.permuted(strength, axis=1), [sweep_of(i, j, z, kept)]) == 0.0
    assert choose_exponent(study, strength, [None]) == 0.0


def test_under_the_null_the_exponent_is_zero_and_nothing_is_found():
    rng = np.random.default_rng(6)
    m, found, exponents = 80, 0, []
    study = independent_study(rng, m)
    i, j = np.triu_indices(m, 1)
    for _ in range(12):
        strength = np.exp(rng.normal(size=(1, m)))
        z = rng.normal(size=i.size)
        sweep = sweep_of(i, j, z, 1000)
        exponents.append(choose_exponent(study, strength, [sweep]))
        prior = HeredityPrior(strength, study.blocks, 2.0)
        q, _ = prior.q_values(0, sweep, i, j, 2 * stats.t.sf(np.abs(z), DF))
        found += (q <= 0.05).any()
    assert np.mean(np.array(exponents) == 0) >= 0.9
    assert found <= 2


def test_strength_is_the_largest_effect_that_a_variant_tags():
    rng = np.random.default_rng(7)
    raw, blocks = block_genotypes(rng, 500, [4, 3, 1])
    raw[:, 7] = 1
    study = make_study(rng, raw, blocks, rng.normal(size=(500, 2)))
    folds = []
    for _ in range(3):
        coefficients = np.zeros((2, 8))
        coefficients[0, [1, 3]], coefficients[1, 5] = rng.normal(size=2), 0.7
        folds.append(SimpleNamespace(coefficients=coefficients, penalty=np.array([0.02, 0.04])))
    sd = np.array([2.0, 1.0])
    found = locus_strength(study, folds, sd, centred_reader(reader(raw), study.center))
    r = np.abs(np.corrcoef(raw[:, :7].T))
    for trait in range(2):
        for v in range(7):
            tagged = []
            for fold in folds:
                standard = np.abs(fold.coefficients[trait, :7]) * raw[:, :7].std(0) / sd[trait]
                tagged.append((r[v] * standard * (blocks[:7] == blocks[v])).max())
            floor = folds[0].penalty[trait] / sd[trait]
            assert found[trait, v] == pytest.approx(np.mean(tagged) + floor, rel=1e-4)
    assert np.all(found[:, 7] == 0)


def test_without_any_main_effect_all_loci_are_equal():
    rng = np.random.default_rng(8)
    study = independent_study(rng, 5)
    empty = SimpleNamespace(coefficients=np.zeros((1, 5)), penalty=np.array([np.nan]))
    read = centred_reader(lambda start, stop: study.store.raw[:, start:stop], study.center)
    np.testing.assert_array_equal(locus_strength(study, [empty], np.ones(1), read), 1.0)
