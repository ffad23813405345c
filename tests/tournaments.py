"""Small tournaments for tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from lineage.contest import batches as batching
from lineage.contest import tournament
from lineage.contest.results import TABLES, Results
from lineage.contest.tournament_plan import Plan
from lineage.contest.tournament_prepare import plan_of
from lineage.contest.tournament_spec import TournamentSpec, spec_of

SHORT = ["market.warmup_bars=128", "arena.ticks_per_round=10"]
"""A world that is open soon."""

HERE = Path(__file__).parent


def document(**given: Any) -> dict[str, Any]:
    """Return a specification that is played in a second, with other values put in."""
    small: dict[str, Any] = {
        "seeds": "0:2",
        "ticks": 20,
        "seats": 8,
        "entrant": [{"name": "noisy", "script": "oracle", "noise": 0.3}],
        "world": [{"name": "easy", "scenario": "easy", "set": SHORT}],
    }
    return small | given


def spec(**given: Any) -> TournamentSpec:
    """Return it read."""
    return spec_of(document(**given), "spec.toml")


def plan(folder: Path = HERE, **given: Any) -> Plan:
    """Return its plan."""
    return plan_of(spec(**given), folder, "spec.toml")


def played(path: Path, made: Plan, jobs: int = 1, matches: int | None = None) -> Results:
    """Play into a file, new or begun, at most about `matches` of them; return it open for reading.

    In as many processes as there are jobs, though so little work would not pay for them.
    """
    count = 0

    def note(progress: tournament.Progress, part: Sequence[object]) -> None:
        nonlocal count
        count += len(part)

    few = mock.patch.object(batching, "WORKER_SECONDS", 1e-9)
    with few, Results.resume(path, made, tournament.windows_of(made)) as results:
        results.begin_session("local", jobs)
        tournament.run(made, results, jobs, lambda: matches is not None and count >= matches, note)
    return Results.read(path)


def tables(results: Results) -> dict[str, list[dict[str, Any]]]:
    """Return what must not depend on how it was played."""
    return {name: results.rows(name) for name in TABLES}
