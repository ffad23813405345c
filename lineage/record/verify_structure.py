"""First level of verify: is the database whole, and does life come in the right order?"""

import sqlite3
from collections.abc import Iterator
from typing import Any, get_args

from lineage.record.events import EventKind
from lineage.record.findings import Findings
from lineage.record.ledger import ENDS, RUN
from lineage.record.schema import expected_objects, schema_objects, version_of

_KINDS = frozenset(get_args(EventKind))
_OF_RUN = frozenset(("immigration", "round", "closed"))


def check_structure(connection: sqlite3.Connection, out: Findings) -> str:
    """Check file, schema, keys, ids, rounds and the order of events; return a line about what was seen."""
    with out.reading("file"):
        _check_file(connection, out)
    with out.reading("schema"):
        _check_schema(connection, out)
    with out.reading("table round"):
        _check_rounds(connection, out)
    events = agents = 0
    with out.reading("table event"):
        events, agents = _check_events(connection, out)
    return f"{events} events, {agents} agents"


def _check_file(connection: sqlite3.Connection, out: Findings) -> None:
    for (line,) in connection.execute("PRAGMA integrity_check(10)"):
        out.expect(line == "ok", f"integrity_check: {line}")
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchmany(10):
        out.add(f"table {table}: row {row} refers to a missing row of {parent}")
    (runs,) = connection.execute("SELECT count(*) FROM run").fetchone()
    out.expect(runs == 1, f"table run: {runs} rows, exactly one is needed")


def _check_schema(connection: sqlite3.Connection, out: Findings) -> None:
    found, expected = schema_objects(connection), expected_objects(version_of(connection))
    for (kind, name), sql in expected.items():
        if (kind, name) not in found:
            out.add(f"schema: {kind} {name} is missing")
        elif found[kind, name] != sql:
            out.add(f"schema: {kind} {name} was changed")
    for kind, name in found.keys() - expected.keys():
        out.add(f"schema: {kind} {name} does not belong here")


def _check_rounds(connection: sqlite3.Connection, out: Findings) -> None:
    """Rounds, ticks and event spans follow each other without a gap."""
    rows = connection.execute("SELECT round, first_tick, last_tick, first_event_id, n_events FROM round ORDER BY round")
    next_tick: int | None = None
    next_event = 0
    for expected, (index, first_tick, last_tick, first_event, n_events) in enumerate(rows):
        out.expect(index == expected, f"round {expected} is missing: {index} follows")
        out.expect(next_tick in (None, first_tick), f"round {index}: begins at tick {first_tick}, not {next_tick}")
        out.expect(last_tick >= first_tick, f"round {index}: ends at tick {last_tick} before it begins")
        out.expect(first_event == next_event, f"round {index}: its events begin at {first_event}, not {next_event}")
        next_tick, next_event = last_tick + 1, first_event + n_events


class _Order:
    """The order of life, followed event by event."""

    def __init__(self, connection: sqlite3.Connection, out: Findings) -> None:
        self.out = out
        self.chains: dict[int, tuple[int, int]] = {RUN: (0, -(2**62))}  # living: next seq, last tick
        self.ended: set[int] = set()
        self.parents: dict[int, int | None] = dict(connection.execute("SELECT agent_id, parent_id FROM agent"))
        rows = connection.execute("SELECT round, first_tick, last_tick FROM round")
        self.ticks: dict[int, tuple[int, int]] = {index: (first, last) for index, first, last in rows}
        self.newest = 0
        self.round = 0
        self.round_ended = -1
        self.closed = False

    def follow(self, row: tuple[Any, ...], place: str) -> None:
        """Take one event."""
        _, index, agent_id, seq, tick, kind = row
        out, agent = self.out, RUN if agent_id is None else agent_id
        out.expect(kind in _KINDS, f"{place}: {kind!r} is not a kind of event")
        out.expect((agent == RUN) == (kind in _OF_RUN), f"{place}: {kind} belongs to the other kind of chain")
        out.expect(not self.closed, f"{place}: comes after the run was closed")
        self._follow_round(index, tick, kind, place)
        if kind == "birth":
            self._follow_birth(agent, tick, place)
        if agent not in self.chains:
            state = "dead" if agent in self.ended else "not born"
            out.add(f"{place}: {kind} of agent {agent}, who is {state}")
            return
        next_seq, last_tick = self.chains[agent]
        out.expect(seq == next_seq, f"{place}: seq {seq} of agent {agent}, {next_seq} was due")
        out.expect(tick >= last_tick, f"{place}: tick {tick} of agent {agent} after tick {last_tick}")
        if kind in ENDS:
            del self.chains[agent]
            self.ended.add(agent)
        else:
            self.chains[agent] = (seq + 1, tick)
        self.closed = self.closed or kind == "closed"

    def _follow_round(self, index: int, tick: int, kind: str, place: str) -> None:
        out = self.out
        first, last = self.ticks[index]
        out.expect(first <= tick <= last, f"{place}: tick {tick} is outside round {index}")
        if index == self.round_ended:  # after the last round event of all: only the end of the run
            out.expect(kind in ("censored", "closed"), f"{place}: {kind} after the end of round {index}")
            return
        out.expect(index == self.round_ended + 1, f"{place}: round {index} after round {self.round_ended}")
        if kind == "round":
            self.round_ended = index

    def _follow_birth(self, agent: int, tick: int, place: str) -> None:
        out = self.out
        out.expect(agent == self.newest + 1, f"{place}: birth of agent {agent}, {self.newest + 1} was due")
        out.expect(agent not in self.chains and agent not in self.ended, f"{place}: agent {agent} is born twice")
        self.newest = max(self.newest, agent)
        if agent not in self.parents:
            out.add(f"{place}: agent {agent} is born but not in table agent")
        elif (parent := self.parents[agent]) is not None:
            out.expect(parent in self.chains, f"{place}: parent {parent} of agent {agent} is not alive")
        self.chains.setdefault(agent, (0, tick))


def _check_events(connection: sqlite3.Connection, out: Findings) -> tuple[int, int]:
    """Follow all events; return how many events and agents there are."""
    order = _Order(connection, out)
    count = 0
    for count, row in enumerate(_events(connection), start=1):
        event_id = row[0]
        out.expect(event_id == count - 1, f"event {count - 1} is missing: {event_id} follows")
        with out.reading(f"event {event_id}"):
            order.follow(row, f"event {event_id}")
    rounds = len(order.ticks)
    out.expect(order.round_ended == rounds - 1, f"the events end with round {order.round_ended} of {rounds}")
    (end,) = connection.execute("SELECT coalesce(max(first_event_id + n_events), 0) FROM round").fetchone()
    out.expect(count >= end, f"the rounds tell of {end} events, {count} are there")
    for agent in sorted(order.parents.keys() - order.chains.keys() - order.ended):
        out.add(f"agent {agent} was never born: there is no birth event")
    if order.closed:
        out.expect(len(order.chains) == 1, f"the run is closed, {len(order.chains) - 1} agents have no end")
    return count, len(order.parents)


def _events(connection: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    return connection.execute("SELECT event_id, round, agent_id, seq, tick, kind FROM event ORDER BY event_id")
