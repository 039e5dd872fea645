"""The commands on a small cohort: what they write, and one line with a remedy for input that cannot be used."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gp_elm.cli import main
from gp_elm.io.plink import read_plink
from gp_elm.io.tables import read_table
from gp_elm.runtime import atomic
from gp_elm.simulate import simulate

QUICK = ["--folds", "2", "--epochs", "3", "--members", "1", "--top-pairs", "30", "--quiet"]


@pytest.fixture(scope="session")
def cohort(tmp_path_factory) -> Path:
    """Prefix of a simulated cohort."""
    base = tmp_path_factory.mktemp("cohort") / "c"
    simulate(
        base, n_samples=300, n_variants=60, n_chromosomes=2, block_variants=5, missing_rate=0.02, n_traits=2,
        additive_variance=0.5, additive_by_additive_variance=0.2, n_additive=6, n_pairs=3, seed=4,
    )  # fmt: skip
    return base


@pytest.fixture
def copy(cohort: Path, tmp_path: Path) -> Path:
    """The cohort's files in a folder of the test's own."""
    for file in cohort.parent.iterdir():
        shutil.copy(file, tmp_path / file.name)
    return tmp_path / "c"


def gp_elm(*arguments: object) -> int:
    """Run a command in this process; its exit code."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return int(stop.value.code or 0)


def inputs(base: Path) -> list[str]:
    return ["--bfile", str(base), "--pheno", f"{base}.pheno.tsv", "--covar", f"{base}.covar.tsv"]


@pytest.fixture(scope="session")
def finished(cohort: Path, tmp_path_factory) -> Path:
    """Folder of a finished run."""
    out = tmp_path_factory.mktemp("runs") / "run"
    assert gp_elm("run", *inputs(cohort), *QUICK, "--out", out) == 0
    return out


def test_run_writes_every_file_of_the_design(finished: Path) -> None:
    for name in (
        "variants.tsv.gz", "variants.parquet", "pairs.tsv.gz", "pairs.parquet", "pairs_ld.tsv.gz", "variance.tsv",
        "cohort.h5ad", "report.html", "run.json", "model/split.tsv", "model/options.json",
        "model/fold_0/network.safetensors",
    ):  # fmt: skip
        assert (finished / name).stat().st_size > 0, name
    variants = read_table(finished / "variants.parquet")
    assert len(variants) == 120
    assert variants[["gwas_beta", "elm_beta"]].notna().all().all()


def write_vcf(base: Path, target: Path) -> None:
    """The cohort as VCF text, ALT being BIM column 5."""
    bim = pd.read_csv(f"{base}.bim", sep=r"\s+", header=None, dtype=str)
    fam = pd.read_csv(f"{base}.fam", sep=r"\s+", header=None, dtype=str)
    calls = np.array(["0/0", "0/1", "1/1", "./."])[read_plink(base)["call_dosage"].to_numpy()]
    lines = ["##fileformat=VCFv4.2", '##FORMAT=<ID=GT,Number=1,Type=String,Description="">']
    lines += [f"##contig=<ID={name}>" for name in bim[0].unique()]
    lines.append("\t".join("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT".split() + fam[1].tolist()))
    for (_, v), row in zip(bim.iterrows(), calls, strict=True):
        lines.append("\t".join([v[0], v[3], v[1], v[5], v[4], ".", ".", ".", "GT", *row]))
    target.write_text("\n".join(lines) + "\n")


def test_a_run_from_vcf_or_anndata_has_the_same_tables(cohort: Path, finished: Path, tmp_path: Path) -> None:
    write_vcf(cohort, tmp_path / "c.vcf")
    tables = [f"--pheno={cohort}.pheno.tsv", f"--covar={cohort}.covar.tsv"]
    assert gp_elm("convert", "--vcf", tmp_path / "c.vcf", *tables, "--out", tmp_path, "--quiet") == 0
    sources = {
        "vcf": ["--vcf", tmp_path / "c.vcf", *tables],
        "anndata": ["--cohort", tmp_path / "cohort.h5ad"],
    }
    for name, options in sources.items():
        out = tmp_path / name
        assert gp_elm("run", *options, *QUICK, "--out", out) == 0
        for table in ("variants.tsv.gz", "pairs.tsv.gz", "variance.tsv"):
            assert (out / table).read_bytes() == (finished / table).read_bytes(), (name, table)
    # the networks of such a run test a list of pairs too
    ids = read_plink(cohort)["variant_id"].to_numpy()
    pd.DataFrame({"variant_id_1": ids[:1], "variant_id_2": ids[8:9]}).to_csv(
        tmp_path / "list.tsv", sep="\t", index=False
    )
    for name in sources:
        assert (
            gp_elm("interactions", "--run", tmp_path / name, "--pairs", tmp_path / "list.tsv", "--quiet") == 0
        )
        assert len(read_table(tmp_path / name / "pairs_listed.parquet")) == 2


