"""The verdict in words: what the run found, what it did not, and what to be careful about."""

from __future__ import annotations

from typing import NamedTuple

from gp_elm.io.columns import STRUCTURED
from gp_elm.report.summary import Estimate, TraitSummary


class Statement(NamedTuple):
    """One sentence of the verdict and how to take it: ``yes``, ``no``, ``caution`` or ``info``."""

    mood: str
    text: str


def percent(value: float) -> str:
    """A share as a percentage with one decimal."""
    return f"{100 * value:.1f}\u00a0%".replace("-", "−") if value == value else "not known"


def points(estimate: Estimate, *, short: bool = False) -> str:
    """A difference of shares in percentage points with its interval; ``short`` for a table."""
    text = f"{100 * estimate.value:+.1f}{'' if short else ' points'}"
    if estimate.has_interval:
        text += f" ({'' if short else '95 % interval '}{100 * estimate.lower:+.1f} to {100 * estimate.upper:+.1f})"
    return text.replace("-", "−")


def number(estimate: Estimate) -> str:
    """An estimate with its interval, two decimals."""
    text = f"{estimate.value:.2f}".replace("-", "−")
    if estimate.has_interval:
        text += f" ({estimate.lower:.2f} to {estimate.upper:.2f})".replace("-", "−")
    return text


def count(n: int, noun: str, plural: str = "") -> str:
    """``1 pair``, ``2 pairs``."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def joined(names: list[str], limit: int = 8) -> str:
    """Names in a sentence."""
    if len(names) > limit:
        return ", ".join(names[:limit]) + f" and {len(names) - limit} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def of_trait(summary: TraitSummary) -> list[Statement]:
    """The verdict on one trait, the sentence that matters most first."""
    statements = []
    if not summary.has_elm_result:
        statements.append(
            Statement(
                "no",
                "This is no ELM result: the data gave the network weight 0, so the ELM columns are the classical "
                "estimates under another name.",
            )
        )
    elif summary.linear_only:
        statements.append(
            Statement(
                "no",
                "This is no ELM result: the network lives on its linear part. In the held-out samples it adds nothing "
                "beyond the lasso, and its interactions are not supported.",
            )
        )
    statements += [_prediction(summary), *_interactions(summary), _loci(summary)]
    statements += [*_pairs(summary), *_population(summary)]
    return statements


def _prediction(summary: TraitSummary) -> Statement:
    network = summary.r2.get("network", Estimate())
    if not network.known:
        return Statement("caution", "No held-out prediction could be scored for this trait.")
    others = [
        f"{name.replace('_', ' ')} {percent(e.value)}" for name, e in summary.r2.items() if name != "network"
    ]
    text = f"In the held-out samples the network explains {percent(network.value)} of the variance"
    text += f"; {joined(others)}." if others else "."
    for name, difference in summary.differences.items():
        if difference.known:
            text += f" Network less {name.replace('_', ' ')}: {points(difference)}."
    beats = summary.beats
    lasso, best_lasso = summary.r2.get("lasso", Estimate()), True
    if "lasso" not in beats and lasso.known:
        best_lasso = network.value > lasso.value
    losing = [n for n, d in summary.differences.items() if d.negative]
    if losing:
        return Statement("no", f"The network predicts worse than {joined(losing)}. {text}")
    equal = [n for n, better in beats.items() if not better]
    if equal:
        return Statement(
            "no",
            f"The network adds nothing beyond {joined(equal)} that these held-out samples can show. {text}",
        )
    if not best_lasso:
        return Statement("no", f"The network predicts no better than the lasso. {text}")
    if not beats:
        return Statement("info", text)
    return Statement("yes", f"The network predicts better than {joined(list(beats))}. {text}")


def _interactions(summary: TraitSummary) -> list[Statement]:
    slope = summary.components.get("calibration_interaction", Estimate())
    statements = []
    if not slope.known:
        statements.append(
            Statement("info", "The network has no interactions to calibrate on the held-out samples.")
        )
    elif slope.has_interval and not slope.positive:
        statements.append(
            Statement(
                "no",
                f"The network's interactions are not supported by the held-out samples: their slope is "
                f"{number(slope)}, not above 0.",
            )
        )
    elif slope.has_interval:
        size = ""
        if slope.upper < 1:
            size = ", though the network overstates them"
        elif slope.lower > 1:
            size = ", though the network understates them"
        text = (
            f"The network's interactions are supported by the held-out samples{size}: slope {number(slope)}."
        )
        statements.append(Statement("yes", text))
    share = summary.components.get("specific_share", Estimate())
    if share.known:
        low = share.value < 0.5
        text = (
            f"Scale: {percent(share.value)} of what the network gains remains after the best monotone change of the "
            "trait's scale"
        )
        text += "; the rest is a matter of scale, not of particular loci." if low else "."
        statements.append(Statement("caution" if low else "info", text))
    return statements


def _loci(summary: TraitSummary) -> Statement:
    def found(counts: str) -> str:
        c = getattr(summary, counts)
        return f"{count(c.fdr, 'variant')} in {count(c.regions, 'region')}" if c.fdr else "no variant"

    text = f"Loci at a 5 % false discovery rate: ELM {found('elm')}, GWAS {found('gwas')}."
    text += (
        f" λ GC: GWAS {summary.gwas.lambda_gc:.2f}, ELM {summary.elm.lambda_gc:.2f}."
        if summary.gwas.tested
        else ""
    )
    return Statement("info", text)


def _pairs(summary: TraitSummary) -> list[Statement]:
    pairs = summary.pairs
    if pairs.tested == 0:
        return []
    if pairs.fdr == 0:
        text = f"No interaction at a 5 % false discovery rate among {count(pairs.tested, 'pair')} tested."
        return [Statement("info", text)]
    verdicts = summary.verdicts
    replicated, failed = verdicts.get("replicated", 0), verdicts.get("not_replicated", 0)
    untestable = pairs.fdr - replicated - failed
    text = (
        f"{count(pairs.fdr, 'interaction')} at a 5 % false discovery rate ({pairs.bonferroni:,} after Bonferroni, "
        f"{pairs.tested:,} pairs tested): {replicated:,} replicated in the held-out samples, {failed:,} did not"
    )
    text += f", for {untestable:,} they are too few to say." if untestable else "."
    if summary.weights.get("pairs", 1.0) <= 0:
        text += (
            " The network has weight 0 here: these are the pairs of the classical test on the trait less its additive "
            "part."
        )
    return [Statement("yes" if replicated else "caution", text)]


def _population(summary: TraitSummary) -> list[Statement]:
    check = summary.components.get("population_check", Estimate())
    if not check.known or check.value <= STRUCTURED:
        return []
    return [
        Statement(
            "caution",
            f"The cohort is structured: the population check is {check.value:.2f}, where 1 is expected. Families or "
            "ancestry leak into the marginal effects of both methods; see “Related samples” in the documentation.",
        )
    ]


def of_run(summaries: list[TraitSummary]) -> list[Statement]:
    """The verdict over several traits; of one trait, that trait's own."""
    if len(summaries) == 1:
        return of_trait(summaries[0])
    n = len(summaries)
    statements = []
    without = [s.trait for s in summaries if not s.has_elm_result]
    if without:
        everywhere = len(without) == n
        text = "This run is no ELM result: " if everywhere else f"No ELM result in {joined(without)}: "
        text += "the data gave the network weight 0, so the ELM columns are the classical estimates under another name."
        statements.append(Statement("no", text))
    linear = [s.trait for s in summaries if s.has_elm_result and s.linear_only]
    if linear:
        where = "In every trait" if len(linear) == n else f"In {joined(linear)}"
        text = (
            f"{where} the network lives on its linear part and this is no ELM result: in the held-out samples it adds "
            "nothing beyond the lasso, and its interactions are not supported."
        )
        statements.append(Statement("no", text))
    statements += _predictions(summaries)
    slopes = {s.trait: s.components.get("calibration_interaction", Estimate()) for s in summaries}
    known = {t: e for t, e in slopes.items() if e.has_interval}
    if known:
        supported = [t for t, e in known.items() if e.positive]
        text = f"The network's interactions are supported by the held-out samples in {len(supported)} of {n} traits"
        text += f" ({joined(supported)})." if 0 < len(supported) < n else "."
        statements.append(Statement("yes" if supported else "no", text))
    elm, gwas = sum(s.elm.regions for s in summaries), sum(s.gwas.regions for s in summaries)
    statements.append(
        Statement(
            "info", f"Regions at a 5 % false discovery rate, summed over traits: ELM {elm:,}, GWAS {gwas:,}."
        )
    )
    replicated, failed = (
        sum(s.verdicts.get(word, 0) for s in summaries) for word in ("replicated", "not_replicated")
    )
    found = count(sum(s.pairs.fdr for s in summaries), "interaction")
    where = count(sum(s.pairs.fdr > 0 for s in summaries), "trait")
    text = (
        f"{found} at a 5 % false discovery rate in {where} ({sum(s.pairs.bonferroni for s in summaries):,} after "
        f"Bonferroni): {replicated:,} replicated in the held-out samples, {failed:,} did not."
    )
    statements.append(Statement("yes" if replicated else "info", text))
    structured = [s for s in summaries if s.components.get("population_check", Estimate()).value > STRUCTURED]
    if structured:
        worst = max(s.components["population_check"].value for s in structured)
        text = (
            f"The cohort is structured for {joined([s.trait for s in structured])}: the population check reaches "
            f"{worst:.2f}, where 1 is expected."
        )
        statements.append(Statement("caution", text))
    return statements


