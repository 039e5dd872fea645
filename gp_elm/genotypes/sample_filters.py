"""Which samples of a cohort are used: lists of ids and of families, missing calls."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from gp_elm.errors import OptionError
from gp_elm.genotypes.frequencies import sample_missing_rate
from gp_elm.genotypes.thresholds import ROUNDING, check_share
from gp_elm.io.blocks import select
from gp_elm.io.id_lists import read_ids
from gp_elm.io.sample_ids import SampleIndex

log = logging.getLogger(__name__)

IdList = str | os.PathLike[str] | Sequence[str]


def filter_samples(
    cohort: xr.Dataset, *, keep: IdList | None = None, remove: IdList | None = None
) -> xr.Dataset:
    """Keep or drop the samples of a list.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    keep, remove : path or sequence of str, optional
        Samples as ``FID IID`` or ``IID``, one a line; ids that the cohort lacks are counted in the log.

    Returns
    -------
    xarray.Dataset
        The subset.

    Raises
    ------
    OptionError
        Where no sample is left.
    """
    for option, source in (("keep", keep), ("remove", remove)):
        if source is None:
            continue
        name, ids = read_ids(source)
        index = SampleIndex(cohort)
        found = [index.find(first if second else "0", second or first) for first, second in ids]
        listed = np.zeros(cohort.sizes["samples"], bool)
        listed[[position for position in found if position >= 0]] = True
        n_unknown = found.count(-1)
        if n_unknown:
            log.warning("--%s %s: %d of %d ids are not in the cohort", option, name, n_unknown, len(ids))
        mask = listed if option == "keep" else ~listed
        if not mask.any():
            raise OptionError(
                f"--{option} {name} leaves no sample; the list has {' '.join(ids[0]).strip()!r}, "
                f"the cohort {index.example()!r}"
            )
        log.info("--%s %s: %d of %d samples are left", option, name, int(mask.sum()), len(mask))
        cohort = select(cohort, samples=mask)
    return cohort


def filter_families(
    cohort: xr.Dataset, *, keep_fam: IdList | None = None, remove_fam: IdList | None = None
) -> xr.Dataset:
    """Keep or drop the families of a list.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    keep_fam, remove_fam : path or sequence of str, optional
        FIDs, the first word of each line; those that the cohort lacks are counted in the log. ``0`` stands for the
        samples without family.

    Returns
    -------
    xarray.Dataset
        The subset.

    Raises
    ------
    OptionError
        Where the cohort has no families, or no sample is left.
    """
    for option, source in (("keep-fam", keep_fam), ("remove-fam", remove_fam)):
        if source is None:
            continue
        name, ids = read_ids(source)
        families = pd.Index(
            cohort["sample_family_id"].to_numpy().astype(str)
            if "sample_family_id" in cohort
            else np.full(cohort.sizes["samples"], "0")
        )
        if (families == "0").all():
            raise OptionError(
                f"--{option} {name}: no sample has a family (FID); list samples with --keep or --remove"
            )
        wanted = pd.Index([first for first, _ in ids]).unique()
        n_unknown = len(wanted) - int(wanted.isin(families).sum())
        if n_unknown:
            log.warning(
                "--%s %s: %d of %d families are not in the cohort", option, name, n_unknown, len(wanted)
            )
        listed = families.isin(wanted)
        mask = listed if option == "keep-fam" else ~listed
        if not mask.any():
            raise OptionError(
                f"--{option} {name} leaves no sample; the list has family {wanted[0]!r}, the cohort {families[0]!r}"
            )
        log.info("--%s %s: %d of %d samples are left", option, name, int(mask.sum()), len(mask))
        cohort = select(cohort, samples=mask)
    return cohort


def filter_sample_missingness(cohort: xr.Dataset, mind: float) -> xr.Dataset:
    """Drop samples with too many missing calls, in one pass.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    mind : float
        Largest missing rate that is kept, 0 to 1.

    Returns
    -------
    xarray.Dataset
        The subset.

    Raises
    ------
    OptionError
        Where ``mind`` is out of range, or no sample is left.
    """
    check_share("mind", mind, 1.0)
    rate = sample_missing_rate(cohort)
    mask = rate <= mind * (1 + ROUNDING)
    if not mask.any():
        raise OptionError(f"--mind {mind:g} leaves no sample; the smallest missing rate is {rate.min():.4g}")
    log.info("--mind %g: %d of %d samples are left", mind, int(mask.sum()), len(mask))
    return select(cohort, samples=mask)
