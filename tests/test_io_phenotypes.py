"""Tables of samples: every layout that PLINK users have, and every fault with its place."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gp_elm.errors import InputError, OptionError
from gp_elm.io.covariates import check_rank, encode, is_categorical
from gp_elm.io.id_lists import read_ids
from gp_elm.io.phenotypes import SampleTable, numbers, read_groups, read_table
from gp_elm.io.sample_ids import SampleIndex
from gp_elm.io.traits import check_traits, choose, from_case_control


def table_of(tmp_path: Path, text: str, name: str = "t.tsv") -> SampleTable:
    path = tmp_path / name
    path.write_text(text)
    return read_table(path)


@pytest.mark.parametrize(
    "text",
    [
        "FID\tIID\ty\tz\nf1\ta\t1.5\tNA\nf2\tb\t-2\t3\n",
        "FID,IID,y,z\nf1,a,1.5,\nf2,b,-2,3\n",
        "  FID IID   y z \nf1 a 1.5  nan\n\n f2 b -2 3\n\n",
        "#FID\tIID\ty\tz\r\nf1\ta\t1.5\tNaN\r\nf2\tb\t-2\t3\r\n",
        '\ufeff"FID" "IID" "y" "z"\n"f1" "a" 1.5 NA\n"f2" "b" -2 3\n',
    ],
)
def test_layouts(tmp_path: Path, text: str) -> None:
    table = table_of(tmp_path, text)
    assert list(table.family) == ["f1", "f2"]
    assert list(table.sample) == ["a", "b"]
    assert list(table.columns) == ["y", "z"]
    np.testing.assert_array_equal(numbers(table, "y")[0], [1.5, -2])
    np.testing.assert_array_equal(numbers(table, "z")[0], [np.nan, 3])


@pytest.mark.parametrize("header", ["IID", "#IID", "sample_id", "iid"])
def test_a_table_without_families(tmp_path: Path, header: str) -> None:
    table = table_of(tmp_path, f"{header}\ty\na\t1\n")
    assert list(table.family) == ["0"]
    assert list(table.sample) == ["a"]


def test_gzip_and_data_frames(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv.gz"
    with gzip.open(path, "wt") as handle:
        handle.write("IID\ty\na\t0.1\nb\tNA\n")
    frame = pd.DataFrame({"y": [0.1, np.nan]}, index=["a", "b"])
    for table in (read_table(path), read_table(frame), read_table(frame.reset_index(names="IID"))):
        assert list(table.sample) == ["a", "b"]
        np.testing.assert_array_equal(numbers(table, "y")[0], [0.1, np.nan])


def test_numbers_are_exact(tmp_path: Path) -> None:
    values = np.random.default_rng(1).standard_normal(200) * 10.0 ** np.arange(-100, 100)
    table = table_of(tmp_path, "IID\ty\n" + "".join(f"s{i}\t{v!r}\n" for i, v in enumerate(values.tolist())))
    np.testing.assert_array_equal(numbers(table, "y")[0], values)


def test_minus_nine_is_missing_and_counted(tmp_path: Path) -> None:
    values, n_minus_nine = numbers(table_of(tmp_path, "IID y\na -9\nb -9.0\nc 9\nd NA\n"), "y")
    np.testing.assert_array_equal(values, [np.nan, np.nan, 9, np.nan])
    assert n_minus_nine == 2


@pytest.mark.parametrize("word", ["tall", "1,5", "inf", "1_2", "12kg"])
def test_text_in_a_trait_names_line_and_value(tmp_path: Path, word: str) -> None:
    table = table_of(tmp_path, f"IID\ty\na\t1\n\nb\t{word}\n")
    with pytest.raises(InputError, match=rf"t\.tsv:4: y is '{word}', which is no number; write NA"):
        numbers(table, "y")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("h1\t1.5\nh2\t2\n", r"t\.tsv:1: the header 'h1 1\.5' has no column IID; the first line must name"),
        ("FID\tIID\ty\n", r"t\.tsv: there is a header but no row"),
        ("", r"t\.tsv: the file is empty"),
        ("IID\ty\na\t1\nb\t2\t3\n", r"t\.tsv:3: 3 fields, but the header has 2 \(separated by tabs\); mend"),
        ("IID\ty\na\t1\nb 2\n", r"t\.tsv:3: 1 fields, but the header has 2"),
        ("IID\ty\ty\na\t1\t2\n", r"t\.tsv:1: the column 'y' stands twice"),
        ("IID\ty\na\t1\nb\t2\na\t3\n", r"t\.tsv:4: sample 'a' stands already on line 2; keep one row"),
        (
            "FID IID y\nf a 1\ng a 2\nf a 3\ng a 4\n",
            r"t\.tsv:4: sample 'f a' .* line 2 and 1 more rows repeat an id",
        ),
    ],
)
def test_faults_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        table_of(tmp_path, text)


def test_a_missing_and_a_binary_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.tsv: no such file"):
        read_table(tmp_path / "nowhere.tsv")
    path = tmp_path / "sheet.xlsx"
    path.write_bytes(b"PK\x03\x04\xff\xfe\x00\xff")
    with pytest.raises(InputError, match=r"sheet\.xlsx: not a text file"):
        read_table(path)


def test_groups_have_one_label_column(tmp_path: Path) -> None:
    path = tmp_path / "g.tsv"
    path.write_text("FID\tIID\ttetrad\na\ta\tT1\n")
    assert list(read_groups(path).columns["tetrad"]) == ["T1"]
    path.write_text("FID\tIID\ttetrad\tbatch\na\ta\tT1\t1\n")
    with pytest.raises(
        InputError, match=r"g\.tsv:1: .* one label column, but here there are 2: tetrad, batch"
    ):
        read_groups(path)


def test_id_lists(tmp_path: Path) -> None:
    path = tmp_path / "keep.txt"
    path.write_text("f1 a\nf2 b\n\n")
    assert read_ids(path)[1] == [("f1", "a"), ("f2", "b")]
    path.write_text("#FID\tIID\nf1\ta\n")
    assert read_ids(path)[1] == [("f1", "a")]
    path.write_text("#IID\tSEX\na\t1\n")
    assert read_ids(path)[1] == [("a", "")]
    assert read_ids(["a", "b"])[1] == [("a", ""), ("b", "")]
    path.write_text("\n")
    with pytest.raises(InputError, match=r"keep\.txt: the list is empty"):
        read_ids(path)


def cohort_of(family: list[str], sample: list[str]) -> xr.Dataset:
    unique = len(set(sample)) == len(sample)
    ids = sample if unique else [f"{f}_{s}" for f, s in zip(family, sample, strict=True)]
    cohort = xr.Dataset(
        {"sample_id": ("samples", np.array(ids)), "sample_family_id": ("samples", np.array(family))}
    )
    return cohort if unique else cohort.assign(sample_iid=("samples", np.array(sample)))


def test_fid_counts_where_both_sides_have_one() -> None:
    index = SampleIndex(cohort_of(["f", "g", "0"], ["a", "b", "c"]))
    assert [index.find(*pair) for pair in [("f", "a"), ("0", "a"), ("x", "a"), ("x", "c"), ("0", "z")]] == [
        0, 0, -1, 2, -1,
    ]  # fmt: skip


def test_iids_of_several_families_need_the_fid() -> None:
    index = SampleIndex(cohort_of(["f", "g", "g"], ["1", "1", "2"]))
    assert index.find("g", "1") == 1
    assert index.find("0", "f_1") == 0
    assert index.find("0", "2") == 2
    with pytest.raises(InputError, match="IID '1' belongs to several families; give FID and IID"):
        index.find("0", "1")


def test_matching_is_by_id_in_the_cohorts_order(tmp_path: Path) -> None:
    table = table_of(tmp_path, "IID y\nc 3\nq 9\na 1\n")
    samples, rows = SampleIndex(cohort_of(["0"] * 3, ["a", "b", "c"])).match(table)
    assert list(samples) == [0, 2]
    assert list(table.sample[rows]) == ["a", "c"]


def test_no_overlap_shows_an_id_of_each_side(tmp_path: Path) -> None:
    index = SampleIndex(cohort_of(["F1", "F2"], ["a", "b"]))
    message = (
        r"t\.tsv: no sample is both .* FID IID is '0 A001' here and 'F1 a' there; the ids must be spelt alike"
    )
    with pytest.raises(InputError, match=message):
        index.match(table_of(tmp_path, "IID y\nA001 1\n"))
    with pytest.raises(InputError, match=r"the IIDs agree but not the FIDs: mend them, or set FID to 0"):
        index.match(table_of(tmp_path, "FID IID y\nX a 1\n"))
    with pytest.raises(InputError, match=r"t\.tsv:3: the row names the same sample as line 2 \(a\)"):
        index.match(table_of(tmp_path, "FID IID y\nF1 a 1\n0 a 2\n"))
    with pytest.raises(
        InputError, match=r"have FID_IID for ids: export them again with plink2's id-paste=iid"
    ):
        SampleIndex(cohort_of(["0"], ["F1_a"])).match(table_of(tmp_path, "FID IID y\nF1 a 1\n"))


def test_case_control_is_recognised_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "gp_elm"):
        np.testing.assert_array_equal(
            from_case_control(np.array([1, 2, 0, np.nan, 2]), "ill"), [0, 1, np.nan, np.nan, 1]
        )
    assert (
        "ill is read as case-control: 1 controls (1) become 0, 2 cases (2) become 1, 1 zeros" in caplog.text
    )
    for other in ([0, 1, 1], [1, 2, 3], [1.5, 1, 2]):
        np.testing.assert_array_equal(from_case_control(np.array(other, float), "y"), other)


def test_unknown_traits_list_what_there_is() -> None:
    there = ["Height", "Weight"]
    assert choose(there, None, "--traits", "t.tsv") == there
    assert choose(there, "Weight, Height", "--traits", "t.tsv") == ["Weight", "Height"]
    message = r"--traits: t\.tsv has no column Heigth \(is it Height\?\); there is Height, Weight"
    with pytest.raises(OptionError, match=message):
        choose(there, ["Heigth"], "--traits", "t.tsv")
    with pytest.raises(OptionError, match="--traits names nothing"):
        choose(there, " , ", "--traits", "t.tsv")
    with pytest.raises(InputError, match=r"t\.tsv:1: only id columns"):
        choose([], None, "--traits", "t.tsv")


def test_traits_without_variation_are_named() -> None:
    check_traits(np.array([[1.0], [2.0]]), ["y"], "", "")
    with pytest.raises(InputError, match="t: trait y is constant, 3 in all 2 samples used; drop it"):
        check_traits(np.array([[3.0], [3.0], [np.nan]]), ["y"], "t: ", "drop it")
    with pytest.raises(InputError, match="t: trait y has no value in the 2 samples used; drop it"):
        check_traits(np.full((2, 1), np.nan), ["y"], "t: ", "drop it")


def test_categories_become_indicators(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = table_of(tmp_path, "IID,age,colour\na,30,red\nb,40,blue\nc,,green\nd,-9,red\n")
    with caplog.at_level(logging.INFO, "gp_elm"):
        values, labels = encode(table, np.arange(4), ["age", "colour"])
    assert labels == ["age", "colour=green", "colour=red"]
    np.testing.assert_array_equal(values, [[30, 0, 1], [40, 0, 0], [np.nan, 1, 0], [np.nan, 0, 1]])
    assert "covariate colour is categorical: 3 levels, reference blue" in caplog.text
    assert "age: 1 values of -9 are read as missing" in caplog.text


def test_a_category_of_one_level_is_named(tmp_path: Path) -> None:
    table = table_of(tmp_path, "IID,site\na,x\nb,x\nc,y\n")
    with pytest.raises(InputError, match=r"t\.tsv: constant in the 2 samples used: site=x; leave it out"):
        encode(table, np.arange(2), ["site"])


def test_numbers_with_a_word_among_them_are_a_mistake(tmp_path: Path) -> None:
    table = table_of(tmp_path, "IID,age\na,30\nb,40\nc,forty\n")
    with pytest.raises(
        InputError, match=r"t\.tsv:4: covariate age is 'forty', but 2 of its 3 values are numbers"
    ):
        is_categorical(table, "age")


def test_collinear_covariates_are_named() -> None:
    rng = np.random.default_rng(1)
    a, b, c = rng.standard_normal((3, 50))
    check_rank(np.column_stack([a, b, c, a * b]), list("abcd"), "t.tsv")
    message = r"t\.tsv: collinear covariates in the 50 samples used: sum follows from a, c; leave out sum"
    with pytest.raises(InputError, match=message):
        check_rank(np.column_stack([a, b, c, 3 * a - 1000 * c + 5]), ["a", "b", "c", "sum"], "t.tsv")
    level = (a > 0).astype(float)
    with pytest.raises(InputError, match=r"sex=m follows from male; leave out sex"):
        check_rank(np.column_stack([level, b, 1 - level]), ["male", "b", "sex=m"], "t.tsv")


def test_constant_and_too_many_covariates_are_named() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(InputError, match=r"t\.tsv: constant in the 20 samples used: b; leave it out"):
        check_rank(np.column_stack([rng.standard_normal(20), np.full(20, 1e6)]), ["a", "b"], "t.tsv")
    labels = ["age", *(f"cage={i}" for i in range(17))]
    with pytest.raises(InputError, match=r"18 covariate columns for 20 samples .*cage alone makes 17"):
        check_rank(rng.standard_normal((20, 18)), labels, "t.tsv")
