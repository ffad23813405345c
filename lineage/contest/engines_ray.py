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
_AHEAD: Final = 2
"""Tasks in flight for each processor: enough that none waits, few enough that Ctrl-C is soon done."""


def connect(address: str | None, jobs: int) -> RayEngine:
    """Return the engine of a cluster, or of a Ray that is started here with `jobs` processors.

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
    except (ConnectionError, RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())[:200]
        raise EnvironmentFault(f"--address {address}: Ray does not answer: {text}; start it with `ray start`") from None
    return lambda plan, batches, should_stop: _on_ray(ray, plan, batches, should_stop)


def _on_ray(
    ray: Any, plan: Plan, batches: Sequence[Sequence[Match]], should_stop: Callable[[], bool]
) -> Iterator[list[MatchResult]]:
    """Yield the results of batches as their tasks end; the running ones end when told to stop."""
    task = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(_task)
    shared = ray.put(tournament_plan.encode(plan))
    waiting, running = deque(batches), dict[Any, Sequence[Match]]()
    most = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    try:
        while running or waiting:
            stopping = should_stop()
            if stopping:
                waiting.clear()
            while waiting and len(running) < most:
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
    plan = tournament_plan.decode(plan_bytes)
    return play.encode(play.play_batch(plan, tournament_plan.decode_matches(batch_bytes)))
