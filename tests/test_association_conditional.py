"""Pairs given their LD neighbourhoods: against statsmodels, and on phantoms of untyped variants."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from gp_elm.association import conditional
from gp_elm.association.conditional import conditional_pairs
from gp_elm.association.interaction import interaction_pairs
from gp_elm.association.neighbourhoods import Neighbourhoods, adjacent_blocks, joint_tagging
from gp_elm.errors import InputError
from gp_elm.genotypes.ld import pair_ld_r2


def chain(n: int, m: int, *, keep: float, seed: int, ploidy: int = 1) -> np.ndarray:
    """A chromosome of a cross: each locus repeats the last with probability `keep`, else draws anew; (n, m)."""
    rng = np.random.default_rng(seed)
    haplotypes = rng.integers(0, 2, (ploidy, n, m))
    same = rng.random((ploidy, n, m)) < keep
    for k in range(1, m):
        haplotypes[:, :, k] = np.where(same[:, :, k], haplotypes[:, :, k - 1], haplotypes[:, :, k])
    return haplotypes.sum(axis=0).astype(float)


def p_of(fits: tuple[np.ndarray, ...]) -> np.ndarray:
    return 2 * stats.t.sf(np.abs(fits[0] / fits[1]), fits[2])


@pytest.mark.parametrize("ploidy", [1, 2])
def test_agrees_with_one_regression_on_all_columns(ploidy: int) -> None:
    rng = np.random.default_rng(1)
    n = 400
    g = chain(n, 12, keep=0.6, seed=1, ploidy=ploidy)
    covariates = rng.normal(size=(n, 2)) * [1, 1e4]
    response = rng.normal(size=(n, 3)) + g[:, [2]] * g[:, [8]] + covariates[:, :1]
    response[rng.random(n) < 0.1, 1] = np.nan
    g[rng.random(n) < 0.05, 2] = np.nan
    g[rng.random(n) < 0.3, 8] = np.nan
    near = {2: np.array([1, 3]), 8: np.array([9, 7, 10]), 5: np.array([], dtype=np.int64)}
    fits = conditional_pairs(
        np.array([2, 5]), np.array([8, 2]), response, covariates, lambda v: g[:, v], near.__getitem__
    )
    for p, (i, j) in enumerate([(2, 8), (5, 2)]):
        for t in range(3):
            columns = [g[:, i], g[:, j], *g[:, near[i]].T, *g[:, near[j]].T, g[:, i] * g[:, j]]
            x = sm.add_constant(np.column_stack([covariates, *columns]))
            known = np.isfinite(x).all(axis=1) & np.isfinite(response[:, t])
            expected = sm.OLS(response[known, t], x[known]).fit()
            assert np.isclose(fits.beta[p, t], expected.params[-1])
            assert np.isclose(fits.standard_error[p, t], expected.bse[-1])
            assert fits.df[p, t] == expected.df_resid


def test_copies_of_a_locus_cost_no_degree_of_freedom() -> None:
    rng = np.random.default_rng(2)
    g = chain(300, 6, keep=0.5, seed=2)
    g = np.column_stack([g, g[:, 0], 1 - g[:, 0], g[:, 5]])
    y = rng.normal(size=(300, 1))
    near = {0: np.array([6, 7, 1]), 5: np.array([8, 1])}
    fits = conditional_pairs(np.array([0]), np.array([5]), y, None, lambda v: g[:, v], near.__getitem__)
    # intercept, two loci, their one neighbour, product
    assert fits.df[0, 0] == 300 - 5
    assert np.isfinite(fits.beta).all()
    assert np.isnan(
        conditional_pairs(
            np.array([0]), np.array([6]), y, None, lambda v: g[:, v], lambda _: np.array([1])
        ).beta
    ).all()


def test_batches_of_loci_and_of_variants_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    g = chain(300, 20, keep=0.8, seed=5, ploidy=2)
    g[rng.random(g.shape) < 0.02] = np.nan
    y = rng.normal(size=(300, 2))
    i, j = np.array([12, 0, 5, 3, 0]), np.array([1, 19, 15, 10, 9])
    near = Neighbourhoods(lambda v: g[:, v], np.zeros(20, dtype=np.int64), 0.02)
    whole = conditional_pairs(i, j, y, None, lambda v: g[:, v], near)
    monkeypatch.setattr(conditional, "_BYTES", 1)
    monkeypatch.setattr(conditional, "_CHUNK", 1)
    for found, expected in zip(conditional_pairs(i, j, y, None, lambda v: g[:, v], near), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("n", [4, 30, 100])
def test_few_samples_and_uncalled_loci(n: int) -> None:
    rng = np.random.default_rng(3)
    g = chain(n, 6, keep=0.5, seed=3)
    g[:, 1] = np.nan
    g[: n // 2, 2] = np.nan
    g[n // 2 :, 3] = np.nan
    fits = conditional_pairs(
        np.array([0, 0, 2, 0, 4]),
        np.array([1, 5, 3, 0, 0]),
        rng.normal(size=(n, 1)),
        None,
        lambda v: g[:, v],
        lambda _: np.array([], dtype=np.int64),
    )
    # Not called, fine, never called together, itself, fine; four samples have no degree of freedom left.
    assert np.isfinite(fits.beta[:, 0]).tolist() == [False, n > 4, False, False, n > 4]
    assert np.isfinite(fits.standard_error[:, 0]).tolist() == [False, n > 4, False, False, n > 4]
    assert n == 4 or fits.df[1, 0] == n - 4


def test_what_only_samples_without_a_call_have_costs_no_degree_of_freedom() -> None:
    rng = np.random.default_rng(4)
    n = 200
    g = chain(n, 2, keep=0.5, seed=4)
    g[:10, 0] = np.nan
    covariates = np.column_stack([np.arange(n) < 10, rng.normal(size=n)]).astype(float)
    y = rng.normal(size=(n, 1)) + 50 * covariates[:, :1]
    none = np.array([], dtype=np.int64)
    fits = conditional_pairs(np.array([0]), np.array([1]), y, covariates, lambda v: g[:, v], lambda _: none)
    expected = interaction_pairs(g[10:, [0]], g[10:, [1]], y[10:], covariates[10:, 1:])
    assert np.isclose(fits.beta[0, 0], expected.beta[0, 0])
    assert np.isclose(fits.standard_error[0, 0], expected.standard_error[0, 0])
    assert fits.df[0, 0] == expected.df[0, 0] == 190 - 5


def test_neighbours_are_those_in_ld_in_the_block_strongest_first() -> None:
    g = np.column_stack([chain(2000, 6, keep=0.7, seed=3), chain(2000, 3, keep=0.9, seed=4)])
    blocks = np.repeat([0, 1], [6, 3])
    near = Neighbourhoods(lambda v: g[:, v], blocks, 0.1)
    r2 = np.corrcoef(g.T)[2] ** 2
    expected = [k for k in np.argsort(-r2) if k != 2 and blocks[k] == 0 and r2[k] > 0.1]
    assert near(2).tolist() == expected
    assert set(near(7)) == {6, 8}


def test_weakest_step_is_the_bottleneck_of_the_way_between() -> None:
    g = chain(3000, 12, keep=0.95, seed=5)
    bad = np.random.default_rng(5).integers(0, 2, 3000).astype(float)
    g[:, 6] = bad  # one useless variant can be skipped
    near = Neighbourhoods(lambda v: g[:, v], np.repeat([0, 1], [11, 1]), 0.02)
    found = near.weakest_step(np.array([10, 0, 0]), np.array([0, 6, 11]))
    r2 = np.corrcoef(g.T) ** 2
    steps = [r2[k, k + 1] for k in (0, 1, 2, 3, 4, 7, 8, 9)] + [r2[5, 7]]
    assert np.isclose(found[0], min(steps), atol=1e-5)
    assert found[1] < 0.05 and np.isnan(found[2])


def plain_fits(
    g: np.ndarray, i: np.ndarray, j: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    found = interaction_pairs(g[:, i], g[:, j], y[:, None])
    return found.beta, found.standard_error, found.df


def phantom(seed: int, ploidy: int) -> tuple[bool, bool]:
    """Whether any pair of tags around one untyped causal variant is significant, and whether unflagged too."""
    rng = np.random.default_rng(seed)
    n, founders, m = 2000, 10, 7
    while True:
        haplotypes = rng.integers(0, 2, (founders, m))
        share = rng.dirichlet(np.full(founders, 3.0))
        x = haplotypes - share @ haplotypes
        covariance = (x * share[:, None]).T @ x
        spread = np.diag(covariance)
        if spread.min() > 0.08 and np.sort(covariance[3] ** 2 / (spread * spread[3]))[-3] > 0.2:
            break
    g = haplotypes[rng.choice(founders, (ploidy, n), p=share)].sum(axis=0).astype(float)
    causal = g[:, 3] / g[:, 3].std()
    y = np.sqrt(0.4) * causal + np.sqrt(0.6) * rng.normal(size=n)
    g = np.delete(g, 3, axis=1)
    i, j = np.triu_indices(m - 1, 1)
    blocks = np.zeros(m - 1, dtype=np.int64)
    near = Neighbourhoods(lambda v: g[:, v], blocks, 0.02)
    plain = p_of(plain_fits(g, i, j, y))
    conditional = p_of(conditional_pairs(i, j, y[:, None], None, lambda v: g[:, v], near))[:, 0]
    flagged = joint_tagging(
        i, j, blocks, pair_ld_r2(g[:, i], g[:, j]), near.weakest_step(i, j), conditional, 1e-3
    )
    significant = plain[:, 0] < 0.05 / i.size
    return bool(significant.any()), bool((significant & ~flagged).any())


@pytest.mark.parametrize("ploidy", [1, 2])
def test_phantoms_of_an_untyped_variant_are_flagged(ploidy: int) -> None:
    found = np.array([phantom(seed, ploidy) for seed in range(25)])
    assert found[:, 0].sum() > 12
    assert not found[:, 1].any()


def test_true_pairs_stay_unflagged_across_blocks_and_along_a_cross() -> None:
    rng = np.random.default_rng(7)
    n, m = 2000, 120
    g = np.column_stack([chain(n, m, keep=0.97, seed=8), chain(n, m, keep=0.97, seed=9)])
    blocks = np.repeat([0, 1], m)
    i, j = np.array([20, 20, 20]), np.array([90, 160, 22])
    y = rng.normal(size=(n, 1)) + 0.9 * g[:, [20]] * g[:, [90]] + 0.9 * g[:, [20]] * g[:, [160]]
    near = Neighbourhoods(lambda v: g[:, v], blocks, 0.02)
    p = p_of(conditional_pairs(i, j, y, None, lambda v: g[:, v], near))[:, 0]
    assert (p[:2] < 1e-3).all()
    ld, step = pair_ld_r2(g[:, i], g[:, j]), near.weakest_step(i, j)
    assert joint_tagging(i, j, blocks, ld, step, p, 1e-3).tolist() == [False, False, True]
    assert joint_tagging(i, j, blocks, ld, step, np.ones(3), 1e-3).tolist() == [True, False, True]


def test_shapes_are_checked() -> None:
    with pytest.raises(InputError, match=r"shapes \(2,\) and \(1,\)"):
        conditional_pairs(
            np.array([1, 2]),
            np.array([1]),
            np.zeros((5, 1)),
            None,
            lambda v: np.zeros((5, v.size)),
            lambda _: _,
        )


def test_neighbouring_blocks_of_a_chromosome_may_share_an_untyped_variant():
    blocks = np.array([0, 0, 1, 2, 3, 9, 9])
    contig = np.array([0, 0, 0, 0, 1, 1, 1])
    position = np.array([5, 7, 9, 20, 3, 0, 0])
    i = np.array([0, 1, 0, 2, 3, 4, 0])
    j = np.array([1, 2, 3, 3, 4, 5, 2])
    found = adjacent_blocks(i, j, blocks, contig, position)
    # within one block; next to it; one block between; next; across chromosomes; unplaced; next
    assert found.tolist() == [False, True, False, True, False, False, True]
