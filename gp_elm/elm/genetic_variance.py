"""Rows of the variance table that no network has a part in: V_A, V_AA and V_D by REML and Haseman-Elston."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gp_elm.elm.fit import Networks
from gp_elm.predictors.variance_components import (
    REML_SAMPLES,
    VarianceComponents,
    component_rows,
    fit_components,
    genetic_kernels,
    haseman_elston,
    kernel_samples,
)

LEAST_SAMPLES = 50
"""Fewer samples say nothing of variance components."""


def genetic_components(networks: Networks) -> pd.DataFrame:
    """Genetic variance components of every trait in the discovery samples.

    Parameters
    ----------
    networks : Networks
        Of which the cohort, the split and the store are used.

    Returns
    -------
    pandas.DataFrame
        Columns of the variance table; no rows where there are fewer than :data:`LEAST_SAMPLES` samples.
    """
    names = ["trait", "component", "estimate", "standard_error", "ci_lower", "ci_upper", "method"]
    groups = networks.split.groups[networks.discovery]
    dominance = bool((networks.study.ploidy > 1).any())
    covariates = networks.study.covariates
    complete = bool(np.isfinite(networks.study.traits).all()) and (
        covariates is None or bool(np.isfinite(covariates).all())
    )
    limit = kernel_samples(3 if dominance else 2, complete=complete)
    taken = component_rows(groups, seed=networks.seed, limit=limit)
    if taken.size < LEAST_SAMPLES:
        return pd.DataFrame(columns=names)
    samples = networks.discovery[taken]
    kernels = genetic_kernels(networks.store, samples, dominance=dominance)
    traits = networks.study.traits[taken]
    covariates = None if covariates is None else covariates[taken]
    # What is projected out once is projected out for good: the second fit finds the kernels as the first left them.
    options: dict[str, Any] = {"covariates": covariates, "seed": networks.seed, "overwrite": True}
    moments = haseman_elston(kernels, traits, **options)
    # Too many for a likelihood: both are the regression then, which takes minutes.
    likelihood = moments if taken.size > REML_SAMPLES else fit_components(kernels, traits, **options)
    rows: list[dict[str, object]] = []
    for t, trait in enumerate(networks.traits):
        for found, suffix in ((likelihood, ""), (moments, "_haseman_elston")):
            for k, name in enumerate(found.names[:-1]):
                row = _row(found, t, k, of=networks.discovery.size)
                rows.append({"trait": trait, "component": f"{name}_variance{suffix}", **row})
    return pd.DataFrame(rows, columns=names)


def _row(found: VarianceComponents, t: int, k: int, *, of: int) -> dict[str, object]:
    estimate, error = float(found.estimates[t, k]), float(found.standard_errors[t, k])
    kernels = ", ".join(name.replace("_", " ") for name in found.names[:-1])
    words = [f"{found.method}; kernels {kernels}"]
    if found.n[t] < of:
        words.append(f"{found.n[t]} samples")
    if found.at_boundary[t, k]:
        words.append("at the boundary")
    if not found.converged[t] and np.isfinite(estimate):
        words.append("not converged")
    return {
        "estimate": estimate,
        "standard_error": error,
        "ci_lower": estimate - 1.96 * error,
        "ci_upper": estimate + 1.96 * error,
        "method": "; ".join(words),
    }
