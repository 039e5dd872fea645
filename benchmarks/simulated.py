"""Simulated cohorts whose true effects are known exactly.

A cohort is made of independent LD blocks, each with a handful of founder haplotypes. The joint distribution of a
block is therefore finite, and every estimand of METHOD 3 is a weighted regression over its genotypes: no effect is
taken from the causal one, and none is itself an estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SAMPLES_A_FAMILY = 4
BLOCKS_A_CHROMOSOME = 5


@dataclass(frozen=True)
class Block:
    """Founder haplotypes of a block of loci.

    Attributes
    ----------
    haplotypes : (K, b) int8
        0/1.
    share : (K,) float
        Their frequencies.
    """

    haplotypes: NDArray[np.int8]
    share: Floats

    def genotypes(self, ploidy: int) -> tuple[Floats, Floats]:
        """All genotypes of a random-mating population (S, b), and their probabilities (S,)."""
        if ploidy == 1:
            return self.haplotypes.astype(float), self.share
        both = self.haplotypes[:, None].astype(float) + self.haplotypes[None]
        return both.reshape(-1, both.shape[2]), np.outer(self.share, self.share).ravel()


def single_loci(frequency: Floats) -> list[Block]:
    """Loci in equilibrium, one a block."""
    return [Block(np.array([[0], [1]], np.int8), np.array([1 - p, p])) for p in frequency]


def random_block(rng: np.random.Generator, size: int, *, least: float, founders: int = 10) -> Block:
    """A block of polymorphic loci, none a copy of another, all with frequencies from ``least`` to 1 - ``least``."""
    while True:
        haplotypes = rng.integers(0, 2, (founders, size)).astype(np.int8)
        share = rng.dirichlet(np.full(founders, 3.0))
        frequency = share @ haplotypes
        if frequency.min() < least or frequency.max() > 1 - least:
            continue
        x = haplotypes - frequency
        covariance = (x * share[:, None]).T @ x
        r2 = covariance**2 / np.outer(np.diag(covariance), np.diag(covariance))
        if size == 1 or r2[~np.eye(size, dtype=bool)].max() < 0.95:
            return Block(haplotypes, share)


@dataclass(frozen=True)
class Population:
    """Independent blocks of loci.

    Attributes
    ----------
    blocks : sequence of Block
        In genome order.
    ploidy : int
        1 or 2.
    """

    blocks: Sequence[Block]
    ploidy: int

    @property
    def m(self) -> int:
        """Number of loci."""
        return sum(block.haplotypes.shape[1] for block in self.blocks)

    @property
    def members(self) -> list[Ints]:
        """Loci of each block."""
        ends = np.cumsum([block.haplotypes.shape[1] for block in self.blocks])
        return [np.arange(end - b.haplotypes.shape[1], end) for end, b in zip(ends, self.blocks, strict=True)]

    @property
    def block_of(self) -> Ints:
        """Block of each locus, (m,)."""
        return np.repeat(np.arange(len(self.blocks)), [b.haplotypes.shape[1] for b in self.blocks])

    @property
    def frequency(self) -> Floats:
        """Frequency of each effect allele, (m,)."""
        return np.concatenate([block.share @ block.haplotypes for block in self.blocks])

    def draw(self, rng: np.random.Generator, n: int) -> NDArray[np.int8]:
        """Unrelated samples, (n, m)."""
        parts = []
        for block in self.blocks:
            which = rng.choice(block.share.size, (self.ploidy, n), p=block.share)
            parts.append(block.haplotypes[which].sum(0))
        return np.concatenate(parts, axis=1).astype(np.int8)

    def draw_families(self, rng: np.random.Generator, n: int) -> tuple[NDArray[np.int8], Ints]:
        """Nuclear families of two unrelated parents and two children: dosages (n, m), family of each sample (n,)."""
        families = n // SAMPLES_A_FAMILY
        parts = []
        for block in self.blocks:
            # (copy, family, member): two parents, then children who take a haplotype of each.
            which = np.empty((self.ploidy, families, SAMPLES_A_FAMILY), np.int64)
            which[:, :, :2] = rng.choice(block.share.size, (self.ploidy, families, 2), p=block.share)
            for child in (2, 3):
                if self.ploidy == 2:
                    for parent in (0, 1):
                        side = rng.integers(0, 2, families)
                        which[parent, :, child] = which[side, np.arange(families), parent]
                else:
                    which[0, :, child] = which[0, np.arange(families), rng.integers(0, 2, families)]
            parts.append(block.haplotypes[which].sum(0).reshape(families * SAMPLES_A_FAMILY, -1))
        family = np.repeat(np.arange(families), SAMPLES_A_FAMILY)
        return np.concatenate(parts, axis=1).astype(np.int8), family


@dataclass(frozen=True)
class Truth:
    """Effects in the population; NaN where a regression is singular, such as a pair that lacks a haplotype.

    Attributes
    ----------
    marginal, dominance : (m,) float
        Coefficient of g_i on (1, g_i), and of [g_i = 1] on (1, g_i, [g_i = 1]).
    pairs : (m, m) float
        Coefficient of g_i g_j on (1, g_i, g_j, g_i g_j).
    pairs_rest : (m, m) float
        The same of the trait less its additive part, the regression on all loci.
    pairs_joint : (m, m) float
        Coefficient of g_i g_j beside all loci of the block. The three are one for loci of different blocks.
    """

    marginal: Floats
    dominance: Floats
    pairs: Floats
    pairs_rest: Floats
    pairs_joint: Floats


@dataclass(frozen=True)
class Architecture:
    """A trait's genetic value: ``sum a_i x_i + sum d_i h_i + sum b_ij x_i x_j``.

    x is the dosage less its population mean, h_i is [g_i = 1] less its regression on g_i in the population.

    Attributes
    ----------
    additive, dominance : (m,) float
        a and d.
    pairs : (m, m) float
        b, symmetric, each pair counted once.
    """

    additive: Floats
    dominance: Floats
    pairs: Floats

    def parts(self, population: Population, dosage: NDArray[np.int8]) -> tuple[Floats, Floats, Floats]:
        """Additive, dominance and pair part of the genetic value of samples, (n,) each."""
        p = population.frequency
        x = dosage - population.ploidy * p
        h = _dominance_of(dosage, p) if population.ploidy == 2 else np.zeros(x.shape)
        return x @ self.additive, h @ self.dominance, 0.5 * np.einsum("si,si->s", x @ self.pairs, x)

    def effects(self, population: Population) -> Truth:
        """The estimands in the population: regression coefficients, of tags as well as of causal loci."""
        m, p, members = population.m, population.frequency, population.members
        marginal, dominance = np.full(m, np.nan), np.full(m, np.nan)
        pairs, rest, joint = np.zeros((m, m)), np.zeros((m, m)), np.zeros((m, m))
        loading = np.zeros((m, m))
        for block, at in zip(population.blocks, members, strict=True):
            g, weight = block.genotypes(population.ploidy)
            x = g - population.ploidy * p[at]
            # What the other blocks add has mean 0 whatever this block's genotype is.
            value = x @ self.additive[at] + 0.5 * np.einsum("si,si->s", x @ self.pairs[np.ix_(at, at)], x)
            if population.ploidy == 2:
                value = value + _dominance_of(g, p[at]) @ self.dominance[at]
            covariance = (x * weight[:, None]).T @ x
            loading[np.ix_(at, at)] = covariance / np.diag(covariance)
            left = value - _fitted(value, weight, *g.T)
            for k, i in enumerate(at):
                marginal[i] = _coefficient(value, weight, g[:, k])
                if population.ploidy == 2:
                    dominance[i] = _coefficient(value, weight, g[:, k], g[:, k] == 1)
                for other in range(k):
                    both, product = (g[:, k], g[:, other]), g[:, k] * g[:, other]
                    here = (np.r_[i, at[other]], np.r_[at[other], i])
                    pairs[here] = _coefficient(value, weight, *both, product)
                    rest[here] = _coefficient(left, weight, *both, product)
                    joint[here] = _coefficient(value, weight, *g.T, product)
        label = population.block_of
        across = label[:, None] != label[None, :]
        for effects in (pairs, rest, joint):
            effects[across] = (loading.T @ np.where(across, self.pairs, 0.0) @ loading)[across]
        return Truth(marginal, dominance, pairs, rest, joint)


def _dominance_of(g: NDArray[np.generic], p: Floats) -> Floats:
    """[g = 1] less its regression on g in Hardy-Weinberg proportions."""
    x = g - 2 * p
    return (g == 1) - 2 * p * (1 - p) - x * (1 - 2 * p)


def _coefficient(value: Floats, weight: Floats, *columns: NDArray[np.generic]) -> float:
    """Coefficient of the last column in the weighted regression of a value on all of them; NaN where singular."""
    design = np.column_stack([np.ones(value.size), *columns]) * np.sqrt(weight)[:, None]
    coefficient, _, rank, singular = np.linalg.lstsq(design, value * np.sqrt(weight), rcond=1e-9)
    return float(coefficient[-1]) if rank == design.shape[1] and singular[-1] > 1e-6 else np.nan


def _fitted(value: Floats, weight: Floats, *columns: NDArray[np.generic]) -> Floats:
    """Weighted regression of a value on some columns: what it fits."""
    design = np.column_stack([np.ones(value.size), *columns])
    root = np.sqrt(weight)
    return design @ np.linalg.lstsq(design * root[:, None], value * root, rcond=1e-9)[0]


def memory_cohort(
    dosage: NDArray[np.int8],
    traits: Floats,
    *,
    ploidy: int,
    block: Ints,
    covariates: Floats | None = None,
    groups: NDArray[np.generic] | None = None,
) -> xr.Dataset:
    """A cohort in memory.

    Parameters
    ----------
    dosage : (n, m) int8
        -1 missing.
    traits : (n, T) float
        Traits.
    ploidy : int
        Largest dosage.
    block : (m,) int
        Block of each variant, ascending; five blocks a chromosome, 10 Mb from one to the next, 1 kb within.
    covariates : (n, k) float, optional
        Covariates.
    groups : (n,), optional
        Families.
    """
    n, m = dosage.shape
    contig = block // BLOCKS_A_CHROMOSOME
    position = (
        1 + 10_000_000 * (block % BLOCKS_A_CHROMOSOME) + 1000 * (np.arange(m) - np.searchsorted(block, block))
    )
    cohort = xr.Dataset(
        {
            "call_dosage": (("variants", "samples"), np.ascontiguousarray(dosage.T)),
            "variant_contig": ("variants", contig.astype(np.int64)),
            "contig_id": ("contigs", np.array([str(c + 1) for c in range(int(contig.max()) + 1)])),
            "variant_position": ("variants", position),
            "variant_id": ("variants", np.array([f"v{j + 1}" for j in range(m)])),
            "variant_effect_allele": ("variants", np.full(m, "A")),
            "variant_other_allele": ("variants", np.full(m, "G")),
            "variant_ploidy": ("variants", np.full(m, ploidy, np.int64)),
            "sample_id": ("samples", np.array([f"s{i:06d}" for i in range(n)])),
            "sample_phenotype": (("samples", "traits"), traits),
            "trait_id": ("traits", np.array([f"trait_{t + 1}" for t in range(traits.shape[1])])),
        }
    ).chunk({"variants": m})
    if covariates is not None:
        cohort["sample_covariate"] = (("samples", "covariates"), covariates)
        cohort["covariate_id"] = ("covariates", np.array([f"c{k}" for k in range(covariates.shape[1])]))
    if groups is not None:
        cohort["sample_group"] = ("samples", np.asarray(groups).astype(str))
    return cohort
