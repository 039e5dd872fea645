from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed_cohorts import cohort_of, random_dosage, store_of
from reference.decode import centred_slowly, pack_slowly

from gp_elm.errors import InputError, OutputError
from gp_elm.runtime.progress import Progress
from gp_elm.streaming.store import cohort_identity, ensure_store, open_store, write_store


@given(st.integers(1, 12), st.integers(1, 60), st.integers(1, 30), st.integers(1, 200))
def test_the_strips_and_chunks_of_the_writing_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, samples: int, variants: int, chunk: int, memory: int
) -> None:
    dosage = random_dosage(samples, variants, seed=variants, missing=0.1)
    path = tmp_path_factory.mktemp("store") / "s"
    store = write_store(cohort_of(dosage, chunk=chunk), path, memory=memory)
    assert np.array_equal(store.packed(np.arange(samples)), pack_slowly(dosage))


def test_what_the_store_says_of_itself(tmp_path: Path) -> None:
    dosage = random_dosage(6, 9, seed=1)
    progress = Progress("writing", 9, enabled=False)
    write_store(cohort_of(dosage), tmp_path / "deep" / "s", fingerprint={"bed": [1, "x"]}, progress=progress)
    store = open_store(tmp_path / "deep" / "s")
    assert (store.n_samples, store.n_variants, store.row_bytes) == (6, 9, 3)
    assert list(store.sample_id) == [f"s{i}" for i in range(6)]
    assert store.fingerprint == {"bed": [1, "x"]}
    assert progress.done == 9
    assert not store._packed.flags.writeable
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["s"]


def test_blocks_in_any_order_of_rows_and_columns(tmp_path: Path) -> None:
    dosage = random_dosage(20, 31, seed=2)
    store = store_of(dosage, tmp_path)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(20)[:8], rng.permutation(31)[:5]
    center, scale = rng.normal(size=(2, 31))
    expected = centred_slowly(dosage, center) * scale
    assert np.allclose(store.block(rows, center=center, scale=scale), expected[rows], atol=1e-6)
    got = store.block(rows, columns=columns, center=center[columns], scale=scale[columns])
    assert np.allclose(got, expected[np.ix_(rows, columns)], atol=1e-6)
    assert np.array_equal(store.block(np.arange(3, 9)), np.maximum(dosage[3:9], 0))
    assert store.block([]).shape == (0, 31)
    with pytest.raises(InputError, match="5 centres for 31 variants"):
        store.block(rows, center=np.zeros(5))


def test_moments(tmp_path: Path) -> None:
    dosage = random_dosage(40, 12, seed=3, missing=0.2)
    dosage[:, 4] = -1
    dosage[:, 5] = 1
    rows = np.arange(0, 40, 3)
    n_called, mean, sd = store_of(dosage, tmp_path).moments(rows)
    for v in range(12):
        called = dosage[rows, v][dosage[rows, v] != -1].astype(float)
        assert n_called[v] == len(called)
        assert mean[v] == pytest.approx(called.mean() if len(called) else 0, abs=1e-15)
        assert sd[v] == pytest.approx(called.std() if len(called) else 0, abs=1e-15)
    assert sd[4] == sd[5] == 0


def test_a_store_is_reused_only_for_its_own_source_and_cohort(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="gp_elm")
    dosage = random_dosage(10, 8, seed=4)
    cohort, path = cohort_of(dosage), tmp_path / "s"
    ensure_store(cohort, path, fingerprint={"size": 1})
    made = (path / "genotypes.bin").stat().st_mtime_ns
    ensure_store(cohort, path, fingerprint={"size": 1})
    assert (path / "genotypes.bin").stat().st_mtime_ns == made
    assert "reusing the genotype store" in caplog.text
    ensure_store(cohort, path, fingerprint={"size": 2})
    assert (path / "genotypes.bin").stat().st_mtime_ns > made
    assert "have changed" in caplog.text
    fewer = cohort.isel(variants=slice(0, 5))
    assert ensure_store(fewer, path, fingerprint={"size": 2}).n_variants == 5
    (path / "genotypes.bin").write_bytes(b"\0")
    assert np.array_equal(
        ensure_store(fewer, path, fingerprint={"size": 2}).block(range(10)), np.maximum(dosage, 0)[:, :5]
    )


def test_identity_sees_order_alleles_and_ploidy() -> None:
    cohort = cohort_of(random_dosage(5, 6, seed=5))
    others = [
        cohort.isel(samples=slice(None, None, -1)),
        cohort.isel(variants=slice(None, None, -1)),
        cohort.assign(variant_effect_allele=("variants", np.full(6, "C"))),
        cohort.assign(variant_ploidy=("variants", np.full(6, 1))),
    ]
    assert len({cohort_identity(c) for c in [cohort, *others]}) == 5


def test_bad_input_is_refused_and_nothing_is_left_half_written(tmp_path: Path) -> None:
    dosage = random_dosage(6, 9, seed=6, missing=0)
    dosage[2, 7] = 4
    path = tmp_path / "s"
    with pytest.raises(InputError, match=r"variant v7: a dosage is outside 0, 1, 2 and -1"):
        write_store(cohort_of(dosage), path)
    cohort = cohort_of(dosage)
    with pytest.raises(InputError, match="imputed dosages"):
        write_store(cohort.assign(call_dosage=cohort["call_dosage"].astype(np.float32)), path)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_no_store(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a genotype store"):
        open_store(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists and is not a genotype store"):
        write_store(cohort_of(random_dosage(3, 3, seed=7)), tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    store = store_of(random_dosage(3, 9, seed=7), tmp_path)
    (store.path / "genotypes.bin").write_bytes(b"\0" * 5)
    with pytest.raises(InputError, match="5 bytes, expected 9"):
        open_store(store.path)
