from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from fake_results import fake_run, fake_tables, variants_table

from gp_elm.errors import InputError
from gp_elm.io.tables import write_table
from gp_elm.report.page import report_folder, write_report
from gp_elm.report.summary import count_variants, summarise
from gp_elm.report.verdict import of_run


def words(tables: dict, run: dict | None = None) -> list[str]:
    return [s.text.replace("\u00a0", " ") for s in of_run(summarise(tables, run or fake_run()))]


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


def test_page_is_self_contained(tmp_path: Path) -> None:
    path = write_report(fake_tables(["height", "weight"], m=600), fake_run(), tmp_path / "report.html")
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    assert html.count("<svg") == html.count('role="img" aria-label="') == 2 + 2 * 8
    assert "prefers-color-scheme: dark" in html and "@media print" in html
    assert "#010203" not in html
    assert not re.search(r"\b(nan|None|NaN)\b", " ".join(page.text))


def test_page_is_the_same_twice(tmp_path: Path) -> None:
    tables = fake_tables(["height"], m=400)
    pages = [write_report(tables, fake_run(), tmp_path / f"{k}.html").read_bytes() for k in range(2)]
    assert pages[0] == pages[1]


def test_names_are_escaped(tmp_path: Path) -> None:
    run = fake_run() | {"warnings": ["<script>alert(1)</script>"]}
    html = write_report(fake_tables(["a<b>&'c"], m=300), run, tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script>alert" not in html and "<b>&'c" not in html


def test_many_traits_are_folded_and_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gp_elm.report.page.DRAWN_TRAITS", 2)
    tables = fake_tables([f"t{k}" for k in range(8)], m=300)
    html = write_report(tables, fake_run(), tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<details>" in html and "<details open>" not in html
    assert "Without: " in html
    assert html.count("Manhattan, mirrored</h4>") == 2


def test_a_better_network_is_said_first() -> None:
    first = words(fake_tables(["height"], m=300, gain=0.05))[0]
    assert first.startswith("The network predicts better than ridge and lasso.")
    assert "47.0 % of the variance; ridge 42.0 % and lasso 43.2 %" in first
    assert "+5.0 points (95 % interval +2.6 to +7.4)" in first


def test_a_network_that_adds_nothing_is_said_first() -> None:
    first = words(fake_tables(["height"], m=300, gain=0.01))[0]
    assert first.startswith(
        "The network adds nothing beyond ridge and lasso that these held-out samples can show."
    )
    assert "−1.4 to +3.4" in first
    assert words(fake_tables(["height"], m=300, gain=-0.05))[0].startswith(
        "The network predicts worse than ridge and lasso."
    )


def test_a_network_below_the_lasso_is_said() -> None:
    tables = fake_tables(["height"], m=300, gain=0.05)
    tables["variance"].loc[tables["variance"]["component"] == "heldout_r2_lasso", "estimate"] = 0.9
    tables["variance"] = tables["variance"][tables["variance"]["component"] != "heldout_r2_difference_lasso"]
    assert words(tables)[0].startswith("The network predicts no better than the lasso.")


def test_no_elm_result_comes_before_everything() -> None:
    one = words(fake_tables(["height"], m=300, weight=0.0))
    assert one[0].startswith("This is no ELM result: the data gave the network weight 0")
    many = words(fake_tables(["height", "weight"], m=300, weight=0.0))
    assert many[0].startswith("This run is no ELM result")


def test_a_network_that_lives_on_the_lasso_is_no_elm_result() -> None:
    one = words(fake_tables(["height"], m=300, gain=0.01, slope=0.1))
    assert one[0].startswith("This is no ELM result: the network lives on its linear part.")
    many = words(fake_tables(["height", "weight"], m=300, gain=0.01, slope=0.1))
    assert many[0].startswith("In every trait the network lives on its linear part and this is no ELM result")


def test_pairs_without_weight_are_the_classical_ones() -> None:
    tables = fake_tables(["height"], m=300)
    rows = tables["variance"]["component"] == "network_weight_pairs"
    tables["variance"].loc[rows, "estimate"] = 0.0
    assert "these are the pairs of the classical test" in " ".join(words(tables))


def test_unsupported_interactions_are_said() -> None:
    text = " ".join(words(fake_tables(["height"], m=300, slope=0.1)))
    assert (
        "interactions are not supported by the held-out samples: their slope is 0.10 (−0.14 to 0.34)" in text
    )


def test_structure_is_said() -> None:
    assert any(
        "structured: the population check is 2.30" in t
        for t in words(fake_tables(["h"], m=300, population=2.3))
    )
    assert not any("structured" in t for t in words(fake_tables(["h"], m=300, population=1.02)))


def test_interactions_are_counted() -> None:
    text = " ".join(words(fake_tables(["height"], m=300)))
    assert (
        "8 interactions at a 5 % false discovery rate (8 after Bonferroni, 12,497,500 pairs tested)" in text
    )
    assert "6 replicated in the held-out samples, 2 did not" in text
    tables = fake_tables(["height"], m=300)
    tables["pairs"] = tables["pairs"].iloc[:0]
    run = fake_run() | {"pairs_tested": {"height": 1000}}
    assert "No interaction at a 5 % false discovery rate among 1,000 pairs tested." in words(tables, run)


def test_regions_join_neighbours() -> None:
    frame = variants_table(400, ["t"])
    frame["base_pair_location"] = np.arange(400) * 50_000 + 1
    frame["chromosome"] = "1"
    q = np.ones(400)
    q[[10, 11, 13, 200, 201, 390]] = 0.01
    counts = count_variants(frame.assign(gwas_q_value=q), "gwas_")
    assert (counts.fdr, counts.regions) == (6, 3)
    loose = count_variants(frame.assign(gwas_q_value=q, base_pair_location=0), "gwas_")
    assert loose.regions == 6


def test_without_gwas_and_heldout_samples(tmp_path: Path) -> None:
    tables = fake_tables(["height"], m=300)
    gwas = [c for c in tables["variants"].columns if c.startswith("gwas_")]
    tables["variants"] = tables["variants"].assign(**dict.fromkeys(gwas, np.nan))
    rows = tables["variance"]["component"].str.startswith(("heldout", "calibration"))
    tables["variance"].loc[rows, ["estimate", "standard_error", "ci_lower", "ci_upper"]] = np.nan
    del tables["predictions"], tables["history"]
    text = " ".join(words(tables))
    assert "No held-out prediction could be scored" in text
    Page(write_report(tables, {}, tmp_path / "r.html").read_text(encoding="utf-8"))


def test_from_the_files_of_a_run(tmp_path: Path) -> None:
    tables = fake_tables(["height"], m=300)
    for name in ("variants", "pairs", "predictions"):
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
    assert "Training of the networks" in html and "The network predicts better than ridge and lasso" in html


def test_a_folder_without_tables_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs the table 'variants'"):
        report_folder(tmp_path)
