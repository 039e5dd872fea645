"""The columns of the result tables: the one place where their names, order, types and meanings stand."""

from __future__ import annotations

from typing import NamedTuple


class Column(NamedTuple):
    """One column of a result table."""

    name: str
    dtype: str
    """``string``, ``float64``, ``int64``, or ``Int64`` for whole numbers that can be missing."""
    unit: str
    doc: str
    section: str = ""
    """Section of the method page that defines it."""
    filled: bool = True
    """False where this version leaves it NA."""


_EFFECT = "trait units per copy of the effect allele"
_PAIR = "trait units per product of copies"
_SIX, _FOUR = "6", "4"


def _test(
    prefix: str, unit: str, what: str, section: str, *, filled: bool = True, q: str = ""
) -> tuple[Column, ...]:
    columns = [
        Column(f"{prefix}beta", "float64", unit, what, section, filled),
        Column(
            f"{prefix}standard_error", "float64", unit, f"standard error of {prefix}beta", section, filled
        ),
        Column(f"{prefix}p_value", "float64", "", f"two-sided p-value of {prefix}beta = 0", section, filled),
    ]
    if q:
        columns.append(Column(f"{prefix}q_value", "float64", "", q, section, filled))
    return tuple(columns)


def _marginal(prefix: str, what: str, section: str) -> tuple[Column, ...]:
    beta, error, p = _test(prefix, _EFFECT, what, section)
    log = Column(
        f"{prefix}neg_log_10_p_value",
        "float64",
        "",
        f"-log10 of {prefix}p_value, exact where that is 0",
        section,
    )
    q = Column(
        f"{prefix}q_value",
        "float64",
        "",
        "Benjamini-Hochberg q-value over the variants of the trait",
        section,
    )
    return beta, error, p, log, q


VARIANTS: tuple[Column, ...] = (
    Column("trait", "string", "", "name of the trait"),
    Column("chromosome", "string", "", "name of the chromosome, as in the source"),
    Column("base_pair_location", "int64", "base pairs", "1-based position, 0 where unplaced"),
    Column("variant_id", "string", "", "identifier of the variant, as in the source"),
    Column("effect_allele", "string", "", "the allele that dosage and every effect count (BIM column 5)"),
    Column("other_allele", "string", "", "the other allele (BIM column 6)"),
    Column(
        "effect_allele_frequency", "float64", "share", "frequency of the effect allele in the samples used"
    ),
    Column("n", "Int64", "samples", "samples used: with a call, the trait and every covariate"),
    Column(
        "missing_rate",
        "float64",
        "share",
        "missing calls, among the samples with the trait and every covariate",
    ),
    *_marginal("gwas_", "marginal effect by linear regression on the dosage and the covariates", _SIX),
    *_marginal("elm_", "debiased marginal effect: gwas_beta, freed of the cohort's structure", _FOUR),
    Column(
        "elm_sensitivity_mean",
        "float64",
        _EFFECT,
        "mean locus sensitivity of the network; a screen, no test",
        "3",
    ),
    Column(
        "elm_sensitivity_sd",
        "float64",
        _EFFECT,
        "standard deviation of the locus sensitivity over the samples; a diagnostic, no test",
        "5",
    ),
    Column(
        "elm_dominance",
        "float64",
        "trait units",
        "debiased dominance deviation: heterozygote less mid-homozygote",
        "3, 4",
    ),
    Column(
        "elm_dominance_standard_error", "float64", "trait units", "standard error of elm_dominance", _FOUR
    ),
    Column("elm_dominance_p_value", "float64", "", "two-sided p-value of elm_dominance = 0", _FOUR),
    Column(
        "context_p_value",
        "float64",
        "",
        "does the locus's effect depend on any other locus in the genome, its own LD block left out",
        "5",
    ),
    Column("partner_variant_id", "string", "", "the other locus of its strongest pair", _FOUR),
    Column("partner_elm_beta", "float64", _PAIR, "elm_beta of that pair", _FOUR),
    Column(
        "partner_elm_p_value",
        "float64",
        "",
        "elm_p_value of that pair, as it is; NA in a structured cohort",
        _FOUR,
    ),
    Column("annotation", "string", "", "gene and consequence", "", False),
    Column("flags", "string", "", "words joined by `;`, NA where none: see Flags"),
)
"""Columns of ``variants``: one row per variant and trait."""


def _identity(k: int) -> tuple[Column, ...]:
    nth = "first" if k == 1 else "second"
    return (
        Column(f"variant_id_{k}", "string", "", f"identifier of the {nth} variant"),
        Column(f"chromosome_{k}", "string", "", f"chromosome of the {nth} variant"),
        Column(
            f"base_pair_location_{k}",
            "int64",
            "base pairs",
            f"position of the {nth} variant, 0 where unplaced",
        ),
        Column(f"effect_allele_{k}", "string", "", f"effect allele of the {nth} variant"),
        Column(f"other_allele_{k}", "string", "", f"other allele of the {nth} variant"),
    )


_ALL_PAIRS = "Benjamini-Hochberg q-value over all pairs of the trait that were tested, not over those listed"

