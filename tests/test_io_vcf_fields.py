"""Records find their effects whatever the chromosome is called in either file."""

from __future__ import annotations

import pandas as pd
import pytest

from gp_elm.io.vcf_fields import Effects


@pytest.mark.parametrize(
    ("ours", "contig"),
    [("1", "01"), ("01", "1"), ("01", "chr1"), ("chr01", "chr1"), ("0X", "chrX"), ("X", "0X"), ("23", "0X")],
)
def test_zeros_before_a_chromosome_make_no_difference(ours: str, contig: str) -> None:
    frame = pd.DataFrame(
        {
            "trait": "height", "chromosome": [ours], "base_pair_location": 100, "variant_id": "a",
            "effect_allele": "G", "other_allele": "A", "gwas_beta": 0.5,
        }
    )  # fmt: skip
    effects = Effects(frame, "x.tsv", traits=None, taken=(), contigs=[contig])
    assert effects.info(contig, 100, "a", "A", ["G"]) == "GWAS_BETA_height=0.5"
