"""Cohorts that were coded before, imputed males, and numbers of chromosomes in species that are nearly inbred."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from reference.plink_files import write_plink

from gp_elm.errors import OptionError
from gp_elm.genotypes.coding import set_ploidy
from gp_elm.genotypes.frequencies import variant_statistics
from gp_elm.genotypes.selection import choose
from gp_elm.genotypes.sex import code_sex_chromosomes
from gp_elm.io.blocks import select, source_blocks
from gp_elm.io.plink import read_plink
from gp_elm.io.zarr_cohort import open_zarr_cohort, save_cohort

COHORT = Path(__file__).parent / "data" / "sex" / "cohort"
ON_X = slice(18, 26)


def imputed(folder: Path) -> xr.Dataset:
    """The cohort with fractions for its calls, lazily from a file; a male's one X is read as 0 to 2."""
    cohort = read_plink(COHORT)
    raw = cohort["call_dosage"].to_numpy()
    floats = np.where(raw < 0, np.nan, raw * np.float32(0.9375)).astype(np.float32)
    return open_zarr_cohort(
        save_cohort(
            cohort.drop_vars("call_dosage").assign(call_dosage=(("variants", "samples"), floats)),
            folder / "imputed.zarr",
        )
    )


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("model", [1, 2])
def test_another_model_of_a_coded_cohort(model: int, loaded: bool, caplog: pytest.LogCaptureFixture) -> None:
    raw = read_plink(COHORT, chunk_variants=5)
    want = code_sex_chromosomes(raw, xchr_model=model)
    coded = code_sex_chromosomes(raw, xchr_model=3 - model)
    if loaded:
        coded = coded.load()
    with caplog.at_level(logging.INFO, "gp_elm"):
        found = choose(coded, xchr_model=model)
    assert f"X was coded with males 0/{3 - model}: they count 0/{model}" in caplog.text
    xr.testing.assert_equal(found.compute(), want.compute())
    assert found["variant_sex_linkage"].dtype == want["variant_sex_linkage"].dtype
    assert (source_blocks(found) is None) == loaded
    # without a word the coding stays, and the same word changes nothing
    assert code_sex_chromosomes(coded) is coded
    assert code_sex_chromosomes(found, xchr_model=model) is found
    some = select(found, samples=[40, 3, 77], variants=[20, 27])
    np.testing.assert_array_equal(
        some["call_dosage"].to_numpy(), want["call_dosage"].to_numpy()[[20, 27]][:, [40, 3, 77]]
    )


def test_another_model_where_it_cannot_be_told() -> None:
    coded = code_sex_chromosomes(read_plink(COHORT), xchr_model=2)
    with pytest.raises(OptionError, match=r"--xchr-model 1: .* males 0/2, but no sample has a sex any more"):
        code_sex_chromosomes(coded.drop_vars("sample_sex"), xchr_model=1)
    sexes = coded["sample_sex"].to_numpy()
    other = coded.assign(sample_sex=("samples", np.where(sexes > 0, 3 - sexes, 0)))
    with pytest.raises(
        OptionError, match=r"males 0/2, but \d+ of their calls are 1; convert it again with --xchr-model 1"
    ):
        code_sex_chromosomes(other, xchr_model=1)
    halved = code_sex_chromosomes(read_plink(COHORT), xchr_model=1)
    with pytest.raises(OptionError, match=r"males 0/1, but \d+ of their calls are 2"):
        code_sex_chromosomes(halved.assign(sample_sex=other["sample_sex"]), xchr_model=2)
    # no male is there to be recoded
    females = select(coded, samples=sexes == 2)
    again = code_sex_chromosomes(females, xchr_model=1)
    np.testing.assert_array_equal(again["call_dosage"].to_numpy(), females["call_dosage"].to_numpy())
    assert (again["variant_sex_linkage"][ON_X] == 1).all()


