"""The default network on the pub's data (METHOD 8): how much of the non-additive variance it captures."""

import numpy as np
import pandas as pd
import pytest

from gp_elm.cohort import open_cohort
from gp_elm.models.fold import train_network
from gp_elm.models.options import TrainingOptions
from gp_elm.models.recipe import choose_recipe
from gp_elm.models.samples import FoldSamples
from gp_elm.streaming.store import write_store


def without_additive_part(x, y):
    design = np.column_stack([np.ones(len(x)), x])
    return y - design @ np.linalg.lstsq(design, y, rcond=None)[0]


def true_interactions(truth, sign):
    """Non-additive genetic value of each sample and trait; ``sign`` is -1 or 1 at each locus."""
    value = np.zeros((len(sign), truth.trait.nunique()))
    for row in truth[truth.locus < truth.epi_loc].itertuples():
        value[:, row.trait - 1] += row.epi_eff * sign[:, row.locus - 1] * sign[:, row.epi_loc - 1]
    return value


@pytest.mark.slow
def test_captures_the_interactions_at_heritability_one_half(shared_data, tmp_path):
    prefix = shared_data / "sim_arcadia_64qtl" / "sim_arcadia_64qtl"
    cohort = open_cohort(bfile=prefix, pheno=f"{prefix}.pheno.tsv")
    store = write_store(cohort, tmp_path / "store")
    rng = np.random.default_rng(1)
    traits = cohort["sample_phenotype"].values
    traits = traits + rng.standard_normal(traits.shape) * traits.std(0)
    everyone = np.arange(store.n_samples)
    training = rng.random(len(everyone)) < 0.8
    rows = np.flatnonzero(training)
    _, center, sd = store.moments(rows)
    residual = traits[rows] - traits[rows].mean(0)
    recipe = choose_recipe(TrainingOptions(), n_samples=len(rows), n_variants=store.n_variants)
    network, _ = train_network(FoldSamples(store, rows, residual, rows, center, sd), recipe, seed=1)

    dosage = store.block(everyone).astype(float)
    truth = pd.read_csv(prefix.parent / "truth_effects.tsv", sep="\t")
    true = without_additive_part(dosage, true_interactions(truth, 2 * dosage - 1))[~training, 1:]
    learnt = without_additive_part(dosage, network.predict(store, everyone))[~training, 1:]
    covariance = ((true - true.mean(0)) * (learnt - learnt.mean(0))).mean(0)
    captured = (2 * covariance - learnt.var(0)) / true.var(0)
    # METHOD 8: .67 .88 .87 .90 over three draws of the noise and five folds; this is one of each
    assert np.all(captured > [0.6, 0.8, 0.8, 0.85])
