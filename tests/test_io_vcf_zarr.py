"""VCF Zarr: what bio2zarr and sgkit wrote is what a plain reading of the VCF gives; what is written, they read."""

from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from reference.plink_files import write_plink

from gp_elm.errors import InputError, OptionError, OutputError
from gp_elm.genotypes.sex import code_sex_chromosomes
from gp_elm.io.blocks import select
from gp_elm.io.plink import read_plink
from gp_elm.io.vcf import read_vcf
from gp_elm.io.vcf_zarr import read_vcf_zarr, write_vcf_zarr
from gp_elm.kernels.alleles import count_allele
from gp_elm.schema import check_cohort

DATA = Path(__file__).parent / "data" / "vcz"


def unpacked(name: str, folder: Path) -> Path:
    target = folder / name.removesuffix(".zip")
    with zipfile.ZipFile(DATA / name) as packed:
        packed.extractall(target)
    return target


def rows_of(vcf: Path, field: str, *, passed: bool = False) -> list[tuple]:
    """Readable twin: chromosome, position, id, other and effect allele, and copies of each sample, for each ALT."""
    rows = []
    for line in vcf.read_text().splitlines():
        if line.startswith("#"):
            continue
        chromosome, position, name, ref, alts, _, filters, _, keys, *samples = line.split("\t")
        if passed and filters not in ("PASS", "."):
            continue
        for number, alt in enumerate(alts.split(","), start=1):
            if alt in ("*", "."):
                continue
            copies = []
            for sample in samples:
                values = dict(zip(keys.split(":"), sample.split(":"), strict=True))
                value = values.get(field, ".")
                if field == "DS":
                    text = (value.split(",") + ["."] * 9)[number - 1]
                    haploid = values.get("GT", ".") in tuple("0123456789")
                    copies.append(np.nan if text == "." else min(2.0, float(text) * (2 if haploid else 1)))
                else:
                    called = value.replace("|", "/").split("/")
                    share = 2 // len(called)
                    copies.append(-1 if "." in called else share * called.count(str(number)))
            rows.append((chromosome, int(position), name, ref, alt, copies))
    return rows


@pytest.mark.parametrize("name", ["calls.v2.vcz.zip", "calls.v3.vcz.zip"])
@pytest.mark.parametrize("field", ["GT", "DS"])
@pytest.mark.parametrize("passed", [False, True])
@pytest.mark.parametrize("folder", [False, True])
def test_what_vcf2zarr_wrote_equals_the_vcf(
    tmp_path: Path, name: str, field: str, passed: bool, folder: bool
) -> None:
    path = unpacked(name, tmp_path) if folder else DATA / name
    cohort = read_vcf_zarr(path, field=field, passed=passed, chunk_variants=3)  # type: ignore[arg-type]
    check_cohort(cohort)
    chromosome, position, ids, other, effect, copies = zip(
        *rows_of(DATA / "calls.vcf", field, passed=passed), strict=True
    )
    assert tuple(cohort["contig_id"].to_numpy()[cohort["variant_contig"].to_numpy()]) == chromosome
    for variable, values in (
        ("variant_position", position), ("variant_id", ids), ("variant_other_allele", other),
        ("variant_effect_allele", effect), ("sample_id", [f"s{i}" for i in range(1, 6)]),
    ):  # fmt: skip
        np.testing.assert_array_equal(cohort[variable].to_numpy(), values)
    dosage = cohort["call_dosage"]
    assert dosage.dtype == (np.int8 if field == "GT" else np.float32)
    np.testing.assert_array_equal(dosage.to_numpy(), np.array(copies, dosage.dtype))


def test_what_was_left_out_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        read_vcf_zarr(DATA / "calls.v2.vcz.zip", passed=True)
    assert "5 samples, 7 variants" in caplog.text
    assert (
        "; 1 records left out by FILTER; 1 records without ALT left out; 1 ALTs '*' left out" in caplog.text
    )


