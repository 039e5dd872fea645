"""An epoch from the store beside one from memory, from dask and from AnnData; bytes read a sample; cost of decoding.

One process, one network (a first layer of 256 units), Adam, batches of 128. The same batches from a float32 tensor in
memory and from the store take turns, four at a time; the ratio is the median over the epochs. dask reads a Zarr array
of int8 in chunks of 64 samples, AnnData's AnnLoader a backed h5ad of int8, both shuffled; as they are slow, they are
asked for some batches only. Bytes are those that the system fetched from the disk (/proc/self/io), the file's pages
being dropped from memory before every batch, as they would be where the file is larger than memory.

    python benchmarks/stream.py --folder /a/disk/with/2/GB
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median

import anndata
import dask.array as da
import numpy as np
import pandas as pd
import torch
from common import write_bed
from torch import Tensor, nn

import gp_elm as ge
from gp_elm.models.feed import Feed
from gp_elm.streaming import loader
from gp_elm.streaming.store import Store, write_store

BATCH, HIDDEN = 128, 256
TURN = 4  # batches
OTHERS = 6  # batches asked of the slow loaders
Batches = Iterator[tuple[np.ndarray, Tensor]]


class TimedFeed(Feed):
    """Adds up the seconds of decoding."""

    seconds = 0.0

    def _decode(self, packed: np.ndarray) -> Tensor:
        began = time.perf_counter()
        z = super()._decode(packed)
        self.seconds += time.perf_counter() - began
        return z


class Learner:
    """The network and its step."""

    def __init__(self, n_inputs: int, trait: Tensor) -> None:
        torch.manual_seed(1)
        self.module = nn.Sequential(nn.Linear(n_inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))
        self.optimiser = torch.optim.Adam(self.module.parameters(), lr=1e-4, fused=True)
        self.trait = trait

    def learn(self, batches: Batches) -> tuple[float, float, int]:
        """Seconds, processor seconds and samples of some batches."""
        began, processor, n = time.perf_counter(), time.process_time(), 0
        for index, z in batches:
            loss = (self.module(z)[:, 0] - self.trait[torch.from_numpy(index)]).square().mean()
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            n += len(index)
        return time.perf_counter() - began, time.process_time() - processor, n


def write_others(store: Store, folder: Path) -> None:
    """The int8 matrix (samples, variants) as Zarr and as h5ad, without holding it."""
    import zarr

    n, m = store.n_samples, store.n_variants
    table = np.tile(np.float32([0, 1, 2, -1]), (m, 1))
    array = zarr.create_array(folder / "x.zarr", shape=(n, m), chunks=(64, m), dtype="int8", overwrite=True)
    for start in range(0, n, 64):
        array[start : start + 64] = store.unpack(np.arange(start, min(start + 64, n)), None, table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = [pd.DataFrame(index=[f"{kind}{i}" for i in range(k)]) for kind, k in (("s", n), ("v", m))]
        anndata.AnnData(array[:], *names).write_h5ad(folder / "x.h5ad")


def standardise(calls: Tensor, center: Tensor, scale: Tensor) -> Tensor:
    return ((calls - center) * scale).masked_fill_(calls < 0, 0.0)


def from_dask(folder: Path, center: Tensor, scale: Tensor) -> Batches:
    rows = da.from_zarr(str(folder / "x.zarr"))
    order = np.random.default_rng(1).permutation(len(rows))
    for start in range(0, OTHERS * BATCH, BATCH):
        index = order[start : start + BATCH]
        yield index, standardise(torch.from_numpy(rows[index].compute()).float(), center, scale)


def from_anndata(folder: Path, center: Tensor, scale: Tensor) -> Batches:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from anndata.experimental import AnnLoader

        adata = anndata.read_h5ad(folder / "x.h5ad", backed="r")
        batches = iter(AnnLoader(adata, batch_size=BATCH, shuffle=True))
        for _ in range(OTHERS):
            batch = next(batches)
            yield (
                adata.obs_names.get_indexer(batch.obs_names),
                standardise(torch.as_tensor(batch.X).float(), center, scale),
            )


def bytes_read(path: Path, steps: Iterator[object]) -> int:
    """Bytes fetched from the disk, the file's pages being dropped before each step."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)

    def counter() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("read_bytes")))

    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    before = counter()
    for _ in steps:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    return counter() - before


