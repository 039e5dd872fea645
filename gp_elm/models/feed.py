"""From packed genotypes to a network's inputs: standardised (and weighted) dosages on the training device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gp_elm.kernels.decode import decode_table, unpack
from gp_elm.streaming.loader import batches
from gp_elm.streaming.sampler import batch_bounds, epoch_order
from gp_elm.streaming.store import Store

BLOCK = 2048
"""Samples decoded at a time outside training."""


class Feed:
    """Some samples of a store as network inputs z = (g - center) * scale, missing calls 0.

    Inputs up to ``resident_bytes`` are decoded once and kept; larger ones are decoded batch by batch, from the packed
    rows. Both give the same batches.

    Parameters
    ----------
    store : Store
        The genotypes.
    rows : ndarray of int64, shape (n,)
        Rows of the store.
    columns : ndarray of int64, shape (p,)
        Variants that are inputs.
    center, scale : ndarray of float64, shape (p,)
        Mean dosage and factor of each input.
    device : torch.device
        Where the inputs go.
    resident_bytes : int
        Largest size, in bytes, of inputs that are kept.
    """

    def __init__(
        self,
        store: Store,
        rows: NDArray[np.int64],
        *,
        columns: NDArray[np.int64],
        center: NDArray[np.float64],
        scale: NDArray[np.float64],
        device: torch.device | str = "cpu",
        resident_bytes: int = 256 << 20,
    ) -> None:
        self.store, self.rows, self.columns = store, np.asarray(rows, dtype=np.int64), columns
        self.device = torch.device(device)
        self._table = decode_table(center, scale)
        self._resident: Tensor | None = None
        if 4 * len(self.rows) * len(columns) <= resident_bytes:
            blocks = [
                self._decode(store.packed(self.rows[a:b])) for a, b in batch_bounds(len(self.rows), BLOCK)
            ]
            self._resident = torch.cat(blocks) if blocks else torch.empty(0, len(columns), device=self.device)

    def __len__(self) -> int:
        return len(self.rows)

    def _decode(self, packed: NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(unpack(packed, self.columns, self._table)).to(self.device)

    def take(self, index: NDArray[np.int64]) -> Tensor:
        """Inputs (b, p) of some of the samples, given by their positions within ``rows``."""
        if self._resident is not None:
            return self._resident[torch.from_numpy(index).to(self.device)]
        return self._decode(self.store.packed(self.rows[index]))

    def blocks(
        self, index: NDArray[np.int64], size: int = BLOCK
    ) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
        """Inputs of the samples ``index``, in order, ``size`` at a time: positions (b,) and inputs (b, p)."""
        for start, stop in batch_bounds(len(index), size):
            yield index[start:stop], self.take(index[start:stop])

    def epoch(
        self, index: NDArray[np.int64], *, batch_size: int, seed: int, epoch: int
    ) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
        """Inputs of the samples ``index`` once, shuffled: positions (b,) and inputs (b, p).

        A last batch of less than half the size is left out (other samples in each epoch): its step would be as long
        as the others' and much noisier.
        """
        if self._resident is not None:
            order = index[epoch_order(len(index), seed=seed, epoch=epoch)]
            for start, stop in batch_bounds(len(order), batch_size):
                if start == 0 or 2 * (stop - start) >= batch_size:
                    yield order[start:stop], self.take(order[start:stop])
            return
        visits = batches(self.store, self.rows[index], batch_size=batch_size, seed=seed, epoch=epoch)
        for number, (within, packed) in enumerate(visits):
            if number == 0 or 2 * len(within) >= batch_size:
                yield index[within], self._decode(packed)
