"""Thresholds and the choice by name keep what PLINK 2 keeps (data/sex/make.py); the exact test equals its terms."""

from __future__ import annotations

import csv
import logging
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2 as chi2_distribution

from gp_elm.errors import OptionError
from gp_elm.genotypes.frequencies import variant_statistics
from gp_elm.genotypes.selection import choose, filter_and_code
from gp_elm.genotypes.sex import code_sex_chromosomes
from gp_elm.genotypes.thresholds import hardy_weinberg, parse_hwe, variant_filter
from gp_elm.io.blocks import select
from gp_elm.io.plink import read_plink
from gp_elm.kernels.hardy_weinberg import exact_p_values

DATA = Path(__file__).parent / "data" / "sex"
THRESHOLDS = {"maf", "max_maf", "mac", "max_mac", "geno", "hwe"}


def plink_lists(kind: str) -> list[tuple[str, list[str]]]:
    with open(DATA / "lists.tsv", newline="") as handle:
        return [
            (words, ids.split()) for what, words, ids in csv.reader(handle, delimiter="\t") if what == kind
        ]


def options_of(words: str, folder: Path) -> dict[str, object]:
    """Keyword arguments of a PLINK command line."""
    out: dict[str, object] = {}
    for part in words.split("--")[1:]:
        name, *values = part.split()
        value: object = " ".join(values)
        if name == "autosome":
            name, value = "chr", "1-22"
        if name == "snps-only":
            value = value or True
        if name in ("keep-fam", "remove-fam"):
            value = folder / str(value)
        if name in ("maf", "max-maf", "mac", "max-mac", "geno", "from-bp", "to-bp", "mind"):
            value = float(str(value))
        out[{"chr": "chromosomes"}.get(name, name.replace("-", "_"))] = value
    return out


def known_sex() -> list[str]:
    cohort = read_plink(DATA / "cohort")
    return [str(word) for word in cohort["sample_id"].to_numpy()[cohort["sample_sex"].to_numpy() > 0]]


@pytest.mark.parametrize("chunk", [3, 1000])
@pytest.mark.parametrize(("words", "ids"), plink_lists("variants"))
def test_the_same_variants_as_plink(words: str, ids: list[str], chunk: int, tmp_path: Path) -> None:
    options = options_of(words, tmp_path)
    by_name = {name: value for name, value in options.items() if name not in THRESHOLDS}
    cohort = choose(read_plink(DATA / "cohort", chunk_variants=chunk), keep=known_sex(), **by_name)
    found = filter_and_code(cohort, **{name: value for name, value in options.items() if name in THRESHOLDS})
    assert [str(word) for word in found["variant_id"].to_numpy()] == ids


@pytest.mark.parametrize(("words", "ids"), plink_lists("samples"))
def test_the_same_samples_as_plink(words: str, ids: list[str], tmp_path: Path) -> None:
    (tmp_path / "fam.txt").write_text("f1\nf4\nf9\nnone\n")
    (tmp_path / "zero.txt").write_text("0\n")
    found = choose(read_plink(DATA / "cohort"), keep=known_sex(), **options_of(words, tmp_path))
    assert [str(word) for word in found["sample_id"].to_numpy()] == ids