def test_the_same_command_again_changes_nothing(cohort: Path, finished: Path) -> None:
    before = {
        name: (finished / name).read_bytes() for name in ("variants.tsv.gz", "pairs.tsv.gz", "variance.tsv")
    }
    assert gp_elm("run", *inputs(cohort), *QUICK, "--out", finished) == 0
    assert all((finished / name).read_bytes() == text for name, text in before.items())


def test_a_run_after_train_and_a_killed_run_give_the_same_tables(
    cohort: Path, finished: Path, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-m",
        "gp_elm",
        "run",
        *inputs(cohort),
        *QUICK,
        "--out",
        str(tmp_path / "killed"),
    ]
    killed = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    began = time.monotonic()
    while not (tmp_path / "killed" / "work" / "folds" / "fold_0").exists() and time.monotonic() - began < 100:
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    assert not (tmp_path / "killed" / "variants.tsv.gz").exists()
    assert gp_elm("train", *inputs(cohort), *QUICK, "--out", tmp_path / "killed") == 0
    trained = (tmp_path / "killed" / "work" / "folds" / "fold_0" / "network.safetensors").stat().st_mtime_ns
    assert gp_elm("run", *inputs(cohort), *QUICK, "--out", tmp_path / "killed") == 0
    again = (tmp_path / "killed" / "work" / "folds" / "fold_0" / "network.safetensors").stat().st_mtime_ns
    assert trained == again
    for name in ("variants.tsv.gz", "pairs.tsv.gz", "variance.tsv"):
        assert (tmp_path / "killed" / name).read_bytes() == (finished / name).read_bytes()


def test_order_of_the_phenotype_table_changes_nothing(copy: Path, finished: Path) -> None:
    for kind in ("pheno", "covar"):
        table = pd.read_csv(f"{copy}.{kind}.tsv", sep="\t", dtype=str)
        table.sample(frac=1, random_state=1).to_csv(f"{copy}.{kind}.tsv", sep="\t", index=False, na_rep="NA")
    out = copy.parent / "out"
    assert gp_elm("run", *inputs(copy), *QUICK, "--out", out) == 0
    assert (out / "variants.tsv.gz").read_bytes() == (finished / "variants.tsv.gz").read_bytes()