def _predictions(summaries: list[TraitSummary]) -> list[Statement]:
    n, statements = len(summaries), []
    names = [name for name in summaries[0].r2]
    means = []
    for name in names:
        values = [s.r2[name].value for s in summaries if name in s.r2 and s.r2[name].known]
        if values:
            means.append(f"{name.replace('_', ' ')} {percent(sum(values) / len(values))}")
    text = f" Mean explained variance of held-out samples over {n} traits: {joined(means)}."
    for name in dict.fromkeys(k for s in summaries for k in s.differences):
        known = [s for s in summaries if s.differences.get(name, Estimate()).has_interval]
        better = [s.trait for s in known if s.differences[name].positive]
        worse = [s.trait for s in known if s.differences[name].negative]
        which = f" ({joined(better)})" if 0 < len(better) < n else ""
        line = (
            f"The network predicts better than {name.replace('_', ' ')} in {len(better)} of {n} traits{which}"
        )
        line += f", worse in {len(worse)} ({joined(worse)})" if worse else ""
        rest = n - len(better) - len(worse)
        line += f"; in {rest} the held-out samples show no difference." if rest else "."
        mood = "yes" if 2 * len(better) > n else "no" if not better else "caution"
        statements.append(Statement(mood, line + text))
        text = ""
    return statements or [Statement("info", text.strip())]
