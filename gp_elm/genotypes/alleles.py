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
    other_alleles: NDArray[np.bool_]
    mismatch: NDArray[np.bool_]
    assumed: int

    @property
    def found(self) -> NDArray[np.bool_]:
        """Rows that have a partner."""
        return self.place >= 0

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
            "alleles": self.other_alleles,
            "absent": ~(self.found | self.palindromic | self.unnamed | self.other_alleles),
        }
        out = np.full(len(self.place), None, dtype=object)
        for word, rows in each.items():
            at = np.flatnonzero(rows)
            out[at] = [word if out[k] is None else f"{out[k]};{word}" for k in at]
        return out


def align(left: pd.DataFrame, right: pd.DataFrame, *, strands: bool) -> Alignment:
    """Find the row of one table for each row of another.

    Rows are the same variant where trait, chromosome (``chr`` left out; X and 23 alike where each table has but one
    of them) and position agree, or the identifier where a table has no position, and the alleles are the same, in
    either order. Among several such rows that of the same identifier is taken, then by order.

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
    at_position = np.zeros(len(left), bool)
    for by, exact in (("both", True), ("position", False), ("id", False)):
        rows_left, rows_right = codes.pairs(by, np.flatnonzero(place < 0))
        found = codes.relation(rows_left, rows_right, strands=strands and not exact)
        at_position[rows_left] = True
        ok = found >= 0
        rows_left, rows_right, found = rows_left[ok], rows_right[ok], found[ok]
        best = np.lexsort((rows_right, ~codes.same_id(rows_left, rows_right), found, rows_left))
        first = best[np.diff(rows_left[best], prepend=-1) != 0]
        place[rows_left[first]], relation[rows_left[first]] = rows_right[first], found[first]
    none = np.zeros(len(left), bool)
    joined = place >= 0
    other = ~joined & at_position
    if not strands:
        return Alignment(place, place, relation, none, none, other, none, 0)
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
    return Alignment(place, candidate, relation, palindromic, unnamed, other, mismatch, assumed)


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
    if aligned.mismatch.any():
        logger.warning(
            "%s: the frequency of %d variants differs from that in %s by more than %g (%s): another population, "
            "or a wrong effect allele",
            left_name, int(aligned.mismatch.sum()), right_name, MISMATCH, named_ids(left, aligned.mismatch),
        )  # fmt: skip
    absent = ~found
    if len(left) and absent.mean() > 0.5:
        elsewhere = left.loc[absent, "variant_id"].isin(set(right["variant_id"]) - {"."}).sum()
        if elsewhere > 0.5 * absent.sum():
            logger.warning(
                "%s: %d of the variants without a match stand in %s at another position, or for another trait: "
                "check the genome build and the names of the traits", left_name, int(elsewhere), right_name,
            )  # fmt: skip


def named_ids(frame: pd.DataFrame, rows: NDArray[np.bool_], most: int = 3) -> str:
    """The first few identifiers of some rows, for messages."""
    ids = [str(word) for word in frame["variant_id"].to_numpy(object)[np.flatnonzero(rows)[:most]]]
    return ", ".join(ids) + (", ..." if rows.sum() > most else "")
