"""What every result of an association method shares: a thin frozen wrapper over a Dataset that prints and tabulates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from scipy import special, stats

from gp_elm.errors import OptionError

IDENTITY: dict[str, str] = {
    "variant_position": "base_pair_location",
    "variant_id": "variant_id",
    "variant_effect_allele": "effect_allele",
    "variant_other_allele": "other_allele",
    "effect_allele_frequency": "effect_allele_frequency",
    "missing_rate": "missing_rate",
}
"""Variables of a Dataset along ``variants``, and their columns in a table."""

ESTIMATES = ("n", "df", "beta", "standard_error", "p_value", "neg_log_10_p_value")
"""Variables along (variants or pairs, traits), in the order of their columns."""


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """Effects of variants or pairs on traits, with standard errors, over a Dataset.

    Attributes
    ----------
    dataset : xarray.Dataset
        dims ``variants`` (or ``pairs``) and ``traits``; variables ``beta``, ``standard_error``, ``df``, ``n``,
        ``p_value``, ``neg_log_10_p_value`` along both, the identity of the variants along the first.
    """

    dataset: xr.Dataset

    title: ClassVar[str] = "Association"
    null_hypothesis: ClassVar[str] = "beta = 0"

    @property
    def dim(self) -> str:
        """The dim that is not ``traits``."""
        return "pairs" if "pairs" in self.dataset.sizes else "variants"

    def identity(self) -> pd.DataFrame:
        """Who each row is: one row a variant or pair, in the Dataset's order.

        Returns
        -------
        pandas.DataFrame
        """
        data = self.dataset
        columns: dict[str, np.ndarray] = {}
        if self.dim == "variants":
            if "variant_contig" in data and "contig_id" in data:
                names = np.asarray(data["contig_id"].values, dtype=object)
                columns["chromosome"] = names[data["variant_contig"].values]
            for variable, column in IDENTITY.items():
                if variable in data:
                    columns[column] = data[variable].values
        else:
            for name in data.variables:
                if data[name].dims == ("pairs",):
                    columns[str(name)] = data[name].values
        return pd.DataFrame(columns)

    def to_frame(self) -> pd.DataFrame:
        """One row a trait and variant (or pair), traits in the Dataset's order, rows as in the Dataset.

        Returns
        -------
        pandas.DataFrame
            ``trait``, the identity, then the estimates.
        """
        identity = self.identity()
        parts = []
        for at, trait in enumerate(self.traits):
            part = identity.copy()
            part.insert(0, "trait", trait)
            for name in self._estimates():
                part[name] = self.dataset[name].values[:, at]
            parts.append(part)
        return pd.concat(parts, ignore_index=True) if parts else identity

    @property
    def traits(self) -> list[str]:
        """Names of the traits."""
        return [str(name) for name in self.dataset["trait_id"].values]

    def _estimates(self) -> list[str]:
        known = [name for name in ESTIMATES if name in self.dataset]
        other = [
            str(name)
            for name in self.dataset.data_vars
            if self.dataset[name].dims == (self.dim, "traits") and name not in ESTIMATES
        ]
        return known + other

    def conf_int(self, level: float = 0.95) -> pd.DataFrame:
        """Confidence intervals of the effects, from Student's t (normal where the Dataset has no ``df``).

        Parameters
        ----------
        level : float
            Between 0 and 1.

        Returns
        -------
        pandas.DataFrame
            ``trait``, the identity, ``beta``, ``ci_lower``, ``ci_upper``.

        Raises
        ------
        OptionError
            For a level outside (0, 1).
        """
        if not 0 < level < 1:
            raise OptionError(
                f"a confidence level of {level} was asked for; give one between 0 and 1, such as 0.95"
            )
        frame = self.to_frame()
        df = frame["df"].to_numpy(float) if "df" in frame else np.full(len(frame), np.inf)
        df = np.where(df > 0, df, np.nan)
        quantile = np.full(len(frame), -special.ndtri((1 - level) / 2))
        finite = np.isfinite(df)
        quantile[finite] = stats.t.isf((1 - level) / 2, df[finite])
        half = quantile * frame["standard_error"]
        estimates = [name for name in self._estimates() if name != "beta"]
        table = frame.drop(columns=estimates)
        table["ci_lower"] = frame["beta"] - half
        table["ci_upper"] = frame["beta"] + half
        return table

    def adjust(self, method: str = "fdr_bh") -> pd.DataFrame:
        """The table with p-values corrected for the number of tests of each trait.

        Parameters
        ----------
        method : {"fdr_bh", "fdr_by", "bonferroni"}

        Returns
        -------
        pandas.DataFrame
            As `to_frame`, with ``q_value`` (false discovery rate) or ``adjusted_p_value`` (Bonferroni).

        Raises
        ------
        OptionError
            For another method.
        """
        if method not in ("fdr_bh", "fdr_by", "bonferroni"):
            raise OptionError(f"unknown correction {method!r}; choose fdr_bh, fdr_by or bonferroni")
        frame = self.to_frame()
        values = np.full(self.dataset["p_value"].shape, np.nan)
        for at in range(values.shape[1]):
            p = self.dataset["p_value"].values[:, at]
            valid = ~np.isnan(p)
            if not valid.any():
                continue
            if method == "bonferroni":
                values[valid, at] = np.minimum(p[valid] * valid.sum(), 1.0)
            else:
                values[valid, at] = stats.false_discovery_control(
                    p[valid], method=method.removeprefix("fdr_")
                )
        frame["adjusted_p_value" if method == "bonferroni" else "q_value"] = values.T.ravel()
        return frame

    def summary(self) -> pd.DataFrame:
        """One row a trait: how many were tested, inflation, how many are significant, and the strongest.

        Returns
        -------
        pandas.DataFrame
            ``trait``, ``n_tested``, ``n_untested`` (NaN: degenerate or too few samples), ``lambda_gc``,
            ``n_bonferroni_05``, ``n_fdr_05``, ``strongest``, ``strongest_beta``, ``strongest_neg_log_10_p_value``.
        """
        rows = []
        labels = self._labels()
        for at, trait in enumerate(self.traits):
            p = self.dataset["p_value"].values[:, at]
            log_p = self.dataset["neg_log_10_p_value"].values[:, at]
            valid = ~np.isnan(p)
            tested = p[valid]
            row: dict[str, object] = {
                "trait": trait,
                "n_tested": len(tested),
                "n_untested": int((~valid).sum()),
            }
            if len(tested):
                best = int(np.nanargmax(log_p))
                row |= {
                    "lambda_gc": float(stats.chi2.isf(np.median(tested), 1) / stats.chi2.isf(0.5, 1)),
                    "n_bonferroni_05": int((tested * len(tested) <= 0.05).sum()),
                    "n_fdr_05": int((stats.false_discovery_control(tested) <= 0.05).sum()),
                    "strongest": labels[best],
                    "strongest_beta": float(self.dataset["beta"].values[best, at]),
                    "strongest_neg_log_10_p_value": float(log_p[best]),
                }
            rows.append(row)
        return pd.DataFrame(rows)

    def _labels(self) -> list[str]:
        identity = self.identity()
        if self.dim == "pairs" and "variant_id_1" in identity:
            return [
                f"{a} x {b}" for a, b in zip(identity["variant_id_1"], identity["variant_id_2"], strict=True)
            ]
        if "variant_id" in identity:
            return [str(name) for name in identity["variant_id"]]
        return [str(index) for index in range(len(identity))]

    def _heading(self) -> str:
        sizes = self.dataset.sizes
        return (
            f"{self.title}: {sizes[self.dim]} {self.dim} x {sizes['traits']} traits. "
            f"Null hypothesis: {self.null_hypothesis}."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.dataset.sizes[self.dim]} {self.dim}, traits {', '.join(self.traits)}>"

    def __str__(self) -> str:
        return (
            f"{self._heading()}\n{self.summary().to_string(index=False, float_format=lambda v: f'{v:.4g}')}"
        )

    def _repr_html_(self) -> str:
        table = self.summary().to_html(index=False, float_format=lambda v: f"{v:.4g}", border=0)
        return f"<p>{self._heading()}</p>{table}"
