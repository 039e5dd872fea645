"""The table of pairs: every column from one small analysis, given pairs, the scale check, predictors as f."""

from dataclasses import replace
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from elm_cases import block_genotypes

from gp_elm.association.interaction import interaction_pairs
from gp_elm.elm import pair_rows
from gp_elm.elm.ablation import variance_ratios
from gp_elm.elm.effects import Analysis
from gp_elm.elm.fit import cross_fit
from gp_elm.elm.pair_effects import PairEffects
from gp_elm.elm.pair_table import PairAnalysis, PairOptions
from gp_elm.elm.scale import ScaleCheck
from gp_elm.elm.structured import Structure
from gp_elm.errors import OptionError
from gp_elm.io.arrangement import arrange
from gp_elm.io.columns import PAIRS
from gp_elm.models.options import TrainingOptions

N, SIZES = 900, [1] * 10 + [4, 3]
PLANTED, EFFECT = (1, 6), 0.9


def small_cohort():
    """A pair in trait_1, an exponential of an additive score in trait_2; groups of three; missing calls."""
    rng = np.random.default_rng(21)
    raw, _ = block_genotypes(rng, N, SIZES)
    x = raw - raw.mean(0)
    additive = x @ np.where(np.arange(raw.shape[1]) < 8, 0.4, 0.0)
    y_1 = additive + EFFECT * x[:, PLANTED[0]] * x[:, PLANTED[1]] + rng.normal(size=N)
    y_2 = np.exp(0.9 * additive + 0.2 * rng.normal(size=N))
    raw[rng.random(raw.shape) < 0.01] = -1
    m = raw.shape[1]
    return xr.Dataset(
        {
            "call_dosage": (
                ("variants", "samples"),
                da.from_array(np.ascontiguousarray(raw.T), chunks=(5, N)),
            ),
            "sample_id": ("samples", np.array([f"s{k:04d}" for k in range(N)])),
            "sample_group": ("samples", np.array([f"g{k // 3}" for k in range(N)])),
            "sample_phenotype": (("samples", "traits"), np.column_stack([y_1, y_2])),
            "trait_id": ("traits", np.array(["trait_1", "trait_2"])),
            "contig_id": ("contigs", np.array(["1", "2"])),
            "variant_contig": ("variants", (np.arange(m) >= 10).astype(int)),
            "variant_position": ("variants", np.arange(1, m + 1) * 100_000),
            "variant_id": ("variants", np.array([f"v{k}" for k in range(m)])),
            "variant_effect_allele": ("variants", np.full(m, "A")),
            "variant_other_allele": ("variants", np.full(m, "C")),
            "variant_ploidy": ("variants", np.full(m, 2)),
        }
    )


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    options = TrainingOptions(network="quadratic", hidden=(16,), epochs=12, members=1, device="cpu")
    folder = tmp_path_factory.mktemp("networks")
    networks = cross_fit(
        small_cohort(), n_folds=3, heldout_fraction=0.3, options=options, directory=folder, progress=False
    )
    return Analysis(networks)


@pytest.fixture(scope="module")
def pairs(analysis):
    networks = analysis.networks
    fitted = networks.fitted
    scale = ScaleCheck(
        networks.study, fitted.out_of_fold["lasso"], fitted.out_of_fold["network"], fitted.residual,
        networks.split.groups[networks.discovery], seed=1,
    )  # fmt: skip
    return PairAnalysis(analysis, PairOptions(), scale=scale)


def test_every_column_is_filled(pairs):
    table = arrange(pairs.frame(), "pairs")
    assert [c.name for c in PAIRS if table[c.name].isna().all()] == []
    assert set(pairs.frame().columns) <= {c.name for c in PAIRS}
    assert len(table) == 2 * pairs.n_pairs


def test_a_planted_pair_stands_first_and_is_replicated(pairs):
    table = arrange(pairs.frame(), "pairs")
    first = table[table["trait"] == "trait_1"].iloc[0]
    assert (first["variant_id_1"], first["variant_id_2"]) == ("v1", "v6")
    assert first["verdict"] == "replicated" and first["heldout_power"] > 0.9
    assert first["elm_rank"] == first["prior_rank"] == 1
    assert first["elm_beta"] == pytest.approx(EFFECT, abs=4 * first["elm_standard_error"])
    assert first["elm_robust_standard_error"] == pytest.approx(first["elm_standard_error"], rel=0.3)
    assert first["conditional_beta"] == pytest.approx(first["interaction_residual_beta"], rel=0.2)
    assert first["scale_p_value"] < 1e-4 and first["flags"] is None


