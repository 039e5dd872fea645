"""A paragraph for the methods section of a paper."""

from __future__ import annotations

from typing import Any

from gp_elm.report.summary import TraitSummary


def methods_paragraph(run: dict[str, Any], summaries: list[TraitSummary]) -> str:
    """Say in words what the run did.

    Parameters
    ----------
    run : dict
        As for :func:`gp_elm.report.page.write_report`.
    summaries : list of TraitSummary

    Returns
    -------
    str
    """
    version = f" {run['version']}" if run.get("version") else ""
    samples = ""
    if run.get("n_discovery") and run.get("n_heldout"):
        samples = f" of {int(run['n_discovery']):,} discovery samples; {int(run['n_heldout']):,} samples were held out"
    folds = f" in {run['n_folds']} folds" if run.get("n_folds") else ""
    groups = f", groups ({run['groups']}) kept whole" if run.get("groups") else ""
    network = f" ({run['network']})" if run.get("network") else ""
    error = run.get("reconstruction_error")
    exact = (
        f"; largest error {float(error):.0e} of its standard deviation" if isinstance(error, float) else ""
    )
    tested = max((s.pairs.tested for s in summaries), default=0)
    pairs = f" among {tested:,} pairs" if tested else ""
    return (
        f"Genotype-to-phenotype networks{network} were cross-fitted with gp_elm{version}{folds}{samples}{groups}. "
        "Ridge regression and the lasso were fitted on the same folds; covariates were taken out within the training "
        "folds. Each fold network was checked to equal its own frozen linear map (equivalent linear "
        f"mapping{exact}). ELM effects are cross-prediction-powered estimates: the regression coefficient of the "
        "trait less the weighted out-of-fold prediction, plus the weight times the same coefficient of the networks "
        "in a population with linkage blocks in equilibrium; the weight was tuned on the other folds and is 0 where "
        "the network does not help. For pairs the additive part was taken out of trait and network first. GWAS "
        "columns are ordinary least squares with the covariates on complete cases of the same samples; interaction "
        "tests are the coefficient of the product of both dosages beside both dosages and the "
        f"covariates{pairs}. False discovery rates are Benjamini and Hochberg's, per trait. A pair counts as "
        "replicated where the held-out samples, used by no network, agree in sign and reject zero."
    )
