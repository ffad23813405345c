"""How a lineage of any size is laid out as lines: trunks and side branches, without recursion.

Of an agent's children the one with the most living descendants carries the trunk on in the same column; the others
begin a column further right and come first. So a line of descent never indents, and n agents need at most log2(n)
columns (heavy paths: Sleator & Tarjan 1983), however deep they are.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Trunks:
    """The order and the columns of n agents; parents have lower rows than their children."""

    order: Ints  # [n] rows from top to bottom
    place: Ints  # [n] where a row is in `order`; its descendants follow it directly
    size: Ints  # [n] descendants, itself included
    living: Ints  # [n] of them alive
    level: Ints  # [n] column
    heir: Ints  # [n] the child that carries the trunk on, -1 for none


def lay_out(parent: Ints, depth: Ints, alive: Bools) -> Trunks:
    """Return the layout of a forest.

    parent: [n] rows, -1 for founders; depth: [n] births since the founder; alive: [n].
    """
    n = len(parent)
    generations = _generations(depth)
    size, living = _sum_up(parent, np.stack((np.ones(n, dtype=np.int64), alive.astype(np.int64))), generations)
    heir = _heirs(parent, (living << 32) + size)
    child = np.flatnonzero(parent >= 0)
    side = child[heir[parent[child]] != child]  # who begins a column of its own
    step = np.zeros((2, n), dtype=np.int64)  # places below the parent's, columns right of the parent's
    step[1, side] = 1
    carries = heir[heir >= 0]
    step[0, carries] = size[parent[carries]] - size[carries]
    by_parent = side[np.argsort(parent[side], kind="stable")]
    before = np.cumsum(size[by_parent]) - size[by_parent]
    first = np.searchsorted(parent[by_parent], parent[by_parent], side="left")
    step[0, by_parent] = 1 + before - before[first] if len(by_parent) else before
    roots = np.flatnonzero(parent < 0)
    step[0, roots] = np.cumsum(size[roots]) - size[roots]
    place, level = _sum_down(parent, step, generations)
    order = np.empty(n, dtype=np.int64)
    order[place] = np.arange(n)
    return Trunks(order, place, size, living, level, heir)


def _heirs(parent: Ints, weight: Ints) -> Ints:
    """Return [n] the child of the largest weight, of equals the eldest; -1 without children."""
    n = len(parent)
    child = np.flatnonzero(parent >= 0)
    best = np.full(n, -1, dtype=np.int64)
    np.maximum.at(best, parent[child], weight[child])
    winners = child[weight[child] == best[parent[child]]][::-1]  # of several the last written stays: the eldest
    heir = np.full(n, -1, dtype=np.int64)
    heir[parent[winners]] = winners
    return heir


def _generations(depth: Ints) -> list[Ints]:
    """Return the rows of each generation; [] when there are so many that one after the other is quicker row by row."""
    deepest = int(depth.max()) if len(depth) else 0
    if deepest * 12 > len(depth):
        return []
    order = np.argsort(depth, kind="stable")
    return np.split(order, np.cumsum(np.bincount(depth, minlength=deepest + 1))[:-1])


def _sum_up(parent: Ints, values: Ints, generations: list[Ints]) -> Ints:
    """Return [k,n] the sum over each subtree of values [k,n]."""
    if generations:
        total = values.copy()
        for rows in generations[:0:-1]:
            for column in total:
                np.add.at(column, parent[rows], column[rows])
        return total
    above, columns = parent.tolist(), values.tolist()
    for column in columns:
        for row in range(len(above) - 1, -1, -1):
            if above[row] >= 0:
                column[above[row]] += column[row]
    return np.array(columns, dtype=np.int64).reshape(values.shape)


def _sum_down(parent: Ints, values: Ints, generations: list[Ints]) -> Ints:
    """Return [k,n] the sum from the founder to each row of values [k,n]."""
    if generations:
        total = values.copy()
        for rows in generations[1:]:
            total[:, rows] += total[:, parent[rows]]
        return total
    above, columns = parent.tolist(), values.tolist()
    for column in columns:
        for row in range(len(above)):
            if above[row] >= 0:
                column[row] += column[above[row]]
    return np.array(columns, dtype=np.int64).reshape(values.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """What is listed: one line an agent, or one line for a run of agents that nothing branches off."""

    rows: Ints  # [k] the agent of the line, the first of a run
    hidden: Ints  # [k] agents of a run, 0 for a line of one agent


def list_lines(
    trunks: Trunks, parent: Ints, alive: Bools, *, whole: bool, folded: Collection[int], kept: Collection[int]
) -> Lines:
    """Return the lines: all agents, or only those with living descendants and long unbranched runs as one line.

    folded: rows whose descendants are hidden; kept: rows that are never swallowed by a run.
    """
    order = trunks.order
    n = len(order)
    shown = np.ones(n, dtype=np.bool_) if whole else trunks.living[order] > 0
    for row in folded:
        start = int(trunks.place[row])
        shown[start + 1 : start + int(trunks.size[row])] = False
    rows = order[np.flatnonzero(shown)]
    if whole or not len(rows):
        return Lines(rows, np.zeros(len(rows), dtype=np.int64))
    own = parent[rows]
    heads = own >= 0
    branches = np.bincount(own[heads], minlength=n)  # [n] listed children
    dull = ~alive[rows] & (branches[rows] == 1) & heads
    if len(kept):
        dull &= ~np.isin(rows, np.fromiter(kept, dtype=np.int64))
    dull[1:] &= trunks.heir[own[1:]] == rows[1:]  # the beginning of a side branch stays
    edges = np.flatnonzero(np.diff(np.concatenate(([False], dull, [False])).astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    long = ends - begins > 1
    begins, ends = begins[long], ends[long]
    swallowed = np.zeros(len(rows) + 1, dtype=np.int64)
    swallowed[begins] += 1
    swallowed[ends] -= 1
    stays = np.cumsum(swallowed[:-1]) == 0
    stays[begins] = True
    hidden = np.zeros(len(rows), dtype=np.int64)
    hidden[begins] = ends - begins
    return Lines(rows[stays], hidden[stays])


def shares_over_time(
    birth: Ints, end: Ints, group: Ints, groups: int, first: int, last: int, columns: int
) -> npt.NDArray[np.float64]:
    """Return [groups, columns] how many of each group lived at evenly spaced rounds from `first` to `last`.

    birth, end, group: [n]; who ends in a round does not live after it; a group below 0 is not counted.
    """
    at = np.linspace(first, last, columns).astype(np.int64)
    counts = np.zeros((groups, columns + 1))
    known = group >= 0
    begins = np.searchsorted(at, birth[known], side="left")
    ends = np.searchsorted(at, end[known], side="left")
    np.add.at(counts, (group[known], begins), 1.0)
    np.add.at(counts, (group[known], np.maximum(ends, begins)), -1.0)
    return np.cumsum(counts, axis=1)[:, :columns]
