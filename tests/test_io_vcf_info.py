"""Effects in a copy of a VCF: read back by cyvcf2 (htslib), bcftools and PLINK 2."""

from __future__ import annotations

import gzip
import logging
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cyvcf2 import VCF

from gp_elm.errors import InputError, OptionError
from gp_elm.io.tables import arrange, write_table
from gp_elm.io.vcf_info import write_vcf_info

FORMATS = Path(__file__).parent / "data" / "formats"

HEAD = """##fileformat=VCFv4.2
##contig=<ID=chr1>
##contig=<ID=chrX>
##INFO=<ID=AC,Number=A,Type=Integer,Description="Copies, \\"of\\" ALT">
##INFO=<ID=DB,Number=0,Type=Flag,Description="Known">
##FILTER=<ID=q10,Description="Quality">
##FILTER=<ID=q20,Description="Quality">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tb\ta
"""

RECORDS = """chr1\t100\trs1\tA\tG\t30.10\tPASS\tAC=1\tGT\t0|1\t./.
chr1\t200\trs2\tC\tT\t.\t.\t.\tGT\t0/0\t1/1
chr1\t300\t.\tA\tC,G,*\t1e2\tq10;q20\tAC=1,2,3;DB\tGT\t1/2\t0/3
chr1\t400\trs4\tAT\tA\t.\t.\tAC=2\tGT\t0/1\t0/1
chrX\t50\trs5\tg\ta\t.\t.\tAC=0\tGT\t0\t0/0
"""


def row(position: int, effect: str, other: str, beta: float, *, contig: str = "1", **more: object) -> dict:
    return {
        "trait": "height", "chromosome": contig, "base_pair_location": position, "variant_id": f"v{position}",
        "effect_allele": effect, "other_allele": other, "effect_allele_frequency": 0.5, "n": 2,
        "missing_rate": 0.0, "gwas_beta": beta, "gwas_standard_error": 0.5, "gwas_neg_log_10_p_value": 2.0,
        "elm_beta": beta / 2, "elm_standard_error": 0.25, "elm_dominance": 0.125, "elm_dominance_p_value": 0.01,
        "context_p_value": 0.0, **more,
    }  # fmt: skip


