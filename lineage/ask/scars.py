"""Scar phylogenetics: what damage an agent got itself and what it was born with, along lines of descent."""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from lineage.ask.kinship import ancestors
from lineage.ask.lives import Lives
from lineage.ask.survival import Z_95
from lineage.ask.tree import Floats


class Station(NamedTuple):
    """One agent on a line of descent, and how much of the last one's birthmark goes back to it."""

    agent_id: int
    depth: int
    birthmark: int
    own_damage: int
    scars: int
    handed_down: float  # points of the last agent's birthmark that began as scars of this agent


def line_of_scars(lives: Lives, row: int) -> list[Station]:
    """Return the line of descent from the founder to `row` with the origin of its birthmark, in O(depth).

    A child gets a share of its parent's damage at its birth. The share is the same for what the parent got itself and
    for what it was born with, so a scar's trace shrinks with every birth. A founder's birthmark has no origin.
    """
    line = [row, *ancestors(lives.tree, row).tolist()]
    stations = [_station(lives, row, 0.0)]
    trace = 1.0  # of one point of damage of the agent at hand, how much is in the last birthmark
    for child, parent in pairwise(line):
        first, last = np.searchsorted(lives.scar_row, [parent, parent + 1])
        until = lives.scar_round[first:last] <= lives.tree.origin_time[child]
        own = int(lives.scar_damage[first:last][until].sum())
        whole = own + int(lives.birthmark[parent])
        trace *= int(lives.birthmark[child]) / whole if whole else 0.0
        stations.append(_station(lives, parent, own * trace))
    return stations[::-1]


def _station(lives: Lives, row: int, handed_down: float) -> Station:
    tree = lives.tree
    return Station(
        int(tree.ids[row]), int(tree.depth[row]), int(lives.birthmark[row]), int(lives.own_damage[row]),
        int(lives.scars[row]), handed_down,
    )  # fmt: skip


class Generation(NamedTuple):
    """Damage of all agents at one depth; means over agents, None where there is nothing to divide by."""

    depth: int
    agents: int
    graduated: int
    birthmark: float
    own_damage: float
    scars: float
    inherited_share: float | None  # birthmarks over all damage
    own_damage_per_round: float | None  # of trading


def by_generation(lives: Lives) -> list[Generation]:
    """Return inherited against own damage, one row a generation."""
    depth, traded = lives.tree.depth, np.where(lives.graduated, lives.trading_rounds, 0.0)
    width = int(depth.max()) + 1 if len(depth) else 0

    def total(values: np.ndarray) -> Floats:
        return np.bincount(depth, weights=values, minlength=width).astype(np.float64)

    agents, rounds = np.bincount(depth, minlength=width), total(traded)
    marks, own, scars, graduated = map(total, (lives.birthmark, lives.own_damage, lives.scars, lives.graduated))
    return [
        Generation(
            level, int(agents[level]), int(graduated[level]), float(marks[level] / agents[level]),
            float(own[level] / agents[level]), float(scars[level] / agents[level]),
            _ratio(marks[level], marks[level] + own[level]), _ratio(own[level], rounds[level]),
        )
        for level in range(width)
    ]  # fmt: skip


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


class Correlation(NamedTuple):
    """Pearson's correlation with a 95 % interval, or None and why not."""

    name: str
    pairs: int
    parents: int
    value: float | None
    low: float | None
    high: float | None
    reason: str = ""


def heritability(lives: Lives) -> list[Correlation]:
    """Return how parents and children resemble each other: own damage a round, growth, and birthmark against scars."""
    children = np.flatnonzero(lives.tree.parent >= 0)
    parents = lives.tree.parent[children]
    rounds = lives.trading_rounds
    rate = np.where(rounds > 0.0, lives.own_damage / np.where(rounds > 0.0, rounds, 1.0), np.nan)
    growth, birthmark = lives.growth, lives.birthmark.astype(np.float64)
    return [
        correlation("own damage a round, parent and child", rate[parents], rate[children], parents),
        correlation("growth a round, parent and child", growth[parents], growth[children], parents),
        correlation("birthmark and own damage a round", birthmark[children], rate[children], parents),
    ]


def correlation(name: str, x: Floats, y: Floats, cluster: np.ndarray) -> Correlation:
    """Return Pearson's r of the pairs in which both are known, with Fisher's interval.

    cluster: [n] what pairs share (a parent). The interval counts clusters, not pairs: siblings are no independent
    evidence, and an interval that takes them for it is too narrow.
    """
    known = ~(np.isnan(x) | np.isnan(y))
    x, y, clusters = x[known], y[known], len(np.unique(cluster[known]))
    if len(x) < 3:
        return Correlation(name, len(x), clusters, None, None, None, "fewer than three pairs are known")
    if np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return Correlation(name, len(x), clusters, None, None, None, "one side is the same for all")
    r = float(np.clip(np.corrcoef(x, y)[0, 1], -1.0, 1.0))
    if clusters < 4 or abs(r) == 1.0:
        return Correlation(name, len(x), clusters, r, None, None, "too few parents for an interval")
    centre, reach = math.atanh(r), Z_95 / math.sqrt(clusters - 3)
    return Correlation(name, len(x), clusters, r, math.tanh(centre - reach), math.tanh(centre + reach))
