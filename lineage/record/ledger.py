"""The ledger: seals what happened into hash chains and one Merkle tree. It writes nothing itself.

Every agent has a chain of events, and so has the run. A founder's chain starts from the run's
genesis, a child's from its parent's head just after the parent's spawn event, so a descendant's
hash commits to its ancestry. All event hashes in order are the leaves of an RFC 9162 tree, whose
root goes into the `round` event that closes each round.

    event hash = SHA-256(0x00 || canonical JSON {agent, event_id, kind, payload, prev, round, run, seq, tick})

with agent 0 for events of the run. Tamper-evident, not tamper-proof: whoever can rewrite the whole
file can recompute every hash; only a checkpoint line kept elsewhere shows that.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from arena.errors import InvariantError, StoreError
from lineage.record.digests import Table, genome_sha256, table_digest
from lineage.record.events import Birth, Event, Payload, RoundRecord, SealedEvent
from lineage.record.family import ClanNames, Family, Kin
from lineage.record.fossils import seal_policies
from lineage.record.leaves import leaf_hashes
from lineage.record.merkle import CompactRange
from lineage.record.note import Checkpoint
from lineage.record.payloads import payload_text
from lineage.record.policy import Policy
from lineage.record.schema import AGENT_ROUND, BAR, MARKET_ROUND
from lineage.record.sealed import AgentRow, SealedClose, SealedRound
from lineage.record.tables import bar_table, market_table, seat_table

RUN = 0
"""Stands for the run where an agent_id is hashed; agents count from 1."""

ENDS = ("death", "censored")
"""Event kinds that close an agent's chain."""

_TURNING: Final = frozenset(("birth", "spawn", *ENDS))
_ANY_TICK: Final = range(-(2**63), 2**63)


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
    return sha256(b"\x00" + text.encode()).hexdigest()


