"""The command line: commands, messages, exit codes. What they do stands in the modules that they call."""

from __future__ import annotations

import sys

import typer

# each registers its commands, in the order of the help page
from gp_elm import cli_analysis, cli_files
from gp_elm.cli_app import app
from gp_elm.cli_options import join_plink_words
from gp_elm.errors import GpElmError

_INTERRUPTED = 130
__all__ = ["app", "cli_analysis", "cli_files", "main"]


def main(arguments: list[str] | None = None) -> None:
    """Entry point: one line on errors that a user can mend, exit code 2."""
    try:
        code = app(join_plink_words(sys.argv[1:] if arguments is None else arguments), standalone_mode=False)
        if code == _INTERRUPTED:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt
        sys.exit(int(code or 0))
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except (GpElmError, OSError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on from here", _INTERRUPTED)
    except Exception as error:
        # click's usage errors know how to show themselves; anything else is a fault of ours and keeps its traceback
        if hasattr(error, "format_message"):
            context = getattr(error, "ctx", None)
            asked = context.command_path if context is not None else "gp-elm"
            _fail(f"{error.format_message()} (see {asked} --help)")
        raise


def _fail(message: str, code: int = 2) -> None:
    sys.stderr.write(f"gp-elm: {' '.join(message.split())}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
