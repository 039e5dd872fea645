"""What stands in the columns of ``obs`` and ``var`` of an AnnData: words, positions, sexes, and how variants count."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gp_elm.errors import InputError

log = logging.getLogger(__name__)

OWN = ("chromosome", "base_pair_location", "variant_id", "effect_allele", "other_allele", "ploidy")
"""Columns of ``var`` in an AnnData that this package made; all of them tell one that has lost its ``uns``."""
_PLOIDIES, _LINKAGES = (1, 2), (0, 1, 2, 3)
_SEXES = {"1": 1, "m": 1, "male": 1, "2": 2, "f": 2, "female": 2}


def counting(var: pd.DataFrame) -> dict[str, NDArray]:
    """How the variants count, where this package has coded them: they are not to be coded again.

    Parameters
    ----------
    var : pandas.DataFrame
        ``var`` of any AnnData.

    Returns
    -------
    dict
        ``variant_ploidy`` and, where X or Y depend on sex, ``variant_sex_linkage``, each (m,); empty for an AnnData
        from elsewhere.

    Raises
    ------
    InputError
        Where a value is none of those of :mod:`gp_elm.schema`.
    """
    if not set(OWN) <= set(var.columns):
        return {}
    found = {"variant_ploidy": _codes(var["ploidy"], _PLOIDIES)}
    if "variant_sex_linkage" in var:
        found["variant_sex_linkage"] = _codes(var["variant_sex_linkage"], _LINKAGES)
    return found


def sexes(column: pd.Series) -> NDArray[np.int8]:
    """Sexes (n,) from 1, m, male and 2, f, female, whatever their capitals: 1 male, 2 female, 0 unknown."""
    said = pd.Series(words(column)).str.strip().str.lower().str.removesuffix(".0")
    codes = said.map(_SEXES).fillna(0).to_numpy().astype(np.int8)
    if n_other := int(((codes == 0) & ~said.isin(["", "0"])).sum()):
        log.warning(
            "AnnData obs: %s of %d samples is none of 1, 2, m, f, male, female: their sex is unknown",
            column.name, n_other,
        )  # fmt: skip
    return codes


def words(values: pd.Series, missing: str = "") -> NDArray[np.object_]:
    """Words of a column; whole numbers without a point."""
    if pd.api.types.is_float_dtype(values.dtype):
        numbers = values.to_numpy(np.float64, na_value=np.nan)
        if (np.isnan(numbers) | (numbers == np.rint(numbers))).all():
            values = values.astype("Int64")
    absent = values.isna().to_numpy()
    return np.where(
        absent, missing, values.astype(object).where(~absent, missing).astype(str).to_numpy(object)
    )


def positions(values: pd.Series) -> NDArray[np.int64]:
    """Base-pair positions (m,) of a column of ``var``; missing and negative ones become 0, which is logged.

    Raises
    ------
    InputError
        Where one is no whole number.
    """
    numbers = pd.to_numeric(values.astype(object), errors="coerce").to_numpy(np.float64)
    absent = values.isna().to_numpy()
    wrong = ~absent & ~(np.isfinite(numbers) & (numbers == np.trunc(numbers)))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"the AnnData's var: {values.name} of {values.index[at]} is {values.iloc[at]!r}, which is no whole number; "
            "write the base-pair position, or 0 where it is not known"
        )
    if unplaced := int((absent | (numbers < 0)).sum()):
        log.warning("AnnData: %d missing or negative positions are read as 0 (unplaced)", unplaced)
    return np.where(absent | (numbers < 0), 0, numbers).astype(np.int64)


def _codes(values: pd.Series, known: tuple[int, ...]) -> NDArray[np.integer]:
    """Whole numbers of a column, each one of those known, in its own dtype where that is of whole numbers."""
    numbers = pd.to_numeric(values.astype(object), errors="coerce").to_numpy(np.float64)
    wrong = ~np.isin(numbers, known)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"the AnnData's var: {values.name} of {values.index[at]} is {values.iloc[at]!r}, not one of "
            f"{', '.join(map(str, known))}; take the column from the AnnData as it was written"
        )
    array = values.to_numpy()
    return array if array.dtype.kind in "iu" else numbers.astype(np.int8)
