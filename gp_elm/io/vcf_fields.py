"""Which INFO fields a result table gives a VCF record: their names, header lines, values, and whose they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gp_elm.errors import InputError, OptionError
from gp_elm.io.chromosome_names import bare_chromosome
from gp_elm.io.columns import VARIANTS

SOURCE = "gp_elm"
"""``Source`` of our header lines: a later run may replace such a field, and no other."""

IDENTITY = ("trait", "chromosome", "base_pair_location", "variant_id", "effect_allele", "other_allele")

SMALLEST = 5e-324  # the smallest number above 0: what a p-value of 0 stands for at most


class Field(NamedTuple):
    """One INFO field of a trait."""

    name: str
    column: str
    doc: str
    turned: bool = False
    """Whether its sign turns with the effect allele."""
    from_p: bool = False
    """Whether it is -log10 of the column."""


_PER_ALT = "trait units per copy of ALT (a locus of a haploid or inbred cohort counts 0 or 1)"

FIELDS = (
    Field("GWAS_BETA", "gwas_beta", f"Marginal effect by linear regression, {_PER_ALT}", turned=True),
    Field("GWAS_SE", "gwas_standard_error", "Standard error of GWAS_BETA"),
    Field("GWAS_LOG10P", "gwas_neg_log_10_p_value", "-log10 of the p-value of GWAS_BETA"),
    Field(
        "ELM_BETA",
        "elm_beta",
        f"Debiased marginal effect by equivalent linear mapping, {_PER_ALT}",
        turned=True,
    ),
    Field("ELM_SE", "elm_standard_error", "Standard error of ELM_BETA"),
    Field("ELM_LOG10P", "elm_neg_log_10_p_value", "-log10 of the p-value of ELM_BETA"),
    Field(
        "ELM_DOMINANCE",
        "elm_dominance",
        "Debiased dominance deviation, heterozygote less mid-homozygote, trait units",
    ),
    Field("ELM_DOMINANCE_SE", "elm_dominance_standard_error", "Standard error of ELM_DOMINANCE"),
    Field(
        "ELM_DOMINANCE_LOG10P",
        "elm_dominance_p_value",
        "-log10 of the p-value of ELM_DOMINANCE",
        from_p=True,
    ),
    Field(
        "CONTEXT_LOG10P",
        "context_p_value",
        "-log10 of the p-value of whether the effect of the locus depends on any other locus",
        from_p=True,
    ),
)
"""The fields, in the order in which they are written; each name gets the trait's name after it."""


