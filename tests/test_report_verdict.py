"""The verdict in words, from made-up tables with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from fake_results import fake_run, fake_tables, variants_table

from gp_elm.report.counts import count_context, count_pairs, count_variants
from gp_elm.report.methods import methods_paragraphs
from gp_elm.report.run_verdict import of_run
from gp_elm.report.statement import Statement
from gp_elm.report.summary import summarise


def verdict(tables: dict, run: dict | None = None) -> list[Statement]:
    return of_run(summarise(tables, run or fake_run()))


def words(tables: dict, run: dict | None = None) -> list[str]:
    return [f"{s.text} {s.detail}".strip().replace("\u00a0", " ") for s in verdict(tables, run)]


def test_a_better_network_is_said_first() -> None:
    first = words(fake_tables(["height"], m=300, gain=0.05))[0]
    assert first.startswith(
        "The network predicts better than ridge, the lasso, GBLUP + K∘K and the heredity kernel, every yardstick"
    )
    assert "network 47.0 %, ridge 42.0 %, lasso 43.2 %" in first
    assert "Best: stack." in first
    assert "+5.0 points (95 % interval +2.6 to +7.4)" in first


def test_a_network_that_adds_nothing_is_said_first() -> None:
    first = words(fake_tables(["height"], m=300, gain=0.01))[0]
    assert first.startswith(
        "The network adds nothing beyond ridge and the lasso that these held-out samples can show; GBLUP + K∘K does "
    )
    assert "−1.4 to +3.4" in first
    assert words(fake_tables(["height"], m=300, gain=-0.05))[0].startswith(
        "The network predicts worse than ridge, the lasso and GBLUP + K∘K."
    )


def test_a_network_below_the_lasso_is_said() -> None:
    tables = fake_tables(["height"], m=300, gain=0.05)
    tables["variance"].loc[tables["variance"]["component"] == "heldout_r2_lasso", "estimate"] = 0.9
    tables["variance"] = tables["variance"][tables["variance"]["component"] != "heldout_r2_difference_lasso"]
    assert words(tables)[0].startswith("The network predicts no better than the lasso.")


def test_no_elm_result_comes_before_everything() -> None:
    one = words(fake_tables(["height"], m=300, weight=0.0))
    assert one[0].startswith("This is no ELM result: the data gave the network weight 0")
    many = words(fake_tables(["height", "weight"], m=300, weight=0.0))
    assert many[0].startswith("This run is no ELM result")


def test_a_network_that_lives_on_the_lasso_is_no_elm_result() -> None:
    one = words(fake_tables(["height"], m=300, gain=0.01, slope=0.1))
    assert one[0].startswith("This is no ELM result: the network lives on its linear part.")
    many = words(fake_tables(["height", "weight"], m=300, gain=0.01, slope=0.1))
    assert many[0].startswith("In every trait the network lives on its linear part and this is no ELM result")


def test_pairs_without_weight_are_the_classical_ones() -> None:
    tables = fake_tables(["height"], m=300)
    rows = tables["variance"]["component"] == "network_weight_pairs"
    tables["variance"].loc[rows, "estimate"] = 0.0
    assert "these are the pairs of the classical test" in " ".join(words(tables))


def test_unsupported_interactions_are_said() -> None:
    text = " ".join(words(fake_tables(["height"], m=300, slope=0.1)))
    assert (
        "interactions are not supported by the held-out samples: their slope is 0.10 (−0.14 to 0.34)" in text
    )


def test_structure_is_said() -> None:
    assert any(
        "structured: the population check is 2.30" in t
        for t in words(fake_tables(["h"], m=300, population=2.3))
    )
    assert not any("structured" in t for t in words(fake_tables(["h"], m=300, population=1.02)))


def test_interactions_are_counted() -> None:
    text = " ".join(words(fake_tables(["height"], m=300)))
    assert (
        "8 interactions at a 5 % false discovery rate (8 after Bonferroni, 12,497,500 pairs tested)" in text
    )
    assert "6 replicated in the held-out samples, 2 did not" in text
    tables = fake_tables(["height"], m=300)
    tables["pairs"] = tables["pairs"].iloc[:0]
    run = fake_run() | {"pairs_tested": {"height": 1000}}
    assert "No interaction at a 5 % false discovery rate among 1,000 pairs tested." in words(tables, run)


def test_regions_join_neighbours() -> None:
    frame = variants_table(400, ["t"])
    frame["base_pair_location"] = np.arange(400) * 50_000 + 1
    frame["chromosome"] = "1"
    q = np.ones(400)
    q[[10, 11, 13, 200, 201, 390]] = 0.01
    counts = count_variants(frame.assign(gwas_q_value=q), "gwas_")
    assert (counts.fdr, counts.regions) == (6, 3)
    loose = count_variants(frame.assign(gwas_q_value=q, base_pair_location=0), "gwas_")
    assert loose.regions == 6


def test_a_kernel_that_does_as_well_is_said_plainly() -> None:
    first = verdict(fake_tables(["height"], m=300, kernel_gain=0.005))[0]
    assert first.mood == "caution"
    assert first.text == (
        "The heredity kernel does as well as the network: the gain needs no network. It predicts better than ridge, "
        "the lasso and GBLUP + K∘K."
    )


def test_a_stack_above_the_network_does_not_make_it_worse() -> None:
    assert verdict(fake_tables(["height"], m=300))[0].mood == "yes"


@pytest.mark.parametrize("traits", [["height"], ["height", "weight"]])
def test_scale_comes_before_everything(traits: list[str]) -> None:
    first = verdict(fake_tables(traits, m=300, specific=0.1, link=0.05, weight=0.0))[0]
    assert first.mood == "no" and "the trait's scale makes the" in first.text.replace("these", "the").lower()


def test_scale_condemns_only_on_both_counts() -> None:
    for change in ({"specific": 0.1, "link": 0.0}, {"specific": 0.45, "link": 0.05}):
        assert not any("scale makes" in t for t in words(fake_tables(["height"], m=300, **change)))
    left = words(fake_tables(["height"], m=300, link=0.05))
    assert any("Scale: 90.0 % (70 to 110) of what the network gains remains" in t for t in left)
    assert any("That change alone adds +5.0 points" in t for t in left)


def test_many_pairs_flagged_for_scale_are_said_first() -> None:
    tables = fake_tables(["height"], m=300)
    tables["pairs"]["flags"] = "scale"
    first = words(tables)[0]
    assert first.startswith("The trait's scale makes these interactions")
    assert "8 of 8 interactions at a 5 % false discovery rate are gone" in first
    tables["pairs"] = tables["pairs"].head(4)
    assert not words(tables)[0].startswith("The trait's scale")


def test_flags_and_doubts_are_counted() -> None:
    text = " ".join(words(fake_tables(["height"], m=300)))
    assert "12,497,500 pairs tested), 5 of them without a flag" in text
    assert "Flagged: 2 scale, 2 rare and 1 joint tagging." in text
    assert "p rises above .05 for 1 given both LD neighbourhoods." in text
    assert "Weighted with the heredity prior, 8 pairs stand at the same rate." in text


def test_power_is_said_for_pairs_that_nothing_can_test() -> None:
    tables = fake_tables(["height"], m=300)
    tables["pairs"]["verdict"] = "untestable"
    tables["pairs"]["heldout_power"] = 0.31
    found = count_pairs(tables["pairs"], 1000)
    assert (found.untestable, found.replicated, found.untestable_power) == (8, 0, 0.31)
    assert "for 8 they are too few to say. " in " ".join(words(tables))
    assert "Median power for those too few to say: 0.31." in " ".join(words(tables))


def test_ablation_says_whether_the_network_adds() -> None:
    better = " ".join(words(fake_tables(["height"], m=300)))
    assert (
        "the network adds to the same estimator with the heredity kernel and the product lasso in its place"
        in better
    )
    assert "network 8, heredity kernel 3, product lasso 6" in better
    assert "over theirs: 0.78 (heredity kernel), 0.83 (product lasso)" in better
    some = " ".join(words(fake_tables(["height"], m=300, ratio=1.0)))
    assert "with the heredity kernel in its place, but nothing where the product lasso stands there" in some
    none = [s for s in verdict(fake_tables(["height"], m=300, ratio=1.1)) if s.text.startswith("Pairs:")]
    assert none[0].mood == "no" and "the network adds nothing" in none[0].text
    many = " ".join(words(fake_tables(["height", "weight"], m=300, ratio=1.0)))
    assert (
        "adds, in the same estimator, to the heredity kernel in 2 of 2 traits and to the product lasso in 0 of 2"
        in many
    )


def test_context_is_counted_at_a_false_discovery_rate() -> None:
    frame = variants_table(400, ["t"])
    p = np.full(400, 0.5)
    p[[7, 300]] = 1e-6, 1e-5
    p[20] = 0.01
    found = count_context(frame.assign(context_p_value=p))
    assert (found.tested, found.fdr, found.bonferroni) == (400, 2, 2)
    assert count_context(frame.assign(context_p_value=np.nan)).tested == 0
    tables = fake_tables(["t"], m=400)
    tables["variants"] = frame.assign(context_p_value=p)
    assert any(
        t.startswith("2 variants in 2 regions have effects that depend on the rest") for t in words(tables)
    )


def test_variances_have_errors_methods_and_shares() -> None:
    tables = fake_tables(["height"], m=300)
    tables["variance"].loc[tables["variance"]["component"] == "additive_variance", "method"] = (
        "REML; kernels K"
    )
    text = " ".join(words(tables))
    assert (
        "Shares of the phenotypic variance (REML): additive 0.47 ± 0.04 and additive by additive 0.12 ± 0.05."
        in text
    )
    assert (
        "captures 0.47 ± 0.03, 79 % of their sum. Its interactions capture 0.05 ± 0.01, 40 % of what is not"
        in text
    )


def test_what_structure_made_of_the_effects_is_said() -> None:
    tables = fake_tables(["h"], m=300, population=2.3, structure=0.45)
    said = [s for s in verdict(tables) if s.text.startswith("The cohort is structured")][0]
    assert (
        said.mood == "caution"
        and "generalised least squares with the relatedness matrix (h = 0.45)" in said.text
    )
    methods = " ".join(methods_paragraphs({}, summarise(tables, {})))
    assert "Effects were run as generalised least squares" in methods and "h 2.30, h 0.45" in methods
    plain = " ".join(words(fake_tables(["h"], m=300, population=2.3)))
    assert "generalised" not in plain and "leak into the effects of both methods" in plain
    assert "generalised" not in " ".join(methods_paragraphs({}, summarise(fake_tables(["h"], m=300), {})))
