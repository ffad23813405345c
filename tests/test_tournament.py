"""Tournaments: the same tables however they are played, nothing finished lost, nothing begun that cannot end."""

import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from arena.errors import ConfigError, StoreError
from lineage.contest import engines, matches, measures
from lineage.contest.batches import batches
from lineage.contest.entrants import scripted
from lineage.contest.frozen import Conditions, play_alone
from lineage.contest.frozen import play as frozen_play
from lineage.contest.results import Results
from lineage.contest.tournament_pairings import Meeting
from lineage.contest.tournament_plan import matches_of
from lineage.contest.tournament_table import table_of
from tests.commands import tape_text
from tests.test_user_policy import BAD
from tests.tournaments import HERE, SHORT, plan, played, tables

MIXED: dict[str, Any] = {
    "mixes": ["alone", "together"],
    "entrant": [
        {"name": "noisy", "script": "oracle", "noise": 0.3},
        {"name": "mine", "class": "my_policy:Momentum"},
        {"name": "people", "scenario": "small", "rounds": 3, "set": ["arena.seats=4", "mind.hidden=[8,8]"]},
    ],
    "seeds": "0:1",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the example's class and a tape."""
    shutil.copy(HERE.parent / "examples" / "my_policy.py", tmp_path)
    (tmp_path / "bad.py").write_text(BAD)
    (tmp_path / "prices.csv").write_text(tape_text(400))
    return tmp_path


def test_every_way_to_play_gives_the_same_tables(folder: Path) -> None:
    """In this process; in two, begun here and gone on with there: every row but the sessions is equal."""
    made = plan(folder, **MIXED)
    whole = tables(played(folder / "one.sqlite", made))
    assert len(whole["match"]) == len(matches_of(made)) == 8 + 1 + 1
    part = played(folder / "two.sqlite", made, matches=1)
    assert 1 <= len(part.rows("match")) < 10
    part.close()
    again = played(folder / "two.sqlite", made, jobs=2)
    assert tables(again) == whole
    assert len(again.sessions()) == 2


def test_a_match_is_the_same_bits_whoever_is_played_beside_it() -> None:
    """Alone in a batch, or with all others: each result byte for byte."""
    made = plan(mixes=["alone", "together"])
    known = {r.key: r for batch in batches(made, matches_of(made), 1) for r in matches.play_batch(made, batch)}
    for match in matches_of(made)[::5]:
        assert matches.play_batch(made, [match]) == [known[match.key]]


def test_growth_is_that_of_frozen_play() -> None:
    """A scripted strategy alone makes what `evaluate` says it makes on the same seed: growth, trades, deepest fall."""
    made = plan(ticks=60)
    found = {r.key: r for r in matches.play_batch(made, [m for m in matches_of(made) if m.mix == "alone"])}
    config = made.grounds[0].config
    wanted = play_alone([scripted("random", config.genome)], [0, 1], Conditions(config, 60))
    for seed in (0, 1):
        (seat,) = found[f"easy/{seed}/alone/random"].seats
        assert seat.growth == wanted.log_growth[0, seed]
        assert seat.trades == wanted.trades[0, seed] > 0
        assert seat.drawdown == pytest.approx(measures.max_drawdown(wanted.equity[0, seed]).value)
        lowest = wanted.equity[0, seed].min() / wanted.equity[0, seed, 0]
        assert seat.drawdown < lowest - 1.0  # from a peak, not from the start


def test_a_life_is_counted_in_rounds_until_its_death() -> None:
    """Where living costs are high everybody dies, each in the round that frozen play says; without them nobody."""
    deadly = [{"name": "deadly", "set": [*SHORT, "body.living_cost_bps=1000"]}]
    made = plan(world=deadly, ticks=120, whole_life=True)
    found = {r.key: r for r in matches.play_batch(made, [m for m in matches_of(made) if m.mix == "alone"])}
    config = made.grounds[0].config
    wanted = play_alone([scripted("random", config.genome)], [0, 1], Conditions(config, 120, whole_life=True)).died_at
    for seed in (0, 1):
        (seat,) = found[f"deadly/{seed}/alone/random"].seats
        assert seat.died and 0 <= wanted[0, seed] < 110
        assert seat.rounds == wanted[0, seed] // 10 + 1
    (alive,) = matches.play_batch(plan(ticks=120), [matches_of(plan(ticks=120))[0]])
    assert (alive.seats[0].died, alive.seats[0].rounds) == (False, 12)


def test_baselines_are_always_in_and_marked() -> None:
    """Six of them; one that is named is not doubled; its name is nobody else's."""
    made = plan(entrant=[{"name": "trend", "script": "trend"}])
    roles = {player.name: player.role for player in made.players}
    assert roles == dict.fromkeys(("trend", "untrained", "random", "hold", "meanrev", "oracle"), "baseline")
    with pytest.raises(ConfigError, match="name of a baseline"):
        plan(entrant=[{"name": "trend", "script": "hold"}])


def test_untrained_is_another_network_for_every_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One lucky draw of weights is no baseline: each market has its own, the same in every match there."""
    fields: list[Any] = []

    def seen(field: Any, seatings: Any, conditions: Any) -> Any:
        fields.append(field)
        return frozen_play(field, seatings, conditions)

    monkeypatch.setattr("lineage.contest.matches.play", seen)
    made = plan(seeds="0:4", ticks=1, mixes=["alone", "together"])
    for batch in batches(made, matches_of(made), 1):
        matches.play_batch(made, batch)
    weights = [
        {entrant.weights.tobytes() for entrant in field if entrant.name == "untrained" and entrant.weights is not None}
        for field in fields
    ]
    assert len(weights) == 2 and weights[0] == weights[1] and len(weights[0]) == 4


def test_seats_are_dealt_evenly_and_in_turn() -> None:
    """Pairs share a market half and half; who has one seat more changes from seed to seed."""
    made = plan(mixes=["pairs", "together"])
    for match in matches_of(made):
        counts = np.bincount(match.seating)
        counts = counts[counts > 0]
        assert len(match.seating) == 8
        assert counts.max() - counts.min() <= (0 if match.mix == "pairs" else 1)
    firsts = {match.seating[0] for match in matches_of(made) if match.mix == "together"}
    assert len(firsts) == 2


def test_on_a_tape_no_oracle_plays(folder: Path) -> None:
    """It would know nothing; everybody else does, on windows of the tape."""
    worlds = [{"name": "tape", "tape": "prices.csv", "set": SHORT}]
    made = plan(folder, world=worlds, mixes=["alone", "together"])
    names = {made.players[player].name for match in matches_of(made) for player in match.seating}
    assert names == {"untrained", "random", "hold", "trend", "meanrev"}
    assert all(row["status"] == "done" for row in played(folder / "x.sqlite", made).rows("match"))


def test_a_policy_that_fails_loses_its_match_and_the_tournament_goes_on(folder: Path) -> None:
    """The reason stands at its seats, its growth is undefined, its neighbours have results."""
    entrant = [{"name": "mine", "class": "bad:Raises"}, {"name": "slow", "class": "bad:Hangs"}]
    made = plan(folder, entrant=entrant, mixes=["together"], seeds="0:1", limits={"seconds": 0.5})
    rows = played(folder / "x.sqlite", made).rows("seat")
    assert len(rows) == 8
    by_player = {row["player"]: row for row in rows}
    assert "ZeroDivisionError" in by_player[0]["forfeit"] and by_player[0]["growth"] is None
    assert "hangs" in by_player[1]["forfeit"]
    assert all(row["growth"] is not None for row in rows if row["player"] > 1)


def test_our_own_failure_is_kept_with_its_traceback_and_played_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One broken match costs its neighbours nothing; --resume tries it again."""

    def broken(field: Any, seatings: Any, conditions: Any) -> Any:
        if any(seating.seed == 1 for seating in seatings):
            raise RuntimeError("a bug\nof ours")
        return frozen_play(field, seatings, conditions)

    monkeypatch.setattr("lineage.contest.matches.play", broken)
    results = played(folder / "x.sqlite", plan())
    failed = results.failed()
    assert len(failed) == 7 and failed[0] == ("easy/1/alone/hold", "RuntimeError: a bug of ours")
    assert "Traceback" in next(row["traceback"] for row in results.rows("match") if row["status"] == "failed")
    results.close()
    monkeypatch.undo()
    again = played(folder / "x.sqlite", plan())
    assert not again.failed()
    assert tables(again) == tables(played(folder / "y.sqlite", plan()))


def test_a_results_file_of_another_specification_is_refused(folder: Path) -> None:
    """With what differs; nothing is written. A new file needs a free name, and a foreign file is not one of ours."""
    played(folder / "x.sqlite", plan(), matches=1).close()
    for other, words in (({"seeds": "0:3"}, "seeds 0:2"), ({"ticks": 21}, "another specification"),
                         ({"entrant": [{"name": "odd", "script": "hold"}]}, "'noisy'")):  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            Results.resume(folder / "x.sqlite", plan(**other), [None])
    other_torch = replace(plan(), versions=plan().versions | {"torch": "1.0"})
    with pytest.raises(ConfigError, match=r"another build \(torch .*, here 1.0\)"):
        Results.resume(folder / "x.sqlite", other_torch, [None])
    with pytest.raises(ConfigError, match="exists already"):
        Results.create(folder / "x.sqlite", plan(), [None])
    (folder / "text").write_text("no database at all, but long enough to be read as one " * 50)
    with pytest.raises(StoreError, match="no results file"):
        Results.read(folder / "text")
    with pytest.raises(ConfigError, match="no results"):
        Results.read(folder / "nothing")
    sqlite3.connect(folder / "empty.sqlite").execute("CREATE TABLE x (y)").connection.close()
    with pytest.raises(StoreError, match="no results file"):
        Results.read(folder / "empty.sqlite")


def test_what_is_played_is_part_of_the_hash_and_where_it_lies_is_not(folder: Path) -> None:
    """The source of a class, the bytes of a tape, a setting: another tournament. Another folder: the same."""
    entrant = [{"name": "mine", "class": "my_policy:Momentum"}]
    worlds = [{"name": "tape", "tape": "prices.csv", "set": SHORT}]
    one = plan(folder, entrant=entrant, world=worlds).identity()
    shutil.copytree(folder, folder / "copy")
    assert plan(folder / "copy", entrant=entrant, world=worlds).identity() == one
    with (folder / "copy" / "my_policy.py").open("a") as file:
        file.write("# changed\n")
    assert plan(folder / "copy", entrant=entrant, world=worlds).identity() != one
    assert plan(whole_life=True).identity() != plan().identity()


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_its_matches_played(folder: Path) -> None:
    """Killed from outside in the middle: the tables are those of a quiet day."""
    made = plan(seeds="0:6", ticks=200)
    killed: list[int] = []

    def stopping() -> bool:
        children = [p for p in multiprocessing.active_children() if p.pid not in killed]
        if children and len(killed) < 2:
            killed.append(children[0].pid or 0)
            os.kill(killed[-1], signal.SIGKILL)
        return False

    parts = batches(made, matches_of(made), 2)
    found = [result for part in engines.side_by_side(made, parts, 2, stopping) for result in part]
    wanted = [result for part in engines.in_this_process(made, parts, lambda: False) for result in part]
    assert len(killed) == 2
    assert sorted(found, key=lambda r: r.key) == sorted(wanted, key=lambda r: r.key)


@pytest.mark.parametrize("attempt", range(1, engines.ATTEMPTS + 1))
def test_the_batch_of_a_lost_worker_is_tried_match_by_match_then_given_up(attempt: int) -> None:
    """Twice again, each match for itself; after the third time it has failed, with the exit code."""
    made = plan(seeds="0:1")
    (part,) = batches(made, matches_of(made), 1)

    class Doomed:
        batch = part

        def end(self) -> int:
            return -9

    Doomed.attempt = attempt  # type: ignore[attr-defined]
    waiting: deque[Any] = deque()
    given_up = [result for results in engines._retry(Doomed(), waiting) for result in results]  # type: ignore[arg-type]
    if attempt < engines.ATTEMPTS:
        assert list(waiting) == [([match], attempt + 1) for match in part] and not given_up
    else:
        assert [result.key for result in given_up] == [match.key for match in part] and not waiting
        assert given_up[0].error == "its process ended 3 times, at last with -9; --resume tries it again"


PEOPLE: dict[str, Any] = {
    "seeds": "0:12",
    "mixes": ["alone", "together"],
    "entrant": [
        {"name": "noisy", "script": "oracle", "noise": 0.3},
        {"name": "people", "scenario": "small", "rounds": 10, "set": ["mind.hidden=[8,8]"]},
    ],
}
PROGRAM = """
import sys
from pathlib import Path
from tests.test_tournament import PEOPLE
from tests.tournaments import plan, played
if __name__ == "__main__":
    played(Path(sys.argv[1]), plan(**PEOPLE), jobs=int(sys.argv[2]))
"""


@pytest.mark.slow
def test_killed_at_any_moment_a_tournament_goes_on_to_the_same_tables(tmp_path: Path) -> None:
    """SIGKILL at ten moments spread over its course, resumed each time: every row as if nothing had happened."""
    (tmp_path / "program.py").write_text(PROGRAM)
    path, root = tmp_path / "x.sqlite", str(HERE.parent)

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, str(tmp_path / "program.py"), str(path), "2"]
        return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"})

    def finished() -> int:
        try:
            with Results.read(path) as results:
                return len(results.rows("match"))
        except (ConfigError, StoreError):  # not begun yet
            return 0

    rng, kept = np.random.Generator(np.random.Philox(11)), []
    for target in sorted(rng.integers(0, 11, 10).tolist()):
        process = start()
        while finished() < target and process.poll() is None:
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0.0, 0.3 if target else 5.0)))
        process.kill()
        process.wait()
        kept.append(finished())
    assert len(set(kept)) >= 4 and kept == sorted(kept)  # it was killed at work, and nothing that is finished was lost
    assert start().wait() == 0
    assert tables(Results.read(path)) == tables(played(tmp_path / "y.sqlite", plan(**PEOPLE)))


