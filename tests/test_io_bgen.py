"""BGEN: any ploidy, phase, bits and number of alleles; the bgen package as a twin; faults said in one line."""

from __future__ import annotations

import pickle
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from bgen import BgenReader, BgenWriter
from hypothesis import given
from hypothesis import strategies as st
from reference.bgen_writer import probability_block, random_record, write_bgen

from gp_elm.errors import InputError, OptionError
from gp_elm.io.bed import BedSource
from gp_elm.io.bgen import read_bgen
from gp_elm.io.blocks import select
from gp_elm.io.plink import read_plink
from gp_elm.kernels.bgen import decode_layout2
from gp_elm.schema import check_cohort

DATA = Path(__file__).parent / "data" / "formats"
FILES = ["calls8", "calls16", "calls11", "calls_last", "dosages8", "dosages16"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for kind in ("bgen", "sample"):
        shutil.copy(DATA / f"dosages8.{kind}", tmp_path / f"x.{kind}")
    return tmp_path / "x.bgen"


@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.booleans(), st.integers(1, 32))
def test_any_block_is_decoded_to_the_copies_it_stands_for(
    seed: int, n_alleles: int, phased: bool, bits: int
) -> None:
    block, copies = random_record(np.random.default_rng(seed), 13, n_alleles, phased, bits)
    raw = np.frombuffer(block, np.uint8)
    for allele in range(n_alleles):
        found = np.empty(13, np.float32)
        assert decode_layout2(raw, n_alleles, allele, found) == 0
        np.testing.assert_allclose(found, copies[allele], rtol=1e-6, atol=1e-9)
        assert decode_layout2(raw[:-1], n_alleles, allele, found) in (0, 1)


@pytest.mark.parametrize("name", FILES)
def test_the_bgen_package_reads_the_same(name: str) -> None:
    cohort = read_bgen(DATA / f"{name}.bgen", sample=DATA / f"{name}.sample")
    check_cohort(cohort)
    with BgenReader(DATA / f"{name}.bgen", delay_parsing=True) as reader:
        records = [(v.rsid, v.chrom, v.pos, v.alleles, v.alt_dosage) for v in reader]
    # its table for 8 bits has seven decimals
    np.testing.assert_allclose(cohort["call_dosage"], [record[4] for record in records], rtol=0, atol=2e-7)
    assert cohort["variant_id"].to_numpy().tolist() == [record[0] for record in records]
    assert cohort["variant_position"].to_numpy().tolist() == [record[2] for record in records]
    alleles = np.array([cohort["variant_other_allele"], cohort["variant_effect_allele"]]).T
    assert alleles.tolist() == [record[3] for record in records]


@pytest.mark.parametrize("bits", [8, 16])
def test_hard_calls_follow_the_rule_of_plink(bits: int) -> None:
    calls = read_bgen(DATA / f"dosages{bits}.bgen", dosages=False)["call_dosage"]
    assert calls.dtype == np.int8
    expected = BedSource(str(DATA / f"dosages{bits}.bed"), (40, 60)).read(np.arange(40), None)
    assert 300 < (expected == -1).sum() < 500
    np.testing.assert_array_equal(calls, expected)


def test_haploid_and_phased_calls_are_those_of_plink() -> None:
    # biallelic sites on chromosome 1 (phased), X (haploid males) and MT
    cohort = read_bgen(DATA / "alleles.bgen", sample=DATA / "alleles.sample")
    bed = read_plink(DATA / "alleles")
    assert cohort["contig_id"].to_numpy().tolist() == ["1", "X", "MT"]
    np.testing.assert_array_equal(np.nan_to_num(cohort["call_dosage"], nan=-1), bed["call_dosage"])
    np.testing.assert_array_equal(cohort["sample_sex"], bed["sample_sex"])


