"""What the picture of a family tree shows: which agents get a row, in which order, in which colour, with which marks.

Rows: a parent stands above its children, the newest child nearest, so that no line of birth crosses a life; clans with
many members come first. Above a limit only the members with the largest clades are drawn, which always includes their
ancestors; whoever is left out is counted at the nearest ancestor who is drawn.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from lineage.ask.branches import sum_up
from lineage.ask.kinship import children_lists
from lineage.ask.tree import Ints, Tree

ROWS: Final = 1000
"""Most rows of a picture."""

MOMENTS: Final = 1000
"""Most moments at which the living are counted: about one a pixel."""

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7f4fc9", "#4d4d4d")
"""Clans in turn: Okabe and Ito's palette for all kinds of colour vision, its yellows darkened for white paper."""

ALONE: Final = "#8c8c8c"
"""Founders without descendants."""

_LIVES: Final = """
SELECT
    a.agent_id, a.birthmark,
    (SELECT g.round FROM event g WHERE g.kind = 'graduation' AND g.agent_id = a.agent_id AND g.round <= :at),
    CASE WHEN e.kind = 'death' THEN json_extract(e.payload, '$.cause') ELSE e.kind END
FROM agent a LEFT JOIN event e ON e.agent_id = a.agent_id AND e.kind IN ('death', 'censored') AND e.round <= :at
WHERE a.birth_round <= :at
"""
_SCARS: Final = """
SELECT agent_id, round, json_extract(payload, '$.severity') FROM event
WHERE kind = 'scar' AND round <= :at ORDER BY event_id
"""


@dataclass(slots=True)
class Marks:
    """What happened to the agents of a tree, by agent_id; empty for a tree from elsewhere."""

    birthmark: dict[int, int] = field(default_factory=dict)  # damage points inherited
    graduation: dict[int, int] = field(default_factory=dict)  # round in which the apprenticeship ended
    fate: dict[int, str] = field(default_factory=dict)  # cause of death, or censored
    scars: dict[int, list[tuple[int, str]]] = field(default_factory=dict)  # (round, severity) in order


@dataclass(frozen=True, slots=True)
class Layout:
    """Who is drawn, from top to bottom."""

    rows: list[int]  # rows of the tree
    place: dict[int, int]  # row of the tree -> place from the top
    hidden: dict[int, int]  # row of the tree -> descendants that are left out below it
    colour: dict[int, str]  # row of a founder -> colour of its clan
    members: Ints  # [n] members of the clan, at its founder's row
    left_out: int  # agents of clans of which nobody is drawn
    left_out_clans: int


def read_marks(connection: sqlite3.Connection, tree: Tree, drawn: list[int]) -> Marks:
    """Return what happened to the drawn agents of a run until the tree's present, in rounds."""
    wanted, marks = set(tree.ids[drawn].tolist()), Marks()
    at = {"at": int(tree.present)}
    for agent_id, birthmark, graduation, fate in connection.execute(_LIVES, at):
        if agent_id in wanted:
            marks.birthmark[agent_id] = birthmark
            if graduation is not None:
                marks.graduation[agent_id] = graduation
            if fate is not None:
                marks.fate[agent_id] = fate
    for agent_id, index, severity in connection.execute(_SCARS, at):
        if agent_id in wanted:
            marks.scars.setdefault(agent_id, []).append((index, severity))
    return marks


def arrange(tree: Tree, most: int = ROWS) -> Layout:
    """Return who is drawn where. Iterative: lines of any depth."""
    n = len(tree)
    clade = sum_up(tree.parent, np.ones(n, dtype=np.int64))  # [n] descendants and oneself
    largest = np.lexsort((np.arange(n), -clade))[:most]
    drawn = np.zeros(n, dtype=np.bool_)
    drawn[largest] = True  # a parent's clade is larger than its child's: ancestors of the drawn are drawn
    hidden: dict[int, int] = {}
    for row in np.flatnonzero(~drawn & (tree.parent >= 0)).tolist():
        parent = int(tree.parent[row])
        if drawn[parent]:
            hidden[parent] = hidden.get(parent, 0) + int(clade[row])
    founders = np.flatnonzero((tree.parent < 0) & drawn)
    order = founders[np.lexsort((founders, -clade[founders]))].tolist()
    rows = list(_downwards(tree, order, drawn))
    colour, next_colour = {}, 0
    for founder in order:
        colour[founder] = ALONE if clade[founder] == 1 else COLOURS[next_colour % len(COLOURS)]
        next_colour += int(clade[founder] > 1)
    lost = np.flatnonzero((tree.parent < 0) & ~drawn)
    place = {row: at for at, row in enumerate(rows)}
    return Layout(rows, place, hidden, colour, clade, int(clade[lost].sum()), len(lost))


def _downwards(tree: Tree, founders: list[int], drawn: np.ndarray) -> Iterator[int]:
    """Yield rows from top to bottom: whoever is born last stands nearest to the parent."""
    offsets, children = children_lists(tree.parent)
    stack = founders[::-1]
    while stack:
        row = stack.pop()
        yield row
        below = children[offsets[row] : offsets[row + 1]]
        below = below[drawn[below]]
        stack += below[np.argsort(tree.origin_time[below], kind="stable")].tolist()


def census(tree: Tree, layout: Layout, most: int = 8) -> list[tuple[str, list[tuple[float, int]]]]:
    """Return [(colour, [(time, alive), ...])] of the largest clans and, last, of all the others together.

    Times are the births and deaths, or as many moments in between as there are pixels; who is born is alive at once,
    who dies no longer is.
    """
    founders = [row for row in layout.colour if layout.colour[row] != ALONE][:most]
    column = np.full(len(tree), len(founders), dtype=np.int64)  # by row of the founder
    column[founders] = np.arange(len(founders))
    mine = column[tree.founder]
    dead = ~np.isnan(tree.destruction_time)
    times = np.concatenate((tree.origin_time, tree.destruction_time[dead], [tree.present]))
    change = np.concatenate((np.ones(len(tree)), -np.ones(int(dead.sum())), [0.0]))
    who = np.concatenate((mine, mine[dead], [0])).astype(np.int64)
    moments, at = np.unique(times, return_inverse=True)
    alive = np.zeros((len(founders) + 1, len(moments)))
    np.add.at(alive, (who, at), change)
    counts = np.cumsum(alive, axis=1).astype(np.int64)
    if len(moments) > MOMENTS:
        even = np.linspace(moments[0], moments[-1], MOMENTS)
        moments, counts = even, counts[:, np.searchsorted(moments, even, side="right") - 1]
    colours = [layout.colour[row] for row in founders] + [ALONE]
    lines = [list(zip(moments.tolist(), line.tolist(), strict=True)) for line in counts]
    return list(zip(colours, lines, strict=True))
