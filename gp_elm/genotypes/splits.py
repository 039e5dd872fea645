"""Held-out samples and cross-fitting folds, by whole groups of related samples."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from gp_elm.errors import OptionError

log = logging.getLogger(__name__)

SETS = ("discovery", "heldout")
MOST_UNEVEN = 2.0
"""A fold this many times larger than an even share is worth a warning."""


@dataclass(frozen=True, eq=False)
class Split:
    """Which samples are held out, and in which fold the others are.

    Attributes
    ----------
    heldout : ndarray of bool (n,)
        Samples that no network of the discovery set sees.
    fold : ndarray of int64 (n,)
        0 .. n_folds - 1, and -1 for held-out samples.
    groups : ndarray of int64 (n,)
        Group of each sample; numbered in the order of their labels, so the samples' order does not matter.
    """

    heldout: NDArray[np.bool_]
    fold: NDArray[np.int64]
    groups: NDArray[np.int64]

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1

    @property
    def discovery(self) -> NDArray[np.int64]:
        """Positions of the discovery samples."""
        return np.flatnonzero(~self.heldout)

    def to_frame(self, cohort: xr.Dataset) -> pd.DataFrame:
        """Write down the split.

        Parameters
        ----------
        cohort : xarray.Dataset
            The cohort that was split.

        Returns
        -------
        pandas.DataFrame
            ``family_id sample_id set fold``; fold is missing for held-out samples.
            :func:`gp_elm.genotypes.split_files.read_split` reads it back.
        """
        n = len(self.fold)
        family = cohort["sample_family_id"].to_numpy() if "sample_family_id" in cohort else np.full(n, "0")
        return pd.DataFrame(
            {
                "family_id": family,
                "sample_id": cohort["sample_id"].to_numpy(),
                "set": np.where(self.heldout, SETS[1], SETS[0]),
                "fold": pd.array(np.where(self.heldout, 0, self.fold), dtype="Int64").to_numpy(object),
            }
        ).assign(fold=lambda frame: frame["fold"].where(~self.heldout, None).astype("Int64"))


def split_cohort(
    groups: ArrayLike | None,
    n: int,
    *,
    heldout_fraction: float = 0.2,
    n_folds: int = 5,
    seed: int = 1,
    sample_id: ArrayLike | None = None,
    sample_set: ArrayLike | None = None,
    fold: ArrayLike | None = None,
) -> Split:
    """Split samples by whole groups.

    Groups are ordered by a hash of their label and the seed, so the order of the samples makes no difference.
    In that order a group is held out where this brings the number of held-out samples nearer to its target;
    the rest is dealt to the folds, the largest group first, always to the smallest fold.

    Parameters
    ----------
    groups : array_like (n,), optional
        Label of each sample's group; None: each sample by itself.
    n : int
        Samples.
    heldout_fraction : float
        Share of the samples to hold out, 0 to below 1.
    n_folds : int
        Folds among the discovery samples, at least 2.
    seed : int
        Another seed, another split.
    sample_id : array_like (n,), optional
        Sample ids, the labels where there are no groups; positions by default.
    sample_set : array_like (n,) of {"discovery", "heldout"}, optional
        The user's own choice of held-out samples.
    fold : array_like (n,) of int, optional
        The user's own folds of the discovery samples, any labels; negative for held-out samples.

    Returns
    -------
    Split
        Held-out samples, folds and groups.

    Raises
    ------
    OptionError
        Where an option is out of range, or there are too few groups for the folds.
    """
    _check_options(heldout_fraction, n_folds)
    if groups is not None:
        labels = np.asarray(groups).astype(str)
    elif sample_id is not None:
        labels = np.asarray(sample_id).astype(str)
    else:
        labels = np.arange(n).astype(str)
    if len(labels) != n:
        raise OptionError(f"{len(labels)} group labels for {n} samples; give one for each sample")
    names, index = np.unique(labels, return_inverse=True)
    index = index.astype(np.int64)
    sizes = np.bincount(index, minlength=len(names))
    order = _hash_order(names, seed)
    if sample_set is None:
        heldout = _hold_out(sizes, order, heldout_fraction * n)[index]
        if heldout_fraction > 0 and not heldout.any():
            raise OptionError(
                f"no group can be held out: {len(names)} groups, the largest of {sizes.max()} samples, for "
                f"{heldout_fraction * n:.0f} held-out samples; give smaller --groups, or a split of your own"
            )
    else:
        heldout = _given_sets(sample_set)
        _warn_of_torn_groups(heldout, index, "held-out and discovery samples")
    if fold is not None:
        folds = _given_folds(fold, heldout)
        _warn_of_torn_groups(folds[~heldout], index[~heldout], "folds")
    else:
        folds = _deal(index, order, ~heldout, n_folds)
    log.info(
        "%d discovery samples in %d folds of %d to %d, %d held out, %s",
        int((~heldout).sum()), folds.max() + 1, *_range(np.bincount(folds[folds >= 0])), int(heldout.sum()),
        "each sample by itself" if len(names) == n else f"{len(names)} groups kept whole",
    )  # fmt: skip
    return Split(heldout, folds, index)


def check_split(split: Split, phenotype: ArrayLike, trait_id: Sequence[str]) -> None:
    """Refuse a split that leaves a trait without values where they are needed.

    Parameters
    ----------
    split : Split
        The split.
    phenotype : array_like (n, T)
        Traits, NaN missing.
    trait_id : sequence of str
        Their names.

    Raises
    ------
    OptionError
        Where a trait has fewer than two different values among the held-out samples, among the discovery
        samples or outside of a fold.
    """
    values = np.asarray(phenotype, dtype=np.float64)
    parts = [("all discovery samples", ~split.heldout)]
    if split.heldout.any():
        parts.insert(0, ("all held-out samples", split.heldout))
    parts += [
        (f"all discovery samples outside of fold {k}", ~split.heldout & (split.fold != k))
        for k in range(split.n_folds)
    ]
    for t, name in enumerate(trait_id):
        for what, mask in parts:
            called = values[mask, t]
            called = called[~np.isnan(called)]
            if len(called) and np.ptp(called) > 0:
                continue
            state = "is missing" if not len(called) else f"has only the value {called[0]:g}"
            raise OptionError(
                f"trait {name} {state} in {what}: leave it out with --traits, take another --seed, or give a "
                "split of your own in which it is measured on both sides"
            )


def _check_options(heldout_fraction: float, n_folds: int) -> None:
    if not 0 <= heldout_fraction < 1:
        raise OptionError(f"the held-out fraction is {heldout_fraction:g}; give a number from 0 to below 1")
    if n_folds < 2:
        raise OptionError(f"{n_folds} folds cannot be cross-fitted; give at least 2")


def _hash_order(names: NDArray[np.str_], seed: int) -> NDArray[np.int64]:
    digests = [hashlib.blake2b(f"{seed}\t{name}".encode(), digest_size=16).digest() for name in names]
    return np.asarray(sorted(range(len(names)), key=lambda i: (digests[i], names[i])), dtype=np.int64)


def _hold_out(sizes: NDArray[np.int64], order: NDArray[np.int64], target: float) -> NDArray[np.bool_]:
    chosen = np.zeros(len(sizes), bool)
    total = 0
    for group in order:
        if abs(total + sizes[group] - target) < abs(total - target):
            chosen[group] = True
            total += int(sizes[group])
    return chosen


def _deal(
    index: NDArray[np.int64], order: NDArray[np.int64], used: NDArray[np.bool_], n_folds: int
) -> NDArray[np.int64]:
    sizes = np.bincount(index[used], minlength=len(order))
    there = [int(group) for group in order if sizes[group]]
    if len(there) < n_folds:
        raise OptionError(
            f"{len(there)} groups of discovery samples cannot fill {n_folds} folds; use fewer folds"
        )
    fold_of = np.full(len(order), -1, np.int64)
    filled = np.zeros(n_folds, np.int64)
    for group in sorted(
        there, key=lambda g: -sizes[g]
    ):  # stable: groups of one size stay in the hash's order
        fold_of[group] = int(np.argmin(filled))
        filled[fold_of[group]] += sizes[group]
    if filled.max() > MOST_UNEVEN * filled.sum() / n_folds:
        log.warning("the largest group makes the folds uneven: %s samples", ", ".join(map(str, filled)))
    return np.where(used, fold_of[index], -1)


def _given_sets(sample_set: ArrayLike) -> NDArray[np.bool_]:
    sets = np.asarray(sample_set).astype(str)
    if not np.isin(sets, SETS).all():
        word = str(sets[~np.isin(sets, SETS)][0])
        raise OptionError(f"set {word!r} is not known; write discovery or heldout")
    if (sets == SETS[1]).all():
        raise OptionError("every sample is held out; leave some for discovery")
    return np.asarray(sets == SETS[1])


def _given_folds(fold: ArrayLike, heldout: NDArray[np.bool_]) -> NDArray[np.int64]:
    given = np.asarray(fold).astype(np.int64)
    labels, ranks = np.unique(given[~heldout], return_inverse=True)
    if labels[0] < 0:
        raise OptionError("a discovery sample has no fold; give each a number from 0")
    if len(labels) < 2:
        raise OptionError("all discovery samples are in one fold; give at least 2")
    folds = np.full(len(given), -1, np.int64)
    folds[~heldout] = ranks
    return folds


def _warn_of_torn_groups(side: NDArray, index: NDArray[np.int64], what: str) -> None:
    pairs = np.unique(np.column_stack([index, side.astype(np.int64)]), axis=0)
    torn = int((np.bincount(pairs[:, 0]) > 1).sum())
    if torn:
        log.warning(
            "the given split puts samples of %d groups into different %s: related samples leak", torn, what
        )


def _range(counts: NDArray[np.int64]) -> tuple[int, int]:
    return int(counts.min()), int(counts.max())
