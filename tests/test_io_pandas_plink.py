"""pandas-plink: the same cohort as our own reader gives, and an array whose meaning is known or refused."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from reference.plink_files import write_plink

from gp_elm.association.linear import linear_scan
from gp_elm.errors import InputError, OptionError
from gp_elm.genotypes.frequencies import variant_statistics
from gp_elm.io.blocks import select
from gp_elm.io.pandas_plink import from_pandas_plink
from gp_elm.io.plink import read_plink
from gp_elm.schema import check_cohort

HERE = importlib.util.find_spec("pandas_plink") is not None
needs_package = pytest.mark.skipif(
    not HERE, reason="pandas-plink is not installed (it needs NumPy 1): make test-pandas-plink"
)


@pytest.fixture
def dosage() -> np.ndarray:
    return np.random.default_rng(5).integers(-1, 3, size=(23, 37)).astype(np.int8)


@pytest.fixture
def prefix(tmp_path: Path, dosage: np.ndarray) -> Path:
    return write_plink(
        tmp_path / "co[h]ort", dosage, fid=[f"f{i // 2}" for i in range(37)], phenotype=["1.5"] * 36 + ["NA"]
    )


def read_array(
    prefix: Path, *, n_samples: int | None = None, n_variants: int = 6, ref: str = "a1"
) -> xr.DataArray:
    from pandas_plink import Chunk, read_plink1_bin

    chunk = Chunk(nsamples=n_samples, nvariants=n_variants)
    return read_plink1_bin(Path(f"{prefix}.bed"), verbose=False, ref=ref, chunk=chunk)


def array_of(copies: np.ndarray) -> xr.DataArray:
    """What read_plink1_bin would give for these values (samples, variants), in memory."""
    n, m = copies.shape
    by_sample = {"iid": [f"s{i}" for i in range(n)]}
    by_variant = {
        "chrom": ["1"] * m, "snp": [f"v{j}" for j in range(m)], "pos": np.arange(m), "a0": ["A"] * m, "a1": ["G"] * m,
    }  # fmt: skip
    coords = {name: ("sample", values) for name, values in by_sample.items()}
    coords |= {name: ("variant", values) for name, values in by_variant.items()}
    return xr.DataArray(copies, dims=("sample", "variant"), coords=coords, name="genotype")


def assert_same_cohort(found: xr.Dataset, expected: xr.Dataset) -> None:
    check_cohort(found)
    assert found["call_dosage"].dtype == np.int8
    assert isinstance(found["call_dosage"].data, da.Array)
    assert found["call_dosage"].data.numblocks[1] == 1
    assert {name: found[name].dtype.kind for name in found.variables} == {
        name: expected[name].dtype.kind for name in expected.variables
    }
    xr.testing.assert_equal(found, expected)


@needs_package
@pytest.mark.parametrize("chunk", [None, 5])
def test_the_engine_gives_the_identical_dataset(prefix: Path, chunk: int | None) -> None:
    ours = read_plink(prefix, chunk_variants=chunk)
    theirs = read_plink(prefix, chunk_variants=chunk, engine="pandas-plink")
    assert_same_cohort(theirs, ours)
    xr.testing.assert_identical(theirs.compute(), ours.compute())
    assert theirs["call_dosage"].chunks == ours["call_dosage"].chunks
    chosen = {"samples": [30, 2, 3, 7], "variants": np.arange(23) % 3 == 0}
    xr.testing.assert_identical(select(theirs, **chosen).compute(), select(ours, **chosen).compute())


@needs_package
@given(
    arrays.arrays(np.int8, st.tuples(st.integers(1, 9), st.integers(1, 19)), elements=st.integers(-1, 2)),
    st.integers(1, 10),
)
def test_the_engine_reads_any_shape(
    tmp_path_factory: pytest.TempPathFactory, dosage: np.ndarray, chunk: int
) -> None:
    prefix = write_plink(tmp_path_factory.mktemp("any") / "x", dosage)
    cohort = read_plink(prefix, chunk_variants=chunk, engine="pandas-plink")
    np.testing.assert_array_equal(cohort["call_dosage"].to_numpy(), dosage)


@needs_package
def test_a_scan_takes_both_alike(prefix: Path) -> None:
    trait = np.random.default_rng(2).normal(size=(37, 1))
    scans = []
    for cohort in (read_plink(prefix), from_pandas_plink(read_array(prefix, n_samples=8))):
        named = cohort.assign(sample_phenotype=(("samples", "traits"), trait), trait_id=("traits", ["t"]))
        scans.append((linear_scan(named).dataset, variant_statistics(named).n_called))
    xr.testing.assert_allclose(scans[0][0], scans[1][0], rtol=1e-12)
    np.testing.assert_array_equal(scans[0][1], scans[1][1])


@needs_package
@pytest.mark.parametrize("ref", ["a0", "a1"])
@pytest.mark.parametrize("n_samples", [None, 8, 1024])
def test_an_array_counts_bim_column_5_whatever_its_ref(prefix: Path, ref: str, n_samples: int | None) -> None:
    G = read_array(prefix, ref=ref, n_samples=n_samples)
    found = from_pandas_plink(G)
    assert_same_cohort(found, read_plink(prefix))
    assert found.attrs["source_bed"] == f"{prefix}.bed"
    assert_same_cohort(from_pandas_plink(G, ref=ref), read_plink(prefix))
    with pytest.raises(
        OptionError, match=rf"but the pandas-plink array was read with ref='{ref}'; leave ref out"
    ):
        from_pandas_plink(G, ref="a0" if ref == "a1" else "a1")


@needs_package
@pytest.mark.parametrize("ref", ["a0", "a1"])
def test_choosing_and_moving_leave_the_ref_known(prefix: Path, ref: str) -> None:
    G, whole = read_array(prefix, ref=ref), read_plink(prefix)
    rows, columns = [9, 2, 30], slice(3, 17, 2)
    part = select(whole, samples=rows, variants=np.arange(23)[columns])
    for moved in (
        G[rows, columns],
        G[:, columns].T[:, rows],
        G.isel(sample=rows).chunk({"variant": 4}).isel(variant=columns),
        G.sortby("pos").sel(sample=["s9", "s2", "s30"])[:, columns].astype("float64"),
    ):
        assert_same_cohort(from_pandas_plink(moved), part)
    # as the documentation of pandas-plink takes a chromosome
    first = from_pandas_plink(G.where(G.pos <= 700, drop=True))
    assert_same_cohort(first, select(whole, variants=np.arange(7)))


@needs_package
def test_an_array_that_cannot_tell_its_ref_is_refused_until_it_is_given(
    prefix: Path, dosage: np.ndarray
) -> None:
    G = read_array(prefix)
    for changed, why in (
        (G.compute(), "it is not lazy, or was persisted"),
        (G.persist(), "it is not lazy, or was persisted"),
        (abs(G - 2), "it was calculated with since it was read"),
        (xr.concat([G[:20], read_array(prefix, ref="a0")[20:]], "sample"), "its parts were read with both"),
    ):
        message = rf"does not say which allele it counts \({why}\); give ref= what read_plink1_bin got"
        with pytest.raises(InputError, match=message):
            from_pandas_plink(changed)
    for lazy in (G.compute(), G.persist(), 2 - (2 - G)):
        np.testing.assert_array_equal(from_pandas_plink(lazy, ref="a1")["call_dosage"].to_numpy(), dosage)


@needs_package
@pytest.mark.parametrize("n_samples", [5, 30])
def test_chunks_that_make_pandas_plink_read_wrong_genotypes_are_refused(
    prefix: Path, dosage: np.ndarray, n_samples: int
) -> None:
    G = read_array(prefix, ref="a0", n_samples=n_samples)
    # what is refused is wrong indeed
    assert (np.nan_to_num(G.to_numpy().T, nan=-1) != dosage).any()
    for array in (G, G.chunk({"sample": -1}), G[::2], 2 - G):
        with pytest.raises(
            InputError, match=rf"in chunks of {n_samples if n_samples == 5 else 7} samples, no multi"
        ):
            from_pandas_plink(array, ref=None if array is G else "a0")


@needs_package
def test_the_word_na_is_missing_in_pandas_plink_and_said(prefix: Path) -> None:
    fam = Path(f"{prefix}.fam")
    fam.write_text(fam.read_text().replace("f3 s7 ", "f3 NA "))
    message = r"coord iid is missing in 1 places, as pandas-plink reads the word NA; fill it with G.assign_coords\(iid="
    with pytest.raises(InputError, match=message):
        from_pandas_plink(read_array(prefix))


@pytest.mark.skipif(HERE, reason="pandas-plink is installed")
def test_a_missing_package_gives_the_line_to_type(prefix: Path) -> None:
    message = r"engine='pandas-plink' need the package pandas_plink, .* pip install 'gp-elm\[pandas-plink\]'"
    with pytest.raises(OptionError, match=message):
        read_plink(prefix, engine="pandas-plink")


def test_an_unknown_engine_is_named(prefix: Path) -> None:
    with pytest.raises(OptionError, match=r"engine is 'plinkio'; give 'auto' or 'pandas-plink'"):
        read_plink(prefix, engine="plinkio")


@pytest.mark.parametrize("ref", ["a0", "a1"])
@pytest.mark.parametrize("kind", ["float32", "float64", "int8", "int64"])
@pytest.mark.parametrize("lazy", [False, True])
def test_values_in_memory_with_a_ref(dosage: np.ndarray, ref: str, kind: str, lazy: bool) -> None:
    counted = np.where(dosage == -1, -1, 2 - dosage if ref == "a1" else dosage).T
    values = counted.astype(kind)
    if values.dtype.kind == "f":
        values[counted == -1] = np.nan
    G = array_of(values)
    cohort = from_pandas_plink(G.chunk({"sample": 5, "variant": 4}) if lazy else G, ref=ref)
    check_cohort(cohort)
    np.testing.assert_array_equal(cohort["call_dosage"].to_numpy(), dosage)
    assert set(cohort["variant_effect_allele"].to_numpy()) == {"A"}
    assert set(cohort["variant_other_allele"].to_numpy()) == {"G"}
    assert set(cohort["sample_family_id"].to_numpy()) == {"0"}
    assert "fam_phenotype" not in cohort


@pytest.mark.parametrize("value", [0.5, 3, -9, np.inf])
def test_what_is_no_count_of_copies_is_refused(dosage: np.ndarray, value: float) -> None:
    values = np.where(dosage == -1, np.nan, dosage).T.astype(np.float32)
    values[3, 4] = value
    with pytest.raises(InputError, match=rf"array holds {float(value)}, expected 0, 1, 2 or NaN"):
        from_pandas_plink(array_of(values), ref="a0")["call_dosage"].to_numpy()


def test_what_is_no_such_array_is_named(dosage: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    G = array_of(dosage.T)
    with pytest.raises(InputError, match=r"got a tuple; give the DataArray of pandas_plink\.read_plink1_bin"):
        from_pandas_plink((G, G, G))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"has dims \('n', 'variant'\), expected \('sample', 'variant'\)"):
        from_pandas_plink(G.rename(sample="n"))
    with pytest.raises(InputError, match=r"lacks the coords iid, a0; give the one"):
        from_pandas_plink(G.drop_vars(["iid", "a0"]))
    with pytest.raises(OptionError, match=r"ref is 'A1'; give 'a0' or 'a1'"):
        from_pandas_plink(G, ref="A1")
    with pytest.raises(InputError, match=r"coord pos holds what is no number"):
        from_pandas_plink(G.assign_coords(pos=("variant", ["x"] * 23)), ref="a0")
    with caplog.at_level(logging.WARNING, "gp_elm"):
        cohort = from_pandas_plink(G.assign_coords(pos=G.pos - 2), ref="a0")
    assert "2 negative positions are read as 0 (unplaced)" in caplog.text
    assert cohort["variant_position"].to_numpy().min() == 0
