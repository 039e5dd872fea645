"""AnnData: everything comes back as it was, by identity, lazily, in bounded memory."""

import os
import subprocess
import sys

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gp_elm.errors import InputError, OptionError, OutputError
from gp_elm.io.anndata import from_anndata, read_anndata, to_anndata, write_anndata
from gp_elm.io.anndata_results import joined, result_frame
from gp_elm.io.arrangement import arrange

N, M = 7, 5
TRAITS = ["height", "weight/kg"]


def make_cohort(ids=("rs1", "rs2", "rs3", "rs4", "rs5"), chunks=(2, 7)):
    """A small cohort, its names as awkward as they come."""
    rng = np.random.default_rng(1)
    dosage = rng.integers(-1, 3, (M, N)).astype(np.int8)
    return xr.Dataset(
        {
            "call_dosage": (("variants", "samples"), da.from_array(dosage, chunks=chunks)),
            "variant_contig": ("variants", np.array([1, 1, 0, 0, 0], dtype=np.int32)),
            "contig_id": ("contigs", np.array(["2", "10", "unused"])),
            "variant_position": ("variants", np.array([5, 9, 1, 2, 3])),
            "variant_id": ("variants", np.array(ids)),
            "variant_effect_allele": ("variants", np.array(list("ACGTA"))),
            "variant_other_allele": ("variants", np.array(["CTT", "A", "A", "A", "."])),
            "variant_ploidy": ("variants", np.array([2, 2, 2, 2, 1], dtype=np.int8)),
            "sample_id": ("samples", np.array([f"s{k}" for k in range(N)])),
            "sample_family_id": ("samples", np.array(["0"] * N)),
            "sample_sex": ("samples", np.array([0, 1, 2, 1, 2, 1, 2], dtype=np.int8)),
            "sample_phenotype": (
                ("samples", "traits"),
                np.where(np.eye(N, 2) > 0, np.nan, rng.random((N, 2))),
            ),
            "trait_id": ("traits", np.array(TRAITS)),
            "sample_covariate": (("samples", "covariates"), rng.random((N, 3))),
            "covariate_id": ("covariates", np.array(["sex", "height", "fam_phenotype"])),
            "fam_phenotype": ("samples", np.array(["-9"] * N)),
            "variant_score": ("variants", rng.random(M)),
            "weights": (("traits", "covariates"), rng.random((2, 3))),
            "words": (("traits", "covariates"), np.array([["a", "b", "c"], ["d", "e", "f"]])),
            "sample_iid": ("samples", np.array([f"i{k % 3}" for k in range(N)])),
            "sample_group": ("samples", np.array([f"tetrad {k // 2}" for k in range(N)])),
            # names that stand for other things in obs and var
            "group": ("samples", np.arange(N)),
            "chromosome": ("variants", np.arange(M) * 0.5, {"unit": "cM"}),
        },
        coords={"plate": ("samples", np.arange(N)[::-1].copy())},
        attrs={"source_bed": "some/where.bed", "seed": 3, "limits": [1, 2.5]},
    )


def identity(cohort, suffix=""):
    contig = cohort["contig_id"].to_numpy()[cohort["variant_contig"].to_numpy()]
    return pd.DataFrame(
        {
            f"chromosome{suffix}": contig,
            f"base_pair_location{suffix}": cohort["variant_position"].to_numpy(),
            f"variant_id{suffix}": cohort["variant_id"].to_numpy(),
            f"effect_allele{suffix}": cohort["variant_effect_allele"].to_numpy(),
            f"other_allele{suffix}": cohort["variant_other_allele"].to_numpy(),
        }
    )


def make_variants(cohort):
    rng = np.random.default_rng(2)
    table = pd.concat([identity(cohort).assign(trait=trait) for trait in TRAITS], ignore_index=True)
    rows = len(table)
    table["n"] = rng.integers(1, 9, rows)
    for name in ("gwas_beta", "gwas_p_value", "elm_beta", "elm_p_value"):
        table[name] = np.where(np.arange(rows) == 3, np.nan, rng.random(rows))
    table["partner_variant_id"] = ["rs5", None, "rs1", None, "rs2"] * 2
    table["flags"] = ["monomorphic"] + [None] * (rows - 1)
    return arrange(table, "variants")


