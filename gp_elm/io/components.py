"""Components of the variance table: unit, meaning, section of the method page; and when a cohort is structured."""

from __future__ import annotations

STRUCTURED = 1.5
"""`population_check` above which a cohort counts as structured."""
CHECK_ERRORS = 4.0
"""Standard errors by which it must exceed 1, where variants are few."""


def population_limit(n_variants: int) -> float:
    """`population_check`, a mean of so many z^2, above which a cohort counts as structured."""
    return max(STRUCTURED, 1 + CHECK_ERRORS * (2 / max(n_variants, 1)) ** 0.5)


COMPONENTS: dict[str, tuple[str, str, str]] = {
    "phenotypic_variance": ("trait units squared", "variance of the trait less the covariates", "7"),
    "heldout_r2_network": ("share", "r2 of the network's prediction in the held-out samples", "7"),
    "heldout_r2_ridge": ("share", "the same of ridge regression", "7"),
    "heldout_r2_lasso": ("share", "the same of the lasso", "7"),
    "heldout_r2_gblup_epistatic": ("share", "the same of GBLUP with K and K o K", "7"),
    "heldout_r2_heredity_kernel": (
        "share",
        "the same of the lasso and a kernel of products weighted by the lasso's effects",
        "7",
    ),
    "heldout_r2_product_lasso": ("share", "the same of a lasso on all loci and all products, where few", "7"),
    "heldout_r2_stacked": ("share", "the same of all predictors together, weights fitted out of fold", "7"),
    "heldout_r2_difference": ("share", "heldout_r2_network less heldout_r2_ridge", "7"),
    "heldout_r2_difference_lasso": (
        "share",
        "heldout_r2_network less heldout_r2_lasso; each further yardstick has its own",
        "7",
    ),
    "heldout_r2_network_fold_0": ("share", "r2 of one fold's network alone; each fold has its own", "7"),
    "stack_weight_network": ("", "weight of the network in the stack; each yardstick has its own", "7"),
    "captured_genetic_variance": (
        "trait units squared",
        "what the out-of-fold prediction explains; a lower bound",
        "7",
    ),
    "captured_non_additive_variance": ("trait units squared", "the same of its non-additive part", "7"),
    "additive_variance": ("trait units squared", "V_A", "3, 7"),
    "dominance_variance": ("trait units squared", "V_D", "3, 7"),
    "additive_by_additive_variance": ("trait units squared", "V_AA", "3, 7"),
    "additive_variance_haseman_elston": ("trait units squared", "V_A by Haseman-Elston regression", "7"),
    "dominance_variance_haseman_elston": ("trait units squared", "V_D by Haseman-Elston regression", "7"),
    "additive_by_additive_variance_haseman_elston": (
        "trait units squared",
        "V_AA by Haseman-Elston regression",
        "7",
    ),
    "additive_variance_debiased": (
        "trait units squared",
        "V_A, sum of debiased squared effects, where loci are fewer than samples and in equilibrium",
        "7",
    ),
    "dominance_variance_debiased": ("trait units squared", "V_D, the same", "7"),
    "additive_by_additive_variance_debiased": (
        "trait units squared",
        "V_AA, the same, where pairs are fewer than samples",
        "7",
    ),
    "specific_share": (
        "share",
        "of the network's gain, what no monotone change of the trait's scale gives",
        "7",
    ),
    "scale_link_r2": ("share", "r2 that a monotone link of the additive prediction adds, out of fold", "7"),
    "scale_tukey": ("", "Tukey's coefficient: the trait on the square of its additive prediction", "7"),
    "ablation_variance_ratio_product_lasso": (
        "",
        "mean squared error of the debiased pairs over the same with a product lasso in the network's place",
        "4, 7",
    ),
    "ablation_variance_ratio_heredity_kernel": ("", "the same with the heredity kernel", "4, 7"),
    "network_weight_additive": ("", "lambda of the marginal effects; 0 is the classical scan", "4"),
    "network_weight_dominance": ("", "lambda of the dominance deviations", "4"),
    "network_weight_pairs": ("", "lambda of the epistatic effects", "4"),
    "calibration_additive": (
        "",
        "slope of the held-out trait on the network's additive part; 1 is calibrated",
        "7",
    ),
    "calibration_interaction": ("", "slope on its non-additive part; not different from 0: unsupported", "7"),
    "population_check": ("", "mean z^2 of cohort against equilibrium effects; near 1 without structure", "4"),
    "structure_h": ("share", "h of the generalised least squares", "4"),
}
"""Components of ``variance``: unit, meaning, section. A further yardstick is ``heldout_r2_`` and its name."""
