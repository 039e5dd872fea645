"""One variant in two tables is found whatever allele, strand, order, identifier and chromosome name each uses."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gp_elm.genotypes.alleles import align, log_alignment

FLIP = {"A": "T", "T": "A", "C": "G", "G": "C"}


def table(alleles: list[str], frequency: float | list[float] = np.nan, **columns) -> pd.DataFrame:
    n = len(alleles)
    base = {
        "trait": "t",
        "chromosome": "1",
        "base_pair_location": np.arange(1, n + 1),
        "variant_id": [f"rs{k}" for k in range(n)],
        "effect_allele": [pair.split("/")[0] or None for pair in alleles],
        "other_allele": [pair.split("/")[1] or None for pair in alleles],
        "effect_allele_frequency": frequency,
    }
    return pd.DataFrame(base | columns)


def test_same_swapped_strand_and_both() -> None:
    left = table(["A/C", "C/A", "T/G", "G/T", "A/G", "AT/A", "A/AT"])
    right = table(["A/C", "A/C", "A/C", "A/C", "A/C", "A/AT", "A/AT"])
    found = align(left, right, strands=True)
    assert found.relation.tolist() == [0, 1, 2, 3, -1, 1, 0]
    assert found.sign.tolist() == [1, -1, 1, -1, 1, -1, 1]
    assert found.words().tolist() == [None, "swapped", "strand", "swapped;strand", "alleles", "swapped", None]
    own = align(left, right, strands=False)
    assert own.found.tolist() == [True, True, False, False, False, True, True]


@pytest.mark.parametrize(
    ("mine", "theirs", "relation"),
    [(0.1, 0.12, 0), (0.9, 0.12, 3), (0.45, 0.12, -1), (0.1, 0.44, -1), (np.nan, 0.1, -1)],
)
def test_palindromic_variants_are_told_by_frequency_or_not_joined(mine, theirs, relation) -> None:
    found = align(table(["A/T"], mine), table(["A/T"], theirs), strands=True)
    assert found.relation.tolist() == [relation]
    assert found.palindromic.tolist() == [relation < 0]
    swapped = align(table(["T/A"], 1 - mine), table(["A/T"], theirs), strands=True)
    assert swapped.relation.tolist() == [{0: 1, 3: 2, -1: -1}[relation]]


def test_palindromic_variants_without_a_frequency_follow_the_strand_of_all_others() -> None:
    alleles = ["A/T"] + ["A/C"] * 20
    assert align(table(alleles), table(alleles), strands=True).assumed == 1
    one_turned = ["A/T"] + ["A/C"] * 19 + ["T/G"]
    assert align(table(one_turned), table(alleles), strands=True).palindromic.tolist()[0]
    assert align(table(alleles[:20]), table(alleles[:20]), strands=True).palindromic.tolist()[0]


def test_a_frequency_mismatch_is_flagged_and_named(caplog) -> None:
    left, right = table(["A/C", "C/A", "A/G"], [0.1, 0.1, 0.2]), table(["A/C", "A/C", "A/G"], [0.2, 0.2, 0.3])
    found = align(left, right, strands=True)
    assert found.mismatch.tolist() == [False, True, False]
    assert found.words().tolist() == [None, "swapped;frequency", None]
    with caplog.at_level(logging.INFO, "gp_elm"):
        log_alignment(left, right, found, "mine", "yours")
    assert "the frequency of 1 variants differs from that in yours by more than 0.2 (rs1)" in caplog.text


def test_identifiers_may_differ_and_chromosomes_be_spelt_otherwise() -> None:
    left = table(["A/C", "A/C", "A/C"], chromosome=["chr1", "chr2", "chrX"], variant_id=["x", ".", "z"])
    right = table(["A/C", "A/C", "A/C"], chromosome=["1", "2", "23"])
    assert align(left, right, strands=True).place.tolist() == [0, 1, 2]
    # where a genome has both names they are two chromosomes
    right = table(["A/C", "A/C", "A/C"], chromosome=["X", "2", "23"])
    assert align(left, right, strands=True).place.tolist() == [-1, 1, -1]


def test_multi_allelic_sites_take_the_row_of_their_alleles() -> None:
    left = table(["A/G", "A/C", "T/C"], base_pair_location=[5, 5, 5], variant_id=["x", "x", "y"])
    right = table(["C/A", "G/A", "G/A"], base_pair_location=[5, 5, 5], variant_id=["x", "z", "y"])
    found = align(left, right, strands=True)
    assert found.place.tolist() == [1, 0, 2]
    assert found.relation.tolist() == [1, 1, 3]


def test_without_positions_the_identifier_counts() -> None:
    left = table(
        ["A/C", "A/C", "A/C"], base_pair_location=[0, 0, 0], chromosome="0", variant_id=["rs1", "no", "."]
    )
    right = table(["C/A", "C/A", "C/A"], variant_id=["rs0", "rs1", "."])
    assert align(left, right, strands=True).place.tolist() == [1, -1, -1]


def test_an_allele_that_is_not_named_comes_from_the_other_table() -> None:
    left = table(["A/", "C/", "G/", "A/"])
    right = table(["A/C", "A/C", "A/C", "G/C"])
    assert align(left, right, strands=True).relation.tolist() == [0, 1, 3, -1]
    unnamed = table(["/", "/", "/"])
    found = align(unnamed, table(["A/C"] * 3, [0.1, 0.9, 0.47]), strands=True)
    assert found.relation.tolist() == [0, 1, -1]
    assert found.unnamed.tolist() == [False, False, True]
    assert found.words().tolist() == [None, "swapped", "unnamed"]


def test_another_trait_is_another_row() -> None:
    assert not align(table(["A/C"]), table(["A/C"], trait="u"), strands=True).found.any()
    assert not align(table(["A/C"]), table([]), strands=True).found.any()


@given(
    pairs=st.lists(
        st.sampled_from(["A/C", "A/G", "T/C", "T/G", "A/T", "C/G", "A/AT"]), min_size=1, max_size=12
    ),
    seed=st.integers(0, 1000),
)
def test_swapping_turning_and_shuffling_change_only_the_sign(pairs, seed) -> None:
    rng = np.random.default_rng(seed)
    frequency = rng.choice([0.1, 0.3, 0.7, 0.95], len(pairs))
    right = table(pairs, frequency)
    left = right.copy()
    swap, turn = rng.random((2, len(pairs))) < 0.5
    turn &= left["effect_allele"].str.len().eq(1) & left["other_allele"].str.len().eq(1)
    left.loc[swap, ["effect_allele", "other_allele"]] = right.loc[
        swap, ["other_allele", "effect_allele"]
    ].to_numpy()
    left.loc[swap, "effect_allele_frequency"] = 1 - frequency[swap]
    for name in ("effect_allele", "other_allele"):
        left.loc[turn, name] = left.loc[turn, name].map(FLIP)
    order = rng.permutation(len(pairs))
    found = align(left.iloc[order], right, strands=True)
    assert found.place.tolist() == order.tolist()
    np.testing.assert_array_equal(found.sign < 0, swap[order])
    assert not found.mismatch.any()


def test_zeros_before_a_chromosome_and_the_number_of_xy_make_no_difference() -> None:
    left = table(["A/C"] * 5, chromosome=["01", "chr09", "0X", "25", "100"])
    right = table(["A/C"] * 5, chromosome=["1", "9", "chrX", "XY", "0100"])
    assert align(left, right, strands=True).place.tolist() == [0, 1, 2, 3, 4]
    assert align(right, left, strands=False).place.tolist() == [0, 1, 2, 3, 4]
    # where a genome has both names they are two chromosomes
    right = table(["A/C"] * 5, chromosome=["1", "9", "X", "XY", "25"])
    assert align(left, right, strands=True).place.tolist() == [0, 1, 2, -1, -1]


def site(alleles: list[str], ids: list[str], frequency: float | list[float] = np.nan) -> pd.DataFrame:
    """Rows of one position."""
    return table(alleles, frequency, base_pair_location=5, variant_id=ids)


@pytest.mark.parametrize("strands", [True, False])
def test_a_row_that_lacks_an_allele_joins_no_site_where_several_variants_have_it(strands, caplog) -> None:
    right = site(["C/A", "G/A"], ["a", "a"])
    left = site(["A/"], ["a"])
    found = align(left, right, strands=strands)
    assert found.place.tolist() == [-1] and found.words().tolist() == ["several"]
    assert not found.other_alleles.any() and not found.absent.any()
    with caplog.at_level(logging.INFO, "gp_elm"):
        log_alignment(left, right, found, "mine", "yours")
    assert "mine: 1 lack an allele and fit several variants of that position, not joined (a)" in caplog.text
    # the identifier tells, and so does the allele that only one has
    assert align(site(["A/"], ["b"]), site(["C/A", "G/A"], ["a", "b"]), strands=strands).place.tolist() == [1]
    assert align(site(["C/", "G/"], ["a", "a"]), right, strands=strands).place.tolist() == [0, 1]
    assert align(site(["C/", "G/"], ["x", "y"]), right, strands=strands).place.tolist() == [0, 1]
    # and rows of one variant are no two variants
    assert align(left, site(["C/A", "A/C"], ["x", "y"]), strands=strands).found.all()


def test_a_row_without_alleles_joins_no_site_of_several_variants() -> None:
    right = site(["C/A", "G/A"], ["x", "y"], 0.1)
    assert align(site(["/"], ["z"]), right, strands=True).words().tolist() == ["several"]
    assert align(site(["/"], ["y"]), right, strands=True).place.tolist() == [1]


@pytest.mark.parametrize(
    ("alleles", "ids", "winner"),
    [
        (["A/G", "A/G"], ["other", "rs1"], 1),  # the same identifier
        (["T/C", "A/G"], ["x", "y"], 1),  # the same strand
        (["G/A", "A/G"], ["x", "y"], 1),
        (["A/", "G/A"], ["rs1", "rs1"], 1),  # both alleles named, though swapped
        (["A/G", "A/G"], ["x", "y"], 0),  # the order
        (["T/C", "A/G"], ["rs1", "y"], 0),
    ],
)
def test_a_variant_is_taken_once_by_the_nearest_row(alleles, ids, winner, caplog) -> None:
    left, right = site(alleles, ids), site(["A/G"], ["rs1"])
    found = align(left, right, strands=True)
    assert found.place.tolist() == [[0, -1], [-1, 0]][winner]
    assert found.words()[1 - winner] == "repeated" and not found.absent.any()
    with caplog.at_level(logging.INFO, "gp_elm"):
        log_alignment(left, right, found, "mine", "yours")
    assert f"mine: 1 rows name a variant again and are left out ({ids[1 - winner]})" in caplog.text


def test_a_row_that_is_outdone_on_the_other_strand_tells_no_strand() -> None:
    right = table(["A/T"] + ["A/C"] * 20)
    left = pd.concat([table(["A/T"] + ["T/G"] + ["A/C"] * 19), table([]), right.iloc[[1]]], ignore_index=True)
    left.loc[1, "variant_id"] = "x"
    assert align(left, right, strands=True).assumed == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_pair_location": 9}, "2 of the variants without a match stand in yours at another position"),
        (
            {"chromosome": "NC_1"},
            "in yours on a chromosome of another name ('1' there, 'NC_1' here): rename it",
        ),
        ({"trait": "u"}, "in yours for another trait: check the names of the traits"),
        ({"effect_allele": "T"}, None),
        ({"variant_id": ["x", "y"], "base_pair_location": 9}, None),
    ],
)
def test_why_most_rows_have_no_match(changes, said, caplog) -> None:
    right = table(["A/C", "A/C"])
    left = right.assign(**changes)
    log_alignment(left, right, align(left, right, strands=True), "mine", "yours")
    assert said in caplog.text if said else "without a match stand" not in caplog.text


def test_palindromic_variants_are_no_other_genome_build(caplog) -> None:
    left = right = table(["A/T", "C/G"])
    with caplog.at_level(logging.INFO, "gp_elm"):
        log_alignment(left, right, align(left, right, strands=True), "mine", "yours")
    assert "2 palindromic with nothing to tell the strand" in caplog.text
    assert "genome build" not in caplog.text
