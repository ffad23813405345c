"""Processes that run the engine in order to be killed: `python -m tests.victims` forks one for each line it reads.

One process pays for the imports; every victim is a process of its own, and SIGKILL leaves it no last word.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lineage import engine, rundir
from lineage.record import checkpoint
from lineage.record.store import FILE_NAME, Store
from tests.runs import SEED, lively

Point = Callable[[], None]


def die(*_: object, **__: object) -> None:
    """Die as by kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)


def patch(owner: Any, name: str, around: Callable[..., Any]) -> None:
    """Replace owner.name by around(original, *arguments)."""
    original = getattr(owner, name)
    setattr(owner, name, lambda *arguments, **options: around(original, *arguments, **options))


def renaming(suffix: str, *, before: bool, skip: int = 0) -> Point:
    """Die just before or after a file whose name ends so gets it; `skip` such files are let pass."""
    seen: list[object] = []

    def around(original: Callable[..., Any], source: Path, target: Path) -> Any:
        meant = str(target).endswith(suffix)
        seen.extend([target] if meant else [])
        if meant and before and len(seen) > skip:
            die()
        done = original(source, target)
        if meant and len(seen) > skip:
            die()
        return done

    return lambda: patch(Path, "replace", around)


def half_a_checkpoint() -> None:
    """Die in the middle of the second checkpoint's bytes."""
    written: list[int] = []

    def around(original: Callable[..., Any], file: Any, arrays: dict[str, Any], metadata: Any) -> Any:
        written.append(1)
        if len(written) == 2:
            original(file, dict(list(arrays.items())[::2]), metadata)
            file.flush()
            die()
        return original(file, arrays, metadata)

    patch(checkpoint, "_stream", around)


def in_a_transaction(signal_number: int = signal.SIGKILL) -> None:
    """Die, or stop, when all rows of the tenth round are inserted and none is committed."""

    def around(original: Callable[..., Any], store: Store, noted: checkpoint.CheckpointFile) -> Any:
        original(store, noted)
        if noted.round == 9:
            os.kill(os.getpid(), signal_number)

    patch(Store, "_insert_checkpoint", around)


def noting(event: str) -> Point:
    """Die before a line goes into the log."""

    def around(original: Callable[..., Any], directory: Path, what: str, **details: Any) -> Any:
        if what == event:
            die()
        return original(directory, what, **details)

    return lambda: patch(rundir, "note", around)


POINTS: dict[str, Point] = {
    "the database has no name yet": renaming(FILE_NAME, before=True),
    "the database just got its name": renaming(FILE_NAME, before=False),
    "a checkpoint is half written": half_a_checkpoint,
    "a checkpoint has no name yet": renaming(".ckpt", before=True, skip=1),
    "a checkpoint is there, its round is not": renaming(".ckpt", before=False, skip=1),
    "a round's transaction is not committed": in_a_transaction,
    "old checkpoints are not yet removed": lambda: patch(checkpoint, "prune_checkpoints", die),
    "the last round is written, the end is not": lambda: patch(Store, "commit_closed", die),
    "the end is written": noting("finished"),
    "the log is not yet folded into the file": lambda: patch(Store, "close", die),
}
"""Places where a kill would hurt most."""

PAUSE = "stopped in a transaction"
"""A victim that waits for SIGCONT instead."""


def run(order: dict[str, str]) -> None:
    """Start or resume the run of an order, with its point of death in place."""
    directory = Path(order["directory"])
    if order["point"] == PAUSE:
        in_a_transaction(signal.SIGSTOP)
    elif order["point"]:
        POINTS[order["point"]]()
    if order["do"] == "resume":
        with engine.resume(directory) as resumed:
            resumed.run()
    else:
        with engine.start(directory, lively(), SEED) as started:
            started.run()


def serve() -> None:
    """Fork a victim for each order; tell its pid, then how it ended."""
    print(json.dumps({"pid": os.getpid()}), flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run(json.loads(line))
                code = 0
            finally:
                os._exit(code)
        print(json.dumps({"pid": child}), flush=True)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    serve()
