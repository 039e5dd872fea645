"""In-silico populations: the cohort's LD blocks in equilibrium with one another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class BlockPopulation:
    """Samples whose LD blocks come, block by block, from random members of a cohort.

    Within a block the joint distribution is the cohort's, missing calls included; between blocks there is
    independence (METHOD 4). Only *who* gave each block is kept; genotypes are looked up when they are needed.

    Parameters
    ----------
    blocks : (m,) int
        Block of each variant, labels 0, 1, ...
    n_members : int
        Members of the cohort.
    n : int
        Samples of the population.
    seed : int
        Seed of the draws.

    Attributes
    ----------
    donor : (n, n_blocks) uint16 or uint32
        The member that gave each block.
    """

    def __init__(self, blocks: NDArray[np.int64], n_members: int, n: int, *, seed: int) -> None:
        self.blocks, self.n = blocks, n
        kind = np.uint16 if n_members <= np.iinfo(np.uint16).max else np.uint32
        n_blocks = int(blocks.max()) + 1
        rng = np.random.default_rng([seed, 20_040])
        self.donor: NDArray[np.unsignedinteger] = rng.integers(0, n_members, (n, n_blocks), dtype=kind)

    def dosage(
        self, members: NDArray[np.float32], variants: NDArray[np.int64], rows: slice = slice(None)
    ) -> NDArray[np.float32]:
        """Dosages of some variants in some samples of the population.

        Parameters
        ----------
        members : (n_members, p) float32
            Dosages of the members at those variants.
        variants : (p,) int
            Which variants the columns are.
        rows : slice
            Samples of the population.

        Returns
        -------
        (rows, p) float32
            Their dosages.
        """
        donor = self.donor[rows]
        out = np.empty((donor.shape[0], variants.size), np.float32)
        labels = self.blocks[variants]
        for block in np.unique(labels):
            here = np.flatnonzero(labels == block)
            out[:, here] = members[:, here][donor[:, block]]
        return out
