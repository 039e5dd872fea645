"""Heredity weighting: a network looks hardest at the loci that have an additive effect (METHOD 8).

Loci that the lasso selects are inputs, weighted by their coefficients; interactions among loci with main effects come
first (strong heredity), those of the others are left out.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gp_elm.models.samples import FoldSamples

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
WEIGHT_EXPONENT = 0.75
"""Power of the summed squared standardised coefficients that weights a locus."""
TRAIT_EXPONENT = 0.75
"""Power of a trait's absolute standardised coefficient that weights a locus for that trait."""
FALLBACK_LOCI = 32
"""Loci that are inputs where the lasso selects none: those most correlated with any trait."""


@dataclass(frozen=True, eq=False)
class HeredityWeights:
    """Inputs of a heredity-weighted network.

    Attributes
    ----------
    columns : ndarray of int64, shape (p,)
        Variants of the store, ascending.
    shared : ndarray of float64, shape (p,)
        (sum_t b_it^2)^.75, of root mean square 1: the factor of a standardised dosage.
    by_trait : ndarray of float64, shape (T, p)
        |b_it|^.75, of root mean square 1 over the loci selected for the trait: the same for one trait alone.
    """

    columns: NDArray[np.int64]
    shared: Floats
    by_trait: Floats


def heredity_weights(samples: FoldSamples, effects: Floats) -> HeredityWeights:
    """Weights from lasso coefficients.

    Parameters
    ----------
    samples : FoldSamples
        The samples that the lasso was fitted to.
    effects : ndarray of float64, shape (T, m)
        Its coefficients for standardised dosages and traits.

    Returns
    -------
    HeredityWeights
        Of the selected loci; where there are none, equal weights of the :data:`FALLBACK_LOCI` loci most correlated
        with any trait.
    """
    strength = (effects**2).sum(axis=0) * (samples.sd > 0)
    columns = np.flatnonzero(strength)
    if not len(columns):
        largest = np.max(np.abs(_correlations(samples)), axis=0, initial=0.0)
        columns = np.argsort(-largest, kind="stable")[:FALLBACK_LOCI]
        columns = np.sort(columns[samples.sd[columns] > 0])
        logger.info("the lasso selects no locus: the network gets the %d most correlated ones", len(columns))
        return HeredityWeights(columns, np.ones(len(columns)), np.ones((len(effects), len(columns))))
    shared = _unit(strength[None, columns] ** WEIGHT_EXPONENT)[0]
    return HeredityWeights(columns, shared, _unit(np.abs(effects[:, columns]) ** TRAIT_EXPONENT))


def _unit(weight: Floats) -> Floats:
    """Rows of root mean square 1 over their positive entries; rows of zeros stay."""
    count = np.maximum((weight > 0).sum(axis=1, keepdims=True), 1)
    size = np.sqrt((weight**2).sum(axis=1, keepdims=True) / count)
    return weight / np.where(size > 0, size, 1.0)


def _correlations(samples: FoldSamples) -> Floats:
    """Correlation of every trait with every variant, (T, m), missing values as the mean."""
    centred = np.nan_to_num(samples.traits - np.nanmean(samples.traits, axis=0))
    products = np.zeros((centred.shape[1], len(samples.center)))
    for start in range(0, len(samples.rows), 256):
        x = samples.store.block(samples.rows[start : start + 256], center=samples.center)
        products += centred[start : start + 256].T @ x
    spread = np.sqrt((centred**2).sum(axis=0))[:, None] * samples.sd * len(samples.rows) ** 0.5
    return np.divide(products, spread, out=np.zeros_like(products), where=spread > 0)
