"""The variants of a cohort that its networks see: all, those of a list, or what thinning leaves of many."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from gp_elm.elm.reading import DosageReader
from gp_elm.errors import OptionError
from gp_elm.genotypes.sample_filters import IdList
from gp_elm.genotypes.thinning import MOST_SAMPLES, evenly_spaced, thin_variants
from gp_elm.io.blocks import select
from gp_elm.io.id_lists import read_ids
from gp_elm.runtime.atomic import atomic_path
from gp_elm.streaming.store import cohort_identity

logger = logging.getLogger(__name__)

MAX_VARIANTS = 50_000
"""Variants that networks see by default: with 256 units a matrix over them takes 100 MB, and five folds hold ten."""


@dataclass(frozen=True, eq=False)
class SeenVariants:
    """Which variants the networks see.

    Attributes
    ----------
    kept : (k,) int64
        Positions in the cohort, ascending.
    of : int
        Variants of the cohort.
    how : str
        How they were chosen, in words; empty where they are all.
    """

    kept: NDArray[np.int64]
    of: int
    how: str = ""

    @property
    def left_out(self) -> int:
        """Variants that the networks do not see."""
        return self.of - self.kept.size

    def facts(self) -> dict[str, Any]:
        """For ``run.json``; nothing where the networks see every variant."""
        if not self.left_out:
            return {}
        return {"n_variants_network": int(self.kept.size), "variants_network": self.how}


def seen_variants(
    cohort: xr.Dataset,
    discovery: NDArray[np.int64],
    *,
    max_variants: int = MAX_VARIANTS,
    variants_from: IdList | None = None,
    directory: Path | None = None,
    fingerprint: Mapping[str, Any] | None = None,
) -> SeenVariants:
    """Choose the variants that the networks of a cohort see, by the discovery samples' genotypes alone.

    Parameters
    ----------
    cohort : xarray.Dataset
        The cohort.
    discovery : (n,) int64
        Discovery samples, as positions; neither their traits nor the other samples count.
    max_variants : int
        With more variants than this, those in LD are thinned
        (:func:`gp_elm.genotypes.thinning.thin_variants`); 0 for no limit.
    variants_from : path or sequence of str, optional
        Identifiers of the variants to see instead, however many.
    directory : path, optional
        Where the choice is kept, and found again for the same cohort, samples and limit.
    fingerprint : mapping, optional
        Identity of the source.

    Returns
    -------
    SeenVariants
        The choice; what is left out is said in the log.

    Raises
    ------
    OptionError
        Where the limit is negative, or no listed variant is in the cohort.
    """
    m = cohort.sizes["variants"]
    if max_variants < 0:
        raise OptionError(f"--max-variants {max_variants} is negative; give 0 for no limit, or more")
    if variants_from is not None:
        seen = SeenVariants(*_listed(cohort, variants_from))
    elif not max_variants or m <= max_variants:
        return SeenVariants(np.arange(m), m)
    else:
        key = _key(cohort, discovery, max_variants, fingerprint or {})
        kept = None if directory is None else directory / "seen.json"
        found = None if kept is None else _read(kept, key, m)
        seen = found or _thinned(cohort, discovery, max_variants)
        if kept is not None and found is None:
            with atomic_path(kept) as temporary:
                described = {"key": key, "how": seen.how, "kept": seen.kept.tolist()}
                temporary.write_text(json.dumps(described), encoding="utf-8")
    if seen.left_out:
        logger.info(
            "the networks see %d of %d variants (%s); the scan and the table have them all",
            seen.kept.size, m, seen.how,
        )  # fmt: skip
    return seen


def _listed(cohort: xr.Dataset, variants_from: IdList) -> tuple[NDArray[np.int64], int, str]:
    name, ids = read_ids(variants_from)
    wanted = pd.Index(np.unique([first for first, _ in ids]))
    present = cohort["variant_id"].values
    kept = np.flatnonzero(pd.Index(present).isin(wanted))
    if not kept.size:
        raise OptionError(
            f"--variants-from {name}: none of {len(wanted)} ids is in the cohort; "
            f"the list has {wanted[0]}, the cohort {present[0]}"
        )
    unknown = len(wanted) - int(wanted.isin(present).sum())
    if unknown:
        logger.warning("--variants-from %s: %d of %d ids are not in the cohort", name, unknown, len(wanted))
    return kept, len(present), f"those of {name}"


def _thinned(cohort: xr.Dataset, discovery: NDArray[np.int64], max_variants: int) -> SeenVariants:
    rows = evenly_spaced(discovery, cohort["sample_id"].values, MOST_SAMPLES)
    few = select(cohort, samples=rows)
    read = DosageReader(few, np.arange(rows.size))
    found = thin_variants(read, cohort["variant_contig"].values, max_variants)
    return SeenVariants(found.kept, cohort.sizes["variants"], found.words())


def _key(cohort: xr.Dataset, discovery: NDArray[np.int64], most: int, fingerprint: Mapping[str, Any]) -> str:
    what = [cohort_identity(cohort), discovery.tolist(), most, fingerprint]
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()


def _read(path: Path, key: str, of: int) -> SeenVariants | None:
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        if described["key"] != key:
            return None
        return SeenVariants(np.asarray(described["kept"], np.int64), of, described["how"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
