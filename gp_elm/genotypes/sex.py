"""Sex chromosomes: males count one X, Y belongs to males, and Y and MT count 0/1, as PLINK 2 codes them."""

from __future__ import annotations

import logging

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gp_elm.errors import OptionError
from gp_elm.genotypes.chromosomes import AUTOSOME, MT, ChromosomeSet, X, Y, chromosome_set
from gp_elm.genotypes.coding import AS_READ, FEWEST_EXPECTED, HALVED, detect_ploidy, recode
from gp_elm.genotypes.frequencies import VariantStatistics, variant_statistics
from gp_elm.genotypes.sex_linkage import ALIKE, FEMALE, MALE, X_ONE, X_TWO, Y_MALES, sample_sex, sex_linkage
from gp_elm.io.blocks import select
from gp_elm.schema import MISSING

log = logging.getLogger(__name__)

LIKE_AN_AUTOSOME = 0.1
"""Share of the heterozygotes of Hardy-Weinberg proportions above which a numbered chromosome is no X, Y or MT."""

INBRED = 0.3
"""Share of these on the autosomes below which their lack elsewhere tells nothing: lines after three selfings have 0.25.
"""

_STRETCHES, _STRETCH = 16, 64
"""Stretches of neighbouring variants, and variants of each, that show how heterozygous the autosomes are."""

EXPLAINED = 0.999
"""Share of the variance of sex that covariates must explain for sex to count as one of them."""

_LOST, _HOMOZYGOUS, _DOUBLED = (MISSING,) * 4, (0, MISSING, 2, MISSING), (0, 2, MISSING, MISSING)
_NAN = np.nan


def code_sex_chromosomes(
    cohort: xr.Dataset, *, chr_set: str | int | None = None, xchr_model: int | None = None
) -> xr.Dataset:
    """Count the genotypes of X, Y and MT by the sex of the samples, lazily, and log what is done.

    As PLINK 2 does: on X males count 0/2 (``xchr_model`` 2) or 0/1 (1), females 0/1/2; Y counts 0/1 in males and is
    missing in others; MT counts 0/1; PAR counts as an autosome. Samples of unknown sex are missing on X, as in
    ``--glm`` with sex as a covariate; ``--freq`` counts them like females. Where no sample has a sex, X counts 0/1/2
    in all and Y 0/1 in all. Heterozygous calls where one copy is carried are missing, as after PLINK's
    ``--set-hh-missing``; imputed dosages are halved there instead. The variants of X, Y and MT are read once for
    this, and some of the autosomes where a chromosome is one of them by its number.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort as read. One that was coded before stays as it is but for ``xchr_model``; so does one that counts 0/1
        throughout.
    chr_set : str or int, optional
        As for :func:`gp_elm.genotypes.chromosomes.parse_chromosome_set`; by default told from the names. A default by
        number (23 as X) is dropped, with a warning, where the calls there are as heterozygous as an autosome's, and
        where the cohort is haploid or inbred.
    xchr_model : {1, 2}, optional
        Largest dosage of a male on X; by default 2, or that of a cohort that was coded before.

    Returns
    -------
    xarray.Dataset
        The cohort with ``variant_ploidy`` and, where X or Y depend on sex, ``variant_sex_linkage`` set.

    Raises
    ------
    OptionError
        Where an option is not understood, or a coded cohort cannot be brought to another ``xchr_model``.
    """
    if xchr_model not in (None, 1, 2):
        raise OptionError(
            f"--xchr-model {xchr_model} is not known; give 2 (males 0/2) or 1 (males 0/1); leave X out with --chr"
        )
    names = [str(name) for name in cohort["contig_id"].to_numpy()]
    chosen, reason = chromosome_set(names, chr_set)
    twofold = cohort["variant_ploidy"].to_numpy() == 2
    if "variant_sex_linkage" in cohort:
        return cohort if xchr_model is None else _change_model(cohort, xchr_model)
    if chosen.haploid or not twofold.any():
        return cohort
    model = xchr_model or X_TWO
    contig = cohort["variant_contig"].to_numpy()
    kinds = np.array([chosen.kind(name) for name in names], np.uint8)
    there = np.isin(np.arange(len(names)), contig[twofold])
    _say_set(names, there, chosen, reason, given=chr_set is not None)
    sex = sample_sex(cohort)
    numbered = [chr_set is None and chosen.by_number(name) for name in names]
    guessed = there & (kinds != AUTOSOME) & np.array(numbered, bool)
    share = (
        _heterozygosity(cohort, np.flatnonzero((kinds[contig] == AUTOSOME) & twofold))
        if guessed.any()
        else 1.0
    )
    for code in np.flatnonzero(there & (kinds != AUTOSOME)):
        variants = np.flatnonzero((contig == code) & twofold)
        found = _one_copy(cohort, variants, int(kinds[code]), sex)
        if guessed[code] and _like_an_autosome(found, names[code], chosen, share):
            kinds[code] = AUTOSOME
        else:
            _say(cohort, names[code], chosen, variants, found, sex, model)
    kind = np.where(twofold, kinds[contig], AUTOSOME)
    if not kind.any():
        return cohort
    known = bool((sex > 0).any())
    if not known:
        kind = np.where(kind == X, AUTOSOME, np.where(kind == Y, MT, kind))
    elif np.isin(kind, (X, Y)).any() and (n_unknown := int((sex == 0).sum())):
        log.warning(
            "%d of %d samples have no sex: they are missing on X and Y, as in PLINK's --glm with sex as a covariate; "
            "its --freq, --maf and --geno count them on X, like females",
            n_unknown, len(sex),
        )  # fmt: skip
    ploidy = np.where(np.isin(kind, (Y, MT)), 1, cohort["variant_ploidy"].to_numpy())
    return _code(cohort, kind.astype(np.uint8), ploidy, model)