def birth_payload(birth: Birth, kin: Kin) -> Payload:
    """Return what the birth event of a newborn says whose place in its tree is `kin`."""
    return {
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


class _Newborn(NamedTuple):
    """One about to be sealed."""

    birth: Birth
    kin: Kin
    payload: Payload


def _misplaced(event: Event, round_index: int, ticks: range, chain: tuple[int, str, int] | None) -> str:
    """Return why an event cannot stand where it does."""
    agent = RUN if event.agent_id is None else event.agent_id
    if int(event.tick) not in ticks:  # a range looks for what is no int one by one
        return f"round {round_index}: {event.kind} at tick {event.tick} is outside {ticks.start} to {ticks.stop - 1}"
    if chain is None:
        return f"round {round_index}: {event.kind} of agent {agent}, which is not alive"
    return f"round {round_index}: {event.kind} of agent {agent} at tick {event.tick}, after tick {chain[2]}"


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

    def _seal(
        self, events: Iterable[Event], round_index: int, ticks: range, births: dict[int, Birth]
    ) -> tuple[list[SealedEvent], list[AgentRow]]:
        """Seal events in order, then hang them all into the tree; births are taken out of `births`.

        An event takes some 4 microseconds, a third of them SHA-256: so the text of `event_text` is written out once
        more here, and tuples are made without their constructors.
        """
        sealed, agents, leaves = list[SealedEvent](), list[AgentRow](), list[bytes]()
        chains, new, event_id = self._chains, tuple.__new__, self._tree.size
        tail = f',"round":{round_index},"run":"{self.run_id}","seq":'
        for event in events:
            kind, agent_id, tick = event.kind, event.agent_id, int(event.tick)
            agent = RUN if agent_id is None else agent_id
            born = self._be_born(event, births, round_index) if kind == "birth" else None
            chain = chains.get(agent)
            if chain is None or tick < chain[2] or tick not in ticks:
                raise InvariantError(_misplaced(event, round_index, ticks, chain))
            seq, prev, _ = chain
            try:
                text = payload_text(event.payload if born is None else born.payload)
            except InvariantError as error:
                raise InvariantError(f"round {round_index}: {kind} of agent {agent}: {error}") from None
            leaf = (
                f'\0{{"agent":{agent},"event_id":{event_id},"kind":"{kind}","payload":{text},"prev":"{prev}"'
                f'{tail}{seq},"tick":{tick}}}'
            )
            digest = sha256(leaf.encode()).digest()
            head = digest.hex()
            chains[agent] = (seq + 1, head, tick)
            if agent == RUN:
                self.head = head
            elif kind in _TURNING:
                if born is not None:
                    agents.append(self._row_of(born, round_index, tick, head))
                elif kind == "spawn":
                    self._spawned[int(event.payload["child"])] = head
                else:
                    del chains[agent]
            sealed.append(new(SealedEvent, (event_id, round_index, agent_id, seq, tick, kind, text, digest)))
            leaves.append(digest)
            event_id += 1
        self._tree.extend(leaves)
        return sealed, agents

    def _be_born(self, event: Event, births: dict[int, Birth], round_index: int) -> _Newborn:
        """Open the chain of a newborn: at its parent's spawn event, or at the genesis."""
        birth = births.pop(event.agent_id or RUN, None)
        if birth is None:
            raise InvariantError(f"round {round_index}: agent {event.agent_id} is born without a Birth")
        child, parent = birth.agent_id, birth.parent_id
        kin = self.family.add(child, parent)
        payload = birth_payload(birth, kin)
        if event.payload and event.payload != payload:
            raise InvariantError(f"round {round_index}: the birth event of agent {child} contradicts its Birth")
        start = self.genesis if parent is None else self._spawned.pop(child, None)
        if start is None:
            raise InvariantError(f"round {round_index}: agent {child} is born before agent {parent} spawns it")
        self._chains[child] = (0, start, int(event.tick))
        return _Newborn(birth, kin, payload)

    def _row_of(self, born: _Newborn, round_index: int, tick: int, identity: str) -> AgentRow:
        """Return the row of a newborn; a founder names its clan."""
        birth, (founder, depth, jump), payload = born
        child, parent = birth.agent_id, birth.parent_id
        if parent is None:
            self._clans[child] = self._names.name(identity)
        hashes = (bytes.fromhex(str(payload["genome_sha256"])), bytes.fromhex(birth.weights_sha256))
        row = (
            child, parent, founder, depth, jump, self._clans[founder], int(birth.market), int(birth.seat), round_index,
            tick, birth.mind, birth.inheritance, int(birth.endowment_cents), int(birth.birthmark),
            int(birth.apprentice_rounds), *hashes,
        )  # fmt: skip
        return tuple.__new__(AgentRow, row)

    def _check_round(self, record: RoundRecord) -> None:
        if self.closed:
            raise InvariantError(f"round {record.round}: the run is closed")
        if record.round != self.next_round:
            raise InvariantError(f"round {record.round} is sealed out of order; the next is {self.next_round}")
        if self._next_tick not in (None, record.first_tick) or record.last_tick < record.first_tick:
            raise InvariantError(
                f"round {record.round}: ticks {record.first_tick} to {record.last_tick} do not follow {self._next_tick}"
            )

    def seal_round(self, record: RoundRecord) -> SealedRound:
        """Seal one round: its events in order, then the `round` event with root and digests.

        A birth event may come with an empty payload: it is filled in from its Birth. Raises
        InvariantError when events contradict the order of life, or columns the schema.
        """
        self._check_round(record)
        bars, markets, seats = bar_table(record), market_table(record), seat_table(record)
        births = {birth.agent_id: birth for birth in record.births}
        ticks, first = range(record.first_tick, record.last_tick + 1), self._tree.size
        events, agents = self._seal(record.events, record.round, ticks, births)
        if births or self._spawned:
            left = sorted({*births, *self._spawned})[0]
            raise InvariantError(f"round {record.round}: agent {left} is announced, its birth event is missing")
        root = self.root
        end = self._round_event(record, root, bars, markets, seats)
        events += self._seal([end], record.round, ticks, {})[0]
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
        sealed, _ = self._seal(events, last, _ANY_TICK, {})
        payload = {**(extra or {}), "rounds": self.next_round, "n_events": self._tree.size, "root": self.root}
        sealed += self._seal([Event("closed", None, tick, payload)], last, _ANY_TICK, {})[0]
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
            "SELECT agent_id, seq, tick, kind FROM event WHERE event_id < ? ORDER BY event_id", (end,)
        )
        leaves = [leaf for _, leaf in leaf_hashes(connection, end)]
        for (agent_id, seq, tick, kind), leaf in zip(rows, leaves, strict=True):
            agent = RUN if agent_id is None else agent_id
            if kind in ENDS:
                self._chains.pop(agent, None)
            else:
                self._chains[agent] = (seq + 1, leaf.hex(), tick)
                if agent == RUN:
                    self.head = leaf.hex()
        self._tree.extend(leaves)
