"""Tables on disk: exact, ordered, whole or not there, in bounded memory."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gp_elm.errors import InputError, OptionError, OutputError
from gp_elm.io.arrangement import arrange, natural_rank
from gp_elm.io.columns import PAIRS, SECTIONS, TABLES, VARIANCE, VARIANTS
from gp_elm.io.columns_page import render_tables_page
from gp_elm.io.components import COMPONENTS
from gp_elm.io.tables import read_table, write_table

ROOT = Path(__file__).resolve().parent.parent

DESIGN_VARIANTS = """
trait chromosome base_pair_location variant_id effect_allele other_allele effect_allele_frequency n
missing_rate gwas_beta gwas_standard_error gwas_p_value gwas_neg_log_10_p_value gwas_q_value elm_beta
elm_standard_error elm_p_value elm_neg_log_10_p_value elm_q_value elm_sensitivity_mean elm_sensitivity_sd
elm_dominance elm_dominance_standard_error elm_dominance_p_value context_p_value partner_variant_id
partner_elm_beta partner_elm_p_value annotation flags
""".split()

DESIGN_PAIRS = """
trait variant_id_1 chromosome_1 base_pair_location_1 effect_allele_1 other_allele_1 variant_id_2
chromosome_2 base_pair_location_2 effect_allele_2 other_allele_2 ld_r2 distance n elm_beta
elm_standard_error elm_p_value elm_q_value elm_robust_standard_error elm_robust_p_value scale_p_value
elm_sensitivity_slope interaction_beta
interaction_standard_error interaction_p_value interaction_q_value interaction_residual_beta
interaction_residual_standard_error interaction_residual_p_value interaction_residual_q_value
conditional_beta conditional_standard_error conditional_p_value heldout_n heldout_interaction_beta
heldout_interaction_standard_error heldout_interaction_p_value heldout_elm_beta
heldout_elm_standard_error heldout_elm_p_value verdict heldout_power genotypic_p_value elm_rank prior_rank
elm_weighted_q_value selected_by flags
""".split()

DESIGN_VARIANCE = ["trait", "component", "estimate", "standard_error", "ci_lower", "ci_upper", "method"]


def test_columns_and_their_order():
    assert [column.name for column in VARIANTS] == DESIGN_VARIANTS
    assert [column.name for column in PAIRS] == DESIGN_PAIRS
    assert [
        column.name for column in VARIANCE
    ] == "trait component estimate standard_error ci_lower ci_upper method".split()


def test_every_column_is_documented():
    sections = {""} | set(SECTIONS)
    for column in (column for columns in TABLES.values() for column in columns):
        assert column.doc and column.dtype in ("string", "float64", "int64", "Int64")
        assert set(column.section.split(", ")) <= sections
    empty = {column.name for columns in TABLES.values() for column in columns if not column.filled}
    assert empty == {"annotation"}
    assert {"phenotypic_variance", "heldout_r2_difference", "structure_h"} <= set(COMPONENTS)


def test_reference_page_is_up_to_date():
    page = (ROOT / "docs" / "reference" / "tables.md").read_text()
    assert page == render_tables_page(), "run: python -m gp_elm.io.columns_page > docs/reference/tables.md"


def test_arrange_orders_types_and_sorts():
    frame = pd.DataFrame(
        {
            "gwas_beta": [1, 2, 3, 4],
            "mine": list("abcd"),
            "chromosome": ["X", "10", "2", "2"],
            "base_pair_location": [5, 5, 9, 7.0],
            "trait": ["t10", "t2", "t2", "t2"],
            "n": [4, 3, 2, 1],
        }
    )
    arranged = arrange(frame, "variants")
    assert list(arranged.columns) == [*DESIGN_VARIANTS, "mine"]
    assert list(arranged["mine"]) == ["d", "c", "b", "a"]
    assert arranged["gwas_beta"].dtype == np.float64 and arranged["base_pair_location"].dtype == np.int64
    assert arranged["context_p_value"].isna().all() and arranged["context_p_value"].dtype == np.float64
    assert list(frame["mine"]) == list("abcd")


def test_pairs_are_sorted_by_p_value_with_missing_last():
    frame = pd.DataFrame(
        {
            "trait": ["b", "b", "b", "a"],
            "variant_id_1": ["rs10", "rs9", "rs1", "rs1"],
            "elm_p_value": [0.5, 0.5, np.nan, 0.9],
            "base_pair_location_1": 1,
            "base_pair_location_2": 1,
            "n": 10,
        }
    )
    arranged = arrange(frame, "pairs")
    assert list(arranged["variant_id_1"]) == ["rs1", "rs9", "rs10", "rs1"]
    assert str(arranged["elm_rank"].dtype) == "Int64"


def test_variance_keeps_its_order():
    frame = pd.DataFrame({"trait": ["b", "a"], "component": ["x", "y"], "estimate": [1, None]})
    assert list(arrange(frame, "variance")["trait"]) == ["b", "a"]


def test_wrong_type_names_the_column():
    with pytest.raises(OutputError, match="column n does not hold Int64"):
        arrange(pd.DataFrame({"base_pair_location": [1], "n": ["many"]}), "variants")
    with pytest.raises(
        OutputError, match="variants table has no column base_pair_location, which cannot be NA"
    ):
        arrange(pd.DataFrame({"n": [1]}), "variants")
    with pytest.raises(
        OptionError, match="no table 'genes'; choose one of variants, pairs, ablation, variance"
    ):
        arrange(pd.DataFrame(), "genes")


def test_natural_rank():
    names = pd.Series(["chrX", "chr10", "2", "chr1", "MT", None, "2", "I", "0"])
    order = [names[k] for k in np.argsort(natural_rank(names), kind="stable")]
    assert order == ["0", "chr1", "2", "2", "chr10", "I", "MT", "chrX", None]


def example_frame():
    return pd.DataFrame(
        {
            "name": ["rs1", None, "a b", '"quoted"', "é", ""],
            "beta": [0.1, np.nan, 1e-300, -1 / 3, 5e-324, 1.7976931348623157e308],
            "n": [1, 2, 3, 4, 5, 2**60],
            "rank": pd.array([1, None, 3, 4, 5, 2**53 + 1], dtype="Int64"),
            "kept": [True, False, True, True, False, True],
        }
    )


@pytest.mark.parametrize("suffix", [".tsv", ".tsv.gz", ".parquet"])
def test_round_trip(tmp_path, suffix):
    frame = example_frame()
    written = write_table(frame, tmp_path / "t.1", compress=suffix != ".tsv")
    assert (tmp_path / f"t.1{suffix}") in written and all(path.exists() for path in written)
    pd.testing.assert_frame_equal(read_table(tmp_path / f"t.1{suffix}"), frame, check_exact=True)


def test_text_of_a_tsv(tmp_path):
    frame = pd.DataFrame({"a": ["x", None], "b": [0.5, np.nan], "c": pd.array([None, 7], dtype="Int64")})
    write_table(frame, tmp_path / "t", compress=False, parquet=False)
    assert (tmp_path / "t.tsv").read_text() == "a\tb\tc\nx\t0.5\tNA\nNA\tNA\t7\n"
    # what most users read it with
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "t.tsv", sep="\t"), frame.assign(c=[np.nan, 7.0]).replace({None: np.nan})
    )


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=20))
def test_every_float_survives(tmp_path_factory, values):
    base = tmp_path_factory.getbasetemp() / "floats"
    write_table(pd.DataFrame({"x": values}), base, compress=False, parquet=False)
    np.testing.assert_array_equal(
        pd.read_csv(f"{base}.tsv", sep="\t", float_precision="round_trip")["x"], values
    )
    read = read_table(f"{base}.tsv")["x"].to_numpy(float)
    np.testing.assert_array_equal(read, values)
    np.testing.assert_array_equal(np.signbit(read), np.signbit(np.where(np.isnan(values), read, values)))


def test_same_table_same_bytes_and_pieces_change_nothing(tmp_path, monkeypatch):
    frame = example_frame()
    write_table(frame, tmp_path / "whole")
    monkeypatch.setattr("gp_elm.io.tables.ROWS_AT_A_TIME", 4)
    write_table((frame.iloc[[k]] for k in range(len(frame))), tmp_path / "pieces")
    write_table(frame, tmp_path / "again")
    write_table(frame, tmp_path / "once_more")
    assert (tmp_path / "again.tsv.gz").read_bytes() == (tmp_path / "once_more.tsv.gz").read_bytes()
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "once_more.parquet").read_bytes()
    texts = {gzip.open(tmp_path / f"{name}.tsv.gz").read() for name in ("whole", "pieces", "again")}
    assert len(texts) == 1
    pd.testing.assert_frame_equal(read_table(tmp_path / "pieces.parquet"), frame, check_exact=True)


def test_piece_of_missing_values_first(tmp_path):
    pieces = [pd.DataFrame({"flags": [None], "n": [1]}), pd.DataFrame({"flags": ["rare"], "n": [2]})]
    write_table(pieces, tmp_path / "t")
    assert list(read_table(tmp_path / "t.parquet")["flags"]) == [None, "rare"]


def test_empty_table_keeps_its_columns(tmp_path):
    empty = arrange(pd.DataFrame({name: [] for name in DESIGN_PAIRS}), "pairs")
    write_table(empty, tmp_path / "pairs", table="pairs")
    for suffix in (".tsv.gz", ".parquet"):
        read = read_table(tmp_path / f"pairs{suffix}", table="pairs")
        assert list(read.columns) == DESIGN_PAIRS and len(read) == 0
        pd.testing.assert_series_equal(read.dtypes, empty.dtypes)


def test_result_table_round_trips_with_its_types(tmp_path):
    frame = pd.DataFrame(
        {"trait": "t", "chromosome": ["1", "2"], "base_pair_location": [1, 2], "n": 5, "variant_id": "7"}
    )
    arranged = arrange(frame, "variants")
    write_table(arranged, tmp_path / "v", table="variants")
    for suffix in (".tsv.gz", ".parquet"):
        pd.testing.assert_frame_equal(
            read_table(tmp_path / f"v{suffix}", table="variants"), arranged, check_exact=True
        )


def test_tab_in_a_name_leaves_nothing_behind(tmp_path):
    with pytest.raises(OutputError, match=r"t\.tsv\.gz: column name holds 'a\\tb', with a tab"):
        write_table(pd.DataFrame({"name": ["ok", "a\tb"]}), tmp_path / "t")
    assert os.listdir(tmp_path) == []


def test_mixed_column(tmp_path):
    with pytest.raises(OutputError, match=r"t: column x does not hold string throughout"):
        write_table(pd.DataFrame({"x": ["a", 1]}), tmp_path / "t")
    assert os.listdir(tmp_path) == []


def test_unreadable_table(tmp_path):
    with pytest.raises(InputError, match=r"none\.tsv: cannot be read as a table"):
        read_table(tmp_path / "none.tsv")
    (tmp_path / "bad.tsv").write_text("n\nmany\n")
    with pytest.raises(
        InputError, match=r"bad\.tsv: cannot be read as a table .*give a file that gp-elm wrote"
    ):
        read_table(tmp_path / "bad.tsv", table="variants")


def test_no_file_asked_for(tmp_path):
    with pytest.raises(OptionError, match="neither as TSV nor as Parquet"):
        write_table(example_frame(), tmp_path / "t", tsv=False, parquet=False)


MEMORY = """
import resource, sys
import numpy as np, pandas as pd
from gp_elm.io.tables import write_table

def pieces(count):
    rng = np.random.default_rng(1)
    for k in range(count):
        numbers = {f"x{c}": rng.standard_normal(50_000) for c in range(8)}
        yield pd.DataFrame(numbers | {"id": [f"rs{i}" for i in range(50_000)]})

write_table(pieces(2), sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write_table(pieces(12), sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_rows(tmp_path):
    answer = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "t")], capture_output=True, text=True, check=True
    )
    unit = 1024 if sys.platform != "darwin" else 1
    assert int(answer.stdout) * unit < 40e6
