"""Shared by all tests: one thread a process, where the data stand, matplotlib without a display."""
# ruff: noqa: E402

from __future__ import annotations

import logging
import os

# before numpy and torch are imported: BLAS threads of several test processes only wait for one another
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile(
    "gp_elm", deadline=None, max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("gp_elm")


@pytest.fixture(autouse=True)
def package_log() -> None:
    """The package's log as a program finds it that imports the package, whatever a command did to it before."""
    package = logging.getLogger("gp_elm")
    package.handlers.clear()
    package.propagate = True
    package.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the real data sets: $GP_ELM_DATA, or shared/data beside the checkout."""
    folder = Path(os.environ.get("GP_ELM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}; set GP_ELM_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def example_data() -> Path:
    """Folder of the example cohort that the project ships."""
    return ROOT / "example_data"
