"""The ledger: seals what happened into hash chains and one Merkle tree. It writes nothing itself.

Every agent has a chain of events, and so has the run. A founder's chain starts from the run's
genesis, a child's from its parent's head just after the parent's spawn event, so a descendant's
hash commits to its ancestry. All event hashes in order are the leaves of an RFC 9162 tree, whose
root goes into the `round` event that closes each round.

    event hash = SHA-256(0x00 || canonical JSON {agent, event_id, kind, payload, prev, round, run, seq, tick})

with agent 0 for events of the run. Tamper-evident, not tamper-proof: whoever can rewrite the whole
file can recompute every hash; only a checkpoint line kept elsewhere shows that.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from arena.errors import InvariantError, StoreError
from lineage.record.digests import Table, canonical, genome_sha256, table_digest, tidy
from lineage.record.events import Birth, Event, Payload, RoundRecord, SealedEvent
from lineage.record.family import ClanNames, Family, Kin
from lineage.record.fossils import seal_policies
from lineage.record.merkle import CompactRange
from lineage.record.note import Checkpoint
from lineage.record.policy import Policy
from lineage.record.schema import AGENT_ROUND, BAR, MARKET_ROUND
from lineage.record.sealed import AgentRow, SealedClose, SealedRound

RUN = 0
"""Stands for the run where an agent_id is hashed; agents count from 1."""

ENDS = ("death", "censored")
"""Event kinds that close an agent's chain."""


def event_text(
    run: str, event_id: int, agent: int, seq: int, round_index: int, tick: int, kind: str, payload: str, prev: str
) -> str:
    """Return the canonical JSON of one event, the text of its leaf; `payload` is canonical JSON already."""
    return (
        f'{{"agent":{agent},"event_id":{event_id},"kind":"{kind}","payload":{payload},"prev":"{prev}",'
        f'"round":{round_index},"run":"{run}","seq":{seq},"tick":{tick}}}'
    )


def event_hash(
    run: str, event_id: int, agent: int, seq: int, round_index: int, tick: int, kind: str, payload: str, prev: str
) -> str:
    """Return the RFC 9162 leaf hash (hex) of one event; `payload` is canonical JSON already."""
    text = event_text(run, event_id, agent, seq, round_index, tick, kind, payload, prev)
    return hashlib.sha256(b"\x00" + text.encode()).hexdigest()


def birth_event(birth: Birth, kin: Kin) -> Event:
    """Return the birth event of a newborn whose place in its tree is `kin`."""
    payload: Payload = {
        "parent": birth.parent_id or 0,
        "founder": kin.founder,
        "depth": kin.depth,
        "jump": kin.jump,
        "market": birth.market,
        "seat": birth.seat,
        "endowment_cents": birth.endowment_cents,
        "birthmark": birth.birthmark,
        "apprentice_rounds": birth.apprentice_rounds,
        "inheritance": birth.inheritance,
        "mind": birth.mind,
        "genome_sha256": genome_sha256(birth.genes),
        "weights_sha256": birth.weights_sha256,
    }
    return Event("birth", birth.agent_id, birth.tick, payload)


def bar_table(record: RoundRecord) -> Table:
    """Return the bars of a round as rows (market, tick), from [T,M] columns."""
    ticks = np.asarray(record.bars["tick"])  # [T]
    if ticks.tolist() != list(range(record.first_tick, record.last_tick + 1)):
        raise InvariantError(
            f"round {record.round}: bars cover ticks {ticks.tolist()[:3]}..., "
            f"not {record.first_tick} to {record.last_tick}"
        )
    markets = np.asarray(record.bars["open"]).shape[1]
    if record.bar_times is not None and len(record.bar_times) != len(ticks):
        raise InvariantError(f"round {record.round}: {len(record.bar_times)} bar times for {len(ticks)} bars")
    wide = {name: np.asarray(value) for name, value in record.bars.items() if name != "tick"}
    columns: dict[str, Any] = {name: value.T.ravel() for name, value in wide.items()}
    columns["market"] = np.repeat(np.arange(markets), len(ticks))
    columns["tick"] = np.tile(ticks, markets)
    times: list[str | None] = list(record.bar_times) if record.bar_times is not None else [None] * len(ticks)
    columns["time"] = times * markets
    return tidy(BAR, columns, f"round {record.round}: bars")


