"""`vitals`: the living and their signs, one life, alarms so far, and everything that is no learner of a run."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agents.checks import CHECKS
from lineage.record.schema import migrate
from lineage.record.store import FILE_NAME
from tests import runs
from tests.commands import Result, call
from tests.test_sabotage import EXPLODING, config_with
from tui.vitals import SIGNS, spark


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four exploding learners beside a script: alarms in its database."""
    directory = tmp_path_factory.mktemp("vitals") / "run"
    config = config_with(*EXPLODING, "arena.seats=5", "population.trend=1", "mind.probe_every=5", "rounds=12")
    runs.play(directory, config, 3, learner="fast")
    return directory


def test_the_living_are_listed_with_signs_and_marks(run: Path) -> None:
    """Every learner, no script, a letter for each failed check, the alarms by check."""
    said = call("vitals", run)
    assert said.code == 0 and said.err == ""
    lines = said.out.splitlines()
    assert lines[0].startswith("round 11") and lines[0].endswith("failed")
    listed = [line for line in lines[1:] if line and line.split()[0].rstrip("*")[-2:] in ("-2", "-3", "-4", "-5")]
    assert len(listed) == 4
    assert any("Q" in line.split()[-1] for line in listed)
    assert [line.split()[1] for line in lines if len(line.split()) == 3 and line.split()[1] in CHECKS] == list(CHECKS)


def test_json_holds_what_the_table_shows(run: Path) -> None:
    """Signs by name, undefined as null, failed checks by name; alarms equal the events."""
    told = json.loads(call("vitals", run, "--json").out)
    assert told["round"] == 11 and [agent["agent_id"] for agent in told["agents"]] == [2, 3, 4, 5]
    assert all(set(SIGNS) <= set(agent) for agent in told["agents"])
    assert sum(told["alarms"].values()) == sum(len(agent["failed"]) for agent in told["agents"]) > 0
    with closing(sqlite3.connect(run / FILE_NAME)) as connection:
        (events,) = connection.execute("SELECT count(*) FROM event WHERE kind = 'alarm'").fetchone()
        statement = "SELECT probe_gain FROM agent_round WHERE round = 9 ORDER BY agent_id"
        gains = [row[0] for row in connection.execute(statement).fetchall()]
    assert sum(told["alarms"].values()) == events
    assert [agent["probe_gain"] for agent in told["agents"]] == gains[1:], "the latest probe was in round 9"


def test_an_earlier_round_knows_nothing_of_later_ones(run: Path) -> None:
    """No updates yet, no probe, no alarm."""
    told = json.loads(call("vitals", run, "--round", "0", "--json").out)
    assert told["round"] == 0 and not any(told["alarms"].values())
    assert all(agent["loss"] is None and agent["probe_gain"] is None for agent in told["agents"])


def test_one_life_has_a_course_and_its_alarms(run: Path) -> None:
    """By id or by clan and id; as many rounds as the terminal is high; figures as in the database."""
    told = json.loads(call("vitals", run, "3", "--json").out)
    assert [row["round"] for row in told["course"]] == list(range(12))
    name = f"{told['course'][0]['clan']}-3"
    assert json.loads(call("vitals", run, name, "--json", "--round", "5").out)["course"] == told["course"][:6]
    said = call("vitals", run, name, env={"LINES": "30", "COLUMNS": "120"})
    assert said.code == 0 and said.out.startswith(f"{name}, rounds 0 to 11, 12 in all")
    assert all(sign in said.out for sign in SIGNS)
    assert ("alarms" in said.out) == bool(told["alarms"])
    rows = [line for line in said.out.splitlines() if line[:7].strip().isdigit()]
    assert 4 <= len(rows) < 12 and rows[0].split()[0] == "0" and rows[-1].split()[0] == "11"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("99",), "never born; ids run from 1 to 5"),
        (("no-bird",), "neither an id nor the name"),
        (("1",), "plays trend, a script"),
        (("--round", "12"), "holds rounds 0 to 11"),
        (("--round", "-1"), "holds rounds 0 to 11"),
    ],
    ids=str,
)
def test_bad_questions_are_refused(run: Path, arguments: tuple[str, ...], words: str) -> None:
    """Exit 2, one line with the cure, nothing on stdout."""
    refused(call("vitals", run, *arguments), words)


def refused(said: Result, words: str, code: int = 2) -> None:
    """Assert one line of error."""
    assert said.code == code and said.out == ""
    assert words in said.err and said.err.count("\n") == 1


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    """Nothing there; another file; a run without a round."""
    refused(call("vitals", tmp_path / "nowhere"), "no run is recorded here")
    (tmp_path / FILE_NAME).write_text("hello")
    refused(call("vitals", tmp_path), "not an SQLite database", 4)
    (tmp_path / FILE_NAME).unlink()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        migrate(connection)
    refused(call("vitals", tmp_path), "no round is recorded yet")


def test_looking_leaves_the_run_as_it_is(run: Path) -> None:
    """Read-only: every byte of the database stays."""
    before = runs.files_of(run)
    call("vitals", run)
    call("vitals", run, "2")
    assert runs.files_of(run) == before


def test_the_course_is_drawn_from_what_is_known() -> None:
    """Means of parts, lowest to highest; blanks where nothing is; one value is a flat line; none is nothing."""
    assert spark([0.0, 1.0, 2.0, None]) == "▁▄█ "
    assert spark([None, None]) == ""
    assert spark([3.0, 3.0]) == "▁▁"
    assert len(spark([float(number) for number in range(1000)])) == 32