class Effects:
    """Effects of a result table, found by place and alleles.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``variants`` of a run.
    where : str
        Its file, for messages.
    traits : sequence of str, optional
        Which traits; all by default.
    taken : iterable of str
        INFO names that the VCF already has and that are not ours.
    contigs : iterable of str
        Contigs that the VCF's header declares.

    Attributes
    ----------
    names, keys, lines : list of str, frozenset of bytes, list of str
        The INFO fields; the same as they stand in a file; their header lines.
    found : ndarray of bool (variants,)
        Which variants of the table a record was found for.
    n_turned, n_ambiguous : int
        ALT whose sign was turned; ALT that fit several variants and got none.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        where: str,
        *,
        traits: Sequence[str] | None,
        taken: Iterable[str],
        contigs: Iterable[str],
    ) -> None:
        if lacking := [name for name in IDENTITY if name not in frame.columns]:
            raise InputError(
                f"{where}: no column {', '.join(lacking)}; give the variants table that gp-elm wrote"
            )
        suffixes = _suffixes(pd.unique(frame["trait"].astype(str)))  # of all, so that a name never changes
        frame = _of_traits(frame, where, traits)
        if frame.empty:
            raise InputError(f"{where}: the table has no rows; nothing can be written into a VCF")
        loci, locus = _loci(frame)
        self._matrix, self.names, self.lines, turned = _fields(frame, locus, len(loci), suffixes, where)
        self.keys = frozenset(name.encode() for name in self.names)
        self._turn = np.where(turned, -1.0, 1.0)
        if already := sorted(set(self.names) & set(taken)):
            raise InputError(
                f"the VCF already has an INFO field {already[0]} that gp-elm did not write; rename it "
                "(bcftools annotate -c INFO/NEW:=INFO/OLD) or rename the trait"
            )
        self._aliases = {**_PLINK_CODES}
        for name in contigs:
            self._aliases.pop(_plain(name), None)
        self._place(loci)
        self.found = np.zeros(len(loci), bool)
        self.n_turned = self.n_ambiguous = 0

    def info(self, contig: str, position: int, name: str, ref: str, alts: list[str]) -> str:
        """Write the fields of a record, joined by ``;``; empty where the table has nothing about it.

        Parameters
        ----------
        contig, position, name, ref : str, int, str, str
            CHROM, POS, ID and REF of the record.
        alts : list of str
            Each ALT.
        """
        place = self._places.get(_plain(contig))
        if place is None:
            return ""
        positions, loci = place
        first = int(positions.searchsorted(position))
        last = first
        while last < len(positions) and positions[last] == position:
            last += 1
        if first == last:
            return ""
        rows = [self._row(loci[first:last], name, ref.upper(), alt.upper()) for alt in alts]
        if all(row is None for row in rows):
            return ""
        return self._format(rows)

    def _row(self, loci: NDArray[np.int64], name: str, ref: str, alt: str) -> NDArray[np.float64] | None:
        alleles = {ref, alt}
        fitting = [k for k in loci if {self._effect[k], self._other[k]} == alleles]
        if len(fitting) > 1:  # two variants of one place and alleles are told apart by name, or not at all
            fitting = [k for k in fitting if self._id[k] == name]
            self.n_ambiguous += len(fitting) != 1
        if len(fitting) != 1:
            return None
        k = fitting[0]
        self.found[k] = True
        row: NDArray[np.float64] = self._matrix[k]
        if self._effect[k] == alt:
            return row
        self.n_turned += 1
        return row * self._turn

    def _format(self, rows: list[NDArray[np.float64] | None]) -> str:
        texts = [None if row is None else row.tolist() for row in rows]
        parts = []
        for k, name in enumerate(self.names):
            values = ["." if text is None or text[k] != text[k] else f"{text[k] + 0.0:.7g}" for text in texts]
            if any(value != "." for value in values):
                parts.append(f"{name}={','.join(values)}")
        return ";".join(parts)

    def _place(self, loci: pd.DataFrame) -> None:
        self._effect = loci["effect_allele"].astype(str).str.upper().to_numpy(object)
        self._other = loci["other_allele"].astype(str).str.upper().to_numpy(object)
        self._id = loci["variant_id"].astype(str).to_numpy(object)
        position = loci["base_pair_location"].to_numpy(np.int64)
        plain = loci["chromosome"].astype(str).map(_plain)
        contig = plain.map(lambda name: self._aliases.get(name, name)).to_numpy(object)
        self._places = {}
        for name in pd.unique(contig):
            rows = np.flatnonzero(contig == name)
            rows = rows[np.argsort(position[rows], kind="stable")]
            self._places[name] = position[rows], rows


# human chromosomes as PLINK 1 numbers them; they hold only where the VCF has no chromosome of that number
_PLINK_CODES = {"23": "X", "24": "Y", "25": "X", "26": "MT"}
_OTHER_NAMES = {"M": "MT", "XY": "X", "PAR1": "X", "PAR2": "X"}


def _plain(name: str) -> str:
    short = bare_chromosome(name)
    return _OTHER_NAMES.get(short.upper(), short)


def _of_traits(frame: pd.DataFrame, where: str, traits: Sequence[str] | None) -> pd.DataFrame:
    if traits is None:
        return frame
    there = set(frame["trait"].astype(str))
    for name in traits:
        if name not in there:
            raise OptionError(
                f"{where}: no trait {name!r}; it has {', '.join(sorted(there)[:10])}; check --traits"
            )
    return frame[frame["trait"].astype(str).isin(traits)]


def _loci(frame: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """One row per variant, and the variant of each row of the table."""
    keys = frame[list(IDENTITY)].astype({"chromosome": str, "variant_id": str})
    keys["copy"] = keys.groupby(list(IDENTITY), sort=False, dropna=False).cumcount()
    names = [*IDENTITY[1:], "copy"]
    locus = keys.groupby(names, sort=False, dropna=False).ngroup()
    return keys.drop_duplicates(names), locus.to_numpy().astype(np.int64)


def _fields(
    frame: pd.DataFrame, locus: NDArray[np.int64], n_loci: int, suffixes: dict[str, str], where: str
) -> tuple[NDArray[np.float64], list[str], list[str], NDArray[np.bool_]]:
    """Values (variants, fields) with NaN for none, INFO names, header lines, and which turn with the allele."""
    units = {column.name: column.unit for column in VARIANTS}
    trait = frame["trait"].astype(str).to_numpy(object)
    columns: list[NDArray[np.float64]] = []
    names: list[str] = []
    lines: list[str] = []
    turned: list[bool] = []
    for name in pd.unique(trait):
        rows = trait == name
        values = {field: _values(frame, rows, field) for field in FIELDS if field.column in frame.columns}
        there = [field for field, array in values.items() if not np.isnan(array).all()]
        for field in there:
            column = np.full(n_loci, np.nan)
            column[locus[rows]] = values[field]
            columns.append(column)
            names.append(f"{field.name}_{suffixes[name]}")
            lines.append(_header_line(names[-1], field, name))
            turned.append(field.turned)
    if not columns:
        raise InputError(
            f"{where}: none of {', '.join(field.column for field in FIELDS if field.column in units)} holds a "
            "value; give the variants table of gp-elm run, gwas or elm"
        )
    return np.stack(columns, axis=1), names, lines, np.array(turned)


def _values(frame: pd.DataFrame, rows: NDArray[np.bool_], field: Field) -> NDArray[np.float64]:
    values = pd.to_numeric(frame[field.column][rows], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    if field.from_p:
        values = -np.log10(np.maximum(values, SMALLEST))
    return np.where(np.isfinite(values), values, np.nan)


def _suffixes(traits: Iterable[str]) -> dict[str, str]:
    """What follows the name of a field, for each trait; no two traits share the name of an INFO field."""
    taken: set[str] = set()
    suffixes = {}
    for trait in traits:
        # https://samtools.github.io/hts-specs/VCFv4.3.pdf, 1.6.1: INFO keys match ^[A-Za-z_][0-9A-Za-z_.]*$
        legal = re.sub(r"[^0-9A-Za-z_.]", "_", trait)
        suffix, n = legal, 1
        while not taken.isdisjoint(f"{field.name}_{suffix}" for field in FIELDS):
            n += 1
            suffix = f"{legal}_{n}"
        taken.update(f"{field.name}_{suffix}" for field in FIELDS)
        suffixes[trait] = suffix
    return suffixes


def _header_line(name: str, field: Field, trait: str) -> str:
    said = f"{field.doc}; trait {trait}".replace("\\", "\\\\").replace('"', '\\"')
    return f'##INFO=<ID={name},Number=A,Type=Float,Description="{said}",Source="{SOURCE}">'
