"""Second level of verify: every hash is recomputed from the rows, and every row is under a hash."""

import json
import sqlite3
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from lineage.record.checkpoint import file_sha256
from lineage.record.digests import Columns, genome_sha256, table_digest, table_from_rows
from lineage.record.family import ClanNames, Family
from lineage.record.findings import Findings
from lineage.record.fossils import check_policies
from lineage.record.genesis import RunRow, genesis_of
from lineage.record.ledger import ENDS, RUN, event_hash
from lineage.record.merkle import CompactRange
from lineage.record.provenance import Session
from lineage.record.schema import AGENT_ROUND, BAR, MARKET_ROUND, version_of
from lineage.record.store import checkpoint_hash


@dataclass(slots=True)
class Chain:
    """What the events amount to, by their recomputed hashes."""

    n_events: int = 0
    head: str = ""
    root: str = ""
    heads: set[str] = field(default_factory=set)  # every head that the run's chain ever had
    wanted_root: str = ""  # root at the size that the caller asked for
    rounds: dict[int, dict[str, Any]] = field(default_factory=dict)  # payloads of the round events


def check_chain(
    connection: sqlite3.Connection, directory: Path, out: Findings, wanted_size: int | None = None
) -> tuple[Chain, str]:
    """Recompute all hashes; return what they amount to and a line about it.

    wanted_size: number of events at which a checkpoint line gives a root.
    """
    run = None
    with out.reading("table run"):
        run = RunRow(*connection.execute("SELECT * FROM run").fetchone())
        _check_run(run, out)
    if run is None:
        return Chain(), "there is no run to check"
    walk = _Walk(connection, run, out)
    with out.reading("table event"):
        walk.walk(connection, wanted_size)
    chain = walk.chain
    for name, check in (("bar", _check_bars), ("market_round", _check_markets), ("agent_round", _check_seats)):
        with out.reading(f"table {name}"):
            check(connection, chain, out)
    with out.reading("table gene"):
        (strays,) = connection.execute(
            "SELECT count(*) FROM gene WHERE agent_id NOT IN (SELECT agent_id FROM agent)"
        ).fetchone()
        out.expect(strays == 0, f"table gene: {strays} rows belong to nobody")
    with out.reading("table checkpoint"):
        _check_checkpoints(connection, directory, chain, out)
    with out.reading("table session"):
        _check_sessions(connection, out)
    with out.reading("table policy"):
        check_policies(connection, run, version_of(connection), out)
    return chain, f"{chain.n_events} hashes, {len(chain.rounds)} roots"


def _check_run(run: RunRow, out: Findings) -> None:
    genesis = genesis_of(run.seed, run.config_json, run.versions_json, run.inputs_json)
    out.expect(run.genesis == genesis, "table run: the genesis does not follow from its columns")
    out.expect(run.run_id == genesis[:16], "table run: run_id is not the beginning of the genesis")
    scenario = json.loads(run.config_json).get("scenario", "")
    out.expect(scenario == run.scenario, "table run: scenario is not the config's")


_OLD_EVENTS = "SELECT event_id, round, agent_id, seq, tick, kind, payload, hash, prev_hash FROM event ORDER BY event_id"
_EVENTS = "SELECT event_id, round, agent_id, seq, tick, kind, payload, hash, NULL FROM event ORDER BY event_id"
"""From schema 3 on the hash before is not stored: it is the one that comes before."""


