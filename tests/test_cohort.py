"""Opening a cohort: samples matched by id, everything counted in the log, every fault said in one line."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from reference.plink_files import write_plink

from gp_elm.cohort import open_cohort
from gp_elm.errors import GpElmError, InputError, OptionError
from gp_elm.genotypes.splits import check_split, split_cohort
from gp_elm.io.plink import read_plink
from gp_elm.sample_tables import add_covariates, add_groups, add_phenotypes
from gp_elm.schema import check_cohort

N, M = 40, 25


@pytest.fixture
def dosage() -> np.ndarray:
    return np.random.default_rng(1).integers(-1, 3, size=(M, N)).astype(np.int8)


@pytest.fixture
def prefix(tmp_path: Path, dosage: np.ndarray) -> Path:
    return write_plink(tmp_path / "cohort", dosage, fid=[f"s{i}" for i in range(N)])


@pytest.fixture
def traits() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    ids = [f"s{i}" for i in range(N)]
    return pd.DataFrame({"IID": ids, "height": rng.standard_normal(N), "weight": rng.standard_normal(N)})


@pytest.fixture
def covariates() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    ids = [f"s{i}" for i in range(N)]
    sex = rng.choice(["f", "m"], N)
    return pd.DataFrame({"IID": ids, "age": rng.integers(20, 60, N), "sex": sex})


def write(folder: Path, frame: pd.DataFrame, name: str) -> Path:
    path = folder / name
    frame.to_csv(path, sep="\t", index=False, na_rep="NA")
    return path


def test_everything_at_once(
    prefix: Path, tmp_path: Path, dosage: np.ndarray, traits: pd.DataFrame, covariates: pd.DataFrame,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    traits.loc[3, ["height", "weight"]] = np.nan
    covariates = covariates.astype({"age": float})
    covariates.loc[4, "age"] = np.nan
    pheno = write(tmp_path, traits.iloc[5:].iloc[::-1], "p.tsv")
    covar = write(tmp_path, covariates.iloc[:30], "c.tsv")
    with caplog.at_level(logging.INFO, "gp_elm"):
        cohort = open_cohort(
            bfile=prefix, pheno=pheno, covar=covar, traits="weight", chromosomes="1", geno=0.99, maf=0.0
        )
    check_cohort(cohort, phenotypes=True)
    chosen = np.arange(5, 30)
    assert list(cohort["sample_id"].to_numpy()) == [f"s{i}" for i in chosen]
    np.testing.assert_array_equal(cohort["call_dosage"].to_numpy(), dosage[:, chosen])
    np.testing.assert_array_equal(
        cohort["sample_phenotype"].to_numpy()[:, 0], traits["weight"].to_numpy()[chosen]
    )
    assert list(cohort["trait_id"].to_numpy()) == ["weight"]
    assert list(cohort["covariate_id"].to_numpy()) == ["age", "sex=m"]
    assert (
        f"{pheno}: 1 traits of 35 samples; 35 of the 40 genotyped samples are in it, 35 have a value"
        in caplog.text
    )
    assert (
        f"{covar}: 2 covariate columns of 30 samples; 25 of the 35 samples are in it, 25 have every"
        in caplog.text
    )
    assert "25 samples and 25 variants are used" in caplog.text


def test_samples_in_another_order_give_the_same_cohort(
    tmp_path: Path, dosage: np.ndarray, traits: pd.DataFrame
) -> None:
    order = np.random.default_rng(5).permutation(N)
    one = open_cohort(bfile=write_plink(tmp_path / "a", dosage), pheno=traits)
    shuffled = write_plink(tmp_path / "b", dosage[:, order], iid=[f"s{i}" for i in order])
    two = open_cohort(bfile=shuffled, pheno=traits)
    np.testing.assert_array_equal(two["call_dosage"].to_numpy(), one["call_dosage"].to_numpy()[:, order])
    np.testing.assert_array_equal(
        two["sample_phenotype"].to_numpy(), one["sample_phenotype"].to_numpy()[order]
    )
    splits = [split_cohort(None, N, sample_id=c["sample_id"].to_numpy()) for c in (one, two)]
    np.testing.assert_array_equal(splits[1].fold, splits[0].fold[order])


def test_samples_without_values_are_left_out(
    prefix: Path, traits: pd.DataFrame, covariates: pd.DataFrame
) -> None:
    traits.loc[[1, 2], "height"] = np.nan
    traits.loc[2, "weight"] = np.nan
    cohort = add_phenotypes(read_plink(prefix), traits)
    assert cohort.sizes["samples"] == N - 1
    assert np.isnan(cohort["sample_phenotype"].to_numpy()[1]).tolist() == [True, False]
    covariates.loc[[7, 8], "sex"] = None
    cohort = add_covariates(cohort, covariates)
    assert cohort.sizes["samples"] == N - 3
    assert not {"s2", "s7", "s8"} & set(cohort["sample_id"].to_numpy())


def test_without_a_table_the_fam_file_has_the_trait(tmp_path: Path, dosage: np.ndarray) -> None:
    values = ["1.5", "-9", "NA", *(str(i) for i in range(3, N))]
    prefix = write_plink(tmp_path / "x", dosage, phenotype=values)
    cohort = open_cohort(bfile=prefix)
    assert list(cohort["trait_id"].to_numpy()) == ["phenotype"]
    assert cohort["sample_phenotype"].to_numpy()[:, 0].tolist() == [1.5, *map(float, range(3, N))]
    assert "fam_phenotype" not in cohort
    case = write_plink(tmp_path / "y", dosage, phenotype=["0", *(["1", "2"] * N)[: N - 1]])
    assert set(open_cohort(bfile=case)["sample_phenotype"].to_numpy()[:, 0]) == {0.0, 1.0}
    for value, what in (("-9", "has no value in the 40 samples"), ("0", "is constant, 0 in all 40 samples")):
        constant = write_plink(tmp_path / "z", dosage, phenotype=[value] * N)
        with pytest.raises(
            InputError, match=rf"z\.fam: trait phenotype {what} used; it is FAM column 6: give"
        ):
            open_cohort(bfile=constant)
    text = write_plink(tmp_path / "w", dosage, phenotype=["1"] * 7 + ["ill"] + ["2"] * (N - 8))
    with pytest.raises(InputError, match=r"w\.fam:8: phenotype is 'ill', which is no number"):
        open_cohort(bfile=text)
    with pytest.raises(InputError, match=r"w\.fam:8: phenotype is 'ill'"):
        open_cohort(bfile=text, remove=["s0", "s1"])


def test_faulty_traits(prefix: Path, tmp_path: Path, traits: pd.DataFrame) -> None:
    with pytest.raises(
        InputError, match=r"p\.tsv: trait flat is constant, 2 in all 40 samples used; leave it out"
    ):
        open_cohort(bfile=prefix, pheno=write(tmp_path, traits.assign(flat=2), "p.tsv"))
    text = traits.astype(object)
    text.loc[6, "weight"] = "heavy"
    path = write(tmp_path, text, "p.tsv")
    with pytest.raises(InputError, match=r"p\.tsv:8: weight is 'heavy', which is no number; write NA"):
        open_cohort(bfile=prefix, pheno=path)
    assert open_cohort(bfile=prefix, pheno=path, traits="height").sizes["traits"] == 1
    with pytest.raises(
        OptionError, match=r"--traits: .*p\.tsv has no column wieght \(is it weight\?\); there is height, w"
    ):
        open_cohort(bfile=prefix, pheno=path, traits="height,wieght")
    strangers = traits.assign(IID=[f"x{i}" for i in range(N)])
    with pytest.raises(InputError, match=r"q\.tsv: no sample is both .* '0 x0' here and 's0 s0' there"):
        open_cohort(bfile=prefix, pheno=write(tmp_path, strangers, "q.tsv"))
    with pytest.raises(InputError, match=r"r\.tsv:42: sample 's0' stands already on line 2"):
        open_cohort(bfile=prefix, pheno=write(tmp_path, pd.concat([traits, traits[:1]]), "r.tsv"))


def test_faulty_covariates(
    prefix: Path, tmp_path: Path, traits: pd.DataFrame, covariates: pd.DataFrame
) -> None:
    def opened(frame: pd.DataFrame) -> None:
        open_cohort(bfile=prefix, pheno=traits, covar=write(tmp_path, frame, "c.tsv"))

    with pytest.raises(
        InputError, match=r"c\.tsv: collinear covariates .*: months follows from age; leave out months"
    ):
        opened(covariates.assign(months=12 * covariates["age"]))
    with pytest.raises(InputError, match=r"c\.tsv: constant in the 40 samples used: site; leave it out"):
        opened(covariates.assign(site=1))
    rng = np.random.default_rng(1)
    many = covariates.assign(**{f"PC{i}": rng.standard_normal(N) for i in range(37)})
    with pytest.raises(
        InputError, match=r"c\.tsv: 39 covariate columns for 40 samples leave nothing to estimate"
    ):
        opened(many)
    with pytest.raises(
        InputError, match=r"c\.tsv: 41 covariate columns for 40 samples .*\(name alone makes 39"
    ):
        opened(covariates.assign(name=[f"n{i}" for i in range(N)]))
    with pytest.raises(
        InputError, match=r"c\.tsv: none of the 40 samples has every covariate; dose is missing in 40"
    ):
        opened(covariates.assign(dose=np.nan))
    with pytest.raises(
        OptionError, match=r"--covar-name: .*c\.tsv has no column Sex \(is it sex\?\); there is age, sex"
    ):
        open_cohort(bfile=prefix, pheno=traits, covar=tmp_path / "c.tsv", covar_names="Sex")
    with pytest.raises(OptionError, match="--covar-name without --covar"):
        open_cohort(bfile=prefix, pheno=traits, covar_names="sex")


def test_a_trait_measured_only_where_a_covariate_is_missing(
    prefix: Path, traits: pd.DataFrame, covariates: pd.DataFrame
) -> None:
    traits.loc[:29, "weight"] = np.nan
    covariates = covariates.astype({"age": float})
    covariates.loc[30:, "age"] = np.nan
    with pytest.raises(
        InputError, match=r"trait weight has no value in the 30 samples used; leave it out with"
    ):
        open_cohort(bfile=prefix, pheno=traits, covar=covariates)


def test_covariates_are_checked_again_after_the_traits(
    prefix: Path, traits: pd.DataFrame, covariates: pd.DataFrame
) -> None:
    cohort = add_covariates(read_plink(prefix), covariates.assign(batch=[0] * 30 + [1] * 10))
    with pytest.raises(InputError, match=r"covariates: constant in the 30 samples used: batch"):
        add_phenotypes(cohort, traits[:30])


def test_groups(prefix: Path, traits: pd.DataFrame, caplog: pytest.LogCaptureFixture) -> None:
    cohort = add_phenotypes(read_plink(prefix), traits)
    frame = pd.DataFrame(
        {"IID": [f"s{i}" for i in range(N - 2)], "litter": [f"L{i // 4}" for i in range(N - 2)]}
    )
    with caplog.at_level(logging.INFO, "gp_elm"):
        grouped = add_groups(cohort, frame)
    labels = grouped["sample_group"].to_numpy()
    assert list(labels[:5]) == ["L0", "L0", "L0", "L0", "L1"]
    assert len(set(labels)) == 10 + 2
    assert "10 groups by litter, for 38 of 40 samples" in caplog.text
    assert "2 samples have no group and stand by themselves" in caplog.text


def test_families_are_groups_where_no_file_is_given(
    tmp_path: Path, dosage: np.ndarray, traits: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    families = ["0"] * 4 + [f"F{i // 3}" for i in range(N - 4)]
    with caplog.at_level(logging.INFO, "gp_elm"):
        cohort = open_cohort(bfile=write_plink(tmp_path / "x", dosage, fid=families), pheno=traits)
    assert "12 FAM families with several samples (36) are kept whole in splits" in caplog.text
    labels = cohort["sample_group"].to_numpy()
    assert len(set(labels)) == 4 + 12
    split = split_cohort(labels, N)
    check_split(split, cohort["sample_phenotype"].to_numpy(), ["height", "weight"])
    with caplog.at_level(logging.INFO, "gp_elm"):
        cohort = open_cohort(bfile=write_plink(tmp_path / "y", dosage, fid=["study"] * N), pheno=traits)
    assert "sample_group" not in cohort
    assert "the largest FAM family has 40 of the 40 samples: families are not used as groups" in caplog.text


def test_haploid_cohorts_count_one_copy_and_monomorphic_variants_stay(
    tmp_path: Path, traits: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    dosage = (2 * np.random.default_rng(1).integers(0, 2, (M, N))).astype(np.int8)
    dosage[3], dosage[4] = 2, -1
    prefix = write_plink(tmp_path / "x", dosage)
    bim = Path(f"{prefix}.bim")
    bim.write_text(bim.read_text().replace("v3\t0\t400\tA\tG", "v3\t0\t400\tA\tA"))
    with caplog.at_level(logging.INFO, "gp_elm"):
        cohort = open_cohort(bfile=prefix, pheno=traits, chunk_variants=4)
    np.testing.assert_array_equal(cohort["call_dosage"].to_numpy(), np.where(dosage == 2, 1, dosage))
    assert (cohort["variant_ploidy"] == 1).all()
    assert "the cohort is haploid or inbred" in caplog.text
    assert "2 variants are monomorphic in these samples; their rows stay" in caplog.text
    diploid = open_cohort(bfile=prefix, pheno=traits, ploidy=2)
    np.testing.assert_array_equal(diploid["call_dosage"].to_numpy(), dosage)


def test_filters_use_the_samples_that_are_left(
    tmp_path: Path, dosage: np.ndarray, traits: pd.DataFrame
) -> None:
    dosage[0] = 0
    dosage[0, :5] = 2  # varies only in samples that have no trait
    dosage[:, 39] = -1
    prefix = write_plink(tmp_path / "x", dosage)
    cohort = open_cohort(bfile=prefix, pheno=traits.iloc[5:], maf=0.01, mind=0.9, exclude=["v1"])
    assert list(cohort["variant_id"].to_numpy()) == [f"v{i}" for i in range(2, M)]
    assert list(cohort["sample_id"].to_numpy()) == [f"s{i}" for i in range(5, 39)]
    np.testing.assert_array_equal(cohort["call_dosage"].to_numpy(), dosage[2:, 5:39])


def test_forced_haploid_coding_is_filtered_as_coded(tmp_path: Path, traits: pd.DataFrame) -> None:
    dosage = (2 * np.random.default_rng(1).integers(0, 2, (M, N))).astype(np.int8)
    dosage[5, :30] = 1
    cohort = open_cohort(bfile=write_plink(tmp_path / "x", dosage), pheno=traits, ploidy=1, geno=0.5)
    assert "v5" not in set(cohort["variant_id"].to_numpy())
    assert cohort["call_dosage"].to_numpy().max() == 1


def test_every_message_is_one_line(prefix: Path, tmp_path: Path, traits: pd.DataFrame) -> None:
    for options in (
        {"bfile": tmp_path / "nowhere"},
        {"bfile": prefix, "pheno": tmp_path / "nowhere.tsv"},
        {"bfile": prefix, "pheno": traits.assign(flat=1)},
        {"bfile": prefix, "pheno": traits, "traits": "x"},
        {"bfile": prefix, "pheno": traits, "maf": 2.0},
        {"bfile": prefix, "pheno": traits, "chromosomes": "99"},
    ):
        with pytest.raises(GpElmError) as caught:
            open_cohort(**options)
        assert "\n" not in str(caught.value)
        assert ";" in str(caught.value)  # what was found; what to do


@pytest.mark.parametrize(
    ("name", "n_samples", "n_traits"),
    [
        ("sim_arcadia_64qtl", 10_000, 5),
        ("landscape_fp13", 8_192, 1),
        ("yeast_bloom2015", 4_372, 20),
        ("mouse_hs_bglr", 1_814, 21),
        ("wheat_cimmyt599", 599, 4),
        ("qtl_multitrait", 158, 24),
        ("sim_mendeliht_additive", 1_000, 1),
        ("sim_gametes_2way_quant", 1_600, 1),
    ],
)
def test_real_cohorts(shared_data: Path, name: str, n_samples: int, n_traits: int) -> None:
    prefix = shared_data / name / name
    groups = Path(f"{prefix}.groups.tsv")
    cohort = open_cohort(
        bfile=prefix, pheno=f"{prefix}.pheno.tsv", groups=groups if groups.exists() else None
    )
    check_cohort(cohort, phenotypes=True)
    assert (cohort.sizes["samples"], cohort.sizes["traits"]) == (n_samples, n_traits)
    labels = cohort["sample_group"].to_numpy() if "sample_group" in cohort else None
    split = split_cohort(labels, n_samples, sample_id=cohort["sample_id"].to_numpy())
    check_split(split, cohort["sample_phenotype"].to_numpy(), list(cohort["trait_id"].to_numpy()))
    assert abs(split.heldout.mean() - 0.2) < 0.005


def test_real_covariates(shared_data: Path) -> None:
    prefix = shared_data / "mouse_hs_bglr" / "mouse_hs_bglr"
    files = {
        "bfile": prefix,
        "pheno": f"{prefix}.pheno.tsv",
        "covar": f"{prefix}.covar.tsv",
        "chromosomes": "19",
    }
    cohort = open_cohort(**files, covar_names="GENDER,CoatColour,CageDensity,Biochem_Age")
    names = list(cohort["covariate_id"].to_numpy())
    assert names[0] == "GENDER=M" and "CageDensity" in names and len(names) == 11
    with pytest.raises(
        InputError, match=r"covar\.tsv: collinear .* cage=9G follows from CageDensity, cage \(282 levels"
    ):
        open_cohort(**files)
