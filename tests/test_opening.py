"""One door for every kind of genotypes: what it refuses, and which files a result depends on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from gp_elm.classical import write_cohort, write_interactions
from gp_elm.errors import OptionError, OutputError
from gp_elm.io.converted import source_fingerprint
from gp_elm.io.tables import read_table
from gp_elm.opening import genotype_files, open_genotypes
from gp_elm.run_options import RunOptions

FORMATS = Path(__file__).parent / "data" / "formats"


@pytest.mark.parametrize("option", ["bgen", "source"])
def test_the_sample_file_beside_a_bgen_without_ids_is_an_input(option: str, tmp_path: Path) -> None:
    for name in ("calls11.bgen", "calls11.sample", "calls8.bgen"):
        shutil.copy(FORMATS / name, tmp_path / name)
    files = genotype_files({option: tmp_path / "calls11.bgen"})
    assert files["sample"] == tmp_path / "calls11.sample"
    with_ids = genotype_files({option: tmp_path / "calls8.bgen"})
    assert "sample" not in with_ids


def test_options_that_do_not_belong_to_the_source_are_refused(tmp_path: Path) -> None:
    cohort = open_genotypes(bfile=FORMATS / "calls")
    path = write_cohort(
        {"bfile": FORMATS / "calls", "pheno": FORMATS / "trait.tsv"}, tmp_path, overwrite=False
    )
    for source in (cohort, path):
        with pytest.raises(OptionError, match="--regions goes with --vcf, which is not given"):
            open_genotypes(source, regions="1:1-2000")
        with pytest.raises(OptionError, match="--sample goes with --bgen"):
            open_genotypes(source, sample="nothere")
        with pytest.raises(OptionError, match="--dosages goes with --vcf, --pfile, --bgen or VCF Zarr"):
            open_genotypes(source, dosages=True)
    with pytest.raises(OptionError, match="--bfile and --vcf are both given"):
        open_genotypes(bfile=FORMATS / "calls", vcf=FORMATS / "calls.vcf")


def test_a_cohort_is_not_converted_onto_itself(tmp_path: Path) -> None:
    path = write_cohort(
        {"bfile": FORMATS / "calls", "pheno": FORMATS / "trait.tsv"}, tmp_path, overwrite=False
    )
    before = path.read_bytes()
    with pytest.raises(OutputError, match="the genotypes are read from there"):
        write_cohort({"source": path, "maf": 0.3}, tmp_path, overwrite=True)
    assert path.read_bytes() == before


def test_a_run_takes_a_gwas_or_predictions_for_its_own() -> None:
    with pytest.raises(OptionError, match="--gwas and --pred are both given"):
        RunOptions(cohort={}, gwas=("a.glm.linear",), pred="fit_pred.list")


def test_a_large_file_changed_in_the_middle_has_another_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gp_elm.runtime.provenance.fingerprint.__kwdefaults__", {"whole_bytes": 1 << 20})
    path = tmp_path / "large.vcf"
    path.write_bytes(bytes(200 << 20))
    before = source_fingerprint(path)
    assert before["sampled"]
    with open(path, "r+b") as handle:
        handle.seek((1 << 20) + 5)
        handle.write(b"x")
    assert source_fingerprint(path) != before


def test_pairs_of_dosages_with_missing_ones_are_tested(tmp_path: Path) -> None:
    options = {"vcf": FORMATS / "dosages.vcf", "dosages": True, "pheno": FORMATS / "trait.tsv",
               "store": tmp_path / "store"}  # fmt: skip
    missing = np.isnan(
        open_genotypes(vcf=options["vcf"], dosages=True, store=options["store"])["call_dosage"].values
    )
    assert missing.any()
    write_interactions(
        options, tmp_path / "out", pairs=None, top_pairs=50, max_exhaustive_pairs=10**6, overwrite=False
    )
    table = read_table(tmp_path / "out" / "pairs.parquet")
    assert len(table) == 50 and table["interaction_beta"].notna().all()