def test_imputed_males_are_halved_exactly_once(tmp_path: Path) -> None:
    cohort = imputed(tmp_path)
    raw, male = cohort["call_dosage"].to_numpy(), cohort["sample_sex"].to_numpy() == 1
    female = cohort["sample_sex"].to_numpy() == 2
    coded = code_sex_chromosomes(cohort, xchr_model=1)
    assert source_blocks(coded) is not None
    saved = open_zarr_cohort(save_cohort(coded, tmp_path / "coded.zarr"))
    for found in (coded, saved, choose(saved, xchr_model=1), choose(coded)):
        dosage = found["call_dosage"].to_numpy()
        np.testing.assert_array_equal(dosage[ON_X, male], raw[ON_X, male] / 2)
        np.testing.assert_array_equal(dosage[ON_X, female], raw[ON_X, female])
    twofold = choose(saved, xchr_model=2)["call_dosage"].to_numpy()
    np.testing.assert_array_equal(twofold[ON_X, male], raw[ON_X, male])
    # a haploid cohort halves the females, and no male a second time
    haploid = set_ploidy(coded, 1)["call_dosage"].to_numpy()
    np.testing.assert_array_equal(haploid[ON_X, male | female], raw[ON_X, male | female] / 2)
    # a male's dosage of 2 is one copy of the allele, in either model
    frequency = [
        variant_statistics(code_sex_chromosomes(cohort, xchr_model=model)).effect_allele_frequency[ON_X]
        for model in (1, 2)
    ]
    copies = np.nansum(raw[ON_X, male] / 2, axis=1) + np.nansum(raw[ON_X, female], axis=1)
    chromosomes = (~np.isnan(raw[ON_X, male])).sum(axis=1) + 2 * (~np.isnan(raw[ON_X, female])).sum(axis=1)
    for each in frequency:
        np.testing.assert_allclose(each, copies / chromosomes, rtol=1e-6)


def plants(path: Path, heterozygotes: float) -> tuple[xr.Dataset, np.ndarray]:
    """60 lines with 26 numbered chromosomes, as of cotton."""
    rng = np.random.default_rng(7)
    names = [str(number) for number in range(1, 27) for _ in range(5)]
    dosage = (2 * rng.integers(0, 2, (len(names), 60))).astype(np.int8)
    dosage[rng.random(dosage.shape) < heterozygotes] = 1
    return read_plink(write_plink(path, dosage, chromosomes=names)), dosage


@pytest.mark.parametrize("heterozygotes", [0.0, 0.03, 0.12])
@pytest.mark.parametrize("sexed", [False, True])
def test_numbers_of_a_nearly_inbred_cohort_are_autosomes(
    tmp_path: Path, heterozygotes: float, sexed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    cohort, dosage = plants(tmp_path / "cotton", heterozygotes)
    if not sexed:
        cohort = cohort.assign(sample_sex=("samples", np.zeros(60, np.int8)))
    coded = code_sex_chromosomes(cohort)
    np.testing.assert_array_equal(coded["call_dosage"].to_numpy(), dosage)
    assert (coded["variant_ploidy"] == 2).all() and "variant_sex_linkage" not in coded
    for number, kind in ((23, "X"), (24, "Y"), (26, "MT")):
        assert f"chromosome {number} counts as an autosome: the cohort is haploid or inbred" in caplog.text
        assert f"so nothing shows that {number} is {kind}; if it is, give --chr-set 22" in caplog.text
    if sexed:
        forced = code_sex_chromosomes(cohort, chr_set=22)
        assert (forced["variant_sex_linkage"].to_numpy()[110:115] == 2).all()


def test_the_autosomes_are_looked_at_in_stretches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gp_elm.genotypes.sex._STRETCH", 3)
    cohort, dosage = plants(tmp_path / "cotton", 0.03)
    np.testing.assert_array_equal(code_sex_chromosomes(cohort)["call_dosage"].to_numpy(), dosage)
    # people: the autosomes are outbred, and X, Y and MT by number are what they are
    people = read_plink(COHORT)
    numbered = people.assign(contig_id=("contigs", np.array(["1", "2", "23", "24", "25", "26"])))
    np.testing.assert_array_equal(
        code_sex_chromosomes(numbered)["call_dosage"].to_numpy(),
        code_sex_chromosomes(people)["call_dosage"].to_numpy(),
    )


def test_the_warning_says_what_plink_does_with_unknown_sexes(caplog: pytest.LogCaptureFixture) -> None:
    coded = code_sex_chromosomes(read_plink(COHORT))
    assert (
        "missing on X and Y, as in PLINK's --glm with sex as a covariate; its --freq, --maf and"
        in caplog.text
    )
    known = coded["sample_sex"].to_numpy() > 0
    whole, part = variant_statistics(coded), variant_statistics(coded, samples=known)
    np.testing.assert_array_equal(whole.n_alleles[ON_X], part.n_alleles[ON_X])
