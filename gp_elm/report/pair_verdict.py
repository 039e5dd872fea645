"""The verdict on the interactions of one trait: scale, support, pairs, ablation, context."""

from __future__ import annotations

import math

from gp_elm.io.columns import FLAGS
from gp_elm.report.statement import Statement
from gp_elm.report.summary import Ablation, TraitSummary
from gp_elm.report.words import count, does, joined, minus, number, percent, points, predictor, tally, the


def flag_meaning(word: str) -> str:
    """What a flag of a pair says."""
    return FLAGS.get(word, "").removeprefix("pairs: ")


def scale_makes_them(summary: TraitSummary) -> list[Statement]:
    """A warning where a change of the trait's scale makes the interactions; it stands before everything else."""
    if not summary.made_by_scale:
        return []
    share, link, pairs = (
        summary.component("specific_share"),
        summary.component("scale_link_r2"),
        summary.pairs,
    )
    detail = ""
    if link.known:
        detail += f"A monotone link of the additive prediction adds {points(link)} of explained variance. "
    if share.known:
        detail += (
            f"Of what the network gains, {percent(share.value)}{_interval(summary)} is more than that link. "
        )
    if pairs.flags.get("scale"):
        detail += (
            f"{pairs.flags['scale']:,} of {count(pairs.fdr, 'interaction')} at a 5 % false discovery rate are gone "
            "on the linked scale (flag “scale”). "
        )
    return [
        Statement(
            "no",
            "The trait's scale makes these interactions: they say little of particular pairs of loci. Transform the "
            "trait to a scale on which effects add up, and run again.",
            detail.strip(),
        )
    ]


def scale_leaves_them(summary: TraitSummary) -> list[Statement]:
    """What the scale check says where it does not condemn the interactions."""
    share, link = summary.component("specific_share"), summary.component("scale_link_r2")
    if summary.made_by_scale or not share.known:
        return []
    text = (
        f"Scale: {percent(share.value)}{_interval(summary)} of what the network gains remains beside the best monotone "
        "change of the trait's scale."
    )
    detail = f"That change alone adds {points(link)} of explained variance." if link.positive else ""
    return [Statement("info" if share.value >= 0.5 else "caution", text, detail)]


def _interval(summary: TraitSummary) -> str:
    share = summary.component("specific_share")
    return minus(f" ({100 * share.lower:.0f} to {100 * share.upper:.0f})") if share.has_interval else ""


def supported(summary: TraitSummary) -> Statement:
    """Whether the held-out samples support the network's interactions."""
    slope = summary.component("calibration_interaction")
    if not slope.known:
        return Statement("info", "The network has no interactions to calibrate on the held-out samples.")
    if not slope.has_interval:
        return Statement(
            "info", f"Slope of the held-out trait on the network's interactions: {number(slope)}."
        )
    if not slope.positive:
        return Statement(
            "no",
            "The network's interactions are not supported by the held-out samples: their slope is "
            f"{number(slope)}, not above 0.",
        )
    size = ""
    if slope.upper < 1:
        size = ", though the network overstates them"
    elif slope.lower > 1:
        size = ", though the network understates them"
    text = f"The network's interactions are supported by the held-out samples{size}: slope {number(slope)}."
    return Statement("yes", text)


def found_pairs(summary: TraitSummary) -> list[Statement]:
    """Interactions at 5 % FDR: how many, whether they replicate, what speaks against them."""
    pairs = summary.pairs
    if pairs.tested == 0:
        return []
    weighted = (
        f" Weighted with the heredity prior, {count(pairs.weighted, 'pair')} stand at the same rate."
        if pairs.weighted >= 0
        else ""
    )
    if pairs.fdr == 0:
        text = f"No interaction at a 5 % false discovery rate among {count(pairs.tested, 'pair')} tested."
        return [Statement("info", text, weighted.strip() if pairs.weighted > 0 else "")]
    text = (
        f"{count(pairs.fdr, 'interaction')} at a 5 % false discovery rate ({pairs.bonferroni:,} after Bonferroni, "
        f"{pairs.tested:,} pairs tested), {pairs.unflagged:,} of them without a flag: {pairs.replicated:,} replicated "
        f"in the held-out samples, {pairs.not_replicated:,} did not"
    )
    text += f", for {pairs.untestable:,} they are too few to say." if pairs.untestable else "."
    details = [f"Flagged: {tally(pairs.flags)}." if pairs.flags else "", _lost(summary)]
    if math.isfinite(pairs.untestable_power):
        details.append(f"Median power for those too few to say: {pairs.untestable_power:.2f}.")
    details.append(weighted.strip())
    if summary.weights.get("pairs", 1.0) <= 0:
        details.append(
            "The network has weight 0 here: these are the pairs of the classical test on the trait less its additive "
            "part."
        )
    mood = "yes" if pairs.replicated and pairs.unflagged else "caution"
    return [Statement(mood, text, " ".join(d for d in details if d))]


def _lost(summary: TraitSummary) -> str:
    pairs = summary.pairs
    parts = []
    if pairs.lost_robust:
        parts.append(f"{pairs.lost_robust:,} with the robust error")
    if pairs.lost_conditional:
        parts.append(f"{pairs.lost_conditional:,} given both LD neighbourhoods")
    return f"p rises above .05 for {joined(parts)}." if parts else ""


def ablated(summary: TraitSummary) -> list[Statement]:
    """Whether the network adds to the same estimator with a lasso or kernel in its place."""
    known = {name: a for name, a in summary.ablations.items() if math.isfinite(a.ratio)}
    if not known:
        return []
    adds = [name for name, a in known.items() if a.network_adds]
    rest = [name for name in known if name not in adds]
    text = "Pairs: the network adds to the same estimator with "
    if not rest:
        text += f"{the(adds)} in its place."
    elif adds:
        text += f"{the(adds)} in its place, but nothing where {the(rest)} stands there."
    else:
        text = f"Pairs: the network adds nothing; in its place in the same estimator, {the(rest)} {does(rest)} as well."
    mood = "yes" if len(adds) == len(known) else "caution" if adds else "no"
    return [Statement(mood, text, ablation_figures(known, summary.pairs.fdr))]


def ablation_figures(ablations: dict[str, Ablation], found: int) -> str:
    """What the estimator finds with each predictor in the network's place, and the network's errors over its own."""
    found_by = [f"{predictor(name)} {a.found:,}" for name, a in ablations.items()]
    ratios = [f"{a.ratio:.2f} ({predictor(name)})" for name, a in ablations.items()]
    return (
        f"At a 5 % false discovery rate: network {found:,}, {', '.join(found_by)}. The network's mean squared standard "
        f"error over theirs: {', '.join(ratios)}."
    )


def context(summary: TraitSummary) -> list[Statement]:
    """How many loci have an effect that depends on the rest of the genome."""
    found = summary.context
    if not found.tested:
        return []
    if not found.fdr:
        text = f"No locus of {found.tested:,} has an effect that depends on the rest of the genome at a 5 % false "
        return [Statement("info", text + "discovery rate (context test).")]
    verb = "has an effect that depends" if found.fdr == 1 else "have effects that depend"
    return [
        Statement(
            "info",
            f"{count(found.fdr, 'variant')} in {count(found.regions, 'region')} {verb} on the rest of the genome at a "
            f"5 % false discovery rate (context test, {found.tested:,} variants).",
        )
    ]