def test_plink2zarr_sgkit_and_tskit_stores_open() -> None:
    cohort, plink = read_vcf_zarr(DATA / "dummy.vcz.zip"), read_plink(DATA / "dummy")
    for name in ("call_dosage", "variant_id", "variant_position", "variant_effect_allele",
                 "variant_other_allele", "sample_id"):  # fmt: skip
        np.testing.assert_array_equal(cohort[name].to_numpy(), plink[name].to_numpy())
    # call_genotype as sgkit printed it, mixed ploidy: [0,-2] [1,-2] [0,-2] [1,0] [1,1] is the first row
    sgkit = read_vcf_zarr(DATA / "sgkit.zarr.zip")
    assert sgkit["call_dosage"].to_numpy()[:2].tolist() == [[0, 2, 0, 1, 2], [2, 2, -1, 2, -1]]
    assert list(sgkit["contig_id"].to_numpy()) == ["0", "1"]
    tskit = read_vcf_zarr(DATA / "tskit.vcz.zip")
    assert tskit["call_dosage"].to_numpy().tolist() == [[1, 1, 0], [1, 0, 0], [1, 0, 2]]


def test_any_choice_is_read_as_indexing_would_and_pickles() -> None:
    cohort = read_vcf_zarr(DATA / "calls.v2.vcz.zip", chunk_variants=2)
    whole = cohort["call_dosage"].to_numpy()
    variants, samples = np.array([7, 0, 3, 3, 5]), np.array([4, 1, 2])
    part = pickle.loads(pickle.dumps(select(cohort, samples=samples, variants=variants)))
    np.testing.assert_array_equal(part["call_dosage"].to_numpy(), whole[variants][:, samples])
    assert part["call_dosage"].data.chunks == ((2, 2, 1), (3,))
    other = read_vcf_zarr(DATA / "calls.v2.vcz.zip", chunk_variants=2)
    assert other["call_dosage"].data.name == cohort["call_dosage"].data.name


@given(
    arrays.arrays(
        np.int8,
        st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 2)),
        elements=st.integers(-2, 3),
    ),
    st.integers(1, 3),
)
def test_copies_are_counted_as_a_plain_loop_counts_them(calls: np.ndarray, allele: int) -> None:
    rows, columns = np.arange(len(calls))[::-1].copy(), np.arange(calls.shape[1])
    found = np.full((len(rows), len(columns)), 9, np.int8)
    largest = count_allele(
        calls, rows, np.full(len(rows), allele), columns, found, np.arange(len(rows)), columns
    )
    assert largest == max(0, calls.max())
    for r, record in enumerate(rows):
        for c in columns:
            copies = [int(a) for a in calls[record, c]]
            present = copies[:1] if copies[-1] == -2 or len(copies) == 1 else copies
            expected = -1 if min(present) < 0 else 2 // len(present) * present.count(allele)
            assert found[r, c] == expected


@pytest.mark.parametrize("field", ["GT", "DS"])
@pytest.mark.parametrize("passed", [False, True])
def test_it_reads_as_the_vcf_does(tmp_path: Path, field: str, passed: bool) -> None:
    options = {"field": field, "passed": passed}
    vcf = read_vcf(DATA / "calls.vcf", store=tmp_path / "store", **options)  # type: ignore[arg-type]
    vcz = read_vcf_zarr(DATA / "calls.v3.vcz.zip", **options)  # type: ignore[arg-type]
    if field == "GT":  # a record without GT is missing calls to a VCF Zarr
        vcz = select(vcz, variants=vcz["variant_id"].to_numpy() != "rs6")
    for name in ("call_dosage", "variant_id", "variant_position", "variant_effect_allele", "variant_other_allele",
                 "variant_ploidy", "sample_id", "sample_sex", "sample_family_id"):  # fmt: skip
        np.testing.assert_array_equal(vcz[name].to_numpy(), vcf[name].to_numpy(), err_msg=name)


def test_deleted_samples_are_left_out_and_lost_blocks_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = unpacked("calls.v2.vcz.zip", tmp_path)
    names = zarr.open_group(path, mode="r+")["sample_id"]
    names[:] = np.array(["s1", "", "s3", "s4", "s5"], object)
    (path / "call_genotype" / "0.0.0").unlink()
    with caplog.at_level(logging.WARNING):
        cohort = read_vcf_zarr(path)
    assert list(cohort["sample_id"].to_numpy()) == ["s1", "s3", "s4", "s5"]
    assert "1 of 9 blocks of call_genotype are not there" in caplog.text