class _Walk:
    """One pass over all events."""

    def __init__(self, connection: sqlite3.Connection, run: RunRow, out: Findings) -> None:
        self.run, self.out = run, out
        self.chain = Chain(head=run.genesis)
        self.tree = CompactRange()
        self.heads: dict[int, str] = {RUN: run.genesis}  # of the living
        self.spawned: dict[int, str] = {}
        self.family, self.names = Family(), ClanNames()
        self.clans: dict[int, str] = {}
        self.first_event = 0
        self.agents: dict[int, tuple[Any, ...]] = {}
        self.columns: list[str] = []
        self.genomes: dict[int, str] = {}
        self.rounds: dict[int, tuple[Any, ...]] = {}
        with out.reading("table agent"):
            cursor = connection.execute("SELECT * FROM agent")
            self.columns = [column[0] for column in cursor.description]
            self.agents = {row[0]: row for row in cursor}
        with out.reading("table gene"):
            rows = connection.execute("SELECT agent_id, name, value FROM gene ORDER BY agent_id, name")
            for agent, genes in groupby(rows, key=lambda row: row[0]):
                self.genomes[agent] = genome_sha256({name: value for _, name, value in genes})
        with out.reading("table round"):
            self.rounds = {row[0]: row for row in connection.execute("SELECT * FROM round")}

    def walk(self, connection: sqlite3.Connection, wanted_size: int | None) -> None:
        """Follow all events in order."""
        out, chain, tree, run_id = self.out, self.chain, self.tree, self.run.run_id
        for row in connection.execute(_EVENTS if version_of(connection) >= 3 else _OLD_EVENTS):
            event_id, index, agent_id, seq, tick, kind, payload, stored, told_prev = row
            if tree.size == wanted_size:
                chain.wanted_root = tree.root().hex()
            agent = RUN if agent_id is None else agent_id
            if kind == "birth":
                with out.reading(f"event {event_id}"):
                    self._open(agent, json.loads(payload)["parent"])
            prev = self.heads.get(agent, "")
            if told_prev not in (None, prev):
                out.add(f"event {event_id}: it does not follow the last event of agent {agent}")
            digest = event_hash(run_id, event_id, agent, seq, index, tick, kind, payload, prev)
            if digest != stored:
                out.add(f"event {event_id}: its hash does not follow from its columns and the event before")
            with out.reading(f"event {event_id}"):
                if kind == "round":
                    self._check_round(row, json.loads(payload), digest)
                elif kind == "birth":
                    self._check_birth(row, json.loads(payload), digest)
                elif kind == "spawn":
                    self.spawned[json.loads(payload)["child"]] = digest
                elif kind == "closed":
                    self._check_closed(json.loads(payload), event_id)
            tree.append(bytes.fromhex(digest))
            if kind in ENDS:
                self.heads.pop(agent, None)
            else:
                self.heads[agent] = digest
            if agent == RUN:
                chain.head = digest
                chain.heads.add(digest)
        if tree.size == wanted_size:
            chain.wanted_root = tree.root().hex()
        chain.n_events, chain.root = tree.size, tree.root().hex()
        for index in self.rounds.keys() - chain.rounds.keys():
            out.add(f"round {index}: there is no round event")
        for agent in self.agents.keys() - set(range(1, len(self.family) + 1)):
            out.add(f"agent {agent}: there is no birth event")

    def _open(self, agent: int, parent: int) -> None:
        """Open the chain of a newborn: at its parent's spawn event, or at the genesis."""
        self.heads[agent] = self.spawned.pop(agent, "") if parent else self.run.genesis

    def _check_birth(self, row: tuple[Any, ...], payload: dict[str, Any], digest: str) -> None:
        """Compare the agent's row with its birth event and with its parent's place."""
        event_id, index, agent, _, tick, *_ = row
        parent = payload["parent"] or None
        kin = self.family.add(agent, parent)
        if parent is None:
            self.clans[agent] = self.names.name(digest)
        stored = self.agents.get(agent)
        if stored is None:
            self.out.add(f"event {event_id}: agent {agent} is not in table agent")
            return
        expected = (
            agent, parent, kin.founder, kin.depth, kin.jump, self.clans[kin.founder], payload["market"],
            payload["seat"], index, tick, payload["mind"], payload["inheritance"], payload["endowment_cents"],
            payload["birthmark"], payload["apprentice_rounds"], payload["genome_sha256"], payload["weights_sha256"],
            digest,
        )  # fmt: skip
        for column, have, want in zip(self.columns, stored, expected, strict=True):
            self.out.expect(have == want, f"agent {agent}: column {column} contradicts the birth event")
        told = (payload["founder"], payload["depth"], payload["jump"])
        self.out.expect(told == tuple(kin), f"agent {agent}: founder, depth or jump do not follow from its parent")
        genome = self.genomes.get(agent, genome_sha256({}))
        self.out.expect(genome == payload["genome_sha256"], f"agent {agent}: its genes are not those it was born with")

    def _check_round(self, row: tuple[Any, ...], payload: dict[str, Any], digest: str) -> None:
        """Compare a round event with the tree so far and with its row of `round`."""
        event_id, index = row[0], row[1]
        root = self.tree.root().hex()
        self.out.expect(payload["root"] == root, f"round {index}: its root is not that of the events before")
        told = (payload["round"], payload["n_events"], payload["last_tick"])
        self.out.expect(told == (index, self.tree.size, row[4]), f"round {index}: its event contradicts itself")
        span = (index, payload["first_tick"], payload["last_tick"], self.first_event, event_id - self.first_event + 1)
        stored = self.rounds.get(index)
        self.out.expect(stored == (*span, root, digest), f"round {index}: its row contradicts its event")
        self.first_event = event_id + 1
        self.chain.rounds[index] = payload

    def _check_closed(self, payload: dict[str, Any], event_id: int) -> None:
        told = (payload["rounds"], payload["n_events"], payload["root"])
        seen = (len(self.rounds), self.tree.size, self.tree.root().hex())
        self.out.expect(told == seen, f"event {event_id}: the end of the run contradicts what came before")


