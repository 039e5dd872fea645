"""Interaction tests of listed pairs of variants, exactly on the complete cases of each pair and trait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import xarray as xr

from gp_elm.association.cohort_access import read_variants, sample_covariates, selected
from gp_elm.association.complete import CompleteCases, complete_cases
from gp_elm.association.inflation import neg_log_10_p_f
from gp_elm.association.linear import BLOCK_BYTES, BlockScan, centred_dosage
from gp_elm.association.pair_identity import pair_identity, pair_indices
from gp_elm.errors import InputError
from gp_elm.io.accepts import accepts_anndata
from gp_elm.kernels.complete_cases import fit_last
from gp_elm.results import Result
from gp_elm.schema import check_cohort

KEEP_BYTES = 512 << 20
"""Genotypes of the listed variants are read once where they are smaller than this, else batch by batch."""


@dataclass(frozen=True)
class GenotypicTest:
    """All interaction terms of a pair tested together; arrays (P, T).

    Attributes
    ----------
    f : float64
        F statistic; NaN where no interaction term can be estimated.
    df_tested : float64
        Interaction terms that can be estimated: up to 4 in diploids, 1 in haploids.
    df, n : float64
        Residual degrees of freedom, and complete samples.
    """

    f: np.ndarray
    df_tested: np.ndarray
    df: np.ndarray
    n: np.ndarray

    @property
    def neg_log_10_p_value(self) -> np.ndarray:
        """-log10 p, accurate where p underflows."""
        return neg_log_10_p_f(self.f, self.df_tested, self.df)

    @property
    def p_value(self) -> np.ndarray:
        """p-values."""
        return 10.0**-self.neg_log_10_p_value


class InteractionResult(Result):
    """Classical interaction effects of pairs of variants on traits."""

    title: ClassVar[str] = "Interaction tests"
    null_hypothesis: ClassVar[str] = (
        "the product of the two dosages has no effect on the trait, given both dosages and the covariates"
    )


def _oriented(
    dosage_i: np.ndarray, dosage_j: np.ndarray, traits: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    dosage_i, dosage_j = np.asarray(dosage_i), np.asarray(dosage_j)
    if dosage_i.ndim != 2 or dosage_i.shape != dosage_j.shape or len(dosage_i) != len(traits):
        raise InputError(
            f"dosages have shapes {dosage_i.shape} and {dosage_j.shape} beside {len(traits)} samples of traits; "
            "give two (samples, pairs) arrays of the same samples"
        )
    return dosage_i.T, dosage_j.T


def _fit_pairs(
    first: np.ndarray, second: np.ndarray, groups: list[CompleteCases], n_traits: int
) -> BlockScan:
    """Test (P, n) pairs in pieces of bounded memory."""
    n_pairs, n_samples = first.shape
    scan = BlockScan(*(np.full((n_pairs, n_traits), np.nan) for _ in range(4)))
    step = max(1, BLOCK_BYTES // (24 * max(n_samples, 1)))
    for start in range(0, n_pairs, step):
        part = slice(start, min(start + step, n_pairs))
        regressors, missing = _products(first[part], second[part])
        for cases in groups:
            fits = fit_last(regressors, missing, cases.rows, cases.basis, cases.residual, cases.residual_ss)
            at = cases.columns
            scan.beta[part, at] = fits.beta
            scan.standard_error[part, at] = fits.standard_error
            scan.n[part, at] = fits.n[:, None]
            scan.df[part, at] = fits.df[:, None]
    return scan


def _products(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Regressors g_i, g_j, g_i g_j of pairs, centred where that changes no coefficient of the product."""
    x_i, missing_i = centred_dosage(first)
    x_j, missing_j = centred_dosage(second)
    missing = missing_i | missing_j
    x_i[missing] = 0.0
    x_j[missing] = 0.0
    return np.stack([x_i, x_j, x_i * x_j]), missing


def interaction_pairs(
    dosage_i: np.ndarray, dosage_j: np.ndarray, traits: np.ndarray, covariates: np.ndarray | None = None
) -> BlockScan:
    """Coefficient of g_i g_j in y ~ 1 + g_i + g_j + g_i g_j + covariates, for listed pairs.

    Parameters
    ----------
    dosage_i, dosage_j : (n, P) int8 with -1 missing, or float with NaN missing
        Copies of the effect alleles of the two variants of each pair.
    traits : (n, T) float64
        NaN where missing.
    covariates : (n, q) float64, optional
        Without the intercept, which is added.

    Returns
    -------
    BlockScan
        Arrays (P, T), each pair and trait on its own complete cases; NaN where the product, or a variant, is
        collinear with the rest of the model. Centring a dosage changes the main effects, not this coefficient.

    Raises
    ------
    InputError
        Where shapes do not match.
    """
    first, second = _oriented(dosage_i, dosage_j, traits)
    return _fit_pairs(first, second, complete_cases(traits, covariates), np.shape(traits)[1])


