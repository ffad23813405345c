"""Matches on Ray (extra `ray`): one task a batch, on this machine or a cluster; results are those of any other engine.

A task that loses its worker is tried again by Ray. Losing the driver loses nothing that is in the results file.
What is sent to a worker and comes back is JSON and msgpack text; a cluster's machines need the same build installed,
and tapes and users' classes under the same paths.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from arena.errors import EnvironmentFault
from lineage.contest import matches as play
from lineage.contest import tournament_plan
from lineage.contest.engines import ATTEMPTS
from lineage.contest.matches import MatchResult
from lineage.contest.tournament_plan import Match, Plan

RayEngine = Callable[[Plan, Sequence[Sequence[Match]], Callable[[], bool]], Iterator[list[MatchResult]]]

_POLL_SECONDS: Final = 0.2
AHEAD: Final = 2
"""Tasks in flight for each processor: enough that none waits, few enough that Ctrl-C is soon done."""


def connect(address: str | None, jobs: int) -> tuple[RayEngine, int]:
    """Return the engine of a cluster, or of a Ray that is started here with `jobs` processors, and how many it has.

    Raises EnvironmentFault when the extra is missing or nobody answers at the address.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise EnvironmentFault(
            "--engine ray: package 'ray' is missing; install the extra: pip install 'lineage-arena[ray]'"
        ) from None
    root = str(Path(__file__).resolve().parent.parent.parent)
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    variables = {"OMP_NUM_THREADS": "1"} | ({"PYTHONPATH": paths} if address is None else {})
    try:
        ray.init(
            address=address, num_cpus=None if address else jobs, include_dashboard=None if address else False,
            log_to_driver=False, configure_logging=False, runtime_env={"env_vars": variables},
        )  # fmt: skip
    except (OSError, RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())[:200]
        if address is None:
            raise EnvironmentFault(f"--engine ray: Ray cannot be started here: {text}; use --engine local") from None
        raise EnvironmentFault(f"--address {address}: Ray does not answer: {text}; start it with `ray start`") from None
    processors = max(1, int(ray.cluster_resources().get("CPU", 1)))  # type: ignore[no-untyped-call,unused-ignore]
    return (lambda plan, batches, should_stop: on_ray(ray, processors, plan, batches, should_stop)), processors


def on_ray(
    ray: Any, processors: int, plan: Plan, batches: Sequence[Sequence[Match]], should_stop: Callable[[], bool]
) -> Iterator[list[MatchResult]]:
    """Yield the results of batches as their tasks end; told to stop, those in flight end. `ray`: the module."""
    task = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(_task)
    shared = ray.put(tournament_plan.encode(plan))
    waiting, running = deque(batches), dict[Any, Sequence[Match]]()
    try:
        while running or waiting:
            stopping = should_stop()
            if stopping:
                waiting.clear()
            while waiting and len(running) < AHEAD * processors:
                batch = waiting.popleft()
                running[task.remote(shared, tournament_plan.encode_matches(batch))] = batch
            if not running:
                return
            ready, _ = ray.wait(list(running), num_returns=1, timeout=_POLL_SECONDS)
            for reference in ready:
                batch = running.pop(reference)
                results, again = _results(ray, reference, batch)
                waiting.extend(again)
                if results:
                    yield results
    finally:
        ray.shutdown()


def _results(ray: Any, reference: Any, batch: Sequence[Match]) -> tuple[list[MatchResult], list[Sequence[Match]]]:
    """Return what a task found, or what to play again: a batch whose workers all died, match by match."""
    try:
        return play.decode(ray.get(reference)), []
    except ray.exceptions.RayError as error:
        if len(batch) > 1:
            return [], [[match] for match in batch]
        reason = f"Ray lost it {ATTEMPTS} times: {' '.join(str(error).split())[:300]}; --resume tries it again"
        return [MatchResult(batch[0].key, "failed", (), reason)], []


def _task(plan_bytes: bytes, batch_bytes: bytes) -> bytes:
    """Play a batch in a worker."""
    from lineage.numerics import pin_torch

    pin_torch()
    plan, batch = tournament_plan.decode(plan_bytes), tournament_plan.decode_matches(batch_bytes)
    if odd := tournament_plan.other_build(plan.versions, tournament_plan.build_here()):
        reason = f"a worker has another build ({odd}); install the same on every machine, then --resume"
        return play.encode([MatchResult(match.key, "failed", (), reason) for match in batch])
    return play.encode(play.play_batch(plan, batch))
