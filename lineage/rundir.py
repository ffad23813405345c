"""A run's directory: claimed before anything is written, locked while somebody writes, left clean on failure."""

import contextlib
import fcntl
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from arena.errors import ConfigError, EnvironmentFault
from lineage.record.store import FILE_NAME

LOCK_NAME = "run.lock"
LOG_NAME = "log.jsonl"
CONFIG_NAME = "config.toml"


@dataclass(frozen=True, slots=True)
class Claim:
    """A directory that is empty but for our lock."""

    directory: Path
    lock: "Lock"
    created: list[Path]  # directories that had to be made, deepest first

    def undo(self) -> None:
        """Leave everything as it was before: nothing half-written stays behind."""
        for path in list(self.directory.iterdir()) if self.directory.is_dir() else []:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        _remove(self.created)
        self.lock.release()


def claim(directory: Path) -> Claim:
    """Make an empty directory for a new run, and lock it.

    Raises ConfigError when it holds a run or anything else, EnvironmentFault when it cannot be made or locked.
    """
    _check_free(directory)
    created = [path for path in (directory, *directory.parents) if not path.exists()]
    lock: Lock | None = None
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = Lock(directory)
        _check_free(directory)  # nobody else came first
    except BaseException as error:
        if lock is not None:
            lock.release()
        _remove(created)  # they stay where somebody else has written into them
        if isinstance(error, OSError):
            cure = "choose another --out"
            raise EnvironmentFault(f"{directory}: cannot be created ({error.strerror}); {cure}") from error
        raise
    return Claim(directory, lock, created)


def _check_free(directory: Path) -> None:
    if (directory / FILE_NAME).exists():
        raise ConfigError(f"{directory}: holds a run already; continue it with `resume` or choose another --out")
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"{directory}: is a file; a run needs a directory of its own, choose another --out")
    if directory.is_dir() and any(path.name != LOCK_NAME for path in directory.iterdir()):
        raise ConfigError(f"{directory}: is not empty and holds no run; choose an empty or new directory for --out")


def _remove(directories: list[Path]) -> None:
    for path in directories:
        with contextlib.suppress(OSError):
            path.rmdir()


class Lock:
    """One writer a run: an advisory lock that the system drops when its owner dies."""

    def __init__(self, directory: Path) -> None:
        """Take the lock. Raises EnvironmentFault, naming the owner's pid, when somebody holds it."""
        path = directory / LOCK_NAME
        try:
            self._file: IO[str] = path.open("a+")
        except OSError as error:
            raise EnvironmentFault(f"{path}: {error.strerror}; a run needs a directory it may write to") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            owner = self._file.read().strip() or "unknown"
            self._file.close()
            raise EnvironmentFault(
                f"{directory}: process {owner} is writing this run; wait for it or stop it, a run has one writer"
            ) from None
        self._file.seek(0)
        self._file.truncate()
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let go."""
        self._file.close()


def note(directory: Path, event: str, **details: int | float | str) -> None:
    """Append one line to the run's log; wall-clock times live here and never in the ledger."""
    line = json.dumps({"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event, **details})
    try:
        with (directory / LOG_NAME).open("a") as log:
            log.write(line + "\n")
    except OSError as error:
        raise EnvironmentFault(f"{directory / LOG_NAME}: {error.strerror}; free space, then resume") from error


def write_text(path: Path, text: str) -> None:
    """Write a small file. Raises EnvironmentFault when the disk refuses."""
    try:
        path.write_text(text)
    except OSError as error:
        raise EnvironmentFault(f"{path}: {error.strerror}; free space or choose another --out") from error


def copy_file(source: Path, target: Path) -> None:
    """Copy a tape into the run's directory. Raises EnvironmentFault when the disk refuses."""
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise EnvironmentFault(f"{target}: {error.strerror}; free space or choose another --out") from error
