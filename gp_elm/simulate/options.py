"""What a simulated cohort shall be: one frozen set of options, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from gp_elm.errors import OptionError

SCALES = ("identity", "exp", "cube", "sigmoid")
DISTRIBUTIONS = ("normal", "equal")


@dataclass(frozen=True, kw_only=True)
class SimulateOptions:
    """Options of a simulated cohort.

    Where an option is "per trait", give one value for all traits or as many as there are traits. Variances
    are shares of the variance of a trait less its covariates; what the genetic shares leave is noise.

    Parameters
    ----------
    n_samples, n_variants : int
        Size of the cohort.
    n_chromosomes : int
        Chromosomes, named 1, 2, ...; each has the same number of variants, but for the remainder.
    chromosome_megabases : float
        Length of each chromosome; a megabase is a centimorgan.
    ploidy : int
        2; or 1 for a haploid cohort, whose BED holds the two homozygotes.
    minimum_frequency, maximum_frequency : float
        The effect allele's frequency is drawn evenly between the two.
    block_variants : float
        Mean number of variants in an LD block; there is no LD between blocks among unrelated samples.
    ld : float
        Probability that a haplotype is unbroken between two neighbours in a block, in [0, 1].
    family_fraction : float
        Share of the samples that live in nuclear families.
    family_size : int
        Samples in a family: two parents (for haploids: the parents of a cross) and their children; 3 or more.
    missing_rate : float
        Share of the calls that are missing at random.
    n_traits : int
        Traits, named trait_1, trait_2, ...
    additive_variance, dominance_variance, additive_by_additive_variance : float or sequence of float
        Share of the variance that each kind of effect makes; per trait.
    n_additive, n_dominance, n_pairs : int or sequence of int
        Loci or pairs with an effect of each kind; per trait.
    pure_epistasis : bool
        Take the loci of the pairs outside the additive ones; else among them, where there are two.
    shared_loci : bool
        All traits draw on the same loci, with effects of their own; else each trait has loci of its own.
    effect_distribution : str
        ``normal`` (standardised effects drawn from a normal distribution) or ``equal`` (each locus makes the
        same share, signs at random).
    shared_environment : float or sequence of float
        Share of the variance that families have in common for other reasons than genes; per trait.
    n_numeric_covariates, n_categorical_covariates : int
        Covariates age, covariate_2, ... and batch, batch_2, ... (three levels each).
    sex_covariate : bool
        Write sex as a covariate.
    covariate_variance : float or sequence of float
        Variance that the covariates add, beside the variance of 1 of the rest; per trait.
    missing_phenotypes : float
        Share of the trait values that are missing at random.
    scale : str
        Monotone change of the finished trait: ``identity``, ``exp``, ``cube`` or ``sigmoid``.
    seed : int
        The same options and seed give the same bytes.

    Raises
    ------
    OptionError
        Where an option, or a combination, makes no sense.
    """

    n_samples: int
    n_variants: int
    n_chromosomes: int = 5
    chromosome_megabases: float = 100.0
    ploidy: int = 2
    minimum_frequency: float = 0.05
    maximum_frequency: float = 0.95
    block_variants: float = 20.0
    ld: float = 0.9
    family_fraction: float = 0.0
    family_size: int = 4
    missing_rate: float = 0.0
    n_traits: int = 1
    additive_variance: float | Sequence[float] = 0.5
    dominance_variance: float | Sequence[float] = 0.0
    additive_by_additive_variance: float | Sequence[float] = 0.0
    n_additive: int | Sequence[int] = 20
    n_dominance: int | Sequence[int] = 0
    n_pairs: int | Sequence[int] = 0
    pure_epistasis: bool = False
    shared_loci: bool = True
    effect_distribution: str = "normal"
    shared_environment: float | Sequence[float] = 0.0
    n_numeric_covariates: int = 1
    n_categorical_covariates: int = 1
    sex_covariate: bool = True
    covariate_variance: float | Sequence[float] = 0.1
    missing_phenotypes: float = 0.0
    scale: str = "identity"
    seed: int = 1

    def __post_init__(self) -> None:
        """Check the options, and spread those per trait over the traits."""
        self._at_least("n_samples", 2)
        self._at_least("n_variants", 1)
        self._at_least("n_chromosomes", 1)
        self._at_least("n_traits", 1)
        self._at_least("family_size", 3)
        self._at_least("block_variants", 1)
        self._at_least("n_numeric_covariates", 0)
        self._at_least("n_categorical_covariates", 0)
        self._at_least("seed", 0)
        for name in ("minimum_frequency", "maximum_frequency", "ld", "family_fraction"):
            self._share(name)
        for name in ("missing_rate", "missing_phenotypes"):
            self._share(name, below_one=True)
        for name in _PER_TRAIT:
            object.__setattr__(self, name, self._per_trait(name))
        self._together()

    def per_trait(self, name: str, trait: int) -> Any:
        """Return the value of a per-trait option for one trait (0-based)."""
        return getattr(self, name)[trait]

    def _together(self) -> None:
        if self.ploidy not in (1, 2):
            raise OptionError(f"ploidy is {self.ploidy}; only 1 and 2 can be simulated")
        if self.n_chromosomes > self.n_variants:
            raise OptionError(
                f"{self.n_chromosomes} chromosomes need at least as many variants, not {self.n_variants}"
            )
        if self.n_variants / self.n_chromosomes > self.chromosome_megabases * 1e5:
            raise OptionError(
                f"{self.n_variants} variants are too dense on {self.n_chromosomes} chromosomes of "
                f"{self.chromosome_megabases:g} megabases; give a larger chromosome_megabases"
            )
        if self.minimum_frequency > self.maximum_frequency:
            raise OptionError(
                f"minimum_frequency ({self.minimum_frequency:g}) is above maximum_frequency "
                f"({self.maximum_frequency:g}); swap them"
            )
        if self.family_fraction > 0 and self.family_size > self.n_samples:
            raise OptionError(f"a family of {self.family_size} does not fit in {self.n_samples} samples")
        for name, allowed in (("scale", SCALES), ("effect_distribution", DISTRIBUTIONS)):
            if getattr(self, name) not in allowed:
                raise OptionError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}")
        for t in range(self.n_traits):
            self._check_trait(t)

    def _check_trait(self, t: int) -> None:
        shares = (
            "additive_variance",
            "dominance_variance",
            "additive_by_additive_variance",
            "shared_environment",
        )
        total = sum(self.per_trait(name, t) for name in shares)
        if total > 1 + 1e-12:
            raise OptionError(f"trait_{t + 1}: the variances add up to {total:g}, above 1; lower one of them")
        for variance, count in _COUNTS.items():
            if self.per_trait(variance, t) > 0 and self.per_trait(count, t) == 0:
                raise OptionError(
                    f"trait_{t + 1} has {variance} above 0 but {count} 0; give a number of loci"
                )
        if self.ploidy == 1 and self.per_trait("dominance_variance", t) > 0:
            raise OptionError(f"trait_{t + 1} has dominance in a haploid cohort; set dominance_variance to 0")
        if self.per_trait("shared_environment", t) > 0 and self.family_fraction == 0:
            raise OptionError(f"trait_{t + 1} has a shared environment but no families; set family_fraction")
        if self.per_trait("covariate_variance", t) > 0 and not self.has_covariates:
            raise OptionError(
                f"trait_{t + 1} has covariate_variance above 0, but there are no covariates; set it to 0"
            )

    @property
    def has_covariates(self) -> bool:
        """Whether there is any covariate."""
        return bool(self.n_numeric_covariates or self.n_categorical_covariates or self.sex_covariate)

    def _at_least(self, name: str, least: float) -> None:
        value = getattr(self, name)
        if not value >= least:
            raise OptionError(f"{name} is {value}; give {least} or more")

    def _share(self, name: str, *, below_one: bool = False) -> None:
        value = getattr(self, name)
        if not 0 <= value <= 1 or (below_one and value == 1):
            raise OptionError(f"{name} is {value}; give a share {'in [0, 1)' if below_one else 'in [0, 1]'}")

    def _per_trait(self, name: str) -> tuple[float, ...]:
        given = getattr(self, name)
        values = tuple(given) if isinstance(given, Sequence) else (given,)
        if len(values) == 1:
            values = values * self.n_traits
        if len(values) != self.n_traits:
            raise OptionError(
                f"{name} has {len(values)} values for {self.n_traits} traits; give 1 or {self.n_traits}"
            )
        if any(not value >= 0 for value in values):
            raise OptionError(f"{name} is {given}; give 0 or more")
        return values


_COUNTS = {
    "additive_variance": "n_additive",
    "dominance_variance": "n_dominance",
    "additive_by_additive_variance": "n_pairs",
}
_PER_TRAIT = (*_COUNTS, *_COUNTS.values(), "shared_environment", "covariate_variance")

OPTION_NAMES = tuple(field.name for field in fields(SimulateOptions))
"""Names of all options, in order."""
