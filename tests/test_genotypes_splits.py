"""Splits: whole groups, sizes near the target, the same for any order of the samples."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from gp_elm.errors import InputError, OptionError
from gp_elm.genotypes.split_files import read_split
from gp_elm.genotypes.splits import Split, check_split, split_cohort
from gp_elm.io.tables import write_table


def cohort_of(n: int, groups: list[str] | None = None) -> xr.Dataset:
    cohort = xr.Dataset(
        {
            "sample_id": ("samples", np.array([f"s{i}" for i in range(n)])),
            "sample_family_id": ("samples", np.array(["f"] * n)),
        }
    )
    return cohort if groups is None else cohort.assign(sample_group=("samples", np.array(groups)))


def assert_whole(split: Split, labels: np.ndarray) -> None:
    for label in np.unique(labels):
        members = labels == label
        assert len(set(split.fold[members])) == 1
        assert len(set(split.heldout[members])) == 1
        assert len(set(split.groups[members])) == 1


@given(st.integers(20, 80), st.integers(80, 200), st.integers(0, 10**6))
def test_groups_stay_whole_and_order_does_not_matter(n_groups: int, n_samples: int, seed: int) -> None:
    groups = np.array([f"g{label}" for label in np.random.default_rng(seed).integers(0, n_groups, n_samples)])
    split = split_cohort(groups, len(groups), seed=seed)
    assert_whole(split, groups)
    assert ((split.fold == -1) == split.heldout).all()
    assert abs(split.heldout.sum() - 0.2 * len(groups)) <= np.bincount(split.groups).max()
    sizes = np.bincount(split.fold[~split.heldout], minlength=5)
    assert sizes.max() - sizes.min() <= np.bincount(split.groups).max()
    order = np.random.default_rng(seed).permutation(len(groups))
    shuffled = split_cohort(groups[order], len(groups), seed=seed)
    np.testing.assert_array_equal(shuffled.fold, split.fold[order])
    np.testing.assert_array_equal(shuffled.groups, split.groups[order])


def test_single_samples_are_split_to_the_target() -> None:
    ids = np.array([f"s{i}" for i in range(1003)])
    split = split_cohort(None, 1003, sample_id=ids)
    assert split.heldout.sum() == 201
    assert sorted(np.bincount(split.fold[split.discovery])) == [160, 160, 160, 161, 161]
    assert split.n_folds == 5
    other = split_cohort(None, 1003, sample_id=ids, seed=2)
    assert 0.1 < (other.heldout & split.heldout).sum() / 201 < 0.3  # two draws, as by chance
    again = split_cohort(None, 1003, sample_id=ids[::-1])
    np.testing.assert_array_equal(again.fold[::-1], split.fold)


def test_options() -> None:
    none = split_cohort(None, 50, heldout_fraction=0, n_folds=2)
    assert not none.heldout.any() and none.n_folds == 2
    with pytest.raises(OptionError, match="the held-out fraction is 1; give a number from 0 to below 1"):
        split_cohort(None, 50, heldout_fraction=1)
    with pytest.raises(OptionError, match="1 folds cannot be cross-fitted"):
        split_cohort(None, 50, n_folds=1)
    with pytest.raises(OptionError, match="4 group labels for 5 samples"):
        split_cohort(list("abcd"), 5)
    with pytest.raises(
        OptionError, match="4 groups of discovery samples cannot fill 5 folds; use fewer folds"
    ):
        split_cohort(np.repeat(list("abcde"), 10), 50)
    with pytest.raises(OptionError, match="no group can be held out: 1 groups, the largest of 50 samples"):
        split_cohort(["a"] * 50, 50)


def test_uneven_folds_are_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "gp_elm"):
        split_cohort(["big"] * 60 + [f"g{i}" for i in range(40)], 100, heldout_fraction=0.1)
    assert "the largest group makes the folds uneven: 60" in caplog.text
    assert "90 discovery samples in 5 folds of 7 to 60, 10 held out, 41 groups kept whole" in caplog.text


def test_a_split_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    groups = [f"g{i // 3}" for i in range(90)]
    cohort = cohort_of(90, groups)
    split = split_cohort(groups, 90, n_folds=4, seed=3)
    frame = split.to_frame(cohort)
    assert list(frame.columns) == ["family_id", "sample_id", "set", "fold"]
    assert (frame["fold"].isna() == split.heldout).all()
    write_table(frame, tmp_path / "split", parquet=False)
    (path,) = tmp_path.iterdir()
    for source in (path, frame, frame.iloc[::-1]):
        found = read_split(source, cohort)
        np.testing.assert_array_equal(found.fold, split.fold)
        np.testing.assert_array_equal(found.heldout, split.heldout)
        np.testing.assert_array_equal(found.groups, split.groups)


def test_a_users_file_without_folds_or_with_torn_groups(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cohort = cohort_of(40, [f"g{i // 2}" for i in range(40)])
    path = tmp_path / "split.tsv"
    path.write_text(
        "IID\tset\n" + "".join(f"s{i}\t{'heldout' if i < 11 else 'discovery'}\n" for i in range(41))
    )
    with caplog.at_level(logging.INFO, "gp_elm"):
        split = read_split(path, cohort, n_folds=3)
    assert list(np.flatnonzero(split.heldout)) == list(range(11))
    assert split.n_folds == 3
    assert (
        "puts samples of 1 groups into different held-out and discovery samples: related samples leak"
        in caplog.text
    )
    assert "1 rows name samples that are not used" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("IID\tfold\ns0\t1\n", r"split\.tsv:1: no column 'set'"),
        (
            "IID\tset\ns0\tdiscovery\n",
            r"split\.tsv: 3 samples of the cohort have no row, the first is s1; add",
        ),
        (
            "IID\tset\ns0\tdiscovery\ns1\tdiscovery\ns2\ttest\ns3\theldout\n",
            r"split\.tsv:4: set is 'test'; write discovery or heldout",
        ),
        (
            "IID\tset\tfold\ns0\tdiscovery\t0\ns1\tdiscovery\tNA\ns2\tdiscovery\t1\ns3\theldout\tNA\n",
            r"split\.tsv:3: fold is 'NA'; give every discovery sample a number",
        ),
    ],
)
def test_faults_of_a_split_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "split.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_split(path, cohort_of(4))


def test_users_own_sets_and_folds() -> None:
    sets = ["heldout", "discovery", "discovery", "discovery"]
    split = split_cohort(None, 4, sample_set=sets, fold=[-1, 7, 3, 7])
    assert list(split.fold) == [-1, 1, 0, 1]
    with pytest.raises(OptionError, match="a discovery sample has no fold"):
        split_cohort(None, 4, sample_set=sets, fold=[-1, -1, 3, 7])
    with pytest.raises(OptionError, match="all discovery samples are in one fold"):
        split_cohort(None, 4, sample_set=sets, fold=[-1, 2, 2, 2])
    with pytest.raises(OptionError, match="every sample is held out"):
        split_cohort(None, 4, sample_set=["heldout"] * 4)
    with pytest.raises(OptionError, match="set 'train' is not known; write discovery or heldout"):
        split_cohort(None, 4, sample_set=["train"] * 4)


def test_a_trait_missing_on_one_side_is_refused() -> None:
    split = split_cohort(None, 200)
    values = np.random.default_rng(1).standard_normal((200, 2))
    check_split(split, values, ["a", "b"])
    for mask, what in [
        (split.heldout, "is missing in all held-out samples"),
        (~split.heldout, "is missing in all discovery samples"),
        (~split.heldout & (split.fold != 2), "is missing in all discovery samples outside of fold 2"),
    ]:
        absent = values.copy()
        absent[mask, 1] = np.nan
        with pytest.raises(
            OptionError, match=rf"trait b {what}: leave it out with --traits, take another --seed"
        ):
            check_split(split, absent, ["a", "b"])
    rare = np.zeros((200, 1))
    rare[split.discovery[:3]] = 1
    with pytest.raises(OptionError, match="trait rare has only the value 0 in all held-out samples"):
        check_split(split, rare, ["rare"])


def test_frames_survive_pandas(tmp_path: Path) -> None:
    split = split_cohort(None, 30)
    path = tmp_path / "split.csv"
    split.to_frame(cohort_of(30)).to_csv(path, index=False)
    np.testing.assert_array_equal(read_split(path, cohort_of(30)).fold, split.fold)
    pd.read_csv(path).to_csv(path, index=False)  # folds become 0.0, 1.0, ...
    np.testing.assert_array_equal(read_split(path, cohort_of(30)).fold, split.fold)
