"""BED bytes to dosages: what bed-reader gives for the same bytes, for any number and choice of samples."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from bed_reader import open_bed
from hypothesis import given
from hypothesis import strategies as st

from gp_elm.kernels.bed import decode_bed

MISSING_BED_READER = -127


def by_bed_reader(raw: np.ndarray, n_samples: int, samples: np.ndarray | None = None) -> np.ndarray:
    """Dosages (variants, samples) of BED rows, read by bed-reader."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.bed"
        path.write_bytes(b"\x6c\x1b\x01" + raw.tobytes())
        with open_bed(path, iid_count=n_samples, sid_count=len(raw), num_threads=1) as bed:
            values = bed.read(index=np.s_[:, :], dtype="int8").T
    values = np.where(values == MISSING_BED_READER, -1, values)
    return values if samples is None else values[:, samples]


def random_rows(n_variants: int, n_samples: int, seed: int) -> np.ndarray:
    # any bytes are a BED, and the bits of the padding must not matter
    return np.random.default_rng(seed).integers(0, 256, (n_variants, (n_samples + 3) // 4), dtype=np.uint8)


@given(st.integers(1, 9), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_any_shape_is_what_bed_reader_gives(n_variants: int, n_samples: int, seed: int) -> None:
    raw = random_rows(n_variants, n_samples, seed)
    found = decode_bed(raw, n_samples)
    assert found.dtype == np.int8 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, by_bed_reader(raw, n_samples))


@given(st.integers(1, 70), st.data())
def test_any_choice_of_samples(n_samples: int, data: st.DataObject) -> None:
    raw = random_rows(5, n_samples, n_samples)
    samples = np.array(data.draw(st.lists(st.integers(0, n_samples - 1))), dtype=np.int64)
    found = decode_bed(raw, n_samples, samples)
    assert found.dtype == np.int8 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, by_bed_reader(raw, n_samples, samples))


@pytest.mark.parametrize("n_samples", [4095, 4096, 4097, 8192, 8195])
def test_rows_longer_than_a_piece(n_samples: int) -> None:
    raw = random_rows(3, n_samples, 1)
    expected = by_bed_reader(raw, n_samples)
    np.testing.assert_array_equal(decode_bed(raw, n_samples), expected)
    samples = np.random.default_rng(2).permutation(n_samples)[: n_samples // 2]
    np.testing.assert_array_equal(decode_bed(raw, n_samples, samples), expected[:, samples])


def test_every_byte() -> None:
    calls = {0b00: 2, 0b01: -1, 0b10: 1, 0b11: 0}
    raw = np.arange(256, dtype=np.uint8)[:, None]
    expected = [[calls[byte >> place & 3] for place in (0, 2, 4, 6)] for byte in range(256)]
    np.testing.assert_array_equal(decode_bed(raw, 4), expected)


def test_nothing_is_nothing() -> None:
    assert decode_bed(np.empty((0, 2), np.uint8), 7).shape == (0, 7)
    assert decode_bed(np.empty((3, 0), np.uint8), 0).shape == (3, 0)
    assert decode_bed(random_rows(3, 5, 1), 5, np.empty(0, np.int64)).shape == (3, 0)


@pytest.mark.parametrize("samples", [[5], [-1], [0, 6]])
def test_a_sample_outside_is_refused(samples: list[int]) -> None:
    with pytest.raises(IndexError, match=r"a sample outside 0 to 4 was asked for"):
        decode_bed(random_rows(3, 5, 1), 5, np.array(samples))


def test_rows_that_are_too_short_are_refused() -> None:
    with pytest.raises(IndexError, match=r"9 samples asked of rows that hold 8"):
        decode_bed(random_rows(3, 8, 1), 9)
