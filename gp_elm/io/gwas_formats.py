"""The files of association results that are read, each recognised by the words of its header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gp_elm.errors import InputError


@dataclass(frozen=True)
class Format:
    """One program's table of results.

    Attributes
    ----------
    name : str
        What the messages call it.
    needs : tuple of str
        Words of the header that tell it; ``A|B`` means one of the two.
    columns : mapping of str to tuple of str
        Our name of a column: its names there, the first that is there being taken.
    suffix : str
        Regular expression for the end of such a file's name, the trait standing before it.
    """

    name: str
    needs: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]] = field(repr=False)
    suffix: str = r"\.[^.]*"

    def recognises(self, header: list[str]) -> bool:
        """Whether a header is of this format."""
        return all(any(word in header for word in need.split("|")) for need in self.needs)

    def source(self, header: list[str]) -> dict[str, str]:
        """The file's own name of each of our columns that the header has."""
        found = {
            ours: next((word for word in names if word in header), "") for ours, names in self.columns.items()
        }
        return {ours: word for ours, word in found.items() if word}


_PLINK_1: dict[str, tuple[str, ...]] = {
    "chromosome": ("CHR",),
    "variant_id": ("SNP",),
    "base_pair_location": ("BP",),
    "p_value": ("P",),
}
_EFFECT: dict[str, tuple[str, ...]] = {"beta": ("BETA",), "standard_error": ("SE",)}

