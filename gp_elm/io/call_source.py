"""Calls of a VCF Zarr store as a source of genotypes: a row for each alternative allele."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gp_elm.errors import InputError
from gp_elm.io.blocks import Index
from gp_elm.io.zarr_source import open_store, spans, store_token
from gp_elm.kernels.alleles import count_allele

CALLS = "call_genotype"


@dataclass(frozen=True, eq=False)
class CallSource:
    """Copies of one allele a row: int8 from ``call_genotype``, float32 from ``call_DS``.

    Attributes
    ----------
    path : str
        The store.
    name : str
        ``call_genotype`` (records, samples, ploidy), or ``call_DS`` (records, samples[, ALT]).
    shape : tuple of int
        Rows and samples.
    record, allele : ndarray of int64 (rows,)
        Record of each row, and the number of the allele that it counts, from 1.
    """

    path: str
    name: str
    shape: tuple[int, int]
    record: Index
    allele: Index

    @property
    def dtype(self) -> np.dtype[Any]:
        """int8 for genotypes, float32 for dosages."""
        return np.dtype(np.int8 if self.name == CALLS else np.float32)

    def read(self, variants: Index, samples: Index | None) -> NDArray[Any]:
        """Copies in some rows (v,) and samples (all where None)."""
        wanted = np.arange(self.shape[1]) if samples is None else samples
        records, alleles = self.record[variants], self.allele[variants]
        block = np.empty((len(variants), len(wanted)), self.dtype)
        with open_store(self.path) as group:
            array = group[self.name]
            # calls take twice the memory of what is made of them: no more than a chunk of samples at a time
            for rows, start, stop in spans(records, array.chunks[0]):
                for columns, left, right in spans(wanted, array.chunks[1]):
                    place = slice(start, stop), slice(left, right)
                    near = records[rows] - start, alleles[rows], wanted[columns] - left
                    if self.dtype == np.int8:
                        largest = count_allele(array[place], *near, block, rows, columns)
                        self._check_allele(largest, group["variant_allele"].shape[1])
                    else:
                        doubled = _haploid(group[CALLS][place]) if CALLS in group else None
                        block[np.ix_(rows, columns)] = self._dosages(array[place], *near, doubled)
        return block

    def token(self) -> tuple[object, ...]:
        """What changes when the store changes, or another choice of alleles is made."""
        return *store_token(self.path, self.name), self.record, self.allele

    def _check_allele(self, largest: int, n_alleles: int) -> None:
        if largest >= n_alleles:
            raise InputError(
                f"{self.path}: a call of allele {largest} where records have at most {n_alleles}; make the store again"
            )

    def _dosages(
        self, stored: NDArray, rows: Index, alleles: Index, columns: Index, doubled: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        part = stored[rows] if stored.ndim == 2 else stored[rows, :, alleles - 1]
        found = part[:, columns].astype(np.float32)
        # missing values and padding are signalling NaNs, which make numpy warn, or negative integers
        found[np.isnan(found) if stored.dtype.kind == "f" else found < 0] = np.nan
        if doubled is not None:
            found[doubled[rows][:, columns]] *= 2
        if (wrong := (found < -0.001) | (found > 2.001)).any():
            raise InputError(
                f"{self.path}: a DS of {found[wrong][0]:g}; dosages of an allele lie between 0 and 2: mend the VCF"
            )
        return np.clip(found, 0, 2)


def _haploid(calls: NDArray) -> NDArray[np.bool_]:
    """Where a call has one allele; a lone missing one is how a missing diploid call is often written."""
    return (calls[..., 0] >= 0) & (calls[..., 1] == -2 if calls.shape[-1] > 1 else True)
