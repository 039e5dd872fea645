"""A finished run asked again: pairs of one's own, without training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gp_elm.cli import main
from gp_elm.errors import InputError
from gp_elm.io.tables import read_table
from gp_elm.pipeline import run_listed
from gp_elm.run_options import RunOptions
from gp_elm.simulate import simulate


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Folder of a finished run of 12 variants, whose pairs are all listed."""
    folder = tmp_path_factory.mktemp("listed")
    simulate(
        folder / "c", n_samples=200, n_variants=12, block_variants=1, n_traits=1, n_additive=3, n_pairs=1,
        additive_by_additive_variance=0.2, additive_variance=0.3, seed=2,
    )  # fmt: skip
    given = ["--bfile", f"{folder}/c", "--pheno", f"{folder}/c.pheno.tsv", "--epochs", "2", "--folds", "2"]
    with pytest.raises(SystemExit):
        main(["run", *given, "--quiet", "--top-pairs", "66", "--out", f"{folder}/run"])
    return folder / "run"


def write_list(path: Path, pairs: list[tuple[str, str]]) -> Path:
    path.write_text("variant_id_1,variant_id_2\n" + "\n".join(",".join(pair) for pair in pairs) + "\n")
    return path


def test_listed_pairs_have_the_rows_of_the_run(finished: Path, tmp_path: Path) -> None:
    whole = read_table(finished / "pairs.parquet").head(4)
    pairs = list(zip(whole["variant_id_1"], whole["variant_id_2"], strict=True))
    stamps = {path: path.stat().st_mtime_ns for path in (finished / "work").rglob("*.safetensors")}
    written = run_listed(finished, write_list(tmp_path / "list.csv", pairs))
    found = read_table(written).set_index(["variant_id_1", "variant_id_2"]).loc[pairs]
    for column in (
        "elm_beta",
        "elm_standard_error",
        "interaction_p_value",
        "heldout_elm_p_value",
        "elm_q_value",
    ):
        np.testing.assert_allclose(found[column], whole[column], rtol=1e-9, err_msg=column)
    assert set(found["selected_by"]) == {"listed"}
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}


def test_what_a_list_cannot_be_tested_with(finished: Path, tmp_path: Path) -> None:
    good = write_list(tmp_path / "list.csv", [("v01", "v02")])
    with pytest.raises(InputError, match="no record of a finished run"):
        run_listed(tmp_path, good)
    with pytest.raises(InputError, match="variant 'nobody' of the pairs is not in the cohort"):
        run_listed(finished, write_list(tmp_path / "other.csv", [("v01", "nobody")]))


def test_a_run_whose_input_is_gone(finished: Path) -> None:
    bed = finished.parent / "c.bed"
    bed.rename(bed.with_suffix(".away"))
    try:
        with pytest.raises(InputError, match="the run read bed .*c.bed, which is not there; put it back"):
            RunOptions.of_folder(finished)
    finally:
        bed.with_suffix(".away").rename(bed)