def test_order_of_the_samples_in_the_genotypes_changes_nothing(copy: Path, finished: Path) -> None:
    lines = Path(f"{copy}.fam").read_text().splitlines()
    order = np.random.default_rng(3).permutation(300)
    Path(f"{copy}.fam").write_text("\n".join(lines[k] for k in order) + "\n")
    row = 75
    packed = np.frombuffer(Path(f"{copy}.bed").read_bytes()[3:], np.uint8).reshape(60, row)
    codes = np.stack([(packed >> shift) & 3 for shift in (0, 2, 4, 6)], axis=2).reshape(60, 300)[:, order]
    parts = codes.reshape(60, row, 4)
    packed = parts[:, :, 0] | parts[:, :, 1] << 2 | parts[:, :, 2] << 4 | parts[:, :, 3] << 6
    Path(f"{copy}.bed").write_bytes(b"\x6c\x1b\x01" + packed.astype(np.uint8).tobytes())
    out = copy.parent / "out"
    assert gp_elm("run", *inputs(copy), *QUICK, "--out", out) == 0
    found, expected = (read_table(folder / "variants.parquet") for folder in (out, finished))
    for name in ("gwas_beta", "elm_beta", "elm_standard_error", "elm_sensitivity_mean", "elm_dominance"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("text", [None, ""])
def test_a_list_of_pairs_that_cannot_be_read(capsys, cohort: Path, tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "list.tsv").write_text(text)
    line = refused(
        capsys, "interactions", *inputs(cohort), "--pairs", tmp_path / "list.tsv", "--out", tmp_path / "o"
    )
    assert "list.tsv" in line and ("no such file" if text is None else "variant_id_1") in line


def test_a_list_for_a_run_takes_no_other_option(capsys, finished: Path, tmp_path: Path) -> None:
    for extra in (["--maf", "0.1"], ["--overwrite"], ["--top-pairs", "5"], ["--keep", "x"]):
        line = refused(capsys, "interactions", "--run", finished, "--pairs", tmp_path / "list.tsv", *extra)
        assert f"--run with {extra[0]} too" in line


def test_elm_alone_leaves_the_gwas_columns_empty(cohort: Path, finished: Path, tmp_path: Path) -> None:
    assert gp_elm("elm", *inputs(cohort), *QUICK, "--out", tmp_path / "e") == 0
    alone, both = (read_table(folder / "variants.parquet") for folder in (tmp_path / "e", finished))
    assert alone["gwas_beta"].isna().all()
    pd.testing.assert_series_equal(alone["elm_beta"], both["elm_beta"])


def test_classical_commands_and_join(cohort: Path, finished: Path, tmp_path: Path) -> None:
    assert gp_elm("gwas", *inputs(cohort), "--quiet", "--out", tmp_path / "g") == 0
    assert (
        gp_elm("interactions", *inputs(cohort), "--quiet", "--top-pairs", "20", "--out", tmp_path / "i") == 0
    )
    pairs = read_table(tmp_path / "i" / "pairs.parquet")
    assert (pairs.groupby("trait").size() == 20).all()
    listed = tmp_path / "list.tsv"
    pairs[["variant_id_1", "variant_id_2"]].drop_duplicates().head(3).to_csv(listed, sep="\t", index=False)
    assert gp_elm("interactions", *inputs(cohort), "--quiet", "--pairs", listed, "--out", tmp_path / "l") == 0
    again = read_table(tmp_path / "l" / "pairs.parquet")
    both = again.merge(pairs, on=["trait", "variant_id_1", "variant_id_2"])
    np.testing.assert_allclose(both["interaction_beta_x"], both["interaction_beta_y"], rtol=1e-9)
    gwas, run = tmp_path / "g" / "variants.parquet", finished / "variants.parquet"
    assert gp_elm("compare", "--gwas", gwas, "--elm", run, "--quiet", "--out", tmp_path / "both") == 0
    joined = read_table(tmp_path / "both" / "variants.parquet")
    pd.testing.assert_series_equal(joined["elm_beta"], read_table(run)["elm_beta"])
    pd.testing.assert_series_equal(joined["gwas_beta"], read_table(gwas)["gwas_beta"])


def test_convert_report_and_simulate(cohort: Path, finished: Path, tmp_path: Path) -> None:
    assert gp_elm("convert", *inputs(cohort), "--quiet", "--out", tmp_path / "a") == 0
    assert (tmp_path / "a" / "cohort.h5ad").exists()
    assert gp_elm("report", finished) == 0
    assert (
        gp_elm("simulate", "--n-samples", 20, "--n-variants", 10, "--n-additive", 3, "--out", tmp_path / "s")
        == 0
    )
    assert (tmp_path / "s.bed").stat().st_size == 3 + 10 * 5


def test_help_is_quick_and_loads_no_torch() -> None:
    code = "import sys, gp_elm, gp_elm.cli\nassert not {'torch', 'numba'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    shown = subprocess.run(
        [sys.executable, "-m", "gp_elm", "run", "--help"], capture_output=True, text=True, check=True
    )
    assert "--pheno" in shown.stdout and "Example:" in shown.stdout


