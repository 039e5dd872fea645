from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed_cohorts import random_dosage
from reference.decode import centred_slowly, pack_slowly, unpack_slowly

from gp_elm.kernels import call_sums, decode
from gp_elm.kernels.bed_transpose import transpose_bed

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(0, 1000))


def codes_of(dosage: np.ndarray) -> np.ndarray:
    return decode.CODE_OF_COPIES[dosage]


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


def test_unpack_refuses_columns_that_are_not_there() -> None:
    packed = np.zeros((2, 3), dtype=np.uint8)
    with pytest.raises(IndexError, match="columns up to 14 asked of rows that hold 12"):
        decode.unpack(packed, np.array([13]), np.zeros((1, 4), dtype=np.float32))
    with pytest.raises(IndexError, match="columns up to 1 asked"):
        decode.unpack(packed, np.array([-1, 0]), np.zeros((2, 4), dtype=np.float32))
    with pytest.raises(IndexError, match="1 columns with a table of 2 rows"):
        decode.unpack(packed, np.array([1]), np.zeros((2, 4), dtype=np.float32))


@given(SHAPES)
def test_sums_of_calls_from_rows_blocks_and_bed_bytes(shape: tuple[int, int, int]) -> None:
    dosage = random_dosage(shape[1], shape[0], seed=shape[2], missing=0.2)
    called = dosage >= 0
    expected = np.array([(called * dosage.astype(int) ** k).sum(axis=0) for k in range(3)])
    packed, blocked, bed = np.zeros((3, 3, shape[0]), dtype=np.int64)
    call_sums.call_sums(decode.pack(codes_of(dosage)), shape[0], packed)
    call_sums.call_block_sums(np.ascontiguousarray(dosage.T), blocked)
    # the last byte of a BED row may hold anything after the last sample
    raw = decode.pack(codes_of(dosage.T))
    raw[:, -1] |= np.uint8(0xFF << (2 * ((shape[1] - 1) % 4 + 1)) & 0xFF)
    call_sums.bed_sums(raw, shape[1], bed, 0)
    for found in (packed, blocked, bed):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize(("samples", "variants"), [(1, 4), (9, 8), (300, 300), (257, 1032)])
def test_transposed_bed_bytes(samples: int, variants: int) -> None:
    dosage = random_dosage(samples, variants, seed=samples, missing=0.1)
    out = np.zeros((samples, variants // 4 + 2), dtype=np.uint8)
    place, raw = np.random.default_rng(1).permutation(samples), decode.pack(codes_of(dosage.T))
    half = raw.shape[1] // 2
    for begin, end in ((half, raw.shape[1]), (0, half)):
        transpose_bed(raw, out, 1, place, begin, end)
    assert np.array_equal(out[place, 1:-1], decode.pack(codes_of(dosage)))
    assert not out[:, [0, -1]].any()


@given(SHAPES, st.integers(0, 5))
def test_pack_transposed_in_two_blocks(shape: tuple[int, int, int], cut: int) -> None:
    dosage = random_dosage(shape[0], shape[1], seed=shape[2], missing=0.2)
    cut = min(cut, shape[1])
    out = np.zeros((shape[0], decode.row_bytes(shape[1])), dtype=np.uint8)
    variants, place = np.ascontiguousarray(dosage.T), np.arange(shape[0])[::-1].copy()
    assert decode.pack_transposed(variants[:cut], out, 0, place) == -1
    assert decode.pack_transposed(variants[cut:], out, cut, place) == -1
    assert np.array_equal(out[::-1], pack_slowly(dosage))


@pytest.mark.parametrize("wrong", [3, -2])
def test_pack_transposed_names_the_variant_with_another_value(wrong: int) -> None:
    dosage = np.zeros((6, 3), dtype=np.int8)
    dosage[4, 1] = wrong
    assert decode.pack_transposed(dosage, np.zeros((3, 2), dtype=np.uint8), 0, np.arange(3)) == 4
