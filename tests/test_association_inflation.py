"""p-values in log space against mpmath; corrections."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gp_elm.association.inflation import adjust, lambda_gc, neg_log_10_p, neg_log_10_p_f, p_value
from gp_elm.errors import OptionError

mpmath.mp.dps = 40


def exact(statistic, df_tested, df):
    """-log10 of the upper tail of F by mpmath."""
    x = mpmath.mpf(df) / (df + df_tested * mpmath.mpf(statistic))
    a, b = mpmath.mpf(df) / 2, mpmath.mpf(df_tested) / 2
    # Kummer's series of the incomplete beta, summed until nothing changes
    term = total = mpmath.mpf(1)
    k = 0
    while term > total * mpmath.mpf(10) ** -25:
        term *= (a + b + k) / (a + 1 + k) * x
        total += term
        k += 1
    value = a * mpmath.log(x) + b * mpmath.log(1 - x) - mpmath.log(a) - mpmath.log(mpmath.beta(a, b))
    return float(-(value + mpmath.log(total)) / mpmath.log(10))


@given(size=st.floats(0.5, 400), df=st.sampled_from([1, 3, 57, 9_989]), negative=st.booleans())
def test_student_against_mpmath(size, df, negative):
    t = -size if negative else size
    assert neg_log_10_p(t, df) == pytest.approx(exact(size**2, 1, df), rel=1e-11)


@pytest.mark.parametrize(("t", "df"), [(60, 9_989), (38, 499_990), (500, 499_990), (1e5, 30), (200, 1e7)])
def test_where_scipy_underflows(t, df):
    value = float(neg_log_10_p(t, df))
    if df < 1e6:
        assert value == pytest.approx(exact(t**2, 1, df), rel=1e-11)
    assert np.isfinite(value)
    assert value > 100


@pytest.mark.parametrize(
    ("f", "tested", "df"), [(3.0, 4, 300), (900.0, 4, 9_000), (5_000.0, 3, 800), (0.0, 2, 10)]
)
def test_f_against_mpmath(f, tested, df):
    expected = 0.0 if f == 0 else exact(f, tested, df)
    assert float(neg_log_10_p_f(f, tested, df)) == pytest.approx(expected, rel=1e-11)


def test_both_sides_of_the_threshold_agree():
    t = np.linspace(30, 34, 200)
    values = neg_log_10_p(t, 5_000)
    assert values.min() < 200 < values.max() or values.max() > 150
    steps = np.diff(values)
    assert (np.abs(np.diff(steps)) < 1e-3).all()


def test_p_value_equals_scipy_where_scipy_is_exact():
    t = np.array([[0.0, -1.5, 4.0], [12.0, 30.0, np.nan]])
    df = np.array([[10, 100, 1000], [50, 4, 10]])
    np.testing.assert_allclose(p_value(t, df), 2 * stats.t.sf(np.abs(t), df), rtol=1e-10)
    np.testing.assert_allclose(p_value(t, np.inf), 2 * stats.norm.sf(np.abs(t)), rtol=1e-10)


def test_no_degrees_of_freedom_and_infinite_t():
    assert np.isnan(neg_log_10_p(3.0, 0))
    assert np.isnan(p_value(3.0, -2))
    assert neg_log_10_p(np.inf, 10) == np.inf
    assert p_value(np.inf, 10) == 0.0
    assert neg_log_10_p(0.0, 10) == 0.0


def test_lambda_gc():
    p = (np.arange(1000) + 0.5) / 1000
    assert lambda_gc(p) == pytest.approx(1.0, abs=1e-9)
    doubled = stats.chi2.sf(2 * stats.chi2.isf(p, 1), 1)
    assert lambda_gc(np.append(doubled, np.nan)) == pytest.approx(2.0, rel=1e-6)
    assert np.isnan(lambda_gc([np.nan]))


def test_adjust():
    p = np.array([0.01, np.nan, 0.04, 0.2])
    np.testing.assert_allclose(adjust(p)[[0, 2, 3]], stats.false_discovery_control([0.01, 0.04, 0.2]))
    np.testing.assert_allclose(adjust(p, "bonferroni")[[0, 2, 3]], [0.03, 0.12, 0.6])
    np.testing.assert_allclose(adjust(p, "bonferroni", n_tests=10)[[0, 2, 3]], [0.1, 0.4, 1.0])
    assert np.isnan(adjust(p)[1])
    with pytest.raises(OptionError, match="unknown correction 'holm'; choose fdr_bh, fdr_by or bonferroni"):
        adjust(p, "holm")