def report_bytes(store: Store, small_window: int) -> None:
    """Bytes a sample of an epoch over all samples, and over a random 70 % of them, in windows."""
    rng = np.random.default_rng(1)
    kept_window = loader.WINDOW_BYTES
    for share in (1.0, 0.7):
        rows = np.sort(rng.permutation(store.n_samples)[: int(share * store.n_samples)])
        for window in (kept_window, small_window):
            loader.WINDOW_BYTES = window
            epoch = loader.batches(store, rows, batch_size=BATCH, seed=1, epoch=0)
            found = bytes_read(store.path / "genotypes.bed", epoch) / len(rows)
            print(
                f"bytes read a sample, {share:.0%} of the samples, windows of {window >> 20} MiB: {found:,.0f}, "
                f"{found / (store.n_variants / 4):.3f} of the two-bit floor",
                flush=True,
            )
    loader.WINDOW_BYTES = kept_window


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--variants", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=given.folder) as holder:
        folder = Path(holder)
        prefix = write_bed(folder / "c", given.samples, given.variants)
        store = write_store(ge.read_plink(prefix), folder / "store")
        write_others(store, folder)
        report_bytes(store, 4 << 20)

        everyone = np.arange(store.n_samples)
        _, center, sd = store.moments(everyone)
        inputs = {"columns": np.arange(store.n_variants), "center": center, "scale": 1 / sd}
        memory = Feed(store, everyone, **inputs, resident_bytes=1 << 40)
        stream = TimedFeed(store, everyone, **inputs, resident_bytes=0)
        learner = Learner(store.n_variants, torch.randn(store.n_samples))
        epochs = {
            name: (lambda k, feed=feed: feed.epoch(everyone, batch_size=BATCH, seed=1, epoch=k))
            for name, feed in (("memory", memory), ("store", stream))
        }
        learner.learn(list(stream.epoch(everyone[:256], batch_size=BATCH, seed=1, epoch=0)))
        ratios, processor, shares, rates = [], [], [], {"memory": [], "store": []}
        for k in range(given.rounds):
            spent, cpu, n = dict.fromkeys(epochs, 0.0), dict.fromkeys(epochs, 0.0), 0
            stream.seconds = 0.0
            running = {name: epoch(k) for name, epoch in epochs.items()}
            for turn in range(-(-store.n_samples // (TURN * BATCH))):
                for name in list(running)[:: 1 if turn % 2 else -1]:
                    seconds, processor_seconds, count = learner.learn(islice(running[name], TURN))
                    spent[name] += seconds
                    cpu[name] += processor_seconds
                n += count
            for name in epochs:
                rates[name].append(n / spent[name])
            ratios.append(spent["memory"] / spent["store"])
            processor.append(cpu["memory"] / cpu["store"])
            shares.append(stream.seconds / spent["store"])
        print(f"epoch from memory: {median(rates['memory']):,.0f} samples/s")
        print(f"epoch from the store: {median(rates['store']):,.0f} samples/s")
        print(f"store over memory: {median(ratios):.3f} (each epoch: {' '.join(f'{r:.2f}' for r in ratios)})")
        print(f"  in processor time, threads that read ahead included: {median(processor):.3f}")
        print(f"decoding: {median(shares):.1%} of the epoch from the store", flush=True)

        tensors = [torch.from_numpy(x.astype(np.float32)) for x in (center, 1 / sd)]
        loaders = {
            "dask": lambda: from_dask(folder, *tensors),
            "AnnLoader": lambda: from_anndata(folder, *tensors),
            "store": lambda: epochs["store"](0),
        }
        with_network, loading, per_processor = {}, {}, {}
        for name, make in loaders.items():
            seconds, _, n = learner.learn(make())
            with_network[name] = n / seconds
            alone = []
            for _ in range(3):
                began, processor_began = time.perf_counter(), time.process_time()
                n = sum(len(index) for index, _ in make())
                alone.append((n / (time.perf_counter() - began), n / (time.process_time() - processor_began)))
            loading[name], per_processor[name] = np.median(alone, axis=0)
            print(
                f"{name}: {with_network[name]:,.0f} samples/s with the network, {loading[name]:,.0f} without, "
                f"{per_processor[name]:,.0f} a processor second without",
                flush=True,
            )
        for what, rate in (
            ("with the network", with_network),
            ("without", loading),
            ("without, by processor second", per_processor),
        ):
            best = max(("dask", "AnnLoader"), key=rate.__getitem__)
            print(f"store over {best}, {what}: {rate['store'] / rate[best]:.1f}")


if __name__ == "__main__":
    main()
