"""Finding the samples of a table in a cohort, by FID and IID."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gp_elm.errors import InputError
from gp_elm.io.phenotypes import SampleTable


class SampleIndex:
    """Looks up samples of a cohort.

    An IID alone is enough where it is unique. FID counts where both sides have one: "0" means none. Where
    IIDs repeat between families, a sample without FID is looked up by ``sample_id``, which is FID_IID there.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort.
    """

    def __init__(self, cohort: xr.Dataset) -> None:
        sample_id = [str(word) for word in cohort["sample_id"].to_numpy()]
        n = len(sample_id)
        family = (
            [str(word) for word in cohort["sample_family_id"].to_numpy()]
            if "sample_family_id" in cohort
            else ["0"] * n
        )
        sample = (
            [str(word) for word in cohort["sample_iid"].to_numpy()] if "sample_iid" in cohort else sample_id
        )
        self._family = family
        self._sample = sample
        self._by_pair = {pair: i for i, pair in enumerate(zip(family, sample, strict=True))}
        self._by_sample: dict[str, int] = {}
        for i, word in enumerate(sample):
            self._by_sample[word] = -2 if word in self._by_sample else i
        for i, word in enumerate(sample_id):
            self._by_sample.setdefault(word, i)

    def find(self, family: str, sample: str) -> int:
        """Position of a sample, -1 where the cohort has none such.

        Parameters
        ----------
        family, sample : str
            FID ("0" where there is none) and IID.

        Returns
        -------
        int
            Position, or -1.

        Raises
        ------
        InputError
            Where there is no FID and the IID belongs to several samples.
        """
        position = self._by_pair.get((family, sample), -1)
        if position >= 0:
            return position
        position = self._by_sample.get(sample, -1)
        if family == "0":
            if position == -2:
                raise InputError(
                    f"IID {sample!r} belongs to several families; give FID and IID, or FID_IID as IID"
                )
            return position
        return position if position >= 0 and self._family[position] == "0" else -1

    def example(self) -> str:
        """A sample of the cohort, as FID and IID, for messages."""
        return f"{self._family[0]} {self._sample[0]}"

    def match(self, table: SampleTable) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Match a table's rows with the cohort's samples.

        Parameters
        ----------
        table : SampleTable
            A table.

        Returns
        -------
        samples, rows : ndarray of int64
            Positions in the cohort, ascending, and the row of the table for each.

        Raises
        ------
        InputError
            Where no sample is in both, or two rows name one sample.
        """
        found = np.fromiter(
            (self.find(str(f), str(s)) for f, s in zip(table.family, table.sample, strict=True)),
            np.int64,
            len(table),
        )
        rows = np.flatnonzero(found >= 0)
        if not len(rows):
            ids = f"{table.family[0]} {table.sample[0]}"
            hint = "the ids must be spelt alike"
            if any(str(word) in self._by_sample for word in table.sample):
                hint = "the IIDs agree but not the FIDs: mend them, or set FID to 0 in the table"
            pasted = zip(table.family, table.sample, strict=True)
            if any(f"{family}_{sample}" in self._by_sample for family, sample in pasted):
                hint = (
                    "the genotypes have FID_IID for ids: export them again with plink2's id-paste=iid (for a BGEN give "
                    "its --sample file), or name the samples so in the table"
                )
            raise InputError(
                f"{table.source}: no sample is both in the table and in the genotypes; FID IID is {ids!r} "
                f"here and {self.example()!r} there; {hint}"
            )
        samples = found[rows]
        order = np.argsort(samples, kind="stable")
        samples, rows = samples[order], rows[order]
        twice = np.flatnonzero(np.diff(samples) == 0)
        if len(twice):
            first, second = rows[twice[0]], rows[twice[0] + 1]
            raise InputError(
                f"{table.where(second)}: the row names the same sample as line {table.line[first]} "
                f"({table.sample[second]}); keep one row for each sample"
            )
        return samples, rows
