"""Is it the trait's scale that makes the interactions? A monotone link of the additive score, cross-fitted (METHOD 7).

A monotone change of scale makes interactions of any additive trait. What a smooth increasing function of the
out-of-fold additive score gains over the score itself is *scale epistasis*; what the network still gains beyond the
link is specific.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, optimize, special

from gp_elm.elm.study import Floats, Study
from gp_elm.elm.variance import Estimate, GroupBootstrap

KNOTS = 8
"""Inner knots of the link, at quantiles of the score."""
FEWEST = 50
"""Samples that a link needs; below it is a straight line."""
FALL = 0.3
"""|z| that a pair must lose on the trait less its link before it counts as made by the scale: where scale does nothing,
the two tests of a pair differ by a standard deviation of 0.1."""


@dataclass(frozen=True)
class MonotoneLink:
    """An increasing function: a cubic spline with increasing coefficients, straight beyond its ends.

    Attributes
    ----------
    spline : scipy.interpolate.BSpline
        Within the scores that it was fitted to.
    """

    spline: interpolate.BSpline

    @classmethod
    def fit(cls, score: Floats, y: Floats) -> MonotoneLink:
        """Least squares of y (n,) on a score (n,), both without missing values; a constant where nothing increases."""
        low, high = (float(score.min()), float(score.max())) if score.size else (0.0, 0.0)
        if not high > low:
            high = low + 1.0
        enough = score.size >= FEWEST
        degree = 3 if enough else 1
        inner = np.unique(np.quantile(score, np.linspace(0, 1, KNOTS + 2)[1:-1])) if enough else np.empty(0)
        inner = inner[(inner > low) & (inner < high)]
        knots = np.r_[np.repeat(low, degree + 1), inner, np.repeat(high, degree + 1)]
        basis = interpolate.BSpline.design_matrix(np.clip(score, low, high), knots, degree).toarray()
        # increasing coefficients: sums of steps that are not negative (I-splines, Ramsay 1988)
        steps = np.cumsum(basis[:, ::-1], axis=1)[:, ::-1][:, 1:]
        centre, level = steps.mean(0), float(y.mean())
        size, _ = optimize.nnls(steps - centre, y - level, maxiter=1000)
        coefficients = np.r_[0.0, np.cumsum(size)] + level - float(centre @ size)
        return cls(interpolate.BSpline(knots, coefficients, degree))

    def __call__(self, score: Floats) -> Floats:
        """The link of scores of any shape."""
        knots, degree = self.spline.t, self.spline.k
        low, high = knots[degree], knots[-degree - 1]
        inside = np.clip(score, low, high)
        slope = self.spline.derivative()
        return np.asarray(
            self.spline(inside) + np.where(score < low, slope(low), slope(high)) * (score - inside)
        )


class ScaleCheck:
    """How much of what the network gains over the additive score a change of the trait's scale gives as well.

    Parameters
    ----------
    study : Study
        Discovery samples.
    additive : (n, T) float
        Out-of-fold prediction of an additive model: the score.
    network : (n, T) float
        Out-of-fold prediction of the network.
    residual : (n, T) float
        Trait less covariates, NaN missing.
    groups : (n,) int
        Groups that the bootstrap draws whole.
    seed : int
        Of the bootstrap.

    Attributes
    ----------
    link : (n, T) float
        Monotone link of each sample's score, fitted on the other folds.
    """

    def __init__(
        self,
        study: Study,
        additive: Floats,
        network: Floats,
        residual: Floats,
        groups: NDArray[np.int64],
        seed: int,
    ) -> None:
        self._residual, self._score = residual, additive
        self._bootstrap = GroupBootstrap(groups, seed=seed)
        folds, n_traits = study.folds, residual.shape[1]
        self.link: Floats = np.zeros(residual.shape)
        # errors of the score on its own, of its link, of the link and the network
        self._errors = np.full((3, *residual.shape), np.nan)
        self._links: list[list[MonotoneLink]] = [[] for _ in range(n_traits)]
        for t in range(n_traits):
            y, score = residual[:, t], additive[:, t]
            for k in range(study.n_folds):
                mine = folds == k
                others = np.isfinite(y) & ~mine
                link = MonotoneLink.fit(score[others], y[others])
                self._links[t].append(link)
                self.link[mine, t] = link(score[mine])
                both = np.column_stack([link(score), network[:, t]])
                for which, columns in enumerate((score[:, None], both[:, :1], both)):
                    prediction = _regress(columns[others], y[others], columns[mine])
                    self._errors[which, mine, t] = y[mine] - prediction

    @property
    def rest_of_link(self) -> Floats:
        """Trait less the link of its score, (n, T): what the pairs are tested on once more."""
        return self._residual - self.link

    def heldout_link(self, score: Floats) -> Floats:
        """Mean over folds of the link of other samples' scores (h, T)."""
        columns = [
            np.mean([link(score[:, t]) for link in links], axis=0) for t, links in enumerate(self._links)
        ]
        return np.column_stack(columns)

    @cached_property
    def _r2(self) -> list[tuple[Floats, Floats, Floats]]:
        """Out-of-fold R2 of score, link, link and network: for the samples and each draw, by trait."""
        found = []
        for t in range(self._residual.shape[1]):
            y = self._residual[:, t]
            known = np.isfinite(y)
            columns = [known, y, y * y, *(self._errors[:, :, t] ** 2)]
            total = self._bootstrap.sums(np.where(known[:, None], np.column_stack(columns), 0.0))
            n = np.maximum(total[:, 0], 1)
            with np.errstate(divide="ignore", invalid="ignore"):
                spread = total[:, 2] - total[:, 1] ** 2 / n
                r2 = 1 - total[:, 3:6] / spread[:, None]
            found.append((r2[:, 0], r2[:, 1], r2[:, 2]))
        return found

    @cached_property
    def link_gain(self) -> list[Estimate]:
        """R2 of the link less that of the score, out of fold, of each trait."""
        method = "R2 of a monotone link of the additive score less R2 of the score, out of fold"
        return [self._bootstrap.estimate(link - score, method) for score, link, _ in self._r2]

    @cached_property
    def specific_share(self) -> list[Estimate]:
        """Share of the network's gain over the score that the link does not give, of each trait.

        ``(R2[link + network] - R2[link]) / (R2[link + network] - R2[score])`` out of fold; NaN where the denominator
        is not above 2 of its bootstrap standard errors, as there is then no gain to share.
        """
        method = "(R2[link + network] - R2[link]) / (R2[link + network] - R2[additive]), out of fold"
        found = []
        for score, link, both in self._r2:
            gain = self._bootstrap.estimate(both - score, method)
            if not gain.estimate > 2 * gain.standard_error:
                found.append(Estimate(np.nan, np.nan, np.nan, np.nan, f"{method}; no gain to share"))
                continue
            with np.errstate(divide="ignore", invalid="ignore"):
                found.append(self._bootstrap.estimate((both - link) / (both - score), method))
        return found

    @cached_property
    def tukey(self) -> list[Estimate]:
        """Tukey's one-degree test: coefficient of the squared score beside the score, of each trait.

        Score and trait have unit variance, so that 0.1 is a tenth of the trait's standard deviation.
        """
        method = "coefficient of the squared additive score (Tukey 1949), score and trait of unit variance"
        found = []
        for t in range(self._residual.shape[1]):
            y, s = self._residual[:, t], self._score[:, t]
            known = np.isfinite(y)
            spread_y, spread_s = (float(v[known].std()) if known.any() else 0.0 for v in (y, s))
            # a score that hardly varies, such as an empty lasso's, has no curvature
            if not spread_s > 1e-6 * spread_y > 0:
                found.append(Estimate(np.nan, np.nan, np.nan, np.nan, method))
                continue
            y = np.where(known, y - y[known].mean(), 0.0) / spread_y
            s = (s - s[known].mean()) / spread_s
            powers = [known * s**k for k in range(5)]
            total = self._bootstrap.sums(np.column_stack([*powers, *(y * s**k for k in range(3))]))
            gram = total[:, np.add.outer(np.arange(3), np.arange(3))]
            found.append(self._bootstrap.estimate(_solve(gram, total[:, 5:8])[:, 2], method))
        return found

    @property
    def made_by_scale(self) -> NDArray[np.bool_]:
        """Whether the scale accounts for most of what looks like interaction, (T,).

        The link gains over the score (its 95 % interval is above 0), there is a gain to share, and the specific share
        is below one half in 95 % of the bootstrap draws.
        """
        found = []
        for (score, link, both), gain, share in zip(
            self._r2, self.link_gain, self.specific_share, strict=True
        ):
            small = (both - link)[1:] < 0.5 * (both - score)[1:]
            found.append(gain.ci_lower > 0 and np.isfinite(share.estimate) and small.mean() >= 0.95)
        return np.array(found, dtype=bool)


