"""PLINK files: what is read is what was written, and what is wrong with a file is said."""

from __future__ import annotations

import logging
import pickle
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from bed_reader import open_bed
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from reference.plink_files import read_bed, write_plink

from gp_elm.errors import InputError, OptionError
from gp_elm.io.blocks import default_chunk, select, source_blocks
from gp_elm.io.plink import read_plink
from gp_elm.schema import check_cohort


@pytest.fixture
def dosage() -> np.ndarray:
    return np.random.default_rng(1).integers(-1, 3, size=(23, 37)).astype(np.int8)


@pytest.fixture
def prefix(tmp_path: Path, dosage: np.ndarray) -> Path:
    return write_plink(tmp_path / "cohort", dosage)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@given(
    arrays.arrays(np.int8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(-1, 2)),
    st.integers(1, 10),
)
def test_bed_round_trips_in_any_chunks(dosage: np.ndarray, chunk: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        prefix = write_plink(Path(folder) / "x", dosage)
        cohort = read_plink(prefix, chunk_variants=chunk)
        np.testing.assert_array_equal(cohort["call_dosage"].to_numpy(), dosage)
        np.testing.assert_array_equal(read_bed(Path(f"{prefix}.bed"), *dosage.shape), dosage)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.integers(0, 99))
def test_any_shape_and_choice_is_what_bed_reader_gives(
    n_variants: int, n_samples: int, chunk: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    samples = rng.permutation(n_samples)[: rng.integers(1, n_samples + 1)]
    variants = rng.permutation(n_variants)[: rng.integers(1, n_variants + 1)]
    with tempfile.TemporaryDirectory() as folder:
        prefix = write_plink(Path(folder) / "x", rng.integers(-1, 3, (n_variants, n_samples)))
        cohort = read_plink(prefix, chunk_variants=chunk)
        found = select(cohort, samples=samples, variants=variants)["call_dosage"].to_numpy()
        with open_bed(f"{prefix}.bed", num_threads=1) as bed:
            expected = bed.read(index=(samples, variants), dtype="int8").T
    np.testing.assert_array_equal(found, np.where(expected == -127, -1, expected))


def test_the_dataset_follows_the_schema(prefix: Path) -> None:
    cohort = read_plink(prefix)
    check_cohort(cohort)
    assert cohort["call_dosage"].dtype == np.int8
    assert cohort["call_dosage"].chunks is not None
    assert list(cohort["variant_id"].to_numpy()[:2]) == ["v0", "v1"]
    assert list(cohort["variant_position"].to_numpy()[:2]) == [100, 200]
    assert set(cohort["variant_effect_allele"].to_numpy()) == {"A"}
    assert set(cohort["variant_other_allele"].to_numpy()) == {"G"}
    assert list(cohort["sample_sex"].to_numpy()[:4]) == [0, 1, 2, 0]
    assert cohort.attrs["source_bed"] == f"{prefix}.bed"


def test_three_paths_do_as_well_as_a_prefix(prefix: Path, tmp_path: Path, dosage: np.ndarray) -> None:
    moved = tmp_path / "elsewhere.txt"
    Path(f"{prefix}.fam").rename(moved)
    for cohort in (
        read_plink(f"{prefix}.bed", fam=moved),
        read_plink(bed=f"{prefix}.bed", bim=f"{prefix}.bim", fam=moved),
    ):
        np.testing.assert_array_equal(cohort["call_dosage"].to_numpy(), dosage)
    with pytest.raises(OptionError, match=r"no path for bed, bim; give a prefix"):
        read_plink(fam=moved)
    with pytest.raises(InputError, match=r"cohort\.fam: no such file; check --bfile"):
        read_plink(prefix)


def test_a_subset_is_read_inside_the_block_and_equals_indexing(prefix: Path, dosage: np.ndarray) -> None:
    cohort = read_plink(prefix, chunk_variants=5)
    samples, variants = np.array([30, 2, 3, 7]), np.arange(23) % 3 == 0
    part = select(cohort, samples=samples, variants=variants)
    np.testing.assert_array_equal(part["call_dosage"].to_numpy(), dosage[variants][:, samples])
    assert list(part["sample_id"].to_numpy()) == ["s30", "s2", "s3", "s7"]
    blocks = source_blocks(part)
    assert blocks is not None and blocks.shape == (8, 4)
    # once more, from a subset
    again = select(part, variants=[1, 0])
    np.testing.assert_array_equal(again["call_dosage"].to_numpy(), dosage[[3, 0]][:, samples])


def test_a_changed_array_is_never_taken_for_the_file(prefix: Path, dosage: np.ndarray) -> None:
    cohort = read_plink(prefix)
    changed = cohort.assign(call_dosage=cohort["call_dosage"] * 0)
    assert source_blocks(changed) is None
    assert not select(changed, samples=[1, 2])["call_dosage"].to_numpy().any()
    sliced = cohort.isel(variants=slice(3, None))
    assert source_blocks(sliced) is None
    np.testing.assert_array_equal(select(sliced, samples=[5])["call_dosage"].to_numpy(), dosage[3:, [5]])


def test_any_indexing_of_the_lazy_array(prefix: Path, dosage: np.ndarray) -> None:
    lazy = read_plink(prefix, chunk_variants=4)["call_dosage"].data
    for key in (
        np.s_[5],
        np.s_[5, 6],
        np.s_[2:9, 3:30:2],
        np.s_[:, [3, 1]],
        np.s_[[1, 8, 20]],
        np.s_[-3:, -1],
    ):
        np.testing.assert_array_equal(lazy[key].compute(), dosage[key])


def test_the_cohort_can_be_pickled(prefix: Path, dosage: np.ndarray) -> None:
    copy = pickle.loads(pickle.dumps(read_plink(prefix)))
    np.testing.assert_array_equal(copy["call_dosage"].to_numpy(), dosage)


def test_a_million_variants_open_quickly(tmp_path: Path) -> None:
    prefix = tmp_path / "wide"
    n_variants, n_samples = 1_000_000, 40
    with open(f"{prefix}.bim", "w") as bim:
        bim.writelines(f"{i // 50_000}\trs{i}\t0\t{i}\tA\tC\n" for i in range(n_variants))
    Path(f"{prefix}.fam").write_text("".join(f"s{i} s{i} 0 0 0 -9\n" for i in range(n_samples)))
    with open(f"{prefix}.bed", "wb") as bed:
        bed.write(b"\x6c\x1b\x01")
        bed.truncate(3 + n_variants * n_samples // 4)
    started = time.perf_counter()
    cohort = read_plink(prefix, chunk_variants=64)
    assert time.perf_counter() - started < 20
    assert cohort["call_dosage"].shape == (n_variants, n_samples)
    assert (cohort["call_dosage"][-3:].to_numpy() == 2).all()  # zero bytes are homozygous for allele 1


def test_a_block_stays_near_16_mebibytes() -> None:
    for n_samples in (1, 1_000, 10_000, 500_000):
        assert default_chunk(n_samples) * n_samples <= 2**24 + 16 * n_samples
    assert default_chunk(10**8) == 16


def test_a_truncated_bed_names_bytes_and_counts(prefix: Path) -> None:
    bed = Path(f"{prefix}.bed")
    bed.write_bytes(bed.read_bytes()[:-7])
    message = (
        r"cohort\.bed: 226 bytes, but 37 samples in .*\.fam and 23 variants in .*\.bim need 233; it is trunc"
    )
    with pytest.raises(InputError, match=message):
        read_plink(prefix)
    bed.write_bytes(bed.read_bytes() + bytes(20))
    with pytest.raises(InputError, match=r"246 bytes, .* need 233; it holds more, .* copy them again"):
        read_plink(prefix)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"\x6c\x1b\x00", r"sample-major BED .* plink --bfile \.\.\. --make-bed"),
        (b"\x50\x4b\x01", r"the first bytes are 50 4b 01, not 6c 1b 01: .* plink --make-bed"),
        (b"\x1f\x8b\x08", r"gzip-compressed; gunzip it first"),
        (b"", r"the first bytes are missing"),
    ],
)
def test_a_bed_of_another_kind_is_named(prefix: Path, head: bytes, message: str) -> None:
    bed = Path(f"{prefix}.bed")
    bed.write_bytes(head + bed.read_bytes()[3:] if head else b"")
    with pytest.raises(InputError, match=rf"cohort\.bed: .*{message}"):
        read_plink(prefix)


