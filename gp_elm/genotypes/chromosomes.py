"""Which chromosomes are X, Y, mitochondrial or pseudo-autosomal, by name and by number, in any species."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gp_elm.errors import OptionError
from gp_elm.io.chromosome_names import bare_chromosome

AUTOSOME, X, Y, MT = 0, 1, 2, 3
"""Kinds of chromosome; the pseudo-autosomal parts of X and Y are carried as autosomes are."""

SPECIES = {
    "human": "22",
    "cow": "29 no-xy",
    "dog": "38",
    "horse": "31 no-xy",
    "mouse": "19 no-xy",
    "rice": "-12",
    "sheep": "26 no-xy",
}
"""Chromosome sets of PLINK's --human, --cow, --dog and so on."""

_BY_OFFSET = {1: "X", 2: "Y", 3: "XY", 4: "MT"}
_KIND = {"X": X, "Y": Y, "MT": MT}
_PSEUDO_AUTOSOMAL = frozenset({"XY", "PAR", "PAR1", "PAR2"})
_SYNONYMS = {"M": "MT", "CHRM": "MT", "MITO": "MT", "XPAR": "XY"}
_ROMAN = frozenset({"VI", "VII", "VIII", "IX", "XI", "XII", "XIII", "XIV", "XV", "XVI"})
_HUMAN_NUMBERS = 26


@dataclass(frozen=True)
class ChromosomeSet:
    """The chromosomes of a species.

    Attributes
    ----------
    n_autosomes : int, optional
        X is the number after it, then Y, XY (the pseudo-autosomal part) and MT. None: every number is an autosome,
        and X, Y and MT go by name.
    absent : frozenset of str
        Those of X, Y, XY and MT that the species has not.
    haploid : bool
        Whether all chromosomes are haploid.
    """

    n_autosomes: int | None
    absent: frozenset[str] = frozenset()
    haploid: bool = False

    def canonical(self, name: str) -> str:
        """A bare name; X, Y, XY and MT by these names where they are there by number or a synonym."""
        word = bare_chromosome(name)
        upper = word.upper()
        if word.isdigit() and self.n_autosomes is not None and not self.haploid:
            upper = _BY_OFFSET.get(int(word) - self.n_autosomes, word)
            return word if upper in self.absent else upper
        upper = _SYNONYMS.get(upper, upper)
        return upper if upper in _KIND or upper in _PSEUDO_AUTOSOMAL else word

    def kind(self, name: str) -> int:
        """Kind of a chromosome by its name: AUTOSOME, X, Y or MT."""
        if self.haploid:
            return AUTOSOME
        word = self.canonical(name)
        return AUTOSOME if word in self.absent else _KIND.get(word, AUTOSOME)

    def by_number(self, name: str) -> bool:
        """Whether a name is a number that stands for X, Y, XY or MT."""
        word = bare_chromosome(name)
        return word.isdigit() and self.canonical(name) != word


def parse_chromosome_set(text: str | int) -> ChromosomeSet:
    """Read ``--chr-set``.

    Parameters
    ----------
    text : str or int
        As for PLINK: the number of autosomes, below 0 for haploid chromosomes, and any of ``no-x``, ``no-y``,
        ``no-xy``, ``no-mt``, separated by blanks or commas; or a species of :data:`SPECIES`.

    Returns
    -------
    ChromosomeSet
        The set.

    Raises
    ------
    OptionError
        Where it is neither.
    """
    words = SPECIES.get(str(text).strip().lower(), str(text)).replace(",", " ").lower().split()
    wrong = [word for word in words[1:] if word not in ("no-x", "no-y", "no-xy", "no-mt")]
    if not words or not words[0].removeprefix("-").isdigit() or int(words[0]) == 0 or wrong:
        raise OptionError(
            f"--chr-set {text} is not understood; give the number of autosomes, such as 38 or '26 no-xy', or one of "
            f"{', '.join(SPECIES)}"
        )
    number = int(words[0])
    absent = frozenset(word.removeprefix("no-").upper() for word in words[1:])
    return ChromosomeSet(abs(number), absent, haploid=number < 0)


def chromosome_set(names: Iterable[str], text: str | int | None = None) -> tuple[ChromosomeSet, str]:
    """The chromosomes of a cohort, as given or else as the names tell.

    Human where every name is one of the human set (0 to 26, X, Y, XY, PAR1, PAR2, MT). Otherwise numbers are autosomes,
    and only the names X, Y, XY, PAR and MT count. Beside Roman numerals from VI on, X is the number ten.

    Parameters
    ----------
    names : iterable of str
        Every chromosome of the source, before any choice.
    text : str or int, optional
        As for :func:`parse_chromosome_set`.

    Returns
    -------
    ChromosomeSet, str
        The set and, in words, where it comes from.

    Raises
    ------
    OptionError
        Where ``text`` is not understood, or a chromosome has a number beyond the set.
    """
    human = ChromosomeSet(22)
    plain = sorted({ChromosomeSet(None).canonical(str(name)) for name in names})
    numbers = sorted(int(word) for word in plain if word.isdigit())
    if text is not None:
        chosen = parse_chromosome_set(text)
        most = (chosen.n_autosomes or 0) + (0 if chosen.haploid else len(_BY_OFFSET))
        if numbers and numbers[-1] > most:
            raise OptionError(
                f"--chr-set {text} ends at chromosome {most}, but the cohort has chromosome {numbers[-1]}; give the "
                "number of its autosomes"
            )
        return chosen, f"--chr-set {text}"
    if _ROMAN & {word.upper() for word in plain}:
        return ChromosomeSet(None, frozenset({"X"})), "chromosomes have Roman numbers, so X is the tenth"
    other = [
        word
        for word in plain
        if not (word.isdigit() and int(word) <= _HUMAN_NUMBERS) and human.canonical(word) in (word, word.upper())
        and word not in _KIND and word not in _PSEUDO_AUTOSOMAL
    ]  # fmt: skip
    if not other:
        return human, "all chromosome names are those of the human set"
    return (
        ChromosomeSet(None),
        f"{other[0]} is no human chromosome, so numbers are autosomes and only X, Y and MT by name are not",
    )
