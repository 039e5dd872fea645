"""The work of one tile of the pair sweep: products, elimination, and the tallies of every trait column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gp_elm.association.sweep_columns import SweepDesign, SweepPattern
from gp_elm.association.sweep_summary import TileSummary
from gp_elm.association.sweep_tile import Tile, TileProducts
from gp_elm.kernels.tiles import assess, eliminate
from gp_elm.kernels.topk import N_BINS, candidates


@dataclass(frozen=True)
class TileOptions:
    """What the work on a tile depends on beside its genotypes.

    Attributes
    ----------
    dtype : type
        Precision of the products.
    tolerance : float
        Smallest relative pivot.
    variance_factor : (C,) float64
    shift_row : dict of int to int
        Trait column -> row of the shift.
    keep_all : bool
        Whether coefficients and standard errors of the whole tile are wanted.
    """

    dtype: type
    tolerance: float
    variance_factor: np.ndarray
    shift_row: dict[int, int]
    keep_all: bool


@dataclass(frozen=True)
class TileResult:
    """Summaries of a tile by trait column; beta and standard error (C, I, J) where they were wanted."""

    summaries: list[TileSummary]
    beta: np.ndarray | None
    standard_error: np.ndarray | None


def work_tile(
    design: SweepDesign,
    tile: Tile,
    options: TileOptions,
    shift: np.ndarray | None,
    sizes: list[int],
    thresholds: list[float],
) -> TileResult:
    """Test all pairs of a tile in every trait column.

    Parameters
    ----------
    design : SweepDesign
    tile : Tile
    options : TileOptions
    shift : (C', I, J) or None
        Added to the coefficients of the columns in `options.shift_row`.
    sizes, thresholds : list
        Pairs to keep of each column, and the z^2 that they must reach.

    Returns
    -------
    TileResult
    """
    products = TileProducts(design, tile, options.dtype)
    n_columns = len(sizes)
    shape = (n_columns if options.keep_all else 1, *tile.shape)
    beta: np.ndarray = np.empty(shape, dtype=options.dtype)
    error = np.empty_like(beta)
    z2 = np.empty(tile.shape, dtype=np.float32)
    summaries: dict[int, TileSummary] = {}
    for pattern in design.patterns:
        work, excluded = _eliminate(products, pattern, tile, options)
        for at, column in enumerate(pattern.cases.columns):
            own_shift: np.ndarray = np.empty((0, 0), dtype=options.dtype)
            if shift is not None and column in options.shift_row:
                own_shift = np.ascontiguousarray(shift[options.shift_row[column]], dtype=options.dtype)
            place = column if options.keep_all else 0
            weights: np.ndarray = pattern.cases.residual[:, at].astype(options.dtype)
            products.weighted(weights, beta[place])
            summaries[column] = _assess(
                tile,
                pattern,
                at,
                work,
                excluded,
                own_shift,
                options.variance_factor[column],
                (beta[place], error[place], z2),
                (sizes[column], thresholds[column]),
            )
    everything = (beta, error) if options.keep_all else (None, None)
    return TileResult([summaries[column] for column in range(n_columns)], *everything)


def _eliminate(
    products: TileProducts, pattern: SweepPattern, tile: Tile, options: TileOptions
) -> tuple[tuple[np.ndarray, ...], int]:
    moments = products.moments(pattern)
    work: tuple[np.ndarray, ...] = tuple(np.empty(tile.shape, dtype=options.dtype) for _ in range(5))
    excluded = eliminate(
        moments,
        products.basis_products(pattern, moments),
        pattern.basis_sums[tile.i0 : tile.i1],
        pattern.basis_sums[tile.j0 : tile.j1],
        pattern.raw_ss[tile.i0 : tile.i1],
        pattern.raw_ss[tile.j0 : tile.j1],
        tile.j0 - tile.i0,
        options.tolerance,
        *work,
    )
    return work, int(excluded)


def _assess(
    tile: Tile,
    pattern: SweepPattern,
    at: int,
    work: tuple[np.ndarray, ...],
    excluded: int,
    shift: np.ndarray,
    variance_factor: float,
    buffers: tuple[np.ndarray, np.ndarray, np.ndarray],
    wanted: tuple[int, float],
) -> TileSummary:
    """Turn the products in the first buffer into coefficients, and tally them."""
    beta, error, z2 = buffers
    n_i, n_j = tile.shape
    histogram = np.zeros(N_BINS + 1, dtype=np.int64)
    row_max = np.empty(n_i, dtype=np.float32)
    row_sum, row_best = np.empty(n_i), np.empty(n_i, dtype=np.int64)
    column_sum, column_best = np.empty(n_j), np.empty(n_j, dtype=np.int64)
    ss = pattern.cases.residual_ss[at]
    testable = pattern.df > 0 and np.isfinite(ss)
    n_tested, sum_z2, n_nominal = assess(
        beta,
        *work,
        pattern.own_ss[tile.i0 : tile.i1],
        pattern.own_ss[tile.j0 : tile.j1],
        pattern.response_sums[tile.i0 : tile.i1, at].copy(),
        pattern.response_sums[tile.j0 : tile.j1, at].copy(),
        ss,
        float(pattern.df) if testable else np.nan,
        pattern.scale[at],
        shift,
        variance_factor,
        beta,
        error,
        z2,
        row_max,
        histogram,
        row_sum,
        row_best,
        column_sum,
        column_best,
    )
    if not testable:
        beta[...] = np.nan
        error[...] = np.nan
    row, column, top_beta, top_error = candidates(z2, row_max, beta, error, *wanted)
    rows, columns = np.arange(n_i), np.arange(n_j)
    return TileSummary(
        histogram,
        int(n_tested),
        excluded,
        float(sum_z2),
        int(n_nominal),
        (row + tile.i0, column + tile.j0, top_beta, top_error),
        (row_sum, *_best(rows, row_best, row_best, tile.j0, buffers)),
        (column_sum, *_best(column_best, columns, column_best, tile.i0, buffers)),
    )


def _best(
    row: np.ndarray,
    column: np.ndarray,
    partner: np.ndarray,
    start: int,
    buffers: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> tuple[np.ndarray, ...]:
    """z^2, partner, beta and standard error of the strongest pair of each variant along one side; partner -1: none."""
    beta, error, z2 = buffers
    return (
        z2[row, column].astype(np.float64),
        np.where(partner >= 0, partner + start, -1),
        beta[row, column].astype(np.float64),
        error[row, column].astype(np.float64),
    )