PAIRS: tuple[Column, ...] = (
    Column("trait", "string", "", "name of the trait"),
    *_identity(1),
    *_identity(2),
    Column("ld_r2", "float64", "", "squared correlation of the two dosages in the samples used", _SIX),
    Column(
        "distance", "Int64", "base pairs", "between the two variants; NA on two chromosomes or where unplaced"
    ),
    Column("n", "int64", "samples", "samples used: with both calls, the trait and every covariate"),
    *_test("elm_", _PAIR, "debiased epistatic effect (additive by additive)", _FOUR, q=_ALL_PAIRS),
    Column(
        "elm_robust_standard_error",
        "float64",
        _PAIR,
        "standard error of elm_beta, clustered by group or, without groups, robust to unequal variances (HC3); of "
        "ordinary least squares in a structured cohort too",
        _SIX,
    ),
    Column("elm_robust_p_value", "float64", "", "two-sided p-value of elm_beta = 0 by that error", _SIX),
    Column(
        "scale_p_value",
        "float64",
        "",
        "p-value of the debiased effect on the trait less a monotone link of its additive prediction",
        "7",
    ),
    Column(
        "elm_sensitivity_slope",
        "float64",
        _PAIR,
        "slope of one locus's sensitivity on the other's dosage, symmetrised; a screen, no test",
        "2, 3",
    ),
    *_test(
        "interaction_", _PAIR, "classical: coefficient of g_1 g_2 beside both dosages", _SIX, q=_ALL_PAIRS
    ),
    *_test(
        "interaction_residual_",
        _PAIR,
        "the same on the trait less its cross-fitted additive part",
        _SIX,
        q=_ALL_PAIRS,
    ),
    *_test(
        "conditional_",
        _PAIR,
        "interaction_residual_beta given the LD neighbourhoods of both loci; NA in a structured cohort",
        _SIX,
    ),
    Column(
        "heldout_n", "Int64", "samples", "held-out samples with both calls, the trait and every covariate"
    ),
    *_test("heldout_interaction_", _PAIR, "interaction_beta in the held-out samples alone", _SIX),
    *_test(
        "heldout_elm_", _PAIR, "elm_beta in the held-out samples, with networks that never saw them", _FOUR
    ),
    Column(
        "verdict",
        "string",
        "",
        "in the held-out samples: `replicated`, `not_replicated` or `untestable`",
        _FOUR,
    ),
    Column(
        "heldout_power",
        "float64",
        "share",
        "chance that the held-out samples show the discovery effect, shrunk, at p < .05",
        _FOUR,
    ),
    Column(
        "genotypic_p_value",
        "float64",
        "",
        "p-value of all interaction terms together (up to 4 df in diploids)",
        _SIX,
    ),
    Column(
        "elm_rank",
        "Int64",
        "",
        "rank by elm_p_value among all pairs of the trait that were tested, 1 the smallest",
    ),
    Column(
        "prior_rank",
        "Int64",
        "",
        "rank by elm_p_value weighted with the heredity prior; NA where a pair that is not kept could come before",
        _FOUR,
    ),
    Column(
        "elm_weighted_q_value",
        "float64",
        "",
        "Benjamini-Hochberg q-value of elm_p_value weighted with the heredity prior",
        _FOUR,
    ),
    Column(
        "selected_by",
        "string",
        "",
        "why the pair is listed: tests and screens joined by `;`, `prior`, or `listed` by the user",
    ),
    Column("flags", "string", "", "words joined by `;`, NA where none: see Flags"),
)
"""Columns of ``pairs`` and ``pairs_ld``: one row per reported pair and trait."""

VARIANCE: tuple[Column, ...] = (
    Column("trait", "string", "", "name of the trait"),
    Column("component", "string", "", "what is estimated: see Components"),
    Column("estimate", "float64", "by component", "the estimate"),
    Column("standard_error", "float64", "by component", "its standard error"),
    Column("ci_lower", "float64", "by component", "lower end of the 95 % confidence interval"),
    Column("ci_upper", "float64", "by component", "upper end of the 95 % confidence interval"),
    Column("method", "string", "", "how it was estimated, in words"),
)
"""Columns of ``variance``: one row per trait and component."""

ABLATION: tuple[Column, ...] = (
    Column("predictor", "string", "", "the predictor that stands in the network's place"),
    *PAIRS,
)
"""Columns of ``ablation``: the pairs with a lasso or a kernel in the network's place."""

TABLES: dict[str, tuple[Column, ...]] = {
    "variants": VARIANTS,
    "pairs": PAIRS,
    "ablation": ABLATION,
    "variance": VARIANCE,
}
"""The result tables; ``pairs_ld`` has the columns of ``pairs``."""

FLAGS: dict[str, str] = {
    "monomorphic": "variants: one genotype only among the samples used; its effects are NA",
    "ambiguous_alleles": "variants: both alleles have the same name",
    "collinear": "variants: the dosage is a combination of the covariates; its effects are NA",
    "scale": "pairs: gone once a monotone change of the trait's scale is allowed for",
    "ld": "pairs: the two loci are in linkage disequilibrium",
    "joint_tagging": "pairs: an untyped variant in one or both of their LD blocks could be the cause",
    "population": "the cohort's structure disturbs the effect (population_check)",
    "rare": "pairs: too few samples with both effect alleles for the p-value to be trusted",
    "robust_error": "pairs: found by its standard error, not by the robust one (errors unequal, or shared in groups)",
}
"""Words of the ``flags`` columns."""

SECTIONS: dict[str, str] = {
    "2": "factored sensitivities",
    "3": "estimands",
    "4": "the debiased effect",
    "5": "context dependence of a locus",
    "6": "the classical side",
    "7": "variance components, calibration, yardsticks",
}
"""Sections of the method page."""
