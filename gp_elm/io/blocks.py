"""Genotypes of a BED file as a lazy dask array whose blocks are whole-sample slabs of variants."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from bed_reader import open_bed
from dask.base import tokenize
from numpy.typing import NDArray

from gp_elm.schema import MISSING

BLOCK_BYTES = 2**24
"""Bytes of one default block as int8: consumers hold four to eight times that as floats."""

Index = NDArray[np.int64]


def default_chunk(n_samples: int) -> int:
    """Variants of one block, so that a block of int8 takes about 16 MiB.

    Parameters
    ----------
    n_samples : int
        Samples of the cohort.

    Returns
    -------
    int
        Variants, a multiple of 16, at least 16.
    """
    return max(16, BLOCK_BYTES // max(n_samples, 1) // 16 * 16)


@dataclass(frozen=True, eq=False)
class BedBlocks:
    """A BED file seen as an int8 array (variants, samples) of effect-allele counts, -1 missing.

    It holds a path and indices, no file handle, so it can be pickled; a block is read when it is asked for,
    and only the chosen samples of it are decoded.

    Attributes
    ----------
    path : str
        The variant-major BED file.
    file_shape : tuple of int
        Variants and samples in the file.
    variants, samples : ndarray of int64
        Rows and columns of the file that the array shows, in its order.
    haploid : bool
        Whether copies 0/2 are shown as 0/1 and heterozygotes as missing.
    """

    path: str
    file_shape: tuple[int, int]
    variants: Index
    samples: Index
    haploid: bool = False

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
        """Always int8."""
        return np.dtype(np.int8)

    def __getitem__(self, key: Any) -> NDArray[np.int8]:
        """Read a block; ``key`` is a slice, an array of positions or one position for each dim."""
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        variants, samples = np.atleast_1d(self.variants[rows]), np.atleast_1d(self.samples[columns])
        n_variants, n_samples = self.file_shape
        whole = len(samples) == n_samples and bool(np.array_equal(samples, np.arange(n_samples)))
        bed = open_bed(
            self.path, iid_count=n_samples, sid_count=n_variants, skip_format_check=True, num_threads=1
        )
        # order F of (samples, variants) is several times faster, and its transpose is the block in order C
        index = (slice(None) if whole else samples, variants)
        block: NDArray[np.int8] = bed.read(index=index, dtype="int8", order="F", num_threads=1).T
        if self.haploid:
            block = _HALVED[block.view(np.uint8)]
        else:
            np.maximum(block, np.int8(MISSING), out=block)  # bed-reader writes -127 for missing
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
            int8 (variants, samples); its name depends on the file's size and time and on what is shown of it.
        """
        chunk = chunk_variants or default_chunk(len(self.samples))
        state = os.stat(self.path)
        token = tokenize(
            os.path.abspath(self.path), state.st_size, state.st_mtime_ns, self.variants, self.samples,
            self.haploid, chunk,
        )  # fmt: skip
        return da.from_array(
            self,
            chunks=(chunk, max(len(self.samples), 1)),
            name=f"bed-{token}",
            asarray=False,
            lock=False,
            inline_array=False,
            meta=np.empty((0, 0), np.int8),
        )


_HALVED = np.full(256, MISSING, np.int8)
_HALVED[[0, 2]] = 0, 1


def attach(cohort: xr.Dataset, blocks: BedBlocks, *, chunk_variants: int | None = None) -> xr.Dataset:
    """Make ``blocks`` the ``call_dosage`` of a Dataset, and remember them for later subsetting.

    Parameters
    ----------
    cohort : xarray.Dataset
        The other variables, of matching lengths.
    blocks : BedBlocks
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


def source_blocks(cohort: xr.Dataset) -> BedBlocks | None:
    """Blocks behind a Dataset's ``call_dosage``, or None where it has been changed since it was read.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.

    Returns
    -------
    BedBlocks or None
        The source.
    """
    dosage = cohort["call_dosage"]
    if getattr(dosage.data, "name", None) != dosage.encoding.get("name", ""):
        return None
    blocks: BedBlocks = dosage.encoding["blocks"]
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
