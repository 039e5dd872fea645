"""Every pair of variants tested for interaction, in tiles of matrix products.

For each pair and trait column the coefficient of ``x_i x_j`` in ``y ~ 1 + x_i + x_j + x_i x_j + covariates`` and its
standard error (METHOD, sections 4 and 6). One matrix product a tile and column, one more a covariate; the moments of
the genotypes come from bit planes. Nothing of the size of all pairs is kept: each column keeps its strongest pairs,
a histogram of z^2 and a summary of each variant's row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
from threadpoolctl import threadpool_limits

from gp_elm.association.sweep_columns import ReadBlock, SweepDesign, prepare, read_rows
from gp_elm.association.sweep_summary import ColumnSummary, ColumnSweep
from gp_elm.association.sweep_tile import Tile
from gp_elm.association.sweep_work import TileOptions, TileResult, work_tile
from gp_elm.errors import OptionError
from gp_elm.kernels.moments import Planes, build_planes

TILE_BYTES = 160 << 20
"""Bytes of genotypes that the tiles in work may hold."""
KEEP_BYTES = 128 << 20
"""Genotypes smaller than this are read once and kept."""

Shift = Callable[[int, int, int, int], np.ndarray]
OnTile = Callable[[int, int, int, int, np.ndarray, np.ndarray], None]


def _tile_shape(n_samples: int, n_variants: int, itemsize: int, threads: int) -> tuple[int, int]:
    """Rows and columns of a tile: wide, because the rows are weighted anew for every trait column."""
    budget = max(TILE_BYTES // threads, 16 << 20)
    rows = 256 if n_variants > 4096 else 128 if n_variants > 512 else 64
    while rows > 16 and 6 * rows * n_samples * itemsize > budget:
        rows //= 2
    columns = (budget // (n_samples * itemsize) - 2 * rows) // rows * rows
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
    threads: int | None = None,
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
    threads : int, optional
        Tiles worked on at once, each by one thread; the processors at hand by default. Results do not depend on it.
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
    threads = threads or numba.get_num_threads()
    rows, columns = tile or _tile_shape(n_samples, n_variants, np.dtype(dtype).itemsize, threads)
    if rows < 1 or columns % rows:
        raise OptionError(f"tile {tile} has {columns} columns; choose a multiple of its {rows} rows")
    options = TileOptions(
        dtype=dtype,
        tolerance=pivot_tolerance,
        variance_factor=_each(variance_factor, n_columns, "variance_factor"),
        shift_row={
            c: at for at, c in enumerate(range(n_columns) if shift_columns is None else shift_columns)
        },
        keep_all=on_tile is not None,
    )
    sizes = [int(size) for size in _each(top, n_columns, "top")]
    summaries = [ColumnSummary(size, n_variants) for size in sizes]
    total = n_variants * (n_variants - 1) // 2
    done = 0

    def finish(tile: Tile, result: TileResult) -> None:
        nonlocal done
        for summary, part in zip(summaries, result.summaries, strict=True):
            summary.add(tile.i0, tile.j0, part)
        if on_tile is not None and result.beta is not None and result.standard_error is not None:
            on_tile(tile.i0, tile.i1, tile.j0, tile.j1, result.beta, result.standard_error)
        done += tile.n_pairs
        if progress is not None:
            progress(done, total)

    # one thread a tile, and none inside a product: threads that wait for one another at the end of every small
    # product lose most of their time as soon as another process wants the processor
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        design = prepare(
            read_block, n_variants, traits, covariates, block_size=rows, dtype=dtype, planes_budget=KEEP_BYTES
        )
        waiting: deque[tuple[Tile, Future[TileResult]]] = deque()
        try:
            for tile_ in _tiles(design, read_block, n_variants, columns // rows, dtype):
                added = None if shift is None else shift(tile_.i0, tile_.i1, tile_.j0, tile_.j1)
                thresholds = [summary.threshold for summary in summaries]
                work = pool.submit(work_tile, design, tile_, options, added, sizes, thresholds)
                waiting.append((tile_, work))
                if len(waiting) > threads:
                    first, future = waiting.popleft()
                    finish(first, future.result())
            while waiting:
                first, future = waiting.popleft()
                finish(first, future.result())
        finally:
            for _, future in waiting:
                future.cancel()
    result: list[ColumnSweep | None] = [None] * n_columns
    for pattern in design.patterns:
        for column in pattern.cases.columns:
            result[column] = summaries[column].result(pattern.df, pattern.cases.n_samples)
    return [sweep for sweep in result if sweep is not None]


def _tiles(
    design: SweepDesign, read_block: ReadBlock, n_variants: int, step: int, dtype: type
) -> Iterator[Tile]:
    """Tiles that cover all pairs i < j, each block of rows against the columns from itself on."""
    kept: np.ndarray | None = None
    if design.n_rows * n_variants * np.dtype(dtype).itemsize <= KEEP_BYTES:
        kept = read_rows(read_block, 0, n_variants, design.rows, dtype)
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
            yield Tile(i0, i1, j0, j1, x_i, x_j, own, places)


def _each(value: Any, n_columns: int, name: str) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        return np.full(n_columns, float(array))
    if array.shape != (n_columns,):
        raise OptionError(
            f"{name} has shape {array.shape}; give one value, or one for each of {n_columns} columns"
        )
    return array


def _planes(design: SweepDesign, index: int, block: np.ndarray) -> Planes | None:
    return build_planes(block) if design.planes is None else design.planes[index]
