"""Who descends from whom, as arrays: read from a run at any round, or built from anybody's arrays.

A `Tree` is a forest: every founder is the root of a tree of its own. Rows are agents in topological order
(a parent's row is before its children's), which for a run is the order of ids. Everything is iterative:
a line of descent 100,000 deep is as good as any other.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from arena.errors import ConfigError, DataError, StoreError
from lineage.ask.reading import check_round, fetch_integers, snapshot

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
TimeUnit = Literal["round", "tick"]

NOBODY = -1
"""The parent row of a founder."""


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A forest of n agents; all arrays lead with the agent, rows are topologically ordered."""

    ids: Ints  # [n] agent_id
    parent: Ints  # [n] row of the parent, NOBODY for a founder
    origin_time: Floats  # [n] birth, in time_unit
    destruction_time: Floats  # [n] death, NaN while extant
    founder: Ints  # [n] row of the root of its tree
    depth: Ints  # [n] births since the founder
    jump: Ints  # [n] row of an ancestor for O(log depth) walks (Myers 1983); a founder's is its own
    present: float  # the time at which the tree is seen: the living have lived until then
    time_unit: str  # "round", "tick", or what a foreign file says
    clans: Mapping[int, str]  # {founder's agent_id: clan name}

    def __len__(self) -> int:
        """Return the number of agents."""
        return len(self.ids)

    @property
    def extant(self) -> Bools:
        """[n] who has not died yet; the survivors of a finished run are extant (censored)."""
        return np.isnan(self.destruction_time)

    def row(self, agent_id: int) -> int:
        """Return the row of an agent. Raises ConfigError when it is not in the tree."""
        rows = self.rows(np.array([agent_id], dtype=np.int64))
        return int(rows[0])

    def rows(self, agent_ids: Ints) -> Ints:
        """Return the rows of agents, [k] -> [k]. Raises ConfigError naming the first that is not in the tree."""
        order = np.argsort(self.ids, kind="stable")
        found = np.searchsorted(self.ids, agent_ids, sorter=order)
        found = order[np.minimum(found, len(self) - 1)] if len(self) else np.zeros(len(agent_ids), dtype=np.int64)
        for index, agent_id in enumerate(agent_ids):
            if not len(self) or self.ids[found[index]] != agent_id:
                raise ConfigError(f"agent {agent_id}: not in this tree of {len(self)} agents; see `lineage RUN tree`")
        return found.astype(np.int64)

    def name(self, row: int) -> str:
        """Return the clan of an agent, `#id` of the founder when it has no name. The name is data: escape it."""
        founder = int(self.ids[self.founder[row]])
        return self.clans.get(founder, f"#{founder}")


def tree_from_arrays(
    ids: Ints,
    parent_ids: Ints,
    origin_time: Floats,
    destruction_time: Floats,
    *,
    present: float | None = None,
    time_unit: str = "round",
    clans: Mapping[int, str] | None = None,
) -> Tree:
    """Return the tree of n agents given in any order; ids count as equal keys, nothing else of them matters.

    ids: [n] distinct. parent_ids: [n], a founder names itself or an id below 0. Times: [n], NaN destruction = extant.
    present: the last time that occurs when not given. Raises DataError for a repeated id, a parent that is
    not there, a cycle, a time that is not finite, a child older than its parent, a death before birth.
    """
    ids, parent_ids = np.asarray(ids, dtype=np.int64), np.asarray(parent_ids, dtype=np.int64)
    origin, death = np.asarray(origin_time, dtype=np.float64), np.asarray(destruction_time, dtype=np.float64)
    order = np.argsort(ids, kind="stable")
    parent = _parent_rows(ids[order], parent_ids[order])
    depth, founder = _depth_and_founder(parent, ids[order])
    if np.any(parent >= np.arange(len(ids))):  # ids that do not count up: sort by generation
        by_depth = np.argsort(depth, kind="stable")
        place = np.empty(len(ids), dtype=np.int64)
        place[by_depth] = np.arange(len(ids))
        order, depth, founder = order[by_depth], depth[by_depth], place[founder[by_depth]]
        parent = np.where(parent[by_depth] < 0, NOBODY, place[parent[by_depth]])
    ids, origin, death = ids[order], origin[order], death[order]
    _check_times(ids, parent, origin, death)
    if present is None:
        last = np.concatenate((origin, death[~np.isnan(death)]))
        present = float(last.max()) if len(last) else 0.0
    return Tree(
        ids, parent, origin, death, founder, depth, _jumps(parent, depth), float(present), time_unit, dict(clans or {})
    )


