"""The linear mixed model that leaves out the tested variant's chromosome (LOCO), exactly for one h a chromosome.

``y = covariates + g beta + u + e`` with ``u ~ h K``, K the relatedness over the other chromosomes, and h by REML of
the trait without the variant (Kang et al. 2010): what GEMMA fits with a LOCO matrix, its h taken once a chromosome
instead of once a variant. One eigendecomposition a chromosome.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gp_elm.association.cohort_access import (
    VARIANT_COLUMNS,
    read_blocks,
    read_variants,
    sample_covariates,
    selected,
)
from gp_elm.association.complete import complete_cases
from gp_elm.association.hard_calls import check_hard_calls
from gp_elm.association.inflation import neg_log_10_p, p_value
from gp_elm.association.linear import ScanResult, centred_dosage
from gp_elm.association.mixed_model import Floats, MixedModel
from gp_elm.errors import InputError
from gp_elm.genotypes.frequencies import count_alleles
from gp_elm.genotypes.ld import ld_blocks
from gp_elm.genotypes.relatedness import DosageStore, cross_product
from gp_elm.genotypes.sex_linkage import X_ONE, sex_linkage
from gp_elm.io.accepts import accepts_anndata
from gp_elm.schema import check_cohort

logger = logging.getLogger("gp_elm.association.mixed")

Ints = NDArray[np.int64]
MOST_SAMPLES = 20_000
"""The relatedness matrix and one without a chromosome are in memory: 6.4 GB at this many samples."""
PSEUDO_CHROMOSOMES = 20
BLOCK = 512


class MixedScanResult(ScanResult):
    """Marginal effects of variants given the relatedness over the other chromosomes."""

    title: ClassVar[str] = "Linear mixed model (LOCO)"
    null_hypothesis: ClassVar[str] = (
        "the variant has no additive effect on the trait, given the covariates and the rest of the genome"
    )


def left_out_together(contig: Ints, blocks: Callable[[], Ints]) -> Ints:
    """Which variants are left out of the relatedness together: label of each variant, from 0.

    Parameters
    ----------
    contig : (m,) int
        Chromosome of each variant.
    blocks : callable
        Gives the LD block of each variant; asked only where all variants are of one chromosome (or have no map).
        Whole blocks then make up to 20 pseudo-chromosomes of like size, so that a variant's own block never stands
        in the relatedness. Where one block holds more than half of the variants, too few would remain: nothing is
        left out and the label is -1 everywhere, which costs power (proximal contamination, Yang et al. 2014).

    Returns
    -------
    (m,) int64
    """
    if np.unique(contig).size > 1:
        return np.unique(contig, return_inverse=True)[1].astype(np.int64)
    label = blocks()
    sizes = np.bincount(label)
    if 2 * sizes.max() > contig.size:
        return np.full(contig.size, -1, np.int64)
    place = np.zeros(sizes.size, np.int64)
    filled = np.zeros(min(PSEUDO_CHROMOSOMES, int(np.count_nonzero(sizes))))
    for block in np.argsort(-sizes, kind="stable"):
        place[block] = np.argmin(filled)
        filled[place[block]] += sizes[block]
    return place[label]


class LeaveOutKernels:
    """Relatedness over all variants, and without those of one label.

    Parameters
    ----------
    store : DosageStore
        Genotypes.
    rows : (n,) int
        Samples.
    labels : (m,) int
        From :func:`left_out_together`.

    Raises
    ------
    InputError
        For more than :data:`MOST_SAMPLES` samples, or where no variant varies.
    """

    def __init__(self, store: DosageStore, rows: Ints, labels: Ints) -> None:
        if rows.size > MOST_SAMPLES:
            raise InputError(
                f"{rows.size} samples: the mixed model holds their relatedness in memory and takes up to "
                f"{MOST_SAMPLES}; use the linear scan with principal components as covariates"
            )
        self._store, self._rows, self.labels = store, rows, labels
        self._total, self._count = cross_product(store, rows)
        if self._count == 0:
            raise InputError(f"none of the {labels.size} variants varies; there is no relatedness to fit")

    def whole(self) -> Floats:
        """(n, n) over all variants."""
        return self._total / self._count

    def without(self, label: int) -> Floats:
        """(n, n) over the variants of other labels; over all where no others vary."""
        cross, count = cross_product(self._store, self._rows, variants=np.flatnonzero(self.labels == label))
        if count == self._count:
            return self.whole()
        np.subtract(self._total, cross, out=cross)
        cross /= self._count - count
        return cross


class _CohortDosages:
    """A cohort's genotypes as relatedness reads them; rows count within the chosen samples."""

    def __init__(self, cohort: xr.Dataset, samples: Ints) -> None:
        self._cohort, self._samples = cohort, samples
        parts = [_moments(block) for _, _, block in read_blocks(cohort, samples)]
        self.called, self.mean, self.sd = (np.concatenate(a) for a in zip(*parts, strict=True))

    def moments(self, rows: Ints) -> tuple[Floats, Floats, Floats]:
        """Over all chosen samples."""
        return self.called, self.mean, self.sd

    def block(self, rows: Ints, *, columns: Ints | None, center: Floats) -> NDArray[np.float32]:
        """Centred dosages (rows, columns), missing calls as 0."""
        wanted = np.arange(self.mean.size) if columns is None else columns
        dosage = read_variants(self._cohort, self._samples[rows], wanted)
        x = dosage.astype(np.float32) - center[:, None].astype(np.float32)
        x[~_called(dosage)] = 0.0
        return x.T

    def centred(self, start: int, stop: int) -> NDArray[np.float32]:
        """A block of variants of all chosen samples."""
        at = np.arange(start, stop)
        return self.block(np.arange(self._samples.size), columns=at, center=self.mean[at])


