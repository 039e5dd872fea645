"""Other programs' results are read by their header: effect allele, log odds, errors and p-values of any size."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from gp_elm.association.linear import linear_scan
from gp_elm.cohort import open_cohort
from gp_elm.errors import InputError
from gp_elm.io.gwas_results import COLUMNS, gwas_files, is_foreign, read_gwas

DATA = Path(__file__).parent / "data" / "gwas"
NUMBERS = ["gwas_beta", "gwas_standard_error", "gwas_neg_log_10_p_value"]


def our_scan(covariates: bool = True, **options) -> pd.DataFrame:
    cohort = open_cohort(
        bfile=DATA / "cohort", pheno=DATA / "traits.tsv",
        covar=DATA / "covariates.tsv" if covariates else None, **options,
    )  # fmt: skip
    return linear_scan(cohort).to_frame()


def towards(frame: pd.DataFrame, scan: pd.DataFrame) -> np.ndarray:
    """Effects per copy of the scan's effect allele, rows matched by identifier."""
    assert frame["variant_id"].tolist() == scan["variant_id"].tolist()
    return frame["gwas_beta"] * np.where(frame["effect_allele"] == scan["effect_allele"].to_numpy(), 1, -1)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["default", "log10"])
def test_plink2_gives_the_rows_of_our_scan_to_its_digits(name) -> None:
    frame = read_gwas(DATA / f"{name}.*.glm.linear")
    scan = our_scan(traits="trait_1,trait_2")
    assert list(frame.columns) == list(COLUMNS)
    assert frame["trait"].unique().tolist() == ["trait_1", "trait_2"]
    np.testing.assert_allclose(towards(frame, scan), scan["beta"], rtol=2e-5)
    np.testing.assert_allclose(frame["gwas_standard_error"], scan["standard_error"], rtol=1e-5)
    np.testing.assert_allclose(frame["gwas_p_value"], scan["p_value"], rtol=2e-5)
    np.testing.assert_allclose(
        frame["gwas_neg_log_10_p_value"], scan["neg_log_10_p_value"], rtol=2e-5, atol=1e-5
    )
    assert frame["n"].tolist() == scan["n"].tolist()
    alleles = [set(pair) for pair in scan[["effect_allele", "other_allele"]].to_numpy()]
    assert [set(pair) for pair in frame[["effect_allele", "other_allele"]].to_numpy()] == alleles
    minor = frame["effect_allele"].to_numpy() != scan["effect_allele"].to_numpy()
    assert minor.any() == (name == "default")  # A1 is the minor allele there, ALT with omit-ref


def test_additive_rows_alone_are_taken(caplog) -> None:
    with caplog.at_level(logging.INFO, "gp_elm"):
        frame = read_gwas(DATA / "genotypic.trait_1.glm.linear")
    raw = pd.read_csv(DATA / "genotypic.trait_1.glm.linear", sep="\t")
    np.testing.assert_allclose(frame["gwas_beta"], raw.loc[raw["TEST"] == "ADD", "BETA"])
    assert "48 rows of other tests left out" in caplog.text and "dominance term" in caplog.text


def test_odds_ratios_become_log_odds_with_the_error_of_the_log() -> None:
    frame = read_gwas(DATA / "plink2.cases.glm.logistic.hybrid")
    raw = pd.read_csv(DATA / "plink2.cases.glm.logistic.hybrid", sep="\t")
    np.testing.assert_allclose(frame["gwas_beta"], np.log(raw["OR"]))
    np.testing.assert_array_equal(frame["gwas_standard_error"], raw["LOG(OR)_SE"])
    np.testing.assert_allclose(
        frame["gwas_beta"] / frame["gwas_standard_error"], raw["Z_STAT"], rtol=1e-4, atol=1e-4
    )
    assert frame["trait"].unique().tolist() == ["cases"]


def test_plink1_gives_the_same_effects_and_its_errors_from_the_statistic() -> None:
    frame = read_gwas(f"trait_1={DATA / 'plink1.assoc.linear'}")
    scan = our_scan(traits="trait_1")
    np.testing.assert_allclose(towards(frame, scan), scan["beta"], rtol=1e-3)
    np.testing.assert_allclose(frame["gwas_standard_error"], scan["standard_error"], rtol=5e-3)
    np.testing.assert_array_equal(frame["n"], scan["n"])
    assert frame["other_allele"].isna().all() and frame["trait"].eq("trait_1").all()
    reported = read_gwas(DATA / "plink1_ci.assoc.linear")
    np.testing.assert_allclose(frame["gwas_standard_error"], reported["gwas_standard_error"], rtol=5e-3)