ROWS = [
    row(100, "G", "A", 0.1234567891),
    row(200, "C", "T", -2.0, elm_dominance=0.5),  # counts REF
    row(300, "G", "A", 3.0),
    row(300, "C", "A", 4.0),
    row(400, "A", "AC", 5.0),  # other alleles
    row(50, "A", "G", 6.0, contig="X", elm_beta=None),
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "cohort.vcf"
    path.write_bytes((HEAD + RECORDS).encode())
    return path


def table(rows: list[dict]) -> pd.DataFrame:
    return arrange(pd.DataFrame(rows), "variants")


def records_of(path: Path) -> list[list[str]]:
    text = path.read_bytes() if path.suffix == ".vcf" else gzip.decompress(path.read_bytes())
    return [line.split("\t") for line in text.decode().splitlines() if not line.startswith("#")]


def info_of(record: list[str]) -> dict[str, str]:
    return {k: v for k, _, v in (item.partition("=") for item in record[7].split(";"))}


def without_ours(path: Path) -> bytes:
    """The file as it was, by an edit nobody needs to trust: regular expressions."""
    text = path.read_bytes() if path.suffix == ".vcf" else gzip.decompress(path.read_bytes())
    text = re.sub(rb'##INFO=<[^\n]*Source="gp_elm">\r?\n', b"", text)
    text = re.sub(rb"\t(?:(?:GWAS|ELM|CONTEXT)_[^;\t\r\n]*;?)+(?=[\t\r\n])", rb"\t.", text)
    return re.sub(rb";(?:GWAS|ELM|CONTEXT)_[^;\t\r\n]*", b"", text)


def test_values_and_signs(source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    out = write_vcf_info(source, table(ROWS), tmp_path / "out.vcf")
    info = [info_of(record) for record in records_of(out)]
    assert info[0] == {
        "AC": "1", "GWAS_BETA_height": "0.1234568", "GWAS_SE_height": "0.5", "GWAS_LOG10P_height": "2",
        "ELM_BETA_height": "0.06172839", "ELM_SE_height": "0.25", "ELM_DOMINANCE_height": "0.125",
        "ELM_DOMINANCE_LOG10P_height": "2", "CONTEXT_LOG10P_height": "323.3062",
    }  # fmt: skip
    # REF was counted: betas turn, the dominance deviation does not
    assert info[1]["GWAS_BETA_height"] == "2" and info[1]["ELM_BETA_height"] == "1"
    assert info[1]["ELM_DOMINANCE_height"] == "0.5" and info[1]["GWAS_SE_height"] == "0.5"
    assert info[2]["GWAS_BETA_height"] == "4,3,." and info[2]["DB"] == ""
    assert info[3] == {"AC": "2"}
    assert info[4]["GWAS_BETA_height"] == "6" and "ELM_BETA_height" not in info[4]
    assert "4 of 5 records get fields" in caplog.text and "turned for 1 ALT" in caplog.text
    assert "1 of 6 variants have no record" in caplog.text


@pytest.mark.parametrize("name", ["out.vcf", "out.vcf.gz", "out.vcf.bgz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_everything_else_is_unchanged(source: Path, tmp_path: Path, name: str, end: str) -> None:
    before = (HEAD + RECORDS).replace("\n", end).encode()
    source.write_bytes(before)
    out = write_vcf_info(source, table(ROWS), tmp_path / name)
    assert without_ours(out) == before
    assert source.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} <= {"cohort.vcf", name, f"{name}.tbi"}


def test_sites_only(source: Path, tmp_path: Path) -> None:
    lines = [line if line.startswith("##") else "\t".join(line.split("\t")[:8])
             for line in (HEAD + RECORDS).splitlines()]  # fmt: skip
    source.write_text("\n".join(lines) + "\n")
    out = write_vcf_info(source, table(ROWS), tmp_path / "out.vcf")
    assert without_ours(out) == source.read_bytes()


@pytest.mark.parametrize("name", ["calls.vcf", "calls.vcf.gz", "calls.bcf"])
def test_htslib_reads_it(tmp_path: Path, name: str) -> None:
    lines = [line.split("\t") for line in (FORMATS / "calls.bim").read_text().splitlines()]
    beta = np.random.default_rng(4).normal(size=len(lines))
    rows = [row(int(f[3]), f[4], f[5], b, contig=f[0]) for f, b in zip(lines, beta, strict=True)]
    rows += [{**r, "trait": "plant weight (kg)", "gwas_beta": 2 * r["gwas_beta"]} for r in rows]
    out = write_vcf_info(FORMATS / name, table(rows), tmp_path / "out.vcf.gz")
    before, after = VCF(str(FORMATS / "calls.vcf")), VCF(str(out), strict_gt=True)
    assert before.samples == after.samples
    declared = after.get_header_type("ELM_BETA_plant_weight__kg_")
    assert declared["Number"] == "A" and declared["Type"] == "Float"
    assert (
        "plant weight (kg)" in declared["Description"]
        and "trait units per copy of ALT" in declared["Description"]
    )
    records = list(after)
    for old, new, b in zip(before, records, beta, strict=True):
        assert (old.CHROM, old.POS, old.ID, old.REF, old.ALT) == (
            new.CHROM,
            new.POS,
            new.ID,
            new.REF,
            new.ALT,
        )
        np.testing.assert_array_equal(old.genotype.array(), new.genotype.array())
        assert new.INFO["GWAS_BETA_height"] == pytest.approx(b, rel=1e-6)
        assert new.INFO["GWAS_BETA_plant_weight__kg_"] == pytest.approx(2 * b, rel=1e-6)
    second = [record.ID for record in VCF(str(out))("2:1-30000")]
    assert second == [r.ID for r in records if r.CHROM == "2" and r.POS <= 30_000] != []


@pytest.mark.skipif(not shutil.which("bcftools"), reason="bcftools is not installed")
def test_bcftools_reads_it(source: Path, tmp_path: Path) -> None:
    out = write_vcf_info(source, table(ROWS), tmp_path / "out.vcf.gz")

    def bcftools(*arguments: str | Path) -> str:
        done = subprocess.run(["bcftools", *arguments], capture_output=True, text=True, check=True)
        assert "[W::" not in done.stderr
        return done.stdout

    assert bcftools("query", "-f", "%POS %GWAS_BETA_height\n", out).splitlines() == [
        "100 0.123457", "200 2", "300 4,3,.", "400 .", "50 6"]  # fmt: skip
    assert bcftools("query", "-r", "chr1:150-350", "-f", "%ELM_SE_height\n", out) == "0.25\n0.25,0.25,.\n"
    assert bcftools("view", "-H", "-i", "GWAS_BETA_height>5", out).startswith("chrX\t50\t")
    bcf = tmp_path / "out.bcf"
    bcftools("view", "-Ob", "-o", bcf, out)
    assert bcftools("query", "-f", "%GWAS_BETA_height\n", bcf).splitlines()[2] == "4,3,."


@pytest.mark.skipif(not shutil.which("plink2"), reason="plink2 is not installed")
def test_plink2_reads_the_same_genotypes(tmp_path: Path) -> None:
    lines = [line.split("\t") for line in (FORMATS / "calls.bim").read_text().splitlines()]
    rows = [row(int(f[3]), f[4], f[5], 1.0, contig=f[0]) for f in lines]
    out = write_vcf_info(FORMATS / "calls.vcf.gz", table(rows), tmp_path / "out.vcf.gz")
    for path, prefix in ((FORMATS / "calls.vcf.gz", "old"), (out, "new")):
        command = ["plink2", "--silent", "--threads", "1", "--memory", "640", "--vcf", path, "--make-bed"]
        subprocess.run([*command, "--out", tmp_path / prefix], check=True)
    for suffix in (".bed", ".bim", ".fam"):
        assert (tmp_path / f"old{suffix}").read_bytes() == (tmp_path / f"new{suffix}").read_bytes()


def test_a_later_run_replaces_its_own_fields(source: Path, tmp_path: Path) -> None:
    first = write_vcf_info(source, table(ROWS), tmp_path / "first.vcf.gz")
    weight = table([row(100, "G", "A", 9.0, trait="weight")])
    second = write_vcf_info(first, weight, tmp_path / "second.vcf.gz")
    later = [row(100, "G", "A", 7.0)]  # nothing about the other records any more
    third = write_vcf_info(second, table(later), tmp_path / "third.vcf.gz")
    info = [info_of(record) for record in records_of(third)]
    assert info[0]["GWAS_BETA_height"] == "7" and info[0]["GWAS_BETA_weight"] == "9"
    assert info[1] == {".": ""} and info[4] == {"AC": "0"}
    header = gzip.decompress(third.read_bytes()).decode()
    assert header.count("ID=GWAS_BETA_height,") == header.count("ID=GWAS_BETA_weight,") == 1
    assert without_ours(third) == source.read_bytes()


def test_a_field_of_someone_else_is_refused(source: Path, tmp_path: Path) -> None:
    source.write_text((HEAD + RECORDS).replace("ID=AC,", "ID=GWAS_BETA_height,"))
    with pytest.raises(InputError, match="already has an INFO field GWAS_BETA_height .* rename"):
        write_vcf_info(source, table(ROWS), tmp_path / "out.vcf.gz")
    assert [p.name for p in tmp_path.iterdir()] == ["cohort.vcf"]


def test_names_of_traits_do_not_collide(source: Path, tmp_path: Path) -> None:
    names = ["a b", "a_b", "SE_x", "x", "höhe"]
    rows = [row(100, "G", "A", k + 1.0, trait=name, elm_dominance_standard_error=k)
            for k, name in enumerate(names)]  # fmt: skip
    out = write_vcf_info(source, table(rows), tmp_path / "out.vcf")
    header = re.findall(r'##INFO=<ID=([^,]+),.*trait ([^"]+)",Source', out.read_text())
    keys = [key for key, _ in header]
    assert len(set(keys)) == len(keys) and all(re.fullmatch(r"[A-Za-z_][0-9A-Za-z_.]*", key) for key in keys)
    info = info_of(records_of(out)[0])
    betas = {trait: float(info[key]) for key, trait in header if key.startswith("GWAS_BETA_")}
    assert betas == {name: k + 1.0 for k, name in enumerate(names)}
    only = write_vcf_info(source, table(rows), tmp_path / "one.vcf", traits=["x"])
    assert set(info_of(records_of(only)[0])) == {"AC", *(key for key, trait in header if trait == "x")}


def test_variants_of_one_place_and_alleles(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [row(100, "G", "A", 1.0, variant_id="other"), row(100, "A", "G", 2.0, variant_id="rs1"),
            row(200, "T", "C", 3.0, variant_id="p"), row(200, "T", "C", 4.0, variant_id="q")]  # fmt: skip
    out = write_vcf_info(source, table(rows), tmp_path / "out.vcf")
    info = [info_of(record) for record in records_of(out)]
    assert info[0]["GWAS_BETA_height"] == "-2" and "GWAS_BETA_height" not in info[1]
    assert "3 of 4 variants have no record" in caplog.text and "1 ALT fit several" in caplog.text


@pytest.mark.parametrize(("declared", "expected"), [("chrX", "6"), ("chr23", None)])
def test_plink_codes_of_human_chromosomes(source: Path, tmp_path: Path, declared: str, expected: str) -> None:
    source.write_text((HEAD + RECORDS).replace("<ID=chrX>", f"<ID={declared}>"))
    rows = [row(100, "G", "A", 1.0), row(50, "A", "G", 6.0, contig="23")]
    out = write_vcf_info(source, table(rows), tmp_path / "out.vcf")
    assert info_of(records_of(out)[4]).get("GWAS_BETA_height") == expected


def test_from_the_folder_of_a_run(source: Path, tmp_path: Path) -> None:
    write_table(table(ROWS), tmp_path / "run" / "variants", table="variants")
    expected = write_vcf_info(source, table(ROWS), tmp_path / "expected.vcf").read_bytes()
    for given in ("run", "run/variants.parquet", "run/variants.tsv.gz"):
        out = write_vcf_info(source, tmp_path / given, tmp_path / "out.vcf", progress=False)
        assert out.read_bytes() == expected
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no variants\.parquet .* check --run"):
        write_vcf_info(source, tmp_path / "empty", tmp_path / "out.vcf")


def test_an_unsorted_vcf_has_no_index(source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = RECORDS.splitlines(keepends=True)
    source.write_text(HEAD + "".join([lines[1], lines[0], *lines[2:]]))
    out = tmp_path / "out.vcf.gz"
    for stale in (".tbi", ".csi"):
        out.with_name(out.name + stale).write_text("of an earlier file")
    write_vcf_info(source, table(ROWS), out)
    assert (
        "not indexed, its records are not sorted (position 100 of contig chr1 comes after 200)" in caplog.text
    )
    assert {p.name for p in tmp_path.iterdir()} == {"cohort.vcf", "out.vcf.gz"}
    assert without_ours(out) == source.read_bytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (HEAD + RECORDS.replace("\t100\t", "\tx\t"), r"cohort\.vcf:10: position b'x' is no whole number"),
        (HEAD + RECORDS[:-5], r"cohort\.vcf:14: 10 columns, but the header names 11"),
        (RECORDS, "no VCF or BCF"),
        ("", "no VCF or BCF"),
        (HEAD, "none of its 0 records"),
        (
            HEAD + RECORDS.replace("chr1", "chr7").replace("chrX", "chr8"),
            "none of its 5 records .* genome build",
        ),
    ],
)
def test_what_cannot_be_used(source: Path, tmp_path: Path, content: str, words: str) -> None:
    source.write_text(content)
    with pytest.raises(InputError, match=words):
        write_vcf_info(source, table(ROWS), tmp_path / "out.vcf.gz")
    assert [p.name for p in tmp_path.iterdir()] == ["cohort.vcf"]


@pytest.mark.parametrize("name", ["calls.vcf.gz", "calls.bcf"])
def test_a_truncated_file(tmp_path: Path, name: str) -> None:
    source = tmp_path / name
    whole = (FORMATS / name).read_bytes()
    source.write_bytes(whole[: len(whole) // 2])
    rows = [row(1007, "A", "G", 1.0)]
    with pytest.raises(InputError, match=re.escape(name)):
        write_vcf_info(source, table(rows), tmp_path / "out.vcf.gz")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_missing_end_of_file_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = tmp_path / "cohort.vcf.gz"
    source.write_bytes((FORMATS / "calls.vcf.gz").read_bytes()[:-28])
    f = (FORMATS / "calls.bim").read_text().split()
    write_vcf_info(source, table([row(int(f[3]), f[4], f[5], 1.0, contig=f[0])]), tmp_path / "out.vcf")
    assert "has no end-of-file block; it may be truncated" in caplog.text


@pytest.mark.parametrize(
    ("out", "words"),
    [("cohort.vcf", "is the VCF itself"), ("link.vcf", "is the VCF itself"), ("out.bcf", "bcftools view -Ob"),
     ("out.txt", "give --out a name in .vcf.gz")],
)  # fmt: skip
def test_out_that_makes_no_sense(source: Path, tmp_path: Path, out: str, words: str) -> None:
    os.symlink(source, tmp_path / "link.vcf")
    with pytest.raises(OptionError, match=words):
        write_vcf_info(source, table(ROWS), tmp_path / out)
    assert source.read_text() == HEAD + RECORDS


def test_tables_that_make_no_sense(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.vcf"
    with pytest.raises(InputError, match="cohort2.vcf: no such file; check --vcf"):
        write_vcf_info(tmp_path / "cohort2.vcf", table(ROWS), out)
    with pytest.raises(InputError, match="no column trait, chromosome"):
        write_vcf_info(source, pd.DataFrame({"variant_id": ["a"]}), out)
    with pytest.raises(InputError, match="the table has no rows"):
        write_vcf_info(source, table(ROWS).iloc[:0], out)
    with pytest.raises(InputError, match="none of gwas_beta, .* holds a value"):
        write_vcf_info(source, table(ROWS)[["trait", *table(ROWS).columns[1:9]]], out)
    with pytest.raises(OptionError, match="no trait 'weight'; it has height; check --traits"):
        write_vcf_info(source, table(ROWS), out, traits=["weight"])
