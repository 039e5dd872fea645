"""From packed genotypes to a network's inputs: standardised (and weighted) dosages on the training device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding

from gp_elm.kernels.codec import Codec
from gp_elm.kernels.decode import decode_table
from gp_elm.streaming.loader import batches, store_order
from gp_elm.streaming.opened import Store
from gp_elm.streaming.sampler import batch_bounds, share_of

BLOCK = 2048
"""Samples decoded at a time outside training."""


class DeviceDecoder:
    """Decodes packed rows on the device that they are on, by gathering the dosages of each byte from a table.

    Parameters
    ----------
    codec : Codec
        How the rows are packed.
    columns : ndarray of int64, shape (p,), optional
        Variants that are inputs; the first p where None.
    center, scale : ndarray of float64, shape (p,)
        Mean dosage and factor of each input.
    device : torch.device
        Where the rows are.
    """

    def __init__(
        self,
        codec: Codec,
        columns: NDArray[np.int64] | None,
        center: NDArray[np.float64],
        scale: NDArray[np.float64],
        device: torch.device,
    ) -> None:
        self._dosages = torch.from_numpy(codec.byte_values()).to(device)
        self._columns = None if columns is None else torch.from_numpy(columns).to(device)
        self._center = torch.from_numpy(center.astype(np.float32)).to(device)
        self._scale = torch.from_numpy(scale.astype(np.float32)).to(device)

    def __call__(self, packed: Tensor) -> Tensor:
        """Inputs (b, p) float32 of packed rows (b, row_bytes) uint8; missing genotypes 0."""
        z = embedding(packed.int(), self._dosages).flatten(1)
        z = z[:, : len(self._center)] if self._columns is None else z[:, self._columns]
        return z.sub_(self._center).mul_(self._scale).nan_to_num_(0.0)


class Feed:
    """Some samples of a store as network inputs z = (g - center) * scale, missing genotypes 0.

    Inputs up to ``resident_bytes`` are decoded once and kept; larger ones stream from the store, packed until they are
    on the device. Both give the same batches.

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
        self._read = None if np.array_equal(columns, np.arange(store.n_variants)) else columns
        self._table = decode_table(center, scale)
        self._decoder: DeviceDecoder | None = None
        if self.device.type != "cpu":
            self._decoder = DeviceDecoder(store.codec, self._read, center, scale, self.device)
        self._resident: Tensor | None = None
        if 4 * len(self.rows) * len(columns) <= resident_bytes:
            self._resident = torch.empty(len(self.rows), len(columns), device=self.device)
            for a, b in batch_bounds(len(self.rows), BLOCK):
                self._resident[a:b] = self._decode(store.packed(self.rows[a:b]))

    def __len__(self) -> int:
        return len(self.rows)

    def _decode(self, packed: NDArray[np.uint8]) -> Tensor:
        if self._decoder is None:
            return torch.from_numpy(self.store.codec.unpack(packed, self._read, self._table))
        # from pinned memory the copy runs beside what the device is at
        return self._decoder(torch.from_numpy(packed).pin_memory().to(self.device, non_blocking=True))

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
        self,
        index: NDArray[np.int64],
        *,
        batch_size: int,
        seed: int,
        epoch: int,
        first: int = 0,
        share: tuple[int, int] = (0, 1),
    ) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
        """Inputs of the samples ``index`` once, shuffled.

        A last batch of less than half the size is left out (other samples in each epoch): its step would be as long
        as the others' and much noisier. The batches depend on the seed and the epoch alone.

        Parameters
        ----------
        index : ndarray of int64, shape (n,)
            Positions within ``rows``.
        batch_size : int
            Samples of a batch.
        seed, epoch : int
            Of the order.
        first : int
            Batches left out at the beginning of the epoch, which a resumed training has done.
        share : tuple of int
            Part of each batch whose inputs are given, and of how many
            (:func:`~gp_elm.streaming.sampler.share_of`).

        Yields
        ------
        index : ndarray of int64, shape (b,)
            Positions of the whole batch.
        z : Tensor, shape (b, p)
            Inputs of the share.
        """
        rest = len(index) % batch_size
        used = len(index) - (rest if 2 * rest < batch_size <= len(index) else 0)
        if self._resident is not None:
            order, _ = store_order(self.store, len(index), seed=seed, epoch=epoch)
            for start, stop in list(batch_bounds(used, batch_size))[first:]:
                begin, end = share_of(start, stop, share)
                yield index[order[start:stop]], self.take(index[order[begin:end]])
            return
        visits = batches(
            self.store, self.rows[index], batch_size=batch_size, seed=seed, epoch=epoch, used=used, first=first,
            share=share,
        )  # fmt: skip
        for within, packed in visits:
            yield index[within], self._decode(packed)