def test_plink1_case_control_and_quantitative_association(caplog) -> None:
    logistic = read_gwas(DATA / "plink1.assoc.logistic")
    case_control = read_gwas(DATA / "plink1.assoc")
    np.testing.assert_allclose(case_control["gwas_beta"], logistic["gwas_beta"], atol=0.15)
    np.testing.assert_allclose(case_control["gwas_standard_error"], logistic["gwas_standard_error"], rtol=0.2)
    assert not case_control["other_allele"].isna().any()
    quantitative = read_gwas(DATA / "plink1.qassoc")
    scan = our_scan(covariates=False, traits="trait_1")
    np.testing.assert_allclose(quantitative["gwas_beta"].abs(), scan["beta"].abs(), rtol=1e-3)
    assert quantitative["effect_allele"].isna().all()
    assert "names no effect allele" in caplog.text


@pytest.mark.parametrize("name", ["regenie_trait_1.regenie", "saige.txt", "bolt.stats", "gwas_ssf.tsv"])
def test_the_same_results_in_another_layout_are_the_same_rows(name) -> None:
    expected = read_gwas(DATA / "log10.trait_1.glm.linear")
    frame = read_gwas(DATA / name, traits=["trait_1"])
    identity = ["trait", "chromosome", "base_pair_location", "variant_id", "effect_allele", "other_allele"]
    pd.testing.assert_frame_equal(frame[identity], expected[identity])
    numbers = [*NUMBERS, "gwas_p_value", "effect_allele_frequency"]
    np.testing.assert_allclose(frame[numbers], expected[numbers], rtol=2e-5, atol=1e-6)
    if "bolt" not in name:
        assert frame["n"].tolist() == expected["n"].tolist()


@pytest.mark.parametrize("name", ["gemma_lm", "gemma_lmm"])
def test_gemma_counts_allele1(name) -> None:
    frame = read_gwas(DATA / f"{name}.assoc.txt")
    raw = pd.read_csv(DATA / f"{name}.assoc.txt", sep="\t")
    np.testing.assert_array_equal(frame["gwas_beta"], raw["beta"])
    np.testing.assert_array_equal(frame["gwas_p_value"], raw["p_wald"])
    scan = our_scan(covariates=False, traits="trait_1")
    # GEMMA puts the mean where a call is missing
    assert np.corrcoef(towards(frame, scan), scan["beta"])[0, 1] > 0.999
    assert frame["n"].isna().all() == (name == "gemma_lmm")


def test_omitted_alleles_and_multi_allelic_sites_of_plink2(tmp_path) -> None:
    header = "#CHROM\tPOS\tID\tREF\tALT\tA1\tTEST\tOBS_CT\tBETA\tSE\tP\tERRCODE"
    rows = ["1\t5\ta\tC\tA,T\tA", "1\t5\ta\tC\tA,T\tT", "1\t6\tb\tC\tA,T\tC", "1\t7\tc\tC\tA\tC"]
    path = write(tmp_path / "x.t.glm.linear", header, *(f"{row}\tADD\t9\t.1\t.1\t.5\t." for row in rows))
    assert read_gwas(path)["other_allele"].tolist() == ["C", "C", None, "A"]
    given = write(
        tmp_path / "y.t.glm.linear", header.replace("A1", "A1\tOMITTED"),
        *(f"{row}\tG\tADD\t9\t.1\t.1\t.5\t." for row in rows),
    )  # fmt: skip
    assert read_gwas(given)["other_allele"].tolist() == ["G"] * 4


def test_p_values_below_the_smallest_number_keep_their_logarithm(tmp_path) -> None:
    path = write(
        tmp_path / "own.tsv",
        "chromosome\tbase_pair_location\teffect_allele\tother_allele\tbeta\tstandard_error\tp_value",
        "1\t1\tA\tC\t1\t0.1\t1.5e-400",
        "1\t2\tA\tC\t40\t1\t0",
        "1\t3\tA\tC\t#NA\t#NA\t#NA",
        "1\t4\tA\tC\t1\t1\t1e-310",
        "1\t5\tA\tC\t0\t1\t1",
    )
    frame = read_gwas(path)
    expected = [400 - np.log10(1.5), -(norm.logsf(40) + np.log(2)) / np.log(10), np.nan, 310, 0]
    np.testing.assert_allclose(frame["gwas_neg_log_10_p_value"], expected, rtol=1e-5)
    assert frame["gwas_p_value"].iloc[0] == 0 and np.isnan(frame["gwas_p_value"].iloc[2])