def _typed_digest(spec: Columns, rows: list[tuple[Any, ...]]) -> str:
    """Digest of rows read back. Raises TypeError when a column holds another type than it should."""
    kinds: dict[str, set[type]] = {
        "i": {int}, "f": {float, type(None)}, "t": {str, type(None)}, "o": {float, type(None)},
    }  # fmt: skip
    for (name, kind), values in zip(spec.items(), zip(*rows, strict=True), strict=False):
        if found := set(map(type, values)) - kinds[kind]:
            raise TypeError(f"column {name} holds {found.pop().__name__}")
    return table_digest(spec, table_from_rows(spec, rows))


def _check_bars(connection: sqlite3.Connection, chain: Chain, out: Findings) -> None:
    """Compare the bars of each round with its digest; bars of no round are found by their number."""
    markets = [row[0] for row in connection.execute("SELECT DISTINCT market FROM bar ORDER BY market")]
    seen = 0
    for index, payload in chain.rounds.items():
        with out.reading(f"round {index}: bars"):
            rows: list[tuple[Any, ...]] = []
            for market in markets:
                rows += connection.execute(
                    "SELECT * FROM bar WHERE market = ? AND tick BETWEEN ? AND ? ORDER BY tick",
                    (market, payload["first_tick"], payload["last_tick"]),
                )
            seen += len(rows)
            out.expect(_typed_digest(BAR, rows) == payload["bars_sha256"], f"round {index}: its bars were changed")
    (total,) = connection.execute("SELECT count(*) FROM bar").fetchone()
    out.expect(seen == total, f"table bar: {total - seen} rows belong to no round")


def _check_table(
    cursor: sqlite3.Cursor, spec: Columns, digest_name: str, chain: Chain, out: Findings, what: str
) -> None:
    """Compare rows that begin with their round, in order, with the digests of the rounds."""
    seen: set[int] = set()
    for index, group in groupby(cursor, key=lambda row: row[0]):
        seen.add(index)
        rows = [row[1:] for row in group]
        with out.reading(f"round {index}: {what}"):
            if index not in chain.rounds:
                out.add(f"round {index}: {what} of a round that never was")
            elif _typed_digest(spec, rows) != chain.rounds[index][digest_name]:
                out.add(f"round {index}: {what} were changed")
    empty = _typed_digest(spec, [])
    for index in chain.rounds.keys() - seen:
        with out.reading(f"round {index}: {what}"):
            out.expect(chain.rounds[index][digest_name] == empty, f"round {index}: {what} are missing")


def _check_markets(connection: sqlite3.Connection, chain: Chain, out: Findings) -> None:
    cursor = connection.execute("SELECT * FROM market_round ORDER BY round, market")
    _check_table(cursor, MARKET_ROUND, "markets_sha256", chain, out, "accounts of markets")


def _check_seats(connection: sqlite3.Connection, chain: Chain, out: Findings) -> None:
    cursor = connection.execute("SELECT * FROM agent_round ORDER BY round, agent_id")
    _check_table(cursor, AGENT_ROUND, "agents_sha256", chain, out, "rows of agents")


def _check_checkpoints(connection: sqlite3.Connection, directory: Path, chain: Chain, out: Findings) -> None:
    """Compare each noted checkpoint with its round, its file and the row before."""
    heads = dict(connection.execute("SELECT round, head FROM round"))
    before, noted = "", set()
    for index, file, sha256, head, self_hash in connection.execute("SELECT * FROM checkpoint ORDER BY round"):
        place = f"checkpoint of round {index}"
        noted.add(index)
        with out.reading(place):
            right = checkpoint_hash(index, file, sha256, head, before)
            out.expect(self_hash == right, f"{place}: its row was changed, or the one before it")
            out.expect(head == heads.get(index), f"{place}: its head is not the round's")
            path = directory / file
            if path.is_file():
                out.expect(file_sha256(path) == sha256, f"{place}: the file {file} was changed")
        before = self_hash
    for index, payload in chain.rounds.items():
        if payload.get("state_sha256") and index not in noted:
            out.add(f"checkpoint of round {index}: its row is missing")


def _check_sessions(connection: sqlite3.Connection, out: Findings) -> None:
    """Numbers without a gap, rows as they were written; the newest one may be gone unnoticed, the first may not."""
    sessions = connection.execute("SELECT * FROM session ORDER BY session_id").fetchall()
    out.expect(sessions, "session 1 is missing: every run has one")
    for expected, (number, *columns, self_hash) in enumerate(sessions, start=1):
        out.expect(number == expected, f"session {expected} is missing: {number} follows")
        with out.reading(f"session {number}"):
            out.expect(Session(*columns).self_hash(number) == self_hash, f"session {number}: its row was changed")