@pytest.mark.parametrize("form", ["swiss", "knockout"])
def test_pairings_follow_from_results_alone(folder: Path, form: str) -> None:
    """Played at once, or stopped and gone on with: the same meetings; nobody meets anybody twice."""
    made = plan(folder, format=form, seeds="0:3", ticks=40, **({"rounds": 3} if form == "swiss" else {}))
    whole = tables(played(folder / "one.sqlite", made))
    played(folder / "two.sqlite", made, matches=5).close()
    assert tables(played(folder / "two.sqlite", made)) == whole
    keys = [row["match_key"] for row in whole["match"]]
    assert len(keys) == (3 * 3 * 3 if form == "swiss" else 6 * 3)  # seven players: three pairs and a bye, or six out
    row = {item.name: item for item in table_of(Results.read(folder / "one.sqlite"), 100).leagues[0].rows}
    if form == "swiss":
        assert {item.meetings for item in row.values()} <= {2, 3}
    else:
        lost = sorted(item.meetings - item.points for item in row.values())
        assert lost == [0.0] + [1.0] * 6  # one has never lost, everybody else once


def test_a_drawn_meeting_is_nobodys_and_a_forfeit_loses() -> None:
    """Markets decide, then growth; half a point each when all is equal."""
    meeting = Meeting()
    meeting.take({1: 0.5, 2: 0.5})
    assert (meeting.points(1), meeting.points(2)) == (0.5, 0.5)
    meeting.take({1: None, 2: -9.0})
    assert (meeting.points(1), meeting.points(2)) == (0.0, 1.0)
