"""Proofs from a run's database: that an event, a scar or an ancestor is in it, and that it only grew.

Hashes of all events are read and their tree is built once (about a second for a million); the events that are proven
are hashed anew. What does not fit the roots that the rounds wrote down is not proven: run verify.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from arena.errors import ConfigError, TamperedError
from lineage.ask.prove_file import Kind, Leaf, consistency_text, inclusion_text
from lineage.ask.reading import open_run, snapshot
from lineage.record.leaves import leaf_hashes
from lineage.record.ledger import RUN, event_hash, event_text
from lineage.record.merkle import HashTree
from lineage.record.note import Checkpoint

_EVENT = "SELECT event_id, agent_id, seq, round, tick, kind, payload, prev_hash, hash FROM event WHERE event_id = ?"
_BIRTH = "SELECT event_id FROM event WHERE agent_id = ? AND seq = 0"
_SPAWN = """
SELECT event_id FROM event WHERE kind = 'spawn' AND agent_id = ?
AND hash = (SELECT prev_hash FROM event WHERE event_id = ?)
"""
_SCARS = "SELECT event_id FROM event WHERE kind = 'scar' AND agent_id = ? AND event_id < ? ORDER BY event_id"
_NEWEST = "SELECT first_event_id + n_events - 1, root FROM round ORDER BY round DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class History:
    """A run's hashes up to some event, ready to prove things."""

    connection: sqlite3.Connection
    tree: HashTree
    checkpoint: Checkpoint


@contextmanager
def open_history(directory: Path, kept: Checkpoint | None = None) -> Iterator[History]:
    """Open a run for proofs against its newest root, or against the checkpoint that somebody kept.

    Raises ConfigError when there is no run, TamperedError when the hashes do not give the roots that are
    recorded, or not the one that was kept.
    """
    with open_run(directory) as connection, snapshot(connection):  # the run may be in progress
        row = connection.execute("SELECT run_id FROM run").fetchone()
        newest = connection.execute(_NEWEST).fetchone()
        if row is None or newest is None:
            raise ConfigError(f"{directory}: no round is recorded yet; wait for the first, or `resume` the run")
        whole = HashTree(_leaves(connection, directory))
        size, root = newest
        if not 0 <= size <= whole.size or whole.root(size).hex() != root:
            raise TamperedError(f"{directory}: its hashes do not give the root of its newest round; run verify on it")
        run_id = str(row[0])
        if kept is not None:
            _check_kept(directory, whole, run_id, kept)
        if kept is None or kept.size == whole.size:
            yield History(connection, whole, Checkpoint(run_id, whole.size, whole.root().hex()))
        else:
            yield History(connection, HashTree(_leaves(connection, directory, kept.size)), kept)


def _leaves(connection: sqlite3.Connection, directory: Path, size: int = 2**62) -> Iterator[bytes]:
    for expected, (event_id, leaf) in enumerate(leaf_hashes(connection, size)):
        if event_id != expected or len(leaf) != 32:
            raise TamperedError(f"{directory}: event {expected} is missing or has no hash; run verify on it")
        yield leaf


def _check_kept(directory: Path, tree: HashTree, run_id: str, kept: Checkpoint) -> None:
    if kept.run_id != run_id:
        raise TamperedError(f"{directory}: this is run {run_id}, the checkpoint is of run {kept.run_id}")
    if kept.size > tree.size:
        raise TamperedError(
            f"{directory}: {tree.size} events are there, the checkpoint covers {kept.size}: the history was cut short"
        )
    if tree.root(kept.size).hex() != kept.root:
        raise TamperedError(
            f"{directory}: the first {kept.size} events have another root than the checkpoint: history was rewritten"
        )


