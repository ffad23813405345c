"""Facts about single agents as they were known at a round: look-ups by key, whatever the size of the run."""

import json
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from lineage.ask.kinship import line_of, mrca_id


class Fact(NamedTuple):
    """One agent at the end of a round; None is what had not happened, or is not recorded."""

    agent_id: int
    parent_id: int | None
    clan: str
    depth: int
    market: int
    birth_round: int
    graduation_round: int | None
    death_round: int | None
    cause: str | None
    birthmark: int
    damage: int  # birthmark included
    scars: int
    offspring: int
    equity: float | None  # at death, or at the end of the round


_FACTS = """
SELECT
    a.agent_id, a.parent_id, a.clan, a.depth, a.market, a.birth_round,
    (SELECT g.round FROM event g WHERE g.agent_id = a.agent_id AND g.kind = 'graduation' AND g.round <= :at),
    d.round, json_extract(d.payload, '$.cause'), a.birthmark,
    a.birthmark + (
        SELECT coalesce(sum(json_extract(s.payload, '$.damage')), 0)
        FROM event s WHERE s.agent_id = a.agent_id AND s.kind = 'scar' AND s.round <= :at
    ),
    (SELECT count(*) FROM event s WHERE s.agent_id = a.agent_id AND s.kind = 'scar' AND s.round <= :at),
    (SELECT count(*) FROM agent c WHERE c.parent_id = a.agent_id AND c.birth_round <= :at),
    CASE
        WHEN d.round IS NULL THEN (SELECT r.equity FROM agent_round r WHERE r.round = :at AND r.agent_id = a.agent_id)
        ELSE json_extract(d.payload, '$.equity_cents') / 100.0
    END
FROM json_each(:ids) j
JOIN agent a ON a.agent_id = j.value
LEFT JOIN event d ON d.agent_id = a.agent_id AND d.kind = 'death' AND d.round <= :at
ORDER BY j.key
"""

_DESCENDANTS = """
WITH RECURSIVE line (agent_id) AS (
    SELECT agent_id FROM agent WHERE parent_id = :agent AND birth_round <= :at
    UNION ALL
    SELECT a.agent_id FROM line JOIN agent a ON a.parent_id = line.agent_id WHERE a.birth_round <= :at
    LIMIT :most
)
SELECT agent_id FROM line LIMIT :most OFFSET :skip
"""

_GRAVES = """
SELECT agent_id FROM event
WHERE +kind = 'death' AND event_id < (SELECT first_event_id + n_events FROM round WHERE round = :at)
ORDER BY event_id DESC
LIMIT :most OFFSET :skip
"""  # the plus keeps SQLite on the primary key, backwards


def facts(connection: sqlite3.Connection, ids: Sequence[int], at: int) -> list[Fact]:
    """Return what was known of agents at the end of round `at`, in the order of `ids`."""
    return [Fact(*row) for row in connection.execute(_FACTS, {"ids": json.dumps(list(ids)), "at": at})]


def ancestors_of(connection: sqlite3.Connection, agent_id: int, at: int, most: int, skip: int = 0) -> list[Fact]:
    """Return an agent's line of descent, the agent itself first, its founder last; a page of at most `most`."""
    return facts(connection, line_of(connection, agent_id)[skip : skip + most], at)


def descendants_of(connection: sqlite3.Connection, agent_id: int, at: int, most: int, skip: int = 0) -> list[Fact]:
    """Return a page of an agent's descendants born until round `at`, nearest generation first."""
    bound = {"agent": agent_id, "at": at, "most": most + skip, "skip": skip}
    return facts(connection, [row[0] for row in connection.execute(_DESCENDANTS, bound)], at)


def graves(connection: sqlite3.Connection, at: int, most: int, skip: int = 0) -> list[Fact]:
    """Return a page of the dead, the newest grave first."""
    bound = {"at": at, "most": most, "skip": skip}
    return facts(connection, [row[0] for row in connection.execute(_GRAVES, bound)], at)


def common_ancestor_of(connection: sqlite3.Connection, ids: Sequence[int], at: int) -> Fact | None:
    """Return the most recent common ancestor of agents, None when their founders differ."""
    common = ids[0]
    for other in ids[1:]:
        found = mrca_id(connection, common, other)
        if found is None:
            return None
        common = found
    return facts(connection, [common], at)[0]
