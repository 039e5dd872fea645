"""Generalised least squares with V = h K + (1 - h) I, in the eigenbasis of the relatedness K.

One eigendecomposition serves every trait: the samples that a trait lacks are left out by an indicator each among its
fixed effects, which is exactly the analysis without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gp_elm.association.complete import CompleteCases
from gp_elm.association.eigenbasis import MOST_EXACT, RANK, Eigenbasis, reml
from gp_elm.association.linear import centred_dosage
from gp_elm.errors import InputError
from gp_elm.kernels.complete_cases import RELATIVE_PIVOT

Floats = NDArray[np.float64]
MOST_INDICATORS = 0.25
"""Share of the samples up to which a trait's missing ones are indicators; above it gets its own decomposition."""

FIXED = 1e-3
"""What the fixed effects must leave of a coordinate for it to count in robust standard errors."""


@dataclass(frozen=True, eq=False)
class FixedPart:
    """What stays the same in all regressions of a trait: its h, and its fixed effects in V's metric.

    Attributes
    ----------
    root : (R,) float64
        Square root of V^-1 in the eigenbasis.
    design : (R, k) float64
        Orthonormal basis of the weighted fixed effects, indicators of missing samples among them.
    indicators : int
        How many columns of the design, its first, stand for missing samples.
    df : float
        Samples less fixed effects.
    """

    root: Floats
    design: Floats
    indicators: int
    df: float

    def whiten(self, rotated: Floats) -> Floats:
        """Rotated columns (R, c) weighted by V^-1/2 and freed of the fixed effects."""
        weighted = rotated * self.root[:, None]
        return np.asarray(weighted - self.design @ (self.design.T @ weighted))

    def fit(
        self, regressors: Sequence[Floats], response: Floats, *, robust: bool = False
    ) -> tuple[Floats, Floats, float]:
        """Coefficient of the last regressor beside the others, for c designs at a time.

        Parameters
        ----------
        regressors : sequence of (R, c) float64
            Rotated.
        response : (R, 1) or (R, c) float64
            Rotated.
        robust : bool
            Standard errors that hold where the response has another h than the one of V: in the eigenbasis its
            coordinates are then still uncorrelated, with unequal variances, so that HC3 there is right (MacKinnon and
            White 1985; what indicators of missing samples take of a coordinate is corrected once, not twice).

        Returns
        -------
        beta, standard_error : (c,) float64
            NaN where the last regressor is collinear with the others and the fixed effects.
        df : float
            Residual degrees of freedom.
        """
        left = np.broadcast_to(self.whiten(response), regressors[0].shape)
        fixed = np.einsum("rk,rk->r", self.design, self.design)[:, None]
        leverage = fixed
        before: list[tuple[Floats, Floats]] = []
        for at, regressor in enumerate(regressors):
            x = self.whiten(regressor)
            weighted = np.einsum("r,rc,rc->c", self.root**2, regressor, regressor)
            for other, other_ss in before:
                x = x - other * (np.einsum("rc,rc->c", other, x) / other_ss)
            spread = np.einsum("rc,rc->c", x, x)
            last = at == len(regressors) - 1
            spread[spread <= RELATIVE_PIVOT * weighted] = np.nan if last else np.inf
            beta = np.einsum("rc,rc->c", x, left) / spread
            left = left - x * beta
            if robust:
                leverage = leverage + x * x / spread
            before.append((x, spread))
        df = self.df - len(regressors)
        if df <= 0:
            return np.full(beta.shape, np.nan), np.full(beta.shape, np.nan), df
        if not robust:
            return beta, np.sqrt(np.einsum("rc,rc->c", left, left) / df / spread), df
        missing = self.design[:, : self.indicators]
        once = np.einsum("rk,rk->r", missing, missing)[:, None]
        corrected = left**2 / np.maximum(1 - leverage, 1e-9) / np.maximum(1 - leverage + once, 1e-9)
        # The constant is nearly an eigenvector: what is left of its coordinate is rounding.
        corrected[fixed[:, 0] > 1 - FIXED] = 0.0
        return beta, np.sqrt(np.einsum("rc,rc,rc->c", x, x, corrected)) / spread, df


@dataclass(frozen=True, eq=False)
class _Group:
    """Traits that share an eigendecomposition, over some rows."""

    rows: NDArray[np.int64]
    cases: list[CompleteCases]


def _groups(cases: Sequence[CompleteCases]) -> list[_Group]:
    usable = np.logical_or.reduce([case.rows for case in cases])
    n = int(usable.sum())
    shared, alone = [], []
    for case in cases:
        if n - case.n_samples <= MOST_INDICATORS * n:
            shared.append(case)
        elif case.n_samples > case.basis.shape[1] + 2:
            alone.append(_Group(np.flatnonzero(case.rows), [case]))
    return ([_Group(np.flatnonzero(usable), shared)] if shared else []) + alone


