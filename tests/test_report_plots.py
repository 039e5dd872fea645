from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from fake_results import history_table, pairs_table, predictions_table, variance_table, variants_table
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection

from gp_elm.errors import InputError, OptionError
from gp_elm.report import plots


@pytest.fixture(autouse=True)
def _close() -> object:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def variants() -> pd.DataFrame:
    return variants_table(800, ["height"])


def drawn(ax: Axes) -> np.ndarray:
    """Points of all scatters."""
    return np.concatenate([c.get_offsets() for c in ax.collections if isinstance(c, PathCollection)])


def test_manhattan_mirrors_gwas_and_elm(variants: pd.DataFrame) -> None:
    ax = plots.manhattan(variants)
    assert drawn(ax)[:, 1].max() == pytest.approx(np.nanmax(variants["gwas_neg_log_10_p_value"]))
    assert -drawn(ax)[:, 1].min() == pytest.approx(np.nanmax(variants["elm_neg_log_10_p_value"]))
    assert ax.get_xlabel() == "chromosome"
    assert [t.get_text() for t in ax.get_xticklabels()][0] == "1"
    assert {t.get_text() for t in ax.texts} == {"GWAS", "ELM"}


def test_manhattan_joins_two_results_by_identity(variants: pd.DataFrame) -> None:
    names = ("beta", "standard_error", "p_value", "neg_log_10_p_value", "q_value")
    identity = [c for c in variants.columns if not c.startswith(("elm_", "gwas_"))]
    elm = variants[identity + [f"elm_{n}" for n in names]].rename(columns={f"elm_{n}": n for n in names})
    gwas = variants[identity + [f"gwas_{n}" for n in names]].rename(columns={f"gwas_{n}": n for n in names})
    apart = plots.effects(elm, gwas.iloc[::-1])
    together = plots.effects(variants)
    np.testing.assert_allclose(np.sort(drawn(apart), axis=0), np.sort(drawn(together), axis=0))


def test_unplaced_variants_are_drawn() -> None:
    ax = plots.manhattan(variants_table(300, ["t"], unplaced=True))
    assert np.ptp(drawn(ax)[:, 0]) > 250


def test_plots_need_one_trait() -> None:
    both = variants_table(300, ["height", "weight"])
    with pytest.raises(OptionError, match=r"2 traits \(height, weight\); choose one"):
        plots.qq(both)
    with pytest.raises(OptionError, match="no trait 'age'"):
        plots.qq(both, trait="age")
    assert plots.qq(both, trait="weight").get_legend() is not None


def test_qq_states_lambda(variants: pd.DataFrame) -> None:
    labels = [t.get_text() for t in plots.qq(variants).get_legend().get_texts()]
    assert any(label.startswith("GWAS, $\\lambda_{GC}$ = 1.") for label in labels)


def test_pairs_by_verdict() -> None:
    labels = [t.get_text() for t in plots.pairs(pairs_table(["t"])).get_legend().get_texts()]
    assert "5 % FDR, replicated (6)" in labels
    assert "5 % FDR, not replicated (2)" in labels


def test_prediction_has_a_row_a_trait() -> None:
    ax = plots.prediction(variance_table(["a", "b", "c"]))
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b", "c"]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "network", "ridge", "lasso", "GBLUP + K∘K", "heredity kernel", "stack",
    ]  # fmt: skip


def test_many_traits_share_a_line_and_keep_their_height() -> None:
    ax = plots.prediction(variance_table([f"t{k}" for k in range(19)]))
    heights = drawn(ax)[:, 1]
    assert set(heights) == set(range(19))
    assert len(drawn(ax)) == 19 * 6 and ax.figure.get_figheight() < 8


def test_variance_components_are_shares_of_the_phenotypic_variance() -> None:
    ax = plots.variance_components(variance_table(["a"]))
    assert drawn(ax)[:, 0].max() < 1
    assert "phenotypic" in ax.get_xlabel()


def test_calibration_of_samples_and_of_slopes() -> None:
    samples = plots.calibration(predictions_table(["a"]))
    assert samples.get_ylabel() == "observed, less covariates"
    slopes = plots.calibration(variance_table(["a"]))
    np.testing.assert_allclose(np.sort(drawn(slopes)[:, 0]), [0.95, 1.01])


def test_training_and_sensitivity(variants: pd.DataFrame) -> None:
    assert len(plots.training(history_table()).lines) == 10
    assert len(drawn(plots.sensitivity(variants))) > 100
    rng = np.random.default_rng(1)
    dosage = np.array([0, 1, 2, -1] * 25)
    ax = plots.sensitivity_by_genotype(rng.standard_normal(100), dosage, locus="a", partner="b")
    assert len(drawn(ax)) == 75
    assert "at b" in ax.get_xlabel()


def test_empty_and_missing() -> None:
    empty = pairs_table(["t"]).iloc[:0]
    assert isinstance(plots.pairs(empty), Axes)
    with pytest.raises(InputError, match="no column gwas_beta"):
        plots.effects(variants_table(300, ["t"]).drop(columns="gwas_beta"))
    with pytest.raises(InputError, match="a list has no table"):
        plots.manhattan([1, 2])


def test_anndata_is_understood(variants: pd.DataFrame) -> None:
    import xarray as xr

    from gp_elm.io.anndata import to_anndata

    rows = variants.iloc[:50]
    cohort = xr.Dataset(
        {
            "call_dosage": (("variants", "samples"), np.zeros((50, 3), np.int8)),
            "variant_contig": ("variants", np.zeros(50, np.int64)),
            "contig_id": ("contigs", np.array(["1"])),
            "variant_position": ("variants", rows["base_pair_location"].to_numpy()),
            "variant_id": ("variants", rows["variant_id"].to_numpy(str)),
            "variant_effect_allele": ("variants", np.full(50, "A")),
            "variant_other_allele": ("variants", np.full(50, "G")),
            "variant_ploidy": ("variants", np.full(50, 2)),
            "sample_id": ("samples", np.array(["a", "b", "c"])),
        }
    )
    adata = to_anndata(cohort, variants=rows.assign(chromosome="1"))
    assert len(drawn(plots.effects(adata)))
    with pytest.raises(InputError, match="holds no pairs table"):
        plots.pairs(adata)
