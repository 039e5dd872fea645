"""How strong a main effect a variant stands for: the basis of the heredity prior (METHOD 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gp_elm.elm.study import Floats, Study
from gp_elm.genotypes.ld import ReadBlock

Ints = NDArray[np.int64]
CHUNK = 512


class Linear(Protocol):
    """A fold's lasso; see ``gp_elm.predictors.linear.LinearPredictor``."""

    @property
    def coefficients(self) -> Floats:
        """(T, m)."""

    @property
    def penalty(self) -> Floats:
        """(T,)."""


def locus_strength(study: Study, lasso: Sequence[Linear], trait_sd: Floats, read_block: ReadBlock) -> Floats:
    """How strong a main effect each variant stands for, (T, m), in standard deviations of the trait.

    ``penalty + max_j |r_ij b_j|`` over the loci j of the variant's LD block, the mean over folds: the largest
    standardised lasso effect that the variant tags. The lasso's penalty is what it takes off every effect and what a
    locus may have without being chosen, so that it is the floor of those that tag none. LD takes the place of a
    window in base pairs, which would have to be another one in each species. A variant that does not vary has 0.

    Parameters
    ----------
    study : Study
        Discovery samples.
    lasso : sequence of Linear
        The lasso of each fold, which saw no sample of the fold.
    trait_sd : (T,) float
        Standard deviation of each trait less covariates.
    read_block : callable
        Centred dosages of the discovery samples.
    """
    _, _, sd = study.store.moments(study.rows)
    effects: Floats = np.stack([np.abs(fit.coefficients) * sd / trait_sd[:, None] for fit in lasso])
    floor = np.mean([np.nan_to_num(fit.penalty) for fit in lasso], axis=0) / trait_sd
    out = np.zeros(effects.shape[1:])
    chosen = np.logical_or.reduce((effects > 0).reshape(-1, sd.size))
    order = np.argsort(study.blocks, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(study.blocks[order])) + 1):
        causal = members[chosen[members]]
        if causal.size == 0:
            continue
        z = unit_columns(study.store.block(study.rows, columns=causal, center=study.center[causal]))
        for start in range(0, members.size, CHUNK):
            some = members[start : start + CHUNK]
            r = np.abs(unit_columns(_read(read_block, some)).T @ z)
            for trait in range(len(out)):
                # The strongest of a fold first: folds may choose neighbours of one another.
                tagged = [(r * fold[trait, causal]).max(1) for fold in effects]
                out[trait, some] = np.mean(tagged, axis=0)
    out += floor[:, None]
    out[out.max(1) == 0] = 1.0
    return np.where(sd > 0, out, 0.0)


def _read(read_block: ReadBlock, variants: Ints) -> NDArray[np.float32]:
    runs = np.split(variants, np.flatnonzero(np.diff(variants) != 1) + 1)
    return np.concatenate([read_block(int(run[0]), int(run[-1]) + 1) for run in runs], axis=1)


def unit_columns(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Columns of length 1; one of zeros stays."""
    norm = np.sqrt(np.einsum("ij,ij->j", x, x))
    return np.asarray(x / np.where(norm > 0, norm, np.inf), dtype=np.float32)
