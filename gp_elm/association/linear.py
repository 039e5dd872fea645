"""The linear scan: one regression a variant and trait, exactly on the complete cases of each (METHOD, section 6)."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import xarray as xr

from gp_elm.association.cohort_access import VARIANT_COLUMNS, read_blocks, sample_covariates, selected
from gp_elm.association.complete import CompleteCases, complete_cases
from gp_elm.association.hard_calls import check_hard_calls
from gp_elm.association.inflation import neg_log_10_p, p_value
from gp_elm.association.offsets import chromosome_rows
from gp_elm.errors import InputError
from gp_elm.genotypes.frequencies import count_alleles
from gp_elm.genotypes.sex_linkage import X_ONE, sex_linkage
from gp_elm.io.accepts import accepts_anndata
from gp_elm.kernels.complete_cases import fit_last
from gp_elm.results import Result
from gp_elm.schema import check_cohort

logger = logging.getLogger("gp_elm.association.linear")

BLOCK_BYTES = 4 << 20
"""Bytes of float64 genotypes in memory at once: few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class BlockScan:
    """Effects of the variants of a block on the traits; each array (b, T).

    Attributes
    ----------
    beta, standard_error : float64
        Per copy of the effect allele; NaN where the test cannot be made.
    n, df : float64
        Complete samples, and residual degrees of freedom.
    """

    beta: np.ndarray
    standard_error: np.ndarray
    n: np.ndarray
    df: np.ndarray

    @property
    def t(self) -> np.ndarray:
        """beta / standard_error."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.beta / self.standard_error

    @property
    def p_value(self) -> np.ndarray:
        """Two-sided p-values."""
        return p_value(self.t, self.df)

    @property
    def neg_log_10_p_value(self) -> np.ndarray:
        """-log10 p, accurate where p underflows."""
        return neg_log_10_p(self.t, self.df)

    @property
    def n_degenerate(self) -> int:
        """Tests that cannot be made: monomorphic, collinear with the covariates, or too few samples."""
        return int(np.isnan(self.beta).sum())


class ScanResult(Result):
    """Classical marginal effects of variants on traits."""

    title: ClassVar[str] = "Linear scan"
    prefix: ClassVar[str] = "gwas_"
    null_hypothesis: ClassVar[str] = "the variant has no additive effect on the trait, given the covariates"


def centred_dosage(dosage: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Dosage less its mean over the called, 0 where missing, and where it is missing.

    Parameters
    ----------
    dosage : (b, n) int8 with -1 missing, or float with NaN missing
        A block of variants.

    Returns
    -------
    (b, n) float64, (b, n) bool
    """
    missing = np.isnan(dosage) if dosage.dtype.kind == "f" else dosage < 0
    centred = dosage.astype(np.float64)
    centred[missing] = 0.0
    called = (~missing).sum(axis=1)
    centred -= (centred.sum(axis=1) / np.maximum(called, 1))[:, None]
    centred[missing] = 0.0
    return centred, missing


def _variant_major(dosage: np.ndarray) -> np.ndarray:
    dosage = np.asarray(dosage)
    if dosage.ndim != 2:
        raise InputError(
            f"dosage has shape {dosage.shape}, expected (samples, variants); add an axis with [:, None]"
        )
    return dosage.T


def _check_samples(n_dosage: int, groups: list[CompleteCases], traits: np.ndarray) -> None:
    if n_dosage != len(traits):
        raise InputError(
            f"dosage has {n_dosage} samples but traits have {len(traits)}; match them by sample id"
        )


