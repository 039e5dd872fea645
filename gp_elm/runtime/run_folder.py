"""The folder of a run: claimed by one set of options and inputs, filled stage by stage, resumed."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gp_elm.errors import OutputError
from gp_elm.runtime.atomic import atomic_path, explain_os_error

logger = logging.getLogger(__name__)
_WORK, _KEY = "work", "key.json"


class RunFolder:
    """Results folder of one run.

    Parameters
    ----------
    path : path-like
        The folder; made where it is not there.
    identity : mapping
        Options and input fingerprints (JSON values): what makes this run this run.
    overwrite : bool
        Remove another run's files first.

    Raises
    ------
    OutputError
        Where the folder holds another run, or files that no run wrote, or cannot be written.
    """

    def __init__(
        self, path: str | os.PathLike[str], identity: Mapping[str, Any], *, overwrite: bool = False
    ) -> None:
        self.path = Path(path)
        text = json.dumps(identity, sort_keys=True, default=str)
        self.key = hashlib.sha256(text.encode()).hexdigest()[:16]
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"{self.path} is a file; give a folder as --out")
        self._claim(identity, overwrite)

    @property
    def work(self) -> Path:
        """Where unfinished work is kept."""
        return self.path / _WORK

    def _claim(self, identity: Mapping[str, Any], overwrite: bool) -> None:
        there = sorted(p.name for p in self.path.iterdir()) if self.path.exists() else []
        # A full disk or a kill before the key was written leaves a work folder without files behind.
        if there == [_WORK] and all(p.name.endswith(".partial") for p in self.work.iterdir()):
            there = []
        if there:
            found = self._found_key()
            if found is not None and found.get("key") == self.key:
                logger.info("resuming the run in %s", self.path)
                for left in list(self.path.rglob(".*.partial")):  # what a killed process was writing
                    shutil.rmtree(left, ignore_errors=True)
                return
            if not overwrite:
                if found is None:
                    raise OutputError(
                        f"{self.path} holds files that no gp-elm run wrote ({there[0]}); choose another --out"
                    )
                changed = _difference(
                    found.get("identity", {}), json.loads(json.dumps(identity, default=str))
                )
                raise OutputError(
                    f"{self.path} holds another run (it differs in {changed}); choose another --out, "
                    "or add --overwrite to replace it"
                )
            if found is None:
                raise OutputError(
                    f"{self.path} holds files that no gp-elm run wrote ({there[0]}); they are left alone"
                )
            for entry in self.path.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        try:
            self.work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_os_error(error, self.path) or error from error
        with atomic_path(self.work / _KEY) as temporary:
            temporary.write_text(json.dumps({"key": self.key, "identity": identity}, indent=1, default=str))

    def _found_key(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads((self.work / _KEY).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found

    def stage(
        self, name: str, compute: Callable[[Path], None], *, finished: Callable[[Path], bool] = Path.exists
    ) -> Path:
        """Run a stage that fills a folder, unless it is there already.

        Parameters
        ----------
        name : str
            Name of the stage.
        compute : callable
            Fills the (empty, temporary) folder that it is given.
        finished : callable
            Whether the folder is complete.

        Returns
        -------
        Path
            The stage's folder.
        """
        target = self.work / name
        if finished(target):
            logger.info("%s: already done", name)
            return target
        began = time.perf_counter()
        with atomic_path(target) as temporary:
            temporary.mkdir()
            compute(temporary)
            seconds = time.perf_counter() - began
            (temporary / "seconds").write_text(f"{seconds:.3f}")
        logger.info("%s: %.1f s", name, seconds)
        return target

    def seconds(self) -> dict[str, float]:
        """Seconds of each finished stage."""
        return {p.parent.name: float(p.read_text()) for p in sorted(self.work.glob("*/seconds"))}


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Names of the options and inputs in which two runs differ."""
    flat_old, flat_new = _flat(old), _flat(new)
    names = [n for n in {**flat_old, **flat_new} if flat_old.get(n) != flat_new.get(n)]
    return ", ".join(names[:4]) + (" and more" if len(names) > 4 else "") if names else "its version"


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, Mapping):
            out |= _flat(item, f"{prefix}{name}.")
        else:
            out[f"{prefix}{name}"] = item
    return out
