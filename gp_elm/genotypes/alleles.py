"""The same variant in two tables: found by position and alleles, whichever allele and strand each table counts."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gp_elm.genotypes.allele_codes import MISSING, SAME, STRAND, STRAND_SWAPPED, SWAPPED, Codes, frequency

logger = logging.getLogger(__name__)

TOLD_APART = 0.42
"""Minor allele frequency below which the frequency tells the two alleles of a palindromic variant apart."""

MISMATCH = 0.2
"""Difference in frequency from which one variant is hardly the same in both tables."""

FEWEST_WITNESSES = 20
"""Variants that are not palindromic and stand on one strand, from which the palindromic ones are taken to do so."""


@dataclass(frozen=True)
class Alignment:
    """Which row of the right table is the variant of each row of the left one.

    Attributes
    ----------
    place : (n,) int64
        Row of the right table, -1 where there is none.
    candidate : (n,) int64
        As `place`, with the rows that would be the partners of those not joined as palindromic or unnamed.
    relation : (n,) int8
        0 same alleles, 1 swapped, 2 on the other strand, 3 both, -1 where there is no row.
    palindromic : (n,) bool
        A/T or C/G, not joined as nothing tells its strand.
    unnamed : (n,) bool
        Not joined: the left table names no allele, and the frequency does not tell the minor one.
    several : (n,) bool
        Not joined: the left table lacks an allele, and variants of different alleles fit.
    repeated : (n,) bool
        Not joined: another row of the left table is nearer to the same row of the right one.
    other_alleles : (n,) bool
        Not joined: the right table has other alleles at that position.
    mismatch : (n,) bool
        Joined although the frequencies differ much.
    assumed : int
        Palindromic variants taken on the strand as they stand, as no other variant is on the other strand.
    """

    place: NDArray[np.int64]
    candidate: NDArray[np.int64]
    relation: NDArray[np.int8]
    palindromic: NDArray[np.bool_]
    unnamed: NDArray[np.bool_]
    several: NDArray[np.bool_]
    repeated: NDArray[np.bool_]
    other_alleles: NDArray[np.bool_]
    mismatch: NDArray[np.bool_]
    assumed: int

    @property
    def found(self) -> NDArray[np.bool_]:
        """Rows that have a partner."""
        return self.place >= 0

    @property
    def absent(self) -> NDArray[np.bool_]:
        """Rows that have nothing at their place in the right table."""
        seen = self.palindromic | self.unnamed | self.several | self.repeated | self.other_alleles
        return ~(self.found | seen)

    @property
    def sign(self) -> NDArray[np.float64]:
        """-1 where the right table counts the other allele, else 1."""
        return np.where(np.isin(self.relation, (SWAPPED, STRAND_SWAPPED)), -1.0, 1.0)

    def words(self) -> NDArray[np.object_]:
        """What was done with each row, words joined by ``;``, None where the alleles are the same."""
        swapped, strand = self.sign < 0, self.relation >= STRAND
        each = {
            "swapped": swapped,
            "strand": strand,
            "frequency": self.mismatch,
            "palindromic": self.palindromic,
            "unnamed": self.unnamed,
            "several": self.several,
            "repeated": self.repeated,
            "alleles": self.other_alleles,
            "absent": self.absent,
        }
        out = np.full(len(self.place), None, dtype=object)
        for word, rows in each.items():
            at = np.flatnonzero(rows)
            out[at] = [word if out[k] is None else f"{out[k]};{word}" for k in at]
        return out


def align(left: pd.DataFrame, right: pd.DataFrame, *, strands: bool) -> Alignment:
    """Find the row of one table for each row of another.

    Rows are the same variant where trait, chromosome (``chr`` and zeros in front left out; X and 23 alike where each
    table has but one of them) and position agree, or the identifier where a table has no position, and the alleles are
    the same, in either order. Among several such rows that of the same identifier is taken, then by order. A row is
    taken once: by the row of the same identifier, then by one that names both alleles, then the nearer alleles, then
    by order.

    Parameters
    ----------
    left, right : pandas.DataFrame
        ``trait chromosome base_pair_location variant_id effect_allele other_allele``, and
        ``effect_allele_frequency`` if known. In `left` the other allele may be None, and both alleles may: the effect
        allele is the minor one then, by the frequency of `right`.
    strands : bool
        Whether the two may name alleles on different strands. A palindromic variant (A/T, C/G) is then joined only
        where the frequencies tell its strand (both minor allele frequencies below 0.42), or where 20 and more other
        variants of these tables are joined and none of them is on the other strand.

    Returns
    -------
    Alignment
    """
    codes = Codes(left, right)
    place = np.full(len(left), -1, np.int64)
    relation = np.full(len(left), MISSING, np.int8)
    at_position, several = np.zeros(len(left), bool), np.zeros(len(left), bool)
    for by, exact in (("both", True), ("position", False), ("id", False)):
        rows_left, rows_right = codes.pairs(by, np.flatnonzero((place < 0) & ~several))
        found = codes.relation(rows_left, rows_right, strands=strands and not exact)
        at_position[rows_left] = True
        ok = found >= 0
        rows_left, rows_right, found = rows_left[ok], rows_right[ok], found[ok]
        same_id = codes.same_id(rows_left, rows_right)
        several[codes.fits_several(rows_left, rows_right, found, same_id)] = True
        best = np.lexsort((rows_right, found, ~same_id, found >= STRAND, rows_left))
        best = best[~several[rows_left[best]]]
        first = best[np.diff(rows_left[best], prepend=-1) != 0]
        place[rows_left[first]], relation[rows_left[first]] = rows_right[first], found[first]
    none = np.zeros(len(left), bool)
    repeated = _outdone(codes, place, relation)
    place[repeated], relation[repeated] = -1, MISSING
    joined = place >= 0
    other = at_position & ~(joined | several | repeated)
    if not strands:
        return Alignment(place, place, relation, none, none, several, repeated, other, none, 0)
    at = np.where(joined, place, 0)
    f_left, f_right = frequency(left), frequency(right)[at] if len(right) else np.full(len(left), np.nan)
    palindrome = joined & codes.palindromic_right(at)
    told = (np.minimum(f_left, 1 - f_left) < TOLD_APART) & (np.minimum(f_right, 1 - f_right) < TOLD_APART)
    here = np.where(relation == SWAPPED, 1 - f_right, f_right)
    turned = palindrome & told & ((f_left < 0.5) != (here < 0.5))
    relation[turned] = np.where(relation[turned] == SAME, STRAND_SWAPPED, STRAND)
    witnesses = joined & ~palindrome & codes.base(at)
    one_strand = witnesses.sum() >= FEWEST_WITNESSES and not (relation[witnesses] >= STRAND).any()
    unsure = palindrome & ~told & codes.named
    palindromic = none if one_strand else unsure
    unnamed = joined & ~codes.named & ~(np.minimum(f_right, 1 - f_right) < TOLD_APART)
    candidate = place.copy()
    place[palindromic | unnamed], relation[palindromic | unnamed] = -1, MISSING
    f_here = np.where(np.isin(relation, (SWAPPED, STRAND_SWAPPED)), 1 - f_right, f_right)
    with np.errstate(invalid="ignore"):
        mismatch = (place >= 0) & (np.abs(f_left - f_here) > MISMATCH)
    assumed = int((unsure & ~palindromic).sum())
    return Alignment(
        place, candidate, relation, palindromic, unnamed, several, repeated, other, mismatch, assumed
    )


def _outdone(codes: Codes, place: NDArray[np.int64], relation: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Left rows that are further than another one from the right row of both."""
    out = np.zeros(len(place), bool)
    joined = np.flatnonzero(place >= 0)
    shared = joined[np.bincount(place[joined])[place[joined]] > 1]
    other_id = ~codes.same_id(shared, place[shared])
    order = np.lexsort((shared, relation[shared], ~codes.complete[shared], other_id, place[shared]))
    ranked = shared[order]
    out[ranked[np.diff(place[ranked], prepend=-1) == 0]] = True
    return out


