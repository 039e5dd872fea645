"""Errors that a user can mend: each message says what was found, where, and what to do."""

from __future__ import annotations


class GpElmError(ValueError):
    """Base of every error about input, options or output; the command line prints it as one line, exit code 2."""


class InputError(GpElmError):
    """A file or table that cannot be used as it is."""


class OptionError(GpElmError):
    """An option, or a combination of options, that makes no sense for this cohort."""


class OutputError(GpElmError):
    """Results cannot be written where they were asked for."""


class NetworkError(GpElmError):
    """A network that equivalent linear mapping cannot be applied to."""
