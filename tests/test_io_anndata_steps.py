"""Steps on an AnnData: what they find equals what they find on the Dataset, and nothing of the user's is lost."""

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from bed_reader import to_bed

import gp_elm as ge
from gp_elm.association.interaction import interaction_scan
from gp_elm.errors import InputError, OptionError
from gp_elm.io.anndata import to_anndata, write_anndata

N, M = 60, 12


def cellink(seed=1):
    """Donors x variants as cellink makes them: X counts a1, missing calls are NaN."""
    rng = np.random.default_rng(seed)
    x = rng.binomial(2, rng.uniform(0.2, 0.8, M), (N, M)).astype(np.float32)
    x[rng.random((N, M)) < 0.05] = np.nan
    height = np.nan_to_num(x[:, 3]) + rng.standard_normal(N)
    height[:4] = np.nan
    obs = pd.DataFrame(
        {
            "height": height,
            "age": rng.uniform(20, 80, N),
            "batch": pd.Categorical(rng.choice(["x", "y", "z"], N)),
            "group": rng.choice(["case", "control"], N),
            "sex": rng.choice([1, 2], N),
        },
        index=pd.Index([f"D{k}" for k in range(N)], name="donor_id"),
    )
    obs.loc["D10", "age"] = np.nan
    var = pd.DataFrame(
        {
            "chrom": ["1"] * 6 + ["22"] * 6,
            "pos": np.arange(M) * 10 + 5,
            "a0": rng.choice(["A", "T"], M),
            "a1": rng.choice(["C", "G"], M),
            "maf": rng.random(M),
            "contig": [0] * 6 + [1] * 6,
        },
        index=pd.Index([f"SNP{k}" for k in range(M)], name="snp_id"),
    )
    adata = ad.AnnData(X=x, obs=obs, var=var)
    adata.obsm["gPCs"] = pd.DataFrame(rng.standard_normal((N, 2)), index=obs.index, columns=["0", "1"])
    adata.uns["kinship"] = pd.DataFrame(np.eye(N), index=obs.index, columns=obs.index)
    adata.varm["annotation"] = rng.random((M, 2))
    adata.layers["DS"] = np.nan_to_num(x) / 2
    return adata


@pytest.fixture
def dataset(tmp_path):
    """The same cohort, written as BED by bed-reader and read as everyone's cohort is."""

    def write(adata):
        x = adata.X.toarray() if sp.issparse(adata.X) else adata.X
        properties = {
            "iid": adata.obs_names, "sex": adata.obs["sex"], "sid": adata.var_names, "chromosome": adata.var["chrom"],
            "bp_position": adata.var["pos"], "allele_1": adata.var["a1"], "allele_2": adata.var["a0"],
        }  # fmt: skip
        to_bed(tmp_path / "c.bed", x, properties={k: v.to_numpy() for k, v in properties.items()})
        return ge.read_plink(tmp_path / "c")

    return write


def prepared(cohort, obs, pcs):
    cohort = ge.add_phenotypes(cohort, obs[["height"]])
    return ge.add_covariates(cohort, pd.concat([obs[["age", "batch"]], pcs], axis=1))


def pcs_of(adata):
    return adata.obsm["gPCs"].set_axis(["gPCs_1", "gPCs_2"], axis=1)


def assert_same_numbers(first, second):
    names = [n for n in first.dataset if first.dataset[n].dtype.kind in "fi"]
    assert names
    for name in names:
        np.testing.assert_array_equal(first.dataset[name], second.dataset[name], err_msg=name)


def test_cellinks_names_and_the_allele_that_is_counted(caplog, dataset):
    adata = cellink()
    with caplog.at_level(logging.INFO):
        cohort = ge.from_anndata(adata, traits=["height"], covariates=["age", "batch", "gPCs"]).cohort
    assert "X counts a1, the other allele is a0" in caplog.text and "hard calls" in caplog.text
    want = prepared(dataset(adata), adata.obs, pcs_of(adata))
    for name in want.variables:
        np.testing.assert_array_equal(cohort[name], want[name], err_msg=name)
    assert list(cohort["covariate_id"].values[-2:]) == ["gPCs_1", "gPCs_2"]
    np.testing.assert_array_equal(cohort["sample_sex"], adata.obs.loc[cohort["sample_id"].values, "sex"])
    assert cohort.sizes["samples"] == N - 5
    assert_same_numbers(ge.linear_scan(cohort), ge.linear_scan(want))


