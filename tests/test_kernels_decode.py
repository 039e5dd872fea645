from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed_cohorts import random_dosage
from reference.decode import centred_slowly, pack_slowly, unpack_slowly

from gp_elm.kernels import decode

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(0, 1000))


def codes_of(dosage: np.ndarray) -> np.ndarray:
    return np.where(dosage == -1, decode.MISSING_CODE, dosage).astype(np.uint8)


@given(SHAPES)
def test_pack_agrees_with_one_call_at_a_time(shape: tuple[int, int, int]) -> None:
    dosage = random_dosage(shape[0], shape[1], seed=shape[2], missing=0.2)
    assert np.array_equal(decode.pack(codes_of(dosage)), pack_slowly(dosage))


@given(SHAPES)
def test_unpack_agrees_with_one_call_at_a_time(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(shape[2])
    packed = pack_slowly(random_dosage(shape[0], shape[1], seed=shape[2], missing=0.2))
    columns = rng.integers(0, shape[1], size=rng.integers(0, 30))
    table = rng.normal(size=(len(columns), 4)).astype(np.float32)
    assert np.array_equal(decode.unpack(packed, columns, table), unpack_slowly(packed, columns, table))
    table = rng.normal(size=(shape[1], 4)).astype(np.float32)
    everything = unpack_slowly(packed, np.arange(shape[1]), table)
    assert np.array_equal(decode.unpack(packed, None, table), everything)


def test_unpack_beyond_one_tile_of_columns() -> None:
    dosage = random_dosage(5, 2601, seed=1)
    center, scale = np.random.default_rng(2).normal(size=(2, 2601))
    decoded = decode.unpack(decode.pack(codes_of(dosage)), None, decode.decode_table(center, scale))
    assert np.allclose(decoded, centred_slowly(dosage, center) * scale, atol=1e-6)
    columns = np.arange(2600, -1, -1)
    table = decode.decode_table(center[columns], scale[columns])
    assert np.array_equal(decode.unpack(decode.pack(codes_of(dosage)), columns, table), decoded[:, columns])


def test_unpack_writes_where_it_is_told() -> None:
    dosage = random_dosage(4, 10, seed=3, missing=0)
    out = np.full((4, 10), -9, dtype=np.float32)
    assert (
        decode.unpack(decode.pack(codes_of(dosage)), None, decode.decode_table(np.zeros(10)), out=out) is out
    )
    assert np.array_equal(out, dosage)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unpack_raw_gives_dosages_with_missing_as_zero(dtype: type[np.floating]) -> None:
    dosage = random_dosage(7, 13, seed=4, missing=0.3)
    raw = decode.unpack_raw(decode.pack(codes_of(dosage)), dtype=dtype)
    assert raw.dtype == dtype
    assert raw.shape == (7, 16)
    assert np.array_equal(raw[:, :13], np.maximum(dosage, 0))
    assert not raw[:, 13:].any()


def test_unpack_refuses_columns_that_are_not_there() -> None:
    packed = np.zeros((2, 3), dtype=np.uint8)
    with pytest.raises(IndexError, match="columns up to 14 asked of rows that hold 12"):
        decode.unpack(packed, np.array([13]), np.zeros((1, 4), dtype=np.float32))
    with pytest.raises(IndexError, match="columns up to 1 asked"):
        decode.unpack(packed, np.array([-1, 0]), np.zeros((2, 4), dtype=np.float32))
    with pytest.raises(IndexError, match="1 columns with a table of 2 rows"):
        decode.unpack(packed, np.array([1]), np.zeros((2, 4), dtype=np.float32))


def test_count_codes() -> None:
    dosage = random_dosage(50, 11, seed=5, missing=0.2)
    counts = decode.count_codes(decode.pack(codes_of(dosage)), 11)
    for code, value in enumerate([0, 1, 2, -1]):
        assert np.array_equal(counts[:, code], (dosage == value).sum(axis=0))


@given(SHAPES, st.integers(0, 5))
def test_pack_transposed_in_two_blocks(shape: tuple[int, int, int], cut: int) -> None:
    dosage = random_dosage(shape[0], shape[1], seed=shape[2], missing=0.2)
    cut = min(cut, shape[1])
    out = np.zeros((shape[0], decode.row_bytes(shape[1])), dtype=np.uint8)
    variants = np.ascontiguousarray(dosage.T)
    assert decode.pack_transposed(variants[:cut], out, 0) == -1
    assert decode.pack_transposed(variants[cut:], out, cut) == -1
    assert np.array_equal(out, pack_slowly(dosage))


@pytest.mark.parametrize("wrong", [3, -2])
def test_pack_transposed_names_the_variant_with_another_value(wrong: int) -> None:
    dosage = np.zeros((6, 3), dtype=np.int8)
    dosage[4, 1] = wrong
    assert decode.pack_transposed(dosage, np.zeros((3, 2), dtype=np.uint8), 0) == 4
