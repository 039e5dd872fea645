"""Files that are either whole or not there: written under a temporary name, then moved into place."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gp_elm.errors import OutputError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
}
# the operating system's own words, for libraries that raise an OSError without its number
_FULL_WORDS = ("No space left on device", "Disk quota exceeded")


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`, and move what was written there to `path` on success.

    The temporary name ends like `path`, so that writers that look at the suffix work. What is written may
    be a file or a folder; it is flushed to the disk before it is moved. On any error it is removed and
    `path` is left as it was.

    Parameters
    ----------
    path : path-like
        Where the file or folder shall stand; missing parent folders are made.

    Yields
    ------
    pathlib.Path
        Where to write. Nothing stands there yet.

    Raises
    ------
    OutputError
        Where the disk is full, or the place cannot be written to.
    """
    target = Path(path)
    # a folder of its own keeps the file's name whole, and one removal cleans up whatever a writer left there
    holder: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        holder = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}.", suffix=".partial", dir=target.parent))
        temporary = holder / target.name
        yield temporary
        if not temporary.exists():
            raise OutputError(
                f"nothing was written for {target}; this is a fault of gp_elm, please report it"
            )
        _flush(temporary)
        _move(temporary, target, holder)
        _flush_folder(target.parent)
    except OSError as error:
        explained = explain_os_error(error, target)
        if explained is None or not _is_ours(error, target, holder):
            raise
        raise explained from error
    finally:
        if holder is not None:
            shutil.rmtree(holder, ignore_errors=True)


def explain_os_error(error: OSError, path: str | os.PathLike[str]) -> OutputError | None:
    """Turn an operating-system error met while writing into one line with a remedy.

    Parameters
    ----------
    error : OSError
        What was raised.
    path : path-like
        The file that was being written.

    Returns
    -------
    OutputError or None
        None where the error has nothing to do with the place that is written to.
    """
    if error.errno in _FULL or any(words in str(error) for words in _FULL_WORDS):
        return OutputError(
            f"{path}: the disk is full; nothing was left half-written. Free some space or choose another "
            "--out, then run the same command again"
        )
    if error.errno in _REFUSED:
        reason = error.strerror or str(error)
        return OutputError(f"{path}: cannot be written ({reason}); choose another --out")
    return None


def _is_ours(error: OSError, target: Path, holder: Path | None) -> bool:
    # an input file that cannot be read while the output is being written is not the output's fault
    if holder is None or not isinstance(error.filename, str):
        return True
    named = Path(error.filename).absolute()
    return target.absolute().is_relative_to(named) or named.is_relative_to(holder.absolute())


def _move(temporary: Path, target: Path, holder: Path) -> None:
    # os.replace does not replace a folder that holds something
    if target.is_dir() and temporary.is_dir():
        aside = holder / ".replaced"
        os.replace(target, aside)
        try:
            os.replace(temporary, target)
        except OSError:
            os.replace(aside, target)
            raise
    else:
        os.replace(temporary, target)


def _flush(path: Path) -> None:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    for file in files:
        with open(file, "rb") as handle:
            os.fsync(handle.fileno())


def _flush_folder(folder: Path) -> None:
    # the new name itself must reach the disk; some network file systems refuse this
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
