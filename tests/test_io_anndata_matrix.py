"""Genotypes of an AnnData wherever they lie: the same blocks, read by variants, never the whole matrix."""

import logging
import pickle

import anndata as ad
import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

from gp_elm.errors import InputError
from gp_elm.io import anndata_matrix, matrix_reading
from gp_elm.io.anndata import from_anndata, read_anndata
from gp_elm.io.anndata_matrix import matrix_source, window
from gp_elm.io.blocks import select, source_blocks

N, M = 23, 57


def genotypes(dtype=np.int8, *, fractions=False):
    rng = np.random.default_rng(4)
    x = rng.integers(0, 3, (N, M)) * (rng.random((N, M)) < 0.6)
    values = x.astype(dtype)
    missing = rng.random((N, M)) < 0.1
    if np.dtype(dtype).kind == "f":
        if fractions:
            values = np.minimum(values + rng.choice([0.0, 0.25], (N, M)), 2).astype(dtype)
        values[missing] = np.nan
    elif np.dtype(dtype).kind == "i":
        values[missing] = -1
    return values


def expected(values):
    """Variants x samples in the codes of a cohort, int8 where nothing is lost."""
    missing = np.isnan(values) if values.dtype.kind == "f" else values < 0
    whole = np.where(missing, -1, np.nan_to_num(values))
    if (whole == np.rint(whole)).all():
        return whole.astype(np.int8).T
    return np.where(missing, np.nan, values).astype(np.promote_types(values.dtype, np.float32)).T


def make(values, kind=np.asarray):
    var = pd.DataFrame({"chrom": "1", "pos": np.arange(1, M + 1), "a0": "A", "a1": "C"})
    var.index = [f"v{k}" for k in range(M)]
    return ad.AnnData(X=kind(values), obs=pd.DataFrame(index=[f"s{k}" for k in range(N)]), var=var)


OPENERS = {
    "memory": lambda adata, folder: adata,
    "h5ad backed": lambda adata, folder: (
        adata.write_h5ad(folder / "a.h5ad"),
        ad.read_h5ad(folder / "a.h5ad", "r"),
    )[1],
    "h5ad lazy": lambda adata, folder: (
        adata.write_h5ad(folder / "a.h5ad"),
        ad.experimental.read_lazy(folder / "a.h5ad"),
    )[1],
    "zarr lazy": lambda adata, folder: (
        adata.write_zarr(folder / "a.zarr"),
        ad.experimental.read_lazy(folder / "a.zarr"),
    )[1],
    "h5ad by us": lambda adata, folder: (
        adata.write_h5ad(folder / "a.h5ad"),
        read_anndata(folder / "a.h5ad"),
    )[1],
    "zarr by us": lambda adata, folder: (
        adata.write_zarr(folder / "a.zarr"),
        read_anndata(folder / "a.zarr"),
    )[1],
}
KINDS = {"dense": np.asarray, "csr": sp.csr_matrix, "csc": sp.csc_matrix, "csr array": sp.csr_array}


@pytest.mark.filterwarnings("ignore::UserWarning")  # anndata's about its own zarr format
@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_and_place_gives_the_same_blocks(tmp_path, monkeypatch, kind, opener):
    monkeypatch.setattr(matrix_reading, "PIECE_BYTES", 1000)
    monkeypatch.setattr(matrix_reading, "PIECE_ENTRIES", 300)
    monkeypatch.setattr(matrix_reading, "GAP", 1)
    everything = ((np.int8, False), (np.float32, False), (np.float64, True))
    for dtype, fractions in everything[1:2] if "zarr" in opener else everything:
        values = genotypes(dtype, fractions=fractions)
        folder = tmp_path / np.dtype(dtype).name
        folder.mkdir()
        adata = OPENERS[opener](make(values, KINDS[kind]), folder)
        cohort = from_anndata(adata).cohort
        want = expected(values)
        assert cohort["call_dosage"].dtype == want.dtype
        np.testing.assert_array_equal(cohort["call_dosage"].to_numpy(), want)
        variants, samples = [40, 3, 4, 5, 56, 3], [7, 0, 22, 7]
        some = select(cohort, variants=variants, samples=samples)
        assert source_blocks(some) is not None
        again = pickle.loads(pickle.dumps(source_blocks(some)))
        np.testing.assert_array_equal(again[:], want[variants][:, samples])
        np.testing.assert_array_equal(some["call_dosage"][1:3].to_numpy(), want[variants][1:3][:, samples])
        if adata.isbacked:
            view = adata[[5, 1], 10:20]
            np.testing.assert_array_equal(from_anndata(view).cohort["call_dosage"], want[10:20][:, [5, 1]])
            adata.file.close()


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16])
def test_other_dtypes(dtype):
    values = np.minimum(genotypes(np.float32), 1) if dtype is bool else genotypes(np.float32)
    values = np.nan_to_num(values).astype(dtype)
    found = from_anndata(make(values)).cohort["call_dosage"]
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, values.T)