def make_pairs(cohort):
    i, j = np.array([0, 1, 4, 0]), np.array([2, 3, 0, 1])
    first, second = identity(cohort, "_1").iloc[i], identity(cohort, "_2").iloc[j]
    table = pd.concat([first.reset_index(drop=True), second.reset_index(drop=True)], axis=1)
    table["trait"] = [TRAITS[1], TRAITS[0], TRAITS[0], TRAITS[0]]
    table["n"], table["distance"] = 7, pd.array([None, None, 4, 4], dtype="Int64")
    table["elm_beta"], table["elm_p_value"] = [0.5, -0.25, np.nan, 2.0], [0.1, 0.2, np.nan, 0.01]
    table["verdict"] = ["replicated", "untestable", None, "replicated"]
    return arrange(table, "pairs")


def make_variance():
    rows = {
        "trait": TRAITS,
        "component": "additive_variance",
        "estimate": [1.5, np.nan],
        "method": ["REML", None],
    }
    return arrange(pd.DataFrame(rows), "variance")


def everything(cohort):
    return {
        "variants": make_variants(cohort),
        "pairs": make_pairs(cohort),
        "variance": make_variance(),
        "provenance": {"seed": 1, "traits": TRAITS, "nothing": None, "nested": {"a/b": [1.5]}},
    }


def assert_same(found, cohort, tables):
    xr.testing.assert_identical(found.cohort.compute()[list(cohort.variables)], cohort.compute())
    for name in cohort.variables:
        if cohort[name].dtype.kind != "U":
            assert found.cohort[name].dtype == cohort[name].dtype, name
    for name in ("variants", "pairs", "variance"):
        pd.testing.assert_frame_equal(getattr(found, name), tables[name], check_exact=True)
    assert found.provenance == tables["provenance"]


@pytest.mark.parametrize("suffix", [None, ".h5ad", ".zarr"])
def test_round_trip_without_loss(tmp_path, suffix):
    cohort = make_cohort()
    tables = everything(cohort)
    adata = to_anndata(cohort, **tables)
    if suffix is not None:
        path = write_anndata(adata, tmp_path / f"cohort{suffix}")
        assert os.listdir(tmp_path) == [path.name]
        adata = read_anndata(path)
        assert isinstance(adata.X, da.Array)
    assert_same(from_anndata(adata), cohort, tables)


def test_other_readers_see_it(tmp_path):
    cohort = make_cohort()
    tables = everything(cohort)
    write_anndata(to_anndata(cohort, **tables), tmp_path / "c.h5ad")
    write_anndata(to_anndata(cohort, **tables), tmp_path / "c.zarr")
    backed = ad.read_h5ad(tmp_path / "c.h5ad", backed="r")
    assert_same(from_anndata(backed), cohort, tables)
    backed.file.close()
    assert_same(from_anndata(ad.read_h5ad(tmp_path / "c.h5ad")), cohort, tables)
    assert_same(from_anndata(ad.read_zarr(tmp_path / "c.zarr")), cohort, tables)
    # what gp-elm did not write itself, anndata writes again
    ad.read_h5ad(tmp_path / "c.h5ad").write_h5ad(tmp_path / "again.h5ad")
    assert_same(from_anndata(read_anndata(tmp_path / "again.h5ad")), cohort, tables)


