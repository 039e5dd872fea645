"""Genotypes of a simulated cohort, variant after variant, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gp_elm.simulate.options import SimulateOptions

_LEVELS = 1 << 16
_ALLELES = np.array(list("ACGT"))


@dataclass(frozen=True)
class VariantLayout:
    """Where the variants stand and what they are; each array is (m,)."""

    chromosome: np.ndarray
    """1-based number of the chromosome."""
    position: np.ndarray
    block: np.ndarray
    """Number of the LD block, counted over the genome."""
    frequency: np.ndarray
    """Frequency of the effect allele that was drawn for the founders."""
    flipped: np.ndarray
    """Whether the effect allele lies at the other end of the latent scale, which turns the sign of its LD."""
    effect_allele: np.ndarray
    other_allele: np.ndarray
    variant_id: np.ndarray


@dataclass(frozen=True)
class Pedigree:
    """Who descends from whom; founders are unrelated."""

    family: np.ndarray
    """(n,) number of the family, -1 for a sample without one."""
    sex: np.ndarray
    """(n,) 1 male, 2 female."""
    father: np.ndarray
    mother: np.ndarray
    """(n,) index of the parent, -1 for a founder."""


def lay_out_variants(options: SimulateOptions, rng: np.random.Generator) -> VariantLayout:
    """Draw chromosomes, positions, LD blocks, frequencies and alleles of all variants."""
    m, chromosomes = options.n_variants, options.n_chromosomes
    chromosome = np.arange(m) * chromosomes // m + 1
    first = np.diff(chromosome, prepend=0) > 0
    gap = -np.log1p(-rng.random(m))
    position = np.empty(m, dtype=np.int64)
    for c in range(1, chromosomes + 1):
        on = np.flatnonzero(chromosome == c)
        reach = np.cumsum(gap[on])
        length = options.chromosome_megabases * 1e6 - len(on)
        # one base pair more at each variant keeps positions apart
        position[on] = (
            np.floor(reach / (reach[-1] + gap.mean()) * length).astype(np.int64) + np.arange(len(on)) + 1
        )
    starts = first | (rng.random(m) < 1 / options.block_variants)
    frequency = rng.uniform(options.minimum_frequency, options.maximum_frequency, m)
    flipped = rng.random(m) < 0.5
    effect = rng.integers(0, 4, m)
    other = (effect + rng.integers(1, 4, m)) % 4
    width = len(str(m))
    return VariantLayout(
        chromosome=chromosome,
        position=position,
        block=np.cumsum(starts) - 1,
        frequency=frequency,
        flipped=flipped,
        effect_allele=_ALLELES[effect],
        other_allele=_ALLELES[other],
        variant_id=np.array([f"v{k + 1:0{width}d}" for k in range(m)]),
    )


def draw_pedigree(options: SimulateOptions, rng: np.random.Generator) -> Pedigree:
    """Draw the families; their members come first, each family's parents before its children."""
    n, size = options.n_samples, options.family_size
    families = int(options.family_fraction * n) // size
    member = np.arange(n) < families * size
    family = np.where(member, np.arange(n) // size, -1)
    place = np.where(member, np.arange(n) % size, -1)
    sex = rng.integers(1, 3, n)
    sex[place == 0] = 1
    sex[place == 1] = 2
    child = place >= 2
    father = np.where(child, family * size, -1)
    mother = np.where(child, family * size + 1, -1)
    return Pedigree(family=family, sex=sex, father=father, mother=mother)


def stream_dosages(
    options: SimulateOptions,
    layout: VariantLayout,
    pedigree: Pedigree,
    *,
    haplotype_rng: np.random.Generator,
    meiosis_rng: np.random.Generator,
    block_bytes: int = 8 << 20,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the genotypes in blocks of variants.

    Each founder haplotype carries a latent level that is drawn anew at the start of an LD block and, at a
    rate given by ``ld``, between neighbours in it; it holds the effect allele where the level is below the
    allele's frequency (or above one less it). A child copies, along each chromosome, one of its parent's two
    haplotypes, and changes over to the other at crossovers (Haldane's map). The draws do not depend on
    `block_bytes`.

    Parameters
    ----------
    options, layout, pedigree
        What to simulate.
    haplotype_rng, meiosis_rng : numpy.random.Generator
        Sources of the founders' haplotypes and of the crossovers.
    block_bytes : int
        Size of a block.

    Yields
    ------
    start : int
        Index of the block's first variant.
    dosage : numpy.ndarray
        (variants, n) uint8, copies of the effect allele, 0..ploidy; complete.
    """
    n = options.n_samples
    copies = _Copies(options.ploidy, pedigree)
    level = np.empty(copies.n_founder_haplotypes, dtype=np.uint16)
    threshold = np.clip(np.rint(layout.frequency * _LEVELS), 0, _LEVELS).astype(np.int64)
    # a Poisson number of draws, with replacement, leaves each haplotype unbroken with probability exp(-rate)
    rate = -np.log(options.ld) if options.ld > 0 else np.inf
    per_block = max(block_bytes // n, 1)
    for start in range(0, options.n_variants, per_block):
        stop = min(start + per_block, options.n_variants)
        dosage = np.empty((stop - start, n), dtype=np.uint8)
        for j in range(start, stop):
            new_chromosome = j == 0 or layout.chromosome[j] != layout.chromosome[j - 1]
            if j == 0 or layout.block[j] != layout.block[j - 1] or np.isinf(rate):
                level[:] = haplotype_rng.integers(0, _LEVELS, len(level), dtype=np.uint16)
            elif rate > 0:
                drawn = haplotype_rng.integers(0, len(level), haplotype_rng.poisson(rate * len(level)))
                level[drawn] = haplotype_rng.integers(0, _LEVELS, len(drawn), dtype=np.uint16)
            if new_chromosome:
                copies.start_chromosome(meiosis_rng)
            else:
                copies.cross_over(meiosis_rng, (layout.position[j] - layout.position[j - 1]) * 1e-8)
            carries = level >= _LEVELS - threshold[j] if layout.flipped[j] else level < threshold[j]
            copies.count(carries, dosage[j - start])
        yield start, dosage


class _Copies:
    """Which founder haplotype each copy of each sample reads at the present variant."""

    def __init__(self, ploidy: int, pedigree: Pedigree) -> None:
        founder = pedigree.father < 0
        number = np.cumsum(founder) - 1
        self.n_founder_haplotypes = int(founder.sum()) * ploidy
        self.ploidy = ploidy
        self.source = np.empty((ploidy, len(founder)), dtype=np.int64)
        for copy in range(ploidy):
            self.source[copy] = ploidy * number + copy
        child = np.flatnonzero(~founder)
        father, mother = number[pedigree.father[child]], number[pedigree.mother[child]]
        # the two haplotypes that a meiosis chooses from: one parent's two; in haploids, the two parents
        if ploidy == 2:
            self.choices = np.stack([np.concatenate([2 * father, 2 * mother])] * 2)
            self.choices[1] += 1
            self.at = np.concatenate([child, child + len(founder)])
        else:
            self.choices = np.stack([father, mother])
            self.at = child
        self.phase = np.zeros(len(self.at), dtype=np.int64)
        self.unrelated = len(self.at) == 0

    def start_chromosome(self, rng: np.random.Generator) -> None:
        self.phase[:] = rng.integers(0, 2, len(self.phase))
        self._read(np.arange(len(self.phase)))

    def cross_over(self, rng: np.random.Generator, morgans: float) -> None:
        if self.unrelated:
            return
        crossing = rng.integers(0, len(self.phase), rng.poisson(morgans * len(self.phase)))
        # not `^=`: a meiosis that is drawn twice crosses twice
        np.bitwise_xor.at(self.phase, crossing, 1)
        self._read(crossing)

    def count(self, carries: np.ndarray, dosage: np.ndarray) -> None:
        """Write the number of copies that carry the effect allele, (n,), into `dosage`."""
        held = carries.view(np.uint8)
        if self.unrelated:
            dosage[:] = held[:: self.ploidy]
            if self.ploidy == 2:
                dosage += held[1::2]
        else:
            np.take(held, self.source[0], out=dosage)
            if self.ploidy == 2:
                dosage += held[self.source[1]]

    def _read(self, meioses: np.ndarray) -> None:
        self.source.reshape(-1)[self.at[meioses]] = self.choices[self.phase[meioses], meioses]