def test_a_bim_of_five_columns_names_the_line(prefix: Path) -> None:
    edit(Path(f"{prefix}.bim"), "v4\t0\t", "v4\t")
    with pytest.raises(
        InputError, match=r"cohort\.bim:5: 5 columns, expected 6 \(chromosome, id, cM, .*make-bed"
    ):
        read_plink(prefix)


def test_a_whole_bim_of_five_columns_names_the_first_line(prefix: Path) -> None:
    bim = Path(f"{prefix}.bim")
    bim.write_text("".join("\t".join(line.split()[:5]) + "\n" for line in bim.read_text().splitlines()))
    with pytest.raises(InputError, match=r"cohort\.bim:1: 5 columns, expected 6"):
        read_plink(prefix)


@pytest.mark.parametrize(("extra", "n_columns"), [("\tmore", 7), ("\tmore\tand\tmore", 9)])
def test_a_bim_of_more_columns_names_the_line(prefix: Path, extra: str, n_columns: int) -> None:
    edit(Path(f"{prefix}.bim"), "300\tA\tG", f"300\tA\tG{extra}")
    with pytest.raises(InputError, match=rf"cohort\.bim:3: {n_columns} columns, expected 6"):
        read_plink(prefix)


def test_a_position_that_is_no_number_names_the_line(prefix: Path) -> None:
    edit(Path(f"{prefix}.bim"), "\t300\t", "\tabc\t")
    with pytest.raises(InputError, match=r"cohort\.bim:3: position 'abc' is no whole number; write"):
        read_plink(prefix)


