"""A run's directory: claimed before anything is written, locked while somebody writes, left clean on failure."""

import fcntl
import json
import os
import shutil
import time
from pathlib import Path
from typing import IO

from arena.errors import ConfigError, EnvironmentFault
from lineage.record.store import FILE_NAME

LOCK_NAME = "run.lock"
LOG_NAME = "log.jsonl"
CONFIG_NAME = "config.toml"


def claim(directory: Path) -> bool:
    """Make an empty directory for a new run; return whether it had to be created.

    Raises ConfigError when it holds a run or anything else, EnvironmentFault when it cannot be made.
    """
    if (directory / FILE_NAME).exists():
        raise ConfigError(f"{directory}: holds a run already; continue it with `resume` or choose another --out")
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"{directory}: is a file; a run needs a directory of its own, choose another --out")
    if directory.is_dir() and any(directory.iterdir()):
        raise ConfigError(f"{directory}: is not empty and holds no run; choose an empty or new directory for --out")
    if directory.is_dir():
        return False
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise EnvironmentFault(f"{directory}: cannot be created ({error.strerror}); choose another --out") from error
    return True


def unclaim(directory: Path, created: bool) -> None:
    """Undo `claim` after a failed start: nothing half-written stays behind."""
    for path in list(directory.iterdir()) if directory.is_dir() else []:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    if created:
        directory.rmdir()


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