def say_whether_sex_is_a_covariate(cohort: xr.Dataset) -> None:
    """Warn where X is tested, both sexes are there and the covariates do not tell them apart.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort with its sex chromosomes coded and its covariates added.
    """
    linkage, sex = sex_linkage(cohort), sample_sex(cohort)
    known = sex > 0
    male = (sex[known] == MALE).astype(float)
    if not np.isin(linkage, (X_ONE, X_TWO)).any() or not male.any() or male.all():
        return
    design = np.ones((len(male), 1))
    if "sample_covariate" in cohort:
        design = np.column_stack([design, cohort["sample_covariate"].to_numpy()[known]])
    left = male - design @ np.linalg.lstsq(design, male, rcond=None)[0]
    if left @ left > (1 - EXPLAINED) * ((male - male.mean()) ** 2).sum():
        log.warning(
            "sex is not among the covariates: on X, PLINK's --glm adds it by itself; add a column of sex to --covar "
            "where males and females may differ in the trait"
        )


def _one_copy(
    cohort: xr.Dataset, variants: NDArray[np.int64], kind: int, sex: NDArray[np.uint8]
) -> VariantStatistics | None:
    """The calls, as read, of the samples that carry one copy; None where it is not known that any does.

    Males on X and Y; on Y all where no sex is known.
    """
    known = bool((sex > 0).any())
    if kind == MT or (kind == Y and not known):
        return variant_statistics(select(cohort, variants=variants))
    if not (sex == MALE).any():
        return None
    return variant_statistics(select(cohort, variants=variants, samples=sex == MALE))


def _heterozygosity(cohort: xr.Dataset, autosomal: NDArray[np.int64]) -> float:
    """Heterozygotes on some of the autosomes as a share of those of Hardy-Weinberg proportions; 1 if too few tell."""
    if len(autosomal) > _STRETCHES * _STRETCH:
        starts = np.linspace(0, len(autosomal) - _STRETCH, _STRETCHES).astype(np.int64)
        autosomal = autosomal[(starts[:, None] + np.arange(_STRETCH)).ravel()]
    found = detect_ploidy(select(cohort, variants=autosomal)) if len(autosomal) else None
    if found is None or found.n_expected < FEWEST_EXPECTED:
        return 1.0
    return min(found.n_heterozygous / found.n_expected, 1.0)


def _like_an_autosome(
    found: VariantStatistics | None, name: str, chosen: ChromosomeSet, share: float
) -> bool:
    kind = chosen.canonical(name)
    if share < INBRED:
        log.warning(
            "chromosome %s counts as an autosome: the cohort is haploid or inbred (%.2g of the heterozygotes of "
            "random mating), so nothing shows that %s is %s; if it is, give --chr-set %d",
            name, share, name, kind, chosen.n_autosomes,
        )  # fmt: skip
        return True
    if found is None:
        return False
    frequency = np.nan_to_num(found.effect_allele_frequency)
    expected = float((2 * frequency * (1 - frequency) * found.n_diploid).sum())
    n_heterozygous = int(found.n_heterozygous.sum())
    if expected < FEWEST_EXPECTED or n_heterozygous <= LIKE_AN_AUTOSOME * expected:
        return False
    log.warning(
        "chromosome %s counts as an autosome: as %s it would have one copy in %d samples, but %d of their calls are "
        "heterozygous (%.0f on an autosome); if it is %s, mend the sexes or give --chr-set",
        name, kind, found.n_samples, n_heterozygous, expected, kind,
    )  # fmt: skip
    return True