def test_a_monomorphic_variant_stays_as_a_row_with_a_flag(copy: Path) -> None:
    bim = pd.read_csv(f"{copy}.bim", sep=r"\s+", header=None, dtype=str)
    bim.loc[7, 5] = bim.loc[7, 4]
    bim.to_csv(f"{copy}.bim", sep="\t", header=False, index=False)
    bed = bytearray(Path(f"{copy}.bed").read_bytes())
    row = -(-300 // 4)
    bed[3 + 7 * row : 3 + 8 * row] = b"\xff" * row
    Path(f"{copy}.bed").write_bytes(bytes(bed))
    out = copy.parent / "out"
    assert gp_elm("run", *inputs(copy), *QUICK, "--traits", "trait_1", "--out", out) == 0
    rows = read_table(out / "variants.parquet")
    one = rows[rows.variant_id == bim.loc[7, 1]].iloc[0]
    assert one["flags"] == "monomorphic;ambiguous_alleles"
    assert np.isnan(one["gwas_beta"]) and np.isnan(one["elm_beta"])
    assert rows["elm_beta"].notna().sum() == 59


def refused(capsys, *arguments: object) -> str:
    """The one line that a command ends with, exit code 2."""
    capsys.readouterr()
    assert gp_elm(*arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert not any("Traceback" in line for line in lines)
    return lines[-1]


def edit(path: str, function) -> None:
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    function(table).to_csv(path, sep="\t", index=False)


def spoil_truncated(base: Path) -> None:
    Path(f"{base}.bed").write_bytes(Path(f"{base}.bed").read_bytes()[:-10])


def spoil_bim(base: Path) -> None:
    lines = Path(f"{base}.bim").read_text().splitlines()
    lines[4] = "\t".join(lines[4].split()[:5])
    Path(f"{base}.bim").write_text("\n".join(lines) + "\n")


def spoil_ids(base: Path) -> None:
    lines = Path(f"{base}.fam").read_text().splitlines()
    lines[3] = lines[2]
    Path(f"{base}.fam").write_text("\n".join(lines) + "\n")


def spoil_overlap(base: Path) -> None:
    edit(f"{base}.pheno.tsv", lambda t: t.assign(FID="0", IID="other" + t["IID"]))


def spoil_constant(base: Path) -> None:
    edit(f"{base}.pheno.tsv", lambda t: t.assign(trait_1="3.5"))


def spoil_text(base: Path) -> None:
    edit(
        f"{base}.pheno.tsv",
        lambda t: t.assign(trait_1=["tall" if k == 6 else v for k, v in enumerate(t["trait_1"])]),
    )


def spoil_collinear(base: Path) -> None:
    edit(f"{base}.covar.tsv", lambda t: t.assign(twice=2 * t["age"].astype(float)))


def spoil_many(base: Path) -> None:
    rng = np.random.default_rng(0)
    noise = pd.DataFrame(rng.normal(size=(300, 310)), columns=[f"c{k}" for k in range(310)])
    edit(f"{base}.covar.tsv", lambda t: pd.concat([t, noise], axis=1))


def spoil_nothing(base: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "extra", "words"),
    [
        (spoil_truncated, [], [".bed", "bytes"]),
        (spoil_bim, [], [".bim:5", "5 columns"]),
        (spoil_ids, [], [".fam"]),
        (spoil_overlap, [], ["c.pheno.tsv", "other"]),
        (spoil_constant, [], ["trait_1", "constant"]),
        (spoil_text, [], ["c.pheno.tsv:8", "tall"]),
        (spoil_collinear, [], ["twice"]),
        (spoil_many, [], ["covariates"]),
        (spoil_nothing, ["--traits", "trait_9"], ["trait_9", "trait_1"]),
        (spoil_nothing, ["--folds", "1"], ["folds"]),
        (spoil_nothing, ["--maf", "0.7"], ["maf"]),
        (spoil_nothing, ["--network", "cnn"], ["cnn", "quadratic"]),
        (spoil_nothing, ["--split", "nowhere.tsv"], ["nowhere.tsv"]),
        (spoil_nothing, ["--keep", "nowhere.txt"], ["nowhere.txt"]),
        (spoil_nothing, ["--device", "cuda"], ["cuda"]),
        (spoil_nothing, ["--nonsense", "1"], ["--nonsense"]),
    ],
)
def test_bad_input_is_one_line_with_a_remedy(capsys, copy: Path, spoil, extra, words) -> None:
    spoil(copy)
    out = copy.parent / "out"
    line = refused(capsys, "run", *inputs(copy), *QUICK, *extra, "--out", out)
    for word in words:
        assert word in line, line
    assert not out.exists()


def test_a_trait_missing_in_all_held_out_samples(capsys, copy: Path) -> None:
    table = pd.read_csv(f"{copy}.pheno.tsv", sep="\t", dtype=str)
    split = table[["FID", "IID"]].assign(
        set=["heldout" if k < 60 else "discovery" for k in range(len(table))]
    )
    split.to_csv(copy.parent / "split.tsv", sep="\t", index=False)
    edit(
        f"{copy}.pheno.tsv",
        lambda t: t.assign(trait_2=["NA" if k < 60 else v for k, v in enumerate(t["trait_2"])]),
    )
    out = copy.parent / "out"
    line = refused(capsys, "run", *inputs(copy), *QUICK, "--split", copy.parent / "split.tsv", "--out", out)
    assert "trait_2" in line and "held-out" in line
    assert not out.exists()


def test_another_run_in_the_folder_is_left_alone(capsys, copy: Path) -> None:
    out = copy.parent / "out"
    assert gp_elm("train", *inputs(copy), *QUICK, "--out", out) == 0
    line = refused(capsys, "run", *inputs(copy), *QUICK, "--seed", "2", "--out", out)
    assert "another run" in line and "seed" in line and "--overwrite" in line
    (copy.parent / "mine").mkdir()
    (copy.parent / "mine" / "thesis.txt").write_text("precious")
    for more in ([], ["--overwrite"]):
        line = refused(capsys, "run", *inputs(copy), *QUICK, *more, "--out", copy.parent / "mine")
        assert "thesis.txt" in line
    assert (copy.parent / "mine" / "thesis.txt").read_text() == "precious"


def test_a_full_disk_leaves_nothing_half_written(capsys, copy: Path, monkeypatch) -> None:
    def full(_path: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = copy.parent / "out"
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "_flush", full)
        line = refused(capsys, "run", *inputs(copy), *QUICK, "--out", out)
    assert "disk is full" in line
    assert not [p for p in out.rglob("*") if p.is_file()]
    assert gp_elm("train", *inputs(copy), *QUICK, "--out", out) == 0
