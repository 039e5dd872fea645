"""Benchmarks of many units, each finished one kept on disk, so that a broken run goes on where it stopped."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
from common import RESULTS

from gp_elm.runtime.atomic import atomic_path


def parse_arguments(description: str | None) -> argparse.Namespace:
    """Options that every script has; without any it runs the lot."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--workers", type=int, default=2, help="processes, one thread each")
    parser.add_argument("--only", default="", help="run only units whose name contains this")
    parser.add_argument(
        "--table", action="store_true", help="run nothing; print the table of what is finished"
    )
    parser.add_argument(
        "--figure", type=Path, help="write the figure to this file (where the script has one)"
    )
    return parser.parse_args()


def finished(
    name: str,
    units: dict[str, tuple[object, ...]],
    work: Callable[..., pd.DataFrame],
    arguments: argparse.Namespace,
) -> pd.DataFrame:
    """Run the units that are not finished, and return the rows of all finished ones.

    Parameters
    ----------
    name : str
        Results stand in ``results/science_<name>/<unit>.parquet``; a unit whose file is there is not run again.
    units : dict
        Arguments of ``work`` by unit.
    work : callable
        A module's function; it runs in a process of its own with one thread.
    arguments : Namespace
        From :func:`parse_arguments`.
    """
    folder = RESULTS / f"science_{name}"
    folder.mkdir(parents=True, exist_ok=True)
    if not arguments.table:
        wanted = {unit: given for unit, given in units.items() if arguments.only in unit}
        open_units = {u: given for u, given in wanted.items() if not (folder / f"{u}.parquet").exists()}
        for done, (unit, frame, seconds) in enumerate(_run(open_units, work, arguments.workers), start=1):
            with atomic_path(folder / f"{unit}.parquet") as path:
                frame.assign(seconds=seconds).to_parquet(path)
            print(f"{done}/{len(open_units)} {unit}: {seconds:.1f} s", flush=True)
    found = [
        pd.read_parquet(path).assign(unit=unit)
        for unit in units
        if (path := folder / f"{unit}.parquet").exists()
    ]
    print(f"{name}: {len(found)} of {len(units)} units finished")
    if not found:
        raise SystemExit("nothing to show yet")
    return pd.concat(found, ignore_index=True)


def _run(
    units: dict[str, tuple[object, ...]], work: Callable[..., pd.DataFrame], workers: int
) -> Iterator[tuple[str, pd.DataFrame, float]]:
    # Each process is started anew, so that it reads the number of threads before numpy and torch do.
    os.environ.update(
        {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")}
    )
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(_timed, work, given): unit for unit, given in units.items()}
        for done in as_completed(waiting):
            frame, seconds = done.result()
            yield waiting[done], frame, seconds


def _timed(work: Callable[..., pd.DataFrame], given: tuple[object, ...]) -> tuple[pd.DataFrame, float]:
    began = time.perf_counter()
    frame = work(*given)
    return frame, time.perf_counter() - began
