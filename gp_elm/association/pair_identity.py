"""Which variants a pair joins: from indices or identifiers to indices, and back to a table's columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from gp_elm.errors import InputError


def pair_indices(cohort: xr.Dataset, pairs: np.ndarray | pd.DataFrame) -> np.ndarray:
    """Indices of the two variants of each pair.

    Parameters
    ----------
    cohort : xarray.Dataset
    pairs : (P, 2) int array, or DataFrame with variant_id_1 and variant_id_2

    Returns
    -------
    (P, 2) int64

    Raises
    ------
    InputError
        For an unknown, ambiguous or out-of-range variant, or a pair of a variant with itself.
    """
    n_variants = cohort.sizes["variants"]
    if isinstance(pairs, pd.DataFrame):
        names = pd.Index(cohort["variant_id"].values.astype(str))
        sides = []
        for column in ("variant_id_1", "variant_id_2"):
            if column not in pairs:
                raise InputError(
                    f"the table of pairs has no column {column!r}; give variant_id_1 and variant_id_2"
                )
            wanted = pairs[column].astype(str).to_numpy()
            known = np.isin(wanted, names.to_numpy())
            if not known.all():
                raise InputError(
                    f"variant {wanted[~known][0]!r} of the pairs is not in the cohort; remove or rename it"
                )
            twice = np.isin(wanted, names[names.duplicated()].to_numpy())
            if twice.any():
                raise InputError(
                    f"variant id {wanted[twice][0]!r} names several variants; give indices instead"
                )
            sides.append(names.get_indexer(wanted))
        indices = np.stack(sides, axis=1)
    else:
        indices = np.asarray(pairs)
        if indices.ndim != 2 or indices.shape[1] != 2 or indices.dtype.kind not in "iu":
            raise InputError(
                f"pairs have shape {indices.shape}, {indices.dtype}; give a (pairs, 2) array of indices"
            )
    indices = indices.astype(np.int64)
    if len(indices) and (indices.min() < 0 or indices.max() >= n_variants):
        raise InputError(
            f"pairs index variants {indices.min()} to {indices.max()}; the cohort has {n_variants}"
        )
    same = np.flatnonzero(indices[:, 0] == indices[:, 1])
    if len(same):
        raise InputError(
            f"pair {same[0]} holds variant {indices[same[0], 0]} twice; give two different variants"
        )
    return indices


def pair_identity(cohort: xr.Dataset, indices: np.ndarray) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Identity of both variants of each pair, as the variables of a Dataset along ``pairs``.

    Parameters
    ----------
    cohort : xarray.Dataset
    indices : (P, 2) int64

    Returns
    -------
    dict
        ``index``, ``variant_id``, ``chromosome``, ``base_pair_location``, ``effect_allele``, ``other_allele``, each
        with ``_1`` and ``_2``.
    """
    contigs = np.asarray(cohort["contig_id"].values, dtype=object)
    columns: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for side in (0, 1):
        at = indices[:, side]
        for name, values in (
            ("index", at),
            ("variant_id", cohort["variant_id"].values[at]),
            ("chromosome", contigs[cohort["variant_contig"].values[at]]),
            ("base_pair_location", cohort["variant_position"].values[at]),
            ("effect_allele", cohort["variant_effect_allele"].values[at]),
            ("other_allele", cohort["variant_other_allele"].values[at]),
        ):
            columns[f"{name}_{side + 1}"] = (("pairs",), values)
    return columns
