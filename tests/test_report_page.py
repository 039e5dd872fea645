from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from fake_results import fake_run, fake_tables

from gp_elm.errors import InputError
from gp_elm.io.columns import FLAGS
from gp_elm.io.tables import write_table
from gp_elm.report.page import report_folder, write_report
from gp_elm.report.sections import trait_section
from gp_elm.report.summary import summarise


class Page(HTMLParser):
    """Text, tags and ids of a page; raises where tags do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.ids += [str(given["id"])] if "id" in given else []
        self.links += [str(given[k]) for k in ("href", "src", "xlink:href") if k in given]
        if tag not in ("meta", "br", "link", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in ("meta", "br", "link", "img"):
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of two traits."""
    out = tmp_path_factory.mktemp("page") / "report.html"
    return write_report(fake_tables(["height", "weight"], m=600), fake_run(), out).read_text(encoding="utf-8")


def test_page_is_self_contained(html: str) -> None:
    page = Page(html)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    assert html.count("<svg") == html.count('role="img" aria-label="') == 2 + 2 * 8
    assert "prefers-color-scheme: dark" in html and "@media print" in html
    assert "#010203" not in html
    assert not re.search(r"\b(nan|None|NaN)\b", " ".join(page.text))


def test_pictures_are_the_same_twice(html: str) -> None:
    tables = fake_tables(["height", "weight"], m=600)
    section = trait_section(summarise(tables, fake_run())[1], tables, dpi=130, draw=True, number=1)
    assert len(section["figures"]) == 8
    assert all(figure["svg"] in html for figure in section["figures"])


def test_names_are_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gp_elm.report.page.DRAWN_TRAITS", 0)
    run = fake_run() | {"warnings": ["<script>alert(1)</script>"]}
    html = write_report(fake_tables(["a<b>&'c"], m=300), run, tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script>alert" not in html and "<b>&'c" not in html


def test_many_traits_are_folded_and_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gp_elm.report.page.DRAWN_TRAITS", 1)
    tables = fake_tables([f"t{k}" for k in range(8)], m=300)
    html = write_report(tables, fake_run(), tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<details>" in html and "<details open>" not in html
    assert "Without: " in html
    assert html.count("Manhattan, mirrored</h4>") == 1


def test_without_gwas_and_heldout_samples(tmp_path: Path) -> None:
    tables = fake_tables(["height"], m=300)
    gwas = [c for c in tables["variants"].columns if c.startswith("gwas_")]
    tables["variants"] = tables["variants"].assign(**dict.fromkeys(gwas, np.nan))
    rows = tables["variance"]["component"].str.startswith(("heldout", "calibration"))
    tables["variance"].loc[rows, ["estimate", "standard_error", "ci_lower", "ci_upper"]] = np.nan
    del tables["predictions"], tables["history"]
    page = Page(write_report(tables, {}, tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "No held-out prediction could be scored" in " ".join(page.text)


def test_from_the_files_of_a_run(tmp_path: Path) -> None:
    tables = fake_tables(["height"], m=300)
    for name in ("variants", "pairs", "ablation", "predictions"):
        write_table(tables[name], tmp_path / name)
    write_table(tables["variance"], tmp_path / "variance", parquet=False, compress=False)
    (tmp_path / "run.json").write_text(json.dumps(fake_run()), encoding="utf-8")
    (tmp_path / "model").mkdir()
    loops = [{"validation_loss": [1.0, 0.8, 0.7], "best_epoch": 2}]
    described = {"history": [{"seconds": 1.0, "loops": loops}]}
    (tmp_path / "model" / "options.json").write_text(json.dumps(described), encoding="utf-8")
    path = report_folder(tmp_path)
    assert path == tmp_path / "report.html"
    html = path.read_text(encoding="utf-8")
    assert "Training of the networks" in html and "The network predicts better than ridge, the lasso" in html
    assert "Pairs: the network adds to the same estimator" in html


def test_pairs_are_shown_with_every_doubt(html: str) -> None:
    text = " ".join(Page(html).text)
    for column in ("robust", "conditional", "scale", "(power)", "(by prior)", "(0.97)", "joint tagging"):
        assert column in text
    assert f"joint tagging</b>: {FLAGS['joint_tagging'].removeprefix('pairs: ')}" in html
    assert "No product lasso: 12,497,500 products are more than 20,000." in text
    assert "weight 0.62" in text and "fold networks alone" in text


def test_tables_of_the_first_version_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gp_elm.report.page.DRAWN_TRAITS", 0)
    tables = fake_tables(["height"], m=300)
    del tables["ablation"]
    new = ("robust", "scale", "conditional", "power", "prior", "weighted", "context")
    for name in ("variants", "pairs"):
        tables[name] = tables[name].drop(columns=[c for c in tables[name] if any(word in c for word in new)])
    kept = ~tables["variance"]["component"].str.contains("stack|fold_|kernel|gblup|ablation|scale|structure")
    tables["variance"] = tables["variance"][kept]
    page = Page(write_report(tables, {}, tmp_path / "r.html").read_text(encoding="utf-8"))
    assert not re.search(r"\b(nan|None|NaN)\b", " ".join(page.text))


def test_a_folder_without_tables_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs the table 'variants'"):
        report_folder(tmp_path)