@pytest.mark.parametrize("reference", ["first", "last"])
def test_each_alt_allele_is_a_row(tmp_path: Path, reference: str) -> None:
    rng = np.random.default_rng(3)
    drawn = [random_record(rng, 9, k, phased, 8) for k, phased in ((3, False), (2, True), (4, True))]
    alleles = [["A", "C", "GG"], ["T", "*"], ["A", "C", "G", "T"]]
    write_bgen(
        tmp_path / "x.bgen",
        [("7", 5 + i, f"v{i}", a, d[0]) for i, (a, d) in enumerate(zip(alleles, drawn, strict=True))],
        [f"s{i}" for i in range(9)],
    )
    cohort = read_bgen(tmp_path / "x.bgen", reference=reference, chunk_variants=2)
    refs = [0 if reference == "first" else len(a) - 1 for a in alleles]
    rows = [(i, a) for i, names in enumerate(alleles) for a in range(len(names)) if a != refs[i]]
    rows = [(i, a) for i, a in rows if alleles[i][a] != "*"]
    np.testing.assert_allclose(cohort["call_dosage"], [drawn[i][1][a] for i, a in rows], rtol=1e-6)
    assert cohort["variant_effect_allele"].to_numpy().tolist() == [alleles[i][a] for i, a in rows]
    assert cohort["variant_other_allele"].to_numpy().tolist() == [alleles[i][refs[i]] for i, a in rows]
    assert cohort["sample_id"].to_numpy().tolist() == [f"s{i}" for i in range(9)]
    part = select(cohort, variants=[3, 1], samples=[8, 0])["call_dosage"].to_numpy()
    np.testing.assert_array_equal(part, cohort["call_dosage"].to_numpy()[[3, 1]][:, [8, 0]])


def test_it_can_be_pickled(file: Path) -> None:
    cohort = read_bgen(file)
    copy = pickle.loads(pickle.dumps(cohort))
    np.testing.assert_array_equal(copy["call_dosage"], cohort["call_dosage"])


def test_an_index_is_used_where_it_fits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "x.bgen"
    geno = np.eye(3)[np.random.default_rng(1).integers(0, 3, (50, 20))]
    with BgenWriter(str(path), 20, samples=[f"s{i}" for i in range(20)], compression="zlib") as writer:
        for i, one in enumerate(geno):
            # positions that fall, so that the order of the file is not that of the index
            writer.add_variant(f"id{i}", f"rs{i}", "3", 1000 - i, ["G", "T"], one)
    index = Path(f"{path}.bgi")
    assert index.is_file()
    indexed = read_bgen(path)
    assert indexed["variant_id"].to_numpy().tolist() == [f"rs{i}" for i in range(50)]
    np.testing.assert_array_equal(indexed["call_dosage"], geno.argmax(axis=2))
    assert "not the index" not in caplog.text
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("DELETE FROM Variant WHERE rsid = 'rs7'")
        connection.commit()
    assert read_bgen(path).identical(indexed.assign(call_dosage=read_bgen(path)["call_dosage"]))
    assert "x.bgen.bgi: not the index of this BGEN file" in caplog.text
    index.write_bytes(b"no database")
    assert read_bgen(path).sizes["variants"] == 50


