"""Simulated cohorts with known additive, dominance and epistatic effects, written as PLINK files.

Genotypes are streamed: haplotypes run along the genome as Markov chains that start afresh at the borders
of LD blocks, children copy their parents' haplotypes with crossovers, and only the causal loci are kept for
the traits.
"""

from gp_elm.simulate.files import simulate
from gp_elm.simulate.options import SimulateOptions

__all__ = ["SimulateOptions", "simulate"]
