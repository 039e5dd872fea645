"""Traits of a simulated cohort from its causal loci, and the truth about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gp_elm.errors import OptionError
from gp_elm.simulate.genotypes import VariantLayout
from gp_elm.simulate.options import SimulateOptions

KINDS = ("additive", "dominance", "epistatic")


@dataclass(frozen=True)
class CausalLoci:
    """Variants with an effect on one trait, as indices into the layout."""

    additive: np.ndarray
    """(loci,)."""
    dominance: np.ndarray
    """(loci,)."""
    pairs: np.ndarray
    """(pairs, 2)."""


@dataclass(frozen=True)
class SimulatedTraits:
    """Trait values and the truth behind them."""

    values: np.ndarray
    """(n, traits) float64, NaN where missing."""
    effects: pd.DataFrame
    variances: pd.DataFrame


def trait_names(options: SimulateOptions) -> list[str]:
    """Return the names of the traits."""
    return [f"trait_{t + 1}" for t in range(options.n_traits)]


def choose_causal_loci(
    options: SimulateOptions, layout: VariantLayout, rng: np.random.Generator
) -> list[CausalLoci]:
    """Choose the loci of each trait: one in an LD block as long as there are blocks, then anywhere.

    The first additive loci make the pairs, two by two as far as they go; the last ones have the dominance
    deviations too.
    """
    order = rng.permutation(options.n_variants)
    _, first = np.unique(layout.block[order], return_index=True)
    apart = np.zeros(len(order), dtype=bool)
    apart[first] = True
    queue = np.concatenate([order[apart], order[~apart]])
    chosen = []
    used = 0
    for t in range(options.n_traits):
        loci, taken = _choose(options, t, queue[used:], rng)
        chosen.append(loci)
        if not options.shared_loci:
            used += taken
    return chosen


def _choose(
    options: SimulateOptions, t: int, queue: np.ndarray, rng: np.random.Generator
) -> tuple[CausalLoci, int]:
    n_additive, n_dominance, n_pairs = (
        options.per_trait(f"n_{k}", t) for k in ("additive", "dominance", "pairs")
    )
    fresh_pairs = options.pure_epistasis or n_additive < 2
    n_partners = 2 * n_pairs if fresh_pairs else 0
    needed = max(n_additive, n_dominance) + n_partners
    if needed > len(queue):
        raise OptionError(
            f"trait_{t + 1} needs {needed} causal loci, but {len(queue)} variants are left; lower "
            "n_additive, n_dominance or n_pairs, or raise n_variants"
        )
    own, partners = queue[: needed - n_partners], queue[needed - n_partners : needed]
    pool = partners if fresh_pairs else own[: min(n_additive, 2 * n_pairs)]
    possible = len(pool) * (len(pool) - 1) // 2
    if n_pairs > possible:
        raise OptionError(
            f"trait_{t + 1} has {n_pairs} pairs, but {len(pool)} loci make {possible}; raise n_additive"
        )
    first, second = np.triu_indices(len(pool), 1)
    disjoint = (first % 2 == 0) & (second == first + 1)
    rest = np.flatnonzero(~disjoint)
    ranked = np.concatenate([np.flatnonzero(disjoint), rest[rng.permutation(len(rest))]])[:n_pairs]
    pairs = np.stack([pool[first[ranked]], pool[second[ranked]]], axis=1)
    loci = CausalLoci(
        additive=own[:n_additive], dominance=own[len(own) - n_dominance :], pairs=np.sort(pairs, axis=1)
    )
    return loci, needed


def simulate_traits(
    options: SimulateOptions,
    layout: VariantLayout,
    loci: list[CausalLoci],
    dosages: dict[int, np.ndarray],
    family: np.ndarray,
    covariates: np.ndarray,
    *,
    rng: np.random.Generator,
) -> SimulatedTraits:
    """Make the traits.

    A trait is the sum of a_i (g_i - mean) over the additive loci, d_i ([g_i = 1] less its regression on g_i)
    over the dominance loci, b_ij (g_i - mean)(g_j - mean) less its regression on both over the pairs, the
    covariates, the family's environment and noise; with loci in linkage equilibrium the parts are
    uncorrelated and each effect is the regression coefficient of that name. Each kind is scaled to its
    variance in this cohort.

    Parameters
    ----------
    options, layout, loci
        What to simulate; `loci` by trait.
    dosages : dict
        Complete dosages (n,) of every causal variant, by index.
    family : numpy.ndarray
        (n,) number of the family, -1 for none.
    covariates : numpy.ndarray
        (n, k) float64, standardised.
    rng : numpy.random.Generator
        Source of effects and noise.

    Returns
    -------
    SimulatedTraits
        Effects and variances are those before the monotone change of scale.
    """
    n = options.n_samples
    values = np.empty((n, options.n_traits))
    effect_rows: list[pd.DataFrame] = []
    variance_rows: list[tuple[str, str, float, float]] = []
    for t, name in enumerate(trait_names(options)):
        parts: dict[str, np.ndarray] = {}
        trait_rows = []
        for kind in KINDS:
            parts[_COMPONENT[kind]], rows = _genetic_part(options, t, kind, loci[t], layout, dosages, rng)
            trait_rows.append(rows.assign(trait=name))
        parts["shared_environment_variance"] = _family_part(
            options.per_trait("shared_environment", t), family, rng
        )
        left = 1 - sum(options.per_trait(share, t) for share in _SHARES)
        parts["noise_variance"] = np.sqrt(max(left, 0.0)) * rng.standard_normal(n)
        trait = sum(parts.values(), np.zeros(n))
        parts["covariate_variance"] = _covariate_part(
            options.per_trait("covariate_variance", t), covariates, rng
        )
        phenotypic = float(trait.var())
        effect_rows += [rows.assign(variance_share=rows.pop("variance") / phenotypic) for rows in trait_rows]
        for component, part in (parts | {"phenotypic_variance": trait}).items():
            variance_rows.append((name, component, float(part.var()), float(part.var()) / phenotypic))
        values[:, t] = _change_scale(trait + parts["covariate_variance"], options.scale)
        values[rng.random(n) < options.missing_phenotypes, t] = np.nan
    columns = ["trait", "kind", *_IDENTITY, "beta", "variance_share"]
    return SimulatedTraits(
        values=values,
        effects=pd.concat(effect_rows, ignore_index=True)[columns],
        variances=pd.DataFrame(variance_rows, columns=["trait", "component", "value", "share"]),
    )


_SHARES = ("additive_variance", "dominance_variance", "additive_by_additive_variance", "shared_environment")
_COMPONENT = dict(zip(KINDS, _SHARES[:3], strict=True))
_IDENTITY = ["variant_id_1", "effect_allele_1", "variant_id_2", "effect_allele_2"]


def _genetic_part(
    options: SimulateOptions,
    t: int,
    kind: str,
    loci: CausalLoci,
    layout: VariantLayout,
    dosages: dict[int, np.ndarray],
    rng: np.random.Generator,
) -> tuple[np.ndarray, pd.DataFrame]:
    first, second = _identities(kind, loci)
    count = len(first)
    signs = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    weights = signs * (np.abs(rng.standard_normal(count)) if options.effect_distribution == "normal" else 1.0)
    beta, deviation = np.zeros(count), np.zeros(count)
    part = np.zeros(options.n_samples)
    for k, feature in enumerate(_features(kind, loci, dosages)):
        deviation[k] = feature.std()
        # a locus that happens to be monomorphic here has no effect to speak of
        if deviation[k] > 1e-9:
            beta[k] = weights[k] / deviation[k]
            part += beta[k] * feature
    share = options.per_trait(_COMPONENT[kind], t)
    spread = part.std()
    if share > 0 and spread == 0:
        raise OptionError(
            f"trait_{t + 1}: every {kind} locus is monomorphic; raise minimum_frequency or n_samples"
        )
    factor = np.sqrt(share) / spread if share > 0 else 0.0
    beta, part = beta * factor, part * factor
    rows = pd.DataFrame(
        {
            "kind": kind,
            "variant_id_1": layout.variant_id[first],
            "effect_allele_1": layout.effect_allele[first],
            "variant_id_2": layout.variant_id[second] if second is not None else None,
            "effect_allele_2": layout.effect_allele[second] if second is not None else None,
            "beta": beta,
            "variance": (beta * deviation) ** 2,
        }
    )
    return part, rows


def _features(kind: str, loci: CausalLoci, dosages: dict[int, np.ndarray]) -> Iterator[np.ndarray]:
    def centred(j: int) -> np.ndarray:
        return dosages[j] - dosages[j].mean()

    if kind == "additive":
        yield from (centred(j) for j in loci.additive)
    elif kind == "dominance":
        yield from (_less_regression((dosages[j] == 1).astype(float), centred(j)) for j in loci.dominance)
    else:
        yield from (_less_regression(centred(i) * centred(j), centred(i), centred(j)) for i, j in loci.pairs)


def _less_regression(feature: np.ndarray, *others: np.ndarray) -> np.ndarray:
    feature = feature - feature.mean()
    for other in others:
        square = (other * other).sum()
        if square > 0:
            feature = feature - other * ((other * feature).sum() / square)
    return feature


def _identities(kind: str, loci: CausalLoci) -> tuple[np.ndarray, np.ndarray | None]:
    if kind == "epistatic":
        return loci.pairs[:, 0], loci.pairs[:, 1]
    return (loci.additive if kind == "additive" else loci.dominance), None


def _family_part(share: float, family: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    # samples without a family have an environment of their own
    home = np.where(family >= 0, family, family.max(initial=-1) + 1 + np.arange(len(family)))
    return np.sqrt(share) * rng.standard_normal(int(home.max()) + 1)[home]


def _covariate_part(variance: float, covariates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    weights = rng.standard_normal(covariates.shape[1])
    part = (covariates * weights).sum(axis=1)
    return part * (np.sqrt(variance) / part.std()) if variance > 0 else np.zeros(len(part))


def _change_scale(trait: np.ndarray, scale: str) -> np.ndarray:
    if scale == "exp":
        return np.exp(trait)
    if scale == "cube":
        return trait**3
    if scale == "sigmoid":
        return 1 / (1 + np.exp(-trait))
    return trait
