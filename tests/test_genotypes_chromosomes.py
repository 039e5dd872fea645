"""Chromosome names and numbers in human and other genomes."""

from __future__ import annotations

import pytest

from gp_elm.errors import OptionError
from gp_elm.genotypes.chromosomes import (
    AUTOSOME,
    MT,
    ChromosomeSet,
    X,
    Y,
    chromosome_set,
    parse_chromosome_set,
)


@pytest.mark.parametrize(
    ("text", "numbers"),
    # as `plink2 --chr-set 38`, `--cow` and so on name them
    [
        ("human", {"23": X, "24": Y, "25": AUTOSOME, "26": MT, "22": AUTOSOME}),
        ("dog", {"38": AUTOSOME, "39": X, "40": Y, "41": AUTOSOME, "42": MT, "23": AUTOSOME}),
        ("cow", {"29": AUTOSOME, "30": X, "31": Y, "33": MT}),
        ("29 no-xy", {"30": X, "X": X, "chrM": MT}),
        ("20,no-x,no-y", {"21": AUTOSOME, "22": AUTOSOME, "X": AUTOSOME, "24": MT, "MT": MT}),
        (19, {"20": X, "21": Y, "PAR1": AUTOSOME, "chrPAR2": AUTOSOME, "y": Y}),
        ("-12", {"13": AUTOSOME, "X": AUTOSOME, "12": AUTOSOME}),
    ],
)
def test_sets(text: str | int, numbers: dict[str, int]) -> None:
    chosen = parse_chromosome_set(text)
    assert {name: chosen.kind(name) for name in numbers} == numbers
    assert chosen.haploid == (text == "-12")


@pytest.mark.parametrize("text", ["zebra", "", "0", "22 no-z", "x", "2.5", "22 nox"])
def test_what_is_not_understood(text: str) -> None:
    with pytest.raises(
        OptionError, match=r"--chr-set .* is not understood; give the number of autosomes, such as 38"
    ):
        parse_chromosome_set(text)


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        (["1", "22", "23", "24", "25", "26"], [0, 0, X, Y, 0, MT]),
        (["chr1", "chrX", "chrY", "chrM"], [0, X, Y, MT]),
        (["0", "1", "XY", "PAR1", "MT"], [0, 0, 0, 0, MT]),
        (["1", "23", "27"], [0, 0, 0]),  # more chromosomes than human
        (["1", "29", "X"], [0, 0, X]),
        (["2L", "2R", "4", "X", "Y"], [0, 0, 0, X, Y]),  # Drosophila
        (["I", "II", "III", "IV", "V", "X"], [0] * 5 + [X]),  # C. elegans
        (["I", "II", "IX", "X", "XVI", "MT"], [0, 0, 0, 0, 0, MT]),  # yeast: X is the tenth
        (["chrIX", "chrX"], [0, 0]),
        (["chr1", "chrUn_KI270302v1", "chrX"], [0, 0, X]),
        (["NC_000001.11", "23"], [0, 0]),
    ],
)
def test_the_default_is_told_from_all_names(names: list[str], kinds: list[int]) -> None:
    chosen, _ = chromosome_set(names)
    assert [chosen.kind(name) for name in names] == kinds


def test_the_reason_is_said() -> None:
    assert chromosome_set(["1", "X"])[1] == "all chromosome names are those of the human set"
    assert chromosome_set(["1", "38", "X"])[1].startswith(
        "38 is no human chromosome, so numbers are autosomes"
    )
    assert "X is the tenth" in chromosome_set(["IX", "X"])[1]
    assert chromosome_set(["1", "39"], "dog")[1] == "--chr-set dog"
    with pytest.raises(
        OptionError, match=r"--chr-set human ends at chromosome 26, but the cohort has chromosome 39"
    ):
        chromosome_set(["1", "39"], "human")


def test_one_name_for_each() -> None:
    human = ChromosomeSet(22)
    given = ["chr23", "x", "chrM", "26", "25", "par1", "Chr7", "2L", "chr"]
    assert [human.canonical(name) for name in given] == ["X", "X", "MT", "MT", "XY", "PAR1", "7", "2L", "chr"]
    assert [human.by_number(name) for name in ("23", "chr26", "X", "7", "27")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert ChromosomeSet(None).canonical("23") == "23"


def test_zeros_in_front_of_a_name_make_no_difference() -> None:
    human = ChromosomeSet(22)
    given = ["01", "chr09", "0X", "0M", "0MT", "023", "00", "0", "012_scaffold", "10"]
    assert [human.canonical(name) for name in given] == [
        "1", "9", "X", "MT", "MT", "X", "0", "0", "012_scaffold", "10",
    ]  # fmt: skip
    assert [human.by_number(name) for name in ("01", "0X", "023")] == [False, False, True]
    chosen, _ = chromosome_set(["01", "09", "22", "0X", "0Y"])
    assert chosen == human and chosen.kind("0X") == X and chosen.kind("0Y") == Y
