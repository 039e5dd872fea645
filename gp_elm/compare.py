"""Network results and classical results of the same variants in one table, joined by identity, never by row order."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from gp_elm.errors import InputError
from gp_elm.genotypes.allele_codes import COMPLEMENT, STRAND
from gp_elm.genotypes.alleles import Alignment, align, log_alignment
from gp_elm.io.components import population_limit
from gp_elm.io.gwas_results import PathLike, read_gwas

logger = logging.getLogger(__name__)

KEY = ["trait", "chromosome", "base_pair_location", "variant_id"]
"""What identifies a variant beside its alleles."""
IDENTITY = [*KEY, "effect_allele", "other_allele"]
"""What identifies a variant."""
FREQUENCY = "effect_allele_frequency"
_SIGNED = ("beta", "sensitivity_mean")

ALIGNMENT = {
    "swapped": "the two tables count opposite alleles; the sign of the effect that was joined is turned",
    "strand": "the two tables name the alleles on different strands",
    "frequency": "the frequencies of the effect allele differ by more than 0.2",
    "palindromic": "not joined: A/T or C/G, and nothing tells the strand",
    "unnamed": "not joined: the file names no allele, and the frequency does not tell the minor one",
    "several": "not joined: the file names but one allele, and several variants at that position have it",
    "repeated": "not joined: another row of the file is nearer to that variant",
    "alleles": "not joined: other alleles at that position",
    "absent": "not joined: no such variant and trait",
}
"""Words of ``gwas_alignment``, which is NA where the alleles are the same."""


def prefixed(frame: pd.DataFrame, prefix: str, estimates: list[str]) -> pd.DataFrame:
    """A result's table with the prefix before the named columns, e.g. ``gwas_beta``."""
    return frame.rename(columns={name: f"{prefix}{name}" for name in estimates if name in frame.columns})


def _check_identity(frame: pd.DataFrame, what: str) -> None:
    for name in IDENTITY:
        if name not in frame.columns:
            raise InputError(f"{what} has no column {name!r}; it cannot be joined by variant")


def join_variants(
    left: pd.DataFrame, right: pd.DataFrame, *, left_name: str, right_name: str, strands: bool = False
) -> pd.DataFrame:
    """Add the columns of one table of variants to the rows of another.

    Parameters
    ----------
    left, right : pandas.DataFrame
        ``trait chromosome base_pair_location variant_id effect_allele other_allele`` and further columns. Where the
        two count opposite alleles, the right one's signs are turned (columns that end in ``beta`` or
        ``sensitivity_mean``), and the log says how often. How rows are matched: :func:`gp_elm.genotypes.alleles.align`.
    left_name, right_name : str
        What to call them in messages.
    strands : bool
        Whether the two come from different files, which may name alleles on different strands and with different
        identifiers. The result then has a column ``gwas_alignment`` (`ALIGNMENT`), and alleles that the left table
        does not name are filled.

    Returns
    -------
    pandas.DataFrame
        The rows of ``left`` in their order, with the columns of ``right`` that it lacks; NA where it has no such row.

    Raises
    ------
    InputError
        Where an identity column is missing.
    """
    _check_identity(left, left_name)
    _check_identity(right, right_name)
    aligned = align(left, right, strands=strands)
    found = aligned.found
    at = np.where(found, aligned.place, 0)
    keep = pd.Series(found, index=left.index)
    sign = aligned.sign
    new: dict[str, pd.Series] = {}
    for name in right.columns:
        if name in left.columns or (strands and name == FREQUENCY):
            continue
        values = right[name].iloc[at] if len(right) else pd.Series(np.full(len(left), np.nan))
        values = values.set_axis(left.index)
        if name.endswith(_SIGNED):
            values = values * sign
        new[name] = values.where(keep)
    out = left.assign(**new)
    if strands:
        out["gwas_alignment"] = aligned.words()
        _fill_alleles(out, right, aligned)
    log_alignment(left, right, aligned, left_name, right_name)
    return out