def test_what_stands_where():
    cohort = make_cohort()
    tables = everything(cohort)
    adata = to_anndata(cohort, **tables)
    assert adata.shape == (N, M) and isinstance(adata.X, da.Array) and adata.X.dtype == np.int8
    np.testing.assert_array_equal(adata.X.compute(), cohort["call_dosage"].to_numpy().T)
    assert list(adata.obs_names) == list(cohort["sample_id"].to_numpy())
    np.testing.assert_array_equal(adata.obs["height"], cohort["sample_phenotype"].to_numpy()[:, 0])
    np.testing.assert_array_equal(adata.obs["covariate_height"], cohort["sample_covariate"].to_numpy()[:, 1])
    np.testing.assert_array_equal(adata.obs["weight_kg"], cohort["sample_phenotype"].to_numpy()[:, 1])
    table = tables["variants"].set_index(["trait", "variant_id"])
    for k, trait in enumerate(TRAITS):
        expected = table.loc[trait].loc[list(adata.var_names)]
        np.testing.assert_array_equal(adata.varm["elm_beta"][:, k], expected["elm_beta"])
        np.testing.assert_array_equal(adata.var[f"elm_beta:{trait.replace('/', '_')}"], expected["elm_beta"])
    assert adata.varm["n"].dtype == np.int64


def test_pair_effects_are_sparse_and_symmetric():
    cohort = make_cohort()
    adata = to_anndata(cohort, pairs=make_pairs(cohort))
    assert sorted(adata.varp) == ["elm_beta:height", "elm_beta:weight_kg"]
    for matrix in adata.varp.values():
        assert (matrix != matrix.T).nnz == 0
    height = adata.varp["elm_beta:height"]
    assert height.nnz == 4 and height[1, 3] == -0.25 and height[0, 1] == 2.0
    assert adata.varp["elm_beta:weight_kg"][2, 0] == 0.5


def test_order_of_the_rows_changes_nothing():
    cohort = make_cohort()
    tables = everything(cohort)
    shuffled = tables | {"variants": tables["variants"].sample(frac=1, random_state=1)}
    assert_same(from_anndata(to_anndata(cohort, **shuffled)), cohort, tables)


def test_rows_that_are_not_there_stay_away():
    cohort = make_cohort()
    table = make_variants(cohort).iloc[[0, 2, 7]].reset_index(drop=True)
    found = from_anndata(to_anndata(cohort, variants=table)).variants
    pd.testing.assert_frame_equal(found, table, check_exact=True)


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_ids_that_name_nothing(tmp_path, suffix):
    cohort = make_cohort(ids=(".", ".", ".", "rs4", "."))
    # two variants that nothing tells apart
    for name in ("variant_position", "variant_effect_allele", "variant_other_allele"):
        cohort[name][3:] = cohort[name][4]
    cohort["variant_id"][3] = "."
    tables = everything(cohort)
    adata = to_anndata(cohort, **tables)
    assert adata.var_names.is_unique
    write_anndata(adata, tmp_path / f"c{suffix}")
    assert_same(from_anndata(read_anndata(tmp_path / f"c{suffix}")), cohort, tables)


def test_many_traits(tmp_path):
    cohort = make_cohort()
    table = pd.concat(
        [make_variants(cohort).iloc[:5].assign(trait=f"t{k}") for k in range(60)], ignore_index=True
    )
    write_anndata(to_anndata(cohort, variants=table), tmp_path / "c.h5ad")
    found = from_anndata(read_anndata(tmp_path / "c.h5ad")).variants
    pd.testing.assert_frame_equal(found, arrange(table, "variants"), check_exact=True)


def test_dosages_with_fractions(tmp_path):
    cohort = make_cohort()
    dosage = np.random.default_rng(3).random((M, N)).astype(np.float32)
    dosage[0, 0] = np.nan
    cohort["call_dosage"] = (("variants", "samples"), dosage)
    write_anndata(to_anndata(cohort), tmp_path / "c.h5ad")
    np.testing.assert_array_equal(
        from_anndata(read_anndata(tmp_path / "c.h5ad")).cohort["call_dosage"], dosage
    )


def test_tables_that_do_not_fit():
    cohort = make_cohort()
    table = make_variants(cohort)
    with pytest.raises(InputError, match=r"has rs3 twice for trait height; drop one"):
        to_anndata(cohort, variants=pd.concat([table, table.iloc[[0]]]))
    strange = table.assign(effect_allele="N")
    with pytest.raises(InputError, match=r"the table has variant rs3 at 2:1, which the cohort lacks"):
        to_anndata(cohort, variants=strange)
    with pytest.raises(InputError, match="no variable 'call_dosage'"):
        to_anndata(cohort.drop_vars("call_dosage"))


