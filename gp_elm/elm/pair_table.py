"""From an analysis to the table of pairs: which pairs are listed, and what their rows say."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gp_elm.association.inflation import p_value
from gp_elm.association.sweep_summary import ColumnSweep
from gp_elm.elm.additive import NonAdditive, take_out_additive
from gp_elm.elm.effects import Analysis
from gp_elm.elm.pair_evidence import KINDS, PairModel, sweep_pairs
from gp_elm.elm.pair_fits import HeldoutPairs, PairEffects, fit_pairs, sweep_q_values
from gp_elm.elm.reading import DosageReader, covariates_of
from gp_elm.elm.study import Floats
from gp_elm.errors import OptionError

logger = logging.getLogger(__name__)
Ints = NDArray[np.int64]
FEW = 20_000
"""Pairs of which the sweep keeps every one."""
SCREENED = 100
"""Pairs of the plug-in screen that are listed for each trait."""


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
    """

    max_exhaustive_pairs: int = 100_000_000
    top_pairs: int = 500
    max_ld: float = 0.1

    def __post_init__(self) -> None:
        if self.top_pairs < 1:
            raise OptionError(f"--top-pairs {self.top_pairs} lists nothing; give at least 1")
        if self.max_exhaustive_pairs < 0:
            raise OptionError(
                f"--max-exhaustive-pairs {self.max_exhaustive_pairs} is negative; give 0 or more"
            )
        if not 0 < self.max_ld <= 1:
            raise OptionError(f"--max-ld {self.max_ld:g} is no r2; give a number above 0, at most 1")


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
    """

    def __init__(
        self, analysis: Analysis, options: PairOptions, *, progress: Callable[[int, int], None] | None = None
    ) -> None:
        self.analysis, self.options, self._progress = analysis, options, progress
        self.networks, self.study = analysis.networks, analysis.study
        m = self.study.center.size
        self.n_pairs = m * (m - 1) // 2

    @property
    def exhaustive(self) -> bool:
        """Whether every pair is tested."""
        return self.n_pairs <= self.options.max_exhaustive_pairs

    @cached_property
    def non_additive(self) -> NonAdditive:
        """Traits less their additive part."""
        networks = self.networks
        found = take_out_additive(
            self.study,
            networks.fitted.residual,
            networks.fitted.out_of_fold["lasso"],
            networks.heldout,
            networks.heldout_residual,
            networks.heldout_prediction("lasso"),
        )
        logger.info("additive part of the traits, for the pairs: %s", found.method)
        return found

    @cached_property
    def model(self) -> PairModel:
        """Responses, weights and population effects."""
        return PairModel.build(
            self.study, self.analysis.population, self.non_additive.discovery, self.analysis.read_block
        )

    @cached_property
    def heldout(self) -> HeldoutPairs | None:
        """The held-out samples, None where there are none."""
        networks = self.networks
        if not networks.heldout.size:
            return None
        return HeldoutPairs(
            networks.heldout,
            DosageReader(networks.cohort, networks.heldout).columns,
            covariates_of(networks.cohort, networks.heldout),
            self.non_additive.heldout,
            self.analysis.population.heldout_interaction(networks.heldout),
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
        return sweep_pairs(self.model, self.analysis.read_block, top=top, progress=self._progress)

    def _candidates(self, trait: int) -> tuple[Ints, Ints, list[str]]:
        """Pairs to list for a trait, and why each."""
        lists: dict[str, tuple[Ints, Ints]] = {}
        if self.sweeps is not None:
            for kind in KINDS:
                top = self.sweeps[kind][trait].top
                lists[kind] = self._unlinked_first(top.i, top.j)
        sensitivities = self.analysis.sensitivities
        columns = sensitivities.columns
        size = SCREENED if self.exhaustive else 4 * self.options.top_pairs
        i, j = sensitivities.factors(trait).top(size)
        lists["screen"] = (columns[i], columns[j])
        m = self.study.center.size
        why: dict[int, list[str]] = {}
        for name, (i, j) in lists.items():
            for key in (i * m + j).tolist():
                why.setdefault(key, []).append(name)
        keys = np.fromiter(why, np.int64, len(why))
        return keys // m, keys % m, [";".join(words) for words in why.values()]

    def _unlinked_first(self, i: Ints, j: Ints) -> tuple[Ints, Ints]:
        """The strongest pairs of a list: so many of different blocks, and as many within blocks."""
        n = self.options.top_pairs
        inside = self.study.blocks[i] == self.study.blocks[j]
        keep = np.sort(np.r_[np.flatnonzero(~inside)[:n], np.flatnonzero(inside)[:n]])
        return i[keep], j[keep]

    def trait_frame(self, trait: int) -> pd.DataFrame:
        """Rows of the pairs table for one trait, those in LD among them."""
        i, j, why = self._candidates(trait)
        effects = fit_pairs(self.model, trait, i, j, self.networks.read.columns, self.heldout)
        frame = pd.DataFrame({"trait": self.networks.traits[trait], **self._identity(i, j)})
        frame["ld_r2"], frame["n"] = effects.ld_r2, effects.n.astype(np.int64)
        for test in effects.beta:
            frame[f"{test}_beta"] = effects.beta[test]
            frame[f"{test}_standard_error"] = effects.standard_error[test]
            frame[f"{test}_p_value"] = effects.p_value(test)
        m = self.study.center.size
        for kind in KINDS:
            p = frame[f"{kind}_p_value"].to_numpy()
            if self.sweeps is not None:
                q, rank = sweep_q_values(self.sweeps[kind][trait], i, j, p, m)
            else:
                q, rank = screened_q_values(p, self.n_pairs)
            frame[f"{kind}_q_value"] = q
            if kind == "elm":
                frame["elm_rank"] = pd.array(np.where(rank > 0, rank, 0), dtype="Int64")
                frame.loc[rank <= 0, "elm_rank"] = pd.NA
        frame["elm_sensitivity_slope"] = self._slopes(trait, i, j)
        frame["genotypic_p_value"] = effects.genotypic_p_value
        if "heldout_elm" in effects.beta:
            frame["heldout_n"] = pd.array(np.nan_to_num(effects.heldout_n).astype(np.int64), dtype="Int64")
            frame["verdict"] = effects.verdict()
        frame["selected_by"] = why
        frame["flags"] = self._flags(trait, effects)
        return frame

    def _slopes(self, trait: int, i: Ints, j: Ints) -> Floats:
        columns = self.analysis.sensitivities.columns
        at_i, at_j = np.searchsorted(columns, i), np.searchsorted(columns, j)
        at_i, at_j = np.minimum(at_i, columns.size - 1), np.minimum(at_j, columns.size - 1)
        known = (columns[at_i] == i) & (columns[at_j] == j)
        # A variant that no network reads has a sensitivity of its own that does not vary: slope 0.
        out = np.zeros(i.size)
        out[known] = self.analysis.sensitivities.factors(trait).slopes(at_i[known], at_j[known])
        return out

    def _flags(self, trait: int, effects: PairEffects) -> list[str | None]:
        population = self.analysis.structured()[trait]
        flags = []
        for ld, rare in zip(effects.ld_r2, effects.rare, strict=True):
            words = ["ld"] if ld > self.options.max_ld else []
            words += ["population"] if population else []
            words += ["rare"] if rare else []
            flags.append(";".join(words) or None)
        return flags

    def _identity(self, i: Ints, j: Ints) -> dict[str, object]:
        cohort = self.networks.cohort
        contig = cohort["contig_id"].values[cohort["variant_contig"].values]
        position = cohort["variant_position"].values
        out: dict[str, object] = {}
        for k, at in ((1, i), (2, j)):
            out |= {
                f"variant_id_{k}": cohort["variant_id"].values[at],
                f"chromosome_{k}": contig[at],
                f"base_pair_location_{k}": position[at].astype(np.int64),
                f"effect_allele_{k}": cohort["variant_effect_allele"].values[at],
                f"other_allele_{k}": cohort["variant_other_allele"].values[at],
            }
        near = (contig[i] == contig[j]) & (position[i] > 0) & (position[j] > 0)
        distance = pd.array(np.abs(position[i].astype(np.int64) - position[j]), dtype="Int64")
        distance[~near] = pd.NA
        return out | {"distance": distance}

    def frame(self) -> pd.DataFrame:
        """Rows of all traits."""
        return pd.concat([self.trait_frame(t) for t in range(len(self.networks.traits))], ignore_index=True)

    def partners(self) -> pd.DataFrame:
        """The strongest pair of each variant and trait: ``trait variant`` (index), partner, its effect and p-value."""
        parts = []
        ids = self.networks.cohort["variant_id"].values
        for t, trait in enumerate(self.networks.traits):
            if self.sweeps is None:
                continue
            found = self.sweeps["elm"][t].variants
            known = found.partner >= 0
            with np.errstate(divide="ignore", invalid="ignore"):
                p = p_value(found.beta / found.standard_error, self.sweeps["elm"][t].df)
            partner = np.full(known.size, None, dtype=object)
            partner[known] = ids[found.partner[known]]
            parts.append(
                pd.DataFrame(
                    {
                        "trait": trait,
                        "variant": np.arange(known.size),
                        "partner_variant_id": partner,
                        "partner_elm_beta": found.beta,
                        "partner_elm_p_value": p,
                    }
                )
            )
        names = ["trait", "variant", "partner_variant_id", "partner_elm_beta", "partner_elm_p_value"]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=names)


def screened_q_values(p: Floats, n_pairs: int) -> tuple[Floats, Ints]:
    """Benjamini-Hochberg q-values of candidates over all pairs of the genome, and ranks among the candidates."""
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    place = np.arange(1, order.size + 1)
    q, rank = np.full(p.size, np.nan), np.full(p.size, -1, np.int64)
    rank[order] = place
    ratio = p[order] * n_pairs / place
    q[order] = np.minimum(np.minimum.accumulate(ratio[::-1])[::-1], 1.0)
    return q, rank
