"""The reference page of the result tables, rendered from the registry of their columns."""

from __future__ import annotations

import sys

from gp_elm.io.columns import FLAGS, SECTIONS, TABLES
from gp_elm.io.components import COMPONENTS


def render_tables_page() -> str:
    """Return the reference page of the result tables, ``docs/reference/tables.md``, as Markdown.

    Returns
    -------
    str
        The page; a test checks that the committed file is this text.
    """
    lines = [
        "# Result tables",
        "",
        "<!-- Made by gp_elm.io.columns_page from gp_elm.io.columns and gp_elm.io.components: change those. -->",
        "",
        "Every table is written as TSV and as Parquet with the same columns, except `variance`, which is",
        "TSV alone. Missing values are `NA`, numbers are written with every digit they have, and the",
        "columns stand in the order below. Effects are per copy of the effect allele (pairs: of each effect",
        "allele) on the trait's own scale; a haploid or inbred locus counts 0/1.",
        "",
        "`gp-elm gwas` and `gp-elm interactions` use all samples; in `gp-elm run` every column uses the",
        "discovery samples, except `heldout_*`.",
        "",
        "*Method* is the section of the method that defines the column: "
        + "; ".join(f"{section} {title}" for section, title in SECTIONS.items())
        + ".",
    ]
    about = {
        "variants": "One row per variant and trait, sorted by trait, chromosome and position (names in "
        "natural order: 2 before 10).",
        "pairs": "One row per reported pair and trait, sorted by trait and `elm_p_value`. Pairs above "
        "`--max-ld` stand in `pairs_ld`, with the same columns.",
        "ablation": "One row per predictor, pair and trait: what `pairs` would be with a lasso or a kernel in the "
        "network's place. Columns that concern the network or the classical tests alone are NA.",
        "variance": "One row per trait and component.",
    }
    for table, columns in TABLES.items():
        lines += ["", f"## {table}", "", about[table], ""]
        lines += ["| column | type | unit | meaning | method |", "|---|---|---|---|---|"]
        for column in columns:
            doc = column.doc if column.filled else f"{column.doc}. NA in this version"
            lines.append(f"| `{column.name}` | {column.dtype} | {column.unit} | {doc} | {column.section} |")
    lines += [
        "",
        "## Components",
        "",
        "Values of `component` in `variance`. A further yardstick is named `heldout_r2_`",
    ]
    lines += ["and its name.", "", "| component | unit | meaning | method |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {unit} | {doc} | {section} |" for name, (unit, doc, section) in COMPONENTS.items()
    ]
    lines += ["", "## Flags", "", "Words of the `flags` columns.", "", "| flag | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {doc} |" for name, doc in FLAGS.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render_tables_page())