def scale_flags(p: Floats, scale_p: Floats, cutoff: float | Sequence[float] | Floats) -> NDArray[np.bool_]:
    """Pairs that die on the trait less its link.

    Parameters
    ----------
    p, scale_p : (P,) float
        p-values of the debiased test, of the trait and of the trait less its link; NaN raises no flag.
    cutoff : float or (P,) float
        Largest p-value of the trait's discoveries.

    Returns
    -------
    (P,) bool
        True where the pair was a discovery, is none on the trait less its link, and |z| fell by more than two tests
        of the same pair differ by chance (:data:`FALL`).
    """
    with np.errstate(invalid="ignore"):
        before, after = (-special.ndtri(np.maximum(q, 1e-300) / 2) for q in (p, scale_p))
        return np.asarray((p <= cutoff) & (scale_p > cutoff) & (before - after > FALL))


def _regress(columns: Floats, y: Floats, new: Floats) -> Floats:
    """Predict from columns that do not count negatively, with an intercept."""
    centre, level = columns.mean(0), float(y.mean())
    spread = columns.std(0)
    scale = np.where(spread > 0, spread, np.inf)
    slope, _ = optimize.nnls((columns - centre) / scale, y - level, maxiter=1000)
    return np.asarray(level + (new - centre) / scale @ slope)


def _solve(gram: Floats, right: Floats) -> Floats:
    """Solutions of many small systems (q, 3, 3), NaN where singular."""
    good = np.abs(np.linalg.det(gram)) > 1e-9 * np.abs(np.prod(np.diagonal(gram, axis1=1, axis2=2), axis=1))
    out = np.full(right.shape, np.nan)
    out[good] = np.linalg.solve(gram[good], right[good][:, :, None])[:, :, 0]
    return out
