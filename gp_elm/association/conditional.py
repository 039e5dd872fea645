"""Interaction tests of listed pairs given the LD neighbourhoods of both loci, and the phantoms of untyped variants.

An interaction between two tags of one untyped causal variant is a phantom (Wood et al. 2014; Hemani et al. 2014,
retracted 2021): given two tags, the expected dosage of the untyped variant is no sum of a term for each. Its
neighbours take out what they know of it, linearly; what they do not know stays (Kelemen et al. 2025).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gp_elm.association.complete import complete_cases, orthonormal_basis
from gp_elm.errors import InputError
from gp_elm.kernels.complete_cases import RELATIVE_PIVOT

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ReadColumns = Callable[[Ints], Floats]
"""Variants -> dosages (n, len(variants)), NaN missing."""

MOST_NEIGHBOURS = 120
"""Neighbours of a locus that are looked at: the strongest, and of the others so many, evenly by strength."""
MOST_COMPONENTS = 40
"""Principal components that stand for a neighbourhood, never more than a fortieth of the samples."""
WIDTH = 1000
"""Neighbours are looked for among so many variants on either side."""
STEP = 4
"""A step from one variant to the next along a block may skip three, such as badly genotyped ones."""
DENSE = 0.6
"""r^2 of each step from one locus to the other above which a block is so densely typed that an untyped variant between
would lie between two variants which know it."""
FAR = 0.1
"""r^2 of two loci above which what lies between them cannot be told from them."""
_BYTES = 256 << 20
_SAME = 1e-6


class ConditionalFits(NamedTuple):
    """The product's coefficient of P pairs and C responses: ``beta``, ``standard_error`` and ``df``, each (P, C)."""

    beta: Floats
    standard_error: Floats
    df: Floats


class Neighbourhoods:
    """Variants in LD with a locus within its block.

    Parameters
    ----------
    read_columns : callable
        Dosages of the samples.
    blocks : (m,) int
        LD block of each variant; the variants of a block with known positions stand together.
    threshold : float
        r^2 above which two variants are in LD.
    """

    def __init__(self, read_columns: ReadColumns, blocks: Ints, threshold: float) -> None:
        self._read, self._blocks, self._threshold = read_columns, blocks, threshold
        order = np.argsort(blocks, kind="stable")
        edges = np.flatnonzero(np.diff(blocks[order])) + 1
        self._members = dict(zip(np.unique(blocks).tolist(), np.split(order, edges), strict=True))
        self._kept: tuple[Ints, NDArray[np.float32]] | None = None

    def __call__(self, i: int) -> Ints:
        """Neighbours of a variant, the strongest first, without itself."""
        at, z = self._standardised(i)
        me = int(np.searchsorted(at, i))
        low, high = max(me - WIDTH, 0), me + WIDTH + 1
        r2 = (z[:, me] @ z[:, low:high]) ** 2
        r2[me - low] = 0.0
        order = np.argsort(-r2, kind="stable")
        return at[low + order[r2[order] > self._threshold]]

    def weakest_step(self, i: Ints, j: Ints) -> Floats:
        """How densely the way between the loci of each pair is typed.

        Parameters
        ----------
        i, j : (P,) int
            The pairs.

        Returns
        -------
        (P,) float64
            On the best way from i to j along the block, by variants at most four apart, the smallest r^2 of a step;
            NaN for loci of different blocks.
        """
        out = np.full(len(i), np.nan)
        first, second = np.minimum(i, j), np.maximum(i, j)
        inside = np.flatnonzero(self._blocks[first] == self._blocks[second])
        for start in np.unique(first[inside]):
            mine = inside[first[inside] == start]
            at, z = self._standardised(int(start))
            low, high = np.searchsorted(at, [start, second[mine].max()])
            best = np.zeros(high - low + 1)
            best[0] = 1.0
            for k in range(1, best.size):
                back = np.arange(max(k - STEP, 0), k)
                r2 = (z[:, low + back].T @ z[:, low + k]) ** 2
                best[k] = np.minimum(best[back], r2).max()
            out[mine] = best[np.searchsorted(at, second[mine]) - low]
        return out

    def _standardised(self, i: int) -> tuple[Ints, NDArray[np.float32]]:
        """The variants of a locus's block and their standardised dosages, kept for the next locus."""
        at = self._members[int(self._blocks[i])]
        if self._kept is None or self._kept[0] is not at:
            self._kept = (at, _standardised(self._read(at)))
        return self._kept


def _standardised(dosage: Floats) -> NDArray[np.float32]:
    """Columns of mean 0 and length 1, missing as the mean; constant ones 0."""
    called = np.isfinite(dosage)
    x = np.where(called, dosage, 0.0)
    x = np.where(called, x - x.sum(axis=0) / np.maximum(called.sum(axis=0), 1), 0.0)
    length = np.sqrt((x**2).sum(axis=0))
    return np.asarray(x / np.where(length > 0, length, np.inf), dtype=np.float32)


