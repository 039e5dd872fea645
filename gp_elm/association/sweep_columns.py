"""What the pair sweep knows of each variant before it starts: one pass over the genotypes, in blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gp_elm.association.complete import CompleteCases, complete_cases, orthonormal_basis
from gp_elm.errors import InputError
from gp_elm.kernels.moments import Planes, build_planes, pack_rows

ReadBlock = Callable[[int, int], np.ndarray]


@dataclass(frozen=True)
class SweepPattern:
    """Columns with the same complete cases, and the sums over them that involve one variant.

    Attributes
    ----------
    cases : CompleteCases
        Over the rows of the sweep; residuals have unit mean square.
    scale : (c,) float64
        Unit of each residual on the trait's own scale.
    words : (w,) uint64
        `cases.rows` packed for popcounts.
    absent : (a,) int64
        Rows of the sweep that these columns lack.
    transform : (K, k) float64
        Basis of the pattern = basis of the sweep within its rows @ transform.
    basis_sums : (m, k) float64
        Q'x of each variant.
    raw_ss, own_ss : (m,) float64
        Sum of squares of each variant within the rows, and what is left of it without the basis.
    response_sums : (m, c) float64
        r'x.
    """

    cases: CompleteCases
    scale: np.ndarray
    words: np.ndarray
    absent: np.ndarray
    transform: np.ndarray
    basis_sums: np.ndarray
    raw_ss: np.ndarray
    own_ss: np.ndarray
    response_sums: np.ndarray

    @property
    def df(self) -> int:
        """Residual degrees of freedom of a pair's test."""
        return self.cases.n_samples - self.cases.basis.shape[1] - 3


@dataclass(frozen=True)
class SweepDesign:
    """Rows, patterns and bit planes of one sweep.

    Attributes
    ----------
    rows : (n_used,) int64 or None
        Samples that some column uses; None where it is all of them.
    n_rows : int
        Their number.
    basis : (n_used, K) float64
        Orthonormal basis of intercept and covariates over all rows.
    patterns : list of SweepPattern
    blocks : list of (start, stop)
        Blocks of variants, in order.
    planes : list of (Planes or None), or None
        Bit planes of each block, None for a block that is no hard calls; None as a whole where they would not fit.
    """

    rows: np.ndarray | None
    n_rows: int
    basis: np.ndarray
    patterns: list[SweepPattern]
    blocks: list[tuple[int, int]]
    planes: list[Planes | None] | None


def _patterns(
    traits: np.ndarray, covariates: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, list[tuple[CompleteCases, np.ndarray, np.ndarray]]]:
    """Rows in use, the basis over them, and for each pattern its cases, scale and transform."""
    groups = complete_cases(traits, covariates)
    used = np.zeros(len(traits), dtype=bool)
    for cases in groups:
        used |= cases.rows
    if not used.any():
        raise InputError("no sample has both a trait and all covariates; check how missing values are coded")
    inside = None if covariates is None else np.asarray(covariates, dtype=np.float64)[used]
    everyone = np.ones(int(used.sum()), dtype=bool)
    basis = orthonormal_basis(inside, everyone)
    result = []
    for cases in groups:
        rows = cases.rows[used]
        scale = np.sqrt(cases.residual_ss / max(cases.n_samples, 1))
        safe = np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)
        own = cases.basis[used]
        # orthonormal columns in the span of the restricted basis: least squares gives the exact coefficients
        transform = np.linalg.lstsq(basis * rows[:, None], own, rcond=None)[0]
        scaled = CompleteCases(
            cases.columns, rows, own, cases.residual[used] / safe, cases.residual_ss / safe**2
        )
        result.append((scaled, safe, transform))
    return used, basis, result


def read_rows(
    read_block: ReadBlock, start: int, stop: int, rows: np.ndarray | None, dtype: type
) -> np.ndarray:
    """One block of centred dosages, (n_used, b), each row contiguous, in the sweep's precision."""
    block = read_block(start, stop)
    if block.ndim != 2 or block.shape[1] != stop - start:
        raise InputError(
            f"read_block({start}, {stop}) returned shape {block.shape}, expected (samples, {stop - start})"
        )
    if rows is not None:
        block = block[rows]
    block = np.asarray(block, dtype=dtype)
    # a slice of columns of a larger matrix goes into matrix products as it is
    return block if block.strides[1] == block.itemsize else np.ascontiguousarray(block)


def prepare(
    read_block: ReadBlock,
    n_variants: int,
    traits: np.ndarray,
    covariates: np.ndarray | None,
    *,
    block_size: int,
    dtype: type,
    planes_budget: int,
) -> SweepDesign:
    """Read every variant once and collect what concerns it alone.

    Parameters
    ----------
    read_block : callable
        (start, stop) -> (n, stop - start) centred dosages, missing as 0.
    n_variants : int
    traits : (n, C) float64
        NaN missing.
    covariates : (n, q) float64 or None
    block_size : int
        Variants a block.
    dtype : type
        Precision of the products.
    planes_budget : int
        Bytes of bit planes that may be kept.

    Returns
    -------
    SweepDesign
    """
    used, basis, groups = _patterns(traits, covariates)
    rows = None if used.all() else np.flatnonzero(used)
    n_rows = int(used.sum())
    bases = [cases.basis for cases, _, _ in groups]
    offsets = np.cumsum([0] + [b.shape[1] for b in bases])
    responses = np.concatenate([cases.residual for cases, _, _ in groups], axis=1)
    response_offsets = np.cumsum([0] + [len(cases.columns) for cases, _, _ in groups])
    right = np.concatenate([*bases, responses], axis=1)
    masks = np.stack([cases.rows for cases, _, _ in groups], axis=1).astype(np.float64)
    sums = np.empty((n_variants, right.shape[1]))
    raw = np.empty((n_variants, len(groups)))
    blocks = [(a, min(a + block_size, n_variants)) for a in range(0, n_variants, block_size)]
    planes: list[Planes | None] | None = []
    for start, stop in blocks:
        block = read_rows(read_block, start, stop, rows, dtype)
        wide = block.astype(np.float64)
        sums[start:stop] = wide.T @ right
        np.square(wide, out=wide)
        raw[start:stop] = wide.T @ masks
        if planes is not None:
            planes.append(build_planes(block))
            if sum(p.nbytes for p in planes if p is not None) > planes_budget:
                planes = None
    patterns = []
    for index, (cases, scale, transform) in enumerate(groups):
        basis_sums = np.ascontiguousarray(sums[:, offsets[index] : offsets[index + 1]])
        at = offsets[-1] + response_offsets[index]
        patterns.append(
            SweepPattern(
                cases=cases,
                scale=scale,
                words=pack_rows(cases.rows),
                absent=np.flatnonzero(~cases.rows),
                transform=transform,
                basis_sums=basis_sums,
                raw_ss=np.ascontiguousarray(raw[:, index]),
                own_ss=raw[:, index] - (basis_sums**2).sum(axis=1),
                response_sums=np.ascontiguousarray(sums[:, at : at + len(cases.columns)]),
            )
        )
    return SweepDesign(rows, n_rows, basis, patterns, blocks, planes)
