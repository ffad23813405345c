"""Batches: every match once, side by side what can be, the costly first, and workers served evenly."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lineage.contest import batches as batching
from lineage.contest.batches import batches, cost
from lineage.contest.matches import _session, play_batch
from lineage.contest.tournament_plan import Plan, matches_of
from tests.tournaments import HERE, SHORT, plan

CLASSES: dict[str, Any] = {
    "entrant": [
        {"name": "mine", "class": "my_policy:Momentum"},
        {"name": "yours", "class": "my_policy:Momentum", "options": {"threshold": 0.1}},
        {"name": "long", "scenario": "small", "rounds": 900},
        {"name": "short", "scenario": "small", "rounds": 2},
    ],
    "world": [{"name": name, "set": SHORT} for name in ("north", "south")],
    "mixes": ["alone", "pairs", "together"],
    "seeds": "0:20",
    "ticks": 1000,
}
EXAMPLES = HERE.parent / "examples"


@pytest.fixture(scope="module")
def made() -> Plan:
    """Return a plan with everything in it: it is never played."""
    return plan(EXAMPLES, **CLASSES)


@pytest.mark.parametrize("jobs", [1, 2, 3, 16])
def test_every_match_is_in_one_batch_with_its_like(made: Plan, jobs: int) -> None:
    """Of one world and size; populations alone; neither seats nor processes without bound."""
    matches = matches_of(made)
    parts = batches(made, matches, jobs)
    assert Counter(match.key for part in parts for match in part) == Counter(match.key for match in matches)
    for part in parts:
        assert len({(match.ground, len(match.seating)) for match in part}) == 1
        assert len(part) == 1 or all(match.mix != "evolving" for match in part)
        assert sum(len(match.seating) for match in part) <= batching.MOST_SEATS
        kinds = [{made.players[player].kind for player in match.seating} for match in part]
        assert len({"class" in kind for kind in kinds}) == 1
        assert sum(batching._sessions(made, match) for match in part) <= batching.MOST_SESSIONS


def test_the_costly_come_first(made: Plan) -> None:
    """A population that lives for hundreds of rounds must not begin when all others have ended."""
    parts = batches(made, matches_of(made), 2)
    prices = [cost(made, part) for part in parts]
    assert prices == sorted(prices, reverse=True)
    assert [part[0].key.rpartition("/")[2] for part in parts[:40]] == ["long"] * 40


@pytest.mark.parametrize(("given", "jobs"), [({"seeds": "0:900", "ticks": 1000}, 2), (CLASSES, 2), (CLASSES, 5)])
def test_workers_end_at_about_the_same_time(given: dict[str, Any], jobs: int) -> None:
    """Given out as they come, by the estimated cost: nobody waits for more than a tenth of the whole."""
    plan_of_all = plan(EXAMPLES, **given)
    ends = [0.0] * jobs
    for part in batches(plan_of_all, matches_of(plan_of_all), jobs):
        ends[ends.index(min(ends))] += cost(plan_of_all, part)
    assert max(ends) - min(ends) <= 0.1 * max(ends)


def test_a_process_is_started_only_for_work_that_pays_for_it(made: Plan) -> None:
    """A second of play is done before another python has loaded torch."""
    small = plan(seeds="0:4")
    assert batching.workers(small, batches(small, matches_of(small), 8), 8) == 1
    parts = batches(made, matches_of(made), 8)
    assert batching.workers(made, parts, 8) == 8
    assert batching.workers(made, parts[:3], 8) == 3


def test_what_is_small_is_not_split_for_idle_workers() -> None:
    """A tick costs hardly less with half the seats: two batches of eight would take as long as one of sixteen."""
    small = plan(seeds="0:4")
    assert len(batches(small, matches_of(small), 16)) == 1


def test_long_matches_are_played_in_smaller_batches() -> None:
    """What is kept of every tick must fit memory."""
    long = plan(seeds="0:64", ticks=1_000_000)
    for part in batches(long, matches_of(long), 1):
        assert len(part) * long.ticks <= batching.MOST_SEAT_TICKS


def test_every_session_of_a_class_has_a_seed_of_its_own(made: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the match, the market and the player: luck is not shared."""
    seeds: list[int] = []
    monkeypatch.setattr("lineage.contest.matches.Session", lambda target, seats, seed, limits: seeds.append(seed))
    for match in matches_of(made):
        for player in sorted(set(match.seating)):
            if made.players[player].kind == "class":
                _session(made, made.players[player], match, player)
    assert len(set(seeds)) == len(seeds) > 200


def test_matches_with_users_classes_share_an_arena(tmp_path: Path) -> None:
    """Several markets with a class in each, every one in a process of its own: bit for bit as one by one."""
    entrant = [{"name": "mine", "class": "my_policy:Momentum"}, {"name": "odd", "class": "odd:Raises"}]
    (tmp_path / "my_policy.py").write_bytes((EXAMPLES / "my_policy.py").read_bytes())
    (tmp_path / "odd.py").write_text(ODD)
    played = plan(tmp_path, entrant=entrant, seeds="0:3", mixes=["pairs", "together"], ticks=15)
    chosen = [match for match in matches_of(played) if match.key.endswith(("mine & odd", "together"))]
    parts = batches(played, chosen, 1)
    assert sorted(len(part) for part in parts) == [6]  # pairs and all together: eight seats each
    together = {result.key: result for part in parts for result in play_batch(played, part)}
    assert together == {match.key: play_batch(played, [match])[0] for match in chosen}
    lost = {seat.forfeit for result in together.values() for seat in result.seats if seat.player == 1}
    assert lost == {"", "raises ValueError: an odd seed (line 12)"}  # in some matches: every one has a seed of its own


ODD = """
import numpy as np


class Raises:
    def __init__(self, seats, seed):
        self.seed, self.calls = seed, 0

    def act(self, obs, mask):
        self.calls += 1
        if self.calls > 3 and self.seed % 2:
            raise ValueError("an odd seed")
        return np.random.default_rng(self.seed + self.calls).integers(0, 7, len(obs))
"""
