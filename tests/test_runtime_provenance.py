"""Fingerprints tell files apart; the environment is written down without importing it."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from gp_elm.errors import InputError
from gp_elm.runtime.provenance import environment, fingerprint


def test_small_file_is_hashed_whole(tmp_path):
    file = tmp_path / "cohort.fam"
    file.write_bytes(b"family sample")
    found = fingerprint(file)
    assert found == {
        "name": "cohort.fam",
        "bytes": 13,
        "sha256": hashlib.sha256(b"family sample").hexdigest(),
        "sampled": False,
    }
    assert json.loads(json.dumps(found)) == found


def test_copy_elsewhere_has_the_same_fingerprint(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.bed").write_bytes(b"same")
    assert fingerprint(tmp_path / "a" / "x.bed") == fingerprint(tmp_path / "b" / "x.bed")


@pytest.mark.parametrize("at", [0, 70_000_000, 99_999_999])
def test_change_in_a_large_file_is_seen(tmp_path, at):
    file = tmp_path / "x.bed"
    with open(file, "wb") as handle:
        handle.truncate(100_000_000)
    before = fingerprint(file, whole_bytes=1000)
    assert before["sampled"]
    assert fingerprint(file, whole_bytes=1000) == before
    with open(file, "r+b") as handle:
        handle.seek(at)
        handle.write(b"\x01")
    os.utime(file, ns=(0, before["modified_ns"] + 1))
    assert fingerprint(file, whole_bytes=1000) != before


def test_missing_file():
    with pytest.raises(
        InputError, match=r"nowhere\.bed: cannot be read \(No such file or directory\); check the path"
    ):
        fingerprint("nowhere.bed")


def test_environment_imports_nothing_and_fits_json():
    code = "import sys; import gp_elm.runtime.provenance as p; p.environment(); print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
    found = environment()
    assert json.loads(json.dumps(found)) == found
    assert found["packages"]["numpy"]
    assert found["processors"] >= 1
