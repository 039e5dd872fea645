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

from gp_elm.association.complete import CompleteCases, complete_cases
from gp_elm.association.neighbourhoods import ReadColumns, standardised
from gp_elm.errors import InputError
from gp_elm.kernels.complete_cases import RELATIVE_PIVOT

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_NEIGHBOURS = 120
"""Neighbours of a locus that are looked at: the strongest, and of the others so many, evenly by strength."""
MOST_COMPONENTS = 40
"""Principal components that stand for a neighbourhood, never more than a fortieth of the samples."""
_BYTES = 256 << 20
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
        NaN missing; each pair and response on its own complete cases. A neighbour's missing call counts as its mean.
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
    for some in _batches(i, j, max(2, _BYTES // (16 * n * (most + 1)))):
        loci = np.unique(np.r_[i[some], j[some]])
        dosage = read_columns(loci)
        around = [_components(neighbours(int(locus)), read_columns, most, n) for locus in loci]
        place = np.searchsorted(loci, [i[some], j[some]])
        for cases in groups:
            rows = np.flatnonzero(cases.rows)
            complete = np.atleast_1d(np.isfinite(dosage[rows]).all(axis=0))
            sides = [
                _Side.of(np.column_stack([dosage[rows, a], around[a][rows]]), cases, rows)
                if complete[a]
                else None
                for a in range(loci.size)
            ]
            for p, a, b in zip(some, *place, strict=True):
                first, second = sides[a], sides[b]
                if first is None or second is None:
                    called = cases.rows & np.isfinite(dosage[:, a]) & np.isfinite(dosage[:, b])
                    if called.sum() < 4:
                        continue
                    alone = complete_cases(
                        np.where(called[:, None], response[:, cases.columns], np.nan), covariates
                    )[0]
                    mine = np.flatnonzero(alone.rows)
                    first, second = (
                        _Side.of(np.column_stack([dosage[mine, k], around[k][mine]]), alone, mine)
                        for k in (a, b)
                    )
                    found = _fit(first, second, alone, mine)
                else:
                    found = _fit(first, second, cases, rows)
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


def _components(near: Ints, read_columns: ReadColumns, most: int, n: int) -> Floats:
    """Leading principal components (n, k) of the neighbours of a locus."""
    strong = MOST_NEIGHBOURS // 4
    if near.size > MOST_NEIGHBOURS:
        others = np.linspace(strong, near.size - 1, MOST_NEIGHBOURS - strong).astype(np.int64)
        near = near[np.r_[np.arange(strong), others]]
    if not near.size or not most:
        return np.empty((n, 0))
    z = standardised(read_columns(near))
    values, vectors = np.linalg.eigh((z.T @ z).astype(np.float64))
    keep = np.flatnonzero(values > _SAME * values[-1])[-most:]
    return np.asarray(z @ vectors[:, keep])


class _Side(NamedTuple):
    """A locus and its neighbourhood over some complete samples, the covariates taken out.

    ``x`` (n, k) has columns of length 1, the locus first; ``dosage`` (n,) is its own, centred; ``gram`` (k, k) and
    ``cross`` (k, C) are the products of x with itself and with the responses.
    """

    x: Floats
    dosage: Floats
    gram: Floats
    cross: Floats

    @classmethod
    def of(cls, given: Floats, cases: CompleteCases, rows: Ints) -> _Side:
        """From dosages and components (n, k), the locus first."""
        x = given - given.mean(axis=0)
        dosage = x[:, 0].copy()
        length = np.sqrt((x**2).sum(axis=0))
        x /= np.where(length > 0, length, np.inf)
        basis = cases.basis[rows]
        for _ in range(2):
            x -= basis @ (basis.T @ x)
        return cls(x, dosage, x.T @ x, x.T @ cases.residual[rows])


def _fit(first: _Side, second: _Side, cases: CompleteCases, rows: Ints) -> tuple[Floats, Floats, Floats]:
    """Coefficient, error and df (C,) of the product of two loci, beside both with their neighbourhoods."""
    product = first.dosage * second.dosage
    product -= product.mean()
    total = float(product @ product)
    basis, residual = cases.basis[rows], cases.residual[rows]
    for _ in range(2):
        product -= basis @ (basis.T @ product)
    between = first.x.T @ second.x
    gram = np.block([[first.gram, between], [between.T, second.gram]])
    values, vectors = np.linalg.eigh(gram)
    # A direction of which next to nothing is left is one that the others have.
    keep = values > _SAME
    roots = vectors[:, keep] / np.sqrt(values[keep])
    on_product = roots.T @ np.r_[first.x.T @ product, second.x.T @ product]
    on_response = roots.T @ np.concatenate([first.cross, second.cross])
    left = float(product @ product) - float(on_product @ on_product)
    df = len(product) - basis.shape[1] - int(keep.sum()) - 1
    if left <= RELATIVE_PIVOT * total or df < 1 or min(first.gram[0, 0], second.gram[0, 0]) == 0:
        return (np.full(residual.shape[1], np.nan),) * 3
    beta = (product @ residual - on_product @ on_response) / left
    rss = (residual**2).sum(axis=0) - (on_response**2).sum(axis=0) - beta**2 * left
    return beta, np.sqrt(np.maximum(rss, 0.0) / df / left), np.full(beta.size, float(df))
