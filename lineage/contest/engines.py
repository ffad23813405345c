"""Where matches are played: in this process, or in several of this machine. Who plays changes no result."""

import contextlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final

from lineage.contest import matches as play
from lineage.contest import tournament_plan
from lineage.contest.matches import MatchResult
from lineage.contest.tournament_plan import Match, Plan

ATTEMPTS: Final = 3
"""How often a match is tried whose worker dies."""

_POLL_SECONDS: Final = 0.2

Stopping = Callable[[], bool]


def in_this_process(
    plan: Plan, batches: Sequence[Sequence[Match]], should_stop: Stopping
) -> Iterator[list[MatchResult]]:
    """Yield the results of one batch after the other."""
    for batch in batches:
        if should_stop():
            return
        yield play.play_batch(plan, batch)


def side_by_side(
    plan: Plan, batches: Sequence[Sequence[Match]], jobs: int, should_stop: Stopping
) -> Iterator[list[MatchResult]]:
    """Yield the results of batches as `jobs` worker processes finish them; the running ones end when told to stop.

    When a worker dies its batch is split into single matches and tried again; a match whose worker has died ATTEMPTS
    times has failed.
    """
    context = multiprocessing.get_context("spawn")
    waiting: deque[tuple[Sequence[Match], int]] = deque((batch, 1) for batch in batches)
    workers: list[_Worker] = []
    try:
        while True:
            stopping = should_stop()
            while not stopping and waiting and (idle := _idle(workers, context, plan, min(jobs, len(batches)))):
                idle.give(*waiting.popleft())
            busy = [worker for worker in workers if worker.batch]
            if not busy:
                return
            ready = wait([worker.pipe for worker in busy], _POLL_SECONDS)
            for worker in [worker for worker in busy if worker.pipe in ready]:
                try:
                    results = worker.take()
                except (EOFError, OSError):
                    workers.remove(worker)
                    yield from _retry(worker, waiting)
                else:
                    yield results
    finally:
        for worker in workers:
            worker.end()


def _idle(workers: list["_Worker"], context: Any, plan: Plan, jobs: int) -> "_Worker | None":
    """Return a worker with nothing to do, a new one while there are fewer than `jobs`; None when all are busy."""
    found = next((worker for worker in workers if not worker.batch), None)
    if found is None and len(workers) < jobs:
        found = _Worker(context, plan)
        workers.append(found)
    return found


def _retry(worker: "_Worker", waiting: deque[tuple[Sequence[Match], int]]) -> Iterator[list[MatchResult]]:
    """Put the batch of a worker that died back in the queue, or give its match up."""
    code = worker.end()
    if worker.attempt < ATTEMPTS:
        waiting.extend(([match], worker.attempt + 1) for match in worker.batch)
        return
    reason = f"its process ended {ATTEMPTS} times, at last with {code}; --resume tries it again"
    yield [MatchResult(match.key, "failed", (), reason) for match in worker.batch]


class _Worker:
    """A process that plays one batch at a time."""

    def __init__(self, context: Any, plan: Plan) -> None:
        self.pipe: Connection
        self.pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=_work, args=(theirs, tournament_plan.encode(plan)), daemon=True
        )
        self._process.start()
        theirs.close()
        self.batch: Sequence[Match] = ()
        self.attempt = 0

    def give(self, batch: Sequence[Match], attempt: int) -> None:
        """Send a batch; a worker that is gone is noticed when its answer is waited for."""
        self.batch, self.attempt = batch, attempt
        with contextlib.suppress(OSError):
            self.pipe.send_bytes(tournament_plan.encode_matches(batch))

    def take(self) -> list[MatchResult]:
        """Return the results. Raises EOFError or OSError when the process has died."""
        results = play.decode(self.pipe.recv_bytes())
        self.batch = ()
        return results

    def end(self) -> int | None:
        """End the process at once, playing or idle: it holds nothing that is not written. Return its exit code."""
        self.pipe.close()
        self._process.kill()
        self._process.join()
        return self._process.exitcode


def _work(pipe: Connection, plan_bytes: bytes) -> None:
    """Play what comes through the pipe until it closes: the parent is done, or dead."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    from lineage.numerics import pin_torch

    pin_torch()
    plan = tournament_plan.decode(plan_bytes)
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send_bytes(play.encode(play.play_batch(plan, tournament_plan.decode_matches(pipe.recv_bytes()))))
