"""Genotypes of a file as a lazy dask array whose blocks are whole-sample slabs of variants."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from numpy.typing import NDArray

from gp_elm.kernels.recode import recode

BLOCK_BYTES = 2**24
"""Bytes of one default block: consumers hold four to eight times that of int8 as floats."""

Index = NDArray[np.int64]


def default_chunk(variant_bytes: int) -> int:
    """Variants of one block, so that a block takes about 16 MiB.

    Parameters
    ----------
    variant_bytes : int
        Bytes of a variant: the samples, where they are int8.

    Returns
    -------
    int
        Variants, a multiple of 16, at least 16.
    """
    return max(16, BLOCK_BYTES // max(variant_bytes, 1) // 16 * 16)


class Source(Protocol):
    """A file of genotypes: a path and a layout, no open handle, so that it can be pickled."""

    @property
    def path(self) -> str:
        """The file or folder."""

    @property
    def shape(self) -> tuple[int, int]:
        """Variants and samples in the file."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """int8 (-1 missing) for hard calls, float32 (NaN missing) for dosages."""

    def read(self, variants: Index, samples: Index | None) -> NDArray[Any]:
        """Copies of the effect allele, order C (v, k); ``samples`` None reads all."""

    def token(self) -> object:
        """What changes when the file changes, for :func:`dask.base.tokenize`."""


@dataclass(frozen=True, eq=False)
class Recoding:
    """What becomes of the copies read, by kind of variant and sex of the sample.

    Attributes
    ----------
    kind : ndarray of uint8 (m,)
        Row of ``table`` of each variant in the file; 0 leaves its copies as they are.
    sex : ndarray of uint8 (n,)
        Column of ``table`` of each sample in the file: 0 unknown, 1 male, 2 female.
    table : ndarray of int8 (kinds, 3, 4)
        What 0, 1, 2 copies and a missing call become.
    factor : ndarray of float32 (kinds, 3)
        By what imputed dosages are multiplied; NaN makes them missing.
    """

    kind: NDArray[np.uint8]
    sex: NDArray[np.uint8]
    table: NDArray[np.int8]
    factor: NDArray[np.float32]

    def apply(self, block: NDArray[Any], variants: Index, samples: Index) -> NDArray[Any]:
        """Recode a block (v, k) of some variants and samples of the file, in place."""
        return recode(block, self.kind[variants], self.sex[samples], self.table, self.factor)

    def then(self, after: Recoding) -> Recoding:
        """This recoding followed by another of the same variants; the samples' sexes are those of the other."""
        sexes = np.arange(3)[:, None]
        tables = [second[sexes, first] for first in self.table for second in after.table]
        return Recoding(
            kind=(self.kind * np.uint8(len(after.table)) + after.kind).astype(np.uint8),
            sex=after.sex,
            table=np.array(tables, np.int8),
            factor=(self.factor[:, None] * after.factor[None]).reshape(-1, 3),
        )


