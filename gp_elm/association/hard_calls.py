"""Dominance is of hard calls: dosages between the genotypes are refused."""

from __future__ import annotations

import numpy as np
import xarray as xr

from gp_elm.errors import InputError


def check_hard_calls(cohort: xr.Dataset, block: np.ndarray, variants: slice | np.ndarray) -> None:
    """Refuse imputed dosages, of which hardly one would be exactly 1 and so heterozygous.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    block : (b, n) int8, or float with NaN missing
        Dosages of some of its variants; those that count 0/1 are not looked at.
    variants : slice or (b,) int64
        Which variants these are.

    Raises
    ------
    InputError
        Where a dosage is not whole, with the variant and the dosage.
    """
    if block.dtype.kind != "f":
        return
    between = np.isfinite(block) & (block != np.rint(block))
    between &= (cohort["variant_ploidy"].values[variants] == 2)[:, None]
    refused = np.flatnonzero(between.any(axis=1))
    if refused.size:
        first = refused[0]
        raise InputError(
            f"--dominance: variant {cohort['variant_id'].values[variants][first]} has a dosage of "
            f"{block[first][between[first]][0]:.3g}, but dominance needs hard calls; leave out --dosages"
        )
