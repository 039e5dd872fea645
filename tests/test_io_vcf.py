"""VCF and BCF: what is read is what PLINK 2, bcftools and a slow twin read, and what is wrong with a file is said."""

from __future__ import annotations

import gzip
import logging
import os
import pickle
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bed_reader import open_bed
from hypothesis import given
from hypothesis import strategies as st
from reference.vcf import random_vcf, read_rows

from gp_elm.errors import InputError, OptionError, OutputError
from gp_elm.io import vcf, vcf_conversion
from gp_elm.io.converted import default_folder
from gp_elm.io.vcf import read_vcf
from gp_elm.io.vcf_records import Task, convert
from gp_elm.io.vcf_regions import parse_regions
from gp_elm.kernels.bed import decode_bed
from gp_elm.schema import check_cohort

DATA = Path(__file__).parent / "data" / "vcf"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A copy of the test files; the indexes are not older than what they index."""
    for file in sorted(DATA.iterdir(), key=lambda file: file.suffix in (".tbi", ".csi")):
        if file.is_file():
            shutil.copyfile(file, tmp_path / file.name)
    return tmp_path


def identity(cohort) -> list[tuple]:
    contigs = cohort["contig_id"].to_numpy()[cohort["variant_contig"].to_numpy()]
    columns = ("variant_position", "variant_id", "variant_effect_allele", "variant_other_allele")
    return list(zip(contigs, *(cohort[name].to_numpy() for name in columns), strict=True))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def converted(text: str, folder: Path, field: str = "GT", passed: bool = False):
    """Rows of a text, in this process."""
    path = folder / "x.vcf"
    path.write_text(text)
    n = len(next(line for line in text.splitlines() if line.startswith("#CHROM")).split("\t")) - 9
    counts = convert(Task(str(path), str(folder / "part"), field, n, None, False, passed, 1))
    bim = [line.split("\t") for line in (folder / "part.bim").read_text().splitlines()]
    rows = [(c, int(position), name, alt, ref) for c, name, _, position, alt, ref in bim]
    if field == "GT":
        raw = np.fromfile(folder / "part.bed", np.uint8).reshape(len(rows), (n + 3) // 4)
        return rows, decode_bed(raw, n), counts
    import zarr

    values = zarr.open_array(str(folder / "part.zarr"), mode="r")[:]
    shutil.rmtree(folder / "part.zarr")
    return rows, values, counts


@given(st.integers(0, 10**6), st.booleans())
def test_random_hard_calls_equal_the_twin(tmp_path_factory, seed: int, passed: bool) -> None:
    text = random_vcf(np.random.default_rng(seed), n_samples=1 + seed % 9)
    expected = read_rows(text, passed=passed)
    rows, dosage, counts = converted(text, tmp_path_factory.mktemp("twin"), passed=passed)
    assert rows == [row[:5] for row in expected]
    assert counts["records"] == 12
    np.testing.assert_array_equal(dosage, np.reshape([r.copies for r in expected], dosage.shape))


@pytest.mark.parametrize("seed", range(6))
def test_random_dosages_equal_the_twin(tmp_path: Path, seed: int) -> None:
    text = random_vcf(np.random.default_rng(seed), dosages=True)
    expected = read_rows(text, "DS")
    rows, dosage, _ = converted(text, tmp_path, "DS")
    assert rows == [row[:5] for row in expected]
    assert dosage.dtype == np.float32
    np.testing.assert_allclose(dosage, [row.copies for row in expected], rtol=1e-6)


@pytest.mark.parametrize("name", ["mixed.vcf", "mixed.vcf.gz", "mixed.bcf"])
def test_hard_calls_equal_those_of_plink2_after_bcftools_norm(data: Path, name: str) -> None:
    cohort = read_vcf(data / name)
    check_cohort(cohort)
    assert cohort["call_dosage"].dtype == np.int8
    assert cohort.attrs == {"source_vcf": str(data / name)}
    bim = pd.read_csv(DATA / "split.bim", sep="\t", header=None, dtype={0: str}, keep_default_na=False)
    # bcftools norm and the reader keep the order of the file, up to the ALTs of one record
    assert identity(cohort) == list(bim[[0, 3, 1, 4, 5]].itertuples(index=False, name=None))
    with open_bed(DATA / "split.bed", iid_count=13, sid_count=len(bim)) as bed:
        expected = bed.read(dtype="int8").T
    np.testing.assert_array_equal(cohort["call_dosage"].to_numpy(), np.where(expected == -127, -1, expected))
    # and the folder is a PLINK fileset to bed-reader
    with open_bed(data / f"{name}.gp_elm" / "GT" / "genotypes.bed") as bed:
        np.testing.assert_array_equal(bed.read(dtype="int8").T, expected)
        assert list(bed.iid) == list(cohort["sample_id"].to_numpy())


def test_dosages_equal_those_of_plink2(data: Path) -> None:
    cohort = read_vcf(data / "dosage.vcf", field="DS")
    traw = pd.read_csv(DATA / "dosage.traw", sep="\t")
    values = traw.iloc[:, 6:].to_numpy(float)
    is_ref = (traw["COUNTED"].to_numpy() == cohort["variant_other_allele"].to_numpy())[:, None]
    dosage = cohort["call_dosage"].to_numpy()
    given_ds = ~np.isnan(dosage)
    # PLINK 2 takes the hard call where DS is missing, gp_elm does not; it keeps 1/16384 of a dosage
    np.testing.assert_allclose(dosage[given_ds], np.where(is_ref, 2 - values, values)[given_ds], atol=2e-4)
    assert given_ds.mean() > 0.5 and (dosage[given_ds] % 1 > 0).any()


@pytest.mark.parametrize(
    ("name", "field"), [("mixed.vcf.gz", "GT"), ("mixed.bcf", "GT"), ("mixed.vcf.gz", "DS")]
)
def test_parallel_and_sequential_conversions_are_identical(data: Path, name: str, field: str) -> None:
    whole = read_vcf(data / name, field=field, processes=1, store=data / "one")
    parts = read_vcf(data / name, field=field, processes=2, store=data / "many")
    assert contents(data / "one") == contents(data / "many")
    np.testing.assert_array_equal(whole["call_dosage"].to_numpy(), parts["call_dosage"].to_numpy())
    some = [5, 2, 40]
    np.testing.assert_array_equal(
        parts["call_dosage"][some].to_numpy(), whole["call_dosage"].to_numpy()[some]
    )


def test_a_region_is_the_same_with_and_without_an_index(data: Path) -> None:
    everything = [row[:5] for row in read_rows((data / "mixed.vcf").read_text())]
    middle = everything[len(everything) // 3]
    # starts inside the REF of a record, which does not belong to it
    start = next(row[1] for row in everything if len(row[4]) > 1 and row[0] == "1") + 1
    regions = f"2,1:{start}-{middle[1] + 500000}"
    kept = [
        row for row in everything
        if row[0] == "2" or start <= row[1] <= middle[1] + 500000
    ]  # fmt: skip
    assert 0 < len(kept) < len(everything)
    for name, processes in (("mixed.vcf", 1), ("mixed.vcf.gz", 2), ("mixed.bcf", 1)):
        assert identity(read_vcf(data / name, regions=regions, processes=processes)) == kept, name
    with pytest.raises(InputError, match=r"no records of chromosome 'chr1' \(--regions\); it has 1, 2"):
        read_vcf(data / "mixed.bcf", regions="chr1")


def test_regions_are_read_as_bcftools_reads_them() -> None:
    assert parse_regions("1:5-9,chr2,1:8-20,1:30", []) == [
        ("1", 5, 20), ("1", 30, 30), ("chr2", 1, 2**31 - 2),
    ]  # fmt: skip
    assert parse_regions("HLA-A*01:01", ["HLA-A*01:01"]) == [("HLA-A*01:01", 1, 2**31 - 2)]
    for wrong in ("1:9-5", "1:x-9", "", "1:0-4"):
        with pytest.raises(OptionError, match="--regions"):
            parse_regions(wrong, [])


def test_an_index_of_another_file_loses_nothing(data: Path, caplog) -> None:
    half = [line for k, line in enumerate((data / "mixed.vcf").read_text().splitlines()) if k < 60 or k > 90]
    (data / "half.vcf").write_text("\n".join(half) + "\n")
    expected = [row[:5] for row in read_rows((data / "mixed.vcf").read_text())]
    if shutil.which("bgzip") is None or shutil.which("tabix") is None:
        pytest.skip("bgzip and tabix are not installed")
    subprocess.run(["bgzip", str(data / "half.vcf")], check=True)
    subprocess.run(["tabix", str(data / "half.vcf.gz")], check=True)
    shutil.copyfile(data / "half.vcf.gz.tbi", data / "mixed.vcf.gz.tbi")
    try:
        assert identity(read_vcf(data / "mixed.vcf.gz", processes=2)) == expected
        assert "the index names" in caplog.text
    except InputError as error:  # htslib may find no block where the index says
        assert "damaged" in str(error)


def test_the_conversion_is_made_once(data: Path, monkeypatch, caplog) -> None:
    path = data / "mixed.vcf"
    first = read_vcf(path)
    os.utime(path, (1, 1))
    with monkeypatch.context() as patch, caplog.at_level(logging.INFO):
        patch.setattr(vcf, "convert", None)
        again = read_vcf(path, chunk_variants=7)
        assert again["call_dosage"].chunks[0][0] == 7
        assert "records with several ALTs split" in caplog.text
    np.testing.assert_array_equal(first["call_dosage"].to_numpy(), again["call_dosage"].to_numpy())
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(again))["call_dosage"].to_numpy(), again["call_dosage"]
    )
    # other options stand beside it
    fewer = read_vcf(path, passed=True)
    assert 0 < fewer.sizes["variants"] < first.sizes["variants"]
    assert len(list((data / "mixed.vcf.gp_elm").iterdir())) == 2
    path.write_text(path.read_text().replace("PASS", ".", 1).replace("s12", "t12", 1))
    assert read_vcf(path)["sample_id"].to_numpy()[-1] == "t12"


def test_nothing_is_left_of_an_interrupted_conversion(data: Path, monkeypatch) -> None:
    def interrupt(*_) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(vcf_conversion, "_move_into", interrupt)
    with pytest.raises(KeyboardInterrupt):
        read_vcf(data / "mixed.vcf.gz", processes=2)
    assert not (data / "mixed.vcf.gz.gp_elm").exists()


def test_a_reader_that_dies_is_told_in_one_line(data: Path) -> None:
    worker = vcf_conversion._Worker()
    worker.stop()
    with pytest.raises(InputError, match=r"ended \(signal 9\); the file is damaged, or memory is short"):
        worker.perform({"path": "x.vcf"}, lambda n: None)
    worker.close()


def test_the_folder_goes_to_the_cache_where_the_file_stands_read_only(data: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(data / "cache"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    folder = default_folder(data / "mixed.vcf", "GT")
    assert folder.is_relative_to(data / "cache" / "gp_elm")
    (data / "taken").mkdir()
    (data / "taken" / "letter.txt").write_text("mine")
    with pytest.raises(OutputError, match="something else stands there"):
        read_vcf(data / "mixed.vcf", store=data / "taken")
    assert (data / "taken" / "letter.txt").read_text() == "mine"


HEADER = (
    "##fileformat=VCFv4.2\n##contig=<ID=1>\n##contig=<ID=2>\n"
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\n"
)
LINE = "{}\t{}\t.\tA\tC\t.\t.\t.\tGT\t{}\t{}\n"
GOOD = LINE.format(1, 5, "0/1", "1/1")

BEFORE = {
    "empty": (b"", "the file is empty"),
    "no VCF": (b"hello\nworld\n", "this is no VCF or BCF"),
    "binary": (bytes(range(255, 0, -1)) * 9, "this is no VCF or BCF"),
    "no fileformat": (HEADER.split("\n", 1)[1].encode(), "the first line is not ##fileformat=VCF"),
    "no header line": ((HEADER.split("#CHROM")[0] + GOOD).encode(), "starts with #CHROM is missing"),
    "no samples": (HEADER.replace("\tFORMAT\ta\tb", "").encode(), "no samples"),
    "twice": (HEADER.replace("\tb\n", "\ta\n").encode(), "sample 'a' is there twice"),
    "columns": ((HEADER + GOOD[:-5] + "\n").encode(), "the first record has 10 columns, the header 11"),
    "truncated gzip": (gzip.compress((HEADER + GOOD * 99).encode())[:90], "end early or are damaged"),
    "damaged gzip": (b"\x1f\x8b" + bytes(60), "damaged"),
}
RECORDS = {
    "position": (GOOD.replace("\t5\t", "\t0\t"), "1 at position 0; positions start at 1"),
    "unsorted": (LINE.format(1, 9, "0/1", "0/1") + GOOD, "1:5 stands behind 1:9; sort the file"),
    "torn": (GOOD + LINE.format(2, 1, 0, 0) + GOOD, "records of 1 stand in two places"),
    "polyploid": (LINE.format(1, 5, "0/1/1", "0/1"), "1:5: a call of more than two alleles; polyploid"),
    "allele": (LINE.format(1, 5, "0/4", "0/1"), "1:5: a call of an allele beyond the 1 ALTs"),
}
LIBRARY = {
    "header alone": ("", "no variant is left"),
    "columns": (GOOD + GOOD[:-5] + "\n", "does not match the number of samples"),
    "no position": (GOOD.replace("\t5\t", "\tx\t"), "Could not parse the position 'x'"),
    "no number": (LINE.format(1, 5, "0/x", "0/1"), "the file is damaged"),
}


@pytest.mark.parametrize("name", BEFORE)
def test_a_malformed_file_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    content, message = BEFORE[name]
    path = tmp_path / "x.vcf"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_vcf(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert not path.with_name("x.vcf.gp_elm").exists()


@pytest.mark.parametrize("name", RECORDS)
def test_records_that_cannot_be_used_are_told_in_one_line(tmp_path: Path, name: str) -> None:
    records, message = RECORDS[name]
    with pytest.raises(InputError, match=message) as caught:
        converted(HEADER + records, tmp_path)
    assert "\n" not in str(caught.value) and str(tmp_path / "x.vcf") in str(caught.value)


@pytest.mark.parametrize("name", LIBRARY)
def test_what_the_library_says_of_damage_is_told_in_one_line(tmp_path: Path, name: str, capfd) -> None:
    records, message = LIBRARY[name]
    path = tmp_path / "x.vcf"
    path.write_text(HEADER + records)
    with pytest.raises(InputError, match=message) as caught:
        read_vcf(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_truncated_file_is_told(data: Path) -> None:
    whole = (data / "mixed.vcf.gz").read_bytes()
    for size in (len(whole) - 28, len(whole) // 2, 100):
        (data / "cut.vcf.gz").write_bytes(whole[:size])
        with pytest.raises(InputError, match="truncated"):
            read_vcf(data / "cut.vcf.gz")
    plain = gzip.compress((data / "mixed.vcf").read_bytes())
    (data / "cut.vcf.gz").write_bytes(plain)
    assert read_vcf(data / "cut.vcf.gz").sizes["samples"] == 13
    (data / "cut.vcf.gz").write_bytes(plain[: len(plain) - 400])
    with pytest.raises(InputError, match="damaged|end early"):
        read_vcf(data / "cut.vcf.gz", store=data / "store")
    with pytest.raises(InputError, match="no such file; check --vcf"):
        read_vcf(data / "absent.vcf")


def test_options_are_checked(data: Path) -> None:
    with pytest.raises(OptionError, match="field is 'GP'"):
        read_vcf(data / "mixed.vcf", field="GP")
    with pytest.raises(OptionError, match="processes is 0"):
        read_vcf(data / "mixed.vcf", processes=0)
    (data / "gt.vcf").write_text(HEADER + GOOD)
    with pytest.raises(InputError, match="no DS in the header .*leave out --dosages"):
        read_vcf(data / "gt.vcf", field="DS")