class Ledger:
    """The chains of the living, the run's chain and the tree; grows by `seal_round`, never shrinks."""

    def __init__(self, genesis: str) -> None:
        """Start a history at its genesis (hex)."""
        self.genesis = genesis
        self.run_id = genesis[:16]
        self.head = genesis  # hex, newest event of the run's chain
        self.next_round = 0
        self.closed = False
        self.family = Family()
        self._next_tick: int | None = None
        self._tree = CompactRange()
        self._chains: dict[int, tuple[int, str, int]] = {RUN: (0, genesis, -1)}  # next seq, head, tick
        self._spawned: dict[int, str] = {}  # child -> parent's head just after the spawn event
        self._names = ClanNames()
        self._clans: dict[int, str] = {}  # founder -> name

    @property
    def n_events(self) -> int:
        """Return how many events are sealed."""
        return self._tree.size

    @property
    def root(self) -> str:
        """Return the Merkle root (hex) over all sealed events."""
        return self._tree.root().hex()

    def checkpoint_line(self) -> str:
        """Return the line to keep elsewhere: it pins everything sealed so far."""
        return Checkpoint(self.run_id, self.n_events, self.root).line

    def clan_of(self, agent_id: int) -> str:
        """Return the name of the clan that an agent belongs to."""
        return self._clans[self.family[agent_id].founder]

    def _append(self, event: Event, round_index: int) -> SealedEvent:
        agent = RUN if event.agent_id is None else event.agent_id
        place = f"round {round_index}: {event.kind} of agent {agent}"
        if agent not in self._chains:
            raise InvariantError(f"{place}, which is not alive")
        seq, prev, tick = self._chains[agent]
        if event.tick < tick:
            raise InvariantError(f"{place} at tick {event.tick}, after tick {tick}")
        payload = canonical(event.payload, place)
        event_id, sealed_tick = self._tree.size, int(event.tick)
        digest = event_hash(self.run_id, event_id, agent, seq, round_index, sealed_tick, event.kind, payload, prev)
        self._tree.append(bytes.fromhex(digest))
        if event.kind in ENDS:
            del self._chains[agent]
        else:
            self._chains[agent] = (seq + 1, digest, sealed_tick)
        if event.kind == "spawn":
            self._spawned[int(event.payload["child"])] = digest
        if agent == RUN:
            self.head = digest
        return SealedEvent(event_id, round_index, event.agent_id, seq, sealed_tick, event.kind, payload, prev, digest)

    def _be_born(self, birth: Birth, event: Event, round_index: int) -> tuple[SealedEvent, AgentRow]:
        """Open the newborn's chain, seal its birth and return its row."""
        child = birth.agent_id
        kin = self.family.add(child, birth.parent_id)
        full = birth_event(birth, kin)
        if event.payload and event.payload != full.payload:
            raise InvariantError(f"round {round_index}: the birth event of agent {child} contradicts its Birth")
        if birth.parent_id is None:
            start = self.genesis
        elif (spawned := self._spawned.pop(child, None)) is not None:
            start = spawned
        else:
            raise InvariantError(f"round {round_index}: agent {child} is born before agent {birth.parent_id} spawns it")
        self._chains[child] = (0, start, event.tick)
        sealed = self._append(Event("birth", child, event.tick, full.payload), round_index)
        if birth.parent_id is None:
            self._clans[child] = self._names.name(sealed.hash)
        row = AgentRow(
            agent_id=child,
            parent_id=birth.parent_id,
            founder_id=kin.founder,
            depth=kin.depth,
            jump_id=kin.jump,
            clan=self._clans[kin.founder],
            market=int(birth.market),
            seat=int(birth.seat),
            birth_round=round_index,
            birth_tick=sealed.tick,
            mind=birth.mind,
            inheritance=birth.inheritance,
            endowment_cents=int(birth.endowment_cents),
            birthmark=int(birth.birthmark),
            apprentice_rounds=int(birth.apprentice_rounds),
            genome_sha256=str(full.payload["genome_sha256"]),
            weights_sha256=birth.weights_sha256,
            identity=sealed.hash,
        )
        return sealed, row

    def _check_round(self, record: RoundRecord) -> None:
        if self.closed:
            raise InvariantError(f"round {record.round}: the run is closed")
        if record.round != self.next_round:
            raise InvariantError(f"round {record.round} is sealed out of order; the next is {self.next_round}")
        if self._next_tick not in (None, record.first_tick) or record.last_tick < record.first_tick:
            raise InvariantError(
                f"round {record.round}: ticks {record.first_tick} to {record.last_tick} do not follow {self._next_tick}"
            )
        for event in record.events:
            if not record.first_tick <= event.tick <= record.last_tick:
                raise InvariantError(
                    f"round {record.round}: {event.kind} at tick {event.tick} is outside "
                    f"{record.first_tick} to {record.last_tick}"
                )

    def seal_round(self, record: RoundRecord) -> SealedRound:
        """Seal one round: its events in order, then the `round` event with root and digests.

        A birth event may come with an empty payload: it is filled in from its Birth. Raises
        InvariantError when events contradict the order of life, or columns the schema.
        """
        self._check_round(record)
        bars = bar_table(record)
        markets = tidy(MARKET_ROUND, _numbered(record.markets), f"round {record.round}: markets")
        seats = tidy(AGENT_ROUND, record.agents, f"round {record.round}: agents")
        order = np.argsort(seats["agent_id"], kind="stable")
        seats = {name: column[order] for name, column in seats.items()}
        births = {birth.agent_id: birth for birth in record.births}
        first, events, agents = self._tree.size, [], []
        for event in record.events:
            if event.kind == "birth" and event.agent_id is not None:
                birth = births.pop(event.agent_id, None)
                if birth is None:
                    raise InvariantError(f"round {record.round}: agent {event.agent_id} is born without a Birth")
                sealed, row = self._be_born(birth, event, record.round)
                agents.append(row)
            else:
                sealed = self._append(event, record.round)
            events.append(sealed)
        if births or self._spawned:
            left = sorted({*births, *self._spawned})[0]
            raise InvariantError(f"round {record.round}: agent {left} is announced, its birth event is missing")
        root = self.root
        events.append(self._append(self._round_event(record, root, bars, markets, seats), record.round))
        self.next_round, self._next_tick = record.round + 1, record.last_tick + 1
        genes = [(b.agent_id, name, float(b.genes[name])) for b in record.births for name in sorted(b.genes)]
        span = (record.round, int(record.first_tick), int(record.last_tick), first)
        kept = seal_policies(record.policies, events, self.run_id, self.clan_of)
        return SealedRound(*span, events, agents, genes, bars, markets, seats, root, self.head, kept)

    def _round_event(self, record: RoundRecord, root: str, bars: Table, markets: Table, seats: Table) -> Event:
        payload: Payload = {
            "round": record.round,
            "first_tick": record.first_tick,
            "last_tick": record.last_tick,
            "n_events": self._tree.size,
            "root": root,
            "bars_sha256": table_digest(BAR, bars),
            "markets_sha256": table_digest(MARKET_ROUND, markets),
            "agents_sha256": table_digest(AGENT_ROUND, seats),
            "state_sha256": record.state_sha256,
        }
        if taken := sorted(set(payload) & set(record.extra)):
            raise InvariantError(f"round {record.round}: extra {taken[0]!r} is a name of the round event itself")
        return Event("round", None, record.last_tick, {**payload, **record.extra})

    def seal_closed(
        self,
        tick: int,
        events: Iterable[Event] = (),
        extra: Mapping[str, int | str] | None = None,
        policies: Sequence[Policy] = (),
    ) -> SealedClose:
        """Seal the end of the run: `events` (the censored), then `closed`; nothing can follow.

        policies: those of the living, to keep.
        """
        if self.closed or self.next_round == 0:
            raise InvariantError("a run is closed once, after its first round")
        last = self.next_round - 1
        sealed = [self._append(event, last) for event in events]
        payload = {**(extra or {}), "rounds": self.next_round, "n_events": self._tree.size, "root": self.root}
        sealed.append(self._append(Event("closed", None, tick, payload), last))
        self.closed = True
        return SealedClose(sealed, self.head, self.root, seal_policies(policies, sealed, self.run_id, self.clan_of))

    @classmethod
    def from_store(cls, connection: sqlite3.Connection, upto_round: int) -> "Ledger":
        """Return the ledger as it was just after `upto_round` was sealed; -1 is the beginning.

        Raises StoreError when the database does not hold that round. It trusts the rows: whoever
        does not, verifies first.
        """
        row = connection.execute("SELECT genesis FROM run").fetchone()
        if row is None:
            raise StoreError("table run is empty: the file holds no history; start the run again")
        ledger = cls(row[0])
        if upto_round < 0:
            return ledger
        span = connection.execute(
            "SELECT first_event_id + n_events, last_tick, head FROM round WHERE round = ?", (upto_round,)
        ).fetchone()
        if span is None:
            raise StoreError(f"round {upto_round} is not in the store: resume from an earlier checkpoint")
        end, last_tick, head = span
        ledger._reload_events(connection, end)
        if ledger.n_events != end or ledger.head != head:
            raise StoreError(f"round {upto_round}: the events do not lead to its head; run verify on this directory")
        ledger.next_round, ledger._next_tick = upto_round + 1, last_tick + 1
        rows = connection.execute(
            "SELECT agent_id, parent_id, identity FROM agent WHERE birth_round <= ? ORDER BY agent_id", (upto_round,)
        )
        for agent_id, parent_id, identity in rows:
            ledger.family.add(agent_id, parent_id)
            if parent_id is None:
                ledger._clans[agent_id] = ledger._names.name(identity)
        return ledger

    def _reload_events(self, connection: sqlite3.Connection, end: int) -> None:
        rows = connection.execute(
            "SELECT agent_id, seq, tick, kind, hash FROM event WHERE event_id < ? ORDER BY event_id", (end,)
        )
        for agent_id, seq, tick, kind, digest in rows:
            agent = RUN if agent_id is None else agent_id
            self._tree.append(bytes.fromhex(digest))
            if kind in ENDS:
                self._chains.pop(agent, None)
            else:
                self._chains[agent] = (seq + 1, digest, tick)
            if agent == RUN:
                self.head = digest


def _numbered(markets: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add the market's number to columns that lead with the market axis."""
    if not markets or "market" in markets:
        return dict(markets)
    return {"market": np.arange(len(next(iter(markets.values()))))} | dict(markets)