def _change_model(cohort: xr.Dataset, model: int) -> xr.Dataset:
    """Bring the males on X of a coded cohort from 0/1 to 0/2 or back."""
    linkage, sex = sex_linkage(cohort), sample_sex(cohort)
    other = X_ONE if model == X_TWO else X_TWO
    there = linkage == other
    if not there.any():
        return cohort
    remedy = f"convert it again with --xchr-model {model} from the file that it came from"
    if not (sex > 0).any():
        raise OptionError(
            f"--xchr-model {model}: the cohort's X is coded with males 0/{other}, but no sample has a sex any more; "
            f"give the sexes, or {remedy}"
        )
    if (sex == MALE).any():
        # without its linkage X shows what the males count
        bare = select(cohort.drop_vars("variant_sex_linkage"), variants=there, samples=sex == MALE)
        found = variant_statistics(bare)
        strange = found.n_homozygous if other == X_ONE else found.n_heterozygous
        hard = cohort["call_dosage"].dtype.kind != "f"
        if (hard or other == X_ONE) and strange.any():
            raise OptionError(
                f"--xchr-model {model}: the cohort's X is coded with males 0/{other}, but {int(strange.sum())} of "
                f"their calls are {3 - other}; {remedy}"
            )
    log.info("X was coded with males 0/%d: they count 0/%d, as --xchr-model %d asks", other, model, model)
    males, factor = (HALVED, 0.5) if model == X_ONE else (_DOUBLED, 2.0)
    coded = recode(
        cohort,
        there.astype(np.uint8),
        np.array([[AS_READ] * 3, [AS_READ, males, AS_READ]], np.int8),
        np.array([[1.0] * 3, [1.0, factor, 1.0]], np.float32),
    )
    return coded.assign(variant_sex_linkage=("variants", np.where(there, model, linkage).astype(np.int8)))


def _say_set(
    names: list[str], there: NDArray[np.bool_], chosen: ChromosomeSet, reason: str, *, given: bool
) -> None:
    """Say where the set comes from, where a number might be taken for something else."""
    doubtful = [
        name for name, present in zip(names, there, strict=True)
        if present and (chosen.by_number(name) or name.upper().removeprefix("CHR") in ("23", "24", "25", "26"))
    ]  # fmt: skip
    roman = "X" in chosen.absent and any(name.upper().removeprefix("CHR") == "X" for name in names)
    if doubtful or (roman and not given):
        what = ", ".join(
            f"{name} is {chosen.canonical(name)}" if chosen.by_number(name) else f"{name} is an autosome"
            for name in doubtful
        )
        log.info(
            "chromosomes: %s%s%s",
            reason,
            f": {what}" if what else "",
            "" if given else "; --chr-set overrides",
        )


def _say(
    cohort: xr.Dataset, name: str, chosen: ChromosomeSet, variants: NDArray[np.int64],
    found: VariantStatistics | None, sex: NDArray[np.uint8], xchr_model: int,
) -> None:  # fmt: skip
    kind, known = chosen.kind(name), bool((sex > 0).any())
    if kind == X and not known:
        log.warning(
            "chromosome %s: no sample has a sex, so %d variants count 0/1/2 in all of them, whatever --xchr-model; "
            "sexes come with BED, PGEN or --sample: plink2 --update-sex writes them", name, len(variants),
        )  # fmt: skip
        return
    how = "all samples count 0/1"
    if kind == X:
        how = f"males count 0/{xchr_model}, females 0/1/2"
    elif kind == Y and known:
        how = "males count 0/1, others are missing"
    elif kind == Y:
        how = "no sample has a sex, so all count 0/1"
    label = name if chosen.canonical(name) in name.upper() else f"{name} ({chosen.canonical(name)})"
    log.info("chromosome %s: %d variants; %s", label, len(variants), how)
    n_heterozygous = 0 if found is None else int(found.n_heterozygous.sum())
    if found is not None and n_heterozygous and cohort["call_dosage"].dtype.kind != "f":
        log.warning(
            "chromosome %s: %d of %d calls of samples that carry one copy are heterozygous: they are missing, as after "
            "PLINK's --set-%s-missing",
            name, n_heterozygous, int(found.n_called.sum()), "mixed-mt" if kind == MT else "hh",
        )  # fmt: skip
    if kind == Y and known and (sex == FEMALE).any():
        females = variant_statistics(select(cohort, variants=variants, samples=sex == FEMALE))
        if n_females := int(females.n_called.sum()):
            log.warning("chromosome %s: %d calls of females are missing", name, n_females)


def _code(
    cohort: xr.Dataset, kind: NDArray[np.uint8], ploidy: NDArray[np.integer], xchr_model: int
) -> xr.Dataset:
    """Recode by kind of chromosome (m,), and say how each variant counts."""
    known = bool((sample_sex(cohort) > 0).any())
    male_x, male_factor = (HALVED, 0.5) if xchr_model == 1 else (_HOMOZYGOUS, 1.0)
    # kinds in the order of AUTOSOME, X, Y, MT; sexes unknown, male, female
    table = np.array([[AS_READ] * 3, [_LOST, male_x, AS_READ], [_LOST, HALVED, _LOST], [HALVED] * 3], np.int8)
    factor = np.array([[1.0] * 3, [_NAN, male_factor, 1.0], [_NAN, 0.5, _NAN], [0.5] * 3], np.float32)
    coded = recode(cohort, kind, table, factor).assign(
        variant_ploidy=("variants", ploidy.astype(cohort["variant_ploidy"].dtype))
    )
    if not known or not np.isin(kind, (X, Y)).any():
        return coded
    linkage = np.select([kind == X, kind == Y], [xchr_model, Y_MALES], ALIKE).astype(np.int8)
    return coded.assign(variant_sex_linkage=("variants", linkage))