def test_foreign_anndata():
    with pytest.raises(
        InputError, match=r"var has no column of chromosome \(chromosome, chrom, .* it has none"
    ):
        from_anndata(ad.AnnData(np.zeros((2, 3))))
    adata = to_anndata(make_cohort())
    adata.uns["gp_elm"]["layout"] = 99
    with pytest.raises(InputError, match="layout 99, this version reads up to 1; update gp_elm"):
        from_anndata(adata)


def test_bad_files(tmp_path):
    with pytest.raises(OptionError, match=r"c\.txt: an AnnData file ends in \.h5ad or \.zarr"):
        write_anndata(to_anndata(make_cohort()), tmp_path / "c.txt")
    (tmp_path / "bad.h5ad").write_text("no HDF5")
    for name in ("bad.h5ad", "none.h5ad", "none.zarr"):
        with pytest.raises(
            InputError, match=rf"{name}: cannot be read as an AnnData .*give what anndata or gp-elm run wrote"
        ):
            read_anndata(tmp_path / name)
    assert os.listdir(tmp_path) == ["bad.h5ad"]


def test_failure_while_writing_leaves_nothing(tmp_path):
    def fail(block):
        raise OSError(28, "No space left on device")

    cohort = make_cohort()
    cohort["call_dosage"] = cohort["call_dosage"].copy(
        data=cohort["call_dosage"].data.map_blocks(fail, dtype="i1")
    )
    for name in ("c.h5ad", "c.zarr"):
        with pytest.raises(OutputError, match=rf"{name}: the disk is full"):
            write_anndata(to_anndata(cohort), tmp_path / name)
    assert os.listdir(tmp_path) == []


MEMORY = """
import resource, sys
import dask.array as da, numpy as np, pandas as pd, anndata as ad
from gp_elm.io import anndata_files
from gp_elm.io.anndata_files import write_anndata

anndata_files._BLOCK_BYTES = 2 << 20

def write(m):
    x = da.random.default_rng(1).integers(0, 3, (1000, m), dtype=np.int8, chunks=(1000, 1500))
    names = [f"v{k}" for k in range(m)]
    write_anndata(ad.AnnData(X=x, var=pd.DataFrame(index=names)), sys.argv[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

small = write(10_000)
print(write(80_000) - small)
"""


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_memory_does_not_grow_with_the_variants(tmp_path, suffix):
    answer = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / f"x{suffix}")],
        capture_output=True,
        text=True,
        check=True,
    )
    # X is 80 MB, in blocks of 2 MB
    assert int(answer.stdout) * (1 if sys.platform == "darwin" else 1024) < 40e6


def test_results_are_joined_by_identity_whatever_their_order():
    class Named:
        def __init__(self, prefix, frame):
            self.prefix, self._frame = prefix, frame

        def to_frame(self):
            return self._frame

    base = pd.DataFrame(
        {
            "trait": ["a", "a", "b", "b"],
            "chromosome": "1",
            "base_pair_location": [5, 5, 5, 5],
            "variant_id": ["v", "v", "v", "v"],
            "effect_allele": "A",
            "other_allele": "C",
            "n": 10,
            "beta": [1.0, 2.0, 3.0, 4.0],
        }
    )
    table = joined(result_frame(Named("gwas_", base)), result_frame(Named("elm_", base.iloc[[2, 3, 0, 1]])))
    assert table["gwas_beta"].tolist() == table["elm_beta"].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_a_disk_without_room_is_refused_before_the_file_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1000})())
    with pytest.raises(OutputError, match="the disk is full"):
        write_anndata(ad.AnnData(X=np.zeros((3, 2), np.int8)), tmp_path / "full.h5ad")
    assert list(tmp_path.iterdir()) == []
