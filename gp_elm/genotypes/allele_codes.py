"""Two tables of variants as whole numbers, so that their rows can be paired and their alleles compared fast."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gp_elm.io.chromosome_names import bare_chromosome

MISSING, SAME, SWAPPED, STRAND, STRAND_SWAPPED = -1, 0, 1, 2, 3
"""How the alleles of two rows relate."""

COMPLEMENT = {"A": "T", "T": "A", "C": "G", "G": "C"}

_SEX_NUMBERS = (("23", "X"), ("24", "Y"), ("25", "XY"), ("26", "MT"), ("M", "MT"))


def frequency(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Frequency of the effect allele, NaN where unknown."""
    if "effect_allele_frequency" not in frame:
        return np.full(len(frame), np.nan)
    return frame["effect_allele_frequency"].to_numpy(float, na_value=np.nan)


def _chromosomes(left: pd.Series, right: pd.Series) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Names of chromosomes spelt alike in both."""
    text = [names.astype(str) for names in (left, right)]
    bare = [names.map({name: bare_chromosome(name) for name in names.unique()}) for names in text]
    known = [set(names.unique()) for names in bare]
    for number, name in _SEX_NUMBERS:
        for mine, other in ((0, 1), (1, 0)):
            if number in known[mine] and name not in known[mine] and name in known[other] - {number}:
                if number not in known[other]:
                    bare[mine] = bare[mine].replace(number, name)
    return bare[0].to_numpy(object), bare[1].to_numpy(object)


class Codes:
    """Both tables as whole numbers: what can be compared fast."""

    def __init__(self, left: pd.DataFrame, right: pd.DataFrame) -> None:
        n = len(left)
        frames = (left, right)
        chromosomes = _chromosomes(left["chromosome"], right["chromosome"])
        trait = _factorised(*(frame["trait"].astype(str).to_numpy(object) for frame in frames))
        chromosome = _factorised(*chromosomes)
        identifier = _factorised(*(frame["variant_id"].astype(str).to_numpy(object) for frame in frames))
        position = np.concatenate([frame["base_pair_location"].to_numpy(np.int64) for frame in frames])
        names = [
            frame[name].astype(object).where(frame[name].notna(), "").astype(str).str.upper().to_numpy(object)
            for name in ("effect_allele", "other_allele")
            for frame in frames
        ]
        alleles, words = pd.factorize(np.concatenate(names))
        where = {word: code for code, word in enumerate(words)}
        self._complement = np.array([where.get(COMPLEMENT.get(word, "none"), -1) for word in words] or [-1])
        self._is_base = np.array([word in COMPLEMENT for word in words] or [False])
        unknown = where.get("", -2)
        effect, other = alleles[: len(position)], alleles[len(position) :]
        self._effect, self._other = (effect[:n], effect[n:]), (other[:n], other[n:])
        self._unknown = unknown
        self._right_minor_is_effect = frequency(right) <= 0.5
        self.named = self._effect[0] != unknown
        self.complete = self._other[0] != unknown
        self._id = (identifier[:n], identifier[n:])
        nameless = np.flatnonzero(pd.concat([frame["variant_id"] for frame in frames]).astype(str) == ".")
        self._no_id = identifier[nameless[0]] if nameless.size else -1
        keys = pd.DataFrame(
            {"trait": trait, "chromosome": chromosome, "position": position, "id": identifier}
        )
        keys["side"] = np.arange(len(keys)) >= n
        low, high = np.minimum(effect, other), np.maximum(effect, other)
        self._pair = (low * (len(words) + 1) + high)[n:]
        # rows that agree in everything are told apart by their order
        keys["copy"] = (
            keys.assign(low=low, high=high).groupby([*keys.columns, "low", "high"], sort=False).cumcount()
        )
        self._left, self._right = (
            keys[:n].drop(columns="side"),
            keys[n:].drop(columns="side").reset_index(drop=True),
        )

    def pairs(self, by: str, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of both tables with the same key; `rows` are those of the left one still without a partner."""
        on = {
            "both": ["trait", "chromosome", "position", "id", "copy"],
            "position": ["trait", "chromosome", "position"],
            "id": ["trait", "id", "copy"],
        }[by]
        left = self._left.iloc[rows].assign(left=rows)
        right = self._right.assign(right=np.arange(len(self._right)))
        if by == "position":
            left, right = left[left["position"] > 0], right[right["position"] > 0]
        found = left.merge(right, on=on, how="inner", suffixes=("", "_right"))
        if by == "id":
            unplaced = (found["position"] == 0) | (found["position_right"] == 0)
            found = found[unplaced & (found["id"] != self._no_id)]
        return found["left"].to_numpy(), found["right"].to_numpy()

    def same_id(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether pairs of rows have one identifier."""
        return self._id[0][left] == self._id[1][right]

    def fits_several(
        self,
        left: NDArray[np.int64],
        right: NDArray[np.int64],
        relation: NDArray[np.int8],
        same_id: NDArray[np.bool_],
    ) -> NDArray[np.int64]:
        """Left rows that lack an allele and fit right rows of different alleles; pairs that fit only otherwise lose.

        A pair on the other strand loses to one as it stands, and then one of another identifier to one of the same.
        """
        lacking = np.flatnonzero(~self.complete[left])
        fitting = pd.DataFrame(
            {
                "left": left[lacking],
                "level": 2 * (relation[lacking] >= STRAND) + ~same_id[lacking],
                "pair": self._pair[right[lacking]],
            }
        )
        best = fitting[fitting["level"] == fitting.groupby("left")["level"].transform("min")]
        pairs = best.groupby("left")["pair"].nunique()
        return pairs.index[pairs > 1].to_numpy(np.int64)

    def base(self, right: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether both alleles of right rows are single bases."""
        if not len(self._right):
            return np.zeros(len(right), bool)
        return self._is_base[self._effect[1][right]] & self._is_base[self._other[1][right]]

    def palindromic_right(self, right: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the two alleles of right rows are each other's complement."""
        if not len(self._right):
            return np.zeros(len(right), bool)
        return self._complement[self._effect[1][right]] == self._other[1][right]

    def relation(
        self, left: NDArray[np.int64], right: NDArray[np.int64], *, strands: bool
    ) -> NDArray[np.int8]:
        """How the alleles of pairs of rows relate."""
        mine = self._effect[0][left], self._other[0][left]
        effect, other = self._effect[1][right], self._other[1][right]
        out = np.full(len(left), MISSING, np.int8)

        def fits(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.bool_]:
            known = mine[0] != self._unknown
            return known & (mine[0] == first) & ((mine[1] == second) | (mine[1] == self._unknown))

        if strands:
            out[fits(self._complement[other], self._complement[effect])] = STRAND_SWAPPED
            out[fits(self._complement[effect], self._complement[other])] = STRAND
        out[fits(other, effect)] = SWAPPED
        out[fits(effect, other)] = SAME
        nameless = mine[0] == self._unknown
        out[nameless] = np.where(self._right_minor_is_effect[right[nameless]], SAME, SWAPPED)
        return out


def _factorised(left: NDArray[np.object_], right: NDArray[np.object_]) -> NDArray[np.int64]:
    return pd.factorize(np.concatenate([left, right]))[0].astype(np.int64)