def _fill_alleles(out: pd.DataFrame, right: pd.DataFrame, aligned: Alignment) -> None:
    """Alleles that the left table does not name, from the right one."""
    for name, opposite in (("effect_allele", "other_allele"), ("other_allele", "effect_allele")):
        rows = np.flatnonzero(out[name].isna().to_numpy() & aligned.found)
        if not rows.size:
            continue
        place = aligned.place[rows]
        straight, turned = (right[column].to_numpy(object)[place] for column in (name, opposite))
        names = out[name].to_numpy(object, copy=True)
        filled = np.where(aligned.sign[rows] < 0, turned, straight)
        strand = aligned.relation[rows] >= STRAND
        filled[strand] = [COMPLEMENT.get(str(word), word) for word in filled[strand]]
        names[rows] = filled
        out[name] = names


def agreement(joined: pd.DataFrame) -> pd.DataFrame:
    """How far the GWAS and the network agree, a row a trait.

    Parameters
    ----------
    joined : pandas.DataFrame
        Variants with ``gwas_beta gwas_p_value elm_beta elm_p_value``.

    Returns
    -------
    pandas.DataFrame
        ``trait``; ``n_variants`` with both effects; ``correlation`` of the two; ``slope`` of the ELM effect on the
        GWAS effect, ``same_sign`` the share of variants; how many of them are significant (p below 0.05 over their
        number) in the GWAS, in ELM, in both.
    """
    rows = []
    for trait, part in joined.groupby("trait", sort=False):
        beta = part[["gwas_beta", "elm_beta"]].to_numpy(float)
        p = part[["gwas_p_value", "elm_p_value"]].to_numpy(float)
        both = np.isfinite(beta).all(axis=1)
        n = int(both.sum())
        x, y = beta[both].T - beta[both].mean(axis=0)[:, None] if n else np.empty((2, 0))
        xx, yy, xy = float(x @ x), float(y @ y), float(x @ y)
        hit = p[both] < 0.05 / max(n, 1)
        rows.append(
            {
                "trait": trait,
                "n_variants": n,
                "correlation": xy / np.sqrt(xx * yy) if xx > 0 and yy > 0 else np.nan,
                "slope": xy / xx if xx > 0 else np.nan,
                "same_sign": float((beta[both].prod(axis=1) > 0).mean()) if n else np.nan,
                "significant_gwas": int(hit[:, 0].sum()),
                "significant_elm": int(hit[:, 1].sum()),
                "significant_both": int(hit.all(axis=1).sum()),
            }
        )
    return pd.DataFrame(rows)


def log_agreement(table: pd.DataFrame) -> None:
    """Say what `agreement` found, a line a trait."""
    for row in table.itertuples():
        logger.info(
            "%s: %d variants in both, correlation of the effects %.3f, slope of ELM on GWAS %.3f; significant: "
            "%d in the GWAS, %d in ELM, %d in both",
            row.trait, row.n_variants, row.correlation, row.slope, row.significant_gwas, row.significant_elm,
            row.significant_both,
        )  # fmt: skip


def read_foreign(paths: PathLike | Sequence[PathLike], traits: Sequence[str], other: str) -> pd.DataFrame:
    """Rows of another program's results, for the traits of a table of ours.

    Parameters
    ----------
    paths : path or sequence of paths
        As for :func:`gp_elm.io.gwas_results.read_gwas`.
    traits : sequence of str
        Traits of our table.
    other : str
        What to call our table in messages.

    Raises
    ------
    InputError
        Where none of the traits is one of ours.
    """
    frame = read_gwas(paths, traits=traits)
    unknown = [str(name) for name in frame["trait"].unique() if name not in set(traits)]
    if len(unknown) == frame["trait"].nunique():
        raise InputError(
            f"{paths if isinstance(paths, str | os.PathLike) else paths[0]}: the trait seems to be {unknown[0]!r}, but "
            f"those of {other} are {', '.join(traits[:8])}; say which it is with --gwas TRAIT=FILE"
        )
    if unknown:
        logger.warning("%s has no trait %s; these rows stay without a match", other, ", ".join(unknown[:8]))
    return frame


