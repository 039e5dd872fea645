"""Write the reference pages that the code knows: `make docs`. A test checks that they are up to date."""

from __future__ import annotations

from pathlib import Path

from gp_elm.io.columns_page import render_tables_page
from gp_elm.schema import COHORT

FOLDER = Path(__file__).parent / "reference"
KINDS = {"i": "integer", "f": "float", "u": "unsigned integer", "U": "string", "O": "string"}


def data_model_page() -> str:
    """The variables of a cohort, from ``gp_elm.schema``."""
    lines = [
        "# Data model",
        "",
        "<!-- Made by docs/generate.py from gp_elm/schema.py; change that, not this page. -->",
        "",
        "A cohort is an `xarray.Dataset` with the names of sgkit and VCF Zarr. Dims: `samples`, `variants`, `contigs`,",
        "`traits`, `covariates`. `gp_elm.check_cohort` checks one.",
        "",
        "| variable | dims | type | needed | meaning |",
        "|---|---|---|---|---|",
    ]
    for name, variable in COHORT.items():
        kinds = " or ".join(dict.fromkeys(KINDS[k] for k in variable.kinds))
        needed = "yes" if variable.required else "no"
        lines.append(f"| `{name}` | {', '.join(variable.dims)} | {kinds} | {needed} | {variable.doc} |")
    return "\n".join(lines) + "\n"


def command_line_page() -> str:
    """The help of every command, from the command line itself."""
    from typer.main import get_command

    from gp_elm.cli import app

    group = get_command(app)
    lines = [
        "# Command line",
        "",
        "<!-- Made by docs/generate.py from gp_elm/cli*.py; change that, not this page. -->",
        "",
        "Errors that you can mend are one line on standard error, exit code 2. Interrupted runs exit with 130 and",
        "go on when the same command is given again.",
    ]
    for name, command in group.commands.items():
        context = command.make_context(f"gp-elm {name}", [], resilient_parsing=True, terminal_width=100)
        lines += ["", f"## gp-elm {name}", "", "```text", command.get_help(context).rstrip(), "```"]
    return "\n".join(lines) + "\n"


PAGES = {
    "data-model.md": data_model_page,
    "command-line.md": command_line_page,
    "tables.md": render_tables_page,
}

if __name__ == "__main__":
    for file, render in PAGES.items():
        (FOLDER / file).write_text(render(), encoding="utf-8")
