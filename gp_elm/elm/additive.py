"""The additive part of a trait, taken out before pairs are looked at (METHOD 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gp_elm.elm.study import Floats, Study
from gp_elm.predictors.covariates import missing_patterns

SAMPLES_A_LOCUS = 20
"""Least squares from this many samples a locus; a cross-fitted lasso below."""
MOST_LOCI = 4000
"""Least squares up to this many loci, so that the Gram matrix stays small."""
ROWS = 4096


@dataclass(frozen=True)
class NonAdditive:
    """Traits less their additive part.

    Attributes
    ----------
    discovery : (n, T) float
        For the discovery samples, NaN missing.
    heldout : (n_heldout, T) float
        For the held-out samples, by what the discovery samples say.
    method : str
        How the additive part was found, in words.
    """

    discovery: Floats
    heldout: Floats
    method: str


def take_out_additive(
    study: Study,
    residual: Floats,
    lasso: Floats,
    heldout_rows: NDArray[np.int64],
    heldout_residual: Floats,
    heldout_lasso: Floats,
) -> NonAdditive:
    """Take the additive part out of every trait.

    Parameters
    ----------
    study : Study
        Discovery samples.
    residual : (n, T) float
        Their traits less covariates, NaN missing.
    lasso : (n, T) float
        Their out-of-fold lasso predictions.
    heldout_rows : (h,) int
        Held-out samples' rows in the store.
    heldout_residual, heldout_lasso : (h, T) float
        Their traits less covariates, and the folds' mean lasso predictions.

    Returns
    -------
    NonAdditive
        By least squares on all loci where there are at least 20 samples a locus, scaled by n/(n - rank) so that an
        effect keeps its size; else less the cross-fitted lasso's prediction.
    """
    m = study.center.size
    fewest = int(np.isfinite(residual).sum(0).min(initial=study.rows.size))
    if m * SAMPLES_A_LOCUS > fewest or m > MOST_LOCI:
        return NonAdditive(residual - lasso, heldout_residual - heldout_lasso, "cross-fitted lasso")
    out, coefficients = np.full(residual.shape, np.nan), np.zeros((m + 1, residual.shape[1]))
    extra = 0 if study.covariates is None else study.covariates.shape[1]
    for pattern, columns in missing_patterns(np.isfinite(residual)):
        rows = np.flatnonzero(pattern)
        y = residual[np.ix_(rows, columns)]
        gram, cross = np.zeros((m + 1, m + 1)), np.zeros((m + 1, columns.size))
        for start in range(0, rows.size, ROWS):
            design = _design(study, study.rows[rows[start : start + ROWS]])
            gram += design.T @ design
            cross += design.T @ y[start : start + ROWS]
        fit, _, rank, _ = np.linalg.lstsq(gram, cross, rcond=1e-10)
        for start in range(0, rows.size, ROWS):
            some = study.rows[rows[start : start + ROWS]]
            y[start : start + ROWS] -= _design(study, some) @ fit
        # p'My/p'p shrinks an effect by the share of directions that M takes out.
        out[np.ix_(rows, columns)] = y * (rows.size / (rows.size - rank - extra))
        coefficients[:, columns] = fit
    heldout = heldout_residual.copy()
    for start in range(0, heldout_rows.size, ROWS):
        part = slice(start, start + ROWS)
        heldout[part] -= _design(study, heldout_rows[part]) @ coefficients
    return NonAdditive(out, heldout, "least squares on all loci")


def _design(study: Study, rows: NDArray[np.int64]) -> Floats:
    x = study.store.block(rows, columns=None, center=study.center)
    return np.concatenate([np.ones((rows.size, 1)), x], axis=1, dtype=np.float64)
