"""`vitals`: how the learners of a run feel, or how one of them felt throughout its life, and which checks failed."""

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from agents.checks import CHECKS
from arena.body.state import APPRENTICE
from arena.errors import ConfigError
from lineage.ask.reading import check_round, open_run, resolve, snapshot
from lineage.record.schema import version_of
from tui.diagnostics import ExitCode, emit, one_line, say

SIGNS: Final = (
    "loss", "td_error", "grad_norm", "q_mean", "q_max", "entropy", "weight_change", "replay_fill", "updates",
    "epsilon", "probe_gain",
)  # fmt: skip
"""Vital signs in the order in which they are shown; units: agents.vitals, agents.mind, lineage.probe."""

MARKS: Final = dict(zip(CHECKS, "WGLQETRB", strict=True))
"""One letter a check, shown where it failed."""

_HEADS: Final = ("loss", "|td|", "grad", "q mean", "q max", "entropy", "moved", "fill", "updates", "epsilon", "gain")
_SELECT: Final = (
    "SELECT r.agent_id, a.clan, a.mind, r.round, r.age_rounds, r.status, r.loss, r.td_error, r.grad_norm, r.q_mean,"
    " r.q_max, r.entropy, r.weight_change, r.replay_fill, r.updates, r.epsilon, "
)
_FROM: Final = " FROM agent_round r JOIN agent a ON a.agent_id = r.agent_id WHERE "
_LATEST: Final = (
    "(SELECT p.probe_gain FROM agent_round p WHERE p.agent_id = r.agent_id AND p.round <= r.round"
    " AND p.probe_gain IS NOT NULL ORDER BY p.round DESC LIMIT 1)"
)
_LIVING: Final = "r.round = ? AND r.status < 3 AND a.mind = 'dqn' ORDER BY r.agent_id"
_LIFE: Final = "r.agent_id = ? AND r.round <= ? ORDER BY r.round"
_OF_ROUND: Final = (_SELECT + "NULL" + _FROM + _LIVING, _SELECT + _LATEST + _FROM + _LIVING)
_OF_LIFE: Final = (_SELECT + "NULL" + _FROM + _LIFE, _SELECT + "r.probe_gain" + _FROM + _LIFE)
"""(schema 1, which knew no probe; from schema 2 on)."""
_ALARMS: Final = (
    "SELECT agent_id, round, payload FROM event WHERE kind = 'alarm' AND round <= ? AND agent_id IS NOT NULL"
    " ORDER BY event_id"
)
_COLUMNS: Final = ("agent_id", "clan", "mind", "round", "age_rounds", "status", *SIGNS)

_WIDTH = 9
_NAME = 30
_BLOCKS = "▁▂▃▄▅▆▇█"
_SPARK = 32

Row = dict[str, Any]


def vitals(directory: Path, who: str | None, round_index: int | None, *, as_json: bool) -> int:
    """Print the vital signs of the living in a round, the newest by default, or the course of one life up to it."""
    with open_run(directory) as connection, snapshot(connection):
        newest = check_round(connection, None)
        if round_index is not None and not 0 <= round_index <= newest:
            raise ConfigError(f"--round {round_index}: the run holds rounds 0 to {newest}; choose one of them")
        at = newest if round_index is None else round_index
        alarms = _alarms(connection, at)
        if who is not None:
            agent_id = resolve(connection, who)
            _check_learner(connection, agent_id, at)
            course = _rows(connection, _OF_LIFE, (agent_id, at))
            own = [alarm for alarm in alarms if alarm["agent_id"] == agent_id]
            emit(json.dumps({"course": course, "alarms": own}, indent=2) if as_json else course_text(course, own))
            return ExitCode.OK
        rows = _rows(connection, _OF_ROUND, (at,))
        for row in rows:
            row["failed"] = [alarm["check"] for alarm in alarms if alarm["agent_id"] == row["agent_id"]]
        counts = Counter(alarm["check"] for alarm in alarms)
    by_check = {check: counts[check] for check in CHECKS}
    if as_json:
        emit(json.dumps({"round": at, "agents": rows, "alarms": by_check}, indent=2))
        return ExitCode.OK
    if not rows:
        say(f"{directory}: no learner lives at the end of round {at}; choose an earlier --round")
    emit(table(rows, at, by_check))
    return ExitCode.OK


def _rows(connection: sqlite3.Connection, statements: tuple[str, str], values: tuple[int, ...]) -> list[Row]:
    statement = statements[version_of(connection) >= 2]
    return [dict(zip(_COLUMNS, row, strict=True)) for row in connection.execute(statement, values)]


