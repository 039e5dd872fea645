"""The variables of a cohort that say who its samples and variants are, from the columns of any format."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from gp_elm.errors import InputError
from gp_elm.io.plain_text import short_text

log = logging.getLogger(__name__)

LONGEST_FIXED = 64  # characters; beyond, a fixed-width array of a million variants would take gigabytes


def sample_variables(
    family: ArrayLike | None, iid: ArrayLike, sex: ArrayLike | None, *, where: str
) -> dict[str, NDArray]:
    """Identity of the samples.

    Parameters
    ----------
    family : array_like of str (n,), optional
        FID, "0" where none.
    iid : array_like of str (n,)
        Sample ids.
    sex : array_like (n,), optional
        1 male, 2 female; anything else is unknown.
    where : str
        The file, for messages.

    Returns
    -------
    dict
        ``sample_id``, ``sample_family_id``, ``sample_sex`` along samples; ``sample_id`` is the IID, or FID_IID where
        IIDs repeat between families, and then ``sample_iid`` is there too.

    Raises
    ------
    InputError
        Where neither is unique.
    """
    iid = short_text(iid, where)
    families = np.full(len(iid), "0") if family is None else short_text(family, where)
    extra: dict[str, NDArray] = {}
    sample_id = iid
    if not pd.Index(iid).is_unique:
        repeated_iid = str(iid[pd.Index(iid).duplicated()][0])
        if (families == "0").all():
            raise InputError(f"{where}: sample {repeated_iid!r} is there twice; rename or remove one")
        sample_id, extra = np.char.add(np.char.add(families, "_"), iid), {"sample_iid": iid}
        log.info("%s: IID %r and others repeat between families; sample_id is FID_IID", where, repeated_iid)
        if not pd.Index(sample_id).is_unique:
            raise InputError(
                f"{where}: FID_IID {str(sample_id[pd.Index(sample_id).duplicated()][0])!r} names two samples; "
                "rename the samples so that IID is unique (plink --update-ids)"
            )
    code = np.zeros(len(iid)) if sex is None else np.asarray(sex, np.float64)
    return {
        "sample_id": sample_id,
        "sample_family_id": families,
        "sample_sex": np.where(np.isin(code, (1, 2)), code, 0).astype(np.int8),
        **extra,
    }


def variant_variables(
    chromosome: ArrayLike,
    position: NDArray[np.int64],
    variant_id: ArrayLike,
    effect_allele: ArrayLike,
    other_allele: ArrayLike,
) -> dict[str, NDArray]:
    """Identity of the variants.

    Parameters
    ----------
    chromosome : array_like of str (m,)
        Names.
    position : ndarray of int64 (m,)
        1-based, 0 where unplaced.
    variant_id, effect_allele, other_allele : array_like of str (m,)
        As in the source; dosage counts the effect allele.

    Returns
    -------
    dict
        ``variant_contig`` (int32), ``variant_position``, ``variant_id``, ``variant_effect_allele``,
        ``variant_other_allele`` along variants, and ``contig_id`` along contigs, in order of appearance.
    """
    codes, names = pd.factorize(np.asarray(chromosome, object))
    return {
        "variant_contig": codes.astype(np.int32),
        "contig_id": np.asarray(names, dtype=str),
        "variant_position": position,
        "variant_id": text_array(variant_id),
        "variant_effect_allele": text_array(effect_allele),
        "variant_other_allele": text_array(other_allele),
    }


def text_array(values: ArrayLike) -> NDArray[np.str_] | NDArray[np.object_]:
    """Strings, fixed-width where none is long."""
    array = np.asarray(values, object)
    longest = int(pd.Series(array).str.len().max()) if len(array) else 0
    return array if longest > LONGEST_FIXED else array.astype(str)


def cohort_dataset(
    variants: dict[str, NDArray], samples: dict[str, NDArray], sources: dict[str, str]
) -> xr.Dataset:
    """A cohort without its genotypes: diploid everywhere, ``attrs`` naming the files (``source_<kind>``)."""
    return xr.Dataset(
        {
            **{name: ("variants", values) for name, values in variants.items() if name != "contig_id"},
            "contig_id": ("contigs", variants["contig_id"]),
            "variant_ploidy": ("variants", np.full(len(variants["variant_id"]), 2, np.int8)),
            **{name: ("samples", values) for name, values in samples.items()},
        },
        attrs={f"source_{kind}": path for kind, path in sources.items()},
    )
