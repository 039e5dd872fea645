"""Does the effect of a locus depend on any other locus? Every pair of it, summed up to one p-value (METHOD 5).

The sum of the locus's squared debiased pair statistics has the power for many weak partners, the smallest p-value over
its partners that for one strong one; the Cauchy combination joins the two. Partners in the locus's own LD block do not
count: two tags of one untyped variant interact for no other reason than that. A cohort that is one block has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gp_elm.association.complete import orthonormal_basis
from gp_elm.association.inflation import p_value
from gp_elm.association.pair_sweep import pair_sweep
from gp_elm.association.sweep_summary import ColumnSweep, VariantPairs
from gp_elm.elm.context_null import central_moments, product_eigenvalues
from gp_elm.elm.mixture import cauchy_combination, gamma_p_value, ratio_p_value
from gp_elm.elm.pair_evidence import PairModel, relative_noise
from gp_elm.elm.study import Floats
from gp_elm.genotypes.ld import ReadBlock
from gp_elm.predictors.covariates import missing_patterns

Ints = NDArray[np.int64]
Singles = NDArray[np.float32]
EXACT_WORK = 2e11
"""Products of the exact null (n m^3 for each pattern of missing traits) up to which it is taken."""
EXACT_SAMPLES = 20_000
"""Samples from which the exact null is taken; more change the correlations of products by less than 1 %."""
MOMENT_SAMPLES = 4000
"""Samples from which the null's moments are taken where loci are many."""
NULL_MAXIMA = 6000
"""Loci times null traits from which the effective number of partners is taken."""
LEVEL = 0.05


@dataclass(frozen=True)
class _Partners:
    """The pairs of every locus with the other blocks: sums by trait, and what null traits say of the partners."""

    variants: list[VariantPairs]
    df: list[int]
    tested: Floats  # (m,) partners of each locus
    effective: float  # share of the partners that counts as independent tests, at most 1


