"""Sweeps: the same seeds under every variant of a configuration, one run directory each, resumable run by run.

A run is recognised by its configuration, seed and build, never by its directory's name. One at a time they are played
in this process; several at a time each in a process of its own. One that fails takes no other with it.
"""

import contextlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from arena.errors import ArenaError, EnvironmentFault, StoreError
from lineage import rundir
from lineage.config import RunConfig, to_plain
from lineage.contest.sweep_plan import Plan, Task
from lineage.record.checkpoint import DIRECTORY as CHECKPOINTS
from lineage.record.digests import config_text
from lineage.record.genesis import RunRow, run_row
from lineage.record.provenance import versions
from lineage.record.store import FILE_NAME, Store

_POLL_SECONDS: Final = 0.1

Status = Literal["finished", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class Done:
    """How a run of a sweep ended."""

    task: Task
    status: Status
    reason: str = ""  # of a failure, in one line
    exit_code: int = 0


def run_sweep(
    plan: Plan, root: Path, jobs: int, should_stop: Callable[[], bool], on_done: Callable[[Done], None]
) -> list[Done]:
    """Play what is not finished yet, `jobs` runs at a time; return how every run stands, in the plan's order.

    When `should_stop()` says so, the runs in progress end after their round with a checkpoint.
    """
    found: dict[tuple[str, int], Done] = {}
    playing = _one_by_one(plan, root, should_stop) if jobs == 1 else _side_by_side(plan, root, jobs, should_stop)
    for done, played in playing:
        found[done.task.variant, done.task.seed] = done
        if played:
            on_done(done)
    return [found.get((task.variant, task.seed), Done(task, "interrupted")) for task in plan.tasks]


def _one_by_one(plan: Plan, root: Path, should_stop: Callable[[], bool]) -> Iterator[tuple[Done, bool]]:
    """Yield how each run ended, and whether it was played now."""
    for task in plan.tasks:
        if (known := _known(task, root)) is not None:
            yield known, False
        elif not should_stop():
            status, reason, code = _guarded(task.config, task.seed, task.directory(root), should_stop)
            yield Done(task, status, reason, code), True


def _side_by_side(plan: Plan, root: Path, jobs: int, should_stop: Callable[[], bool]) -> Iterator[tuple[Done, bool]]:
    """Yield the same of `jobs` processes at a time; whatever ends this, they stop after their round."""
    context = multiprocessing.get_context("spawn")
    halt = context.Event()
    waiting, running = list(reversed(plan.tasks)), list[_Worker]()
    try:
        while running or (waiting and not halt.is_set()):
            if should_stop():
                halt.set()
            while waiting and len(running) < jobs and not halt.is_set():
                task = waiting.pop()
                if (known := _known(task, root)) is not None:
                    yield known, False
                else:
                    running.append(_Worker(context, task, root, halt))
            for worker in [worker for worker in running if not worker.process.is_alive()]:
                running.remove(worker)
                yield worker.result(), True
            if running:
                time.sleep(_POLL_SECONDS)
    finally:
        halt.set()
        for worker in running:
            worker.process.join()


def _known(task: Task, root: Path) -> Done | None:
    """Return how a run ended that need not or cannot be played, else None."""
    try:
        return Done(task, "finished") if standing(task, root) == "finished" else None
    except ArenaError as error:
        return Done(task, "failed", str(error), error.exit_code)


class _Worker:
    """One run in a process of its own."""

    def __init__(self, context: Any, task: Task, root: Path, halt: Event) -> None:
        self.task = task
        self._receiver, sender = context.Pipe(duplex=False)
        plain = config_text(to_plain(task.config))
        arguments = (plain, task.seed, str(task.directory(root)), os.getpid(), halt, sender)
        self.process: BaseProcess = context.Process(target=_work, args=arguments)
        self.process.start()
        sender.close()

    def result(self) -> Done:
        """Return how the run ended, once its process has."""
        self.process.join()
        try:
            status, reason, code = self._receiver.recv()
        except EOFError:  # it was killed, or could not even begin
            reason = f"its process ended with {self.process.exitcode}; run the sweep again"
            killed = (self.process.exitcode or 0) < 0  # by the system or by somebody, not by a fault of ours
            return Done(self.task, "failed", reason, EnvironmentFault.exit_code if killed else ArenaError.exit_code)
        finally:
            self._receiver.close()
        return Done(self.task, status, reason, code)


def _work(config_json: str, seed: int, directory: str, parent: int, halt: Event, sender: Connection) -> None:
    """Play one run in a worker's process, and tell how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    config = msgspec.convert(json.loads(config_json), RunConfig)
    sender.send(_guarded(config, seed, Path(directory), lambda: halt.is_set() or os.getppid() != parent))


def _guarded(config: RunConfig, seed: int, directory: Path, should_stop: Callable[[], bool]) -> tuple[Status, str, int]:
    """Play a run; return how it ended, why it failed, and the exit code that goes with it."""
    try:
        return play(config, seed, directory, should_stop), "", 0
    except ArenaError as error:
        return "failed", " ".join(str(error).split()), error.exit_code
    except Exception as error:  # one failing run must not take the sweep with it
        return "failed", f"{type(error).__name__}: {' '.join(str(error).split())}"[:500], 1


def standing(task: Task, root: Path) -> Status | None:
    """Return how a run of the sweep stands on the disk, None when it has not begun.

    Raises StoreError when the directory holds another run, or one that cannot be read.
    """
    directory = task.directory(root)
    if not (directory / FILE_NAME).exists():
        return None
    store = Store.open_reader(directory / FILE_NAME)
    try:
        found, wanted = store.run_row(), run_row(to_plain(task.config), task.seed, versions(), {})
        if _asked_for(found) != _asked_for(wanted):
            raise StoreError(f"{directory}: holds another run than {task.variant}, seed {task.seed}; move it away")
        return "finished" if store.is_closed() else "interrupted"
    finally:
        store.abandon()


def _asked_for(row: RunRow) -> tuple[str, int, str]:
    return row.config_json, row.seed, row.versions_json


def play(config: RunConfig, seed: int, directory: Path, should_stop: Callable[[], bool]) -> Status:
    """Start a run or go on with it, until its end or until it is told to stop."""
    from lineage import engine  # the learner's library is for the workers

    begun = (directory / FILE_NAME).exists()
    if not begun:
        _sweep_up(directory)
    with engine.resume(directory) if begun else engine.start(directory, config, seed) as running:
        summary = running.run(should_stop=should_stop)
    return "finished" if summary.status == "finished" else "interrupted"


def _sweep_up(directory: Path) -> None:
    """Remove what a start that was killed before its first row left behind: it holds no history."""
    if not directory.is_dir():
        return
    leftovers = {rundir.CONFIG_NAME, rundir.LOG_NAME, CHECKPOINTS}
    with contextlib.closing(_Held(directory)):
        for path in directory.iterdir():
            if path.name in leftovers or path.name.startswith(f"{FILE_NAME}.partial"):
                path.rmdir() if path.is_dir() else path.unlink()


class _Held(rundir.Lock):
    """A run's lock, as something to close."""

    def close(self) -> None:
        """Let go."""
        self.release()