def log_alignment(
    left: pd.DataFrame, right: pd.DataFrame, aligned: Alignment, left_name: str, right_name: str
) -> None:
    """Say what was joined, turned and left out, with the first few identifiers.

    Parameters
    ----------
    left, right : pandas.DataFrame
        The tables.
    aligned : Alignment
        How they were aligned.
    left_name, right_name : str
        What to call them.
    """
    found, left_out = aligned.found, len(right) - np.unique(aligned.place[aligned.found]).size
    swapped, strand = int((aligned.sign < 0).sum()), aligned.relation >= STRAND
    if swapped or left_out or not found.all():
        logger.info(
            "%s joined to %s: %d rows matched, %d of them with alleles swapped (signs turned), %d rows of %s without a "
            "match, %d rows of %s left out",
            right_name, left_name, int(found.sum()), swapped, int((~found).sum()), left_name, left_out, right_name,
        )  # fmt: skip
    parts = [
        f"{int(rows.sum())} {what} ({named_ids(left, rows)})"
        for rows, what in (
            (strand, "on the other strand"),
            (aligned.palindromic, "palindromic with nothing to tell the strand, not joined"),
            (aligned.unnamed, "of a frequency near one half with no allele named, not joined"),
            (aligned.several, "lack an allele and fit several variants of that position, not joined"),
            (aligned.other_alleles, "at a known position with other alleles, not joined"),
        )
        if rows.any()
    ]
    if aligned.assumed:
        parts.append(
            f"{aligned.assumed} palindromic, taken as they stand: no other variant is on the other strand"
        )
    if parts:
        logger.info("%s: %s", left_name, "; ".join(parts))
    if aligned.repeated.any():
        logger.warning(
            "%s: %d rows name a variant again and are left out (%s)",
            left_name, int(aligned.repeated.sum()), named_ids(left, aligned.repeated),
        )  # fmt: skip
    if aligned.mismatch.any():
        logger.warning(
            "%s: the frequency of %d variants differs from that in %s by more than %g (%s): another population, "
            "or a wrong effect allele",
            left_name, int(aligned.mismatch.sum()), right_name, MISMATCH, named_ids(left, aligned.mismatch),
        )  # fmt: skip
    if len(left) and aligned.absent.mean() > 0.5:
        _say_where(left, right, aligned.absent, left_name, right_name)


