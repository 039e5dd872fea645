"""The exhaustive sweep against statsmodels and against itself: precision, tiles, threads, missing traits, shifts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import interaction as twin
from scipy import stats

from gp_elm.association.interaction import interaction_pairs
from gp_elm.association.pair_sweep import pair_sweep
from gp_elm.association.sweep_summary import top_pairs_q_values
from gp_elm.errors import InputError, OptionError
from gp_elm.kernels.topk import N_BINS, bin_edges


def cohort(seed, *, n=150, m=19, columns=4, covariates=2, ploidy=2, missing=0.1, dosages=False):
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(ploidy, rng.uniform(0.2, 0.6, m), (n, m)).astype(float)
    if dosages:
        dosage = np.clip(dosage + rng.normal(0, 0.1, (n, m)), 0, ploidy)
    y = rng.normal(size=(n, columns)) + 0.7 * dosage[:, [1]] * dosage[:, [2]] + 5
    patterns = rng.random((n, 2)) < missing
    y[:, :2][patterns[:, 0]] = np.nan
    y[:, 2][patterns[:, 1]] = np.nan
    z = rng.normal(size=(n, covariates)) if covariates else None
    return dosage, y, z


def reader(dosage):
    x = dosage - dosage.mean(axis=0)
    return lambda start, stop: x[:, start:stop]


def collect(dosage, y, z, **options):
    """The sweep, and beta and standard error of every pair: (C, m, m)."""
    m = dosage.shape[1]
    beta = np.full((y.shape[1], m, m), np.nan)
    error = beta.copy()

    def on_tile(i0, i1, j0, j1, b, s):
        beta[:, i0:i1, j0:j1] = b
        error[:, i0:i1, j0:j1] = s

    return pair_sweep(reader(dosage), m, y, z, on_tile=on_tile, threads=2, **options), beta, error


@settings(max_examples=12)
@given(
    seed=st.integers(0, 10_000),
    covariates=st.integers(0, 3),
    ploidy=st.sampled_from([1, 2]),
    missing=st.sampled_from([0.0, 0.1, 0.7]),
    dosages=st.booleans(),
)
def test_float64_equals_statsmodels(seed, covariates, ploidy, missing, dosages):
    dosage, y, z = cohort(seed, m=7, covariates=covariates, ploidy=ploidy, missing=missing, dosages=dosages)
    sweeps, beta, error = collect(dosage, y, z, dtype=np.float64, pivot_tolerance=1e-6, tile=(3, 6))
    i, j = np.triu_indices(7, 1)
    expected = twin.pairs(dosage[:, i], dosage[:, j], y, z)
    tested = np.isfinite(beta[:, i, j].T)
    assert (tested == np.isfinite(expected[0])).all()
    np.testing.assert_allclose(beta[:, i, j].T[tested], expected[0][tested], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(error[:, i, j].T[tested], expected[1][tested], rtol=1e-8)
    for c, sweep in enumerate(sweeps):
        np.testing.assert_allclose(sweep.p_values, np.sort(expected[2][tested[:, c], c]), rtol=1e-6)
        assert sweep.n == np.isfinite(y[:, c]).sum()


@pytest.mark.parametrize("ploidy", [1, 2])
@pytest.mark.parametrize("dosages", [False, True])
@pytest.mark.parametrize("covariates", [0, 3])
def test_float32_is_near_float64(ploidy, dosages, covariates):
    dosage, y, z = cohort(8, n=2000, m=40, ploidy=ploidy, dosages=dosages, covariates=covariates)
    _, beta, error = collect(dosage, y, z, dtype=np.float64)
    _, beta32, error32 = collect(dosage.astype(np.float32), y, z)
    z64, z32 = beta / error, beta32 / error32
    assert (np.isfinite(z64) == np.isfinite(z32)).all()
    assert np.nanmax(np.abs(z32 - z64) / (1 + np.abs(z64))) < 1e-4


def test_traits_of_any_scale_give_the_same_z():
    dosage, y, z = cohort(8)
    _, beta, error = collect(dosage, y, z)
    _, small, small_error = collect(dosage, y * 1e-12, z)
    np.testing.assert_allclose(small, beta * 1e-12, rtol=1e-4, atol=1e-17)
    np.testing.assert_allclose(small_error, error * 1e-12, rtol=1e-4)


def test_tiles_and_threads_change_nothing():
    dosage, y, z = cohort(3, m=41)
    options = {"dtype": np.float64, "top": 25}
    first = pair_sweep(reader(dosage), 41, y, z, threads=1, tile=(41, 41), **options)
    for tile, threads in (((8, 8), 1), ((8, 24), 3), ((5, 10), 2)):
        other = pair_sweep(reader(dosage), 41, y, z, threads=threads, tile=tile, **options)
        for a, b in zip(first, other, strict=True):
            np.testing.assert_array_equal(a.top.i, b.top.i)
            np.testing.assert_array_equal(a.top.j, b.top.j)
            np.testing.assert_allclose(a.top.beta, b.top.beta, rtol=1e-10)
            np.testing.assert_allclose(a.sum_z2, b.sum_z2, rtol=1e-6)
            np.testing.assert_array_equal(a.variants.partner, b.variants.partner)
            np.testing.assert_allclose(a.variants.sum_z2, b.variants.sum_z2, rtol=1e-6)
            assert (a.n_tested, a.n_excluded, a.n_nominal) == (b.n_tested, b.n_excluded, b.n_nominal)


def test_the_same_call_gives_the_same_bits():
    dosage, y, z = cohort(3, m=41)
    first, second = (pair_sweep(reader(dosage), 41, y, z, threads=t, tile=(8, 16)) for t in (1, 3))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.top.beta, b.top.beta)
        np.testing.assert_array_equal(a.histogram, b.histogram)
        assert a.sum_z2 == b.sum_z2


def test_summaries_are_those_of_all_pairs():
    dosage, y, z = cohort(5, n=300, m=30)
    sweeps, beta, error = collect(dosage, y, z, top=12, tile=(8, 16), dtype=np.float64)
    for c, sweep in enumerate(sweeps):
        z2 = (beta[c] / error[c]) ** 2
        values = z2[np.isfinite(z2)]
        assert sweep.n_tested == len(values) == 435 - sweep.n_excluded
        assert sweep.sum_z2 == pytest.approx(values.sum(), rel=1e-6)
        assert sweep.n_nominal == (values > 1.959963985**2).sum()
        np.testing.assert_allclose(sweep.top.z**2, np.sort(values)[::-1][:12], rtol=1e-6)
        counts, _ = np.histogram(values, np.append(bin_edges(), np.inf))
        assert np.abs(np.cumsum(counts) - np.cumsum(sweep.histogram)).max() <= 1
        assert sweep.lambda_gc == pytest.approx(np.median(values) / stats.chi2.median(1), rel=0.05)
        full = np.where(np.isfinite(z2), z2, 0) + np.where(np.isfinite(z2), z2, 0).T
        np.testing.assert_allclose(sweep.variants.sum_z2, full.sum(axis=1), rtol=1e-6)
        np.testing.assert_array_equal(sweep.variants.partner, full.argmax(axis=1))
        best = np.maximum(full.max(axis=1), 0)
        np.testing.assert_allclose(
            (sweep.variants.beta / sweep.variants.standard_error) ** 2, best, rtol=1e-6
        )


def test_q_values_count_all_pairs():
    rng = np.random.default_rng(0)
    m, n = 200, 400
    dosage = rng.binomial(2, 0.4, (n, m)).astype(float)
    y = rng.normal(size=(n, 1))
    for k in range(6):
        y[:, 0] += 0.5 * dosage[:, 2 * k] * dosage[:, 2 * k + 1]
    (all_of_them,) = pair_sweep(reader(dosage), m, y, top=m * m)
    expected = stats.false_discovery_control(all_of_them.p_values)
    np.testing.assert_allclose(all_of_them.q_values, expected, rtol=1e-6)
    (few,) = pair_sweep(reader(dosage), m, y, top=40)
    np.testing.assert_allclose(few.q_values, expected[:40], rtol=0.06)
    assert (few.q_values >= expected[:40] * (1 - 1e-6)).all()
    significant = expected[:40] < 0.05
    np.testing.assert_allclose(few.q_values[significant], expected[:40][significant], rtol=1e-6)


def test_q_values_of_nothing():
    assert len(top_pairs_q_values(np.zeros(0), 10, np.zeros(N_BINS, dtype=int), 0)) == 0


def test_shift_and_variance_factor():
    dosage, y, z = cohort(6)
    m = dosage.shape[1]
    rng = np.random.default_rng(0)
    added = rng.normal(size=(2, m, m))
    _, beta, error = collect(dosage, y, z, dtype=np.float64)
    sweeps, shifted, wider = collect(
        dosage,
        y,
        z,
        dtype=np.float64,
        shift=lambda i0, i1, j0, j1: added[:, i0:i1, j0:j1],
        shift_columns=[3, 1],
        variance_factor=[1.0, 1.0, 1.0, 1.44],
        tile=(6, 12),
    )
    np.testing.assert_allclose(shifted[3], beta[3] + added[0], rtol=1e-9)
    np.testing.assert_allclose(shifted[1], beta[1] + added[1], rtol=1e-9)
    np.testing.assert_allclose(shifted[[0, 2]], beta[[0, 2]], rtol=1e-9)
    np.testing.assert_allclose(wider[3], 1.2 * error[3], rtol=1e-9)
    np.testing.assert_allclose(wider[:3], error[:3], rtol=1e-9)
    top = np.nanmax(np.abs(shifted[3] / wider[3]))
    assert abs(sweeps[3].top.z[0]) == pytest.approx(top, rel=1e-9)


def test_missing_calls_count_as_the_mean():
    dosage, y, z = cohort(6, m=8, missing=0.0)
    missing = np.random.default_rng(0).random(dosage.shape) < 0.05
    called = np.where(missing, np.nan, dosage)
    x = np.nan_to_num(called - np.nanmean(called, axis=0))
    sweep = pair_sweep(lambda a, b: x[:, a:b], 8, y, z, dtype=np.float64)[3]
    imputed = interaction_pairs(x[:, sweep.top.i], x[:, sweep.top.j], y[:, [3]], z)
    np.testing.assert_allclose(sweep.top.beta, imputed.beta[:, 0], rtol=1e-8)
    np.testing.assert_allclose(sweep.top.standard_error, imputed.standard_error[:, 0], rtol=1e-8)


def test_degenerate_pairs_are_left_out_and_counted():
    rng = np.random.default_rng(0)
    n = 4000
    dosage = rng.binomial(1, 0.4, (n, 6)).astype(float)
    dosage[:, 1] = dosage[:, 0]
    dosage[:, 2] = 0.0
    dosage[:, 3] = dosage[:, 4]
    dosage[7, 3] = 1 - dosage[7, 3]  # collinear but for one sample of 4,000
    sweep, beta, _ = collect(dosage, rng.normal(size=(n, 1)), None)
    excluded = {(i, j) for i in range(6) for j in range(i + 1, 6) if np.isnan(beta[0, i, j])}
    assert excluded == {(0, 1), (0, 2), (1, 2), (2, 3), (2, 4), (2, 5), (3, 4)}
    assert sweep[0].n_excluded == 7
    assert sweep[0].n_tested == 8
    assert sweep[0].variants.partner[2] == -1
    assert np.isnan(sweep[0].variants.beta[2])


def test_a_variant_that_is_a_covariate_is_left_out():
    dosage, y, _ = cohort(6)
    sweeps, beta, _ = collect(dosage, y, dosage[:, [4]])
    assert np.isnan(beta[:, 4]).all()
    assert sweeps[3].n_excluded == dosage.shape[1] - 1


def test_a_constant_trait_and_too_few_samples_are_not_tested():
    dosage, y, _ = cohort(6)
    y[:, 0] = 3.0
    y[4:, 1] = np.nan
    sweeps, beta, _ = collect(dosage, y, None)
    assert sweeps[0].n_tested == sweeps[1].n_tested == 0
    assert len(sweeps[0].top.i) == 0
    assert np.isnan(sweeps[0].lambda_gc)
    assert np.isnan(beta[:2]).all()
    assert sweeps[2].n_tested > 0


def test_samples_that_no_column_uses_are_dropped():
    dosage, y, z = cohort(6)
    y[:30] = np.nan
    _, beta, error = collect(dosage, y, z, dtype=np.float64)
    _, fewer, fewer_error = collect(dosage[30:], y[30:], z[30:], dtype=np.float64)
    np.testing.assert_allclose(beta, fewer, rtol=1e-8)
    np.testing.assert_allclose(error, fewer_error, rtol=1e-8)


def test_genotypes_that_do_not_fit_are_read_again(monkeypatch):
    dosage, y, z = cohort(3, m=41)
    first = pair_sweep(reader(dosage), 41, y, z, tile=(8, 16), dtype=np.float64)
    monkeypatch.setattr("gp_elm.association.pair_sweep.KEEP_BYTES", 1000)
    steps = []
    second = pair_sweep(
        reader(dosage), 41, y, z, tile=(8, 16), dtype=np.float64, progress=lambda *s: steps.append(s)
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.top.i, b.top.i)
        np.testing.assert_allclose(a.top.beta, b.top.beta, rtol=1e-8)
    assert steps[-1] == (820, 820)


def test_false_positives_of_the_sweep_are_nominal():
    rng = np.random.default_rng(1)
    dosage = rng.binomial(2, 0.3, (500, 150)).astype(float)
    sweeps = pair_sweep(reader(dosage), 150, rng.normal(size=(500, 8)))
    share = sum(s.n_nominal for s in sweeps) / sum(s.n_tested for s in sweeps)
    assert 0.045 < share < 0.055
    assert np.mean([s.lambda_gc for s in sweeps]) == pytest.approx(1, abs=0.05)


def test_what_cannot_be_swept_is_refused():
    dosage, y, z = cohort(6)
    with pytest.raises(OptionError, match=r"tile \(4, 6\) has 6 columns; choose a multiple of its 4 rows"):
        pair_sweep(reader(dosage), 19, y, z, tile=(4, 6))
    with pytest.raises(
        OptionError, match=r"top has shape \(2,\); give one value, or one for each of 4 columns"
    ):
        pair_sweep(reader(dosage), 19, y, z, top=[1, 2])
    with pytest.raises(InputError, match="no sample has both a trait and all covariates"):
        pair_sweep(reader(dosage), 19, y * np.nan, z)
    with pytest.raises(InputError, match=r"read_block\(0, 19\) returned shape \(150, 3\)"):
        pair_sweep(lambda a, b: dosage[:, :3], 19, y, z)


def test_a_reader_that_fails_stops_the_sweep():
    dosage, y, z = cohort(6)

    def fails(start, stop):
        if start > 10:
            raise OSError("disk gone")
        return dosage[:, start:stop]

    with pytest.raises(OSError, match="disk gone"):
        pair_sweep(fails, 19, y, z, tile=(4, 8))
