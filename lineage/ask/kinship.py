"""Ancestors, descendants and common ancestors: on a `Tree`, and straight from a run's database.

The database answers about single agents without reading the tree: a line of descent by a recursive query,
a common ancestor by jump pointers in O(log depth) look-ups (Myers 1983, "An applicative random-access stack").
"""

import sqlite3
from typing import NamedTuple

import numpy as np

from arena.errors import StoreError
from lineage.ask.tree import Ints, Tree


def ancestors(tree: Tree, row: int) -> Ints:
    """Return the rows of a line of descent: the parent first, the founder last; empty for a founder."""
    line = np.empty(int(tree.depth[row]), dtype=np.int64)
    for place in range(len(line)):
        row = int(tree.parent[row])
        line[place] = row
    return line


def children_lists(parent: Ints) -> tuple[Ints, Ints]:
    """Return (offsets [n+1], children [edges]): the children of i are `children[offsets[i]:offsets[i + 1]]`.

    parent: [n] rows, NOBODY for a root. Children are in order of rows.
    """
    born = np.flatnonzero(parent >= 0)
    order = born[np.argsort(parent[born], kind="stable")]
    counts = np.bincount(parent[born], minlength=len(parent))
    return np.concatenate(([0], np.cumsum(counts))), order


def descendants(tree: Tree, row: int) -> Ints:
    """Return the rows of everybody who descends from `row`, itself not included, in order of rows.

    One sweep over the rows after it, whatever the depth.
    """
    parent = tree.parent.tolist()
    inside = [False] * len(parent)
    inside[row] = True
    for place in range(row + 1, len(parent)):
        above = parent[place]
        inside[place] = above >= 0 and inside[above]
    inside[row] = False
    return np.flatnonzero(np.array(inside))


def mrca(tree: Tree, first: int, second: int) -> int | None:
    """Return the row of the most recent common ancestor of two rows, None in different clans; O(log depth).

    An agent is its own ancestor here: the MRCA of a parent and its child is the parent.
    """
    if tree.founder[first] != tree.founder[second]:
        return None
    parent, depth, jump = tree.parent, tree.depth, tree.jump
    if depth[first] < depth[second]:
        first, second = second, first
    while depth[first] > depth[second]:
        first = int(jump[first]) if depth[jump[first]] >= depth[second] else int(parent[first])
    while first != second:
        if jump[first] != jump[second]:
            first, second = int(jump[first]), int(jump[second])
        else:
            first, second = int(parent[first]), int(parent[second])
    return first


def mrca_of(tree: Tree, rows: Ints) -> int | None:
    """Return the row of the most recent common ancestor of all `rows`, None when there is none."""
    if not len(rows):
        return None
    common = int(rows[0])
    for row in rows[1:]:
        found = mrca(tree, common, int(row))
        if found is None:
            return None
        common = found
    return common


class Kin(NamedTuple):
    """Place of one agent as the database records it."""

    agent_id: int
    parent_id: int | None
    founder_id: int
    depth: int
    jump_id: int


_KIN = "SELECT agent_id, parent_id, founder_id, depth, jump_id FROM agent WHERE agent_id = ?"

_LINE = """
WITH RECURSIVE line (agent_id, parent_id) AS (
    SELECT agent_id, parent_id FROM agent WHERE agent_id = :agent
    UNION ALL
    SELECT a.agent_id, a.parent_id FROM agent a JOIN line ON a.agent_id = line.parent_id
)
SELECT agent_id FROM line
"""


def kin_of(connection: sqlite3.Connection, agent_id: int | None) -> Kin:
    """Return one agent's recorded place. Raises StoreError when it is not there (the ids came from the file)."""
    row = connection.execute(_KIN, (agent_id,)).fetchone()
    if row is None:
        raise StoreError(f"agent {agent_id}: an ancestor that has no row; run verify on this directory")
    return Kin(*row)


def line_of(connection: sqlite3.Connection, agent_id: int) -> list[int]:
    """Return an agent's line of descent from the database: itself first, its founder last.

    Ends even in a file that was tampered with: the schema holds every parent's id below its child's.
    """
    return [int(row[0]) for row in connection.execute(_LINE, {"agent": agent_id})]


def mrca_id(connection: sqlite3.Connection, first_id: int, second_id: int) -> int | None:
    """Return the most recent common ancestor from the database, None in different clans; O(log depth) look-ups.

    Raises StoreError when the recorded pointers contradict themselves.
    """
    first, second = kin_of(connection, first_id), kin_of(connection, second_id)
    if first.founder_id != second.founder_id:
        return None
    if first.depth < second.depth:
        first, second = second, first
    while first.depth > second.depth:
        skip = kin_of(connection, first.jump_id)
        above = skip if skip.depth >= second.depth else kin_of(connection, first.parent_id)
        first = _nearer_the_founder(first, above)
    while first.agent_id != second.agent_id:
        if first.jump_id != second.jump_id:
            both = kin_of(connection, first.jump_id), kin_of(connection, second.jump_id)
        else:
            both = kin_of(connection, first.parent_id), kin_of(connection, second.parent_id)
        first, second = _nearer_the_founder(first, both[0]), _nearer_the_founder(second, both[1])
    return first.agent_id


def _nearer_the_founder(below: Kin, above: Kin) -> Kin:
    if above.depth >= below.depth:
        raise StoreError(f"agent {below.agent_id}: its ancestor {above.agent_id} is no nearer to the root; run verify")
    return above
