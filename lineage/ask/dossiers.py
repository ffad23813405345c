"""One agent's life from the database: its rounds, its events, its genes, and whether its chain of hashes holds."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from lineage.ask.frames import SEAT_COLUMNS, SEATS_ASKED, Dossier, Happening
from lineage.record.ledger import event_hash

_LIFE = SEATS_ASKED + " WHERE agent_id = ? AND round <= ? ORDER BY round"
_CHAIN = (
    "SELECT event_id, round, tick, agent_id, kind, payload, seq, prev_hash, hash FROM event "
    "WHERE agent_id = ? AND round <= ? ORDER BY seq"
)
_GENES = "SELECT name, value FROM gene WHERE agent_id = ? ORDER BY name"
_IDENTITY = "SELECT identity FROM agent WHERE agent_id = ?"
_START = "SELECT run_id, genesis FROM run"
_SPAWN = "SELECT hash FROM event WHERE agent_id = ? AND kind = 'spawn' AND instr(payload, ?) > 0"


def happenings(rows: Iterable[tuple[Any, ...]]) -> Iterator[Happening]:
    """Yield events from rows (event_id, round, tick, agent_id, kind, payload)."""
    for event_id, round_index, tick, agent_id, kind, payload in rows:
        yield Happening(event_id, round_index, tick, agent_id, str(kind), json.loads(payload))


def read_dossier(connection: sqlite3.Connection, agent_id: int, parent_id: int, at: int) -> Dossier:
    """Return what a round knows of an agent; parent_id is 0 for a founder."""
    rows = np.array(connection.execute(_LIFE, (agent_id, at)).fetchall(), dtype=np.float64)
    names = ("round", *SEAT_COLUMNS)
    life = dict(zip(names, rows.reshape(-1, len(names)).T.copy(), strict=True))
    chain = connection.execute(_CHAIN, (agent_id, at)).fetchall()
    ok, note = _check_chain(connection, chain, agent_id, parent_id)
    identity = connection.execute(_IDENTITY, (agent_id,)).fetchone()
    return Dossier(
        agent_id=agent_id,
        life=life,
        events=tuple(happenings(row[:6] for row in chain)),
        genes=dict(connection.execute(_GENES, (agent_id,)).fetchall()),
        parent_genes=dict(connection.execute(_GENES, (parent_id,)).fetchall()) if parent_id else {},
        identity=str(identity[0]) if identity else "",
        chain_ok=ok,
        chain_note=note,
    )


def _check_chain(
    connection: sqlite3.Connection, chain: list[tuple[Any, ...]], agent_id: int, parent_id: int
) -> tuple[bool, str]:
    """Compute every hash of a chain again, from the genesis or the parent's spawn event on."""
    run_id, genesis = connection.execute(_START).fetchone()
    if parent_id:
        spawned = connection.execute(_SPAWN, (parent_id, f'"child":{agent_id},')).fetchone()
        before, start = str(spawned[0]) if spawned else "", f"from the spawn event of #{parent_id}"
    else:
        before, start = str(genesis), "from the run's genesis"
    for seq, (event_id, round_index, tick, _, kind, payload, noted_seq, prev, digest) in enumerate(chain):
        found = event_hash(run_id, event_id, agent_id, seq, round_index, tick, kind, payload, before)
        if (noted_seq, prev, digest) != (seq, before, found):
            return False, f"event {seq} ({kind}, round {round_index}) does not follow from the one before it"
        before = digest
    return True, f"{len(chain)} events {start}, every hash computed again"
