"""The tree of the living as nodes and branches with lengths: what the metrics of phylogeny are computed on.

Two treatments of living ancestors, two lengths of a branch:

`nodes`  the genealogy, as in phylotrackpy and the ALife standard: every birth is a branch, a living agent is the
         node of its birth, and a living ancestor is an inner node that counts as one of the living.
`tips`   the reconstructed tree of bioinformatics: an agent's life is a line, its children bud off it when they are
         born, and every living agent is a tip at the present. Nodes with one branch are suppressed.

`time`   nodes: a child's birth minus its parent's. tips: the time between two branching points, or until the present.
`unit`   every branch of that tree counts 1: births (nodes), or branches between branching points (tips).

Whoever is extinct without living descendants is in neither tree. The stem, from a founder to the first branching
point or living agent of its clan, belongs to the tree unless `stem` is false: then its branches count 0.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lineage.ask.kinship import children_lists
from lineage.ask.tree import NOBODY, Bools, Floats, Ints, Tree

Lengths = Literal["time", "unit"]
Treatment = Literal["nodes", "tips"]


@dataclass(frozen=True, slots=True, eq=False)
class Branches:
    """A forest of k nodes, parents before children; the branch of a node leads to its parent."""

    parent: Ints  # [k] node, NOBODY for a root
    length: Floats  # [k] of the branch above; 0 for a root
    agent: Ints  # [k] row of the agent in whose life the node lies
    taxon: Bools  # [k] whether that agent, alive, is counted here
    below: Ints  # [k] living agents at or under this node
    root: Ints  # [k] the root node of its tree

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self.parent)


Nodes = tuple[Ints, Floats, Ints, Bools]
"""parent, time, agent, taxon of each node."""


def living_branches(
    tree: Tree, lengths: Lengths = "time", living: Treatment = "nodes", *, stem: bool = True
) -> Branches:
    """Return the tree of the living under one convention; see the module's docstring. Empty when nobody is alive."""
    kept = _with_living_descendants(tree)
    if living == "nodes":
        parent, time, agent, taxon = _births(tree, kept)
    else:
        parent, time, agent, taxon = _suppress(*_buds(tree, kept))
    length = _lengths(parent, time, lengths)
    below = sum_up(parent, taxon)
    root = np.arange(len(parent))
    for node, above in enumerate(parent.tolist()):
        if above >= 0:
            root[node] = root[above]
    if not stem:
        length = np.where(below == below[root], 0.0, length)
    return Branches(parent, length, agent, taxon, below, root)


def sum_up(parent: Ints, values: Ints | Bools) -> Ints:
    """Return [k] the sum of `values` over each node and everything under it; parents come before children."""
    total: list[int] = np.asarray(values, dtype=np.int64).tolist()
    above = parent.tolist()
    for node in range(len(above) - 1, -1, -1):
        if above[node] >= 0:
            total[above[node]] += total[node]
    return np.array(total, dtype=np.int64)


def sum_down(parent: Ints, values: Floats) -> Floats:
    """Return [k] the sum of `values` from each node up to its root, both included."""
    total: list[float] = values.tolist()
    for node, above in enumerate(parent.tolist()):
        if above >= 0:
            total[node] += total[above]
    return np.array(total, dtype=np.float64)


def _with_living_descendants(tree: Tree) -> Bools:
    """Return [n] who is alive or has a living descendant; visits each of these once."""
    parent = tree.parent.tolist()
    kept = [False] * len(parent)
    for row in np.flatnonzero(tree.extant).tolist():
        while row >= 0 and not kept[row]:
            kept[row] = True
            row = parent[row]
    return np.array(kept, dtype=bool)


def _births(tree: Tree, kept: Bools) -> Nodes:
    """Return (parent, time, agent, taxon) of the genealogy: one node a birth."""
    rows = np.flatnonzero(kept)
    place = np.full(len(tree) + 1, NOBODY)  # the last entry answers for NOBODY
    place[rows] = np.arange(len(rows))
    return place[tree.parent[rows]], tree.origin_time[rows], rows, tree.extant[rows]


def _buds(tree: Tree, kept: Bools) -> Nodes:
    """Return (parent, time, agent, taxon) of the budding tree: a node a birth of kept children, a tip a living agent.

    Siblings born at the same time share a node. Nodes with one branch are still there.
    """
    rows = np.flatnonzero(kept)
    place = np.full(len(tree) + 1, NOBODY)
    place[rows] = np.arange(len(rows))
    offsets, children = children_lists(place[tree.parent[rows]])
    origin, extant = tree.origin_time[rows].tolist(), tree.extant[rows].tolist()
    first, last, sons = offsets.tolist(), offsets[1:].tolist(), children.tolist()
    parent: list[int] = []
    time: list[float] = []
    lives: list[int] = []
    taxon: list[bool] = []

    def add(above: int, when: float, *, alive: bool = False) -> int:
        parent.append(above)
        time.append(when)
        lives.append(agent)
        taxon.append(alive)
        return len(parent) - 1

    attach = [NOBODY] * len(rows)  # node of the parent's life from which each agent budded
    for agent in range(len(rows)):
        if attach[agent] == NOBODY:
            attach[agent] = add(NOBODY, origin[agent])
        node, when = attach[agent], None
        for child in sorted(sons[first[agent] : last[agent]], key=origin.__getitem__):
            if origin[child] != when:
                when = origin[child]
                node = add(node, when)
            attach[child] = node
        if extant[agent]:
            add(node, tree.present, alive=True)
    return (
        np.array(parent, dtype=np.int64), np.array(time, dtype=np.float64),
        rows[np.array(lives, dtype=np.int64)], np.array(taxon, dtype=bool),
    )  # fmt: skip


def _suppress(parent: Ints, time: Floats, agent: Ints, taxon: Bools) -> Nodes:
    """Return the tree without inner nodes of one branch; roots stay."""
    branches = np.bincount(parent[parent >= 0], minlength=len(parent))
    gone = (branches == 1) & (parent >= 0) & ~taxon
    above = parent.tolist()
    for node in range(len(above)):  # parents first: what is above a node is settled already
        if above[node] >= 0 and gone[above[node]]:
            above[node] = above[above[node]]
    keep = np.flatnonzero(~gone)
    place = np.full(len(parent) + 1, NOBODY)
    place[keep] = np.arange(len(keep))
    return place[np.array(above, dtype=np.int64)[keep]], time[keep], agent[keep], taxon[keep]


def _lengths(parent: Ints, time: Floats, lengths: Lengths) -> Floats:
    inner = parent >= 0
    if lengths == "unit":
        return inner.astype(np.float64)
    return np.where(inner, time - time[np.maximum(parent, 0)], 0.0) if len(parent) else np.zeros(0)
