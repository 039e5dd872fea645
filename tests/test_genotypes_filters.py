"""Filters keep what they say, count what they do not find, and refuse to leave nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from reference.plink_files import write_plink

from gp_elm.errors import OptionError
from gp_elm.genotypes.filters import filter_ids, keep_chromosomes, parse_chromosomes
from gp_elm.genotypes.frequencies import variant_statistics
from gp_elm.genotypes.sample_filters import filter_sample_missingness, filter_samples
from gp_elm.genotypes.thresholds import variant_filter
from gp_elm.io.plink import read_plink


@pytest.fixture
def dosage() -> np.ndarray:
    dosage = np.random.default_rng(1).integers(0, 3, size=(12, 20)).astype(np.int8)
    dosage[3] = 0  # monomorphic
    dosage[4, :10] = -1
    dosage[:11, 5] = -1
    return dosage


@pytest.fixture
def cohort(tmp_path: Path, dosage: np.ndarray) -> xr.Dataset:
    chromosomes = ["1"] * 4 + ["2"] * 4 + ["chrX"] * 4
    return read_plink(write_plink(tmp_path / "x", dosage, chromosomes=chromosomes, fid=["f"] * 20))


def ids(cohort: xr.Dataset, kind: str = "variant") -> list[str]:
    return [str(word) for word in cohort[f"{kind}_id"].to_numpy()]


def test_chromosomes(cohort: xr.Dataset, dosage: np.ndarray) -> None:
    assert parse_chromosomes("1-3, X,2L") == ["1", "2", "3", "X", "2L"]
    assert ids(keep_chromosomes(cohort, "chr2,X")) == [f"v{i}" for i in range(4, 12)]
    kept = keep_chromosomes(cohort, "2-22")
    assert ids(kept) == ["v4", "v5", "v6", "v7"]
    np.testing.assert_array_equal(kept["call_dosage"].to_numpy(), dosage[4:8])
    assert ids(keep_chromosomes(cohort, [1])) == ["v0", "v1", "v2", "v3"]
    with pytest.raises(OptionError, match=r"--chr: no chromosome 7; there are 1, 2, X"):
        keep_chromosomes(cohort, "1,7")
    with pytest.raises(OptionError, match=r"--chr: no chromosome 5, 6; there are"):
        keep_chromosomes(cohort, "5-6")


def test_extract_and_exclude_count_unknown_ids(
    cohort: xr.Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("v5\nv2 other words\nrs1\n")
    with caplog.at_level(logging.INFO, "gp_elm"):
        assert ids(filter_ids(cohort, extract=path)) == ["v2", "v5"]
    assert "1 of 3 ids are not in the cohort" in caplog.text
    assert ids(filter_ids(cohort, exclude=["v0", "v1"])) == [f"v{i}" for i in range(2, 12)]
    with pytest.raises(
        OptionError, match=r"--extract the list leaves no variant; the list has rs1, the cohort v0"
    ):
        filter_ids(cohort, extract=["rs1"])
    with pytest.raises(OptionError, match=r"--exclude the list leaves no variant"):
        filter_ids(cohort, exclude=ids(cohort))


def test_keep_and_remove_count_unknown_ids(
    cohort: xr.Dataset, tmp_path: Path, dosage: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keep.txt"
    path.write_text("FID IID\nf s7\nf s2\n0 s3\ng s4\n0 nobody\n")
    with caplog.at_level(logging.INFO, "gp_elm"):
        kept = filter_samples(cohort, keep=path)
    assert ids(kept, "sample") == ["s2", "s3", "s7"]
    np.testing.assert_array_equal(kept["call_dosage"].to_numpy(), dosage[:, [2, 3, 7]])
    assert "2 of 5 ids are not in the cohort" in caplog.text
    assert "3 of 20 samples are left" in caplog.text
    assert ids(filter_samples(cohort, remove=["s0"]), "sample") == [f"s{i}" for i in range(1, 20)]
    with pytest.raises(
        OptionError, match=r"--keep the list leaves no sample; the list has 'A1', the cohort 'f s0'"
    ):
        filter_samples(cohort, keep=["A1"])


def test_frequency_and_missingness(cohort: xr.Dataset, dosage: np.ndarray) -> None:
    statistics = variant_statistics(cohort)
    assert variant_filter(statistics).all()  # monomorphic variants stay
    assert list(np.flatnonzero(~variant_filter(statistics, geno=0.2))) == [4]
    assert list(np.flatnonzero(~variant_filter(statistics, maf=0.01))) == [3]
    assert variant_filter(statistics, maf=0).all()
    with pytest.raises(OptionError, match=r"--maf is 0\.6; give a number from 0 to 0\.5"):
        variant_filter(statistics, maf=0.6)
    with pytest.raises(OptionError, match=r"no variant is left after --geno 0 --maf 0\.5; loosen"):
        variant_filter(statistics, maf=0.5, geno=0.0)


def test_a_frequency_equal_to_the_threshold_passes(tmp_path: Path) -> None:
    dosage = np.full((3, 20), 2, np.int8)
    dosage[:2, :2] = 0  # effect allele frequency 0.9
    dosage[1:, 14:] = -1  # 0.3 missing
    statistics = variant_statistics(read_plink(write_plink(tmp_path / "y", dosage)))
    assert list(variant_filter(statistics, maf=0.1)) == [True, True, False]
    assert list(variant_filter(statistics, geno=0.3)) == [True, True, True]


def test_sample_missingness(cohort: xr.Dataset) -> None:
    kept = filter_sample_missingness(cohort, 0.5)
    assert ids(kept, "sample") == [f"s{i}" for i in range(20) if i != 5]
    with pytest.raises(OptionError, match=r"--mind 0 leaves no sample|--mind is"):
        filter_sample_missingness(filter_samples(cohort, keep=["s0", "s1"]), 0.0)


def test_zeros_before_a_chromosome_make_no_difference(tmp_path: Path, dosage: np.ndarray) -> None:
    chromosomes = ["01"] * 4 + ["09"] * 4 + ["0X"] * 4
    cohort = read_plink(write_plink(tmp_path / "x", dosage, chromosomes=chromosomes, fid=["f"] * 20))
    assert (
        ids(keep_chromosomes(cohort, "1"))
        == ids(keep_chromosomes(cohort, "chr01"))
        == ["v0", "v1", "v2", "v3"]
    )
    assert ids(keep_chromosomes(cohort, "9-22,X")) == [f"v{i}" for i in range(4, 12)]