def test_pairs_that_the_scale_makes_are_flagged(pairs):
    table = pairs.frame()
    made = table[(table["trait"] == "trait_2") & (table["elm_p_value"] < 0.05 / pairs.n_pairs)]
    assert len(made) >= 3
    flagged = made["flags"].astype(str).str.contains("scale")
    assert flagged.mean() >= 0.8


def test_a_pair_that_the_robust_error_does_not_find_is_flagged(pairs):
    table = pairs.frame().query("trait == 'trait_1'")
    i, j = (table[f"variant_id_{k}"].str[1:].to_numpy(int) for k in (1, 2))
    effects = PairEffects.empty(i, j, ["elm", "elm_robust", "conditional"])
    at = np.arange(len(table))
    effects.ld_r2[:] = effects.rare[:] = 0
    effects.keep("elm", at, table["elm_beta"], table["elm_standard_error"], 500.0)
    for inflation, flagged in ((1.0, False), (20.0, True)):
        effects.keep("elm_robust", at, table["elm_beta"], inflation * table["elm_standard_error"], 500.0)
        words = pair_rows._flags(pairs, 0, effects, table)
        assert ("robust_error" in str(words[int(table["elm_p_value"].argmin())])) == flagged
        found = (table["elm_q_value"] <= 0.05) | (table["elm_weighted_q_value"] <= 0.05)
        assert sum("robust_error" in str(word) for word in words) == found.sum() * flagged


def test_power_explains_the_untestable(pairs):
    table = pairs.frame()
    untestable = table["verdict"] == "untestable"
    assert 0 < untestable.sum() < len(table)
    assert (table.loc[untestable, "heldout_power"] < 0.5).all()
    assert (table.loc[table["verdict"] == "not_replicated", "heldout_power"] >= 0.5).all()


def test_power_is_the_share_of_repeats_that_show_the_effect():
    rng = np.random.default_rng(1)
    tests = ["elm", "heldout_elm"]
    found = PairEffects.empty(np.array([0]), np.array([1]), tests)
    found.keep("elm", np.array([0]), 0.5, 0.125, 1e6)
    found.keep("heldout_elm", np.array([0]), 0.0, 0.2, 1e6)
    repeats = 0.5 * (1 - 1 / 16) + 0.2 * rng.normal(size=200_000)
    assert found.heldout_power()[0] == pytest.approx(np.mean(repeats / 0.2 > 1.959964), abs=0.005)


def test_given_pairs_have_the_rows_of_the_table(pairs):
    given = pairs.listed(np.array([6, 12]), np.array([1, 10]))
    assert given["selected_by"].tolist() == ["listed"] * 4
    keys = ["trait", "variant_id_1", "variant_id_2"]
    table = pairs.frame().set_index(keys)
    for key, row in given.set_index(keys).iterrows():
        for name in ("elm_beta", "elm_p_value", "elm_q_value", "elm_rank", "prior_rank", "heldout_elm_beta"):
            assert row[name] == pytest.approx(table.loc[key, name], rel=1e-6)


def test_given_pairs_need_no_sweep(analysis, monkeypatch):
    monkeypatch.setattr("gp_elm.elm.pair_table.FEW", 10)
    fresh = PairAnalysis(analysis, PairOptions())
    given = fresh.listed(np.array([1, 3]), np.array([6, 12]))
    assert "sweeps" not in vars(fresh)
    assert given["elm_rank"].isna().all() and "prior_rank" not in given.columns
    assert np.isfinite(given["elm_q_value"]).all()


def test_errors_are_clustered_by_group(pairs):
    assert pairs.sidelights.groups is not None
    groups = pairs.sidelights.groups
    assert groups.size == pairs.study.rows.size > np.unique(groups).size


def test_without_a_prior_there_is_one_ranking(analysis):
    frame = PairAnalysis(analysis, PairOptions(prior="none")).trait_frame(0)
    assert frame["prior_rank"].isna().all() and frame["elm_weighted_q_value"].isna().all()
    assert "prior" not in ";".join(frame["selected_by"])
    with pytest.raises(OptionError, match=r"--prior 'strong' is unknown; choose heredity or none"):
        PairOptions(prior="strong")