def edit_attrs(path: Path, array: str, **values: object) -> None:
    file = path / array / ".zarray"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: shutil.rmtree(p / "call_genotype"), r"no array 'call_genotype', so .* no GT; read the field DS"),
        (lambda p: shutil.rmtree(p / "variant_allele"), r"no array 'variant_allele', which every VCF Zarr has"),
        (lambda p: (p / ".zgroup").unlink(), r"no Zarr store \(neither"),
        (lambda p: (p / "variant_position" / ".zarray").write_text("{"), r"the Zarr store cannot be read"),
        (lambda p: edit_attrs(p, "call_genotype", shape=[7, 5, 2]), r"has 7 records and 5 samples, but .* 8"),
        (lambda p: edit_attrs(p, "call_genotype", shape=[8, 5, 3], chunks=[3, 2, 3]), r"calls of 3 copies"),
        (lambda p: edit_attrs(p, "contig_id", shape=[1]), r"variant_contig goes beyond the 1 names"),
        (lambda p: [f.write_bytes(b"x") for f in (p / "sample_id").glob("[0-9]*")], r"the Zarr store cannot be read"),
    ],
)  # fmt: skip
def test_a_malformed_store_is_one_line(tmp_path: Path, damage: object, message: str) -> None:
    path = unpacked("calls.v2.vcz.zip", tmp_path)
    damage(path)  # type: ignore[operator]
    with pytest.raises(InputError, match=message) as raised:
        read_vcf_zarr(path)
    assert "\n" not in str(raised.value)


