"""Every pair of variants tested for interaction, in tiles of matrix products.

For each pair and trait column the coefficient of ``x_i x_j`` in ``y ~ 1 + x_i + x_j + x_i x_j + covariates`` and its
standard error (METHOD, sections 4 and 6). One matrix product a tile and column, one more a covariate; the moments of
the genotypes come from bit planes. Nothing of the size of all pairs is kept: each column keeps its strongest pairs,
a histogram of z^2 and a summary of each variant's row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gp_elm.association.sweep_columns import ReadBlock, SweepDesign, SweepPattern, prepare, read_rows
from gp_elm.association.sweep_summary import ColumnSummary, ColumnSweep
from gp_elm.association.sweep_tile import Tile, TileProducts
from gp_elm.errors import OptionError
from gp_elm.kernels.moments import Planes, build_planes
from gp_elm.kernels.tiles import assess, eliminate

TILE_BYTES = 128 << 20
"""Bytes of genotypes that a tile may hold."""
KEEP_BYTES = 128 << 20
"""Genotypes smaller than this are read once and kept."""

Shift = Callable[[int, int, int, int], np.ndarray]
OnTile = Callable[[int, int, int, int, np.ndarray, np.ndarray], None]


@dataclass(frozen=True)
class _Options:
    shift: Shift | None
    shift_row: dict[int, int]
    variance_factor: np.ndarray
    tolerance: float
    on_tile: OnTile | None


def _tile_shape(n_samples: int, n_variants: int, itemsize: int) -> tuple[int, int]:
    """Rows and columns of a tile: wide, because the rows are weighted anew for every trait column."""
    rows = 256 if n_variants > 4096 else 128 if n_variants > 512 else 64
    while rows > 16 and 8 * rows * n_samples * itemsize > TILE_BYTES:
        rows //= 2
    columns = TILE_BYTES // (2 * n_samples * itemsize) // rows * rows
    return rows, int(min(max(columns, rows), 1024))


def pair_sweep(
    read_block: ReadBlock,
    n_variants: int,
    traits: np.ndarray,
    covariates: np.ndarray | None = None,
    *,
    top: int | Sequence[int] = 1000,
    shift: Shift | None = None,
    shift_columns: Sequence[int] | None = None,
    variance_factor: float | Sequence[float] = 1.0,
    dtype: type = np.float32,
    pivot_tolerance: float = 1e-3,
    on_tile: OnTile | None = None,
    progress: Callable[[int, int], None] | None = None,
    tile: tuple[int, int] | None = None,
) -> list[ColumnSweep]:
    """Test all m(m-1)/2 pairs of variants for interaction, in every trait column.

    Parameters
    ----------
    read_block : callable
        (start, stop) -> (n, stop - start) float array: dosages of variants start..stop-1, centred on their mean, a
        missing call as 0. Called again and again, in any order.
    n_variants : int
        m.
    traits : (n, C) float64
        Columns to test, NaN where missing. Columns that are missing in the same samples share most of the work.
    covariates : (n, q) float64, optional
        Taken out of the product too, exactly; a sample with a missing covariate is left out. The intercept is added.
    top : int or sequence of int
        Pairs of largest |z| to keep, of every column or of each.
    shift : callable, optional
        (i0, i1, j0, j1) -> (len(shift_columns), i1 - i0, j1 - j0) array, added to the coefficients of these columns,
        on the trait's scale, before z is formed (the part of a debiased effect that the network gives).
    shift_columns : sequence of int, optional
        Columns that `shift` concerns; all of them by default.
    variance_factor : float or sequence of float
        Factor of the sampling variance, of every column or of each (1 + the network's own share).
    dtype : numpy.float32 or numpy.float64
        Precision of the products.
    pivot_tolerance : float
        A pair is left out, and counted, where x_i, x_j or their product is collinear with what stands before it:
        where less than this share of its sum of squares is left.
    on_tile : callable, optional
        Called as on_tile(i0, i1, j0, j1, beta, standard_error) with (C, I, J) arrays, NaN where a pair was left out
        or j <= i. The arrays are new for each tile.
    progress : callable, optional
        Called as progress(pairs done, pairs in all) after each tile.
    tile : (int, int), optional
        Rows and columns of a tile; the columns are a multiple of the rows.

    Returns
    -------
    list of ColumnSweep
        One for each column of `traits`.

    Raises
    ------
    InputError
        Where no sample is complete, or shapes do not match.
    OptionError
        For a tile, `top` or `variance_factor` of the wrong length.

    Notes
    -----
    A missing genotype call counts as the mean (x = 0), as in the network; pairs that are reported are fitted again on
    their complete cases by `interaction_pairs`. With complete calls a float64 sweep is exact, and a float32 one has z
    within about 1e-5 (1 + |z|).
    """
    n_samples, n_columns = np.shape(traits)
    rows, columns = tile or _tile_shape(n_samples, n_variants, np.dtype(dtype).itemsize)
    if rows < 1 or columns % rows:
        raise OptionError(f"tile {tile} has {columns} columns; choose a multiple of its {rows} rows")
    options = _Options(
        shift=shift,
        shift_row={c: at for at, c in enumerate(range(n_columns) if shift_columns is None else shift_columns)},
        variance_factor=_each(variance_factor, n_columns, "variance_factor"),
        tolerance=pivot_tolerance,
        on_tile=on_tile,
    )
    design = prepare(
        read_block, n_variants, traits, covariates, block_size=rows, dtype=dtype, planes_budget=KEEP_BYTES
    )
    sizes = _each(top, n_columns, "top").astype(int)
    summaries = [ColumnSummary(int(sizes[c]), n_variants) for c in range(n_columns)]
    kept: np.ndarray | None = None
    if design.n_rows * n_variants * np.dtype(dtype).itemsize <= KEEP_BYTES:
        kept = read_rows(read_block, 0, n_variants, design.rows, dtype)
    total = n_variants * (n_variants - 1) // 2
    done = 0
    step = columns // rows
    for first, (i0, i1) in enumerate(design.blocks):
        for at in range(first, len(design.blocks), step):
            wide = design.blocks[at : at + step]
            j0, j1 = wide[0][0], wide[-1][1]
            x_j = read_rows(read_block, j0, j1, design.rows, dtype) if kept is None else kept[:, j0:j1]
            planes = [_planes(design, at + k, x_j[:, a - j0 : b - j0]) for k, (a, b) in enumerate(wide)]
            if at == first:
                # the rows of these tiles are the first columns of the first
                x_i, own = np.ascontiguousarray(x_j[:, : i1 - i0]), planes[0]
            places = [(a - j0, b - j0, p) for (a, b), p in zip(wide, planes, strict=True)]
            _sweep_tile(design, Tile(i0, i1, j0, j1, x_i, x_j, own, places), summaries, options, dtype)
            done += (i1 - i0) * (j1 - j0) if at != first else _upper(i1 - i0, j1 - j0)
            if progress is not None:
                progress(done, total)
    result: list[Any] = [None] * n_columns
    for pattern in design.patterns:
        for column in pattern.cases.columns:
            result[column] = summaries[column].result(pattern.df, pattern.cases.n_samples)
    return result


def _each(value: Any, n_columns: int, name: str) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        return np.full(n_columns, float(array))
    if array.shape != (n_columns,):
        raise OptionError(f"{name} has shape {array.shape}; give one value, or one for each of {n_columns} columns")
    return array


def _upper(n_rows: int, n_columns: int) -> int:
    """Pairs with i < j of a tile whose rows are its first columns."""
    return n_rows * n_columns - n_rows * (n_rows + 1) // 2


def _planes(design: SweepDesign, index: int, block: np.ndarray) -> Planes | None:
    return build_planes(block) if design.planes is None else design.planes[index]


def _sweep_tile(
    design: SweepDesign, tile: Tile, summaries: list[ColumnSummary], options: _Options, dtype: type
) -> None:
    products = TileProducts(design, tile, dtype)
    shifts = None
    if options.shift is not None:
        shifts = np.asarray(options.shift(tile.i0, tile.i1, tile.j0, tile.j1), dtype=dtype)
    n_columns = len(summaries)
    beta_all = error_all = None
    if options.on_tile is not None:
        beta_all = np.empty((n_columns, *tile.shape), dtype=dtype)
        error_all = np.empty_like(beta_all)
    for pattern in design.patterns:
        work, excluded = _eliminate(products, pattern, tile, options.tolerance, dtype)
        for at, column in enumerate(pattern.cases.columns):
            shift = np.empty((0, 0), dtype=dtype)
            if shifts is not None and column in options.shift_row:
                shift = np.ascontiguousarray(shifts[options.shift_row[column]])
            beta = np.empty(tile.shape, dtype=dtype) if beta_all is None else beta_all[column]
            error = np.empty(tile.shape, dtype=dtype) if error_all is None else error_all[column]
            products.weighted(pattern.cases.residual[:, at].astype(dtype), beta)
            summary = summaries[column]
            z2 = np.empty(tile.shape, dtype=np.float32)
            n_i, n_j = tile.shape
            row_max = np.empty(n_i, dtype=np.float32)
            rows = (np.empty(n_i), np.empty(n_i, dtype=np.int64))
            columns = (np.empty(n_j), np.empty(n_j, dtype=np.int64))
            ss = pattern.cases.residual_ss[at]
            counts = assess(
                beta,
                *work,
                pattern.own_ss[tile.i0 : tile.i1],
                pattern.own_ss[tile.j0 : tile.j1],
                pattern.response_sums[tile.i0 : tile.i1, at],
                pattern.response_sums[tile.j0 : tile.j1, at],
                ss,
                float(pattern.df) if pattern.df > 0 and np.isfinite(ss) else np.nan,
                pattern.scale[at],
                shift,
                options.variance_factor[column],
                beta,
                error,
                z2,
                row_max,
                summary.histogram,
                *rows,
                *columns,
            )
            summary.add(tile, counts, excluded, z2, row_max, beta, error, rows, columns)
    if options.on_tile is not None:
        options.on_tile(tile.i0, tile.i1, tile.j0, tile.j1, beta_all, error_all)


def _eliminate(
    products: TileProducts, pattern: SweepPattern, tile: Tile, tolerance: float, dtype: type
) -> tuple[tuple[np.ndarray, ...], int]:
    moments = products.moments(pattern)
    work = tuple(np.empty(tile.shape, dtype=dtype) for _ in range(5))
    excluded = eliminate(
        moments,
        products.basis_products(pattern, moments),
        pattern.basis_sums[tile.i0 : tile.i1],
        pattern.basis_sums[tile.j0 : tile.j1],
        pattern.raw_ss[tile.i0 : tile.i1],
        pattern.raw_ss[tile.j0 : tile.j1],
        tile.j0 - tile.i0,
        tolerance,
        *work,
    )
    return work, int(excluded)