def test_where_the_sample_ids_come_from(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        embedded = read_bgen(file)
    assert not embedded["sample_sex"].to_numpy().any()
    assert "sex is not known; --sample" in caplog.text
    assert "the effect allele is ALT, REF being the first allele" in caplog.text
    table = file.with_suffix(".sample")
    given = read_bgen(file, sample=table)
    np.testing.assert_array_equal(given["sample_id"], embedded["sample_id"])
    assert set(given["sample_sex"].to_numpy()) == {1, 2}
    shutil.copy(DATA / "calls11.bgen", file)  # holds no ids
    assert read_bgen(file).attrs["source_sample"] == str(table)
    table.write_text("".join(line + "\n" for line in table.read_text().splitlines()[:-1]))
    with pytest.raises(InputError, match=r"x\.sample: 59 samples, but .*x\.bgen holds 60"):
        read_bgen(file)
    table.unlink()
    with pytest.raises(
        InputError, match=r"no sample ids in the file and no x\.sample beside it; give --sample"
    ):
        read_bgen(file)
    with pytest.raises(InputError, match=r"nowhere: no such file; check --sample"):
        read_bgen(file, sample="nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no .sample file: the first line must start with ID_1 ID_2"),
        ("ID_1 ID_2 missing\n0 0 0\n", "no sample; copy it again"),
        ("ID_1 ID_2 missing\n1 1 0\n", r":2: 1 1 0 is no line of column types"),
        ("ID_1 ID_2 missing\n0 0 0\na a\n", r":3: 2 columns, but the first line has 3; mend it"),
        ("ID\n0\na\na\n", "sample 'a' is there twice"),
    ],
)
def test_what_is_wrong_with_a_sample_file_is_said(file: Path, text: str, message: str) -> None:
    file.with_suffix(".sample").write_text(text)
    with pytest.raises(InputError, match=message):
        read_bgen(file, sample=file.with_suffix(".sample"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: b"", "0 bytes are too few for a BGEN header"),
        (lambda raw: raw[:16] + b"abcd" + raw[20:], "bytes 17 to 20 are 61 62 63 64, not 'bgen'"),
        (lambda raw: raw[:100], "100 bytes, but the header alone takes"),
        (
            lambda raw: raw[:-1],
            r"variant 40 of 40 \(byte [\d,]+\) runs beyond the end of the file, which is truncated",
        ),
        (lambda raw: raw[:3000], r"variant \d+ of 40 .* truncated; copy the file again"),
        (lambda raw: raw[:20] + b"\x0d" + raw[21:], "layout 3 with compression 1 is no BGEN"),
        (lambda raw: raw[:12] + b"\x3b" + raw[13:], "59 samples in the header, 60 ids embedded"),
        (
            lambda raw: raw[:8] + b"\xff\xff\xff" + raw[11:],
            "cannot hold the 16,777,215 variants of the header",
        ),
    ],
)
def test_a_damaged_file_is_refused_at_opening(file: Path, change: object, message: str) -> None:
    file.write_bytes(change(file.read_bytes()))  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        read_bgen(file)


def test_a_damaged_block_is_said_on_reading(file: Path) -> None:
    cohort = read_bgen(file)
    raw = bytearray(file.read_bytes())
    raw[-60:-20] = bytes(40)
    file.write_bytes(raw)
    with pytest.raises(
        InputError, match=r"x\.bgen: variant 40 \(rs40, 2:40007\) cannot be unpacked \(.*\); copy"
    ):
        cohort["call_dosage"].to_numpy()


@pytest.mark.parametrize(
    ("ploidy", "values", "message"),
    [
        ([3, 2], [[[1, 1, 1, 252]], [[255, 0, 0]]], "a sample of ploidy above 2; leave the variant out"),
        (
            [2, 2],
            [[[200, 100, 0]], [[255, 0, 0]]],
            "probabilities that sum to more than 1; copy the file again",
        ),
    ],
)
def test_what_cannot_be_counted_is_refused(
    tmp_path: Path, ploidy: list[int], values: list, message: str
) -> None:
    block = probability_block(values, ploidy, 2, False, 8)
    write_bgen(tmp_path / "x.bgen", [("1", 4, "rs9", ["A", "C"], block)], ["a", "b"])
    with pytest.raises(InputError, match=rf"x\.bgen: variant 1 \(rs9, 1:4\): {message}"):
        read_bgen(tmp_path / "x.bgen")["call_dosage"].to_numpy()


def test_options(file: Path) -> None:
    with pytest.raises(OptionError, match="reference is 'middle'; give 'first' or 'last'"):
        read_bgen(file, reference="middle")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="chunk_variants is 0"):
        read_bgen(file, chunk_variants=0)
    with pytest.raises(InputError, match="nowhere: no such file; check --bgen"):
        read_bgen("nowhere")
