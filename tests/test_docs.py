"""Every gp-elm command and Python snippet of README and docs runs, on small cohorts with the names that they use."""

from __future__ import annotations

import gc
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# in this order, in one folder: later pages use the results of earlier ones
PAGES = [
    "README.md",
    "docs/tutorial/first-run.md",
    "docs/how-to/your-own-cohort.md",
    "docs/how-to/cohort-files.md",
    "docs/how-to/believe-a-pair.md",
    "docs/how-to/related-samples.md",
    "docs/how-to/anndata.md",
]


def snippets(page: str) -> list[tuple[str, str]]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```(sh|python)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from gp_elm.simulate import simulate

    base = tmp_path_factory.mktemp("docs")
    (base / "example_data").mkdir()
    simulate(
        base / "example_data" / "example", n_samples=300, n_variants=40, n_chromosomes=2, block_variants=5,
        minimum_frequency=0.1, maximum_frequency=0.9, family_fraction=0.2, family_size=4, n_traits=2, n_additive=4,
        additive_variance=0.4, additive_by_additive_variance=0.2, n_pairs=2, covariate_variance=0.1, seed=1,
    )  # fmt: skip
    names = {"pheno.tsv": "traits.tsv", "covar.tsv": "covariates.tsv", "groups.tsv": "groups.tsv"}
    names |= {s: f"cohort.{s}" for s in ("bed", "bim", "fam")}
    for suffix, name in names.items():
        shutil.copy(base / "example_data" / f"example.{suffix}", base / name)
    formats = {"calls.vcf.gz": "panel.vcf.gz", "calls8.bgen": "panel.bgen", "calls8.sample": "panel.sample"}
    formats |= {f"calls.{s}": f"panel.{s}" for s in ("pgen", "pvar", "psam")} | {
        "trait.tsv": "panel.traits.tsv"
    }
    for name, copy in formats.items():
        shutil.copy(ROOT / "tests" / "data" / "formats" / name, base / copy)
    return base


@pytest.fixture
def quick(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In that folder, with networks trained for a moment and few pictures: whether commands run is asked here."""
    import matplotlib.pyplot as plt

    from gp_elm.models import recipe

    short = replace(recipe.HEREDITY.schedule, epochs=2)
    default = replace(recipe.HEREDITY, members=1, schedule=short, trait_schedule=short)
    monkeypatch.setattr(recipe, "HEREDITY", default)
    monkeypatch.setattr("gp_elm.report.page.DRAWN_TRAITS", 1)
    monkeypatch.chdir(folder)
    yield
    plt.close("all")


# One process for all pages: each start of its own would load torch again, three seconds a command.
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("quick")
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
def test_page_runs(page: str) -> None:
    from gp_elm.cli import main

    names: dict[str, object] = {"__name__": page}
    for language, text in snippets(page):
        if language == "python":
            exec(compile(text, page, "exec"), names)
            continue
        for line in text.replace("\\\n", " ").splitlines():
            if line.startswith("gp-elm"):
                with pytest.raises(SystemExit) as stop:
                    main(shlex.split(line, comments=True)[1:])
                assert not stop.value.code, line
    # what a snippet leaves to the end of the process, such as a temporary store, ends here
    names.clear()
    gc.collect()


def test_every_page_with_snippets_is_run() -> None:
    pages = [p.relative_to(ROOT).as_posix() for p in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]]
    # the snippet of the store runs in test_streaming_store.py
    assert {p for p in pages if snippets(p)} == {*PAGES, "docs/reference/store.md"}


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_options_named_in_the_docs_exist() -> None:
    known = set(
        re.findall(r"--[a-z0-9-]+", (ROOT / "docs/reference/command-line.md").read_text(encoding="utf-8"))
    )
    foreign = {"--export", "--freq", "--glm", "--make-bed", "--nproc-per-node", "--repeats"}  # PLINK 2's
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", page.read_text(encoding="utf-8")))
        assert named <= known | foreign, page


def test_generated_pages_are_up_to_date() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        from generate import FOLDER, PAGES
    finally:
        sys.path.pop(0)
    for file, render in PAGES.items():
        assert (FOLDER / file).read_text(encoding="utf-8") == render(), f"{file} is stale: run `make docs`"
