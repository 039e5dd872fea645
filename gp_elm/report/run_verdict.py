"""The verdict over several traits in words."""

from __future__ import annotations

import math
from statistics import fmean

from gp_elm.report.pair_verdict import ablation_figures
from gp_elm.report.statement import Statement
from gp_elm.report.summary import Ablation, TraitSummary
from gp_elm.report.verdict import GENETIC, NO_WEIGHT, of_trait
from gp_elm.report.words import count, joined, minus, percent, predictor, tally, the


def of_run(summaries: list[TraitSummary]) -> list[Statement]:
    """The verdict over several traits; of one trait, that trait's own."""
    if len(summaries) == 1:
        return of_trait(summaries[0])
    return [
        *_scale(summaries),
        *_no_result(summaries),
        *_predictions(summaries),
        *_supported(summaries),
        *_ablations(summaries),
        *_pairs(summaries),
        *_loci(summaries),
        *_variance(summaries),
        *_structure(summaries),
    ]


def _scale(summaries: list[TraitSummary]) -> list[Statement]:
    names = [s.trait for s in summaries if s.made_by_scale]
    if not names:
        return []
    where = "every trait" if len(names) == len(summaries) else joined(names)
    return [
        Statement(
            "no",
            f"In {where} the trait's scale makes the interactions: they say little of particular pairs of loci. "
            "Transform to a scale on which effects add up, and run again.",
        )
    ]


def _no_result(summaries: list[TraitSummary]) -> list[Statement]:
    n, statements = len(summaries), []
    without = [s.trait for s in summaries if not s.has_elm_result]
    if without:
        text = "This run is no ELM result: " if len(without) == n else f"No ELM result in {joined(without)}: "
        statements.append(Statement("no", text + NO_WEIGHT))
    linear = [s.trait for s in summaries if s.has_elm_result and s.linear_only]
    if linear:
        where = "In every trait" if len(linear) == n else f"In {joined(linear)}"
        text = (
            f"{where} the network lives on its linear part and this is no ELM result: in the held-out samples it adds "
            "nothing beyond the lasso, and its interactions are not supported."
        )
        statements.append(Statement("no", text))
    return statements


def _predictions(summaries: list[TraitSummary]) -> list[Statement]:
    n = len(summaries)
    rivals = list(dict.fromkeys(name for s in summaries for name in s.rivals))
    means = {}
    for name in dict.fromkeys(name for s in summaries for name in s.r2):
        values = [s.r2[name].value for s in summaries if name in s.r2 and s.r2[name].known]
        if values:
            means[name] = fmean(values)
    detail = ""
    if means:
        shown = joined([f"{predictor(name)} {percent(value)}" for name, value in means.items()])
        detail = f"Mean explained variance of the held-out samples over {n} traits: {shown}."
    if not rivals:
        return [Statement("info", detail or "No held-out prediction could be scored.")]
    best = [s.trait for s in summaries if s.rivals and not s.losing and not s.equals]
    which = _which(best, [s.trait for s in summaries if s.trait not in best])
    text = f"The network predicts better than {'every yardstick' if len(rivals) > 1 else the(rivals)} in "
    text += f"{len(best)} of {n} traits{which}."
    parts = []
    for name in rivals:
        better = sum(s.rivals[name].positive for s in summaries if name in s.rivals)
        worse = [s.trait for s in summaries if name in s.losing]
        parts.append(
            f"{predictor(name)} in {better}" + (f" (worse in {len(worse)}: {joined(worse)})" if worse else "")
        )
    detail = f"Better than {joined(parts)}. {detail}"
    losing = [s.trait for s in summaries if s.losing]
    mood = "yes" if 2 * len(best) > n else "no" if losing or not best else "caution"
    return [Statement(mood, text, detail.strip())]


def _which(names: list[str], rest: list[str]) -> str:
    """The names, or those that are not among them where that is shorter."""
    if not names or not rest:
        return ""
    return f" (not in {joined(rest)})" if len(names) > len(rest) else f" ({joined(names)})"