def read_tree(connection: sqlite3.Connection, at: int | None = None, unit: TimeUnit = "round") -> Tree:
    """Return the tree of a run as it was known at the end of round `at` (default: the newest round).

    Later births do not exist in it and later deaths have not happened. unit: times in rounds, or in ticks.
    Raises ConfigError when the run has no such round, StoreError when the file contradicts itself.
    """
    with snapshot(connection):
        last = check_round(connection, at)
        columns = fetch_integers(connection.execute(_AGENTS, {"at": last}), 4)  # [n,4]
        deaths = fetch_integers(connection.execute(_DEATHS, {"at": last}), 3)  # [d,3]
        clans = dict(connection.execute(_CLANS, {"at": last}).fetchall())
        (tick,) = connection.execute("SELECT last_tick FROM round WHERE round = ?", (last,)).fetchone()
    late = 1 if unit == "round" else 2
    death = np.full(len(columns), np.nan)
    place = np.searchsorted(columns[:, 0], deaths[:, 0])
    if np.any(place >= len(columns)) or np.any(columns[np.minimum(place, len(columns) - 1), 0] != deaths[:, 0]):
        raise StoreError("event: a death of somebody who was never born; run verify on this directory")
    death[place] = deaths[:, late]
    try:
        return tree_from_arrays(
            columns[:, 0], columns[:, 1], columns[:, 1 + late].astype(np.float64), death,
            present=float(last if unit == "round" else tick), time_unit=unit, clans=clans,
        )  # fmt: skip
    except DataError as error:
        raise StoreError(f"{error}; run verify on this directory") from error


_AGENTS = """
SELECT agent_id, coalesce(parent_id, -1), birth_round, birth_tick FROM agent
WHERE birth_round <= :at ORDER BY agent_id
"""
_DEATHS = "SELECT agent_id, round, tick FROM event WHERE kind = 'death' AND agent_id IS NOT NULL AND round <= :at"
_CLANS = "SELECT agent_id, clan FROM agent WHERE parent_id IS NULL AND birth_round <= :at"


def _parent_rows(ids: Ints, parent_ids: Ints) -> Ints:
    """Return the row of each parent; ids are sorted."""
    repeated = np.flatnonzero(ids[1:] == ids[:-1])
    if len(repeated):
        raise DataError(f"id {ids[repeated[0]]}: occurs twice; ids must be unique")
    founders = (parent_ids < 0) | (parent_ids == ids)
    rows = np.searchsorted(ids, parent_ids)
    known = ids[np.minimum(rows, len(ids) - 1)] == parent_ids if len(ids) else np.zeros(0, dtype=bool)
    orphans = np.flatnonzero(~known & ~founders)
    if len(orphans):
        first = orphans[0]
        raise DataError(f"id {ids[first]}: its parent {parent_ids[first]} is not there; give every ancestor a row")
    return np.where(founders, NOBODY, rows).astype(np.int64)


def _depth_and_founder(parent: Ints, ids: Ints) -> tuple[Ints, Ints]:
    """Return ([n] depth, [n] row of the root) by pointer doubling: O(n log depth), in any order of rows."""
    n = len(parent)
    above = np.where(parent < 0, np.arange(n), parent)
    depth = (parent >= 0).astype(np.int64)
    for _ in range(max(1, n.bit_length() + 1)):
        further = depth[above]
        if not further.any():
            return depth, above.astype(np.int64)
        depth = depth + further
        above = above[above]
    circle = ids[np.flatnonzero(parent[above] >= 0)[0]]
    raise DataError(f"id {circle}: is its own ancestor; a tree has no cycles")


def _jumps(parent: Ints, depth: Ints) -> Ints:
    """Return [n] skew-binary jump pointers (Myers 1983), one generation at a time.

    Whether a jump joins the two below it depends on the depth alone.
    """
    n = len(parent)
    jump = np.arange(n)
    if not n:
        return jump
    by_depth = np.argsort(depth, kind="stable")
    ends = np.cumsum(np.bincount(depth)).tolist()
    target = [0]  # depth that a jump from each depth leads to
    for level in range(1, len(ends)):
        rows = by_depth[ends[level - 1] : ends[level]]
        above = parent[rows]
        skip = target[level - 1]
        joined = level - 1 - skip == skip - target[skip]
        jump[rows] = jump[jump[above]] if joined else above
        target.append(target[skip] if joined else level - 1)
    return jump


def _check_times(ids: Ints, parent: Ints, origin: Floats, death: Floats) -> None:
    for wrong, rule in (
        (~np.isfinite(origin), "its origin time is not a finite number; give one"),
        (np.isinf(death), "its destruction time is not a number; leave it empty for the living"),
        (death < origin, "it dies before it is born; correct one of the times"),
        ((parent >= 0) & (origin < origin[parent]), "it is born before its parent; correct one of the times"),
    ):
        if wrong.any():
            raise DataError(f"id {ids[np.flatnonzero(wrong)[0]]}: {rule}")
