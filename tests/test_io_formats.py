"""One cohort written by PLINK 2 in every format (tests/data/formats/make.py): the same variants and results."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gp_elm.association.linear import linear_scan
from gp_elm.genotypes.frequencies import variant_statistics
from gp_elm.io.bgen import read_bgen
from gp_elm.io.pgen import read_pgen
from gp_elm.io.plink import read_plink
from gp_elm.sample_tables import add_covariates, add_phenotypes
from gp_elm.schema import check_cohort

DATA = Path(__file__).parent / "data" / "formats"
ZSTD_PVAR = DATA / "zipped.pvar.zst"


def _bgen(name: str, reference: str = "first", **options: object) -> xr.Dataset:
    return read_bgen(DATA / f"{name}.bgen", sample=DATA / f"{name}.sample", reference=reference, **options)


def _vcf(name: str, tmp: Path, **options: object) -> xr.Dataset:
    if importlib.util.find_spec("gp_elm.io.vcf") is None:
        pytest.skip("no VCF reader")
    from gp_elm.io.vcf import read_vcf

    return read_vcf(DATA / name, store=tmp / "store", **options)


CALLS: dict[str, Callable[[Path], xr.Dataset]] = {
    "pgen": lambda tmp: read_pgen(DATA / "calls"),
    "pgen, dosages": lambda tmp: read_pgen(DATA / "calls", dosages=True),
    "pvar.zst": lambda tmp: read_pgen(DATA / "calls", pvar=ZSTD_PVAR),
    "pgen with bim and fam": lambda tmp: read_pgen(
        pgen=DATA / "calls.pgen", pvar=DATA / "calls.bim", psam=DATA / "calls.fam"
    ),
    "bgen 1.1": lambda tmp: _bgen("calls11", "last"),
    "bgen 1.2, REF last": lambda tmp: _bgen("calls_last", "last", dosages=False),
    "bgen 1.2, 16 bits": lambda tmp: _bgen("calls16"),
    "bgen 1.3, 8 bits": lambda tmp: _bgen("calls8"),
    "bgen 1.3, hard calls": lambda tmp: _bgen("calls8", dosages=False),
    "vcf": lambda tmp: _vcf("calls.vcf", tmp),
    "vcf.gz": lambda tmp: _vcf("calls.vcf.gz", tmp),
    "bcf": lambda tmp: _vcf("calls.bcf", tmp),
}

DOSAGES: dict[str, tuple[float, Callable[[Path], xr.Dataset]]] = {
    # half of the last step that the file carries, for two copies
    "pgen": (0, lambda tmp: read_pgen(DATA / "dosages", dosages=True)),
    "bgen 1.2, 16 bits": (2 / 65535, lambda tmp: _bgen("dosages16")),
    "bgen 1.3, 8 bits": (2 / 255, lambda tmp: _bgen("dosages8")),
    "vcf": (5e-5, lambda tmp: _vcf("dosages.vcf", tmp, field="DS")),
}


def copies(cohort: xr.Dataset) -> np.ndarray:
    values = cohort["call_dosage"].to_numpy().astype(np.float64)
    return np.where(values < 0, np.nan, values)


def traw(name: str) -> np.ndarray:
    """Copies of ALT as PLINK 2 reads them, in its steps of 1/16384."""
    table = pd.read_csv(DATA / f"{name}.traw", sep="\t")
    counted = table.iloc[:, 6:].to_numpy(np.float64)
    return np.rint((2 - counted) * 16384) / 16384


def scan(cohort: xr.Dataset) -> pd.DataFrame:
    with_trait = add_phenotypes(cohort, DATA / "trait.tsv")
    return linear_scan(add_covariates(with_trait, DATA / "covariate.tsv")).to_frame()


def check_identity(cohort: xr.Dataset, expected: xr.Dataset) -> None:
    check_cohort(cohort)
    for name in (
        "variant_id",
        "variant_position",
        "variant_effect_allele",
        "variant_other_allele",
        "sample_id",
    ):
        assert cohort[name].to_numpy().tolist() == expected[name].to_numpy().tolist(), name
    contigs = [c["contig_id"].to_numpy()[c["variant_contig"].to_numpy()].tolist() for c in (cohort, expected)]
    assert contigs[0] == contigs[1]


@pytest.mark.parametrize("kind", CALLS)
def test_hard_calls_are_the_same_from_every_format(kind: str, tmp_path: Path) -> None:
    bed, cohort = read_plink(DATA / "calls"), CALLS[kind](tmp_path)
    check_identity(cohort, bed)
    np.testing.assert_array_equal(copies(cohort), copies(bed))
    np.testing.assert_array_equal(copies(cohort), traw("calls"))
    if not kind.startswith(("vcf", "bcf")):
        np.testing.assert_array_equal(cohort["sample_sex"], bed["sample_sex"])
    found, expected = variant_statistics(cohort), variant_statistics(bed)
    for name in vars(expected):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    pd.testing.assert_frame_equal(scan(cohort), scan(bed), check_exact=cohort["call_dosage"].dtype == np.int8)


@pytest.mark.parametrize("kind", DOSAGES)
def test_dosages_are_the_same_to_the_last_digit_of_the_format(kind: str, tmp_path: Path) -> None:
    step, read = DOSAGES[kind]
    cohort, truth = read(tmp_path), traw("dosages")
    check_identity(cohort, read_plink(DATA / "calls"))
    assert cohort["call_dosage"].dtype == np.float32
    np.testing.assert_array_equal(np.isnan(copies(cohort)), np.isnan(truth))
    np.testing.assert_allclose(copies(cohort), truth, rtol=0, atol=step)
    check_glm(scan(cohort), "dosages", 1e-5 if step < 1e-3 else 0.05)


@pytest.mark.parametrize("bits", [8, 16])
def test_bgen_dosages_are_those_that_plink_imports(bits: int) -> None:
    # PLINK 2 rounds to 1/16384 on import, and once more to the shortest decimals within half of that on export
    values = copies(_bgen(f"dosages{bits}"))
    np.testing.assert_allclose(values, traw(f"dosages{bits}"), rtol=0, atol=1 / 16384)


def check_glm(table: pd.DataFrame, name: str, tolerance: float) -> None:
    """Compare with plink2 --glm, whose A1 may be REF and whose numbers have six digits."""
    glm = pd.read_csv(DATA / f"{name}.height.glm.linear", sep="\t").rename(columns={"#CHROM": "CHROM"})
    mine = table.set_index("base_pair_location").loc[glm["POS"]]
    sign = np.where(glm["A1"] == glm["ALT"], 1, -1)
    np.testing.assert_allclose(mine["beta"], glm["BETA"] * sign, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(mine["standard_error"], glm["SE"], rtol=tolerance)
    np.testing.assert_allclose(mine["p_value"], glm["P"], rtol=10 * tolerance)
    assert (mine["n"].to_numpy() == glm["OBS_CT"]).all()
    frequency = np.where(sign == 1, glm["A1_FREQ"], 1 - glm["A1_FREQ"])
    np.testing.assert_allclose(mine["effect_allele_frequency"], frequency, atol=max(tolerance, 2e-6))


def test_the_scan_of_the_hard_calls_is_that_of_plink() -> None:
    check_glm(scan(read_pgen(DATA / "calls")), "calls", 1e-5)
