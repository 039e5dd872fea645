"""Which pairs are listed, and the strongest partner of each locus."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from gp_elm.association.inflation import p_value
from gp_elm.elm.pair_effects import Ints
from gp_elm.elm.pair_evidence import KINDS

if TYPE_CHECKING:
    from gp_elm.elm.pair_table import PairAnalysis

SCREENED = 100
"""Pairs of the plug-in screen that are listed for each trait."""


class Candidates(NamedTuple):
    """Pairs to list: variants ``i`` < ``j`` (P,), and ``why`` each is listed, words joined by ``;``."""

    i: Ints
    j: Ints
    why: list[str]


def choose_candidates(pairs: PairAnalysis, trait: int) -> Candidates:
    """Pairs to list for a trait: the strongest by each test, by the prior and by the plug-in screen.

    Parameters
    ----------
    pairs : PairAnalysis
        The analysis.
    trait : int
        Which trait.
    """
    lists: dict[str, tuple[Ints, Ints]] = {}
    if pairs.sweeps is not None:
        for kind in KINDS:
            top = pairs.sweeps[kind][trait].top
            lists[kind] = _unlinked_first(pairs, top.i, top.j)
        if pairs.prior is not None:
            sweep = pairs.sweeps["elm"][trait]
            order = pairs.prior.order(trait, sweep)
            lists["prior"] = _unlinked_first(pairs, sweep.top.i[order], sweep.top.j[order])
    sensitivities = pairs.analysis.sensitivities
    columns = sensitivities.columns
    size = SCREENED if pairs.exhaustive else 4 * pairs.options.top_pairs
    i, j = sensitivities.factors(trait).top(size)
    lists["screen"] = (columns[i], columns[j])
    m = pairs.study.center.size
    why: dict[int, list[str]] = {}
    for name, (i, j) in lists.items():
        for key in (i * m + j).tolist():
            why.setdefault(key, []).append(name)
    keys = np.fromiter(why, np.int64, len(why))
    return Candidates(keys // m, keys % m, [";".join(words) for words in why.values()])


def _unlinked_first(pairs: PairAnalysis, i: Ints, j: Ints) -> tuple[Ints, Ints]:
    """The strongest pairs of a list: so many of different blocks, and as many within blocks."""
    n = pairs.options.top_pairs
    inside = pairs.study.blocks[i] == pairs.study.blocks[j]
    keep = np.sort(np.r_[np.flatnonzero(~inside)[:n], np.flatnonzero(inside)[:n]])
    return i[keep], j[keep]


def partner_rows(pairs: PairAnalysis) -> pd.DataFrame:
    """The strongest pair of each variant and trait.

    Parameters
    ----------
    pairs : PairAnalysis
        The analysis.

    Returns
    -------
    pandas.DataFrame
        ``trait``, ``variant`` (index), ``partner_variant_id``, ``partner_elm_beta``, ``partner_elm_p_value`` (NA in a
        structured cohort); no row where the pairs were not swept.
    """
    names = ["trait", "variant", "partner_variant_id", "partner_elm_beta", "partner_elm_p_value"]
    if pairs.sweeps is None:
        return pd.DataFrame(columns=names)
    ids = pairs.networks.cohort["variant_id"].values
    parts = []
    for trait, sweep, structured in zip(
        pairs.networks.traits, pairs.sweeps["elm"], pairs.analysis.structured(), strict=True
    ):
        found = sweep.variants
        known = found.partner >= 0
        with np.errstate(divide="ignore", invalid="ignore"):
            p = p_value(found.beta / found.standard_error, sweep.df)
        beta = found.beta
        if structured:
            # The sweep is ordinary least squares; the rows of listed pairs are not.
            beta, p = np.full(beta.shape, np.nan), np.full(p.shape, np.nan)
        partner = np.full(known.size, None, dtype=object)
        partner[known] = ids[found.partner[known]]
        values = [trait, np.arange(known.size), partner, beta, p]
        parts.append(pd.DataFrame(dict(zip(names, values, strict=True))))
    return pd.concat(parts, ignore_index=True)