@pytest.mark.parametrize(
    ("columns", "effect"),
    [
        (["CHROM", "POS", "REF", "ALT"], "ALT"),
        (["chromosome", "position", "other_allele", "effect_allele"], "effect_allele"),
        (["chr", "bp", "A2", "A1"], "A1"),
        (["#CHROM", "pos", "ref", "alt"], "alt"),
    ],
)
def test_other_names(columns, effect):
    adata = cellink()
    adata.var = adata.var[["chrom", "pos", "a0", "a1"]].set_axis(columns, axis=1).assign(rsid="rs1")
    cohort = ge.from_anndata(adata).cohort
    assert cohort["variant_effect_allele"].values.tolist() == adata.var[effect].tolist()
    assert set(cohort["variant_id"].values) == {"rs1"}


def test_names_that_are_missing_or_disagree():
    adata = cellink()
    adata.var["alt"], adata.var["ref"] = adata.var["a0"], adata.var["a1"]
    with pytest.raises(InputError, match="var has a1 and a0 but also alt and ref, which differ"):
        ge.from_anndata(adata)
    adata.var["effect_allele"], adata.var["other_allele"] = adata.var["a0"], adata.var["a1"]
    assert ge.from_anndata(adata).cohort["variant_effect_allele"].values.tolist() == adata.var["a0"].tolist()
    adata.var["pos"] = adata.var["pos"].astype(object)
    adata.var.loc["SNP3", "pos"] = "here"
    with pytest.raises(InputError, match="pos of SNP3 is 'here', which is no whole number"):
        ge.from_anndata(adata)
    del adata.var["pos"]
    with pytest.raises(InputError, match=r"no column of position \(base_pair_location, .*; it has chrom, a0"):
        ge.from_anndata(adata)
    with pytest.raises(
        OptionError, match="traits: the AnnData has no weight in obs or obsm; there is height"
    ):
        ge.from_anndata(cellink(), traits=["weight"])


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_steps_find_what_they_find_on_the_dataset(kind, dataset):
    adata = cellink()
    want = prepared(dataset(adata), adata.obs, pcs_of(adata))
    adata.X = kind(adata.X)
    assert ge.add_phenotypes(adata, traits="height") is adata
    assert ge.add_covariates(adata, names=["age", "batch", "gPCs"]) is adata
    ge.check_cohort(adata, phenotypes=True)
    scan = ge.linear_scan(adata)
    assert_same_numbers(scan, ge.linear_scan(want))
    for name in ("beta", "standard_error", "p_value", "neg_log_10_p_value"):
        np.testing.assert_array_equal(adata.varm[f"gwas_{name}"], scan.dataset[name])
    np.testing.assert_array_equal(adata.var["gwas_beta:height"], scan.dataset["beta"][:, 0])
    np.testing.assert_array_equal(adata.varm["n"], scan.dataset["n"])
    params = adata.uns["gp_elm"]["params"]
    assert params["add_covariates"] == {} and adata.uns["gp_elm"]["version"] == ge.__version__
    table = ge.from_anndata(adata).variants
    pd.testing.assert_frame_equal(table, ge.from_anndata(to_anndata(want, scan)).variants, check_exact=True)


def test_what_the_user_had_stays(tmp_path):
    adata, before = cellink(), cellink()
    ge.add_phenotypes(adata, adata.obs[["height"]] * 2)
    ge.add_groups(adata, adata.obs[["batch"]])
    ge.linear_scan(adata)
    for slot in ("obs", "var"):
        pd.testing.assert_frame_equal(
            getattr(adata, slot)[getattr(before, slot).columns], getattr(before, slot)
        )
    np.testing.assert_array_equal(adata.X, before.X)
    np.testing.assert_array_equal(adata.layers["DS"], before.layers["DS"])
    np.testing.assert_array_equal(adata.varm["annotation"], before.varm["annotation"])
    pd.testing.assert_frame_equal(adata.obsm["gPCs"], before.obsm["gPCs"])
    pd.testing.assert_frame_equal(adata.uns["kinship"], before.uns["kinship"])
    np.testing.assert_array_equal(adata.obs["trait_height"], before.obs["height"] * 2)
    assert adata.obs["sample_group"].tolist() == before.obs["batch"].astype(str).tolist()
    adata.write_h5ad(tmp_path / "a.h5ad")
    write_anndata(adata, tmp_path / "b.zarr")
    for again in (ad.read_h5ad(tmp_path / "a.h5ad"), ad.experimental.read_lazy(tmp_path / "b.zarr")):
        found = ge.from_anndata(again)
        pd.testing.assert_frame_equal(found.variants, ge.from_anndata(adata).variants, check_exact=True)
        assert found.cohort["trait_id"].values.tolist() == ["height"]
        assert set(found.cohort["sample_group"].values) == {"x", "y", "z"}


