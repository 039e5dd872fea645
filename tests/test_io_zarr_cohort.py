"""A saved cohort opens as it was, lazily, whoever saved it and in either format of Zarr."""

from __future__ import annotations

import logging
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from reference.plink_files import write_plink

import gp_elm as ge
from gp_elm.errors import InputError, OptionError, OutputError
from gp_elm.genotypes.coding import set_ploidy
from gp_elm.io.blocks import select, source_blocks
from gp_elm.io.zarr_cohort import open_zarr_cohort, save_cohort
from gp_elm.runtime.progress import Progress

N_VARIANTS, N_SAMPLES = 53, 37


@pytest.fixture
def cohort(tmp_path: Path) -> xr.Dataset:
    rng = np.random.default_rng(1)
    dosage = rng.integers(-1, 3, size=(N_VARIANTS, N_SAMPLES)).astype(np.int8)
    ids = [f"s{i}" for i in range(N_SAMPLES)]
    table = "IID\theight\tweight\n" + "".join(f"{s}\t{rng.normal()}\t{rng.normal()}\n" for s in ids)
    (tmp_path / "pheno.tsv").write_text(table.replace(table.split("\n")[5].split("\t")[1], "NA"))
    (tmp_path / "covar.tsv").write_text("IID\tage\n" + "".join(f"{s}\t{20 + k}\n" for k, s in enumerate(ids)))
    (tmp_path / "groups.tsv").write_text(
        "IID\tlitter\n" + "".join(f"{s}\tL{k % 9}\n" for k, s in enumerate(ids))
    )
    made = ge.read_plink(write_plink(tmp_path / "plain", dosage), chunk_variants=20)
    made = ge.add_phenotypes(made, tmp_path / "pheno.tsv")
    made = ge.add_groups(ge.add_covariates(made, tmp_path / "covar.tsv"), tmp_path / "groups.tsv")
    made["call_dosage"].attrs["note"] = "kept"
    return made.assign_attrs(build="GRCh38")


def saved_plainly(cohort: xr.Dataset, path: Path, zarr_format: int) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr's own, of strings in format 3
        cohort.to_zarr(path, zarr_format=zarr_format)
    return path


def assert_same(found: xr.Dataset, wanted: xr.Dataset) -> None:
    xr.testing.assert_identical(found.compute(), wanted.compute())
    for name, variable in wanted.variables.items():
        assert found[name].dtype == variable.dtype, name


@pytest.mark.parametrize("how", ["save_cohort", "to_zarr 2", "to_zarr 3"])
def test_a_cohort_opens_as_it_was_saved(tmp_path: Path, cohort: xr.Dataset, how: str) -> None:
    path = tmp_path / "x.zarr"
    if how == "save_cohort":
        assert save_cohort(cohort, path) == path
    else:
        saved_plainly(cohort, path, int(how[-1]))
    opened = open_zarr_cohort(path)
    assert_same(opened, cohort)
    assert opened["call_dosage"].dtype == np.int8
    assert opened["sample_phenotype"].isnull().sum() == 1
    assert source_blocks(opened) is not None
    # what was opened is saved again, in the other format too
    for zarr_format in (2, 3):
        assert_same(
            open_zarr_cohort(saved_plainly(opened, tmp_path / f"{zarr_format}.zarr", zarr_format)), cohort
        )


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_choice_is_read_inside_the_block_in_even_chunks(
    tmp_path: Path, cohort: xr.Dataset, zarr_format: int
) -> None:
    path = saved_plainly(cohort.chunk(samples=10), tmp_path / "x.zarr", zarr_format)
    opened = open_zarr_cohort(path, chunk_variants=8)
    variants, samples = np.array([50, 3, 4, 5, 52, 0, 0, 20, 41]), np.array([30, 2, 36, 9, 10])
    part = pickle.loads(pickle.dumps(select(opened, variants=variants, samples=samples)))
    assert part["call_dosage"].data.chunks == ((8, 1), (5,))
    np.testing.assert_array_equal(
        part["call_dosage"].to_numpy(), cohort["call_dosage"].to_numpy()[variants][:, samples]
    )
    assert_same(open_zarr_cohort(saved_plainly(part, tmp_path / "part.zarr", zarr_format)), part)
    # the chunks of a cohort follow those of the store
    assert open_zarr_cohort(path)["call_dosage"].data.chunks[0] == (N_VARIANTS,)


