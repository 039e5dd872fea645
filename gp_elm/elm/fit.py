"""From a cohort to cross-fitted networks: split, packed store, training."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from gp_elm.elm.blocks import cohort_blocks
from gp_elm.elm.reading import BothOrders, DosageReader, covariates_of
from gp_elm.elm.seen import MAX_VARIANTS, SeenVariants, seen_variants
from gp_elm.elm.study import Floats, Study
from gp_elm.genotypes.sample_filters import IdList
from gp_elm.genotypes.splits import Split, check_split, split_cohort
from gp_elm.io.accepts import accepts_anndata
from gp_elm.io.blocks import select
from gp_elm.models.crossfit import CrossFit, cross_fit_networks
from gp_elm.models.options import TrainingOptions
from gp_elm.models.yardsticks import Yardsticks, cross_fit_yardsticks
from gp_elm.predictors.stacking import stack_weights
from gp_elm.schema import check_cohort
from gp_elm.streaming.store import Store, ensure_store


@dataclass(frozen=True, eq=False)
class Networks:
    """Cross-fitted networks of a cohort, with everything needed to read effects off them.

    Attributes
    ----------
    cohort : xarray.Dataset
        The cohort they were trained on, with the variants that they see.
    split : Split
        Held-out samples and folds.
    store : Store
        Packed genotypes.
    fitted : CrossFit
        Fold networks, ridge and lasso, out-of-fold predictions of the discovery samples.
    seed : int
        Seed of everything drawn.
    blocks : (m,) int
        LD block of each variant.
    ld_threshold : float
        r^2 that joins two variants to a block.
    directory : Path
        Where the store and the finished folds are kept.
    seen : SeenVariants
        Which variants these are of the cohort that was given.
    progress : bool or None
        Whether to draw progress; None draws it on a terminal.
    """

    cohort: xr.Dataset
    split: Split
    store: Store
    fitted: CrossFit
    seed: int
    blocks: NDArray[np.int64]
    ld_threshold: float
    directory: Path
    seen: SeenVariants
    progress: bool | None = None
    _folder: object = field(default=None, repr=False)

    @property
    def traits(self) -> list[str]:
        """Names of the traits."""
        return [str(t) for t in self.cohort["trait_id"].values]

    @cached_property
    def discovery(self) -> NDArray[np.int64]:
        """Positions of the discovery samples."""
        return np.flatnonzero(~self.split.heldout)

    @cached_property
    def heldout(self) -> NDArray[np.int64]:
        """Positions of the held-out samples."""
        return np.flatnonzero(self.split.heldout)

    @cached_property
    def read(self) -> DosageReader:
        """Reader of the discovery samples' dosages."""
        return DosageReader(self.cohort, self.discovery)

    @cached_property
    def study(self) -> Study:
        """The discovery samples as the estimators see them."""
        _, mean, _ = self.store.moments(self.discovery)
        return Study(
            store=BothOrders(self.store, self.cohort),
            rows=self.discovery,
            center=mean,
            ploidy=self.cohort["variant_ploidy"].values.astype(np.int64),
            blocks=self.blocks,
            traits=self.cohort["sample_phenotype"].values[self.discovery],
            covariates=covariates_of(self.cohort, self.discovery),
            folds=self.split.fold[self.discovery].astype(np.int64),
        )

    @cached_property
    def heldout_residual(self) -> Floats:
        """Held-out trait values less their covariates, (n_heldout, T)."""
        traits = self.cohort["sample_phenotype"].values[self.heldout]
        return self.fitted.residual_of(traits, covariates_of(self.cohort, self.heldout))

    def heldout_prediction(self, predictor: str = "network") -> Floats:
        """Mean prediction of the folds' fits for the held-out samples, (n_heldout, T), covariates taken out."""
        return self.fitted.predict(self.store, self.heldout, predictor=predictor)

    @cached_property
    def yardsticks(self) -> Yardsticks:
        """Kernels and the product lasso on the same folds; fitted, or taken from where they are kept."""
        by_id = _by_id(self.cohort, self.discovery)
        rows = self.discovery[by_id]
        found = cross_fit_yardsticks(
            self.store,
            rows,
            self.cohort["sample_phenotype"].values[rows],
            covariates_of(self.cohort, rows),
            self.split.fold[rows].astype(np.int64),
            self.split.groups[rows],
            self.fitted,
            seed=self.seed,
            directory=self.directory / "folds",
            progress=self.progress,
        )
        back = np.argsort(by_id)
        return replace(found, out_of_fold={name: f[back] for name, f in found.out_of_fold.items()})

    @cached_property
    def out_of_fold(self) -> dict[str, Floats]:
        """Out-of-fold predictions of the discovery samples by every predictor, (n, T) each."""
        return self.fitted.out_of_fold | self.yardsticks.out_of_fold

    @cached_property
    def stack(self) -> list[dict[str, float]]:
        """Weight of every predictor in the stack of each trait, by non-negative least squares out of fold."""
        names = list(self.out_of_fold)
        found = []
        for t in range(len(self.traits)):
            columns = np.column_stack([self.out_of_fold[name][:, t] for name in names])
            _, weights = stack_weights(self.fitted.residual[:, t], columns, self.study.folds)
            found.append(dict(zip(names, weights.tolist(), strict=True)))
        return found

    @cached_property
    def heldout_predictions(self) -> dict[str, Floats]:
        """Predictions of the held-out samples by every predictor and by their stack, (n_heldout, T) each."""
        found = {name: self.heldout_prediction(name) for name in self.fitted.out_of_fold}
        for name in self.yardsticks.names:
            found[name] = self.yardsticks.predict(self.store, self.heldout, name)
        stacked = [
            sum(weight * found[name][:, t] for name, weight in weights.items())
            for t, weights in enumerate(self.stack)
        ]
        return found | {"stacked": np.column_stack(stacked)}

    def split_frame(self) -> pd.DataFrame:
        """Sets and folds by sample."""
        return self.split.to_frame(self.cohort)


