from __future__ import annotations

import json
import logging
import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed_cohorts import cohort_of, random_dosage, store_of
from reference.decode import centred_slowly, pack_slowly
from reference.plink_files import read_bed, write_plink

from gp_elm.errors import InputError, OutputError
from gp_elm.io.blocks import Recoding, attach, select, source_blocks
from gp_elm.io.plink import read_plink
from gp_elm.kernels.codec import DOSAGES
from gp_elm.runtime.progress import Progress
from gp_elm.streaming import opened, writing
from gp_elm.streaming.store import cohort_identity, ensure_store, open_store, write_store


@given(st.integers(1, 12), st.integers(1, 60), st.integers(1, 30), st.integers(1, 200))
def test_the_strips_and_chunks_of_the_writing_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, samples: int, variants: int, chunk: int, memory: int
) -> None:
    dosage = random_dosage(samples, variants, seed=variants, missing=0.1)
    path = tmp_path_factory.mktemp("store") / "s"
    store = write_store(cohort_of(dosage, chunk=chunk), path, memory=memory)
    assert np.array_equal(store.packed(np.arange(samples)), pack_slowly(dosage))


@given(st.integers(1, 12), st.integers(1, 60), st.integers(4, 30), st.integers(1, 200), st.booleans())
def test_a_bed_file_goes_to_its_place_undecoded(
    tmp_path_factory: pytest.TempPathFactory, samples: int, variants: int, block: int, memory: int, some: bool
) -> None:
    folder = tmp_path_factory.mktemp("bed")
    dosage = random_dosage(samples, variants, seed=variants, missing=0.1)
    cohort = read_plink(write_plink(folder / "c", dosage.T))
    blocks = source_blocks(cohort)
    assert blocks is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "_BLOCK_BYTES", block)
        plain = write_store(cohort, folder / "s", memory=memory)
        assert np.array_equal(plain.packed(range(samples)), pack_slowly(dosage))
        if some:
            # the last variants are those of a haploid chromosome, in the middle of a block; the first is left out
            kind = (np.arange(variants) >= variants // 2).astype(np.uint8)
            table = np.array([[[0, 1, 2, -1]] * 3, [[0, -1, 1, -1]] * 3], dtype=np.int8)
            recoding = Recoding(kind, np.zeros(samples, np.uint8), table, np.ones((2, 3), np.float32))
            cohort = select(
                attach(cohort, replace(blocks, recoding=recoding)), variants=np.arange(1, variants)
            )
            dosage = np.where(kind[None, :] == 1, table[1, 0][dosage], dosage)[:, 1:]
            store = write_store(cohort, folder / "t", memory=memory)
            assert np.array_equal(store.packed(range(samples)), pack_slowly(dosage))
            called = dosage >= 0
            expected = [(called * dosage.astype(int) ** k).sum(axis=0) for k in range(3)]
            assert np.array_equal(store.sums, expected)


def test_plink_reads_the_rows_as_a_sample_major_bed(tmp_path: Path) -> None:
    dosage = random_dosage(11, 6, seed=3, missing=0.2)
    cohort = read_plink(write_plink(tmp_path / "c", dosage.T, chromosomes=list("112XY2")))
    path = write_store(cohort, tmp_path / "s").path
    assert (path / "genotypes.bed").read_bytes()[:3] == b"\x6c\x1b\x00"
    fam = [line.split() for line in (path / "genotypes.fam").read_text().splitlines()]
    assert [line[1] for line in fam] == sorted(f"s{i}" for i in range(11))
    order = [int(line[1][1:]) for line in fam]
    assert [int(line[4]) for line in fam] == [i % 3 for i in order]
    assert np.array_equal(read_bed(path / "genotypes.bed", 11, 6), dosage[order])
    assert (path / "genotypes.bim").read_text() == (tmp_path / "c.bim").read_text()


def test_the_page_of_the_format_reads_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dosage = random_dosage(120, 9, seed=3, missing=0.2)
    store_of(dosage, tmp_path)
    page = Path(__file__).parents[1] / "docs" / "reference" / "store.md"
    snippet = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(snippet, found)
    assert np.array_equal(found["dosage"], dosage[[int(name[1:]) for name in found["ids"][:100]]])


@given(st.integers(1, 12), st.integers(1, 40), st.integers(1, 300))
def test_imputed_dosages_are_kept_to_half_a_step(
    tmp_path_factory: pytest.TempPathFactory, samples: int, variants: int, memory: int
) -> None:
    rng = np.random.default_rng(variants)
    dosage = rng.choice([0, 1, 2, np.nan], size=(samples, variants)).astype(np.float32)
    fractional = rng.random(dosage.shape) < 0.6
    dosage[fractional] = rng.uniform(0, 2, fractional.sum())
    cohort = cohort_of(np.zeros(dosage.shape, np.int8))
    cohort["call_dosage"] = (("variants", "samples"), dosage.T)
    store = write_store(cohort, tmp_path_factory.mktemp("d") / "s", memory=memory)
    assert (store.codec, store.row_bytes) == (DOSAGES, variants)
    center, scale = rng.normal(size=(2, variants))
    missing = np.isnan(dosage)
    rows, columns = rng.permutation(samples), rng.permutation(variants)[: max(variants // 2, 1)]
    kept = np.where(missing, 0, np.floor(dosage * 127 + 0.5) / 127)
    assert np.abs(np.where(missing, 0, kept - dosage)).max() <= 1 / 254 + 1e-6
    expected = np.where(missing, 0, (kept - center) * scale)
    assert np.allclose(store.block(rows, center=center, scale=scale), expected[rows], atol=2e-6)
    got = store.block(rows, columns=columns, center=center[columns], scale=scale[columns])
    assert np.allclose(got, expected[np.ix_(rows, columns)], atol=2e-6)
    hard = (kept == np.round(kept)) & ~missing
    assert np.array_equal(store.block(range(samples))[hard], kept[hard])
    for some in (np.arange(samples), np.arange(samples)[: samples // 2], np.zeros(3, int)):
        n_called, mean, sd = store.moments(some)
        known = ~missing[some]
        divisor = np.maximum(known.sum(axis=0), 1)
        assert np.array_equal(n_called, known.sum(axis=0))
        assert np.allclose(mean, kept[some].sum(axis=0) / divisor, atol=1e-12)
        spread = (known * (kept[some] - mean) ** 2).sum(axis=0) / divisor
        assert np.allclose(sd, np.sqrt(spread), atol=1e-7)


def test_values_between_the_copies_lie_between_theirs(tmp_path: Path) -> None:
    dosage = np.array([[0, 0.5, 1, 1.5, 2, np.nan]], dtype=np.float32)
    cohort = cohort_of(np.zeros((1, 6), np.int8))
    cohort["call_dosage"] = (("variants", "samples"), dosage.T)
    store = write_store(cohort, tmp_path / "s")
    heterozygous = np.tile(np.float32([0, 1, 0, -3]), (6, 1))
    assert np.allclose(store.unpack([0], None, heterozygous), [[0, 0.5, 1, 0.5, 0, -3]], atol=1 / 254)


def test_what_the_store_says_of_itself(tmp_path: Path) -> None:
    dosage = random_dosage(6, 9, seed=1)
    progress = Progress("writing", 9, enabled=False)
    write_store(cohort_of(dosage), tmp_path / "deep" / "s", fingerprint={"bed": [1, "x"]}, progress=progress)
    store = open_store(tmp_path / "deep" / "s")
    assert (store.n_samples, store.n_variants, store.row_bytes) == (6, 9, 3)
    assert list(store.sample_id) == [f"s{i}" for i in range(6)]
    assert store.fingerprint == {"bed": [1, "x"]}
    assert progress.done == 9
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


def test_moments_of_most_samples_need_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dosage = random_dosage(40, 12, seed=3, missing=0.2)
    store = open_store(store_of(dosage, tmp_path).path)
    read: list[int] = []
    packed = opened.Store.packed
    monkeypatch.setattr(
        opened.Store, "packed", lambda self, rows: (read.append(len(rows)), packed(self, rows))[1]
    )
    rng = np.random.default_rng(1)
    for count in (40, 31, 5):
        rows = rng.permutation(40)[:count]
        called = dosage[rows] >= 0
        for repeated in (rows, np.r_[rows, rows[:1]]):
            got = store.moments(repeated)
            called = dosage[repeated] >= 0
            mean = np.where(called, dosage[repeated], 0).sum(axis=0) / called.sum(axis=0)
            assert np.array_equal(got[0], called.sum(axis=0))
            assert np.allclose(got[1], mean, rtol=1e-15)
    assert read == [41, 9, 32, 5, 6]


def test_a_store_is_reused_only_for_its_own_source_and_cohort(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="gp_elm")
    dosage = random_dosage(10, 8, seed=4)
    cohort, path = cohort_of(dosage), tmp_path / "s"
    ensure_store(cohort, path, fingerprint={"size": 1})
    made = (path / "genotypes.bed").stat().st_mtime_ns
    ensure_store(cohort, path, fingerprint={"size": 1})
    assert (path / "genotypes.bed").stat().st_mtime_ns == made
    assert "reusing the genotype store" in caplog.text
    ensure_store(cohort, path, fingerprint={"size": 2})
    assert (path / "genotypes.bed").stat().st_mtime_ns > made
    assert "have changed" in caplog.text
    described = json.loads((path / "store.json").read_text())
    (path / "store.json").write_text(json.dumps({**described, "version": 1}))
    ensure_store(cohort, path, fingerprint={"size": 2})
    assert "store of another version (1)" in caplog.text
    fewer = cohort.isel(variants=slice(0, 5))
    assert ensure_store(fewer, path, fingerprint={"size": 2}).n_variants == 5
    (path / "genotypes.bed").write_bytes(b"\0")
    assert np.array_equal(
        ensure_store(fewer, path, fingerprint={"size": 2}).block(range(10)), np.maximum(dosage, 0)[:, :5]
    )


def test_a_changed_file_is_read_again_though_its_names_are_the_same(tmp_path: Path) -> None:
    dosage = random_dosage(6, 9, seed=1, missing=0)
    prefix = write_plink(tmp_path / "c", dosage.T)
    store = ensure_store(read_plink(prefix), tmp_path / "s")
    assert sorted(store.fingerprint) == ["source_bed", "source_bim", "source_fam"]
    write_plink(prefix, 2 - dosage.T)
    assert np.array_equal(ensure_store(read_plink(prefix), tmp_path / "s").block(range(6)), 2 - dosage)


def test_a_copy_for_another_process_opens_the_store_again(tmp_path: Path) -> None:
    store = store_of(random_dosage(6, 9, seed=1), tmp_path)
    other = pickle.loads(pickle.dumps(store))
    assert np.array_equal(other.packed([4, 1]), store.packed([4, 1]))
    with pytest.raises(IndexError, match="rows -1 to 2 asked of a store of 6"):
        store.packed([2, -1])


def test_a_full_disk_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(OutputError, match=r"the genotype store takes 0\.0 GB and 0\.0 GB are free"):
        write_store(cohort_of(random_dosage(6, 9, seed=1)), tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


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
    with pytest.raises(InputError, match=r"variant v7: a dosage is outside 0 to 2 and NaN"):
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
    (store.path / "genotypes.bed").write_bytes(b"\0" * 5)
    with pytest.raises(InputError, match="5 bytes, expected 12"):
        open_store(store.path)