def conditional_pairs(
    i: Ints,
    j: Ints,
    response: Floats,
    covariates: Floats | None,
    read_columns: ReadColumns,
    neighbours: Callable[[int], Ints],
) -> ConditionalFits:
    """Coefficient of g_i g_j given both loci, the covariates and the LD neighbourhoods of both loci.

    A neighbourhood enters by its leading principal components: at most :data:`MOST_COMPONENTS`, and at most n / 40.
    What is collinear counts once.

    Parameters
    ----------
    i, j : (P,) int
        The pairs.
    response : (n, C) float64
        NaN missing; each pair and response on its own complete cases. A neighbour's missing call counts as its mean.
    covariates : (n, q) float64 or None
        Without the intercept, which is added.
    read_columns : callable
        Dosages of the n samples.
    neighbours : callable
        Variant -> the variants in LD with it, the strongest first; :class:`Neighbourhoods` for instance.

    Returns
    -------
    ConditionalFits
        Arrays (P, C); NaN where the product is collinear with the rest of the model.

    Raises
    ------
    InputError
        Where shapes do not match.
    """
    i, j = np.asarray(i, dtype=np.int64), np.asarray(j, dtype=np.int64)
    if i.shape != j.shape or i.ndim != 1:
        raise InputError(
            f"i and j have shapes {i.shape} and {j.shape}; give one entry of each for every pair"
        )
    fits = ConditionalFits(*(np.full((i.size, np.shape(response)[1]), np.nan) for _ in range(3)))
    groups = complete_cases(response, covariates)
    n = len(response)
    most = min(MOST_COMPONENTS, n // 40)
    step = max(1, _BYTES // (8 * n * (most + 1) * 2))
    order = np.lexsort((j, i))
    for start in range(0, i.size, step):
        some = order[start : start + step]
        loci = np.unique(np.r_[i[some], j[some]])
        dosage = read_columns(loci)
        around = [_components(neighbours(int(locus)), read_columns, most, n) for locus in loci]
        for p in some:
            a, b = np.searchsorted(loci, [i[p], j[p]])
            called = np.isfinite(dosage[:, a]) & np.isfinite(dosage[:, b])
            given = np.column_stack([dosage[:, a], dosage[:, b], around[a], around[b]])
            for cases in groups:
                rows = cases.rows & called
                if rows.sum() < 4:
                    continue
                everyone = rows.sum() == cases.n_samples
                basis = cases.basis if everyone else orthonormal_basis(covariates, rows)
                found = _fit(given[rows], basis[rows], response[np.ix_(rows, cases.columns)])
                for whole, values in zip(fits, found, strict=True):
                    whole[p, cases.columns] = values
    return fits


def _components(near: Ints, read_columns: ReadColumns, most: int, n: int) -> Floats:
    """Leading principal components (n, k) of the neighbours of a locus."""
    strong = MOST_NEIGHBOURS // 4
    if near.size > MOST_NEIGHBOURS:
        others = np.linspace(strong, near.size - 1, MOST_NEIGHBOURS - strong).astype(np.int64)
        near = near[np.r_[np.arange(strong), others]]
    if not near.size or not most:
        return np.empty((n, 0))
    z = _standardised(read_columns(near))
    values, vectors = np.linalg.eigh((z.T @ z).astype(np.float64))
    keep = np.flatnonzero(values > _SAME * values[-1])[-most:]
    return np.asarray(z @ vectors[:, keep])


def _fit(given: Floats, basis: Floats, response: Floats) -> tuple[Floats, Floats, Floats]:
    """Coefficient, error and df (C,) of the product of the first two columns of `given`, beside all of them."""
    x = given - given.mean(axis=0)
    product = x[:, 0] * x[:, 1]
    product -= product.mean()
    total = float(product @ product)
    length = np.sqrt((x**2).sum(axis=0))
    x = x[:, length > 0] / length[length > 0]
    for _ in range(2):
        x -= basis @ (basis.T @ x)
        product -= basis @ (basis.T @ product)
    loci, _ = np.linalg.qr(x[:, :2])
    near = x[:, 2:] - loci @ (loci.T @ x[:, 2:])
    values, vectors = np.linalg.eigh(near.T @ near)
    keep = values > _SAME
    space = np.column_stack([loci, near @ (vectors[:, keep] / np.sqrt(values[keep]))])
    product -= space @ (space.T @ product)
    left = float(product @ product)
    df = len(x) - basis.shape[1] - space.shape[1] - 1
    if left <= RELATIVE_PIVOT * total or df < 1 or length[:2].min() == 0:
        return (np.full(response.shape[1], np.nan),) * 3
    y = response - response.mean(axis=0)
    y -= basis @ (basis.T @ y)
    y -= space @ (space.T @ y)
    beta = product @ y / left
    rss = ((y - product[:, None] * beta) ** 2).sum(axis=0)
    return beta, np.sqrt(rss / df / left), np.full(beta.size, float(df))


def joint_tagging(
    i: Ints,
    j: Ints,
    blocks: Ints,
    ld_r2: Floats,
    weakest_step: Floats,
    conditional_p: Floats,
    cutoff: float,
) -> NDArray[np.bool_]:
    """Pairs within a block whose interaction one untyped variant could make.

    Loci of different blocks have no variant that both tag. Within a block a pair stays unflagged where its conditional
    test holds, the loci are far apart, and the way between them is densely typed, as along a chromosome of a cross:
    any variant between is then known, linearly, to the neighbours that the test is conditional on. Where it is not,
    the conditional test sees the phantom as the plain one does.

    Parameters
    ----------
    i, j : (P,) int
        The pairs.
    blocks : (m,) int
        LD block of each variant.
    ld_r2 : (P,) float64
        r^2 of the two loci.
    weakest_step : (P,) float64
        From :meth:`Neighbourhoods.weakest_step`.
    conditional_p : (P,) float64
        p-values of :func:`conditional_pairs`.
    cutoff : float
        p-value below which the conditional test holds.

    Returns
    -------
    (P,) bool
        True where the pair is flagged.
    """
    holds = (conditional_p < cutoff) & (weakest_step >= DENSE) & (ld_r2 <= FAR)
    return np.asarray((blocks[i] == blocks[j]) & ~holds)
