"""What every result does: tables, intervals, corrections, printing."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from gp_elm.errors import OptionError
from gp_elm.results import Result


@pytest.fixture
def result():
    rng = np.random.default_rng(0)
    beta = rng.normal(size=(5, 2))
    error = np.full((5, 2), 0.5)
    beta[3] = np.nan
    p = 2 * stats.t.sf(np.abs(beta / error), 20)
    dims = ("variants", "traits")
    return Result(
        xr.Dataset(
            {
                "variant_id": (("variants",), [f"v{j}" for j in range(5)]),
                "trait_id": (("traits",), ["height", "weight"]),
                "beta": (dims, beta),
                "standard_error": (dims, error),
                "df": (dims, np.full((5, 2), 20)),
                "n": (dims, np.full((5, 2), 22)),
                "p_value": (dims, p),
                "neg_log_10_p_value": (dims, -np.log10(p)),
            }
        )
    )


def test_table_and_intervals(result):
    frame = result.to_frame()
    assert list(frame["trait"]) == ["height"] * 5 + ["weight"] * 5
    interval = result.conf_int(0.9)
    half = stats.t.isf(0.05, 20) * 0.5
    np.testing.assert_allclose(
        interval["ci_upper"] - interval["beta"], np.where(frame["beta"].isna(), np.nan, half)
    )
    with pytest.raises(OptionError, match=r"a confidence level of 95 was asked for"):
        result.conf_int(95)


def test_corrections_are_made_within_a_trait(result):
    fdr = result.adjust()
    p = result.dataset["p_value"].values
    tested = [0, 1, 2, 4]
    for at, trait in enumerate(("height", "weight")):
        values = fdr.loc[fdr["trait"] == trait, "q_value"].to_numpy()
        np.testing.assert_allclose(values[tested], stats.false_discovery_control(p[tested, at]))
        assert np.isnan(values[3])
    bonferroni = result.adjust("bonferroni")["adjusted_p_value"].to_numpy()
    np.testing.assert_allclose(bonferroni[:3], np.minimum(4 * p[:3, 0], 1))
    with pytest.raises(OptionError, match="unknown correction 'holm'"):
        result.adjust("holm")


def test_printing_names_the_null_hypothesis(result):
    assert "Null hypothesis: beta = 0" in str(result)
    assert repr(result) == "<Result: 5 variants, traits height, weight>"
    assert "<table" in result._repr_html_()
    summary = result.summary()
    assert list(summary["n_tested"]) == [4, 4]
    assert list(summary["n_untested"]) == [1, 1]


def test_a_trait_without_a_test_is_summarised(result):
    empty = Result(result.dataset.assign(p_value=result.dataset["p_value"] * np.nan))
    assert list(empty.summary()["n_tested"]) == [0, 0]