def test_damaged_calls_are_one_line_when_they_are_read(tmp_path: Path) -> None:
    path = unpacked("calls.v2.vcz.zip", tmp_path)
    cohort = read_vcf_zarr(path)
    zarr.open_group(path, mode="r+")["call_genotype"][0, 0, 0] = 3
    with pytest.raises(
        InputError, match="a call of allele 3 where records have at most 3; make the store again"
    ):
        cohort["call_dosage"].compute()
    zarr.open_group(path, mode="r+")["call_DS"][0, 0, 0] = 2.1
    with pytest.raises(InputError, match="a DS of 2.1; dosages of an allele lie between 0 and 2"):
        read_vcf_zarr(path, field="DS")["call_dosage"].compute()
    (path / "call_genotype" / "1.0.0").write_bytes(b"no blosc")
    with pytest.raises(InputError, match=r"the Zarr store cannot be read"):
        cohort["call_dosage"][3:].compute()
    with pytest.raises(InputError, match="no such file or folder"):
        read_vcf_zarr(tmp_path / "nothing.vcz")
    (tmp_path / "no.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="cannot be read"):
        read_vcf_zarr(tmp_path / "no.zip")
    with pytest.raises(OptionError, match="field 'GP' is not known"):
        read_vcf_zarr(path, field="GP")  # type: ignore[arg-type]


def test_what_is_written_equals_what_plink2zarr_wrote(tmp_path: Path) -> None:
    written = write_vcf_zarr(read_plink(DATA / "dummy"), tmp_path / "dummy.vcz")
    ours, theirs = zarr.open_group(written), zarr.open_group(unpacked("dummy.vcz.zip", tmp_path / "theirs"))
    assert set(theirs.array_keys()) <= set(ours.array_keys()) | {"contig_length"}
    assert ours.metadata.zarr_format == theirs.metadata.zarr_format == 2
    for name in set(theirs.array_keys()) - {"region_index", "contig_length"}:
        assert ours[name].attrs["_ARRAY_DIMENSIONS"] == theirs[name].attrs["_ARRAY_DIMENSIONS"], name
        assert ours[name][:].dtype.kind == theirs[name][:].dtype.kind, name
        np.testing.assert_array_equal(ours[name][:], theirs[name][:], err_msg=name)


def test_the_index_of_regions_equals_that_of_bio2zarr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gp_elm.io.vcf_zarr_writing._CHUNK_VARIANTS", 3)
    theirs = unpacked("dummy.vcz.zip", tmp_path / "theirs")
    ours = write_vcf_zarr(read_vcf_zarr(theirs), tmp_path / "ours.vcz")
    np.testing.assert_array_equal(
        zarr.open_group(ours)["region_index"][:], zarr.open_group(theirs)["region_index"][:]
    )


@pytest.fixture
def many(tmp_path: Path) -> Path:
    dosage = np.random.default_rng(1).integers(-1, 3, size=(53, 37)).astype(np.int8)
    return write_plink(tmp_path / "many", dosage)


def test_a_round_trip_in_small_blocks_changes_nothing(
    tmp_path: Path, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gp_elm.io.vcf_zarr_writing._CHUNK_VARIANTS", 20)
    monkeypatch.setattr("gp_elm.io.vcf_zarr_writing._CHUNK_SAMPLES", 25)
    monkeypatch.setattr("gp_elm.io.vcf_zarr_writing.default_chunk", lambda n: 32)
    cohort = read_plink(many)
    ploidy = np.where(np.arange(53) % 3, 2, 1).astype(np.int8)
    halved = np.where((ploidy == 1)[:, None] & (cohort["call_dosage"] == 2), 1, cohort["call_dosage"])
    mixed = cohort.assign(variant_ploidy=("variants", ploidy), call_dosage=(("variants", "samples"), halved))
    for given_cohort, factor in ((cohort, 1), (mixed, 3 - ploidy[:, None])):
        back = read_vcf_zarr(write_vcf_zarr(given_cohort, tmp_path / "x.vcz"))
        values = given_cohort["call_dosage"].to_numpy()
        np.testing.assert_array_equal(back["call_dosage"], np.where(values < 0, -1, values * factor))
        np.testing.assert_array_equal(back["variant_id"], cohort["variant_id"])
    floats = np.where(cohort["call_dosage"] < 0, np.nan, cohort["call_dosage"] * 0.7).astype(np.float32)
    dosages = cohort.assign(call_dosage=(("variants", "samples"), floats))
    back = read_vcf_zarr(write_vcf_zarr(dosages, tmp_path / "x.vcz"), field="DS")
    np.testing.assert_array_equal(back["call_dosage"], floats)
    haploid = mixed.assign(call_dosage=(("variants", "samples"), np.where(halved < 0, np.nan, halved * 0.5)))
    back_haploid = read_vcf_zarr(write_vcf_zarr(haploid, tmp_path / "h.vcz"), field="DS")
    np.testing.assert_array_equal(back_haploid["call_dosage"], haploid["call_dosage"] * (3 - ploidy[:, None]))
    again = read_vcf_zarr(write_vcf_zarr(back, tmp_path / "y.vcz"), field="DS")
    np.testing.assert_array_equal(again["call_dosage"], floats)


@pytest.mark.parametrize("model", [1, 2])
def test_males_are_written_with_one_copy_of_x(tmp_path: Path, model: int) -> None:
    cohort = code_sex_chromosomes(read_plink(Path(__file__).parent / "data/sex/cohort"), xchr_model=model)
    m = cohort.sizes["variants"]
    named = {"variant_effect_allele": np.full(m, "A"), "variant_other_allele": np.full(m, "C")}
    cohort = cohort.assign({name: ("variants", alleles) for name, alleles in named.items()})
    on_x = np.isin(cohort["variant_sex_linkage"].to_numpy(), (1, 2))
    male = cohort["sample_sex"].to_numpy() == 1
    calls = zarr.open_group(write_vcf_zarr(cohort, tmp_path / "x.vcz"), mode="r")["call_genotype"][:]
    assert (calls[np.ix_(on_x, male)][..., 1] == -2).all() and on_x.any() and male.any()
    assert (calls[np.ix_(on_x, ~male)][..., 1] != -2).all()
    back = read_vcf_zarr(tmp_path / "x.vcz")["call_dosage"].to_numpy()[np.ix_(on_x, male)]
    copies = cohort["call_dosage"].to_numpy()[np.ix_(on_x, male)]
    np.testing.assert_array_equal(back, np.where(copies < 0, -1, copies * (2 if model == 1 else 1)))


def test_alleles_without_a_name_and_variants_out_of_order_are_said(
    tmp_path: Path, many: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cohort = select(read_plink(many), variants=np.arange(53)[::-1])
    names = cohort["variant_effect_allele"].to_numpy().astype(object)
    names[0] = "0"
    with pytest.raises(
        InputError, match=r"variant 1 \(v52\) has an effect allele without a name that samples carry"
    ):
        write_vcf_zarr(cohort.assign(variant_effect_allele=("variants", names)), tmp_path / "x.vcz")
    names[0] = "long name"
    with caplog.at_level(logging.WARNING):
        write_vcf_zarr(cohort.assign(variant_effect_allele=("variants", names)), tmp_path / "x.vcz")
    assert "alleles such as long name are written but are none that VCF allows" in caplog.text
    assert "not in order of chromosome and position" in caplog.text
    assert "region_index" not in zarr.open_group(tmp_path / "x.vcz")
    wrong = cohort.assign(call_dosage=cohort["call_dosage"] + 1)
    with pytest.raises(InputError, match="holds a dosage outside 0 to its ploidy"):
        write_vcf_zarr(wrong, tmp_path / "y.vcz")
    assert not (tmp_path / "y.vcz").exists()


def test_nothing_else_is_replaced(tmp_path: Path, many: Path) -> None:
    cohort = read_plink(many)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("x")
    with pytest.raises(OutputError, match="a folder that is no Zarr store is there"):
        write_vcf_zarr(cohort, tmp_path / "folder")
    written = write_vcf_zarr(cohort, tmp_path / "x.vcz")
    with pytest.raises(OutputError, match="the genotypes are read from there"):
        write_vcf_zarr(read_vcf_zarr(written), written)
    assert write_vcf_zarr(cohort, written) == written


KILLED = """
import sys, time, os
from gp_elm.io.plink import read_plink
from gp_elm.io.vcf import read_vcf
from gp_elm.io.vcf_zarr import write_vcf_zarr
from gp_elm.io.zarr_cohort import save_cohort
from gp_elm.io.bed import BedSource
read = BedSource.read
def slow(self, variants, samples):
    print("reading", flush=True); time.sleep(60)
    return read(self, variants, samples)
BedSource.read = slow
{write}(read_plink(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.parametrize("write", ["write_vcf_zarr", "save_cohort"])
def test_a_killed_write_leaves_nothing_under_its_name(tmp_path: Path, many: Path, write: str) -> None:
    target = tmp_path / "out" / "x.zarr"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED.format(write=write), many, target], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not target.exists()
    assert [p.suffix for p in target.parent.iterdir()] == [".partial"]


def test_vcztools_and_sgkit_read_what_is_written(tmp_path: Path, many: Path) -> None:
    vcztools, python = shutil.which("vcztools"), os.environ.get("GP_ELM_SGKIT_PYTHON")
    if vcztools is None and python is None:
        pytest.skip("neither vcztools on the path nor a Python with sgkit in $GP_ELM_SGKIT_PYTHON")
    cohort = read_plink(many)
    path = write_vcf_zarr(cohort, tmp_path / "x.vcz")
    dosage = cohort["call_dosage"].to_numpy()
    if vcztools is not None:
        text = tmp_path / "x.vcf"
        text.write_bytes(subprocess.run([vcztools, "view", path], stdout=subprocess.PIPE, check=True).stdout)
        rows = rows_of(text, "GT")
        assert [row[2] for row in rows] == list(cohort["variant_id"].to_numpy())
        np.testing.assert_array_equal([row[5] for row in rows], dosage)
    if python is not None:
        code = (
            "import sgkit, sys; d = sgkit.count_variant_alleles(sgkit.load_dataset(sys.argv[1]));"
            "print(d.variant_allele_count.values.tolist())"
        )
        out = subprocess.run([python, "-c", code, path], stdout=subprocess.PIPE, check=True, text=True).stdout
        called = (dosage >= 0).sum(axis=1) * 2
        copies = np.where(dosage > 0, dosage, 0).sum(axis=1)
        assert json.loads(out) == np.column_stack([called - copies, copies]).tolist()


def test_each_stored_block_is_decoded_once_for_a_chunk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = unpacked("calls.v2.vcz.zip", tmp_path)
    cohort = read_vcf_zarr(path, chunk_variants=100)
    asked = []
    read = zarr.Array.__getitem__
    monkeypatch.setattr(zarr.Array, "__getitem__", lambda self, key: asked.append(key) or read(self, key))
    cohort["call_dosage"].compute()
    assert len(asked) == 9  # 3 blocks of records by 3 of samples, as they are stored
