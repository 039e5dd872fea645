"""Effects of variants read off cross-fitted networks: the marginal ones, dominance, and the plug-in sensitivities."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import xarray as xr

from gp_elm.association.inflation import neg_log_10_p, p_value
from gp_elm.association.mixed import MOST_SAMPLES
from gp_elm.elm.debiased import Effects, Population, centred_reader, marginal_effects
from gp_elm.elm.fit import Networks
from gp_elm.elm.quadratic import QuadraticPopulation
from gp_elm.elm.sampled import SampledPopulation, population_size
from gp_elm.elm.sensitivity import Sensitivities
from gp_elm.elm.structured import Structure
from gp_elm.elm.study import Floats
from gp_elm.errors import InputError
from gp_elm.genotypes.sex_linkage import X_ONE, sex_linkage
from gp_elm.io.accepts import accepts_anndata
from gp_elm.io.blocks import select
from gp_elm.io.components import population_limit
from gp_elm.results import Result

logger = logging.getLogger(__name__)

MOST_DRAWN = 1_000_000
MOST_OPERATIONS = 4e12
"""Floating-point operations that evaluating the networks on the drawn population may take."""


@dataclass(frozen=True, repr=False, eq=False)
class ElmEffects(Result):
    """Debiased marginal effects of variants, with dominance and sensitivities beside them.

    ``dataset`` has, besides the estimates of every result, ``sensitivity_mean`` and ``sensitivity_sd`` and, in
    diploids, ``dominance``, ``dominance_standard_error`` and ``dominance_p_value``, all (variants, traits).
    """

    title: ClassVar[str] = "Equivalent linear mapping"
    prefix: ClassVar[str] = "elm_"
    null_hypothesis: ClassVar[str] = "the variant has no marginal effect where LD blocks are in equilibrium"


class Analysis:
    """Everything that can be read off cross-fitted networks; each part is computed when it is first asked for.

    Parameters
    ----------
    networks : Networks
        From :func:`gp_elm.cross_fit`.
    advance : callable, optional
        Told of the variants done by the scans.
    """

    def __init__(self, networks: Networks, *, advance: Callable[[int], object] | None = None) -> None:
        self.networks, self.study = networks, networks.study
        self._advance = advance
        self.read_block = centred_reader(networks.read, self.study.center)

    @cached_property
    def population(self) -> Population:
        """The in-silico population: exact for quadratic networks, drawn for others."""
        fitted, study = self.networks.fitted, self.study
        offsets = [n.offset.coefficients for n in fitted.networks if n.offset is not None]
        if offsets and len(offsets) != len(fitted.networks):
            raise InputError("some fold networks have a linear offset and others none; train them again")
        forms = [n.quadratic_form() for n in fitted.networks]
        if all(form is not None for form in forms):
            return QuadraticPopulation(study, [f for f in forms if f is not None], offsets or None)
        f = fitted.out_of_fold["network"]
        left = np.nanvar(fitted.residual - f, axis=0)
        weights = sum(
            p.numel() for net in fitted.networks for module in net.modules for p in module.parameters()
        )
        most = int(min(MOST_DRAWN, MOST_OPERATIONS / (2 * weights)))
        n = population_size(study, left, np.nanvar(f, axis=0), most=most)
        logger.info("in-silico population: %d samples drawn in blocks", n)
        return SampledPopulation(
            study,
            [net.columns for net in fitted.networks],
            [net.predict_dosage for net in fitted.networks],
            offsets or None,
            n=n,
            seed=self.networks.seed,
        )

    @cached_property
    def ordinary(self) -> Effects:
        """Marginal effects by ordinary least squares, with the population check."""
        return self._effects(dominance=False)

    @cached_property
    def structure(self) -> Structure | None:
        """Generalised least squares of the traits whose population check fails; None where none does."""
        study, at = self.study, np.array(self.structured())
        if not at.any():
            return None
        if study.rows.size > MOST_SAMPLES:
            logger.warning(
                "the cohort is structured, and its %d samples are more than the %d of which the relatedness is "
                "held: effects are those of ordinary least squares; add principal components as covariates",
                study.rows.size, MOST_SAMPLES,
            )  # fmt: skip
            return None
        return Structure(
            self.networks.store,
            study.rows,
            self.networks.cohort["variant_contig"].values.astype(np.int64),
            np.where(at, study.traits, np.nan),
            study.covariates,
            blocks=study.blocks,
        )

    @cached_property
    def marginal(self) -> Effects:
        """Debiased marginal effects; generalised least squares where the cohort is structured."""
        return self._generalised(self.ordinary, dominance=False)

    @cached_property
    def dominance(self) -> Effects | None:
        """Debiased dominance deviations; None where no variant is diploid."""
        if not (self.study.ploidy > 1).any():
            return None
        found = self._generalised(self._effects(dominance=True), dominance=True)
        if "variant_sex_linkage" in self.networks.cohort:
            # a male who counts 1 on X is no heterozygote
            no_test = sex_linkage(self.networks.cohort) == X_ONE
            found.beta[no_test] = found.standard_error[no_test] = np.nan
        return found

    def _generalised(self, ordinary: Effects, *, dominance: bool) -> Effects:
        if self.structure is None:
            return ordinary
        fitted = self.networks.fitted
        generalised = self.structure.marginal(
            self.study, self.population, fitted.out_of_fold["network"], fitted.residual, self.networks.read,
            dominance=dominance,
        )  # fmt: skip
        return ordinary.replaced(generalised)

    def _effects(self, *, dominance: bool) -> Effects:
        fitted = self.networks.fitted
        return marginal_effects(
            self.study, self.population, fitted.out_of_fold["network"], fitted.residual, self.networks.read,
            dominance=dominance, advance=self._advance,
        )  # fmt: skip

    @cached_property
    def sensitivities(self) -> Sensitivities:
        """Locus sensitivities of the fold networks; made only where the detached Jacobian is exact."""
        return Sensitivities(self.study, self.networks.fitted.networks)

    def structured(self) -> list[bool]:
        """Whether the cohort looks structured, by trait.

        By the population check, a mean of as many z^2 as there are variants, whose own error counts where they are
        few; it can say nothing where variants without a map fall mostly into one block, which is what structure makes
        of them: such a cohort counts as structured.
        """
        limit = population_limit(self.study.center.size)
        return [bool(c > limit) or self._one_block for c in self.ordinary.population_check]

    @cached_property
    def _one_block(self) -> bool:
        unplaced = not self.networks.cohort["variant_position"].values.any()
        one_contig = np.unique(self.networks.cohort["variant_contig"].values).size == 1
        return bool(
            unplaced and one_contig and 2 * np.bincount(self.study.blocks).max() > self.study.blocks.size
        )

    def effects(self) -> ElmEffects:
        """Variants x traits."""
        marginal, cohort = self.marginal, self.networks.cohort
        dims = ("variants", "traits")
        with np.errstate(divide="ignore", invalid="ignore"):
            t = marginal.beta / marginal.standard_error
        shape = marginal.beta.shape
        mean, sd = np.full(shape, np.nan), np.full(shape, np.nan)
        columns = self.sensitivities.columns
        for trait in range(shape[1]):
            factors = self.sensitivities.factors(trait)
            mean[:, trait], sd[:, trait] = self._linear_sensitivity(trait), 0.0
            mean[columns, trait], sd[columns, trait] = factors.mean, factors.sd
        values: dict[str, Floats] = {
            "beta": marginal.beta,
            "standard_error": marginal.standard_error,
            "df": marginal.df,
            "n": np.where(np.isfinite(marginal.beta), self._called(), np.nan),
            "p_value": p_value(t, marginal.df),
            "neg_log_10_p_value": neg_log_10_p(t, marginal.df),
            "sensitivity_mean": mean,
            "sensitivity_sd": sd,
        }
        if self.dominance is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                z = self.dominance.beta / self.dominance.standard_error
            values["dominance"] = self.dominance.beta
            values["dominance_standard_error"] = self.dominance.standard_error
            values["dominance_p_value"] = p_value(z, self.dominance.df)
        kept = [
            name for name in cohort.variables if str(name).startswith(("variant_", "contig_", "trait_id"))
        ]
        data = cohort[kept].assign({name: (dims, value) for name, value in values.items()})
        data.attrs = {"reconstruction_error": self.sensitivities.reconstruction_error}
        return ElmEffects(data)

    def _linear_sensitivity(self, trait: int) -> Floats:
        """Sensitivity of variants that only the linear offset reads, (m,)."""
        fitted = self.networks.fitted
        shares = np.bincount(self.study.folds) / self.study.folds.size
        out = np.zeros(self.study.center.size)
        for share, network in zip(shares, fitted.networks, strict=True):
            if network.offset is not None:
                out += share * network.offset.coefficients[trait]
        return out

    def _called(self) -> Floats:
        """Residual degrees of freedom plus the regression's parameters: complete samples of each test."""
        covariates = 0 if self.study.covariates is None else self.study.covariates.shape[1]
        return self.marginal.df + 2 + covariates


@accepts_anndata()
def elm_effects(networks: Networks, cohort: xr.Dataset | None = None) -> ElmEffects:
    """Debiased effects of every variant that networks see, of the cohort on which they were cross-fitted.

    Parameters
    ----------
    networks : Networks
        From :func:`gp_elm.cross_fit`.
    cohort : xarray.Dataset, optional
        The cohort, checked to be the one that the networks were trained on.

    Returns
    -------
    ElmEffects
        Variants x traits.

    Raises
    ------
    InputError
        Where the cohort is another one.
    """
    if cohort is not None:
        if cohort.sizes["variants"] == networks.seen.of:
            cohort = select(cohort, variants=networks.seen.kept)
        for name in ("variant_id", "sample_id"):
            if not np.array_equal(cohort[name].values, networks.cohort[name].values):
                raise InputError(
                    f"the cohort's {name} differs from the networks' cohort; train on this cohort"
                )
    return Analysis(networks).effects()