def context_p_values(
    model: PairModel,
    sweeps: list[ColumnSweep] | None,
    read_block: ReadBlock,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Floats:
    """Test every locus for an interaction with any locus of another LD block.

    Parameters
    ----------
    model : PairModel
        Responses and population effects of the debiased pairs.
    sweeps : list of ColumnSweep or None
        All debiased pairs, one entry a trait; None where they were not all swept.
    read_block : callable
        Centred dosages of the discovery samples, missing as 0.
    seed : int
        Seed of the null traits and the probes.
    progress : callable, optional
        Told of pairs done and pairs in all.

    Returns
    -------
    (m, T) float
        p-values; NaN without sweeps, and for a locus with no partner to test (monomorphic ones among them).

    Notes
    -----
    The sum of z^2 is a ratio of quadratic forms ``N y'Ay / y'y``, A = R R' with R the normalised products, each
    less its projection on both loci and the covariates. Few loci: its p-value from the eigenvalues of R'R. Many:
    from three moments, by Hutchinson's estimator on at most 4,000 samples, set to each trait's own number of
    samples; there products are normalised together, which blocks in equilibrium allow. The smallest p-value is
    Sidak-corrected for the effective number of partners, taken from the smallest p-values of simulated null traits
    at their 5 % quantile.
    """
    m, n_traits = model.study.center.size, model.rest.shape[1]
    out = np.full((m, n_traits), np.nan)
    if sweeps is None or m < 2:
        return out
    rng = np.random.default_rng([seed, 50_021])
    partners = _partners(model, sweeps, read_block, rng, progress)
    total = _sum_p_values(model, partners, read_block, rng)
    for t, found in enumerate(partners.variants):
        with np.errstate(divide="ignore", invalid="ignore"):
            smallest = p_value(found.beta / found.standard_error, partners.df[t])
        # 1 - (1 - p)^k without cancellation
        with np.errstate(divide="ignore"):
            sidak = -np.expm1(np.maximum(partners.tested * partners.effective, 1.0) * np.log1p(-smallest))
        out[:, t] = cauchy_combination(np.column_stack([total[:, t], sidak]))
    return out


def _partners(
    model: PairModel,
    sweeps: list[ColumnSweep],
    read_block: ReadBlock,
    rng: np.random.Generator,
    progress: Callable[[int, int], None] | None,
) -> _Partners:
    """Sweep the pairs across blocks: null traits, and the responses where the given sweeps hold other pairs too."""
    blocks, m = model.study.blocks, model.study.center.size
    apart = np.unique(blocks).size == m
    n_own = 0 if apart else len(sweeps)
    n_null = int(np.clip(NULL_MAXIMA // m, 4, 64))
    used = np.asarray(np.isfinite(model.response).any(axis=1))
    null = np.where(used[:, None], rng.standard_normal((used.size, n_null)), np.nan)
    tested = np.zeros(m)

    def shift(i0: int, i1: int, j0: int, j1: int) -> Singles:
        inside = blocks[i0:i1, None] == blocks[None, j0:j1]
        parts = np.zeros((n_own + n_null, i1 - i0, j1 - j0), np.float32)
        if n_own:
            parts[:n_own] = model.epistasis.tile(i0, i1, j0, j1)
        parts[:, inside] = np.nan
        return parts

    def count(i0: int, i1: int, j0: int, j1: int, beta: np.ndarray, _: np.ndarray) -> None:
        known = np.isfinite(beta[n_own])
        tested[i0:i1] += known.sum(1)
        tested[j0:j1] += known.sum(0)

    swept = pair_sweep(
        read_block,
        m,
        null if apart else np.hstack([model.response, null]),
        model.study.covariates,
        top=1,
        shift=shift,
        variance_factor=np.r_[1.0 + relative_noise(model)[:n_own], np.ones(n_null)].tolist(),
        on_tile=count,
        progress=progress,
    )
    lowest = []
    for column in swept[n_own:]:
        with np.errstate(divide="ignore", invalid="ignore"):
            p = p_value(column.variants.beta / column.variants.standard_error, column.df)
        lowest.append(-tested * np.log1p(-p))
    lowest_p = np.concatenate(lowest)
    lowest_p = lowest_p[np.isfinite(lowest_p)]
    effective = -np.log1p(-LEVEL) / np.quantile(lowest_p, LEVEL) if lowest_p.size else 1.0
    own = sweeps if apart else swept[:n_own]
    return _Partners([s.variants for s in own], [s.df for s in own], tested, float(min(effective, 1.0)))


def _sum_p_values(
    model: PairModel, partners: _Partners, read_block: ReadBlock, rng: np.random.Generator
) -> Floats:
    """p-values of the sums of z^2, (m, T)."""
    study = model.study
    m, n_traits = study.center.size, len(partners.variants)
    shared = np.zeros((study.rows.size, 0)) if study.covariates is None else study.covariates
    complete = np.asarray(np.isfinite(shared).all(axis=1))
    patterns = missing_patterns(np.isfinite(model.response) & complete[:, None])
    out = np.full((m, n_traits), np.nan)
    df = np.asarray(partners.df, float)
    # z^2 has mean df / (df - 2), the ratio's share 1
    total = np.column_stack([v.sum_z2 for v in partners.variants]) * (1 - 2 / np.maximum(df, 3))
    if len(patterns) * float(study.rows.size) * m**3 <= EXACT_WORK:
        for pattern, columns in patterns:
            rows = _some(np.flatnonzero(pattern), EXACT_SAMPLES, rng)
            x = read_block(0, m)[rows].astype(np.float64)
            for i in np.flatnonzero(partners.tested > 0):
                others = np.flatnonzero(study.blocks != study.blocks[i])
                eigenvalues = product_eigenvalues(x, int(i), others, _basis(study.covariates, rows))
                if eigenvalues.size:
                    for t in columns:
                        out[i, t] = ratio_p_value(eigenvalues, df[t] + 1, float(total[i, t]))
        return out
    measured = np.isfinite(model.response) & complete[:, None]
    rows = _some(np.flatnonzero(measured.any(1)), MOMENT_SAMPLES, rng)
    n_measured = np.maximum(measured.sum(0), 1.0)
    second, third = central_moments(
        read_block, rows, n_measured, _basis(study.covariates, rows), study.blocks, partners.tested, rng
    )
    n = df[None, :] + 1
    variance = 2 * n / (n + 2) * second
    skewed = 8 * n**2 / ((n + 2) * (n + 4)) * third
    mean = np.broadcast_to(partners.tested[:, None], total.shape)
    return np.where(mean > 0, gamma_p_value(total, mean, variance, skewed), np.nan)


def _some(rows: Ints, most: int, rng: np.random.Generator) -> Ints:
    return rows if rows.size <= most else np.sort(rng.choice(rows, most, replace=False))


def _basis(covariates: Floats | None, rows: Ints) -> Floats:
    inside = None if covariates is None else covariates[rows]
    return orthonormal_basis(inside, np.ones(rows.size, bool))
