"""An AnnData that its user has changed: concatenated, renamed, retyped; it is read again, or refused in one line."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import gp_elm as ge
from gp_elm.errors import InputError, OptionError
from gp_elm.genotypes.sex import code_sex_chromosomes
from gp_elm.io.anndata import from_anndata, to_anndata
from gp_elm.io.anndata_columns import sexes
from gp_elm.io.anndata_names import new_traits, obs_table
from gp_elm.io.plink import read_plink

DATA = Path(__file__).parent / "data" / "sex" / "cohort"


def coded(model=2):
    return code_sex_chromosomes(read_plink(DATA), xchr_model=model)


def in_memory(cohort):
    adata = to_anndata(cohort)
    adata.X = adata.X.compute()
    return adata


@pytest.mark.parametrize("model", [1, 2])
def test_what_was_coded_is_not_coded_again_when_uns_is_lost(model):
    cohort = coded(model)
    adata = in_memory(cohort)
    whole = ad.concat([adata[:40], adata[40:]], merge="same")
    assert "gp_elm" not in whole.uns
    found = from_anndata(whole).cohort
    for name in ("variant_ploidy", "variant_sex_linkage"):
        np.testing.assert_array_equal(found[name], cohort[name])
        assert found[name].dtype == cohort[name].dtype
    again = code_sex_chromosomes(found)
    assert again is found
    np.testing.assert_array_equal(again["call_dosage"].to_numpy(), cohort["call_dosage"].to_numpy())


def test_without_sexes_y_and_mt_are_not_coded_again():
    cohort = code_sex_chromosomes(read_plink(DATA).drop_vars("sample_sex"))
    adata = in_memory(cohort)
    del adata.uns["gp_elm"]
    again = code_sex_chromosomes(from_anndata(adata).cohort)
    np.testing.assert_array_equal(again["call_dosage"].to_numpy(), cohort["call_dosage"].to_numpy())


def test_a_ploidy_from_elsewhere_is_another_matter():
    var = pd.DataFrame({"chrom": ["1"] * 3, "pos": [1, 2, 3], "a0": "A", "a1": "C", "ploidy": 4})
    adata = ad.AnnData(X=np.ones((2, 3), np.int8), var=var.set_index(pd.Index(list("abc"))))
    assert (from_anndata(adata).cohort["variant_ploidy"] == 2).all()


@pytest.mark.parametrize("column", ["ploidy", "variant_sex_linkage"])
@pytest.mark.parametrize("lost", [True, False])
def test_a_count_that_is_none_is_refused(column, lost):
    adata = in_memory(coded())
    adata.var[column] = adata.var[column].astype(float)
    if lost:
        del adata.uns["gp_elm"]
    variable = "variant_ploidy" if column == "ploidy" else column
    assert from_anndata(adata).cohort[variable].dtype == np.int8
    adata.var.iloc[3, adata.var.columns.get_loc(column)] = np.nan
    with pytest.raises(InputError, match=rf"var: {column} of .* is .*nan.*, not one of .*as it was written"):
        from_anndata(adata)


@pytest.mark.parametrize(
    "rename",
    [lambda var: var.cat.rename_categories({"1": "chr1"}), lambda var: "chr" + var.astype(str)],
)
def test_renamed_chromosomes(rename):
    cohort = coded()
    adata = in_memory(cohort)
    adata.var["chromosome"] = rename(adata.var["chromosome"])
    found = from_anndata(adata).cohort
    names = found["contig_id"].to_numpy()[found["variant_contig"].to_numpy()]
    assert list(names) == list(adata.var["chromosome"])
    np.testing.assert_array_equal(found["call_dosage"], cohort["call_dosage"])
    ge.add_phenotypes(adata, pd.DataFrame({"t": np.arange(90.0)}, index=adata.obs_names))
    assert list(ge.linear_scan(adata).to_frame()["chromosome"]) == list(names)
    # the table comes back with the new names
    assert set(ge.from_anndata(adata).variants["chromosome"]) == set(names)


def test_words_for_sexes_and_positions_with_a_point(caplog):
    cohort = coded()
    adata = in_memory(cohort)
    caplog.clear()
    adata.obs["sex"] = pd.Categorical(adata.obs["sex"].map({1: "Male", 2: "female", 0: None}))
    adata.var["base_pair_location"] = adata.var["base_pair_location"].astype(float)
    found = from_anndata(adata).cohort
    np.testing.assert_array_equal(found["sample_sex"], cohort["sample_sex"])
    np.testing.assert_array_equal(found["variant_position"], cohort["variant_position"])
    assert found["variant_position"].dtype == np.int64
    np.testing.assert_array_equal(sexes(pd.Series([1.0, 2.0, np.nan])), [1, 2, 0])
    assert not caplog.text
    np.testing.assert_array_equal(sexes(pd.Series(["F", " m", "x", "0"], name="sex")), [2, 1, 0, 0])
    assert "sex of 1 samples is none of 1, 2, m, f, male, female" in caplog.text
    adata.var["base_pair_location"] += 0.5
    with pytest.raises(InputError, match="base_pair_location of .* which is no whole number; write the base"):
        from_anndata(adata)


def test_lost_columns_and_samples_twice(caplog):
    adata = in_memory(coded())
    del adata.obs["fam_phenotype"]
    assert "fam_phenotype" not in from_anndata(adata).cohort
    assert "the AnnData has lost its column fam_phenotype, which is left out" in caplog.text
    adata.obs_names = ["a", "a", *adata.obs_names[2:]]
    with pytest.raises(InputError, match="sample 'a' is there twice; rename or remove one"):
        from_anndata(adata)
    del adata.var["effect_allele"]
    with pytest.raises(InputError, match="var has lost its column effect_allele; put it back"):
        from_anndata(adata)


def test_traits_of_our_own_and_new_ones():
    adata = in_memory(coded())
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"height": rng.random(90), "weight/kg": rng.random(90)}, index=adata.obs_names)
    ge.add_phenotypes(adata, table)
    assert new_traits(adata, "height,weight/kg", "--traits") is None
    adata.obs["newtrait"] = rng.random(90)
    found = new_traits(adata, "newtrait, weight/kg", "--traits")
    np.testing.assert_array_equal(found["newtrait"], adata.obs["newtrait"])
    np.testing.assert_array_equal(found["weight/kg"], table["weight/kg"])
    with pytest.raises(OptionError, match="--traits: the AnnData has no nothing in obs or obsm; there is"):
        new_traits(adata, ["nothing", "height"], "--traits")
    # a covariate of the name of a trait has another column
    ge.add_covariates(adata, pd.DataFrame({"height": rng.random(90)}, index=adata.obs_names))
    own = obs_table(adata, "height", "--covar-name", ids="covariate_id")
    assert (own["height"] != adata.obs["height"]).all()
    traits = from_anndata(adata).cohort
    np.testing.assert_array_equal(traits["sample_covariate"].to_numpy()[:, 0], own["height"])
    twice = ge.from_anndata(adata, traits="newtrait,weight/kg").cohort
    assert list(twice["trait_id"].to_numpy()) == ["newtrait", "weight/kg"]