def test_a_later_result_takes_the_place_of_the_earlier():
    adata = cellink()
    adata.obs["weight"] = np.arange(N) % 7 + np.nan_to_num(adata.X[:, 5])
    ge.add_phenotypes(adata, traits=["height", "weight"])
    ge.linear_scan(adata)
    both = ge.linear_scan(adata, dominance=True)
    assert adata.varm["gwas_beta"].shape == (M, 2)
    np.testing.assert_array_equal(adata.varm["gwas_beta"], both.dataset["beta"])
    ge.add_phenotypes(adata, traits=["weight"])
    scan = ge.linear_scan(adata)
    assert list(adata.uns["gp_elm"]["trait_id"]) == ["weight"] and "gwas_beta:height" not in adata.var
    np.testing.assert_array_equal(adata.varm["gwas_beta"], scan.dataset["beta"])
    assert (adata.varm["n"] == scan.dataset["n"]).all() and "trait_height" not in adata.obs
    mixed = ge.linear_mixed_scan(adata)
    np.testing.assert_array_equal(adata.varm["gwas_mixed_model_h"], mixed.dataset["mixed_model_h"])


class Elm:
    """A result of another method on the same variants."""

    prefix = "elm_"

    def __init__(self, scan):
        self.dataset, self._scan = scan.dataset, scan

    def to_frame(self):
        frame = self._scan.to_frame().drop(columns=["effect_allele_frequency", "missing_rate"])
        return frame.assign(beta=frame["beta"] * 0.5, n=7).sample(frac=1, random_state=1)


def test_two_methods_stand_side_by_side_matched_by_identity():
    from gp_elm.io.accepts import accepts_anndata

    adata = cellink()
    ge.add_phenotypes(adata, traits=["height"])
    other = accepts_anndata()(lambda cohort: Elm(ge.linear_scan(cohort)))
    other(adata)
    scan = ge.linear_scan(adata)
    np.testing.assert_array_equal(adata.varm["elm_beta"], scan.dataset["beta"].values * 0.5)
    np.testing.assert_array_equal(adata.varm["gwas_beta"], scan.dataset["beta"])
    assert (adata.varm["n"] == 7).all() and "effect_allele_frequency" in adata.varm
    want = to_anndata(ge.from_anndata(adata).cohort, Elm(scan), scan)
    pd.testing.assert_frame_equal(
        ge.from_anndata(adata).variants, ge.from_anndata(want).variants, check_exact=True
    )


def test_methods_on_other_traits_keep_their_rows():
    from gp_elm.io.accepts import accepts_anndata

    adata = cellink()
    adata.obs["weight"] = np.arange(N) % 7.0
    ge.add_phenotypes(adata, traits=["height"])
    accepts_anndata()(lambda cohort: Elm(ge.linear_scan(cohort)))(adata)
    ge.add_phenotypes(adata, traits=["weight"])
    for _ in range(2):
        scan = ge.linear_scan(adata)
        table = ge.from_anndata(adata).variants.set_index("trait")
        assert (table.loc["height", "n"] == 7).all() and table.loc["height", "gwas_beta"].isna().all()
        assert table.loc["weight", "n"].tolist() == scan.dataset["n"].values[:, 0].tolist()
        assert table.loc["weight", "gwas_beta"].tolist() == scan.dataset["beta"].values[:, 0].tolist()


def test_pairs():
    adata = cellink()
    ge.add_phenotypes(adata, traits=["height"])
    found = interaction_scan(adata, pairs=np.array([[0, 3], [7, 2]]))
    matrix = adata.varp["interaction_beta:height"]
    assert matrix[3, 0] == matrix[0, 3] == found.dataset["beta"].values[0, 0] and matrix.nnz == 4
    table = ge.from_anndata(adata).pairs
    assert sorted(table["interaction_beta"]) == sorted(found.dataset["beta"].values[:, 0])
    assert set(table["n"]) == set(found.dataset["n"].values[:, 0])
    interaction_scan(adata, pairs=np.array([[1, 3]]))
    assert len(ge.from_anndata(adata).pairs) == 1


