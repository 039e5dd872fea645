"""Chromosome names are bare as PLINK 2 reads them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from reference.plink_files import write_plink

from gp_elm.io.chromosome_names import bare_chromosome

NAMES = ["0", "01", "chr2", "chr07", "09", "10", "22", "0X", "0Y", "XY", "0M"]


def test_zeros_and_chr_in_front_are_dropped_and_nothing_else() -> None:
    assert [bare_chromosome(name) for name in NAMES] == [
        "0", "1", "2", "7", "9", "10", "22", "X", "Y", "XY", "M",
    ]  # fmt: skip
    kept = ["x", "2L", "012_scaffold", "00A", "chr", "NC_000001.11", "100", ""]
    assert [bare_chromosome(name) for name in kept] == kept
    assert [bare_chromosome(name) for name in ("CHR0x", "00", "chr0", "Chr10")] == ["x", "0", "0", "10"]


@pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")
def test_plink2_reads_the_same_chromosomes(tmp_path: Path) -> None:
    dosage = np.random.default_rng(1).integers(0, 3, (len(NAMES), 4)).astype(np.int8)
    write_plink(tmp_path / "x", dosage, chromosomes=NAMES)
    subprocess.run(
        ["plink2", "--bfile", tmp_path / "x", "--make-just-pvar", "--out", tmp_path / "y",
         "--output-chr", "MT", "--threads", "1"],
        check=True, capture_output=True,
    )  # fmt: skip
    lines = (tmp_path / "y.pvar").read_text().splitlines()
    read = {line.split("\t")[2]: line.split("\t")[0] for line in lines if not line.startswith("#")}
    ours = [bare_chromosome(name) for name in NAMES]
    assert [read[f"v{k}"] for k in range(len(NAMES))] == ["MT" if name == "M" else name for name in ours]