def _leaf(history: History, event_id: int) -> Leaf:
    """Return an event and its way to the root. Raises ConfigError when it is not there yet."""
    size = history.checkpoint.size
    if not 0 <= event_id < size:
        raise ConfigError(f"event {event_id}: the tree covers events 0 to {size - 1}; choose one of them")
    row = history.connection.execute(_EVENT, (event_id,)).fetchone()
    _, agent_id, seq, index, tick, kind, payload, prev, stored = row
    columns = (history.checkpoint.run_id, event_id, RUN if agent_id is None else agent_id, seq, index, tick, kind)
    if event_hash(*columns, payload, prev) != stored:
        raise TamperedError(f"event {event_id}: its hash does not follow from its columns; run verify on this run")
    return Leaf(event_text(*columns, payload, prev), history.tree.inclusion(event_id))


def _prove(kind: Kind, history: History, event_ids: Sequence[int]) -> str:
    try:
        return inclusion_text(kind, [_leaf(history, event_id) for event_id in event_ids], history.checkpoint)
    except (ValueError, KeyError, TypeError) as error:  # hashed correctly, yet no event of ours
        raise TamperedError(f"event {event_ids[0]} ({error}): cannot be proven; run verify on this run") from error


def prove_event(history: History, event_id: int) -> str:
    """Return the proof (text) that one event is in the history. Raises ConfigError when there is none."""
    return _prove("event", history, [event_id])


def prove_scars(history: History, agent_id: int, number: int | None = None) -> str:
    """Return the proof (text) of an agent's scars, or of the one with this number, counted from 1.

    Raises ConfigError when the agent has none. A proof shows that scars are there, not that there are no others.
    """
    rows = history.connection.execute(_SCARS, (agent_id, history.checkpoint.size)).fetchall()
    if not rows:
        _birth(history, agent_id)
        raise ConfigError(f"agent {agent_id}: has no scar in these {history.checkpoint.size} events; choose another")
    if number is not None and not 1 <= number <= len(rows):
        raise ConfigError(f"scar {agent_id}.{number}: agent {agent_id} has scars 1 to {len(rows)}; choose one of them")
    chosen = rows if number is None else rows[number - 1 : number]
    return _prove("scar", history, [event_id for (event_id,) in chosen])


def prove_ancestor(history: History, ancestor: int | None, descendant: int) -> str:
    """Return the proof (text) of a line of descent: births and spawns from the ancestor, by default the founder.

    Raises ConfigError when they are not related so, or one of them was never born.
    """
    line = [descendant]
    events = [_birth(history, descendant)]
    parent = "SELECT parent_id FROM agent WHERE agent_id = ?"
    if ancestor is not None:
        _birth(history, ancestor)
    while line[-1] != ancestor:
        (above,) = history.connection.execute(parent, (line[-1],)).fetchone() or (None,)
        if above is None:
            break
        spawn = history.connection.execute(_SPAWN, (above, events[-1])).fetchone()
        if spawn is None:
            raise TamperedError(f"agent {line[-1]}: its birth does not follow a spawn of agent {above}; run verify")
        line.append(above)
        events += [spawn[0], _birth(history, above)]
    if ancestor is not None and line[-1] != ancestor:
        raise ConfigError(f"agent {ancestor} is no ancestor of agent {descendant}; its founder is agent {line[-1]}")
    if len(line) == 1:
        raise ConfigError(f"agent {descendant}: is a founder, or its own ancestor; name somebody who descends")
    return _prove("ancestor", history, events[::-1])


def _birth(history: History, agent_id: int) -> int:
    row = history.connection.execute(_BIRTH, (agent_id,)).fetchone()
    if row is None or row[0] >= history.checkpoint.size:
        raise ConfigError(f"agent {agent_id}: was not born in these {history.checkpoint.size} events")
    return int(row[0])


def prove_consistency(directory: Path, older: Checkpoint) -> str:
    """Return the proof (text) that the run only grew since `older`.

    Raises TamperedError when it did not: then there is no such proof.
    """
    with open_history(directory) as history:
        _check_kept(directory, history.tree, history.checkpoint.run_id, older)
        return consistency_text(older, history.checkpoint, history.tree.consistency(older.size))