def test_a_malformed_fam_names_the_line(prefix: Path) -> None:
    edit(Path(f"{prefix}.fam"), "s5 0 0", "s5 0")
    with pytest.raises(InputError, match=r"cohort\.fam:6: 5 columns, expected 6 \(FID, IID"):
        read_plink(prefix)
    Path(f"{prefix}.fam").write_text("")
    with pytest.raises(InputError, match=r"cohort\.fam: the file is empty"):
        read_plink(prefix)


def test_repeated_samples_are_named(prefix: Path) -> None:
    edit(Path(f"{prefix}.fam"), "0 s7 ", "0 s3 ")
    edit(Path(f"{prefix}.fam"), "0 s9 ", "0 s2 ")
    message = (
        r"cohort\.fam: sample 0 s2 \(FID IID\) stands on lines 3 and 10, and 1 more ids are repeated; rename"
    )
    with pytest.raises(InputError, match=message):
        read_plink(prefix)


def test_iids_that_repeat_between_families_become_fid_iid(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prefix = write_plink(tmp_path / "x", np.ones((2, 3), np.int8), iid=["1", "2", "1"], fid=["a", "a", "b"])
    with caplog.at_level(logging.INFO, "gp_elm"):
        cohort = read_plink(prefix)
    assert list(cohort["sample_id"].to_numpy()) == ["a_1", "a_2", "b_1"]
    assert list(cohort["sample_iid"].to_numpy()) == ["1", "2", "1"]
    assert "IID '1' and others repeat between families; sample_id is FID_IID" in caplog.text


def test_long_alleles_and_equal_alleles_are_no_error(prefix: Path) -> None:
    edit(Path(f"{prefix}.bim"), "100\tA\tG", f"100\t{'ACGT' * 100}\tA")
    edit(Path(f"{prefix}.bim"), "200\tA\tG", "200\tA\tA")
    cohort = read_plink(prefix)
    check_cohort(cohort)
    assert len(cohort["variant_effect_allele"].to_numpy()[0]) == 400


def test_compressed_and_other_formats_are_recognised(tmp_path: Path) -> None:
    (tmp_path / "x.bed.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"x\.bed: no such file; .*x\.bed\.gz is there: gunzip it first"):
        read_plink(tmp_path / "x")
    (tmp_path / "y.pgen").write_bytes(b"")
    with pytest.raises(InputError, match=r"y\.bed: no such file; .*plink2 --pfile \.\.\. --make-bed"):
        read_plink(tmp_path / "y")


@pytest.mark.parametrize(
    ("name", "shape"),
    [("yeast_bloom2015", (10303, 4390)), ("mouse_hs_bglr", (10346, 1814)), ("qtl_multitrait", (117, 162))],
)
def test_real_cohorts(shared_data: Path, name: str, shape: tuple[int, int]) -> None:
    prefix = shared_data / name / name
    cohort = read_plink(prefix)
    check_cohort(cohort)
    assert cohort["call_dosage"].shape == shape
    np.testing.assert_array_equal(
        cohort["call_dosage"][:3].to_numpy(), read_bed(Path(f"{prefix}.bed"), 3, shape[1])
    )