def genotypic_pairs(
    dosage_i: np.ndarray, dosage_j: np.ndarray, traits: np.ndarray, covariates: np.ndarray | None = None
) -> GenotypicTest:
    """Test all interaction terms of each pair at once: genotypes as classes, up to 4 degrees of freedom in diploids.

    Parameters
    ----------
    dosage_i, dosage_j : (n, P) int8 with -1 missing, or float with NaN missing
        Hard calls 0, 1, 2.
    traits, covariates
        As in `interaction_pairs`.

    Returns
    -------
    GenotypicTest
        Arrays (P, T). Cells that no sample fills take their degree of freedom away.

    Raises
    ------
    InputError
        Where shapes do not match.
    """
    first, second = _oriented(dosage_i, dosage_j, traits)
    groups = complete_cases(traits, covariates)
    shape = (first.shape[0], np.shape(traits)[1])
    test = GenotypicTest(*(np.full(shape, np.nan) for _ in range(4)))
    step = max(1, BLOCK_BYTES // (64 * max(first.shape[1], 1)))
    for start in range(0, shape[0], step):
        part = slice(start, min(start + step, shape[0]))
        a, b = first[part], second[part]
        missing = np.isnan(a) | np.isnan(b) if a.dtype.kind == "f" else (a < 0) | (b < 0)
        classes_i = [(a == g) & ~missing for g in (1, 2)]
        classes_j = [(b == g) & ~missing for g in (1, 2)]
        crossed = [u & v for u in classes_i for v in classes_j]
        regressors = np.stack([*classes_i, *classes_j, *crossed]).astype(np.float64)
        for cases in groups:
            fits = fit_last(
                regressors,
                missing,
                cases.rows,
                cases.basis,
                cases.residual,
                cases.residual_ss,
                n_tested=4,
                strict=False,
            )
            at = cases.columns
            rank = fits.tested_rank[:, None].astype(np.float64)
            with np.errstate(divide="ignore", invalid="ignore"):
                test.f[part, at] = (fits.tested_ss / rank) / (fits.rss / fits.df[:, None])
            test.df_tested[part, at] = rank
            test.df[part, at] = fits.df[:, None]
            test.n[part, at] = fits.n[:, None]
    return test


@accepts_anndata()
def interaction_scan(
    cohort: xr.Dataset,
    *,
    pairs: np.ndarray | pd.DataFrame,
    samples: np.ndarray | None = None,
    genotypic: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> InteractionResult:
    """Test listed pairs of a cohort's variants for interaction, in every trait.

    Parameters
    ----------
    cohort : xarray.Dataset
        With phenotypes; covariates are used where it has them.
    pairs : (P, 2) int array, or DataFrame with variant_id_1 and variant_id_2
        Indices of variants, or their identifiers.
    samples : (n,) bool, optional
        Samples to use; all by default.
    genotypic : bool
        Add ``genotypic_p_value`` and ``genotypic_df``, of all interaction terms together.
    progress : callable, optional
        Called as progress(pairs done, pairs in all).

    Returns
    -------
    InteractionResult
        Pairs x traits, in the order of `pairs`.

    Raises
    ------
    InputError
        For an unknown, ambiguous or out-of-range variant, a pair of a variant with itself, or a mask that does not
        fit.
    """
    check_cohort(cohort, phenotypes=True)
    rows = selected(cohort, samples)
    indices = pair_indices(cohort, pairs)
    traits = np.asarray(cohort["sample_phenotype"].values[rows], dtype=np.float64)
    covariates = sample_covariates(cohort, rows)
    groups = complete_cases(traits, covariates)
    n_pairs, n_traits = len(indices), traits.shape[1]
    scan = BlockScan(*(np.full((n_pairs, n_traits), np.nan) for _ in range(4)))
    extra = {name: np.full((n_pairs, n_traits), np.nan) for name in ("genotypic_p_value", "genotypic_df")}
    item = cohort["call_dosage"].dtype.itemsize
    most = max(1, KEEP_BYTES // (2 * item * len(rows)))
    order = np.lexsort((indices[:, 1], indices[:, 0]))
    batch = n_pairs if len(np.unique(indices)) <= 2 * most else most
    done = 0
    for start in range(0, n_pairs, max(batch, 1)):
        chosen = order[start : start + batch]
        wanted, place = np.unique(indices[chosen], return_inverse=True)
        dosage = read_variants(cohort, rows, wanted)
        place = place.reshape(-1, 2)
        for at in range(0, len(chosen), 1024):
            some = chosen[at : at + 1024]
            first, second = dosage[place[at : at + 1024, 0]], dosage[place[at : at + 1024, 1]]
            fitted = _fit_pairs(first, second, groups, n_traits)
            for name in ("beta", "standard_error", "n", "df"):
                getattr(scan, name)[some] = getattr(fitted, name)
            if genotypic:
                test = genotypic_pairs(first.T, second.T, traits, covariates)
                extra["genotypic_p_value"][some] = test.p_value
                extra["genotypic_df"][some] = test.df_tested
            done += len(some)
            if progress is not None:
                progress(done, n_pairs)
    dims = ("pairs", "traits")
    data = {
        **pair_identity(cohort, indices),
        "trait_id": cohort["trait_id"].variable,
        "beta": (dims, scan.beta),
        "standard_error": (dims, scan.standard_error),
        "p_value": (dims, scan.p_value),
        "neg_log_10_p_value": (dims, scan.neg_log_10_p_value),
        "n": (dims, scan.n.astype(np.int64)),
        "df": (dims, scan.df.astype(np.int64)),
    }
    if genotypic:
        data |= {name: (dims, values) for name, values in extra.items()}
    return InteractionResult(xr.Dataset(data))
