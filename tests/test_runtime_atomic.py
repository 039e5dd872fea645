"""Files are whole or not there."""

import errno
import os
import stat

import pytest

from gp_elm.errors import OutputError
from gp_elm.runtime.atomic import atomic_path, explain_os_error


def test_file_appears_only_at_the_end(tmp_path):
    target = tmp_path / "new" / "table.tsv.gz"
    with atomic_path(target) as temporary:
        assert temporary.name == target.name and temporary.parent.parent == target.parent
        temporary.write_text("rows")
        assert not target.exists()
    assert target.read_text() == "rows"
    assert os.listdir(target.parent) == [target.name]


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "table.tsv"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="stop"), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("stop")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.tsv"]


def test_folder_replaces_folder(tmp_path):
    target = tmp_path / "cohort.zarr"
    for content in ("first", "second"):
        with atomic_path(target) as temporary:
            temporary.mkdir()
            (temporary / content).write_text(content)
    assert os.listdir(target) == ["second"]
    assert os.listdir(tmp_path) == ["cohort.zarr"]


def test_mode_is_that_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    with atomic_path(tmp_path / "ours") as temporary:
        temporary.write_text("")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "plain").stat().st_mode
    )


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), OSError("can't write data (No space left on device)")],
)
def test_full_disk_names_the_file_and_the_remedy(tmp_path, error):
    target = tmp_path / "variants.parquet"
    with (
        pytest.raises(OutputError, match=r"variants\.parquet: the disk is full.*--out"),
        atomic_path(target) as temporary,
    ):
        temporary.write_text("half")
        raise error
    assert os.listdir(tmp_path) == []


def test_really_full_device(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OutputError, match="the disk is full"), atomic_path(tmp_path / "x") as temporary:
        temporary.write_text("")
        with open("/dev/full", "w") as full:
            full.write("x" * 10_000)
            full.flush()


def test_parent_that_is_a_file(tmp_path):
    (tmp_path / "results").write_text("")
    with (
        pytest.raises(OutputError, match=r"cannot be written .*choose another --out"),
        atomic_path(tmp_path / "results" / "x"),
    ):
        pass


def test_unreadable_input_is_not_blamed_on_the_output(tmp_path):
    with pytest.raises(PermissionError), atomic_path(tmp_path / "out"):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "input.bed"))


def test_nothing_written_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="nothing was written"), atomic_path(tmp_path / "x"):
        pass


def test_other_errors_are_left_alone():
    assert explain_os_error(OSError(errno.ECONNRESET, "reset"), "x") is None
