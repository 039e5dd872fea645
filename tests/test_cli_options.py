"""Options as PLINK's users type them."""

from __future__ import annotations

import pytest

from gp_elm.cli_options import join_plink_words


@pytest.mark.parametrize(
    ("typed", "joined"),
    [
        ("gwas --hwe 1e-6 midp --maf 0.1", ["gwas", "--hwe=1e-6 midp", "--maf", "0.1"]),
        ("--hwe 1e-6 --out x", ["--hwe=1e-6", "--out", "x"]),
        ("--snps-only --out x", ["--snps-only=all", "--out", "x"]),
        ("--snps-only just-acgt --out x", ["--snps-only=just-acgt", "--out", "x"]),
        ("--chr-set 26 no-xy no-mt --chr X", ["--chr-set=26 no-xy no-mt", "--chr", "X"]),
        ("--chr-set -12", ["--chr-set=-12"]),
        ("--hwe", ["--hwe"]),
    ],
)
def test_several_words_or_none(typed: str, joined: list[str]) -> None:
    assert join_plink_words(typed.split()) == joined
