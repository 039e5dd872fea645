"""Two-bit codes, one call at a time."""

from __future__ import annotations

import numpy as np


def pack_slowly(dosage: np.ndarray) -> np.ndarray:
    """Packed rows of dosages (samples, variants), -1 missing."""
    samples, variants = dosage.shape
    packed = np.zeros((samples, -(-variants // 4)), dtype=np.uint8)
    for s in range(samples):
        for v in range(variants):
            code = {0: 3, 1: 2, 2: 0, -1: 1}[int(dosage[s, v])]
            packed[s, v // 4] |= code << 2 * (v % 4)
    return packed


def unpack_slowly(packed: np.ndarray, columns: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Value of 0, 1, 2 copies and of a missing call in the columns asked for."""
    out = np.empty((len(packed), len(columns)), dtype=np.float32)
    for r, row in enumerate(packed):
        for j, column in enumerate(columns):
            code = (int(row[column // 4]) >> 2 * (column % 4)) & 3
            out[r, j] = table[j, {3: 0, 2: 1, 0: 2, 1: 3}[code]]
    return out


def centred_slowly(dosage: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Dosages less the centre, missing calls 0."""
    return np.where(dosage == -1, 0.0, dosage - center)
