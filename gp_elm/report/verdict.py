"""The verdict on one trait in words: what the run found, what it did not, and what to be careful about."""

from __future__ import annotations

from gp_elm.report.estimates import Estimate
from gp_elm.report.pair_verdict import (
    ablated,
    context,
    found_pairs,
    scale_leaves_them,
    scale_makes_them,
    supported,
)
from gp_elm.report.statement import Statement
from gp_elm.report.summary import LINEAR, TraitSummary
from gp_elm.report.words import count, does, joined, minus, percent, points, predictor, share, the

NO_WEIGHT = (
    "the data gave the network weight 0, so the ELM columns are the classical estimates under another name."
)
GENETIC = {
    "additive_variance": "additive",
    "additive_by_additive_variance": "additive by additive",
    "dominance_variance": "dominance",
}


def of_trait(summary: TraitSummary) -> list[Statement]:
    """The verdict on one trait, the sentence that matters most first."""
    return [
        *scale_makes_them(summary),
        *_no_result(summary),
        _prediction(summary),
        supported(summary),
        *scale_leaves_them(summary),
        *ablated(summary),
        *found_pairs(summary),
        *context(summary),
        _loci(summary),
        *_variance(summary),
        *_structure(summary),
    ]


def _no_result(summary: TraitSummary) -> list[Statement]:
    if not summary.has_elm_result:
        return [Statement("no", f"This is no ELM result: {NO_WEIGHT}")]
    if not summary.linear_only:
        return []
    return [
        Statement(
            "no",
            "This is no ELM result: the network lives on its linear part. In the held-out samples it adds nothing "
            "beyond the lasso, and its interactions are not supported.",
        )
    ]


def _prediction(summary: TraitSummary) -> Statement:
    network = summary.r2.get("network", Estimate())
    if not network.known:
        return Statement("caution", "No held-out prediction could be scored for this trait.")
    return Statement(*_against_yardsticks(summary), _figures(summary))


def _against_yardsticks(summary: TraitSummary) -> tuple[str, str]:
    """Mood and sentence: does the network predict better than its yardsticks?"""
    rivals, losing, equal = summary.rivals, summary.losing, summary.equals
    if losing:
        return "no", f"The network predicts worse than {the(losing)}."
    linear = [n for n in equal if n in LINEAR]
    if linear:
        also = [n for n in equal if n not in LINEAR]
        text = f"The network adds nothing beyond {the(linear)} that these held-out samples can show"
        return "no", text + (f"; {the(also)} {does(also)} as well." if also else ".")
    lasso, network = summary.r2.get("lasso", Estimate()), summary.r2["network"]
    if "lasso" not in rivals and lasso.known and network.value <= lasso.value:
        return "no", "The network predicts no better than the lasso."
    if equal:
        beaten = [n for n in rivals if n not in equal]
        text = f"{the(equal)} {does(equal)} as well as the network: the gain needs no network"
        text = text[0].upper() + text[1:]
        return "caution", f"{text}. It predicts better than {the(beaten)}." if beaten else f"{text}."
    if not rivals:
        return (
            "info",
            f"In the held-out samples the network explains {percent(network.value)} of the variance.",
        )
    every = ", every yardstick of this run" if set(rivals) - set(LINEAR) else ""
    return "yes", f"The network predicts better than {the(list(rivals))}{every}."


def _figures(summary: TraitSummary) -> str:
    """Held-out r2 of every predictor, and the network less each."""
    values = [f"{predictor(n)} {percent(e.value)}" for n, e in summary.r2.items() if e.known]
    text = f"Explained variance of the held-out samples: {joined(values)}."
    known = {n: e.value for n, e in summary.r2.items() if e.known}
    if len(known) > 1:
        text += f" Best: {predictor(max(known, key=lambda n: known[n]))}."
    less = [
        f"{predictor(name)} {points(difference, short=bool(k))}"
        for k, (name, difference) in enumerate(summary.differences.items())
    ]
    return text + (f" Network less {', '.join(less)}." if less else "")


def _loci(summary: TraitSummary) -> Statement:
    found = [
        f"{name} {count(c.fdr, 'variant')} in {count(c.regions, 'region')}" if c.fdr else f"{name} no variant"
        for name, c in (("ELM", summary.elm), ("GWAS", summary.gwas))
    ]
    text = f"Loci at a 5 % false discovery rate: {', '.join(found)}."
    if summary.gwas.tested:
        text += f" λ GC: GWAS {summary.gwas.lambda_gc:.2f}, ELM {summary.elm.lambda_gc:.2f}."
    return Statement("info", text)


def _variance(summary: TraitSummary) -> list[Statement]:
    total = summary.component("phenotypic_variance")
    parts = {label: summary.component(name) for name, label in GENETIC.items()}
    parts = {label: e for label, e in parts.items() if e.known}
    if not parts or not total.known or total.value <= 0:
        return []
    method = next(iter(parts.values())).method.split(";")[0]
    text = "Shares of the phenotypic variance"
    text += f" ({method}): " if method else ": "
    text += f"{joined([f'{label} {share(e, total.value)}' for label, e in parts.items()])}."
    detail = ""
    additive = parts.get("additive", Estimate())
    genetic = sum(max(e.value, 0.0) for e in parts.values())
    for name, label, whole, of in (
        ("captured_genetic_variance", "The network's out-of-fold prediction captures", genetic, "their sum"),
        (
            "captured_non_additive_variance",
            "Its interactions capture",
            genetic - max(additive.value, 0.0),
            "what is not additive",
        ),
    ):
        captured = summary.component(name)
        if captured.known and whole > 0:
            part = minus(f"{100 * captured.value / whole:.0f}")
            detail += f"{label} {share(captured, total.value)}, {part} % of {of}. "
    return [Statement("info", text, detail.strip())]


def _structure(summary: TraitSummary) -> list[Statement]:
    if not summary.structured:
        return []
    check, h = summary.component("population_check"), summary.component("structure_h")
    text = f"The cohort is structured: the population check is {check.value:.2f}, where 1 is expected."
    if summary.generalised:
        text += (
            " Families or ancestry would leak into ordinary least squares, so the ELM effects were run as generalised "
            f"least squares with the relatedness matrix (h = {h.value:.2f}); the GWAS columns are ordinary."
        )
    else:
        text += " Families or ancestry leak into the effects of both methods."
    return [Statement("caution", f"{text} See “Related samples” in the documentation.")]
