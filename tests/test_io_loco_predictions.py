"""REGENIE's predictions are matched by sample id, brought to the trait's units, subtracted by chromosome."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import xarray as xr

from gp_elm.association.linear import linear_scan
from gp_elm.association.offsets import chromosome_rows, loco_offsets
from gp_elm.cohort import open_cohort
from gp_elm.errors import InputError
from gp_elm.io.loco_predictions import loco_files, read_loco

DATA = Path(__file__).parent / "data" / "gwas"
CHROMOSOMES = [str(k) for k in range(1, 24)]


@pytest.fixture(scope="module")
def cohort() -> xr.Dataset:
    return open_cohort(
        bfile=DATA / "cohort",
        pheno=DATA / "traits.tsv",
        covar=DATA / "covariates.tsv",
        traits="trait_1,trait_2",
    )


def names(cohort: xr.Dataset) -> list[str]:
    pairs = zip(cohort["sample_family_id"].values, cohort["sample_id"].values, strict=True)
    return [f"{f}_{s}" for f, s in pairs]


@pytest.fixture
def predictions(cohort, tmp_path) -> tuple[Path, np.ndarray]:
    """REGENIE's files of both traits, samples in another order, and their numbers in the cohort's order."""
    rng = np.random.default_rng(3)
    n = cohort.sizes["samples"]
    values = rng.normal(0, 0.5, (2, 23, n)).round(6)
    ids = np.array(names(cohort))
    order = rng.permutation(n)
    (tmp_path / "step1").mkdir()
    for t in range(2):
        # REGENIE ends each line with a blank
        lines = ["FID_IID " + " ".join([*ids[order], "other_sample"]) + " "]
        lines += [f"{c} {' '.join(map(str, [*values[t, k, order], 9]))} " for k, c in enumerate(CHROMOSOMES)]
        text = "\n".join(lines) + "\n"
        path = tmp_path / "step1" / f"fit_{t + 1}.loco{'.gz' if t else ''}"
        path.write_bytes(gzip.compress(text.encode()) if t else text.encode())
    listed = tmp_path / "step1" / "fit_pred.list"
    listed.write_text("trait_2 fit_2.loco.gz\ntrait_1 /elsewhere/fit_1.loco\nheight fit_1.loco\n")
    return listed, values


def test_samples_are_matched_by_id_and_files_found_beside_the_list(cohort, predictions, caplog) -> None:
    listed, values = predictions
    with caplog.at_level(logging.INFO, "gp_elm"):
        found = read_loco(listed, cohort)
    assert found.dims == ("traits", "chromosomes", "samples")
    assert found["chromosomes"].values.tolist() == CHROMOSOMES
    np.testing.assert_array_equal(found.values, values)
    assert "160 of 160 samples have one, 1 of the file are not in the cohort" in caplog.text
    assert {path.name for path in loco_files(listed)} == {"fit_pred.list", "fit_1.loco", "fit_2.loco.gz"}


@pytest.mark.parametrize("missing", [False, True])
def test_the_scan_with_offsets_is_least_squares_on_the_difference(
    cohort, predictions, missing, caplog
) -> None:
    listed, values = predictions
    if missing:
        path = listed.parent / "fit_1.loco"
        lines = path.read_text().split("\n")
        cells = [line.split() for line in lines]
        for row in cells[1:-1]:
            row[1] = row[5] = "NA"
        path.write_text("\n".join(map(" ".join, cells)))
    offsets = loco_offsets(cohort, listed)
    scan = linear_scan(cohort, offsets=offsets).dataset
    kept = ~np.isnan(offsets.values).any(axis=1)
    assert kept.sum(axis=1).tolist() == ([158, 160] if missing else [160, 160])
    assert ("2 samples have no prediction" in caplog.text) == missing
    dosage = cohort["call_dosage"].values.astype(float)
    contig = cohort["contig_id"].values[cohort["variant_contig"].values]
    covariates = sm.add_constant(cohort["sample_covariate"].values)
    for t in range(2):
        trait = cohort["sample_phenotype"].values[:, t]
        rest = sm.OLS(trait[kept[t]], covariates[kept[t]]).fit()
        scale = np.sqrt(rest.scale)  # REGENIE divides by the residual standard deviation
        for v in range(0, cohort.sizes["variants"], 5):
            y = trait - scale * values[t, int(contig[v]) - 1]
            rows = kept[t] & (dosage[v] >= 0)
            fit = sm.OLS(y[rows], np.column_stack([covariates, dosage[v]])[rows]).fit()
            np.testing.assert_allclose(scan["beta"].values[v, t], fit.params[-1], rtol=1e-9)
            np.testing.assert_allclose(scan["standard_error"].values[v, t], fit.bse[-1], rtol=1e-9)
            np.testing.assert_allclose(scan["p_value"].values[v, t], fit.pvalues[-1], rtol=1e-8)
            assert scan["n"].values[v, t] == rows.sum()


def test_offsets_of_zero_change_nothing_and_blocks_do_not_matter(cohort, predictions) -> None:
    offsets = loco_offsets(cohort, predictions[0])
    nothing = linear_scan(cohort, offsets=offsets * 0).dataset
    xr.testing.assert_allclose(nothing, linear_scan(cohort).dataset, rtol=1e-12)
    whole = linear_scan(cohort, offsets=offsets).dataset
    chunked = cohort.assign(call_dosage=cohort["call_dosage"].chunk({"variants": 3}))
    xr.testing.assert_allclose(linear_scan(chunked, offsets=offsets).dataset, whole, rtol=1e-12)


def test_the_sex_chromosomes_take_row_23_and_an_unknown_one_is_refused(cohort, predictions) -> None:
    offsets = loco_offsets(cohort, predictions[0])
    last = cohort["contig_id"].values[-1]
    renamed = cohort.assign(
        contig_id=("contigs", np.where(cohort["contig_id"] == last, "chrX", cohort["contig_id"]))
    )
    named = offsets.assign_coords(chromosomes=["x" if c == last else c for c in CHROMOSOMES])
    named = named.assign_coords(
        chromosomes=[{"x": "23", "23": last}.get(c, c) for c in named["chromosomes"].values]
    )
    expected = linear_scan(cohort, offsets=offsets).dataset["beta"]
    np.testing.assert_array_equal(linear_scan(renamed, offsets=named).dataset["beta"], expected)
    lacking = cohort.assign(
        contig_id=("contigs", np.where(cohort["contig_id"] == last, "MT", cohort["contig_id"]))
    )
    with pytest.raises(InputError, match="chromosome MT is not in the predictions"):
        linear_scan(lacking, offsets=offsets)
    with pytest.raises(
        InputError, match="expected .traits, chromosomes, samples. with 2 traits and 160 samples"
    ):
        linear_scan(cohort, offsets=offsets[:, :, 1:])


def test_a_case_control_trait_is_refused(predictions) -> None:
    cases = open_cohort(bfile=DATA / "cohort", pheno=DATA / "traits.tsv", traits="cases")
    predictions[0].write_text("cases fit_1.loco\n")
    with pytest.raises(
        InputError, match="trait cases is 0/1; REGENIE predicts such a trait on the logit scale"
    ):
        loco_offsets(cases, predictions[0])


@pytest.mark.parametrize(
    ("listing", "loco", "message"),
    [
        ("", None, "the list is empty"),
        ("trait_1\n", None, r"pred.list:1: 1 words, but a line holds a trait and its .loco file"),
        ("trait_1 absent.loco\n", None, "pred.list:1: absent.loco is not there"),
        ("trait_2 fit_2.loco.gz\n", None, "no line for trait trait_1, only for trait_2"),
        ("trait_1 x\ntrait_1 x\n", "FID_IID a\n1 2\n", "pred.list:2: trait trait_1 stands twice"),
        (None, "IID a\n1 2\n", "x:1: begins with 'IID' instead of FID_IID"),
        (None, "FID_IID a_b\n1 2\n", "x:1: no sample is both here and in the genotypes"),
        (None, "FID_IID F a\n1 2\n", "x:2: 2 words, but the header has 3"),
        (None, "FID_IID F F\n1 2 3\n", "x:1: a sample stands twice"),
        (None, "FID_IID F\n1 z\n", "x:2: a prediction is no number"),
        (None, "FID_IID F\n1 inf\n", "x:2: a prediction is infinite"),
        (None, "FID_IID F\n", "x: a row for each chromosome is expected once"),
        (None, "FID_IID F\n1 NA\n", "x: no sample of the cohort has a prediction"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_in_one_line(cohort, predictions, listing, loco, message) -> None:
    listed = predictions[0]
    listed.write_text(f"trait_1 x\ntrait_2 {listed.parent / 'x'}\n" if listing is None else listing)
    if loco is not None:
        (listed.parent / "x").write_text(
            loco.replace("F", names(cohort)[0]).replace(f"{names(cohort)[0]}ID_IID", "FID_IID")
        )
    with pytest.raises(InputError, match=message) as caught:
        read_loco(listed, cohort)
    assert "\n" not in str(caught.value)


def test_a_prediction_explains_what_the_rest_of_the_genome_does(cohort) -> None:
    rng = np.random.default_rng(1)
    dosage = np.maximum(cohort["call_dosage"].values, 0)
    background = rng.normal(size=cohort.sizes["samples"]) * 3
    trait = pd.DataFrame({"t": dosage[0] * 0.5 + background + rng.normal(size=len(background))})
    noisy = cohort.drop_dims("traits").assign(
        sample_phenotype=(("samples", "traits"), trait.to_numpy()), trait_id=("traits", ["t"])
    )
    shift = xr.DataArray(
        np.broadcast_to(background, (1, 23, len(background))), dims=("traits", "chromosomes", "samples"),
        coords={"chromosomes": CHROMOSOMES},
    )  # fmt: skip
    plain, freed = (linear_scan(noisy, offsets=o).dataset["standard_error"].values for o in (None, shift))
    assert (freed < 0.5 * plain).all()


def rows_of(
    contigs: list[str], last: int, *, ploidy: dict[str, int] | None = None, **attrs: str
) -> list[str]:
    """Names of the rows that the contigs take from predictions of chromosomes 1 to last."""
    names = [str(k) for k in range(1, last + 1)]
    cohort = xr.Dataset(
        {
            "contig_id": ("contigs", contigs),
            "variant_contig": ("variants", np.arange(len(contigs))),
            "variant_ploidy": ("variants", [(ploidy or {}).get(name, 2) for name in contigs]),
        },
        coords={"samples": np.arange(2), "traits": ["t"]},
        attrs=attrs,
    )
    offsets = xr.DataArray(
        np.zeros((1, last, 2)), dims=("traits", "chromosomes", "samples"), coords={"chromosomes": names}
    )
    return [names[k] for k in chromosome_rows(cohort, offsets)]


def test_the_row_of_the_sex_chromosomes_is_the_one_after_the_autosomes() -> None:
    one = {"24": 1, "26": 1}
    assert rows_of(["01", "chr22", "X", "0Y", "PAR1", "XY"], 23) == ["1", "22", "23", "23", "23", "23"]
    assert rows_of(["22", "23", "24", "25"], 23, ploidy=one) == ["22", "23", "23", "23"]
    assert rows_of(["29", "X", "Y", "31"], 30, ploidy={"31": 1}, chr_set="cow") == ["29", "30", "30", "30"]
    with pytest.raises(InputError, match=r"chromosome X is not in the predictions \(1, 2, .*; leave it out"):
        rows_of(["22", "X"], 30)
    for contigs, attrs in ((["22", "24", "25"], {}), (["25"], {"chr_set": "sheep"}), (["24", "29"], {})):
        with pytest.raises(InputError, match="chromosome 2[45] is not in the predictions"):
            rows_of(contigs, 23, **attrs)