def test_compressed_files_blanks_and_comments_read_the_same(tmp_path) -> None:
    plain = (DATA / "default.trait_1.glm.linear").read_bytes()
    expected = read_gwas(DATA / "default.trait_1.glm.linear")
    middle = plain.index(b"\n", len(plain) // 2) + 1
    # bgzip writes several gzip members, one after the other
    (tmp_path / "a.trait_1.glm.linear.gz").write_bytes(
        gzip.compress(plain[:middle]) + gzip.compress(plain[middle:])
    )
    (tmp_path / "b.trait_1.glm.linear").write_bytes(
        b"##note\n" + plain.replace(b"\t", b"   ").replace(b"\n", b" \r\n")
    )
    import pyarrow as pa

    with pa.output_stream(str(tmp_path / "c.trait_1.glm.linear.zst"), compression="zstd") as packed:
        packed.write(plain)
    for file in sorted(tmp_path.iterdir()):
        pd.testing.assert_frame_equal(read_gwas(file), expected)


def test_the_trait_is_found_in_a_column_or_the_name() -> None:
    named = read_gwas(DATA / "regenie_trait_1.regenie", traits=["trait_1", "trait_2", "1"])
    assert named["trait"].unique().tolist() == ["trait_1"]
    assert read_gwas(DATA / "saige.txt", traits=["height"])["trait"].unique().tolist() == ["height"]
    assert read_gwas(DATA / "saige.txt")["trait"].unique().tolist() == ["saige"]
    assert gwas_files([f"x={DATA / 'saige.txt'}"]) == [(DATA / "saige.txt", "x")]


def test_tables_of_ours_are_told_from_others(tmp_path) -> None:
    own = write(
        tmp_path / "variants.tsv", "trait\tvariant_id\teffect_allele\tmissing_rate\telm_beta", "t\ta\tA\t0\t1"
    )
    assert not is_foreign(own)
    assert is_foreign(DATA / "plink1.qassoc")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["SNP EFFECT WHAT", "a 1 2"], r"the header 'SNP EFFECT WHAT' is of no .* PLINK 2 --glm, .* GWAS-SSF"),
        ([""], "the file is empty"),
        (["CHR SNP BP A1 TEST NMISS BETA STAT P"], "there is a header but no row"),
        (["CHR SNP BP A1 TEST NMISS BETA STAT P", "1 a 5 A ADD 9 .1 2"], "a line is broken .*9 columns, got 8"),
        (["CHR SNP BP A1 TEST NMISS BETA STAT P", "1 a 5 A DOM 9 .1 2 .5"], "no row has TEST ADD .there is DOM."),
        (["CHR SNP BP A1 TEST NMISS BETA STAT P", "1 a 5 A ADD 9 x 2 .5"], "bad:2: beta is 'x', which is no number"),
        (["CHR SNP BP A1 TEST NMISS BETA STAT P", "1 a 5 A ADD 9 .1 2 5"], "bad:2: the p-value is not between"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_in_one_line(tmp_path, lines, message) -> None:
    path = write(tmp_path / "bad", *lines)
    with pytest.raises(InputError, match=message) as caught:
        read_gwas(path)
    assert "\n" not in str(caught.value)


def test_binary_broken_and_missing_files_are_refused(tmp_path) -> None:
    (tmp_path / "a").write_bytes(bytes(range(128, 256)) * 50)
    (tmp_path / "b.gz").write_bytes(gzip.compress((DATA / "saige.txt").read_bytes())[:300])
    for path in (tmp_path / "a", tmp_path / "b.gz", tmp_path / "absent"):
        with pytest.raises(InputError, match=path.name):
            read_gwas(path)
    with pytest.raises(InputError, match="trait t stands already in"):
        read_gwas([f"t={DATA / 'saige.txt'}", f"t={DATA / 'bolt.stats'}"])


def test_a_traits_name_and_a_files_may_hold_an_equals_sign(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x.tsv", "a=b.tsv"):
        (tmp_path / name).write_bytes((DATA / "saige.txt").read_bytes())
    given = ["height=cm=x.tsv", "a=b.tsv", "h=a=b.tsv", "=x.tsv"]
    expected = [("x.tsv", "height=cm"), ("a=b.tsv", None), ("a=b.tsv", "h"), ("x.tsv", "")]
    assert gwas_files(given) == [(Path(file), trait) for file, trait in expected]
    assert read_gwas("height=cm=x.tsv")["trait"].unique().tolist() == ["height=cm"]
    with pytest.raises(InputError, match="height=cm=absent: no such file of association results"):
        gwas_files("height=cm=absent")
