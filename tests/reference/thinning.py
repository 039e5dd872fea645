"""Thinning by LD, said slowly: one pair at a time."""

from __future__ import annotations

import numpy as np


def prune(
    raw: np.ndarray, contig: np.ndarray, threshold: float, window: int, levels: tuple[float, ...]
) -> list[int]:
    """Variants left when the levels down to a threshold have been gone through, in raw dosages (n, m), -1 missing."""
    n, m = raw.shape
    x = np.zeros((n, m))
    for j in range(m):
        called = raw[:, j] >= 0
        x[called, j] = raw[called, j] - raw[called, j].mean()
    size = (x**2).sum(axis=0)
    left = []
    for chromosome in dict.fromkeys(contig.tolist()):
        mine = np.flatnonzero(contig == chromosome)
        for start in range(0, mine.size, window):
            alive = [int(j) for j in mine[start : start + window] if size[j] > 1e-9]
            for level in levels:
                if level < threshold:
                    break
                for best in sorted(alive, key=lambda j: (-round(size[j], 6), j)):
                    if best in alive:
                        alive = [
                            j for j in alive
                            if j == best or (x[:, j] @ x[:, best]) ** 2 <= level * size[j] * size[best]
                        ]  # fmt: skip
            left += alive
    return sorted(left)