def _called(dosage: np.ndarray) -> NDArray[np.bool_]:
    return np.asarray(~np.isnan(dosage) if dosage.dtype.kind == "f" else dosage >= 0)


def _moments(dosage: np.ndarray) -> tuple[Floats, Floats, Floats]:
    called = _called(dosage).sum(1).astype(np.float64)
    count = np.maximum(called, 1.0)
    mean = dosage.sum(1, where=_called(dosage), dtype=np.float64) / count
    centred, _ = centred_dosage(dosage)
    return called, mean, np.sqrt((centred**2).sum(1) / count)


@accepts_anndata()
def linear_mixed_scan(
    cohort: xr.Dataset,
    *,
    samples: NDArray[np.bool_] | None = None,
    dominance: bool = False,
    seed: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> MixedScanResult:
    """Regress every trait on every variant, with relatedness over the other chromosomes as a random effect.

    Parameters
    ----------
    cohort : xarray.Dataset
        With phenotypes; covariates are used where it has them.
    samples : (n,) bool, optional
        Samples to use; all by default.
    dominance : bool
        Report the dominance deviation instead of the additive effect.
    seed : int
        Of the LD blocks, which are looked for only where the variants have no map
        (:func:`left_out_together`).
    progress : callable, optional
        Called as progress(variants done, variants in all).

    Returns
    -------
    MixedScanResult
        The columns of :func:`gp_elm.association.linear.linear_scan`, and ``mixed_model_h`` (variants, traits): h of
        the relatedness that each test used. Missing calls count as the variant's mean; missing phenotypes are left
        out exactly. Above 6,000 samples the relatedness is of low rank (:class:`Eigenbasis`).

    Raises
    ------
    InputError
        Where the cohort lacks phenotypes, the mask does not fit, or there are too many samples.
    """
    check_cohort(cohort, phenotypes=True)
    rows = selected(cohort, samples)
    traits = np.asarray(cohort["sample_phenotype"].values[rows], dtype=np.float64)
    cases = complete_cases(traits, sample_covariates(cohort, rows))
    dosages = _CohortDosages(cohort, rows)
    contig, position = cohort["variant_contig"].values, cohort["variant_position"].values
    labels = left_out_together(
        contig, lambda: ld_blocks(dosages.centred, contig, position, rows.size, seed=seed)[0]
    )
    kernels = LeaveOutKernels(dosages, np.arange(rows.size), labels)
    response = np.zeros(traits.shape)
    for case in cases:
        response[:, case.columns] = case.residual
    shape = (labels.size, traits.shape[1])
    beta, error, df, h = (np.full(shape, np.nan) for _ in range(4))
    done = 0
    for label in np.unique(labels):
        model = MixedModel(kernels.without(int(label)), cases)
        members = np.flatnonzero(labels == label)
        h[members] = model.h
        for start in range(0, members.size, BLOCK):
            at = members[start : start + BLOCK]
            dosage = read_variants(cohort, rows, at)
            if dominance:
                check_hard_calls(cohort, dosage, at)
            found = model.scan(dosage, response, dominance=dominance)
            beta[at], error[at], df[at] = found
            done += at.size
            if progress is not None:
                progress(done, labels.size)
    if dominance:
        # a male who counts 1 is no heterozygote
        beta[sex_linkage(cohort) == X_ONE] = np.nan
        error[sex_linkage(cohort) == X_ONE] = np.nan
    n = np.zeros(traits.shape[1], np.int64)
    for case in cases:
        n[case.columns] = case.n_samples
    with np.errstate(divide="ignore", invalid="ignore"):
        t = beta / error
    alleles = count_alleles(cohort, dosages.called, dosages.called * dosages.mean, samples=rows)
    dims = ("variants", "traits")
    data = {
        "effect_allele_frequency": (("variants",), alleles.frequency),
        "missing_rate": (("variants",), alleles.missing_rate),
        "beta": (dims, beta),
        "standard_error": (dims, error),
        "p_value": (dims, p_value(t, df)),
        "neg_log_10_p_value": (dims, neg_log_10_p(t, df)),
        "n": (dims, np.broadcast_to(n, shape).copy()),
        "df": (dims, df),
        "mixed_model_h": (dims, h),
    }
    identity = {name: cohort[name].variable for name in (*VARIANT_COLUMNS, "trait_id") if name in cohort}
    return MixedScanResult(xr.Dataset({**identity, **data}))
