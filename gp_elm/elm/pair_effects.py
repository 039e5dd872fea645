"""The tests of one trait's listed pairs, and what the held-out samples say of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gp_elm.association.inflation import p_value
from gp_elm.elm.study import Floats

Ints = NDArray[np.int64]
LEVEL = 0.05
"""p-value below which a held-out effect of the same sign replicates a pair."""
EVEN = 0.5
"""Power below which held-out samples that show nothing say nothing."""


@dataclass(frozen=True)
class PairEffects:
    """Tests of one trait's listed pairs; every array is (P,), the dicts have a test's name as key.

    Attributes
    ----------
    i, j : int
        Variants, i < j.
    beta, standard_error, df : dict of float
        ``interaction``, ``interaction_residual`` and ``elm``; of the tests that were asked for, ``elm_robust`` (the
        same effect with a robust error), ``scale`` (the debiased effect on the trait less its monotone link),
        ``conditional``, ``heldout_interaction`` and ``heldout_elm``.
    n, heldout_n : float
        Complete samples of the pair, in discovery and held-out samples.
    ld_r2 : float
        r^2 of the two dosages in the discovery samples.
    rare : bool
        Whether fewer than five samples carry both effect alleles, or lack both, or carry one alone.
    genotypic_p_value : float
        All interaction terms together.
    """

    i: Ints
    j: Ints
    n: Floats
    heldout_n: Floats
    ld_r2: Floats
    rare: NDArray[np.bool_]
    genotypic_p_value: Floats
    beta: dict[str, Floats]
    standard_error: dict[str, Floats]
    df: dict[str, Floats]

    @classmethod
    def empty(cls, i: Ints, j: Ints, tests: list[str]) -> PairEffects:
        """Nothing known yet of some pairs: NaN everywhere."""
        nan = np.full(i.size, np.nan)
        return cls(
            i, j, nan.copy(), nan.copy(), nan.copy(), np.zeros(i.size, bool), nan.copy(),
            *({test: nan.copy() for test in tests} for _ in range(3)),
        )  # fmt: skip

    def keep(self, test: str, at: Ints, beta: Floats, standard_error: Floats, df: Floats | float) -> None:
        """Fill in a test of some of the pairs."""
        self.beta[test][at], self.standard_error[test][at], self.df[test][at] = beta, standard_error, df

    def p_value(self, test: str) -> Floats:
        """Two-sided p-values of a test."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return p_value(self.beta[test] / self.standard_error[test], self.df[test])

    def heldout_power(self) -> Floats:
        """Chance that the held-out samples show the discovery's debiased effect, with its sign, at p < .05.

        The effect is shrunk by 1 - 1/z^2, as pairs are listed for being large.
        """
        effect, error = self.beta["elm"], self.standard_error["heldout_elm"]
        with np.errstate(divide="ignore", invalid="ignore"):
            z = effect / self.standard_error["elm"]
            shrunk = np.abs(effect) * np.maximum(0.0, 1 - 1 / z**2)
            quantile = special.stdtrit(self.df["heldout_elm"], 1 - LEVEL / 2)
            return np.asarray(special.ndtr(shrunk / error - quantile))

    def verdict(self) -> list[str]:
        """Replicated, not replicated or untestable, of each pair, in the held-out samples.

        A pair is replicated where the held-out debiased effect has the discovery's sign and p < .05. One that is not
        is untestable where the held-out samples had less than even chances to show the discovery effect.
        """
        found = np.full(self.i.size, "not_replicated", dtype=object)
        p, power = self.p_value("heldout_elm"), self.heldout_power()
        found[~(power >= EVEN)] = "untestable"
        same = np.sign(self.beta["heldout_elm"]) == np.sign(self.beta["elm"])
        found[(p < LEVEL) & same] = "replicated"
        found[~np.isfinite(p) | ~np.isfinite(self.beta["elm"])] = "untestable"
        return list(found)