def test_layer(tmp_path):
    adata = make(np.full((N, M), 9.0))
    adata.layers["DS"] = genotypes(np.float32, fractions=True)
    adata.write_h5ad(tmp_path / "a.h5ad")
    for there in (adata, read_anndata(tmp_path / "a.h5ad")):
        found = from_anndata(there, layer="DS").cohort["call_dosage"]
        np.testing.assert_array_equal(found, adata.layers["DS"].T)
        with pytest.raises(InputError, match="no layer 'GT'; its layers: DS"):
            from_anndata(there, layer="GT")


def test_what_is_no_genotype():
    with pytest.raises(InputError, match=r"X in memory: the matrix holds 9, .* give genotypes in X"):
        from_anndata(make(np.full((N, M), 9, np.int64))).cohort["call_dosage"].compute()
    with pytest.raises(InputError, match="the AnnData has no X"):
        from_anndata(ad.AnnData(var=make(genotypes()).var, shape=(N, M)))
    with pytest.raises(InputError, match="dense of complex128, which holds no genotypes"):
        matrix_source(np.ones((2, 2), complex), "X")


def test_fractions_that_appear_later_are_no_hard_calls():
    x = genotypes(np.float32)
    source = matrix_source(x, "X")
    x[:] = 0.5
    with pytest.raises(InputError, match="now holds fractions; open it again"):
        source.read(np.arange(3), None)


def test_a_file_that_has_gone(tmp_path):
    make(genotypes()).write_h5ad(tmp_path / "a.h5ad")
    adata = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    cohort = from_anndata(adata).cohort
    adata.file.close()
    (tmp_path / "a.h5ad").unlink()
    with pytest.raises(InputError, match=r"a\.h5ad: cannot be opened again .* moved"):
        cohort["call_dosage"].compute()


def test_duplicate_entries_of_a_sparse_matrix_are_summed():
    x = sp.csr_matrix(([1, 1], ([0, 0], [0, 0])), shape=(2, 2), dtype=np.int8)
    x = sp.csr_matrix((np.array([1, 1], np.int8), np.array([0, 0]), np.array([0, 2, 2])), shape=(2, 2))
    assert matrix_source(x, "X").read(np.arange(2), None).tolist() == [[2, 0], [0, 0]]


@pytest.mark.parametrize("kind", ["csr", "rows"])
def test_each_pass_reads_what_is_stored_by_samples_once_a_window(tmp_path, monkeypatch, caplog, kind):
    monkeypatch.setattr(anndata_matrix, "default_chunk", lambda size: 10)
    monkeypatch.setattr(anndata_matrix, "ROW_WINDOW_BYTES", N * 20)
    values = genotypes()
    with h5py.File(tmp_path / "x.h5", "w") as file:
        if kind == "csr":
            ad.io.write_elem(file, "X", sp.csr_matrix(values))
        else:
            file.create_dataset("X", data=values, chunks=(5, M))
    with h5py.File(tmp_path / "x.h5") as file, caplog.at_level(logging.WARNING):
        x = ad.io.sparse_dataset(file["X"]) if kind == "csr" else file["X"]
        source = matrix_source(x, "X")
        assert window(source) == 20
    assert "x.h5 is stored by samples" in caplog.text and "reads it 3 times" in caplog.text
    np.testing.assert_array_equal(source.read(np.arange(M), None), expected(values))


def test_window_follows_the_stored_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(anndata_matrix, "default_chunk", lambda size: 32)
    values = genotypes()
    by_variants = zarr.create_array(tmp_path / "x.zarr", data=values, chunks=(10, 15))
    assert window(matrix_source(by_variants, "X")) == 30
    assert window(matrix_source(da.from_array(values, chunks=(10, 40)), "X")) == 40
    assert window(matrix_source(values, "X")) == 32
    assert window(matrix_source(sp.csc_matrix(values), "X")) == 32
