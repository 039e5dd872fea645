"""Wide cohorts: which variants the networks see, and that everything after them agrees."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import gp_elm as ge
from gp_elm.elm import reading
from gp_elm.elm.seen import seen_variants
from gp_elm.errors import OptionError
from gp_elm.io.blocks import select
from gp_elm.models.options import TrainingOptions
from gp_elm.simulate import simulate
from gp_elm.streaming.store import write_store

N, M = 160, 60


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    base = tmp_path_factory.mktemp("seen") / "c"
    simulate(base, n_samples=N, n_variants=M, block_variants=6, n_traits=1, n_additive=3, seed=4)
    return ge.open_cohort(bfile=base, pheno=f"{base}.pheno.tsv")


def test_all_are_seen_where_they_are_few(cohort: xr.Dataset) -> None:
    for limit in (0, M, 50_000):
        seen = seen_variants(cohort, np.arange(N), max_variants=limit)
        assert seen.kept.tolist() == list(range(M)) and not seen.left_out and seen.facts() == {}


def test_traits_and_other_samples_do_not_matter(cohort: xr.Dataset, caplog: pytest.LogCaptureFixture) -> None:
    discovery = np.arange(0, N, 2)
    with caplog.at_level(logging.INFO):
        seen = seen_variants(cohort, discovery, max_variants=20)
    assert 0 < seen.kept.size <= 20 and seen.left_out == M - seen.kept.size
    assert f"the networks see {seen.kept.size} of 60 variants (of two variants with r2 above" in caplog.text
    alone = select(cohort, samples=discovery).assign(
        sample_phenotype=(("samples", "traits"), np.zeros((80, 1)))
    )
    again = seen_variants(alone, np.arange(80), max_variants=20)
    assert again.kept.tolist() == seen.kept.tolist() and again.facts() == seen.facts()


def test_a_choice_is_found_again_for_the_same_samples_and_limit(cohort: xr.Dataset, tmp_path: Path) -> None:
    def choose(samples: np.ndarray, limit: int) -> list[int]:
        return seen_variants(cohort, samples, max_variants=limit, directory=tmp_path).kept.tolist()

    first = choose(np.arange(N), 20)
    kept = tmp_path / "seen.json"
    stamp = kept.stat().st_mtime_ns
    assert choose(np.arange(N), 20) == first and kept.stat().st_mtime_ns == stamp
    assert len(choose(np.arange(N), 5)) == 5
    choose(np.arange(100), 5)
    assert choose(np.arange(N), 20) == first
    kept.write_text('{"key": ')
    assert choose(np.arange(N), 20) == first


def test_a_list_is_taken_as_it_is(
    cohort: xr.Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids = cohort["variant_id"].values[[7, 3, 40]]
    path = tmp_path / "list.txt"
    path.write_text("\n".join([*ids, "nobody"]) + "\n")
    seen = seen_variants(cohort, np.arange(N), max_variants=2, variants_from=path)
    assert seen.kept.tolist() == [3, 7, 40]
    assert seen.facts() == {"n_variants_network": 3, "variants_network": f"those of {path}"}
    assert f"--variants-from {path}: 1 of 4 ids are not in the cohort" in caplog.text


def test_what_cannot_be_chosen(cohort: xr.Dataset) -> None:
    with pytest.raises(OptionError, match="--max-variants -1 is negative; give 0 for no limit"):
        seen_variants(cohort, np.arange(N), max_variants=-1)
    with pytest.raises(OptionError, match="none of 1 ids is in the cohort; the list has rs1, the cohort "):
        seen_variants(cohort, np.arange(N), variants_from=["rs1"])


def test_networks_of_a_wide_cohort_are_those_of_what_they_see(cohort: xr.Dataset, tmp_path: Path) -> None:
    options = TrainingOptions(epochs=2, members=1, batch=16, device="cpu")
    given = {"n_folds": 2, "options": options, "max_variants": 20, "progress": False}
    wide = ge.cross_fit(cohort, directory=tmp_path / "wide", **given)
    kept = wide.seen.kept
    assert wide.cohort.sizes["variants"] == kept.size == wide.store.n_variants == wide.blocks.size
    narrow = ge.cross_fit(select(cohort, variants=kept), directory=tmp_path / "narrow", **given)
    assert not narrow.seen.left_out
    np.testing.assert_array_equal(wide.fitted.out_of_fold["network"], narrow.fitted.out_of_fold["network"])
    effects = ge.elm_effects(wide, cohort)
    assert effects.dataset["variant_id"].values.tolist() == cohort["variant_id"].values[kept].tolist()
    with pytest.raises(ValueError, match="variant_id differs"):
        ge.elm_effects(wide, select(cohort, variants=np.arange(kept.size)))


def test_both_orders_give_the_same_genotypes(
    cohort: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_store(cohort, tmp_path / "store")
    rows, columns = np.array([5, 3, 90, 91, 92]), np.array([0, 17, 59])
    rows = np.concatenate([rows, np.arange(100, 160)])
    center = store.moments(rows)[1][columns]
    wanted = store.block(rows, columns=columns, center=center)
    both = reading.BothOrders(store, cohort)
    np.testing.assert_array_equal(both.block(rows, columns=columns, center=center), wanted)
    monkeypatch.setattr(reading, "SMALL_BYTES", 0)
    monkeypatch.setattr(type(store), "block", None)
    np.testing.assert_array_equal(both.block(rows, columns=columns, center=center), wanted)