def _fit_groups(
    variants: np.ndarray, groups: list[CompleteCases], n_traits: int, *, dominance: bool
) -> BlockScan:
    """Scan a (b, n) block in pieces of bounded memory."""
    n_variants, n_samples = variants.shape
    scan = BlockScan(*(np.full((n_variants, n_traits), np.nan) for _ in range(4)))
    step = max(1, BLOCK_BYTES // (8 * max(n_samples, 1) * (2 if dominance else 1)))
    for start in range(0, n_variants, step):
        part = slice(start, min(start + step, n_variants))
        piece = variants[part]
        centred, missing = centred_dosage(piece)
        regressors = centred[None]
        if dominance:
            heterozygous = (piece == 1).astype(np.float64)
            regressors = np.stack([centred, heterozygous])
        for cases in groups:
            fits = fit_last(regressors, missing, cases.rows, cases.basis, cases.residual, cases.residual_ss)
            at = cases.columns
            scan.beta[part, at] = fits.beta
            scan.standard_error[part, at] = fits.standard_error
            scan.n[part, at] = fits.n[:, None]
            scan.df[part, at] = fits.df[:, None]
    return scan


def scan_block(dosage: np.ndarray, traits: np.ndarray, covariates: np.ndarray | None = None) -> BlockScan:
    """Regress every trait on every variant of a block, with the covariates.

    Parameters
    ----------
    dosage : (n, b) int8 with -1 missing, or float with NaN missing
        Copies of the effect allele.
    traits : (n, T) float64
        NaN where missing.
    covariates : (n, q) float64, optional
        Without the intercept, which is added; NaN where missing.

    Returns
    -------
    BlockScan
        Each variant and trait on its own complete cases, equal to ordinary least squares.

    Raises
    ------
    InputError
        Where shapes do not match.
    """
    variants = _variant_major(dosage)
    groups = complete_cases(traits, covariates)
    _check_samples(variants.shape[1], groups, traits)
    return _fit_groups(variants, groups, np.shape(traits)[1], dominance=False)


def dominance_block(
    dosage: np.ndarray, traits: np.ndarray, covariates: np.ndarray | None = None
) -> BlockScan:
    """Dominance deviation: the coefficient of [heterozygous] beside the dosage.

    Parameters
    ----------
    dosage, traits, covariates
        As in `scan_block`; a dosage of exactly 1 is heterozygous.

    Returns
    -------
    BlockScan
        NaN where only two genotypes are seen.

    Raises
    ------
    InputError
        Where shapes do not match.
    """
    variants = _variant_major(dosage)
    groups = complete_cases(traits, covariates)
    _check_samples(variants.shape[1], groups, traits)
    return _fit_groups(variants, groups, np.shape(traits)[1], dominance=True)


def _pieces(
    cohort: xr.Dataset, rows: np.ndarray, traits: np.ndarray, offsets: xr.DataArray | None
) -> Iterator[tuple[int, int, np.ndarray, list[CompleteCases]]]:
    """Blocks of genotypes with the complete cases to fit them on; with offsets, none spans two chromosomes."""
    covariates = sample_covariates(cohort, rows)
    if offsets is None:
        groups = complete_cases(traits, covariates)
        for start, stop, block in read_blocks(cohort, rows):
            yield start, stop, block, groups
        return
    row_of = chromosome_rows(cohort, offsets)[cohort["variant_contig"].values]
    shift = np.asarray(offsets.values, dtype=np.float64)[:, :, rows]
    unpredicted = np.isnan(shift).any(axis=1).T
    current = -1
    for start, stop, block in read_blocks(cohort, rows):
        edges = start + 1 + np.flatnonzero(np.diff(row_of[start:stop]))
        for low, high in itertools.pairwise([start, *edges.tolist(), stop]):
            if row_of[low] != current:
                current = int(row_of[low])
                groups = complete_cases(
                    np.where(unpredicted, np.nan, traits - shift[:, current].T), covariates
                )
            yield low, high, block[low - start : high - start], groups


@accepts_anndata()
def linear_scan(
    cohort: xr.Dataset,
    *,
    samples: np.ndarray | None = None,
    dominance: bool = False,
    offsets: xr.DataArray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ScanResult:
    """Regress every trait of a cohort on every variant, with its covariates.

    Parameters
    ----------
    cohort : xarray.Dataset
        With phenotypes; covariates are used where it has them.
    samples : (n,) bool, optional
        Samples to use; all by default.
    dominance : bool
        Report the dominance deviation instead of the additive effect; it needs hard calls.
    offsets : xarray.DataArray, optional
        ``(traits, chromosomes, samples)`` in units of the traits, with a coordinate ``chromosomes``: each variant is
        tested on the trait less the offset of its chromosome, as in step 2 of REGENIE
        (:func:`gp_elm.association.offsets.loco_offsets`). A sample with a NaN is left out for that trait. It is least
        squares on that difference: an approximation of a mixed model, which would reestimate the prediction.
    progress : callable, optional
        Called as progress(variants done, variants in all).

    Returns
    -------
    ScanResult
        Variants x traits; monomorphic and collinear variants stay, as NaN.

    Raises
    ------
    InputError
        Where the cohort lacks phenotypes, the mask does not fit, or dominance is asked of imputed dosages.
    """
    check_cohort(cohort, phenotypes=True)
    rows = selected(cohort, samples)
    traits = np.asarray(cohort["sample_phenotype"].values[rows], dtype=np.float64)
    pieces = _pieces(cohort, rows, traits, offsets)
    n_variants, n_traits = cohort.sizes["variants"], traits.shape[1]
    scan = BlockScan(*(np.full((n_variants, n_traits), np.nan) for _ in range(4)))
    called = np.zeros(n_variants)
    total = np.zeros(n_variants)
    for start, stop, block, groups in pieces:
        part = slice(start, stop)
        if dominance:
            check_hard_calls(cohort, block, part)
        present = ~np.isnan(block) if block.dtype.kind == "f" else block >= 0
        called[part] = present.sum(axis=1)
        total[part] = block.sum(axis=1, where=present, dtype=np.float64)
        fitted = _fit_groups(block, groups, n_traits, dominance=dominance)
        for name in ("beta", "standard_error", "n", "df"):
            getattr(scan, name)[part] = getattr(fitted, name)
        if progress is not None:
            progress(stop, n_variants)
    if dominance:
        # a male who counts 1 is no heterozygote
        scan.beta[sex_linkage(cohort) == X_ONE] = np.nan
        scan.standard_error[sex_linkage(cohort) == X_ONE] = np.nan
    if scan.n_degenerate:
        logger.info(
            "%d of %d tests cannot be made: monomorphic, collinear or too few samples",
            scan.n_degenerate, n_variants * n_traits,
        )  # fmt: skip
    dims = ("variants", "traits")
    alleles = count_alleles(cohort, called, total, samples=rows)
    data = {
        "effect_allele_frequency": (("variants",), alleles.frequency),
        "missing_rate": (("variants",), alleles.missing_rate),
        "beta": (dims, scan.beta),
        "standard_error": (dims, scan.standard_error),
        "p_value": (dims, scan.p_value),
        "neg_log_10_p_value": (dims, scan.neg_log_10_p_value),
        "n": (dims, scan.n.astype(np.int64)),
        "df": (dims, scan.df.astype(np.int64)),
    }
    identity = {name: cohort[name].variable for name in (*VARIANT_COLUMNS, "trait_id") if name in cohort}
    return ScanResult(xr.Dataset({**identity, **data}))
