"""Robust standard errors of listed pairs: HC3, clustered by group where samples have groups.

Both are the jackknife: a group (a single sample in HC3) is left out, the coefficient moves by d_g, and the variance is
the sum of d_g^2 (CR3 of Bell and McCaffrey 2002; HC3 of MacKinnon and White 1985 as Davidson and MacKinnon write it).
With orthonormal Q of the design, d_g = e'(I - Q_g'Q_g)^-1 Q_g'r_g / R_kk for the last of the k coefficients.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gp_elm.association.complete import CompleteCases, complete_cases
from gp_elm.errors import InputError
from gp_elm.kernels.complete_cases import RELATIVE_PIVOT

Floats = NDArray[np.float64]
BYTES = 64 << 20
_RIDGE = 1e-11
# An entry of (I - Q_g'Q_g)^-1 above this: the product rests on one group alone.
_ALONE = 1e7


class RobustFits(NamedTuple):
    """The product's coefficient of P pairs and C responses.

    ``beta``, ``standard_error`` and ``df`` (P, C): NaN where the product, or a variant, is collinear with the rest of
    the model; the error alone is NaN where the product rests on a single sample or group.
    """

    beta: Floats
    standard_error: Floats
    df: Floats


def robust_pairs(
    g_i: Floats,
    g_j: Floats,
    response: Floats,
    covariates: Floats | None = None,
    groups: NDArray[np.generic] | None = None,
) -> RobustFits:
    """Coefficient of g_i g_j in y ~ 1 + g_i + g_j + g_i g_j + covariates, with a robust error.

    Parameters
    ----------
    g_i, g_j : (n, P) float64
        Dosages of the two variants of each pair, NaN missing.
    response : (n, C) float64
        NaN missing; each pair and response on its own complete cases.
    covariates : (n, q) float64, optional
        Without the intercept, which is added; NaN missing.
    groups : (n,) array, optional
        Group of each sample. With them errors are clustered (CR3, t with G - 1 degrees of freedom, G the groups that
        the pair's complete cases come from); without, HC3 with n - k.

    Returns
    -------
    RobustFits
        Arrays (P, C).

    Raises
    ------
    InputError
        Where shapes do not match.
    """
    if g_i.ndim != 2 or g_i.shape != g_j.shape or len(g_i) != len(response):
        raise InputError(
            f"dosages have shapes {g_i.shape} and {g_j.shape} beside {len(response)} samples of responses; "
            "give two (samples, pairs) arrays of the same samples"
        )
    if groups is not None and len(groups) != len(response):
        raise InputError(f"{len(groups)} groups beside {len(response)} samples; give one for each sample")
    fits = RobustFits(*(np.full((g_i.shape[1], np.shape(response)[1]), np.nan) for _ in range(3)))
    for cases in complete_cases(response, covariates):
        rows = np.flatnonzero(cases.rows)
        label = None
        if groups is not None:
            _, label = np.unique(np.asarray(groups)[rows], return_inverse=True)
            # Groups stand together, so that their sums are sums of slices.
            order = np.argsort(label, kind="stable")
            rows, label = rows[order], label[order]
        width = cases.basis.shape[1] + 3
        step = max(1, BYTES // (8 * max(rows.size, 1) * width * (1 if label is None else width)))
        for start in range(0, g_i.shape[1], step):
            part = slice(start, start + step)
            a, b = g_i[rows, part].T, g_j[rows, part].T
            called = np.isfinite(a) & np.isfinite(b)
            for whole, values in zip(fits, _fit(a, b, called, cases, rows, label), strict=True):
                whole[part, cases.columns] = values
            for p in _collinear(cases.basis[rows], called):
                # Alone, with its missing samples left out of the responses, a pair gets a basis that fits it.
                alone = np.full((len(response), cases.columns.size), np.nan)
                alone[rows[called[p]]] = response[np.ix_(rows[called[p]], cases.columns)]
                pair = slice(start + p, start + p + 1)
                if called[p].any():
                    found = robust_pairs(g_i[:, pair], g_j[:, pair], alone, covariates, groups)
                    for whole, values in zip(fits, found, strict=True):
                        whole[pair, cases.columns] = values
    return fits


def _fit(
    g_i: Floats,
    g_j: Floats,
    called: NDArray[np.bool_],
    cases: CompleteCases,
    rows: NDArray[np.int64],
    label: NDArray[np.int64] | None,
) -> RobustFits:
    """Fit (P, n) pairs whose samples stand in order of their groups."""
    n = called.sum(axis=1)
    x_i, x_j = _centred(g_i, called, n), _centred(g_j, called, n)
    basis, y = cases.basis[rows], cases.residual[rows]
    k_basis = basis.shape[1]
    design = np.empty((*called.shape, k_basis + 3))
    design[:, :, :k_basis] = np.where(called[:, :, None], basis, 0.0)
    design[:, :, -3], design[:, :, -2] = x_i, x_j
    design[:, :, -1] = np.where(called, _centred(x_i * x_j, called, n), 0.0)
    size = np.sqrt((design**2).sum(axis=1))
    design /= np.where(size > 0, size, 1.0)[:, None, :]
    q, r = np.linalg.qr(design)
    pivots = np.diagonal(r, axis1=1, axis2=2) ** 2
    rank = k_basis + 3
    good = (pivots[:, -3:] > RELATIVE_PIVOT).all(axis=1) & (size[:, -3:] > 0).all(axis=1) & (n > rank)
    coefficients = np.einsum("pnk,nc->pkc", q, y)
    inside = np.where(called[:, :, None], y, 0.0)
    residual = inside - q @ coefficients
    scale = np.where(good, r[:, -1, -1] * size[:, -1], np.nan)[:, None]
    beta = coefficients[:, -1, :] / scale
    if label is None:
        leverage = np.minimum((q**2).sum(axis=2), 1.0)
        left = 1 - leverage
        alone = (left < 1 / _ALONE) & (np.abs(q[:, :, -1]) > 1e-6)
        moved = (q[:, :, -1] / np.maximum(left, 1 / _ALONE))[:, :, None] * residual
        variance, df = (moved**2).sum(axis=1), n - rank
        single = alone.any(axis=1)
    else:
        variance, single, n_groups = _clustered(q, residual, called, label)
        df = n_groups - 1
    error = np.sqrt(variance) / np.abs(scale)
    error[single | (df < 1)] = np.nan
    return RobustFits(beta, error, np.where(good[:, None], df[:, None], np.full(beta.shape, np.nan)))


def _centred(values: Floats, called: NDArray[np.bool_], n: NDArray[np.int64]) -> Floats:
    inside = np.where(called, values, 0.0)
    return np.where(called, inside - (inside.sum(axis=1) / np.maximum(n, 1))[:, None], 0.0)


def _collinear(basis: Floats, called: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pairs (P, n) whose missing calls make the covariates collinear."""
    if basis.shape[1] == 1:
        return np.flatnonzero(~called.any(axis=1))
    gram = np.einsum("pn,nk,nl->pkl", called.astype(float), basis, basis, optimize=True)
    return np.flatnonzero(np.linalg.eigvalsh(gram)[:, 0] < RELATIVE_PIVOT)


def _clustered(
    q: Floats, residual: Floats, called: NDArray[np.bool_], label: NDArray[np.int64]
) -> tuple[Floats, NDArray[np.bool_], NDArray[np.int64]]:
    """Jackknife variance (P, C) over groups, pairs that rest on one group, and the number of groups."""
    starts = np.flatnonzero(np.r_[True, np.diff(label) > 0])
    k = q.shape[2]
    inner = np.add.reduceat(q[:, :, :, None] * q[:, :, None, :], starts, axis=1)
    left = np.eye(k) * (1 + _RIDGE) - inner
    last = np.zeros((k, 1))
    last[-1] = 1.0
    pull = np.linalg.solve(left, np.broadcast_to(last, (*left.shape[:2], k, 1)))[..., 0]
    moved = np.stack(
        [
            np.einsum("pgk,pgk->pg", pull, np.add.reduceat(q * residual[:, :, c, None], starts, axis=1))
            for c in range(residual.shape[2])
        ],
        axis=-1,
    )
    present = np.add.reduceat(called, starts, axis=1) > 0
    return (moved**2).sum(axis=1), (np.abs(pull[:, :, -1]) > _ALONE).any(axis=1), present.sum(axis=1)