@dataclass(frozen=True, eq=False)
class Blocks:
    """A source seen as an array (variants, samples) of effect-allele counts, read when asked for.

    Only the chosen samples of a block are decoded. It can be pickled.

    Attributes
    ----------
    source : Source
        Where the genotypes are.
    variants, samples : ndarray of int64
        Rows and columns of the source that the array shows, in its order.
    recoding : Recoding, optional
        Haploid counts and sex chromosomes; copies as read where None.
    """

    source: Source
    variants: Index
    samples: Index
    recoding: Recoding | None = None

    @classmethod
    def whole(cls, source: Source) -> Blocks:
        """All of a source."""
        n_variants, n_samples = source.shape
        return cls(source, np.arange(n_variants), np.arange(n_samples))

    @property
    def shape(self) -> tuple[int, int]:
        """Variants and samples shown."""
        return len(self.variants), len(self.samples)

    @property
    def ndim(self) -> int:
        """Always 2."""
        return 2

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the source."""
        return self.source.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read a block; ``key`` is a slice, an array of positions or one position for each dim."""
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        variants, samples = np.atleast_1d(self.variants[rows]), np.atleast_1d(self.samples[columns])
        n_samples = self.source.shape[1]
        whole = len(samples) == n_samples and bool(np.array_equal(samples, np.arange(n_samples)))
        block = self.source.read(variants, None if whole else samples)
        if self.recoding is not None:
            block = self.recoding.apply(block, variants, samples)
        return block[
            tuple(0 if np.ndim(k) == 0 and not isinstance(k, slice) else slice(None) for k in (rows, columns))
        ]

    def to_dask(self, chunk_variants: int | None = None) -> da.Array:
        """Wrap as a dask array in chunks of variants, each over all samples.

        Parameters
        ----------
        chunk_variants : int, optional
            Variants of a chunk; about 16 MiB by default.

        Returns
        -------
        dask.array.Array
            (variants, samples); its name depends on the state of the source and on what is shown of it.
        """
        chunk = chunk_variants or default_chunk(len(self.samples) * self.dtype.itemsize)
        recoding = self.recoding
        token = tokenize(
            type(self.source).__name__, self.source.token(), self.variants, self.samples, chunk,
            None if recoding is None else (recoding.kind, recoding.sex, recoding.table, recoding.factor),
        )  # fmt: skip
        return da.from_array(
            self,
            chunks=(chunk, max(len(self.samples), 1)),
            name=f"genotypes-{token}",
            asarray=False,
            lock=False,
            inline_array=False,
            meta=np.empty((0, 0), self.dtype),
        )


def attach(cohort: xr.Dataset, blocks: Blocks, *, chunk_variants: int | None = None) -> xr.Dataset:
    """Make ``blocks`` the ``call_dosage`` of a Dataset, and remember them for later subsetting.

    Parameters
    ----------
    cohort : xarray.Dataset
        The other variables, of matching lengths.
    blocks : Blocks
        Where the genotypes come from.
    chunk_variants : int, optional
        Variants of a chunk.

    Returns
    -------
    xarray.Dataset
        A new Dataset.
    """
    array = blocks.to_dask(chunk_variants)
    # xarray keeps the encoding of an array that was indexed or changed: only an equal name proves it valid
    encoding = {"blocks": blocks, "chunk_variants": chunk_variants, "name": array.name}
    return cohort.assign(call_dosage=xr.Variable(("variants", "samples"), array, encoding=encoding))


def source_blocks(cohort: xr.Dataset) -> Blocks | None:
    """Blocks behind a Dataset's ``call_dosage``, or None where it has been changed since it was read.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.

    Returns
    -------
    Blocks or None
        The source.
    """
    dosage = cohort["call_dosage"]
    if getattr(dosage.data, "name", None) != dosage.encoding.get("name", ""):
        return None
    blocks: Blocks = dosage.encoding["blocks"]
    return blocks


def select(cohort: xr.Dataset, *, samples: Any = None, variants: Any = None) -> xr.Dataset:
    """Keep some samples or variants of a cohort, lazily.

    The choice is made inside the read of each block where the genotypes still come straight from the file, so
    unused samples are never decoded and the chunks stay even; otherwise by xarray's own indexing.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    samples, variants : array_like, optional
        A boolean mask or integer positions; None keeps all.

    Returns
    -------
    xarray.Dataset
        The subset, in the order of the positions.
    """
    index: dict[str, Index] = {}
    for dim, wanted in (("samples", samples), ("variants", variants)):
        if wanted is None:
            continue
        positions = np.asarray(wanted)
        if positions.dtype == bool:
            positions = np.flatnonzero(positions)
        if len(positions) == cohort.sizes[dim] and np.array_equal(positions, np.arange(len(positions))):
            continue
        index[dim] = positions.astype(np.int64)
    if not index:
        return cohort
    blocks = source_blocks(cohort)
    if blocks is None:
        return cohort.isel(index)
    chunk = cohort["call_dosage"].encoding["chunk_variants"]
    rest = cohort.drop_vars("call_dosage").isel(index, missing_dims="ignore")
    shown = replace(
        blocks,
        samples=blocks.samples[index["samples"]] if "samples" in index else blocks.samples,
        variants=blocks.variants[index["variants"]] if "variants" in index else blocks.variants,
    )
    return attach(rest, shown, chunk_variants=chunk)
