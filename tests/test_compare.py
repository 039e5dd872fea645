"""Tables of variants are joined by identity: whatever their order, alleles aligned, nothing lost unsaid."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gp_elm.association.linear import linear_scan
from gp_elm.classical import write_comparison
from gp_elm.cohort import open_cohort
from gp_elm.compare import (
    add_q_values,
    foreign_gwas,
    join_variants,
    prefixed,
    read_foreign,
    variant_flags,
)
from gp_elm.errors import InputError
from gp_elm.io.arrangement import arrange
from gp_elm.io.tables import read_table, write_table


def table(**columns) -> pd.DataFrame:
    base = {
        "trait": ["t"] * 4,
        "chromosome": ["1", "1", "2", "X"],
        "base_pair_location": [10, 20, 10, 5],
        "variant_id": ["a", "b", "c", "d"],
        "effect_allele": ["A", "C", "G", "T"],
        "other_allele": ["G", "T", "A", "C"],
    }
    return pd.DataFrame(base | columns)


def test_rows_are_matched_by_identity_and_signs_turned_where_alleles_are_swapped(caplog) -> None:
    left = table(gwas_beta=[1.0, 2.0, 3.0, 4.0])
    right = table(
        elm_beta=[1.0, 2.0, 3.0, 4.0], elm_sensitivity_mean=[0.1, 0.2, 0.3, 0.4], elm_p_value=[0.5] * 4
    )
    swap = right["variant_id"].isin(["b", "d"])
    right.loc[swap, ["effect_allele", "other_allele"]] = right.loc[
        swap, ["other_allele", "effect_allele"]
    ].to_numpy()
    with caplog.at_level(logging.INFO, "gp_elm"):
        joined = join_variants(left, right.iloc[[3, 1, 0, 2]], left_name="GWAS", right_name="ELM")
    assert joined["variant_id"].tolist() == ["a", "b", "c", "d"]
    assert joined["elm_beta"].tolist() == [1.0, -2.0, 3.0, -4.0]
    np.testing.assert_allclose(joined["elm_sensitivity_mean"], [0.1, -0.2, 0.3, -0.4])
    assert joined["elm_p_value"].tolist() == [0.5] * 4
    assert joined["effect_allele"].tolist() == left["effect_allele"].tolist()
    assert "2 of them with alleles swapped" in caplog.text


def test_rows_without_a_match_are_na_and_counted(caplog) -> None:
    right = table(elm_beta=[1.0, 2.0, 3.0, 4.0])
    right.loc[1, "other_allele"] = "A"
    right.loc[2, "base_pair_location"] = 11
    with caplog.at_level(logging.INFO, "gp_elm"):
        joined = join_variants(table(gwas_beta=0.0), right, left_name="GWAS", right_name="ELM")
    assert joined["elm_beta"].isna().tolist() == [False, True, True, False]
    assert "2 rows of GWAS without a match, 2 rows of ELM left out" in caplog.text


def test_rows_of_one_name_are_told_apart_by_their_order() -> None:
    left = pd.concat([table(), table()], ignore_index=True)
    right = left.assign(elm_beta=np.arange(8.0))
    joined = join_variants(left, right, left_name="GWAS", right_name="ELM")
    assert joined["elm_beta"].tolist() == list(range(8))


def test_a_table_without_identity_is_refused() -> None:
    with pytest.raises(InputError, match="ELM has no column 'other_allele'"):
        join_variants(table(), table().drop(columns="other_allele"), left_name="GWAS", right_name="ELM")


def test_q_values_are_within_traits() -> None:
    frame = pd.DataFrame({"trait": ["a", "a", "b", "b"], "gwas_p_value": [0.01, np.nan, 0.02, 0.5]})
    assert add_q_values(frame, "gwas_")["gwas_q_value"].tolist() == pytest.approx(
        [0.01, np.nan, 0.04, 0.5], nan_ok=True
    )


def test_flags_say_why_a_row_has_no_effect() -> None:
    frame = table(effect_allele_frequency=[0.0, 0.3, 0.3, np.nan], gwas_beta=[np.nan, np.nan, 1.0, np.nan])
    frame.loc[2, "other_allele"] = frame.loc[2, "effect_allele"]
    variance = pd.DataFrame({"trait": ["t"], "component": ["population_check"], "estimate": [1.1]})
    assert variant_flags(frame, variance).tolist() == [
        "monomorphic",
        "collinear",
        "ambiguous_alleles",
        "monomorphic",
    ]
    structured = variant_flags(frame, variance.assign(estimate=5.0))
    assert structured[2] == "ambiguous_alleles;population"


GWAS = Path(__file__).parent / "data" / "gwas"


@pytest.fixture(scope="module")
def scan() -> pd.DataFrame:
    cohort = open_cohort(bfile=GWAS / "cohort", pheno=GWAS / "traits.tsv", covar=GWAS / "covariates.tsv",
                         traits="trait_1,trait_2")  # fmt: skip
    return linear_scan(cohort).to_frame()


@pytest.fixture
def elm(scan, tmp_path) -> Path:
    frame = prefixed(
        scan.drop(columns="df"), "elm_", ["beta", "standard_error", "p_value", "neg_log_10_p_value"]
    )
    write_table(arrange(frame, "variants"), tmp_path / "elm", table="variants")
    return tmp_path / "elm.parquet"


@pytest.mark.parametrize("name", ["default.*.glm.linear", "log10.*.glm.linear"])
def test_the_elm_columns_are_joined_to_the_rows_of_another_programs_gwas(name, elm, tmp_path, caplog) -> None:
    with caplog.at_level(logging.INFO, "gp_elm"):
        written = write_comparison(GWAS / name, elm, tmp_path / "out", overwrite=False)
    joined = read_table(written)
    assert len(joined) == 48 and not joined["elm_beta"].isna().any()
    np.testing.assert_allclose(joined["elm_beta"], joined["gwas_beta"], rtol=2e-5)
    np.testing.assert_allclose(joined["elm_standard_error"], joined["gwas_standard_error"], rtol=1e-5)
    agreed = read_table(tmp_path / "out" / "comparison.tsv")
    np.testing.assert_allclose(agreed[["correlation", "slope", "same_sign"]], 1, rtol=1e-5)
    assert agreed["n_variants"].tolist() == [24, 24]
    assert "trait_1: 24 variants in both, correlation of the effects 1.000" in caplog.text


def test_swapped_and_turned_alleles_leave_the_joined_table_as_it_was(elm, tmp_path) -> None:
    plain = read_table(
        write_comparison(GWAS / "log10.trait_1.glm.linear", elm, tmp_path / "a", overwrite=False)
    )
    raw = pd.read_csv(GWAS / "log10.trait_1.glm.linear", sep="\t")
    rng = np.random.default_rng(1)
    frequency = raw["A1_FREQ"]
    told = np.minimum(frequency, 1 - frequency) < 0.42
    swap, turn = rng.random((2, len(raw))) < 0.5
    raw["A1"] = np.where(swap, raw["REF"], raw["ALT"])
    raw["BETA"] *= np.where(swap, -1, 1)
    raw["A1_FREQ"] = np.where(swap, 1 - frequency, frequency)
    for name in ("REF", "ALT", "A1"):
        raw[name] = raw[name].where(~turn, raw[name].map({"A": "T", "T": "A", "C": "G", "G": "C"}))
    raw["ID"] = "."
    raw["#CHROM"] = "chr" + raw["#CHROM"].astype(str)
    raw.iloc[::-1].to_csv(tmp_path / "b.trait_1.glm.linear", sep="\t", index=False)
    turned = read_table(
        write_comparison(tmp_path / "b.trait_1.glm.linear", elm, tmp_path / "b", overwrite=False)
    )
    place = ["chromosome", "base_pair_location"]
    turned["chromosome"] = turned["chromosome"].astype(str).str.removeprefix("chr").astype(int)
    turned, plain = (frame.sort_values(place, ignore_index=True) for frame in (turned, plain))
    palindromic = [
        {*pair} in ({"A", "T"}, {"C", "G"}) for pair in plain[["effect_allele", "other_allele"]].to_numpy()
    ]
    joined = ~np.array(palindromic) | told.to_numpy()
    assert joined.sum() >= 18 and not joined.all()
    sign = np.where(swap, -1, 1)
    numbers = ["elm_beta", "gwas_beta"]
    np.testing.assert_allclose(turned.loc[joined, numbers], plain[joined][numbers].mul(sign[joined], axis=0))
    rest = ["elm_standard_error", "elm_p_value", "gwas_p_value", "n"]
    pd.testing.assert_frame_equal(turned.loc[joined, rest], plain.loc[joined, rest])
    assert turned.loc[~joined, "elm_beta"].isna().all()
    assert turned.loc[~joined, "gwas_alignment"].eq("palindromic").all()


@pytest.mark.parametrize("name", ["plink1.assoc.linear", "regenie_trait_1.regenie", "saige.txt", "bolt.stats",
                                  "gwas_ssf.tsv", "gemma_lm.assoc.txt"])  # fmt: skip
def test_every_layout_joins_by_position_and_alleles(name, scan) -> None:
    joined = foreign_gwas([f"trait_1={GWAS / name}"], scan)
    here = joined["beta"].notna()
    assert joined.loc[joined["trait"] == "trait_2", "gwas_alignment"].eq("absent").all()
    first = joined[joined["trait"] == "trait_1"]
    assert first.loc[first["beta"].isna(), "gwas_alignment"].eq("palindromic").all() and 16 < here.sum() < 24
    if "gemma" not in name:
        np.testing.assert_allclose(joined.loc[here, "beta"], scan.loc[here, "beta"], rtol=1e-3)
    assert np.corrcoef(joined.loc[here, "beta"], scan.loc[here, "beta"])[0, 1] > 0.95
    assert joined[["effect_allele", "variant_id"]].equals(scan[["effect_allele", "variant_id"]])


def test_alleles_that_a_file_lacks_are_filled_and_unsure_ones_left(elm, tmp_path) -> None:
    right = read_table(elm)
    left = read_foreign(f"trait_1={GWAS / 'plink1.qassoc'}", ["trait_1", "trait_2"], "ELM")
    joined = join_variants(left, right, left_name="GWAS", right_name="ELM", strands=True)
    found = joined["elm_beta"].notna()
    assert joined["effect_allele"].notna().equals(found) and 15 < found.sum() < 24
    assert joined.loc[~found, "gwas_alignment"].eq("unnamed").all()
    assert ((joined["gwas_beta"] * joined["elm_beta"])[found] > 0).mean() > 0.8


def test_rows_that_only_one_table_has_are_kept_or_counted(scan, elm, tmp_path, caplog) -> None:
    few = read_table(elm).iloc[:10]
    write_table(few, tmp_path / "few", table="variants")
    with caplog.at_level(logging.INFO, "gp_elm"):
        written = write_comparison(
            GWAS / "saige.txt", tmp_path / "few.parquet", tmp_path / "c", overwrite=False
        )
    joined = read_table(written)
    assert len(joined) == 24 and joined["elm_beta"].notna().sum() == 10
    assert joined["gwas_alignment"].eq("absent").sum() == 14
    assert "14 rows of" in caplog.text
    with caplog.at_level(logging.INFO, "gp_elm"):
        cut = foreign_gwas(GWAS / "log10.*.glm.linear", scan.iloc[:10])
    assert cut["beta"].notna().all()
    assert "38 rows of the GWAS given without a match" in caplog.text


def test_a_trait_that_is_not_ours_is_refused(scan) -> None:
    with pytest.raises(
        InputError, match=r"seems to be 'saige', but those of the cohort are trait_1, trait_2; say wh"
    ):
        foreign_gwas(GWAS / "saige.txt", scan)


def test_another_genome_build_is_said(scan, caplog) -> None:
    foreign_gwas(GWAS / "log10.*.glm.linear", scan.assign(base_pair_location=scan["base_pair_location"] + 7))
    assert "48 of the variants without a match stand in the cohort at another position" in caplog.text


def test_no_flag_calls_a_variant_collinear_that_the_users_gwas_lacks() -> None:
    frame = table(effect_allele_frequency=0.3, gwas_beta=np.nan, gwas_alignment="absent")
    assert variant_flags(frame).tolist() == [None] * 4


def other_program(path: Path, rows: list[tuple[str, str, str | None, float]]) -> Path:
    """GWAS-SSF of one position: identifier, effect allele, other allele, effect."""
    frame = pd.DataFrame(rows, columns=["variant_id", "effect_allele", "other_allele", "beta"])
    frame = frame.assign(chromosome="01", base_pair_location=10, standard_error=0.1, p_value=0.01)
    frame.to_csv(path, sep="\t", index=False)
    return path


@pytest.mark.parametrize(
    ("rows", "effect", "lost"),
    [
        ([("rsOTHER", "A", "G", 5.0), ("a", "A", "G", 1.0)], 1.0, "rsOTHER"),
        ([("x", "T", "C", 5.0), ("y", "A", "G", 1.0)], 1.0, "x"),
        ([("a", "G", None, 5.0), ("a", "A", "G", 1.0), ("a", "C", "G", 7.0)], 1.0, "a"),
        ([("a", "A", None, 5.0), ("a", "G", "A", 1.0), ("a", "C", "A", 7.0)], -1.0, "a"),
    ],
)
def test_the_nearest_of_several_foreign_rows_is_taken_both_ways(rows, effect, lost, tmp_path, caplog) -> None:
    ours = table(effect_allele_frequency=0.3, n=9, beta=0.5, standard_error=1.0, p_value=0.5)
    ours["neg_log_10_p_value"] = 0.3
    path = other_program(tmp_path / "t.tsv", rows)
    found = foreign_gwas(path, ours)
    assert found["beta"].iloc[0] == effect and found["beta"].iloc[1:].isna().all()
    assert f"1 rows name a variant again and are left out ({lost})" in caplog.text
    left = read_foreign(path, ["t"], "ELM")
    joined = join_variants(left, table(elm_beta=2.0), left_name="GWAS", right_name="ELM", strands=True)
    at = [row[3] for row in rows].index(1.0)
    assert joined["elm_beta"].notna().tolist() == [k == at for k in range(len(rows))]
    assert joined.loc[0, "gwas_alignment"] == "repeated"


def test_a_reference_row_of_plink2_joins_no_site_of_several_variants(tmp_path, caplog) -> None:
    ours = table(
        effect_allele=["G", "C", "G", "T"], other_allele=["A", "A", "A", "C"], base_pair_location=[10, 10, 10, 5],
        effect_allele_frequency=0.3, n=9, beta=0.5, standard_error=1.0, p_value=0.5, neg_log_10_p_value=0.3,
    )  # fmt: skip
    header = "#CHROM\tPOS\tID\tREF\tALT\tA1\tTEST\tOBS_CT\tBETA\tSE\tP\tERRCODE\n"
    rows = "".join(
        f"1\t10\trs1\tA\tG,C\t{a}\tADD\t9\t{b}\t.1\t.5\t.\n" for a, b in (("A", 5), ("G", 1), ("C", 2))
    )
    (tmp_path / "x.t.glm.linear").write_text(header + rows)
    with caplog.at_level(logging.INFO, "gp_elm"):
        found = foreign_gwas(tmp_path / "x.t.glm.linear", ours)
    assert found["beta"].iloc[:2].tolist() == [1.0, 2.0]
    assert "1 lack an allele and fit several variants of that position, not joined (rs1)" in caplog.text


def test_an_effect_of_the_network_is_given_to_one_variant() -> None:
    left = table(gwas_beta=1.0, base_pair_location=[10, 10, 10, 5], effect_allele="A", other_allele="G")
    right = left.drop(columns="gwas_beta").assign(elm_beta=[1.0, 2.0, 3.0, 4.0]).iloc[[1, 2, 3]]
    joined = join_variants(left, right, left_name="GWAS", right_name="ELM")
    assert joined["elm_beta"].isna().tolist() == [True, False, False, False]
