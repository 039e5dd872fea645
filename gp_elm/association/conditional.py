"""Interaction tests of listed pairs given the LD neighbourhoods of both loci.

An interaction between two tags of one untyped causal variant is a phantom (Wood et al. 2014; Hemani et al. 2014,
retracted 2021): given two tags, the expected dosage of the untyped variant is no sum of a term for each. Its
neighbours take out what they know of it, linearly; what they do not know stays (Kelemen et al. 2025).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from gp_elm.association.complete import complete_cases
from gp_elm.association.neighbourhoods import ReadColumns, standardised
from gp_elm.errors import InputError
from gp_elm.kernels.complete_cases import RELATIVE_PIVOT

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_NEIGHBOURS = 120
"""Neighbours of a locus that are looked at: the strongest, and of the others so many, evenly by strength."""
MOST_COMPONENTS = 40
"""Principal components that stand for a neighbourhood, never more than a fortieth of the samples."""
_BYTES = 512 << 20
_CHUNK = 1 << 19
_SAME = 1e-6


class ConditionalFits(NamedTuple):
    """The product's coefficient of P pairs and C responses: ``beta``, ``standard_error`` and ``df``, each (P, C)."""

    beta: Floats
    standard_error: Floats
    df: Floats


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
        NaN missing; each pair and response on its own complete cases, those with the trait, the covariates and both
        calls. A neighbour's missing call counts as its mean.
    covariates : (n, q) float64 or None
        Without the intercept, which is added.
    read_columns : callable
        Dosages of the n samples.
    neighbours : callable
        Variant -> the variants in LD with it, the strongest first;
        :class:`gp_elm.association.neighbourhoods.Neighbourhoods` for instance.

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
    locus_bytes = n * (4 * MOST_NEIGHBOURS + 12 * (most + 1))
    for some in _batches(i, j, max(2, _BYTES // locus_bytes)):
        loci = np.unique(np.r_[i[some], j[some]])
        dosage = read_columns(loci)
        around = _components([_strongest(neighbours(int(locus))) for locus in loci], read_columns, most, n)
        place = np.searchsorted(loci, [i[some], j[some]])
        for cases in groups:
            rows = np.flatnonzero(cases.rows)
            basis, residual = cases.basis[rows], cases.residual[rows]
            sides = [_Side.of(dosage[rows, a], around[a][rows], basis, residual) for a in range(loci.size)]
            for p, a, b in zip(some, *place, strict=True):
                found = _fit(sides[a], sides[b], basis, residual)
                for whole, values in zip(fits, found, strict=True):
                    whole[p, cases.columns] = values
    return fits


def _batches(i: Ints, j: Ints, most_loci: int) -> Iterator[Ints]:
    """Places of pairs that have so many loci together, or fewer; each locus's neighbourhood is made once a batch."""
    batch: list[int] = []
    loci: set[int] = set()
    for p in np.lexsort((j, i)):
        both = {int(i[p]), int(j[p])}
        if batch and len(loci | both) > most_loci:
            yield np.array(batch)
            batch, loci = [], set()
        batch.append(int(p))
        loci |= both
    if batch:
        yield np.array(batch)


def _strongest(near: Ints) -> Ints:
    """The strongest of a locus's neighbours, and of the others so many, evenly by strength."""
    if near.size <= MOST_NEIGHBOURS:
        return near
    strong = MOST_NEIGHBOURS // 4
    others = np.linspace(strong, near.size - 1, MOST_NEIGHBOURS - strong).astype(np.int64)
    return near[np.r_[np.arange(strong), others]]


def _components(near: list[Ints], read_columns: ReadColumns, most: int, n: int) -> list[NDArray[np.float32]]:
    """Leading principal components, (n, k) of length 1, of the neighbours of each locus."""
    variants = np.unique(np.concatenate(near))
    # Loci nearby share neighbours: each is read once.
    z = np.empty((n, variants.size), np.float32, order="F")
    step = max(1, _CHUNK // n)
    for start in range(0, variants.size, step):
        z[:, start : start + step] = standardised(read_columns(variants[start : start + step]))
    out = []
    for some in near:
        mine = z[:, np.searchsorted(variants, some)]
        values, vectors = np.linalg.eigh((mine.T @ mine).astype(np.float64))
        keep = np.flatnonzero(values > _SAME * values.max(initial=0.0))
        keep = keep[max(keep.size - most, 0) :]
        out.append(mine @ (vectors[:, keep] / np.sqrt(values[keep])).astype(np.float32))
    return out


class _Side(NamedTuple):
    """A locus and its neighbourhood over some samples, the covariates taken out.

    ``x`` (n, k) has the locus first, scaled to length 1; ``dosage`` (n,) is its own, centred, 0 where ``lacking``;
    ``gram`` (k, k) and ``cross`` (k, C) are the products of x with itself and with the responses.
    """

    x: Floats
    dosage: Floats
    lacking: NDArray[np.bool_]
    gram: Floats
    cross: Floats

    @classmethod
    def of(cls, dosage: Floats, around: NDArray[np.float32], basis: Floats, residual: Floats) -> _Side:
        """From the locus (n,) and its components (n, k - 1)."""
        lacking = np.isnan(dosage)
        dosage = np.where(lacking, 0.0, dosage)
        dosage = np.where(lacking, 0.0, dosage - dosage.sum() / max(np.count_nonzero(~lacking), 1))
        length = np.sqrt(dosage @ dosage)
        x = np.column_stack([dosage / length if length > 0 else dosage, around])
        x -= basis @ (basis.T @ x)
        return cls(x, dosage, lacking, x.T @ x, x.T @ residual)


def _fit(first: _Side, second: _Side, basis: Floats, residual: Floats) -> tuple[Floats, Floats, Floats]:
    """Coefficient, error and df (C,) of the product of two loci, beside both with their neighbourhoods.

    The samples that lack a call of this pair are taken out of the products over all samples, which is exactly the
    regression without them.
    """
    lacking = np.flatnonzero(first.lacking | second.lacking)
    n = len(first.dosage) - lacking.size
    product = first.dosage * second.dosage
    product -= product.sum() / max(n, 1)
    product[lacking] = 0.0
    total = float(product @ product)
    parts = (basis, first.x, second.x)
    out = np.concatenate([part[lacking] for part in parts], axis=1)
    between = first.x.T @ second.x
    gram = linalg.block_diag(
        np.eye(basis.shape[1]), np.block([[first.gram, between], [between.T, second.gram]])
    )
    gram -= out.T @ out
    # A column of which next to nothing is left is one that the others have.
    root, order, rank, _ = linalg.lapack.dpstrf(gram, tol=_SAME, lower=1)
    root, order = root[:rank, :rank], order[:rank] - 1
    with_product = np.concatenate([part.T @ product for part in parts])
    with_response = (
        np.concatenate([basis.T @ residual, first.cross, second.cross]) - out.T @ residual[lacking]
    )
    both = np.column_stack([with_product, with_response])[order]
    both = linalg.solve_triangular(root, both, lower=True, check_finite=False)
    on_product, on_response = both[:, 0], both[:, 1:]
    left = total - float(on_product @ on_product)
    df = n - int(rank) - 1
    if left <= RELATIVE_PIVOT * total or df < 1:
        return (np.full(residual.shape[1], np.nan),) * 3
    beta = (product @ residual - on_product @ on_response) / left
    rss = (residual**2).sum(axis=0) - (residual[lacking] ** 2).sum(axis=0)
    rss = rss - (on_response**2).sum(axis=0) - beta**2 * left
    return beta, np.sqrt(np.maximum(rss, 0.0) / df / left), np.full(beta.size, float(df))
