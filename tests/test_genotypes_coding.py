"""Haploid and inbred cohorts are recognised by their heterozygotes and count 0/1."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from reference.plink_files import write_plink

from gp_elm.errors import InputError, OptionError
from gp_elm.genotypes.coding import detect_ploidy, recode, set_ploidy, settle_ploidy
from gp_elm.genotypes.frequencies import variant_statistics
from gp_elm.genotypes.selection import choose, filter_and_code
from gp_elm.io.anndata import from_anndata, read_anndata, to_anndata, write_anndata
from gp_elm.io.blocks import select, source_blocks
from gp_elm.io.plink import read_plink
from gp_elm.io.zarr_cohort import open_zarr_cohort, save_cohort


def inbred(n_variants: int = 30, n_samples: int = 25) -> np.ndarray:
    rng = np.random.default_rng(1)
    dosage = (2 * rng.integers(0, 2, (n_variants, n_samples))).astype(np.int8)
    dosage[rng.random(dosage.shape) < 0.05] = -1
    return dosage


def test_no_heterozygote_means_one_copy(tmp_path: Path) -> None:
    dosage = inbred()
    cohort = read_plink(write_plink(tmp_path / "x", dosage), chunk_variants=7)
    found = detect_ploidy(cohort)
    assert found.ploidy == 1 and found.n_heterozygous == 0 and found.n_expected > 300
    coded = set_ploidy(cohort, 1)
    expected = np.where(dosage == 2, 1, dosage)
    np.testing.assert_array_equal(coded["call_dosage"].to_numpy(), expected)
    assert coded["call_dosage"].dtype == np.int8
    assert (coded["variant_ploidy"] == 1).all()
    # still lazy subsetting inside the read, with the new coding
    np.testing.assert_array_equal(
        select(coded, samples=[4, 2])["call_dosage"].to_numpy(), expected[:, [4, 2]]
    )


def test_recoding_of_an_array_that_is_not_the_file(tmp_path: Path) -> None:
    dosage = inbred()
    cohort = read_plink(write_plink(tmp_path / "x", dosage)).isel(variants=slice(3, 9))
    expected = np.where(dosage == 2, 1, dosage)[3:9]
    np.testing.assert_array_equal(set_ploidy(cohort, 1)["call_dosage"].to_numpy(), expected)
    loaded = cohort.load()
    np.testing.assert_array_equal(set_ploidy(loaded, 1)["call_dosage"].to_numpy(), expected)


def test_one_heterozygote_means_two_copies(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dosage = inbred()
    dosage[3, 4] = 1
    cohort = read_plink(write_plink(tmp_path / "x", dosage))
    statistics = variant_statistics(cohort)
    assert detect_ploidy(cohort, statistics=statistics).ploidy == 2
    with caplog.at_level(logging.INFO, "gp_elm"):
        coded = settle_ploidy(cohort, statistics, None)
    np.testing.assert_array_equal(coded["call_dosage"].to_numpy(), dosage)
    assert "only 1 heterozygous calls where" in caplog.text and "--ploidy 1" in caplog.text
    with caplog.at_level(logging.INFO, "gp_elm"):
        forced = settle_ploidy(cohort, statistics, 1)
    assert "--ploidy 1: 1 heterozygous calls are treated as missing" in caplog.text
    assert forced["call_dosage"].to_numpy()[3, 4] == -1


def test_too_few_genotypes_are_no_evidence(tmp_path: Path) -> None:
    cohort = read_plink(write_plink(tmp_path / "x", inbred(2, 6)))
    found = detect_ploidy(cohort)
    assert found.ploidy == 2 and found.n_expected < 10


def test_ploidy_overrides_and_the_log_says_what_is_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cohort = read_plink(write_plink(tmp_path / "x", inbred()))
    statistics = variant_statistics(cohort)
    with caplog.at_level(logging.INFO, "gp_elm"):
        assert (settle_ploidy(cohort, statistics, None)["variant_ploidy"] == 1).all()
    assert "the cohort is haploid or inbred, each variant counts 0/1" in caplog.text
    assert (settle_ploidy(cohort, statistics, 2)["variant_ploidy"] == 2).all()
    with pytest.raises(OptionError, match=r"ploidy 4 is not known; give 1 \(haploid or inbred\) or 2"):
        set_ploidy(cohort, 4)
    with pytest.raises(InputError, match="counts 0/1 already and cannot be recoded"):
        set_ploidy(set_ploidy(cohort, 1), 2)


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_a_ploidy_that_was_asked_for_goes_with_the_file(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    cohort = read_plink(write_plink(tmp_path / "x", inbred()))
    diploid = filter_and_code(cohort, ploidy=2)
    if suffix == ".h5ad":
        write_anndata(to_anndata(diploid), tmp_path / "x.h5ad")
        saved = from_anndata(read_anndata(tmp_path / "x.h5ad")).cohort
    else:
        saved = open_zarr_cohort(save_cohort(diploid, tmp_path / "x.zarr"))
    with caplog.at_level(logging.INFO, "gp_elm"):
        again = filter_and_code(choose(saved, exclude=["v3"]))
    assert (again["variant_ploidy"] == 2).all() and again["call_dosage"].max() == 2
    assert "the cohort was saved with --ploidy 2 and counts 0/1/2; --ploidy 1 overrides" in caplog.text
    haploid = filter_and_code(saved, ploidy=1)
    assert (haploid["variant_ploidy"] == 1).all() and (filter_and_code(haploid)["variant_ploidy"] == 1).all()
    # who did not ask has the ploidy told from the genotypes at each opening
    assert (filter_and_code(cohort)["variant_ploidy"] == 1).all()


def test_one_recoding_after_another(tmp_path: Path) -> None:
    dosage = np.random.default_rng(1).integers(-1, 3, (6, 20)).astype(np.int8)
    as_read, swapped, halved = (0, 1, 2, -1), (2, 1, 0, -1), (0, -1, 1, -1)
    factor = np.ones((2, 3), np.float32)
    cohort = read_plink(write_plink(tmp_path / "x", dosage), chunk_variants=4)
    in_memory = cohort.drop_vars("call_dosage").assign(call_dosage=(("variants", "samples"), dosage.copy()))
    chosen = [5, 3, 4, 0]
    expected = dosage[chosen].copy()
    male = np.arange(20) % 3 == 1  # fam sexes are 0, 1, 2 in turn
    for row in (1, 2):  # swapped in all but males
        expected[row] = np.where(male, expected[row], np.take(swapped, expected[row]))
    for row in (0, 2):  # then halved in males
        expected[row] = np.where(male, np.take(halved, expected[row]), expected[row])
    for each in (select(cohort, variants=chosen), in_memory.isel(variants=chosen)):
        first = recode(
            each, np.array([0, 1, 1, 0], np.uint8),
            np.array([[as_read] * 3, [swapped, as_read, swapped]], np.int8), factor,
        )  # fmt: skip
        second = recode(
            first, np.array([1, 0, 1, 0], np.uint8),
            np.array([[as_read] * 3, [as_read, halved, as_read]], np.int8), factor,
        )  # fmt: skip
        np.testing.assert_array_equal(second["call_dosage"].to_numpy(), expected)
    assert source_blocks(second) is None


@pytest.mark.parametrize(
    ("name", "ploidy"),
    [
        ("sim_arcadia_64qtl", 1),
        ("landscape_fp13", 1),
        ("yeast_bloom2015", 1),
        ("wheat_cimmyt599", 1),
        ("qtl_multitrait", 1),
        ("mouse_hs_bglr", 2),
        ("sim_mendeliht_additive", 2),
        ("sim_gametes_2way_quant", 2),
    ],
)
def test_real_cohorts(shared_data: Path, name: str, ploidy: int) -> None:
    assert detect_ploidy(read_plink(shared_data / name / name)).ploidy == ploidy
