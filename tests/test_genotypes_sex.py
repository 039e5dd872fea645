"""X, Y, MT and PAR are counted as PLINK 2 counts them; numbers are not taken for sex chromosomes unseen."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from reference.plink_files import write_plink

from gp_elm.association.linear import linear_scan
from gp_elm.errors import OptionError
from gp_elm.genotypes.coding import settle_ploidy
from gp_elm.genotypes.frequencies import count_alleles, sample_missing_rate, variant_statistics
from gp_elm.genotypes.selection import choose, filter_and_code
from gp_elm.genotypes.sex import code_sex_chromosomes, say_whether_sex_is_a_covariate
from gp_elm.io.blocks import select, source_blocks
from gp_elm.io.plink import read_plink

DATA = Path(__file__).parent / "data" / "sex"


def read(**options: object) -> xr.Dataset:
    """The cohort that PLINK 2 analysed (data/sex/make.py), with its trait."""
    cohort = read_plink(DATA / "cohort", **options)
    trait = cohort["fam_phenotype"].to_numpy().astype(float)[:, None]
    return cohort.assign(sample_phenotype=(("samples", "traits"), trait), trait_id=("traits", ["trait"]))


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(DATA / name, sep="\t", na_values=["."], keep_default_na=True)


def of_known_sex(cohort: xr.Dataset) -> xr.Dataset:
    return select(cohort, samples=cohort["sample_sex"].to_numpy() > 0)


@pytest.mark.parametrize("model", [1, 2])
def test_the_scan_equals_glm(model: int) -> None:
    coded = of_known_sex(code_sex_chromosomes(read(), xchr_model=model))
    expected = table(f"xchr_model_{model}.glm.linear")
    found = linear_scan(coded).dataset
    np.testing.assert_array_equal(found["n"].to_numpy()[:, 0], expected["OBS_CT"])
    for ours, theirs in (("beta", "BETA"), ("standard_error", "SE"), ("p_value", "P")):
        np.testing.assert_allclose(found[ours].to_numpy()[:, 0], expected[theirs], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("model", [1, 2])
def test_with_sex_as_a_covariate(model: int, caplog: pytest.LogCaptureFixture) -> None:
    coded = code_sex_chromosomes(read(), xchr_model=model)
    with caplog.at_level(logging.WARNING, "gp_elm"):
        say_whether_sex_is_a_covariate(coded)
    assert "sex is not among the covariates: on X, PLINK's --glm adds it" in caplog.text
    caplog.clear()
    sex = coded["sample_sex"].to_numpy().astype(float)
    sexed = select(coded, samples=sex > 0)
    sexed = sexed.assign(
        sample_covariate=(("samples", "covariates"), sex[sex > 0][:, None]),
        covariate_id=("covariates", ["sex"]),
    )
    say_whether_sex_is_a_covariate(sexed)
    assert not caplog.text
    expected = table(f"xchr_model_{model}_sex.glm.linear")
    on_x = (expected["#CHROM"] == "X").to_numpy()
    found = linear_scan(sexed).dataset.isel(variants=on_x)
    for ours, theirs in (("n", "OBS_CT"), ("beta", "BETA"), ("standard_error", "SE"), ("p_value", "P")):
        np.testing.assert_allclose(found[ours].to_numpy()[:, 0], expected[theirs][on_x], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("model", [1, 2])
@pytest.mark.parametrize("chunk", [1, 5, 100])
def test_frequencies_and_missing_rates_equal_plink(model: int, chunk: int) -> None:
    coded = of_known_sex(code_sex_chromosomes(read(chunk_variants=chunk), xchr_model=model))
    found, expected = variant_statistics(coded), table("cohort.afreq")
    np.testing.assert_allclose(found.effect_allele_frequency, expected["ALT_FREQS"], rtol=2e-5)
    np.testing.assert_array_equal(found.n_alleles, expected["OBS_CT"])
    np.testing.assert_allclose(found.missing_rate, table("cohort.vmiss")["F_MISS"], rtol=2e-5, atol=1e-12)
    np.testing.assert_allclose(sample_missing_rate(coded), table("cohort.smiss")["F_MISS"], rtol=2e-5)
    # the scan's sums, as it has them
    counts = count_alleles(coded, found.n_called, np.nan_to_num(found.mean) * found.n_called)
    np.testing.assert_allclose(counts.frequency, found.effect_allele_frequency, rtol=1e-12)


def test_samples_of_unknown_sex_do_not_count_on_x_and_y() -> None:
    whole = code_sex_chromosomes(read())
    linked = whole["variant_sex_linkage"].to_numpy() > 0
    one, two = variant_statistics(whole), variant_statistics(of_known_sex(whole))
    np.testing.assert_array_equal(one.missing_rate[linked], two.missing_rate[linked])
    np.testing.assert_array_equal(one.effect_allele_frequency[linked], two.effect_allele_frequency[linked])
    part = variant_statistics(whole, samples=whole["sample_sex"].to_numpy() > 0)
    np.testing.assert_array_equal(part.effect_allele_frequency, two.effect_allele_frequency)


@pytest.mark.parametrize("model", [1, 2])
def test_every_genotype_by_hand(model: int) -> None:
    cohort = read(chunk_variants=4)
    raw, sex = cohort["call_dosage"].to_numpy(), cohort["sample_sex"].to_numpy()
    coded = code_sex_chromosomes(cohort, xchr_model=model)
    expected = raw.copy()
    names = cohort["contig_id"].to_numpy()[cohort["variant_contig"].to_numpy()]
    for v, name in enumerate(names):
        for s in range(len(sex)):
            one_copy = {0: 0, 2: 1}.get(int(raw[v, s]), -1)
            if name == "MT" or (name == "Y" and sex[s] == 1):
                expected[v, s] = one_copy
            elif name == "Y" or (name == "X" and sex[s] == 0):
                expected[v, s] = -1
            elif name == "X" and sex[s] == 1:
                expected[v, s] = one_copy if model == 1 or one_copy < 0 else 2 * one_copy
    np.testing.assert_array_equal(coded["call_dosage"].to_numpy(), expected)
    assert source_blocks(coded) is not None
    some = select(select(coded, samples=[40, 3, 77]), variants=[33, 20, 27])
    np.testing.assert_array_equal(some["call_dosage"].to_numpy(), expected[[33, 20, 27]][:, [40, 3, 77]])
    # where the array is no longer the file's, in any chunks, and in memory
    lazy = cohort.assign(
        call_dosage=cohort["call_dosage"].copy(data=cohort["call_dosage"].data.rechunk((7, 11)))
    )
    assert source_blocks(lazy) is None
    loaded = cohort.drop_vars("call_dosage").assign(call_dosage=(("variants", "samples"), raw))
    for other in (lazy, loaded):
        again = code_sex_chromosomes(other, xchr_model=model)
        np.testing.assert_array_equal(again["call_dosage"].to_numpy(), expected)
    np.testing.assert_array_equal(loaded["call_dosage"].to_numpy(), raw)
    np.testing.assert_array_equal(coded["variant_ploidy"], np.where(np.isin(names, ["Y", "MT"]), 1, 2))
    np.testing.assert_array_equal(
        coded["variant_sex_linkage"], np.where(names == "X", model, np.where(names == "Y", 3, 0))
    )
    assert code_sex_chromosomes(coded, xchr_model=model) is coded


def test_imputed_dosages_are_halved() -> None:
    cohort = read()
    raw, sex = cohort["call_dosage"].to_numpy(), cohort["sample_sex"].to_numpy()
    floats = np.where(raw < 0, np.nan, raw * 0.95).astype(np.float32)
    cohort = cohort.drop_vars("call_dosage").assign(call_dosage=(("variants", "samples"), floats))
    found = code_sex_chromosomes(cohort, xchr_model=1)["call_dosage"].to_numpy()
    np.testing.assert_array_equal(found[18:26, sex == 1], floats[18:26, sex == 1] / 2)
    np.testing.assert_array_equal(found[18:26, sex == 2], floats[18:26, sex == 2])
    assert np.isnan(found[18:29, sex == 0]).all() and np.isnan(found[26:29, sex == 2]).all()
    np.testing.assert_array_equal(found[31:], floats[31:] / 2)


def test_the_log_says_everything(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "gp_elm"):
        code_sex_chromosomes(read())
    assert "chromosome X: 8 variants; males count 0/2, females 0/1/2" in caplog.text
    assert "chromosome Y: 3 variants; males count 0/1, others are missing" in caplog.text
    assert "chromosome MT: 3 variants; all samples count 0/1" in caplog.text
    assert "12 of 90 samples have no sex: they are missing on X and Y" in caplog.text
    assert "chromosome X: 5 of 340 calls of samples that carry one copy are heterozygous" in caplog.text
    assert "chromosome MT: 3 of 254 calls" in caplog.text
    assert "chromosome Y: 3 calls of females are missing" in caplog.text


def renamed(cohort: xr.Dataset, names: list[str]) -> xr.Dataset:
    return cohort.assign(contig_id=("contigs", np.array(names)))


def test_numbers_are_the_same_as_names() -> None:
    by_name = code_sex_chromosomes(read())
    for names in (
        ["1", "2", "23", "24", "25", "26"],
        ["chr1", "chr2", "chrX", "chrY", "PAR1", "chrM"],
        ["1", "2", "x", "y", "par2", "m"],
    ):
        by_number = code_sex_chromosomes(renamed(read(), names))
        np.testing.assert_array_equal(by_number["call_dosage"].to_numpy(), by_name["call_dosage"].to_numpy())
    dog = code_sex_chromosomes(renamed(read(), ["1", "38", "39", "40", "41", "42"]), chr_set="dog")
    np.testing.assert_array_equal(dog["call_dosage"].to_numpy(), by_name["call_dosage"].to_numpy())


def test_numbers_beyond_the_human_ones_are_autosomes(caplog: pytest.LogCaptureFixture) -> None:
    cohort = renamed(read(), ["1", "38", "23", "24", "25", "26"])
    with caplog.at_level(logging.INFO, "gp_elm"):
        assert code_sex_chromosomes(cohort) is cohort
    assert "38 is no human chromosome" in caplog.text and "23 is an autosome" in caplog.text
    assert "--chr-set overrides" in caplog.text
    # X by name counts all the same
    named = code_sex_chromosomes(renamed(read(), ["1", "38", "X", "24", "25", "26"]))
    assert (named["variant_sex_linkage"].to_numpy()[18:26] == 2).all()
    assert (named["variant_ploidy"] == 2).all()
    with pytest.raises(
        OptionError, match=r"--chr-set 22 ends at chromosome 26, but the cohort has chromosome 38"
    ):
        code_sex_chromosomes(cohort, chr_set=22)


def test_a_numbered_chromosome_with_heterozygous_males_is_no_x(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dosage = np.random.default_rng(1).binomial(2, 0.4, (8, 60)).astype(np.int8)
    fish = read_plink(write_plink(tmp_path / "fish", dosage, chromosomes=["1"] * 2 + ["23"] * 3 + ["24"] * 3))
    with caplog.at_level(logging.INFO, "gp_elm"):
        coded = code_sex_chromosomes(fish)
    np.testing.assert_array_equal(coded["call_dosage"].to_numpy(), dosage)
    assert "chromosome 23 counts as an autosome: as X it would have one copy in 20 samples" in caplog.text
    assert "chromosome 24 counts as an autosome: as Y" in caplog.text
    forced = code_sex_chromosomes(fish, chr_set=22)
    assert list(forced["variant_sex_linkage"].to_numpy()) == [0, 0, 2, 2, 2, 3, 3, 3]


def test_without_sexes_x_counts_as_read(caplog: pytest.LogCaptureFixture) -> None:
    cohort = read()
    cohort = cohort.assign(sample_sex=("samples", np.zeros(90, np.int8)))
    with caplog.at_level(logging.INFO, "gp_elm"):
        coded = code_sex_chromosomes(cohort)
        bare = code_sex_chromosomes(cohort.drop_vars("sample_sex"))
    assert "chromosome X: no sample has a sex, so 8 variants count 0/1/2 in all of them" in caplog.text
    assert "no sample has a sex, so all count 0/1" in caplog.text
    raw = cohort["call_dosage"].to_numpy()
    for found in (coded, bare):
        np.testing.assert_array_equal(found["call_dosage"].to_numpy()[:26], raw[:26])
        np.testing.assert_array_equal(
            found["call_dosage"].to_numpy()[26:29], np.where(raw == 2, 1, np.where(raw == 0, 0, -1))[26:29]
        )
        assert "variant_sex_linkage" not in found


def test_all_of_one_sex() -> None:
    for sex in (1, 2):
        cohort = read().assign(sample_sex=("samples", np.full(90, sex, np.int8)))
        found = variant_statistics(code_sex_chromosomes(cohort, xchr_model=1))
        assert (found.missing_rate[26:29] == 1).all() == (sex == 2)
        assert (found.n_diploid[18:26] == 0).all() == (sex == 1)


def test_ploidy_is_told_by_autosomes_and_females(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    dosage = (2 * rng.integers(0, 2, (30, 40))).astype(np.int8)
    names = ["1"] * 20 + ["X"] * 5 + ["Y"] * 2 + ["MT"] * 3
    inbred = read_plink(write_plink(tmp_path / "x", dosage, chromosomes=names), chunk_variants=4)
    sex = inbred["sample_sex"].to_numpy()
    for model in (1, 2):
        coded = code_sex_chromosomes(inbred, xchr_model=model)
        settled = settle_ploidy(coded, variant_statistics(coded), None)
        assert (settled["variant_ploidy"] == 1).all()
        found = settled["call_dosage"].to_numpy()
        np.testing.assert_array_equal(found[:25, sex > 0], dosage[:25, sex > 0] // 2)
        assert (found[20:27, sex == 0] == -1).all() and (found[25:27, sex == 2] == -1).all()
        statistics = variant_statistics(settled)
        assert (statistics.n_alleles == statistics.n_called).all()
    # heterozygous females on X alone show a diploid cohort
    dosage[20:25, sex == 2] = 1
    outbred = read_plink(write_plink(tmp_path / "y", dosage[20:], chromosomes=names[20:]))
    coded = code_sex_chromosomes(outbred)
    assert (settle_ploidy(coded, variant_statistics(coded), None)["variant_ploidy"].to_numpy()[:5] == 2).all()
    # and males on X alone show nothing
    males = select(coded, samples=sex == 1, variants=np.arange(5))
    assert (settle_ploidy(males, variant_statistics(males), None)["variant_ploidy"] == 2).all()


def test_only_mt_and_a_haploid_species() -> None:
    coded = filter_and_code(choose(read(), chromosomes="MT"))
    assert (coded["variant_ploidy"] == 1).all() and coded.sizes["variants"] == 3
    rice = renamed(read(), [str(i) for i in range(1, 7)])
    coded = filter_and_code(choose(rice, chr_set="rice"), chr_set="rice")
    assert (coded["variant_ploidy"] == 1).all() and "variant_sex_linkage" not in coded
    with pytest.raises(OptionError, match=r"--xchr-model 0 is not known; give 2 \(males 0/2\) or 1"):
        choose(read(), xchr_model=0)
