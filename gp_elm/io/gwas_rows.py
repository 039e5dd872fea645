"""From the text of another program's columns to numbers: odds ratios, missing errors, p-values of any size."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import log_ndtr

from gp_elm.errors import InputError

COLUMNS = (
    "trait", "chromosome", "base_pair_location", "variant_id", "effect_allele", "other_allele",
    "effect_allele_frequency", "n", "gwas_beta", "gwas_standard_error", "gwas_p_value", "gwas_neg_log_10_p_value",
)  # fmt: skip
"""Columns of the rows that are read."""

_TEXT = (
    "trait", "chromosome", "variant_id", "rsid", "effect_allele", "other_allele", "omitted", "reference",
    "alternative", "test", "error",
)  # fmt: skip


def result_rows(text: dict[str, Any], rows: np.ndarray, where: str) -> pd.DataFrame:
    """Rows of a block with our columns.

    Parameters
    ----------
    text : dict of str to pyarrow.Array
        Text of the columns that the file has, by our names.
    rows : (n,) int64
        Lines of the file that they stand on.
    where : str
        The file, for messages.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`.

    Raises
    ------
    InputError
        Where a word is no number, or a p-value is not between 0 and 1.
    """
    size = len(rows)
    strings = {ours: text[ours].to_pandas() for ours in _TEXT if ours in text}
    numbers = {ours: _numbers(text[ours], rows, where, ours) for ours in text if ours not in _TEXT}
    nothing = np.full(size, np.nan)
    beta = numbers.get("beta", nothing)
    if "odds_ratio" in numbers:
        with np.errstate(divide="ignore", invalid="ignore"):
            beta = np.where(np.isnan(beta), np.log(numbers["odds_ratio"]), beta)
    beta = np.where(np.isfinite(beta), beta, np.nan)
    error = _standard_error(numbers, beta)
    p, log_p = _p_values(text, numbers, beta, error, rows, where)
    n = numbers.get("n", numbers["cases"] + numbers["controls"] if "cases" in numbers else nothing)
    n = _whole(n, rows, where, "the number of samples")
    position = _whole(numbers.get("base_pair_location", nothing), rows, where, "the position")
    other = strings.get("other_allele", _other_allele(strings))
    none = pd.Series([None] * size, dtype=object)
    return pd.DataFrame(
        {
            "trait": strings.get("trait", none),
            "chromosome": _filled(strings.get("chromosome", none), "0"),
            "base_pair_location": np.maximum(np.nan_to_num(position), 0).astype(np.int64),
            "variant_id": _filled(_filled(strings.get("variant_id", none), strings.get("rsid", none)), "."),
            "effect_allele": _alleles(strings.get("effect_allele", none)),
            "other_allele": _alleles(none if other is None else other),
            "effect_allele_frequency": numbers.get("effect_allele_frequency", nothing),
            "n": pd.Series(n).astype("Int64"),
            "gwas_beta": beta,
            "gwas_standard_error": error,
            "gwas_p_value": p,
            "gwas_neg_log_10_p_value": log_p,
        }
    )


def _whole(values: np.ndarray, rows: np.ndarray, where: str, what: str) -> np.ndarray:
    wrong = np.flatnonzero(np.abs(values) > 2.0**53)
    if wrong.size:
        raise InputError(f"{where}:{rows[wrong[0]]}: {what} is {values[wrong[0]]:g}; mend the file")
    # PLINK and BOLT-LMM write whole numbers, SAIGE and GWAS-SSF also effective ones with decimals
    return np.round(values)


def _filled(names: pd.Series, other: pd.Series | str) -> pd.Series:
    return names.astype(object).where(names.notna(), other)


def _alleles(names: pd.Series) -> pd.Series:
    # PLINK writes 0 for the allele of a variant that does not vary
    names = names.astype(object)
    return names.where(names.notna() & (names != "0"), None)


def _other_allele(strings: dict[str, pd.Series]) -> pd.Series | None:
    """PLINK 2's other allele: OMITTED where written, or else REF for an ALT, and ALT for REF if there is but one."""
    if "omitted" in strings:
        return strings["omitted"]
    if "reference" not in strings or "alternative" not in strings:
        return None
    counted, reference, alternative = (strings[k] for k in ("effect_allele", "reference", "alternative"))
    several = alternative.astype(str).str.contains(",", regex=False)
    return reference.where(counted != reference, alternative.where(~several, None))


def _standard_error(numbers: dict[str, np.ndarray], beta: np.ndarray) -> np.ndarray:
    """Reported, or beta over the test's statistic."""
    if "standard_error" in numbers:
        return np.where(numbers["standard_error"] > 0, numbers["standard_error"], np.nan)
    statistic = numbers.get("statistic", np.full(len(beta), np.nan))
    if "chi_square" in numbers:
        statistic = np.sqrt(numbers["chi_square"])
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.abs(beta / statistic)
    return np.where(np.isfinite(error) & (error > 0), error, np.nan)


def _p_values(
    text: dict[str, Any], numbers: dict[str, np.ndarray], beta: np.ndarray, error: np.ndarray, rows: np.ndarray,
    where: str,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """p and -log10 p, the one from the other; below the smallest float64, from the digits of the text."""
    p = numbers.get("p_value", np.full(len(beta), np.nan))
    log_p = numbers.get("neg_log_10_p_value", np.full(len(beta), np.nan))
    wrong = np.flatnonzero((p < 0) | (p > 1) | (log_p < 0))
    if wrong.size:
        raise InputError(f"{where}:{rows[wrong[0]]}: the p-value is not between 0 and 1; mend the file")
    with np.errstate(divide="ignore"):
        log_p = np.where(np.isnan(log_p), np.abs(np.log10(p)), log_p)
    tiny = np.flatnonzero((p < 1e-300) & ("neg_log_10_p_value" not in numbers))
    for k in tiny:
        try:
            digits = Decimal(text["p_value"][int(k)].as_py())
        except InvalidOperation:
            continue
        if digits > 0:
            log_p[k] = float(-digits.log10())
        elif np.isfinite(beta[k] / error[k]):
            # the program's own number underflowed: what beta and its error say
            log_p[k] = -(log_ndtr(-abs(beta[k] / error[k])) + np.log(2.0)) / np.log(10.0)
    return np.where(np.isnan(p), 10.0**-log_p, p), log_p


def _numbers(column: Any, rows: np.ndarray, where: str, name: str) -> np.ndarray:
    try:
        values = pc.cast(column, pa.float64())
    except pa.ArrowInvalid:
        values = pa.array(_slowly(column.to_pylist(), rows, where, name), pa.float64())
    return np.array(pc.fill_null(values, float("nan")).to_numpy(zero_copy_only=False))


def _slowly(words: list[str | None], rows: np.ndarray, where: str, name: str) -> list[float | None]:
    """Numbers that Arrow does not read, such as those with blanks or below the smallest float64."""
    values: list[float | None] = []
    for word, row in zip(words, rows, strict=True):
        try:
            values.append(None if word is None else float(word))
        except ValueError as error:
            raise InputError(
                f"{where}:{row}: {name} is {word!r}, which is no number; write NA if missing"
            ) from error
    return values