class MixedModel:
    """Generalised least squares of several traits with one relatedness matrix.

    Parameters
    ----------
    kernel : (n, n) float64
        Relatedness.
    cases : sequence of CompleteCases
        The traits by their samples; see :func:`gp_elm.association.complete.complete_cases`.
    h : (T,) float64, optional
        h of each trait; by REML where None.
    most_exact, rank : int
        As in :meth:`Eigenbasis.of`.

    Attributes
    ----------
    h : (T,) float64
        h of each trait; NaN for a trait that cannot be analysed.
    """

    def __init__(
        self,
        kernel: Floats,
        cases: Sequence[CompleteCases],
        *,
        h: Floats | None = None,
        most_exact: int = MOST_EXACT,
        rank: int = RANK,
    ) -> None:
        self.n_traits = sum(case.columns.size for case in cases)
        self.h = np.full(self.n_traits, np.nan)
        self.parts: dict[int, FixedPart] = {}
        self._groups: list[tuple[NDArray[np.int64], Eigenbasis, list[int]]] = []
        for group in _groups(cases):
            everyone = group.rows.size == kernel.shape[0]
            part = kernel if everyone else kernel[np.ix_(group.rows, group.rows)]
            basis = Eigenbasis.of(part, most_exact=most_exact, rank=rank)
            fitted = [t for case in group.cases for t in self._fit(case, group.rows, basis, h)]
            self._groups.append((group.rows, basis, fitted))

    def _fit(
        self, case: CompleteCases, rows: NDArray[np.int64], basis: Eigenbasis, h: Floats | None
    ) -> list[int]:
        """Fixed parts of traits that are measured in the same samples; returns which could be made."""
        missing = np.flatnonzero(~case.rows[rows])
        indicators = np.zeros((rows.size, missing.size))
        indicators[missing, np.arange(missing.size)] = 1.0
        design = basis.rotate(np.hstack([indicators, case.basis[rows]]))
        residual = basis.rotate(case.residual[rows])
        fitted = []
        for at, trait in enumerate(case.columns.tolist()):
            if not case.residual_ss[at] > 0 or (h is not None and np.isnan(h[trait])):
                continue
            self.h[trait] = reml(basis, residual[:, at], design) if h is None else h[trait]
            root = basis.root_weights(float(self.h[trait]))
            weighted = np.linalg.qr(design * root[:, None])[0]
            df = float(case.n_samples - case.basis.shape[1])
            self.parts[trait] = FixedPart(root, weighted, missing.size, df)
            fitted.append(trait)
        return fitted

    @property
    def nbytes(self) -> int:
        """Memory that it holds."""
        return sum(b.vectors.nbytes for _, b, _ in self._groups) + sum(
            p.design.nbytes for p in self.parts.values()
        )

    def rotate(self, trait: int, columns: Floats) -> Floats:
        """Columns (n, c) in the eigenbasis of a trait's samples, (R, c).

        Raises
        ------
        InputError
            For a trait that cannot be analysed.
        """
        for rows, basis, traits in self._groups:
            if trait in traits:
                return basis.rotate(np.ascontiguousarray(columns[rows]))
        raise InputError(
            "there is no mixed model of a trait that is constant, or measured in too few samples; leave it out"
        )

    def scan(
        self,
        dosage: NDArray[np.generic],
        response: Floats,
        *,
        dominance: bool = False,
        robust: bool = False,
    ) -> tuple[Floats, Floats, Floats]:
        """Coefficient of every variant of a block, or its dominance deviation, on every trait.

        Parameters
        ----------
        dosage : (b, n) int8 with -1 missing, or float with NaN missing
            Missing calls count as the variant's mean.
        response : (n, T) float64
            Finite; what stands at a trait's missing samples is not used.
        dominance : bool
            Coefficient of [heterozygous] beside the dosage.
        robust : bool
            As in :meth:`FixedPart.fit`.

        Returns
        -------
        beta, standard_error, df : (b, T) float64
        """
        x, missing = centred_dosage(dosage)
        regressors = [x.T]
        if dominance:
            het = np.where(missing, np.nan, dosage == 1)
            regressors.append(centred_dosage(het)[0].T)
        beta, error, df = (np.full((dosage.shape[0], self.n_traits), np.nan) for _ in range(3))
        for rows, basis, traits in self._groups:
            rotated = [basis.rotate(np.ascontiguousarray(c[rows])) for c in regressors]
            y = basis.rotate(np.ascontiguousarray(response[rows]))
            for trait in traits:
                found = self.parts[trait].fit(rotated, y[:, [trait]], robust=robust)
                beta[:, trait], error[:, trait], df[:, trait] = found
        return beta, error, df
