"""The project's own promises: light imports, files that agree with one another."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest

import gp_elm

ROOT = Path(__file__).resolve().parent.parent


def python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_import_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'pandas', 'xarray', 'matplotlib', 'numba'}"
    assert python(f"import sys, gp_elm; print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_help_loads_no_torch() -> None:
    code = (
        "import sys\nfrom gp_elm.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    print('torch' in sys.modules)"
    )
    assert python(code).splitlines()[-1] == "False"


def test_classical_functions_load_no_torch() -> None:
    code = "import sys, gp_elm as ge; ge.read_plink, ge.linear_scan, ge.add_phenotypes, ge.to_anndata, ge.pl"
    assert python(f"{code}; print('torch' in sys.modules)") == "False"


@pytest.mark.parametrize("name", [n for n in gp_elm.__all__ if n != "__version__"])
def test_public_names_are_there_and_documented(name: str) -> None:
    assert (getattr(gp_elm, name).__doc__ or "").strip()
    assert name in dir(gp_elm)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        gp_elm.nothing  # noqa: B018


def test_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert gp_elm.__version__ == project["version"]
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "without"),
    [
        ("constraints.txt", {"pandas-plink"}),
        ("constraints-pandas-plink.txt", {"import-linter", "mypy", "pandas-stubs", "ruff"}),
    ],
)
def test_every_dependency_is_pinned(file: str, without: set[str]) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in text.splitlines() if "==" in line}
    needed = [re.split(r"[\[<>=!; ]", r)[0].lower() for r in distribution("gp-elm").requires or []]
    assert set(needed) - {"gp-elm"} - without <= pinned
    assert "torch==2.13.0\n" in text
    assert "/" not in "".join(line for line in text.splitlines() if not line.startswith("#"))


def test_ci_calls_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    commands = script.read_text(encoding="utf-8").splitlines()
    assert "make test" in commands
    assert "make test-pandas-plink" in commands
