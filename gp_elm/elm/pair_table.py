"""From an analysis to the table of pairs: which pairs are listed, and what their rows say."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gp_elm.association.neighbourhoods import Neighbourhoods
from gp_elm.association.sweep_summary import ColumnSweep
from gp_elm.elm.ablation import ablation_frame
from gp_elm.elm.additive import NonAdditive, take_out_additive
from gp_elm.elm.blocks import ld_reader
from gp_elm.elm.debiased import Population
from gp_elm.elm.effects import Analysis
from gp_elm.elm.pair_candidates import Candidates, choose_candidates, partner_rows
from gp_elm.elm.pair_effects import Ints
from gp_elm.elm.pair_evidence import PairModel, Weigh, sweep_pairs
from gp_elm.elm.pair_fits import HeldoutPairs, Sidelights
from gp_elm.elm.pair_rows import trait_rows
from gp_elm.elm.prior import HeredityPrior
from gp_elm.elm.prior_exponent import choose_exponent
from gp_elm.elm.prior_strength import locus_strength
from gp_elm.elm.reading import DosageReader, covariates_of
from gp_elm.elm.scale import ScaleCheck
from gp_elm.elm.structured import Structure
from gp_elm.elm.study import Floats, network_weights
from gp_elm.errors import OptionError
from gp_elm.models.yardsticks import Yardsticks

logger = logging.getLogger(__name__)
FEW = 20_000
"""Pairs of which the sweep keeps every one; as many are kept of the debiased test at the least."""
MOST_KEPT, KEPT = 100_000, 2_000_000
"""Pairs that the debiased sweep keeps of a trait, and of all traits: the prior ranks these."""
PRIORS = ("heredity", "none")


@dataclass(frozen=True)
class PairOptions:
    """Which pairs are tested and listed.

    Attributes
    ----------
    max_exhaustive_pairs : int
        Up to this many pairs all are tested; above, the plug-in screen picks the candidates.
    top_pairs : int
        Pairs listed for each trait and test.
    max_ld : float
        Pairs with a larger r^2 stand in a table of their own.
    prior : str
        ``heredity``: a second ranking by p-values weighted with the loci's main effects; ``none``.
    """

    max_exhaustive_pairs: int = 100_000_000
    top_pairs: int = 500
    max_ld: float = 0.1
    prior: str = "heredity"

    def __post_init__(self) -> None:
        if self.top_pairs < 1:
            raise OptionError(f"--top-pairs {self.top_pairs} lists nothing; give at least 1")
        if (most := self.max_exhaustive_pairs) < 0:
            raise OptionError(f"--max-exhaustive-pairs {most} is negative; give 0 or more")
        if not 0 < self.max_ld <= 1:
            raise OptionError(f"--max-ld {self.max_ld:g} is no r2; give a number above 0, at most 1")
        if self.prior not in PRIORS:
            raise OptionError(f"--prior {self.prior!r} is unknown; choose {' or '.join(PRIORS)}")


class PairAnalysis:
    """Tests of pairs on top of an :class:`Analysis`; each part is computed when it is first asked for.

    Parameters
    ----------
    analysis : Analysis
        The analysis of the cross-fitted networks.
    options : PairOptions
        Which pairs.
    progress : callable, optional
        Told of pairs done and pairs in all.
    yardsticks : Yardsticks, optional
        Predictors that stand in the network's place in :meth:`ablation`.
    scale : ScaleCheck, optional
        Monotone links of the traits; pairs are tested on the traits less these too.
    """

    def __init__(
        self,
        analysis: Analysis,
        options: PairOptions,
        *,
        progress: Callable[[int, int], None] | None = None,
        yardsticks: Yardsticks | None = None,
        scale: ScaleCheck | None = None,
    ) -> None:
        self.analysis, self.options, self._progress = analysis, options, progress
        self.networks, self.study = analysis.networks, analysis.study
        self._scale, self._yardsticks = scale, yardsticks
        self.n_pairs = self.study.center.size * (self.study.center.size - 1) // 2
        self._listed: dict[int, Candidates] = {}

    @property
    def exhaustive(self) -> bool:
        """Whether every pair is tested."""
        return self.n_pairs <= self.options.max_exhaustive_pairs

    @property
    def swept(self) -> bool:
        """Whether all pairs have been tested, or are so few that they can be at once."""
        return self.exhaustive and ("sweeps" in self.__dict__ or self.n_pairs <= FEW)

    @cached_property
    def non_additive(self) -> NonAdditive:
        """Traits less their additive part."""
        found = self._less_additive(self.networks.fitted.residual)
        logger.info("additive part of the traits, for the pairs: %s", found.method)
        return found

    def _less_additive(self, residual: Floats) -> NonAdditive:
        networks = self.networks
        return take_out_additive(
            self.study,
            residual,
            networks.fitted.out_of_fold["lasso"],
            networks.heldout,
            networks.heldout_residual,
            networks.heldout_prediction("lasso"),
        )

    @cached_property
    def model(self) -> PairModel:
        """Responses, weights and population effects."""
        return PairModel.build(
            self.study,
            self.analysis.population,
            self.non_additive.discovery,
            self.analysis.read_block,
            weigh=self.weigh,
        )

    @property
    def weigh(self) -> Weigh:
        """How the network is weighted: in the metric of the generalised least squares where there is one."""
        structure = self.analysis.structure
        return network_weights if structure is None else structure.network_weights

    @cached_property
    def heldout(self) -> HeldoutPairs | None:
        """The held-out samples, None where there are none."""
        return self.heldout_of(self.analysis.population)

    def heldout_of(self, population: Population) -> HeldoutPairs | None:
        """The held-out samples as other predictors see them; None where there are none."""
        networks = self.networks
        rows = networks.heldout
        if not rows.size:
            return None
        return HeldoutPairs(
            rows,
            DosageReader(networks.cohort, rows).columns,
            covariates_of(networks.cohort, rows),
            self.non_additive.heldout,
            population.heldout_interaction(rows),
            self._heldout_structure,
        )

    @cached_property
    def _heldout_structure(self) -> Structure | None:
        """Relatedness of the held-out samples, with what the discovery samples say of its share."""
        structure, networks = self.analysis.structure, self.networks
        if structure is None:
            return None
        rows = networks.heldout
        return Structure(
            networks.store,
            rows,
            networks.cohort["variant_contig"].values,
            np.where(self.structured, self.non_additive.heldout, np.nan),
            covariates_of(networks.cohort, rows),
            blocks=self.study.blocks,
            h=structure.h,
        )

    @cached_property
    def structured(self) -> NDArray[np.bool_]:
        """Traits whose listed pairs are tested by generalised least squares, (T,)."""
        if self.analysis.structure is None:
            return np.zeros(len(self.networks.traits), bool)
        return np.asarray(self.analysis.marginal.structured, dtype=bool)

    @cached_property
    def neighbourhoods(self) -> Neighbourhoods:
        """Variants in LD with each locus."""
        read, _ = ld_reader(self.networks.cohort, self.networks.discovery)
        return Neighbourhoods(read.columns, self.study.blocks, self.networks.ld_threshold)

    @cached_property
    def sidelights(self) -> Sidelights:
        """What the further tests of listed pairs need."""
        networks, scale = self.networks, self._scale
        groups = networks.split.groups[networks.discovery]
        curved = None
        if scale is not None:
            # Less what the link adds to the additive score, and then less the additive part.
            bend = scale.link - networks.fitted.out_of_fold["lasso"]
            rest = self._less_additive(networks.fitted.residual - bend).discovery
            curved = self.model.with_rest(rest)
        return Sidelights(
            groups=groups if np.unique(groups).size < groups.size else None,
            scale=curved,
            neighbours=cache(self.neighbourhoods),
            structure=self.analysis.structure,
            structured=self.structured,
        )

    @cached_property
    def sweeps(self) -> dict[str, list[ColumnSweep]] | None:
        """All pairs in the three tests, None above the limit."""
        if not self.exhaustive:
            logger.info(
                "%d pairs are more than --max-exhaustive-pairs %d: the network's screen picks the candidates",
                self.n_pairs, self.options.max_exhaustive_pairs,
            )  # fmt: skip
            return None
        # All of them where they are few: their squares are summed up to a variance.
        top = max(4 * self.options.top_pairs, 2000, self.n_pairs if self.n_pairs <= FEW else 0)
        kept = max(top, FEW, min(MOST_KEPT, KEPT // len(self.networks.traits)))
        return sweep_pairs(
            self.model, self.analysis.read_block, top=top, debiased_top=kept, progress=self._progress
        )

    @cached_property
    def prior(self) -> HeredityPrior | None:
        """Weights of the pairs; None with ``--prior none`` and where not every pair is tested."""
        if self.options.prior == "none" or self.sweeps is None:
            return None
        fitted = self.networks.fitted
        strength = locus_strength(
            self.study, fitted.lasso, np.nanstd(fitted.residual, axis=0), self.analysis.read_block
        )
        # Structure inflates the sweep's tests: the traits that need generalised least squares say nothing here.
        sweeps = [self.sweep("elm", t) for t in range(len(self.networks.traits))]
        exponent = choose_exponent(self.study, strength, sweeps)
        if exponent:
            logger.info("heredity prior: product of the loci's strengths to the power of %g", exponent)
        else:
            logger.info("heredity prior: the discovery samples give it no weight; ranks are by p-value")
        return HeredityPrior(strength, self.study.blocks, exponent)

    def sweep(self, kind: str, trait: int) -> ColumnSweep | None:
        """Sweep behind the table's p-values of a test, None where they come from elsewhere."""
        if self.sweeps is None or (kind == "elm" and self.analysis.structured()[trait]):
            return None
        return self.sweeps[kind][trait]

    def candidates(self, trait: int) -> Candidates:
        """Pairs to list for a trait, and why each."""
        if trait not in self._listed:
            self._listed[trait] = choose_candidates(self, trait)
        return self._listed[trait]

    def trait_frame(self, trait: int) -> pd.DataFrame:
        """Rows of the pairs table for one trait, those in LD among them."""
        return trait_rows(self, trait, self.candidates(trait))

    @cached_property
    def _frame(self) -> pd.DataFrame:
        return pd.concat([self.trait_frame(t) for t in range(len(self.networks.traits))], ignore_index=True)

    def frame(self) -> pd.DataFrame:
        """Rows of all traits."""
        return self._frame

    def listed(self, i: Ints, j: Ints) -> pd.DataFrame:
        """Rows of given pairs (P,) for all traits, in the columns of the pairs table.

        Where all pairs have not been swept yet, and are not few, they are not swept for these: q-values then take the
        given pairs for the strongest of the genome, which errs upwards, and there are no ranks.
        """
        i, j = np.minimum(i, j).astype(np.int64), np.maximum(i, j).astype(np.int64)
        given = Candidates(i, j, ["listed"] * i.size)
        frames = [trait_rows(self, t, given, given=True) for t in range(len(self.networks.traits))]
        return pd.concat(frames, ignore_index=True)

    @cached_property
    def _ablation(self) -> pd.DataFrame:
        return ablation_frame(self, self._yardsticks)

    def ablation(self) -> pd.DataFrame:
        """Rows of the listed pairs with each yardstick in the network's place, ``predictor`` says which."""
        return self._ablation

    def partners(self) -> pd.DataFrame:
        """The strongest pair of each variant and trait; see :func:`gp_elm.elm.pair_candidates.partner_rows`."""
        return partner_rows(self)