def draw_split(cohort: xr.Dataset, *, n_folds: int, heldout_fraction: float, seed: int) -> Split:
    """Split a cohort by its groups, or by sample where it has none; see ``genotypes.splits.split_cohort``."""
    return split_cohort(
        cohort["sample_group"].values if "sample_group" in cohort else None,
        cohort.sizes["samples"],
        heldout_fraction=heldout_fraction,
        n_folds=n_folds,
        seed=seed,
        sample_id=cohort["sample_id"].values,
    )


def check_traits(cohort: xr.Dataset, split: Split) -> None:
    """Refuse a split that leaves a trait without values where they are needed."""
    check_split(split, cohort["sample_phenotype"].values, [str(t) for t in cohort["trait_id"].values])


@accepts_anndata()
def cross_fit(
    cohort: xr.Dataset,
    *,
    n_folds: int = 5,
    heldout_fraction: float = 0.2,
    seed: int = 1,
    options: TrainingOptions | None = None,
    split: Split | None = None,
    directory: str | Path | None = None,
    fingerprint: dict[str, object] | None = None,
    max_variants: int = MAX_VARIANTS,
    variants_from: IdList | None = None,
    progress: bool | None = None,
) -> Networks:
    """Train networks on a cohort so that each sample is predicted by networks that never saw it or its group.

    Parameters
    ----------
    cohort : xarray.Dataset
        A cohort with phenotypes (:func:`gp_elm.add_phenotypes`).
    n_folds : int
        Folds within the discovery samples; a network is trained without each.
    heldout_fraction : float
        Share of the samples that no network sees, in whole groups; 0 for none.
    seed : int
        Seed of the split, the folds and the networks.
    options : TrainingOptions, optional
        Network and recipe; chosen from the cohort where None.
    split : Split, optional
        A split of the samples to use instead of a drawn one.
    directory : path, optional
        Where the packed store and the finished folds are kept, and found again; a temporary folder where None.
    fingerprint : dict, optional
        Identity of the source, kept in the store.
    max_variants, variants_from
        As for :func:`gp_elm.elm.seen.seen_variants`: networks see at most so many variants, thinned by LD, or those
        of a list.
    progress : bool
        Whether to draw progress; None draws it on a terminal.

    Returns
    -------
    Networks
        Fold networks, baselines on the same folds, out-of-fold predictions.

    Raises
    ------
    OptionError
        Where a trait is missing in all samples of one side of the split, or no listed variant is in the cohort.
    """
    check_cohort(cohort, phenotypes=True)
    if split is None:
        split = draw_split(cohort, n_folds=n_folds, heldout_fraction=heldout_fraction, seed=seed)
    check_traits(cohort, split)
    holder = None if directory is not None else tempfile.TemporaryDirectory(prefix="gp_elm_")
    folder = Path(directory if holder is None else holder.name)  # type: ignore[arg-type]
    discovery = np.flatnonzero(~split.heldout)
    seen = seen_variants(
        cohort, discovery, max_variants=max_variants, variants_from=variants_from, directory=folder,
        fingerprint=fingerprint,
    )  # fmt: skip
    cohort = select(cohort, variants=seen.kept)
    store = ensure_store(cohort, folder / "store", fingerprint=fingerprint or {})
    _, center, _ = store.moments(discovery)
    blocks, threshold = cohort_blocks(cohort, discovery, center, seed=seed)
    # Batches are drawn by place: in the order of the ids, the order of the file changes nothing.
    by_id = _by_id(cohort, discovery)
    ordered = discovery[by_id]
    fitted = cross_fit_networks(
        store,
        ordered,
        cohort["sample_phenotype"].values[ordered],
        covariates_of(cohort, ordered),
        split.fold[ordered],
        split.groups[ordered],
        options=options or TrainingOptions(),
        seed=seed,
        progress=progress,
        directory=folder / "folds",
    )
    back = np.argsort(by_id)
    fitted = replace(
        fitted,
        out_of_fold={name: values[back] for name, values in fitted.out_of_fold.items()},
        residual=fitted.residual[back],
        folds=fitted.folds[back],
    )
    return Networks(cohort, split, store, fitted, seed, blocks, threshold, folder, seen, progress, holder)


def _by_id(cohort: xr.Dataset, samples: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.argsort(cohort["sample_id"].values[samples].astype(str), kind="stable")