def test_our_own_anndata_takes_steps_too(dataset):
    cohort = prepared(dataset(cellink()), cellink().obs, pcs_of(cellink()))
    adata = to_anndata(cohort)
    scan = ge.linear_scan(adata)
    assert_same_numbers(scan, ge.linear_scan(cohort))
    ge.add_phenotypes(adata, cellink().obs[["height"]].iloc[20:] + 1)
    assert adata.n_obs == N - 5 and adata.obs["height"].isna().sum() == 15
    again = ge.linear_scan(adata)
    assert again.dataset["n"].max() <= N - 20
    assert_same_numbers(again, ge.linear_scan(ge.from_anndata(adata).cohort))


@pytest.mark.filterwarnings("ignore::UserWarning")  # anndata's about its own zarr format
def test_backed_and_lazy(tmp_path, dataset):
    adata = cellink()
    want = ge.linear_scan(ge.add_phenotypes(dataset(adata), adata.obs[["height"]]))
    adata.write_h5ad(tmp_path / "a.h5ad")
    adata.write_zarr(tmp_path / "a.zarr")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    for there in (
        backed,
        ad.experimental.read_lazy(tmp_path / "a.h5ad"),
        ad.experimental.read_lazy(tmp_path / "a.zarr"),
    ):
        ge.add_phenotypes(there, traits=["height"])
        assert_same_numbers(ge.linear_scan(there), want)
        np.testing.assert_array_equal(there.varm["gwas_beta"], want.dataset["beta"])
        assert len(ge.from_anndata(there).variants) == M
    with pytest.raises(InputError, match=r"view of a backed one .* adata.copy\(filename"):
        ge.linear_scan(backed[:, :5])
    backed.file.close()


@pytest.mark.filterwarnings("ignore::anndata.ImplicitModificationWarning")
def test_views_become_copies(caplog):
    adata = cellink()
    view = adata[10:, [3, 1]]
    ge.add_phenotypes(view, traits=["height"])
    assert "is a view" in caplog.text and "gp_elm" not in adata.uns
    scan = ge.linear_scan(view)
    want = ge.linear_scan(ge.from_anndata(adata[10:, [3, 1]], traits=["height"]).cohort)
    assert_same_numbers(scan, want)


def test_messages(dataset):
    adata = cellink()
    with pytest.raises(InputError, match="no variable 'sample_phenotype'"):
        ge.linear_scan(adata)
    with pytest.raises(
        OptionError, match=r"no table and no traits; give a table, or traits=\[...\] of obs .* age"
    ):
        ge.add_phenotypes(adata)
    with pytest.raises(OptionError, match="no table and no names; give a table"):
        ge.add_covariates(adata)
    with pytest.raises(InputError, match="to_anndata got an AnnData"):
        to_anndata(adata)
    ge.add_phenotypes(adata, traits=["height"])
    adata.varm["n"] = np.ones((M, 1))
    with pytest.raises(InputError, match="varm has n, where results of this package go; rename it"):
        ge.linear_scan(adata)
    del adata.varm["n"]
    del adata.obs["height"]
    with pytest.raises(InputError, match="names height among its traits, but obs has no such column"):
        ge.linear_scan(adata)
    with pytest.raises(OptionError, match="takes an AnnData as its cohort only"):
        ge.add_phenotypes(dataset(cellink()), adata)


def test_networks(tmp_path):
    adata = cellink()
    ge.add_phenotypes(adata, traits=["height"])
    adata.X[:, 5] = 1  # no effect can be estimated
    networks = ge.cross_fit(adata, n_folds=2, seed=1, progress=False, directory=tmp_path)
    assert adata.obs["gp_elm_set"].value_counts().to_dict() == {
        "discovery": int((~networks.split.heldout).sum()),
        "heldout": int(networks.split.heldout.sum()),
    }
    assert adata.obs["gp_elm_set"].isna().sum() == 4
    effects = ge.elm_effects(networks, adata)
    np.testing.assert_array_equal(adata.varm["elm_beta"], effects.dataset["beta"])
    scan = ge.linear_scan(adata)
    want = to_anndata(networks.cohort, effects, scan)
    pd.testing.assert_frame_equal(
        ge.from_anndata(adata).variants, ge.from_anndata(want).variants, check_exact=True
    )
