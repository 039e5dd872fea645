"""PGEN: alleles, subsets, tables with and without headers, and what is wrong with a file is said."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cyvcf2
import numpy as np
import pytest

from gp_elm.errors import InputError, OptionError
from gp_elm.io import optional
from gp_elm.io.blocks import select
from gp_elm.io.pgen import read_pgen
from gp_elm.io.plink import read_plink
from gp_elm.schema import check_cohort

DATA = Path(__file__).parent / "data" / "formats"


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    for kind in ("pgen", "pvar", "psam"):
        shutil.copy(DATA / f"calls.{kind}", tmp_path / f"calls.{kind}")
    return tmp_path / "calls"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_each_alt_allele_is_a_row_and_haploid_calls_count_two() -> None:
    cohort = read_pgen(DATA / "alleles")
    check_cohort(cohort)
    expected = []
    for record in cyvcf2.VCF(str(DATA / "alleles.vcf")):
        calls = np.array([[a for a in call[:-1]] + call[:-1] * (len(call) == 2) for call in record.genotypes])
        for number, alt in enumerate(record.ALT, start=1):
            copies = np.where((calls < 0).any(axis=1), -1, (calls == number).sum(axis=1))
            expected.append((record.CHROM, record.POS, record.REF, alt, copies))
    assert cohort.sizes["variants"] == len(expected) == 8
    np.testing.assert_array_equal(cohort["call_dosage"], [row[4] for row in expected])
    assert cohort["variant_effect_allele"].to_numpy().tolist() == [row[3] for row in expected]
    assert cohort["variant_other_allele"].to_numpy().tolist() == [row[2] for row in expected]
    dosages = read_pgen(DATA / "alleles", dosages=True)["call_dosage"].to_numpy()
    np.testing.assert_array_equal(np.nan_to_num(dosages, nan=-1), cohort["call_dosage"])
    # any rows, in any order
    part = select(cohort, variants=[7, 4, 5, 0], samples=[9, 0, 9])["call_dosage"].to_numpy()
    np.testing.assert_array_equal(part, cohort["call_dosage"].to_numpy()[[7, 4, 5, 0]][:, [9, 0, 9]])


@pytest.mark.parametrize("dosages", [False, True])
def test_subsets_chunks_pickles_and_threads(dosages: bool) -> None:
    whole = read_pgen(DATA / "dosages", dosages=dosages)
    values = whole["call_dosage"].to_numpy()
    lazy = pickle.loads(pickle.dumps(read_pgen(DATA / "dosages", dosages=dosages, chunk_variants=7)))
    samples, variants = np.array([30, 2, 3, 59]), np.array([39, 0, 12])
    part = select(lazy, samples=samples, variants=variants)
    np.testing.assert_array_equal(part["call_dosage"], values[variants][:, samples])
    assert select(lazy, samples=[])["call_dosage"].to_numpy().shape == (40, 0)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: lazy["call_dosage"].to_numpy(), range(30)):
            np.testing.assert_array_equal(found, values)


def test_tables_without_headers_and_with_more_columns(prefix: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = read_plink(DATA / "calls")["call_dosage"].to_numpy()
    pvar, psam = Path(f"{prefix}.pvar"), Path(f"{prefix}.psam")
    lines = (DATA / "calls.bim").read_text().splitlines()
    pvar.write_text("\n".join("\t".join(np.delete(line.split(), 2)) for line in lines) + "\n")  # no CM column
    rows = [line.split() for line in psam.read_text().splitlines()[1:]]
    psam.write_text(
        "#FID IID SEX bmi height\n" + "".join(f"f{i} {i} {'.MF'[int(s)]} 1 {h}\n" for i, s, h in rows)
    )
    with caplog.at_level("INFO"):
        cohort = read_pgen(prefix)
    np.testing.assert_array_equal(cohort["call_dosage"], values)
    assert cohort["variant_other_allele"].to_numpy()[0] == "T"
    assert cohort["sample_sex"].to_numpy().tolist() == [int(row[1]) for row in rows]
    assert cohort["sample_family_id"].to_numpy()[0] == "f" + rows[0][0]
    assert "fam_phenotype" not in cohort
    assert "2 phenotypes (bmi, height); give them with --pheno" in caplog.text


def test_the_only_phenotype_is_kept() -> None:
    cohort = read_pgen(DATA / "calls")
    assert cohort["fam_phenotype"].to_numpy()[:2].tolist() == ["-1.62011", "0.72983"]


@pytest.mark.parametrize(
    ("kind", "old", "new", "message"),
    [
        (
            "pvar",
            "\trs3\t",
            "\t",
            r"calls\.pvar:6: 5 columns, expected 6 \(CHROM, POS, ID, REF, ALT, FILTER\)",
        ),
        ("pvar", "3007", "3e-1", r"calls\.pvar: position '3e-1' of variant 3 \(rs3\) is no whole number"),
        ("pvar", "#CHROM\tPOS", "#CHROM\tPLACE", r"calls\.pvar: no column POS; write it again"),
        (
            "pvar",
            "1\t1007\trs1\tT\tA\tPASS\n",
            "",
            r"calls\.pgen: 40 variants in its header, but 39 in .*calls\.pvar",
        ),
        (
            "psam",
            "#IID",
            "#ID",
            r"calls\.psam: the header '#ID\\tSEX\\theight' has no column IID; write #IID",
        ),
        ("psam", "s13", "s11", r"calls\.psam: sample 's11' is there twice"),
        (
            "psam",
            "s13\t2\t0.72983\n",
            "",
            r"60 samples in its header, but 59 in .*calls\.psam; give the files",
        ),
        ("psam", "s13\t2\t0.72983", "s13\t2", r"calls\.psam:3: 2 columns, expected 3"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(
    prefix: Path, kind: str, old: str, new: str, message: str
) -> None:
    edit(Path(f"{prefix}.{kind}"), old, new)
    with pytest.raises(InputError, match=message):
        read_pgen(prefix)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda raw: raw[:-1],
            r"records of variants 1 to 40 should end at byte 678, but the file has 677: it is tr",
        ),
        (lambda raw: raw + b"\0", "it is truncated or damaged; copy the file again"),
        (lambda raw: raw[:30], "the index of the variants is cut short"),
        (lambda raw: raw[:5], "5 bytes are too few for a PGEN header"),
        (lambda raw: b"", "the first bytes are missing, not 6c 1b: this is no PGEN"),
        (lambda raw: b"##" + raw[2:], "the first bytes are 23 23"),
        (lambda raw: raw[:2] + b"\x01" + raw[3:], "this is a PLINK 1 BED; give it as --bed"),
        (lambda raw: raw[:2] + b"\x77" + raw[3:], "storage mode 0x77 is not known"),
        (lambda raw: raw[:2] + b"\x20" + raw[3:], r"its index calls\.pgen\.pgi is not beside it"),
        (lambda raw: raw[:12] + b"\x07" + raw[13:], "it is truncated or damaged"),
    ],
)
def test_a_damaged_pgen_is_refused_at_opening(prefix: Path, change: object, message: str) -> None:
    path = Path(f"{prefix}.pgen")
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        read_pgen(prefix)


def test_a_damaged_record_is_said_on_reading(prefix: Path) -> None:
    path = Path(f"{prefix}.pgen")
    cohort = read_pgen(prefix)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(
        InputError, match="Pgenlib cannot read some of variants 1 to 40 .*; copy the file again"
    ):
        cohort["call_dosage"].to_numpy()


def test_a_damaged_pvar_zst(prefix: Path) -> None:
    Path(f"{prefix}.pvar").unlink()
    packed = Path(f"{prefix}.pvar.zst")
    with pytest.raises(InputError, match=r"calls\.pvar: no such file; check --pfile"):
        read_pgen(prefix)
    packed.write_bytes((DATA / "zipped.pvar.zst").read_bytes())
    assert read_pgen(f"{prefix}.pgen").attrs["source_pvar"] == str(packed)
    packed.write_bytes(b"\0" * 50)
    with pytest.raises(InputError, match=r"calls\.pvar\.zst: cannot be read"):
        read_pgen(prefix)


def test_options(prefix: Path) -> None:
    with pytest.raises(OptionError, match="no path for pvar, psam; give a prefix"):
        read_pgen(pgen=f"{prefix}.pgen")
    with pytest.raises(OptionError, match="chunk_variants is 0"):
        read_pgen(prefix, chunk_variants=0)


def test_a_missing_extra_gives_the_line_to_type(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pgenlib", None)
    with pytest.raises(OptionError, match=r"which is not installed; type: pip install 'gp-elm\[pgen\]'"):
        read_pgen(prefix)
    with pytest.raises(OptionError, match="need the package no_such_package"):
        optional.require("no_such_package", extra="x", purpose="These")


def test_what_plink2_writes_is_read(tmp_path: Path) -> None:
    if shutil.which("plink2") is None:
        pytest.skip("plink2 is not installed")
    out = tmp_path / "x"
    for command in (
        f"plink2 --silent --threads 1 --memory 640 --seed 1 --dummy 33 300 0.1 0.1 acgt --make-pgen vzs --out {out}",
        f"plink2 --silent --threads 1 --memory 640 --pfile {out} vzs --make-bed --out {out}",
    ):
        subprocess.run(command.split(), check=True, capture_output=True)
    bed, cohort = read_plink(out), read_pgen(out, chunk_variants=100)
    np.testing.assert_array_equal(cohort["call_dosage"], bed["call_dosage"])
    trait = cohort["fam_phenotype"].to_numpy()
    assert np.where(trait == "NA", "-9", trait).tolist() == bed["fam_phenotype"].to_numpy().tolist()