def _alarms(connection: sqlite3.Connection, at: int) -> list[Row]:
    found = []
    for agent_id, round_index, payload in connection.execute(_ALARMS, (at,)):
        told = json.loads(payload)
        value = told["value_millionths"]
        value = value / 1e6 if isinstance(value, int) else str(value)
        found.append({"agent_id": agent_id, "round": round_index, "check": str(told["check"]), "value": value})
    return found


def _check_learner(connection: sqlite3.Connection, agent_id: int, at: int) -> None:
    """Raise ConfigError when an agent has no vital signs up to round `at`."""
    statement = "SELECT mind, birth_round, clan FROM agent WHERE agent_id = ?"
    mind, born, clan = connection.execute(statement, (agent_id,)).fetchone()
    name = one_line(f"{clan}-{agent_id}")
    if mind != "dqn":
        raise ConfigError(f"agent {name}: plays {one_line(mind)}, a script: it has no vital signs; name a learner")
    if born > at:
        raise ConfigError(f"agent {name}: was born in round {born}; choose --round {born} or a later one")


def table(rows: Sequence[Row], at: int, by_check: dict[str, int]) -> str:
    """Return the living of round `at` as lines, then the alarms so far by check."""
    lines = []
    if rows:
        heads = "".join(head.rjust(_WIDTH) for head in _HEADS)
        lines = [f"{f'round {at}':<{_NAME}}{'age':>5}  {heads}  failed"]
    for row in rows:
        name = one_line(f"{row['clan']}-{row['agent_id']}") + ("*" if row["status"] == APPRENTICE else "")
        marks = "".join(mark if check in row["failed"] else "." for check, mark in MARKS.items())
        lines.append(f"{name:<{_NAME}}{row['age_rounds']:>5}  {_cells(row)}  {marks}")
    if any(row["status"] == APPRENTICE for row in rows):
        lines += ["", "* apprentice, on paper"]
    lines += ["", "gain: log-growth per 1,000 ticks above the birth policy's, by the latest probe"]
    lines += ["", f"alarms up to round {at}"]
    lines += [f"  {MARKS[check]}  {check:<16}{count:>7,}" for check, count in by_check.items()]
    return "\n".join(lines)


def _cells(row: Row) -> str:
    return "".join(_figure(row[sign]).rjust(_WIDTH) for sign in SIGNS)


def _figure(value: float | None) -> str:
    """Return a number in at most eight characters; undefined is a dash."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3g}"


def course_text(course: Sequence[Row], alarms: Sequence[Row]) -> str:
    """Return a life as lines: each sign's course, then as many of its rounds as the terminal is high, then alarms."""
    first = course[0]
    name = one_line(f"{first['clan']}-{first['agent_id']}")
    lines = [f"{name}, rounds {first['round']} to {course[-1]['round']}, {len(course)} in all", ""]
    lines.append(f"{'':<16}{'first':>{_WIDTH}}{'last':>{_WIDTH}}{'min':>{_WIDTH}}{'max':>{_WIDTH}}  course")
    for sign in SIGNS:
        known = [row[sign] for row in course if row[sign] is not None]
        ends = (known[0], known[-1], min(known), max(known)) if known else (None,) * 4
        cells = "".join(_figure(value).rjust(_WIDTH) for value in ends)
        lines.append(f"{sign:<16}{cells}  {spark([row[sign] for row in course])}".rstrip())
    room = max(shutil.get_terminal_size((120, 40)).lines - len(lines) - len(alarms) - 6, 4)
    lines += ["", f"{'round':>7}{'age':>6}  " + "".join(head.rjust(_WIDTH) for head in _HEADS)]
    chosen = np.unique(np.linspace(0, len(course) - 1, min(room, len(course))).round().astype(int))
    lines += [f"{row['round']:>7}{row['age_rounds']:>6}  {_cells(row)}" for row in (course[i] for i in chosen)]
    lines += ["", "alarms" if alarms else "no alarm"]
    for alarm in alarms:
        lines.append(f"  round {alarm['round']:>6}  {one_line(alarm['check']):<16}{_shown(alarm['value'])}")
    return "\n".join(lines)


def _shown(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else one_line(value)


def spark(values: Sequence[float | None]) -> str:
    """Return a course as at most 32 blocks, each the mean of its part of life; a blank where nothing is known."""
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    parts = [part[~np.isnan(part)] for part in np.array_split(numbers, min(_SPARK, len(numbers)))]
    means = np.array([part.mean() if len(part) else np.nan for part in parts])
    known = means[~np.isnan(means)]
    if not len(known):
        return ""
    low, span = known.min(), max(known.max() - known.min(), 1e-300)
    return "".join(" " if np.isnan(m) else _BLOCKS[int((m - low) / span * (len(_BLOCKS) - 1))] for m in means)
