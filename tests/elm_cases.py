"""Small studies in memory for the tests of gp_elm.elm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gp_elm.elm.study import Study


class MemoryStore:
    """The store's interface over an array of raw dosages (n, m), -1 missing."""

    def __init__(self, raw):
        self.raw = raw

    def block(self, rows, *, columns=None, center=None, scale=None):
        raw = self.raw[rows] if columns is None else self.raw[np.ix_(rows, columns)]
        x = raw - (0.0 if center is None else center)
        x = np.where(raw < 0, 0.0, x)
        return (x if scale is None else x * scale).astype(np.float32)

    def moments(self, rows):
        raw = self.raw[rows]
        called = raw >= 0
        n = called.sum(0)
        mean = np.where(called, raw, 0).sum(0) / n
        sd = np.sqrt((np.where(called, raw - mean, 0.0) ** 2).sum(0) / n)
        return n.astype(float), mean, sd


@dataclass
class Form:
    """A quadratic form."""

    columns: np.ndarray
    linear: np.ndarray
    u: np.ndarray
    v: np.ndarray
    output: np.ndarray

    def __call__(self, x):
        return x @ self.linear.T + ((x @ self.u.T) * (x @ self.v.T)) @ self.output.T


def block_genotypes(rng, n, block_sizes, *, ploidy=2, missing=0.0):
    """Dosages with LD inside blocks and none between: (n, m) int8, and the blocks' labels."""
    parts, labels = [], []
    for label, size in enumerate(block_sizes):
        frequency = rng.uniform(0.2, 0.8)
        total = np.zeros((n, size), int)
        for _ in range(ploidy):
            haplotype = np.empty((n, size), int)
            haplotype[:, 0] = rng.random(n) < frequency
            for k in range(1, size):
                switch = rng.random(n) < 0.3
                haplotype[:, k] = np.where(switch, rng.random(n) < frequency, haplotype[:, k - 1])
            total += haplotype
        parts.append(total)
        labels += [label] * size
    raw = np.concatenate(parts, axis=1).astype(np.int8)
    if missing:
        raw[rng.random(raw.shape) < missing] = -1
    return raw, np.asarray(labels)


def random_form(rng, columns, *, n_traits=2, hidden=3):
    """A random quadratic form over some columns."""
    p = len(columns)
    return Form(
        np.asarray(columns),
        rng.normal(size=(n_traits, p)),
        rng.normal(size=(hidden, p)),
        rng.normal(size=(hidden, p)),
        rng.normal(size=(n_traits, hidden)),
    )


def make_study(rng, raw, blocks, traits, *, n_folds=3, covariates=None):
    """A study over all samples of an array."""
    store = MemoryStore(raw)
    rows = np.arange(raw.shape[0])
    _, mean, _ = store.moments(rows)
    ploidy = np.full(raw.shape[1], int(raw.max()))
    folds = rng.permutation(rows % n_folds)
    return Study(store, rows, mean, ploidy, blocks, traits, covariates, folds)


def reader(raw):
    """Raw dosages by block of variants."""
    return lambda start, stop: raw[:, start:stop]
