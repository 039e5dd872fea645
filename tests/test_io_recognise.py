"""What stands at a path is told by what is in it."""

from __future__ import annotations

import gzip
import shutil
import zipfile
from pathlib import Path

import pytest
import xarray as xr
import zarr

import gp_elm as ge
from gp_elm.errors import InputError
from gp_elm.io.anndata import to_anndata, write_anndata
from gp_elm.io.recognise import kind_of
from gp_elm.io.zarr_cohort import save_cohort

DATA = Path(__file__).parent / "data"


@pytest.fixture
def cohort() -> xr.Dataset:
    return ge.read_plink(DATA / "vcz" / "dummy")


def test_plink_files_and_prefixes(tmp_path: Path) -> None:
    prefix = str(DATA / "vcz" / "dummy")
    for path in (prefix, f"{prefix}.bed", f"{prefix}.bim", Path(f"{prefix}.fam")):
        assert kind_of(path) == ("bfile", prefix)
    for suffix in (".pgen", ".psam", ".pvar.zst"):
        (tmp_path / f"two{suffix}").touch()
        assert kind_of(tmp_path / f"two{suffix}") == ("pfile", str(tmp_path / "two"))
    assert kind_of(tmp_path / "two") == ("pfile", str(tmp_path / "two"))
    (tmp_path / "two").mkdir()  # a folder of results beside the files it came from
    assert kind_of(tmp_path / "two") == ("pfile", str(tmp_path / "two"))
    shutil.copy(f"{prefix}.bed", tmp_path / "two.bed")
    with pytest.raises(
        InputError, match=r"two\.bed and .*two\.pgen are both there; give the one that is meant"
    ):
        kind_of(tmp_path / "two")


def test_files_are_told_by_content_then_by_name(tmp_path: Path, cohort: xr.Dataset) -> None:
    vcf = (DATA / "vcz" / "calls.vcf").read_bytes()
    for name, content, kind in (
        ("a.txt", vcf, "vcf"), ("a.gz", gzip.compress(vcf), "vcf"), ("b", gzip.compress(b"BCF\2\2rest"), "vcf"),
        ("a.vcf", b"nonsense", "vcf"), ("a.vcf.gz", b"\x1f\x8bbroken", "vcf"), ("a.bcf", b"", "vcf"),
        ("c.dat", b"\0" * 16 + b"bgen", "bgen"), ("a.bgen", b"\0" * 24, "bgen"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        assert kind_of(tmp_path / name) == (kind, str(tmp_path / name)), name
    write_anndata(to_anndata(cohort), tmp_path / "x.h5ad")
    assert kind_of((tmp_path / "x.h5ad").rename(tmp_path / "x.data"))[0] == "anndata"


def test_zarr_stores_are_told_by_what_they_hold(tmp_path: Path, cohort: xr.Dataset) -> None:
    for name in ("calls.v2.vcz.zip", "calls.v3.vcz.zip", "sgkit.zarr.zip"):
        assert kind_of(DATA / "vcz" / name)[0] == "vcz"
        with zipfile.ZipFile(DATA / "vcz" / name) as packed:
            packed.extractall(tmp_path / name)
        assert kind_of(tmp_path / name) == ("vcz", str(tmp_path / name))
    assert kind_of(save_cohort(cohort, tmp_path / "c.zarr"))[0] == "zarr"
    write_anndata(to_anndata(cohort), tmp_path / "a.zarr")
    assert kind_of(tmp_path / "a.zarr")[0] == "anndata"
    zarr.open_group(tmp_path / "other.zarr", mode="w").create_array("temperature", shape=3, dtype="f4")
    with pytest.raises(
        InputError, match=r"other\.zarr: the Zarr store holds temperature, no cohort; give one of PLINK 1"
    ):
        kind_of(tmp_path / "other.zarr")


def test_what_is_unknown_is_one_line_that_lists_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("FID\tIID\n")
    for path, message in (
        (tmp_path / "nothing", r"no such file, folder or prefix; give one of PLINK 1 \(\.bed\) and PLINK 2"),
        (
            tmp_path / "x.tsv",
            r"of no known kind; give one of .* VCF, BCF, BGEN, VCF Zarr \(\.vcz\), .* AnnData",
        ),
        (tmp_path, r"the folder is no Zarr store; give one of"),
    ):
        with pytest.raises(InputError, match=message) as raised:
            kind_of(path)
        assert "\n" not in str(raised.value)
