"""Tables of variants are joined by identity: whatever their order, alleles aligned, nothing lost unsaid."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

from gp_elm.compare import add_q_values, join_variants, variant_flags
from gp_elm.errors import InputError


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
