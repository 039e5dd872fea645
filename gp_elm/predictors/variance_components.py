"""Genetic variance components of every trait: REML by average information, Haseman-Elston where samples are many.

Model: y = covariates + sum_k u_k + e, Var(u_k) = s_k G_k, Var(e) = s_e I. Each G_k comes from :func:`genetic_kernels`,
centred and with a mean diagonal of 1, so that s_k is the variance, in the trait's squared units, which its term is
expected to give the samples at hand.

Sources: Gilmour, Thompson and Cullis 1995 (average information); Yang et al. 2011 (GCTA); Henderson 1985 and Bloom et
al. 2015 (K o K); Haseman and Elston 1972 in the form of a regression of all products of residuals (Zhou 2017).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gp_elm.errors import InputError
from gp_elm.genotypes.relatedness import relatedness_matrix
from gp_elm.predictors.reml import Moments, problems, reml
from gp_elm.streaming.products import row_blocks
from gp_elm.streaming.store import Store

logger = logging.getLogger(__name__)
Floats = NDArray[np.float64]

REML_SAMPLES = 6000
"""Most samples for which a likelihood is maximised (each step costs n^3 operations)."""
KERNEL_BYTES = 640_000_000
"""Bytes of all kernels and of the likelihood's own matrix; of samples with larger ones, whole groups are drawn."""
_ROWS = 1024
LEAST_DOMINANCE = 1e-3
"""Variance of [g = 1] beyond g below which a variant has no part in the dominance kernel."""


@dataclass(frozen=True, eq=False)
class VarianceComponents:
    """Variance components of T traits; the last of the c components is the residual.

    Attributes
    ----------
    names : tuple of str
        The kernels' names, then ``residual``.
    estimates, standard_errors : (T, c) float
        In the trait's squared units; NaN where a trait has too few samples or no variance.
    at_boundary : (T, c) bool
        Components that the likelihood would make negative: their estimate is 0, and their error, with that of the
        others, the one of a model which has them. Haseman-Elston estimates are left negative and never at a boundary.
    converged : (T,) bool
        Whether the likelihood's maximum was reached.
    n : (T,) int
        Samples with the trait and all covariates.
    method : str
        What was done, in words.
    """

    names: tuple[str, ...]
    estimates: Floats
    standard_errors: Floats
    at_boundary: NDArray[np.bool_]
    converged: NDArray[np.bool_]
    n: NDArray[np.int64]
    method: str


def kernel_samples(n_kernels: int, *, complete: bool) -> int:
    """Samples whose variance components fit into :data:`KERNEL_BYTES`.

    Parameters
    ----------
    n_kernels : int
        How many kernels there are.
    complete : bool
        Whether every sample has every trait and covariate; else the kernels of those that do are held beside.

    Returns
    -------
    int
        Samples.
    """
    return int((KERNEL_BYTES / (8 * (n_kernels * (1 if complete else 2) + 1))) ** 0.5)


def component_rows(groups: NDArray[np.generic], *, seed: int, limit: int) -> NDArray[np.int64]:
    """Samples whose kernels fit in memory: all, or random whole groups.

    Parameters
    ----------
    groups : (n,) array
        Group of each sample.
    seed : int
        Seed of the draw.
    limit : int
        Most samples.

    Returns
    -------
    (k,) int64
        Positions, ascending; at least one group.
    """
    if len(groups) <= limit:
        return np.arange(len(groups))
    _, label = np.unique(groups, return_inverse=True)
    order = np.random.default_rng([seed, 70_010]).permutation(int(label.max()) + 1)
    taken = np.cumsum(np.bincount(label)[order]) <= limit
    taken[0] = True
    return np.flatnonzero(np.isin(label, order[taken]))


def genetic_kernels(
    store: Store, rows: ArrayLike, *, epistasis: bool = True, dominance: bool = False
) -> dict[str, Floats]:
    """Covariance of additive, additive-by-additive and dominance effects between samples.

    With Z the standardised dosages (a missing call counts as the mean) of m varying variants, K = Z Z' / m is the
    additive kernel and K o K, squared element by element, that of all products of two variants with independent
    effects; own squares are 1/m of it. The dominance kernel is D D' / m, D the indicator of a heterozygote less its
    regression on the dosage, standardised, both with the observed genotype frequencies and so uncorrelated with the
    additive term whatever the departure from Hardy-Weinberg proportions. Each kernel is centred (rows and columns
    have mean 0, which changes no estimate beside an intercept) and divided by the mean of its diagonal.

    Parameters
    ----------
    store : Store
        The genotypes.
    rows : (n,) int
        Rows of the store.
    epistasis, dominance : bool
        Whether to make these two.

    Returns
    -------
    dict of (n, n) float64
        ``additive``, ``additive_by_additive``, ``dominance``, those asked for. No dominance kernel is made where no
        variant has heterozygotes enough.
    """
    rows = np.asarray(rows, dtype=np.int64)
    kernels = {"additive": relatedness_matrix(store, rows)}
    if epistasis:
        kernels["additive_by_additive"] = np.square(kernels["additive"])
    if dominance:
        found = _dominance_kernel(store, rows)
        if found is None:
            logger.info("no dominance variance: no variant has heterozygotes enough")
        else:
            kernels["dominance"] = found
    for kernel in kernels.values():
        mean = kernel.mean(axis=0)
        kernel -= mean
        kernel -= (mean - mean.mean())[:, None]
        kernel /= np.trace(kernel) / len(kernel)
    return kernels


