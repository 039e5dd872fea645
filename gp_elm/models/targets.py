"""Traits as a loss sees them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Targets:
    """Traits as a loss sees them: unit variance, missing values masked.

    Parameters
    ----------
    values : ndarray of float, shape (n, T)
        Targets, NaN missing.
    device : torch.device
        Where they go.
    """

    def __init__(self, values: NDArray[np.float64], device: torch.device | str = "cpu") -> None:
        measured = np.isfinite(values)
        self.values = torch.from_numpy(np.where(measured, values, 0.0).astype(np.float32)).to(device)
        complete = bool(measured.all())
        self.mask = None if complete else torch.from_numpy(measured.astype(np.float32)).to(device)

    def count(self, index: NDArray[np.int64]) -> float:
        """Measured values of the samples ``index``; 1 where there is none."""
        if self.mask is None:
            return float(len(index) * self.values.shape[1])
        return max(float(self.mask[torch.from_numpy(index).to(self.mask.device)].sum()), 1.0)

    def loss(self, output: Tensor, index: NDArray[np.int64], kind: str) -> Tensor:
        """Sum of the losses of the samples ``index`` over measured traits."""
        at = torch.from_numpy(index).to(self.values.device)
        error = output - self.values[at]
        if self.mask is not None:
            error = error * self.mask[at]
        return (error.square() if kind == "squared" else error.abs()).sum()