def foreign_gwas(paths: PathLike | Sequence[PathLike], scan: pd.DataFrame) -> pd.DataFrame:
    """The rows of our scan with the effects, errors, p-values and n of another program's results.

    Parameters
    ----------
    paths : path or sequence of paths
        As for :func:`gp_elm.io.gwas_results.read_gwas`.
    scan : pandas.DataFrame
        Table of a linear scan of the cohort: its rows, alleles and frequencies.

    Returns
    -------
    pandas.DataFrame
        The columns of `scan`, aligned to its effect alleles, NA where the results have no such row, and
        ``gwas_alignment``.

    Raises
    ------
    InputError
        Where a file cannot be read, or no trait is one of the cohort's.
    """
    theirs = read_foreign(paths, [str(name) for name in scan["trait"].unique()], "the cohort")
    aligned = align(theirs, scan, strands=True)
    log_alignment(theirs, scan, aligned, "the GWAS given", "the cohort")
    rows = np.flatnonzero(aligned.found)
    place = aligned.place[rows]
    out = scan.copy()
    for name in ("beta", "standard_error", "p_value", "neg_log_10_p_value"):
        values = np.full(len(scan), np.nan)
        values[place] = theirs[f"gwas_{name}"].to_numpy(float)[rows]
        out[name] = values
    out.iloc[place, list(out.columns).index("beta")] *= aligned.sign[rows]
    n = np.full(len(scan), np.nan)
    n[place] = theirs["n"].to_numpy(float, na_value=np.nan)[rows]
    out["n"] = pd.Series(n, index=out.index).astype("Int64")
    words = np.full(len(scan), "absent", dtype=object)
    said = aligned.words()
    unsure = np.flatnonzero(aligned.palindromic | aligned.unnamed)
    words[aligned.candidate[unsure]] = said[unsure]
    words[place] = said[rows]
    logger.info(
        "GWAS columns are those of the files given, not of a scan of this cohort: %d of %d rows",
        len(rows),
        len(scan),
    )
    return out.assign(gwas_alignment=words)


def add_q_values(frame: pd.DataFrame, prefix: str) -> pd.DataFrame:
    """Benjamini-Hochberg q-values of a method's p-values within each trait, as ``<prefix>q_value``."""
    q = np.full(len(frame), np.nan)
    p = frame[f"{prefix}p_value"].to_numpy(float)
    for index in frame.groupby("trait", sort=False).indices.values():
        tested = index[np.isfinite(p[index])]
        if tested.size:
            q[tested] = false_discovery_control(p[tested])
    return frame.assign(**{f"{prefix}q_value": q})


def variant_flags(frame: pd.DataFrame, variance: pd.DataFrame | None = None) -> NDArray[np.object_]:
    """Words for each variant: ``monomorphic``, ``collinear``, ``ambiguous_alleles``, ``population``.

    Parameters
    ----------
    frame : pandas.DataFrame
        Variants with ``effect_allele_frequency`` and ``gwas_beta``; with ``gwas_alignment``, NA in ``gwas_beta`` says
        nothing of the dosage.
    variance : pandas.DataFrame, optional
        The variance table, whose population checks flag whole traits.
    """
    structured: set[str] = set()
    if variance is not None:
        estimate = variance["estimate"].to_numpy(float)
        size = frame["trait"].astype(str).value_counts()
        limit = variance["trait"].astype(str).map(size).fillna(0).astype(int).map(population_limit)
        failed = (variance["component"] == "population_check") & (estimate > limit)
        structured = set(variance.loc[failed | (variance["component"] == "structure_h"), "trait"].astype(str))
    frequency = frame["effect_allele_frequency"].to_numpy(float)
    beta = frame["gwas_beta"].to_numpy(float)
    equal = frame["effect_allele"].to_numpy(str) == frame["other_allele"].to_numpy(str)
    ours = "gwas_alignment" not in frame
    monomorphic = ~((frequency > 0) & (frequency < 1))
    population = frame["trait"].astype(str).isin(structured).to_numpy()
    flags: list[str | None] = []
    for mono, untested, same, structure in zip(monomorphic, np.isnan(beta), equal, population, strict=True):
        words = ["monomorphic"] if mono else ["collinear"] if untested and ours else []
        words += ["ambiguous_alleles"] if same else []
        words += ["population"] if structure else []
        flags.append(";".join(words) or None)
    return np.asarray(flags, dtype=object)