def test_recoded_and_float_cohorts_keep_their_numbers(tmp_path: Path, cohort: xr.Dataset) -> None:
    haploid = set_ploidy(cohort, 1)
    assert_same(open_zarr_cohort(save_cohort(haploid, tmp_path / "haploid.zarr")), haploid)
    values = cohort["call_dosage"].to_numpy() * np.float32(0.9)
    floats = cohort.assign(call_dosage=(("variants", "samples"), np.where(values < 0, np.nan, values)))
    floats["call_dosage"].attrs["note"] = "kept"
    for path in (save_cohort(floats, tmp_path / "f.zarr"), saved_plainly(floats, tmp_path / "p.zarr", 2)):
        assert_same(open_zarr_cohort(path), floats)


def test_long_strings_and_coordinates_come_back(tmp_path: Path, cohort: xr.Dataset) -> None:
    names = cohort["variant_other_allele"].to_numpy().astype(object)
    names[3] = "ACGT" * 100
    changed = cohort.assign(variant_other_allele=("variants", names)).set_coords(["variant_id", "sample_id"])
    for path in (save_cohort(changed, tmp_path / "s.zarr"), saved_plainly(changed, tmp_path / "p.zarr", 3)):
        opened = open_zarr_cohort(path)
        assert_same(opened, changed)
        assert set(opened.coords) == {"variant_id", "sample_id"}


def test_progress_counts_variants_and_a_store_is_replaced(tmp_path: Path, cohort: xr.Dataset) -> None:
    progress = Progress("Saving", N_VARIANTS, enabled=False)
    path = save_cohort(cohort, tmp_path / "x.zarr", progress=progress)
    assert progress.done == N_VARIANTS
    save_cohort(select(cohort, variants=np.arange(5)), path)
    assert open_zarr_cohort(path).sizes["variants"] == 5
    with pytest.raises(OutputError, match="the genotypes are read from there"):
        save_cohort(open_zarr_cohort(path), path)
    with pytest.raises(OutputError, match="a file of that name is there"):
        save_cohort(cohort, tmp_path / "pheno.tsv")


def test_what_is_no_cohort_is_said_in_one_line(
    tmp_path: Path, cohort: xr.Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    path = save_cohort(cohort, tmp_path / "x.zarr")
    with pytest.raises(InputError, match="no such file or folder"):
        open_zarr_cohort(tmp_path / "none.zarr")
    with pytest.raises(InputError, match="a saved cohort is a folder"):
        open_zarr_cohort(tmp_path / "pheno.tsv")
    with pytest.raises(OptionError, match="chunk_variants is 0"):
        open_zarr_cohort(path, chunk_variants=0)
    cohort.drop_vars("variant_id").drop_encoding().to_zarr(tmp_path / "less.zarr", zarr_format=2)
    with pytest.raises(InputError, match=r"less\.zarr: the Dataset has no variable 'variant_id'"):
        open_zarr_cohort(tmp_path / "less.zarr")
    packed = {"call_dosage": {"scale_factor": 0.5, "dtype": "int16", "_FillValue": -9}}
    cohort.to_zarr(tmp_path / "packed.zarr", zarr_format=2, encoding=packed)
    with pytest.raises(InputError, match=r"call_dosage is encoded \(scale_factor\)"):
        open_zarr_cohort(tmp_path / "packed.zarr")
    cohort.to_zarr(tmp_path / "code.zarr", zarr_format=2, encoding={"sample_phenotype": {"_FillValue": -9.0}})
    with pytest.raises(InputError, match=r"sample_phenotype is encoded \(_FillValue -9.0\)"):
        open_zarr_cohort(tmp_path / "code.zarr")
    opened = open_zarr_cohort(path)
    (block,) = (path / "call_dosage").glob("[0-9]*")
    block.write_bytes(block.read_bytes()[:20])
    with pytest.raises(InputError, match="the Zarr store cannot be read") as raised:
        opened["call_dosage"].compute()
    assert "\n" not in str(raised.value)
    block.unlink()
    with caplog.at_level(logging.WARNING):
        lost = open_zarr_cohort(path)
    assert "1 of 1 blocks of call_dosage are not there and are read as -1" in caplog.text
    assert (lost["call_dosage"] == -1).all()
    (path / "sample_id" / ".zarray").write_text("{")
    with pytest.raises(InputError, match="the Zarr store cannot be read"):
        open_zarr_cohort(path)
    shutil.rmtree(path)
    with pytest.raises(InputError, match="no such file"):
        opened["call_dosage"].compute()
