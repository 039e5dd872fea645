"""Packages of an extra: imported where they are needed, with the line to type where they are missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from gp_elm.errors import OptionError


def require(package: str, *, extra: str, purpose: str) -> ModuleType:
    """Import a package that only an extra of gp-elm installs.

    Parameters
    ----------
    package : str
        Name to import.
    extra : str
        The extra that installs it.
    purpose : str
        What it is needed for, such as ``"PGEN files"``.

    Returns
    -------
    module
        The package.

    Raises
    ------
    OptionError
        Where it is not installed, or does not load.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        found = "is not installed" if isinstance(error, ModuleNotFoundError) else f"does not load ({error})"
        raise OptionError(
            f"{purpose} need the package {package}, which {found}; type: pip install 'gp-elm[{extra}]'"
        ) from error
