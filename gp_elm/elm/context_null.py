"""How the sum of a locus's squared pair statistics is spread where nothing interacts: eigenvalues, or moments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gp_elm.elm.study import Floats
from gp_elm.genotypes.ld import ReadBlock

Ints = NDArray[np.int64]
Singles = NDArray[np.float32]
TOLERANCE = 1e-3
"""Smallest relative pivot of a pair that is tested, as in the sweep."""
PROBES = 8
CHUNK = 256


def product_eigenvalues(x: Floats, locus: int, others: Ints, basis: Floats) -> Floats:
    """Eigenvalues of the correlation matrix of the residualised products of a locus with its partners.

    Parameters
    ----------
    x : (n, m) float
        Centred dosages, missing as 0.
    locus : int
        The locus.
    others : (p,) int
        Its partners.
    basis : (n, k) float
        Orthonormal basis of intercept and covariates.

    Returns
    -------
    (r,) float
        One for each pair that can be tested.
    """
    own = x[:, locus] - basis @ (basis.T @ x[:, locus])
    if not own @ own > TOLERANCE * (x[:, locus] @ x[:, locus]):
        return np.empty(0)
    design = np.column_stack([basis, own / np.sqrt(own @ own)])
    partner = x[:, others]
    product = x[:, [locus]] * partner
    raw, raw_partner = (product**2).sum(0), (partner**2).sum(0)
    beside = partner - basis @ (basis.T @ partner)
    alone = (beside**2).sum(0)
    beside -= np.outer(design[:, -1], design[:, -1] @ partner)
    left = (beside**2).sum(0)
    product -= design @ (design.T @ product)
    product -= beside * ((beside * product).sum(0) / np.where(left > 0, left, np.inf))
    size = (product**2).sum(0)
    good = (alone > TOLERANCE * raw_partner) & (left > TOLERANCE * alone) & (size > TOLERANCE * raw)
    product = product[:, good] / np.sqrt(size[good])
    return np.asarray(np.linalg.eigvalsh(product.T @ product))


def central_moments(
    read_block: ReadBlock,
    rows: Ints,
    n_samples: Floats,
    basis: Floats,
    blocks: Ints,
    tested: Floats,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """tr (A - a)^2 and tr (A - a)^3 of every locus, a the mean eigenvalue, by Hutchinson's estimator.

    A = M D K D M with K the samples' relatedness over the other blocks, D the locus's dosages, and M the projection
    away from covariates and locus, scaled to the trace that the normalised products have. Less the mean eigenvalue,
    the moments depend on the number of samples through the diagonal of A alone, which falls with it: what the rows
    have too much of it for a trait is taken off, and what they have too little of it is added.

    Parameters
    ----------
    read_block : callable
        Centred dosages.
    rows : (n,) int
        Samples to take.
    n_samples : (T,) float
        Samples of the sweep in which each trait is measured.
    basis : (n, k) float
        Orthonormal basis of intercept and covariates over the rows.
    blocks : (m,) int
        LD blocks.
    tested : (m,) float
        Partners of each locus.
    rng : Generator
        Of the probes.

    Returns
    -------
    second, third : (m, T) float
    """
    n, m = rows.size, blocks.size
    kernel = np.zeros((n, n), np.float32)
    for start in range(0, m, CHUNK):
        x = _standardised(read_block, rows, np.arange(start, min(start + CHUNK, m)))
        kernel += x @ x.T
    probes = rng.choice(np.array([-1, 1], np.float32), (PROBES, n, 1))
    second, third, diagonal = np.zeros(m), np.zeros(m), np.zeros(m)
    for start in range(0, m, CHUNK):
        mine = slice(start, min(start + CHUNK, m))
        x = _standardised(read_block, rows, np.arange(mine.start, mine.stop))
        own = []
        for block in np.unique(blocks[mine]):
            at, members = np.flatnonzero(blocks[mine] == block), np.flatnonzero(blocks == block)
            whole = members.size == at.size
            own.append((at, x[:, at] if whole else _standardised(read_block, rows, members)))
        form = _Centred(x, kernel, basis.astype(np.float32), own, tested[mine])
        for probe in probes:
            u = form.times(form.project(np.broadcast_to(probe, x.shape)))
            second[mine] += (u * u).sum(0, dtype=np.float64) / PROBES
            third[mine] += (u * form.times(u)).sum(0, dtype=np.float64) / PROBES
        diagonal[mine] = np.maximum(form.diagonal_squares - tested[mine] ** 2 / n, 0.0)
    surplus = diagonal[:, None] * (1 - n / n_samples)
    ratio = np.maximum(1 - surplus / np.maximum(second, 1e-300)[:, None], 0.05)
    return second[:, None] * ratio, third[:, None] * ratio**1.5


class _Centred:
    """A - a of a few loci, as an operator on one column of samples a locus."""

    def __init__(
        self, x: Singles, kernel: Singles, basis: Singles, own: list[tuple[Ints, Singles]], tested: Floats
    ) -> None:
        n = x.shape[0]
        self._x, self._kernel, self._basis, self._own = x, kernel, basis, own
        diagonal = np.repeat(kernel.diagonal()[:, None], x.shape[1], axis=1)
        for at, z in own:
            diagonal[:, at] -= (z * z).sum(1)[:, None]
        diagonal *= x * x
        trace = diagonal.sum(0, dtype=np.float64)
        scale = tested / np.where(trace > 0, trace, np.inf)
        self.diagonal_squares: Floats = ((diagonal * scale) ** 2).sum(0)
        self._scale = scale.astype(np.float32)
        self._mean = (tested / (n - basis.shape[1] - 2)).astype(np.float32)
        beside = x - basis @ (basis.T @ x)
        self._beside = beside / np.sqrt(np.maximum((beside * beside).sum(0), 1e-30))

    def project(self, v: Singles) -> Singles:
        """M v."""
        v = v - self._basis @ (self._basis.T @ v)
        return v - self._beside * (self._beside * v).sum(0)

    def times(self, v: Singles) -> Singles:
        """(A - a) v for v in the range of M."""
        inner = self._x * v
        outer = self._kernel @ inner
        for at, z in self._own:
            outer[:, at] -= z @ (z.T @ inner[:, at])
        return self.project(self._x * outer) * self._scale - self._mean * v


def _standardised(read_block: ReadBlock, rows: Ints, variants: Ints) -> Singles:
    """Dosages of ascending variants with unit sum of squares over the rows; 0 where monomorphic."""
    runs = np.split(variants, np.flatnonzero(np.diff(variants) > 1) + 1)
    x = np.concatenate([read_block(int(run[0]), int(run[-1]) + 1)[rows] for run in runs], axis=1)
    spread = np.sqrt((x * x).sum(0))
    return np.asarray(x / np.where(spread > 0, spread, np.inf), np.float32)