@pytest.mark.parametrize("midp", [False, True])
def test_hardy_weinberg_equals_plink(midp: bool) -> None:
    cohort = code_sex_chromosomes(read_plink(DATA / "cohort", chunk_variants=5))
    cohort = select(cohort, samples=cohort["sample_sex"].to_numpy() > 0)
    p = pd.Series(hardy_weinberg(variant_statistics(cohort), midp=midp), cohort["variant_id"].to_numpy())
    name = "cohort_midp" if midp else "cohort"
    autosomes, x = (pd.read_csv(DATA / f"{name}.{kind}", sep="\t") for kind in ("hardy", "hardy.x"))
    np.testing.assert_allclose(p[autosomes["ID"]], autosomes["MIDP" if midp else "P"], rtol=1e-5)
    column = "FEMALE_ONLY_MIDP" if midp else "FEMALE_ONLY_P"
    np.testing.assert_allclose(p[x["ID"]], x[column], rtol=1e-5)
    haploid = ~p.index.isin([*autosomes["ID"], *x["ID"]])
    assert haploid.sum() == 6 and (p[haploid] == 1).all()


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_the_exact_test_equals_a_sum_of_fractions(het: int, hom: int, other: int) -> None:
    n, rare = het + hom + other, 2 * hom + het
    seen, total = Fraction(0), Fraction(0)
    terms = {}
    for h in range(rare % 2, min(rare, 2 * n - rare) + 1, 2):
        first = (rare - h) // 2
        rest = n - h - first
        terms[h] = Fraction(
            2**h * math.factorial(n), math.factorial(h) * math.factorial(first) * math.factorial(rest)
        )
    total, seen = sum(terms.values(), Fraction(0)), terms[het]
    tail = sum((term for term in terms.values() if term <= seen), Fraction(0)) / total
    tied = sum((term for term in terms.values() if term == seen), Fraction(0)) / total
    expected = [float(tail), float(tail - tied / 2)] if n else [1.0, 1.0]
    found = [exact_p_values([het], [hom], [other], midp=midp)[0] for midp in (False, True)]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_the_exact_test_of_many_samples() -> None:
    het, hom, other = 90_000, 30_000, 80_000
    p = exact_p_values([het, 0, 100_000, 7], [hom, 50_000, 50_000, 0], [other, 50_000, 50_000, 10**6])
    n, q = het + hom + other, (2 * hom + het) / (2 * (het + hom + other))
    chi2 = (
        (het - 2 * q * (1 - q) * n) ** 2
        / n
        * (1 / (2 * q * (1 - q)) + 0.5 / q**2 / 2 + 0.5 / (1 - q) ** 2 / 2)
    )
    assert abs(np.log10(p[0]) - chi2_distribution.logsf(chi2, 1) / np.log(10)) < 0.5
    assert p[1] == 0 and p[2] == 1 and p[3] == 1


def test_impossible_and_empty_choices(caplog: pytest.LogCaptureFixture) -> None:
    cohort = read_plink(DATA / "cohort")
    statistics = variant_statistics(cohort)
    for options, message in (
        (
            {"maf": 0.4, "max_maf": 0.3},
            r"--maf 0\.4 is above --max-maf 0\.3: no variant passes both; change one",
        ),
        ({"mac": 9, "max_mac": 3}, r"--mac 9 is above --max-mac 3"),
        ({"mac": -1}, r"--mac is -1; give a number from 0$"),
        ({"max_maf": 0.7}, r"--max-maf is 0\.7; give a number from 0 to 0\.5"),
        ({"hwe": 2.0}, r"--hwe is 2; give a number from 0 to 1"),
        (
            {"hwe": "1e-6 mid"},
            r"--hwe 1e-6 mid is not understood; give a p-value such as 1e-6, or '1e-6 midp'",
        ),
        ({"mac": 10_000, "geno": 1.0}, r"no variant is left after --geno 1 --mac 10000; loosen them"),
    ):
        with pytest.raises(OptionError, match=message):
            variant_filter(statistics, **options)
    assert parse_hwe("1e-6,midp") == (1e-6, True) and parse_hwe(0.01) == (0.01, False)
    for options, message in (
        ({"from_bp": 100}, r"--from-bp and --to-bp need one chromosome; name it with --chr"),
        ({"from_bp": 100, "chromosomes": "1-2"}, r"--from-bp 100 needs one chromosome; name it with --chr"),
        ({"from_bp": 200, "to_bp": 100, "chromosomes": "1"}, r"--from-bp 200 --to-bp 100: the end is before"),
        ({"to_bp": 50, "chromosomes": "1"}, r"--to-bp 50 leaves no variant; positions are 100 to 1400"),
        ({"snps_only": "acgt"}, r"--snps-only acgt is not understood; give just-acgt or nothing"),
        (
            {"keep_fam": ["f"]},
            r"--keep-fam the list leaves no sample; the list has family 'f', the cohort '0'",
        ),
    ):
        with pytest.raises(OptionError, match=message):
            choose(cohort, **options)
    lone = cohort.assign(sample_family_id=("samples", np.full(90, "0")))
    with pytest.raises(
        OptionError, match=r"--remove-fam the list: no sample has a family \(FID\); list samples"
    ):
        choose(lone, remove_fam=["f1"])
    with caplog.at_level(logging.INFO, "gp_elm"):
        choose(cohort, keep_fam=["f1", "f4", "g"], snps_only=True, chromosomes="1", to_bp=500)
        variant_filter(statistics, hwe=1e-3, mac=10, max_maf=0.4)
    for line in (
        "--keep-fam the list: 1 of 3 families are not in the cohort",
        "--keep-fam the list: 5 of 90 samples are left",
        "--to-bp 500: 5 of 14 variants are left",
        "--snps-only: 4 of 5 variants are left",
        "--hwe 0.001:", "--mac 10:", "--max-maf 0.4:",
    ):  # fmt: skip
        assert line in caplog.text