def _say_where(
    left: pd.DataFrame, right: pd.DataFrame, absent: NDArray[np.bool_], left_name: str, right_name: str
) -> None:
    """Say why most of the rows without a match have none, where their identifiers are in the right table."""
    ours, theirs = (
        pd.DataFrame(
            {
                "trait": frame["trait"].astype(str),
                "variant_id": frame["variant_id"].astype(str),
                "chromosome": frame["chromosome"].astype(str),
                "position": frame["base_pair_location"].astype(np.int64),
            }
        )
        for frame in (left[absent], right)
    )
    theirs = theirs[theirs["variant_id"] != "."].drop_duplicates(["trait", "variant_id"])
    met = ours.merge(theirs, on=["trait", "variant_id"], how="left", suffixes=("", "_there"))
    known, same_place = met["position_there"].notna(), met["position_there"] == met["position"]
    causes = [
        (known & ~same_place, "at another position: check the genome build"),
        (
            ~known & met["variant_id"].isin(theirs["variant_id"]),
            "for another trait: check the names of the traits",
        ),
    ]
    if same_place.any():
        one = met[same_place].iloc[0]
        causes.append(
            (
                same_place,
                f"on a chromosome of another name ({one['chromosome_there']!r} there, {one['chromosome']!r} here): "
                "rename it in one of them",
            )
        )
    for rows, what in causes:
        if rows.sum() > 0.5 * len(met):
            logger.warning(
                "%s: %d of the variants without a match stand in %s %s",
                left_name,
                int(rows.sum()),
                right_name,
                what,
            )


def named_ids(frame: pd.DataFrame, rows: NDArray[np.bool_], most: int = 3) -> str:
    """The first few identifiers of some rows, for messages."""
    ids = [str(word) for word in frame["variant_id"].to_numpy(object)[np.flatnonzero(rows)[:most]]]
    return ", ".join(ids) + (", ..." if rows.sum() > most else "")