def _dominance_kernel(store: Store, rows: NDArray[np.int64]) -> Floats | None:
    called, mean, sd = store.moments(rows)
    squared = sd**2 + mean**2
    heterozygous = 2 * mean - squared  # E[g (2 - g)] is the share of ones
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(sd > 0, heterozygous * (1 - mean) / sd**2, 0.0)
    variance = heterozygous * (1 - heterozygous) - slope**2 * sd**2
    columns = np.flatnonzero((sd > 0) & (called > 0) & (variance > LEAST_DOMINANCE))
    if not columns.size:
        return None
    dosage = np.arange(3.0)
    table = (
        (dosage == 1) - heterozygous[columns, None] - slope[columns, None] * (dosage - mean[columns, None])
    )
    table = np.column_stack([table / np.sqrt(variance[columns, None] * columns.size), np.zeros(columns.size)])
    kernel = np.zeros((len(rows), len(rows)))
    packed = store.packed(rows)
    for start, stop in row_blocks(columns.size, 8 * len(rows)):
        part = slice(start, stop)
        values = table[part].astype(np.float32)
        deviation = store.codec.unpack(packed, columns[part], values).astype(np.float64)
        for first in range(0, len(rows), _ROWS):
            some = slice(first, first + _ROWS)
            kernel[some] += deviation[some] @ deviation.T
    return kernel


def fit_components(
    kernels: Mapping[str, Floats],
    traits: Floats,
    *,
    covariates: Floats | None = None,
    seed: int = 0,
    largest: int = REML_SAMPLES,
    overwrite: bool = False,
) -> VarianceComponents:
    """Variance components by REML, or by Haseman-Elston regression above a number of samples.

    Parameters
    ----------
    kernels : mapping of (n, n) float64
        By name; see :func:`genetic_kernels`.
    traits : (n, T) float64
        NaN missing; each trait is fitted on its own complete cases.
    covariates : (n, q) float64, optional
        Fixed effects without the intercept, which is added; NaN missing.
    seed : int
        Seed of the probes of :func:`haseman_elston`.
    largest : int
        Most samples for REML.
    overwrite : bool
        Whether the kernels may be overwritten by what is left of them beside the covariates, which takes no copy.

    Returns
    -------
    VarianceComponents
        REML standard errors are from the average-information matrix.

    Raises
    ------
    InputError
        Where shapes do not match.
    """
    if len(traits) > largest:
        return haseman_elston(kernels, traits, covariates=covariates, seed=seed, overwrite=overwrite)
    found = _empty(kernels, traits, "REML, average information")
    for problem in problems(list(kernels.values()), traits, covariates, overwrite=overwrite):
        moments = Moments(problem, seed=seed)
        for at, residual in zip(problem.columns, problem.residuals.T, strict=True):
            found.n[at] = residual.size
            if problem.usable(residual):
                best = reml(problem, residual, moments.estimate(residual)[0])
                found.estimates[at], found.standard_errors[at] = best.estimates, best.standard_errors
                found.at_boundary[at], found.converged[at] = best.at_boundary, best.converged
    for at in np.flatnonzero(~found.converged & np.isfinite(found.estimates[:, 0])):
        logger.warning("REML of trait %d has not converged", at + 1)
    return found


def haseman_elston(
    kernels: Mapping[str, Floats],
    traits: Floats,
    *,
    covariates: Floats | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> VarianceComponents:
    """Variance components by regression of all products of two samples' residuals on the kernels.

    Parameters
    ----------
    kernels, traits, covariates, overwrite
        As in :func:`fit_components`.
    seed : int
        Seed of the random probes behind the standard errors.

    Returns
    -------
    VarianceComponents
        Unbiased and unconstrained. Standard errors are those of a normal trait with the components estimated
        (negative ones as 0), Var(r'G_k r, r'G_l r) = 2 tr(G_k V G_l V), the traces from 64 random probes: like those
        of REML they are the spread over traits whose variants' effects are drawn again.

    Raises
    ------
    InputError
        Where shapes do not match.
    """
    found = _empty(kernels, traits, "Haseman-Elston regression")
    for problem in problems(list(kernels.values()), traits, covariates, overwrite=overwrite):
        moments = Moments(problem, seed=seed)
        for at, residual in zip(problem.columns, problem.residuals.T, strict=True):
            found.n[at] = residual.size
            if problem.usable(residual):
                found.estimates[at], found.standard_errors[at] = moments.estimate(residual)
                found.converged[at] = True
    return found


def _empty(kernels: Mapping[str, Floats], traits: Floats, method: str) -> VarianceComponents:
    n, n_traits = np.shape(traits)
    for name, kernel in kernels.items():
        if kernel.shape != (n, n):
            raise InputError(
                f"the {name} kernel is {kernel.shape} beside {n} samples of traits; make it of them"
            )
    shape = (n_traits, len(kernels) + 1)
    return VarianceComponents(
        (*kernels, "residual"), np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, bool),
        np.zeros(n_traits, bool), np.zeros(n_traits, np.int64), method,
    )  # fmt: skip