def ratios(pairs):
    """Mean squared errors of the listed pairs, the network's over each predictor's."""
    return variance_ratios(pairs.frame(), pairs.ablation(), pairs.networks.traits)


def test_the_network_itself_as_predictor_changes_nothing(analysis):
    fitted = analysis.networks.fitted
    forms = [network.quadratic_form() for network in fitted.networks]
    offsets = [n.offset.coefficients for n in fitted.networks if n.offset is not None] or None
    same = SimpleNamespace(forms={"heredity_kernel": forms}, offsets={"heredity_kernel": offsets})
    pairs = PairAnalysis(analysis, PairOptions(), yardsticks=same)
    ablation = pairs.ablation()
    np.testing.assert_allclose(ratios(pairs)["heredity_kernel"], 1.0, rtol=1e-9)
    keys = ["trait", "variant_id_1", "variant_id_2"]
    both = pairs.frame().merge(ablation, on=keys, suffixes=("", "_other"))
    assert len(both) == len(ablation) and set(ablation["predictor"]) == {"heredity_kernel"}
    for name in ("elm_beta", "elm_standard_error", "elm_q_value", "heldout_elm_p_value"):
        np.testing.assert_allclose(both[f"{name}_other"], both[name], rtol=1e-6, atol=1e-9)


def test_a_predictor_that_says_nothing_has_the_errors_of_the_scan(analysis):
    fitted = analysis.networks.fitted
    forms = [network.quadratic_form() for network in fitted.networks]
    forms = [replace(form, output=np.zeros_like(form.output)) for form in forms]
    nothing = SimpleNamespace(forms={"product_lasso": forms}, offsets={"product_lasso": None})
    pairs = PairAnalysis(analysis, PairOptions(), yardsticks=nothing)
    table, ablation = pairs.frame(), pairs.ablation()
    np.testing.assert_allclose(ablation["elm_beta"], ablation["interaction_residual_beta"], rtol=1e-6)
    for trait, ratio in zip(("trait_1", "trait_2"), ratios(pairs)["product_lasso"], strict=True):
        mine = table[table["trait"] == trait]
        squares = (mine["elm_standard_error"] ** 2).mean() / (
            mine["interaction_residual_standard_error"] ** 2
        ).mean()
        assert ratio == pytest.approx(squares, rel=1e-6)
        assert ratio < 1.01


def test_generalised_least_squares_without_relatedness_is_least_squares(analysis):
    networks = analysis.networks
    plain = PairAnalysis(analysis, PairOptions()).trait_frame(0)
    contigs = networks.cohort["variant_contig"].values
    structure = Structure(
        networks.store,
        networks.discovery,
        contigs,
        networks.study.traits,
        blocks=networks.blocks,
        h=np.zeros(2),
    )
    related = Analysis(networks)
    vars(related)["structure"] = structure
    vars(related)["marginal"] = replace(analysis.marginal, structured=np.array([True, False]))
    found = PairAnalysis(related, PairOptions()).trait_frame(0)
    # clustered errors stay, of least squares; the conditional test would not hold in a structured cohort
    np.testing.assert_allclose(found["elm_robust_p_value"], plain["elm_robust_p_value"])
    assert found["conditional_p_value"].isna().all()
    # A missing call counts as the mean here, and is left out there.
    z = [(frame["elm_beta"] / frame["elm_standard_error"]).to_numpy() for frame in (found, plain)]
    z_heldout = [(f["heldout_elm_beta"] / f["heldout_elm_standard_error"]).to_numpy() for f in (found, plain)]
    for a, b in (z, z_heldout):
        assert np.corrcoef(a, b)[0, 1] > 0.98
        assert np.abs(a - b).max() < 1.0
    assert found["elm_rank"].notna().all()


def test_the_classical_column_is_the_classical_test(pairs):
    cohort, rows = pairs.networks.cohort, pairs.networks.discovery
    raw = cohort["call_dosage"].values[:, rows].T.astype(float)
    raw[raw < 0] = np.nan
    y = cohort["sample_phenotype"].values[rows]
    expected = interaction_pairs(raw[:, [1]], raw[:, [6]], y)
    row = pairs.listed(np.array([1]), np.array([6])).iloc[0]
    assert row["interaction_beta"] == pytest.approx(expected.beta[0, 0])
    assert row["interaction_p_value"] == pytest.approx(expected.p_value[0, 0])