def _supported(summaries: list[TraitSummary]) -> list[Statement]:
    n = len(summaries)
    slopes = {s.trait: s.component("calibration_interaction") for s in summaries}
    if not any(slope.has_interval for slope in slopes.values()):
        return []
    names = [trait for trait, slope in slopes.items() if slope.positive]
    which = _which(names, [trait for trait in slopes if trait not in names])
    text = f"The network's interactions are supported by the held-out samples in {len(names)} of {n} traits{which}."
    return [Statement("yes" if names else "no", text)]


def _ablations(summaries: list[TraitSummary]) -> list[Statement]:
    """One line for all predictors in the network's place, errors averaged over traits on the log scale."""
    pooled: dict[str, Ablation] = {}
    where, added, compared = [], 0, 0
    for name in dict.fromkeys(name for s in summaries for name in s.ablations):
        rows = [s.ablations[name] for s in summaries if name in s.ablations]
        ratios = [a.ratio for a in rows if math.isfinite(a.ratio)]
        if ratios:
            pooled[name] = Ablation(sum(a.found for a in rows), math.exp(fmean(map(math.log, ratios))))
            adds = sum(a.network_adds for a in rows)
            where.append(f"to {the([name])} in {adds} of {len(rows)} traits")
            added, compared = added + adds, compared + len(rows)
    if not pooled:
        return []
    text = f"Pairs: the network adds, in the same estimator, {joined(where)}."
    mood = "yes" if added == compared else "caution" if added else "no"
    return [Statement(mood, text, ablation_figures(pooled, sum(s.pairs.fdr for s in summaries)))]


def _pairs(summaries: list[TraitSummary]) -> list[Statement]:
    pairs = [s.pairs for s in summaries]
    found = count(sum(p.fdr for p in pairs), "interaction")
    where = count(sum(p.fdr > 0 for p in pairs), "trait")
    replicated, failed = sum(p.replicated for p in pairs), sum(p.not_replicated for p in pairs)
    text = (
        f"{found} at a 5 % false discovery rate in {where} ({sum(p.bonferroni for p in pairs):,} after Bonferroni), "
        f"{sum(p.unflagged for p in pairs):,} without a flag: {replicated:,} replicated in the held-out samples, "
        f"{failed:,} did not."
    )
    flags: dict[str, int] = {}
    for p in pairs:
        for word, n in p.flags.items():
            flags[word] = flags.get(word, 0) + n
    detail = f"Flagged: {tally(flags)}." if flags else ""
    return [Statement("yes" if replicated else "info", text, detail)]


def _loci(summaries: list[TraitSummary]) -> list[Statement]:
    elm, gwas = sum(s.elm.regions for s in summaries), sum(s.gwas.regions for s in summaries)
    text = f"Regions at a 5 % false discovery rate, summed over traits: ELM {elm:,}, GWAS {gwas:,}"
    if any(s.context.tested for s in summaries):
        depend = sum(s.context.regions for s in summaries)
        text += f"; with an effect that depends on the rest of the genome, {depend:,}"
    return [Statement("info", f"{text}.")]


def _variance(summaries: list[TraitSummary]) -> list[Statement]:
    parts = []
    for name, label in GENETIC.items():
        shares = [s.component(name).value / s.component("phenotypic_variance").value for s in summaries]
        known = [value for value in shares if math.isfinite(value)]
        if known:
            parts.append(minus(f"{label} {fmean(known):.2f}"))
    text = f"Mean shares of the phenotypic variance: {joined(parts)}."
    return [Statement("info", text)] if parts else []


def _structure(summaries: list[TraitSummary]) -> list[Statement]:
    structured = [s for s in summaries if s.structured]
    if not structured:
        return []
    worst = max(s.component("population_check").value for s in structured)
    where = "every trait" if len(structured) == len(summaries) else joined([s.trait for s in structured])
    text = f"The cohort is structured for {where}: the population check reaches {worst:.2f}, where 1 is expected."
    if all(s.generalised for s in structured):
        text += " There the ELM effects were run as generalised least squares with the relatedness matrix."
    return [Statement("caution", text)]
