"""Paragraphs for the methods section of a paper."""

from __future__ import annotations

from typing import Any

from gp_elm.report.summary import TraitSummary
from gp_elm.report.words import joined, predictor


def methods_paragraphs(run: dict[str, Any], summaries: list[TraitSummary]) -> list[str]:
    """Say in words what the run did: the networks and their effects, the pairs, the variances.

    Parameters
    ----------
    run : dict
        As for :func:`gp_elm.report.page.write_report`.
    summaries : list of TraitSummary

    Returns
    -------
    list of str
    """
    return [
        _networks(run, summaries),
        _effects(run, summaries),
        _pairs(run, summaries),
        _variances(summaries),
    ]


def _networks(run: dict[str, Any], summaries: list[TraitSummary]) -> str:
    version = f" {run['version']}" if run.get("version") else ""
    samples = ""
    if run.get("n_discovery") and run.get("n_heldout"):
        samples = f" of {int(run['n_discovery']):,} discovery samples; {int(run['n_heldout']):,} samples were held out"
    folds = f" in {run['n_folds']} folds" if run.get("n_folds") else ""
    groups = f", groups ({run['groups']}) kept whole" if run.get("groups") else ""
    network = f" ({run['network']})" if run.get("network") else ""
    seen = ""
    if run.get("n_variants_network"):
        seen = (
            f" They saw {int(run['n_variants_network']):,} of {int(run['n_variants']):,} variants, chosen without the "
            f"traits: {run['variants_network']}; the scan was of all."
        )
    error = run.get("reconstruction_error")
    exact = (
        f"; largest error {float(error):.0e} of its standard deviation" if isinstance(error, float) else ""
    )
    others = dict.fromkeys(n for s in summaries for n in s.r2 if n not in ("network", "stacked"))
    yardsticks = [predictor(n) for n in others] or ["ridge", "lasso"]
    stack = (
        " A stack of all predictors was fitted by non-negative least squares to the out-of-fold predictions."
        if any("stacked" in s.r2 for s in summaries)
        else ""
    )
    return (
        f"Genotype-to-phenotype networks{network} were cross-fitted with gp_elm{version}{folds}{samples}{groups}."
        f"{seen} On the same folds ran {joined(yardsticks)}; covariates were taken out within the training "
        f"folds.{stack} Each "
        "fold network was checked to equal its own frozen linear map (equivalent linear "
        f"mapping{exact})."
    )


def _effects(run: dict[str, Any], summaries: list[TraitSummary]) -> str:
    inputs = run.get("inputs", {})
    if any(str(name).startswith("gwas ") for name in inputs):
        classical = "GWAS columns are those of the files given, with their samples and errors: no scan of this cohort."
    else:
        less = " of the traits less REGENIE's predictions without the chromosome" if "pred" in inputs else ""
        scan = f"ordinary least squares{less}, with the covariates"
        classical = f"GWAS columns are {scan}, on complete cases of the same samples."
    text = (
        "ELM effects are cross-prediction-powered estimates: the regression coefficient of the trait less the weighted "
        "out-of-fold prediction, plus the weight times the same coefficient of the networks in a population with "
        "linkage blocks in equilibrium; the weight was tuned on the other folds and is 0 where the network does not "
        f"help. {classical}"
    )
    generalised = [s for s in summaries if s.structured and s.generalised]
    if not generalised:
        return text
    reasons = [
        f"{s.trait} {s.component('population_check').value:.2f}, h {s.component('structure_h').value:.2f}"
        for s in generalised
    ]
    return (
        f"{text} Effects were run as generalised least squares, with a share h of the residual variance in proportion "
        "to the relatedness matrix (chromosome left out for marginal effects; h by restricted maximum likelihood of "
        "the trait), because the network's effects in the cohort and in equilibrium differ by more than their error "
        f"(population check, h: {joined(reasons, limit=20)})."
    )


def _pairs(run: dict[str, Any], summaries: list[TraitSummary]) -> str:
    tested = max((s.pairs.tested for s in summaries), default=0)
    among = f" among {tested:,} pairs" if tested else ""
    additive = f" ({run['additive_part']})" if run.get("additive_part") else ""
    text = (
        f"For pairs the additive part{additive} was taken out of trait and network first; interaction tests are the "
        f"coefficient of the product of both dosages beside both dosages and the covariates{among}. False discovery "
        "rates are Benjamini and Hochberg's, per trait. A pair counts as replicated where the held-out samples, used "
        "by no network, agree in sign and reject zero. Listed pairs were tested again with robust errors, given the "
        "leading components of both LD neighbourhoods, and on the trait less a monotone link of its out-of-fold "
        "additive prediction."
    )
    if any(s.pairs.weighted >= 0 for s in summaries):
        text += (
            " A second ranking weights p-values by a heredity prior, the product of both loci's additive effects, its "
            "strength chosen inside the discovery samples."
        )
    if any(s.context.tested for s in summaries):
        text += (
            " A locus's dependence on the rest of the genome was tested by joining the sum of its squared pair effects "
            "and its smallest p-value."
        )
    names = dict.fromkeys(n for s in summaries for n in s.ablations)
    if names:
        text += f" The same estimator was run with the {joined([predictor(n) for n in names])} in the network's place."
    return text


def _variances(summaries: list[TraitSummary]) -> str:
    methods = dict.fromkeys(
        e.method for s in summaries for e in [s.component("additive_variance")] if e.known and e.method
    )
    genetic = (
        f"Additive, dominance and additive-by-additive variances: {joined(list(methods))}. "
        if methods
        else ""
    )
    return (
        f"{genetic}Variance captured by a predictor f is 2 Cov(y, f) − Var(f) out of fold; its interval, and that of "
        "held-out r², is a bootstrap over samples, or over whole groups where there are any."
    )