# The effect allele is PLINK 2's A1, REGENIE's and BOLT-LMM's ALLELE1, GEMMA's allele1, but SAIGE's Allele2.
FORMATS: tuple[Format, ...] = (
    Format(
        "gp-elm",
        ("trait", "base_pair_location", "effect_allele", "gwas_beta", "gwas_p_value"),
        {
            "trait": ("trait",), "chromosome": ("chromosome",), "base_pair_location": ("base_pair_location",),
            "variant_id": ("variant_id",), "effect_allele": ("effect_allele",), "other_allele": ("other_allele",),
            "effect_allele_frequency": ("effect_allele_frequency",), "n": ("n",), "beta": ("gwas_beta",),
            "standard_error": ("gwas_standard_error",), "p_value": ("gwas_p_value",),
            "neg_log_10_p_value": ("gwas_neg_log_10_p_value",),
        },
    ),
    Format(
        "PLINK 2 --glm",
        ("ID", "A1", "P|LOG10_P|NEG_LOG10_P", "OBS_CT|TEST|ERRCODE", "BETA|OR"),
        {
            "chromosome": ("CHROM",), "base_pair_location": ("POS",), "variant_id": ("ID",), "effect_allele": ("A1",),
            "omitted": ("OMITTED", "AX"), "reference": ("REF",), "alternative": ("ALT",),
            "effect_allele_frequency": ("A1_FREQ",), "test": ("TEST",), "n": ("OBS_CT",), "odds_ratio": ("OR",),
            "beta": ("BETA",), "standard_error": ("SE", "LOG(OR)_SE"),
            "statistic": ("T_STAT", "Z_STAT", "T_OR_F_STAT", "Z_OR_F_STAT"), "p_value": ("P",),
            "neg_log_10_p_value": ("LOG10_P", "NEG_LOG10_P"), "error": ("ERRCODE",),
        },
        r"\.glm\.[a-z.]+",
    ),
    Format(
        "PLINK 1.9 --linear or --logistic",
        ("SNP", "A1", "TEST", "NMISS", "BETA|OR", "P"),
        _PLINK_1 | _EFFECT
        | {"effect_allele": ("A1",), "test": ("TEST",), "n": ("NMISS",), "odds_ratio": ("OR",), "statistic": ("STAT",)},
        r"\.assoc\.(linear|logistic)",
    ),
    Format(
        "PLINK 1.9 --assoc (case/control)",
        ("SNP", "A1", "A2", "F_A|C_A", "P", "OR"),
        _PLINK_1
        | {
            "effect_allele": ("A1",), "other_allele": ("A2",), "effect_allele_frequency": ("F_U",),
            "odds_ratio": ("OR",), "standard_error": ("SE",), "chi_square": ("CHISQ",),
        },
        r"\.assoc(\.fisher)?",
    ),
    Format(
        "PLINK 1.9 --assoc (quantitative)",
        ("SNP", "NMISS", "BETA", "R2", "T"),
        _PLINK_1 | _EFFECT | {"n": ("NMISS",)},
        r"\.qassoc",
    ),
    Format(
        "REGENIE step 2",
        ("GENPOS", "ID", "ALLELE0", "ALLELE1", "LOG10P", "BETA"),
        _EFFECT
        | {
            "chromosome": ("CHROM",), "base_pair_location": ("GENPOS",), "variant_id": ("ID",),
            "other_allele": ("ALLELE0",), "effect_allele": ("ALLELE1",), "effect_allele_frequency": ("A1FREQ",),
            "n": ("N",), "test": ("TEST",), "neg_log_10_p_value": ("LOG10P",),
        },
        r"\.regenie",
    ),
    Format(
        "GEMMA",
        ("rs", "ps", "allele1", "allele0", "af", "p_wald|p_lrt|p_score"),
        {
            "chromosome": ("chr",), "base_pair_location": ("ps",), "variant_id": ("rs",),
            "effect_allele": ("allele1",), "other_allele": ("allele0",), "effect_allele_frequency": ("af",),
            "n": ("n_obs",), "beta": ("beta",), "standard_error": ("se",), "p_value": ("p_wald", "p_lrt", "p_score"),
        },
        r"\.assoc\.txt",
    ),
    Format(
        "SAIGE step 2",
        ("CHR", "POS", "Allele1", "Allele2", "BETA", "p.value"),
        _EFFECT
        | {
            "chromosome": ("CHR",), "base_pair_location": ("POS",), "variant_id": ("MarkerID", "SNPID", "rsid"),
            "other_allele": ("Allele1",), "effect_allele": ("Allele2",), "effect_allele_frequency": ("AF_Allele2",),
            "n": ("N",), "cases": ("N_case", "N.Cases"), "controls": ("N_ctrl", "N.Controls"),
            "p_value": ("p.value",),
        },
    ),
    Format(
        "BOLT-LMM",
        ("SNP", "GENPOS", "ALLELE1", "ALLELE0", "A1FREQ", "P_BOLT_LMM|P_BOLT_LMM_INF|P_LINREG"),
        _PLINK_1 | _EFFECT
        | {
            "effect_allele": ("ALLELE1",), "other_allele": ("ALLELE0",), "effect_allele_frequency": ("A1FREQ",),
            "p_value": ("P_BOLT_LMM", "P_BOLT_LMM_INF", "P_LINREG"),
        },
    ),
    Format(
        "GWAS-SSF",
        ("chromosome", "base_pair_location", "effect_allele", "other_allele", "beta|odds_ratio|hazard_ratio",
         "p_value|neg_log_10_p_value"),
        {name: (name,) for name in (
            "trait", "chromosome", "base_pair_location", "effect_allele", "other_allele", "beta",
            "standard_error", "effect_allele_frequency", "p_value", "neg_log_10_p_value", "n",
        )} | {"variant_id": ("variant_id",), "rsid": ("rsid",), "odds_ratio": ("odds_ratio", "hazard_ratio")},
    ),
)  # fmt: skip
"""Known formats, in the order in which a header is tried."""


def recognise(header: list[str], where: str) -> Format:
    """Tell a file's format from its header.

    Parameters
    ----------
    header : list of str
        Names of its columns, without a leading ``#``.
    where : str
        The file, for messages.

    Returns
    -------
    Format

    Raises
    ------
    InputError
        Where it is none of the known formats, with the header and the list of them.
    """
    for known in FORMATS:
        if known.recognises(header):
            return known
    words = " ".join(header[:16]) + (" ..." if len(header) > 16 else "")
    raise InputError(
        f"{where}: the header {words[:300]!r} is of no association results that are known; give a file of "
        f"{', '.join(known.name for known in FORMATS[1:])}, or rename the columns as in GWAS-SSF (chromosome "
        "base_pair_location effect_allele other_allele beta standard_error p_value)"
    )
