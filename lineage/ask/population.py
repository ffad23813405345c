"""The population through time: lineages, clans, diversity; from a `Tree`, at any times, in O((n + t) log n).

Whoever is born at a time is alive at it, whoever dies at it is not: the state after the round.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lineage.ask.kinship import children_lists
from lineage.ask.phylogeny import Measure
from lineage.ask.tree import NOBODY, Floats, Ints, Tree


def times_of(tree: Tree, every: int = 1, first: int = 0) -> Floats:
    """Return the times `first`, `first + every`, ... and always the present, in the unit of the tree."""
    times = np.arange(first, int(tree.present) + 1, every, dtype=np.float64)
    return times if len(times) and times[-1] == tree.present else np.append(times, tree.present)


@dataclass(frozen=True, slots=True, eq=False)
class Lineages:
    """Lineages through time; all arrays [t]."""

    time: Floats
    alive: Ints  # agents alive
    born: Ints  # agents born so far
    died: Ints  # agents dead by then
    clans: Ints  # clans with somebody alive
    ancestors: Ints  # lineages that have living descendants at the present: the reconstructed LTT


def lineages_through_time(tree: Tree, times: Floats) -> Lineages:
    """Return how many lines there were at each time (Nee, May & Harvey 1994 for the reconstructed ones).

    A reconstructed line lasts from an agent's birth to the present when it lives, else to the birth of its last
    child that has living descendants.
    """
    born = _count(tree.origin_time, times)
    died = _count(tree.destruction_time[~tree.extant], times)
    until = last_needed(tree)
    needed = ~np.isnan(until)
    ancestors = _count(tree.origin_time[needed], times) - _count(until[needed & ~tree.extant], times)
    _, clans = _occupancy(tree, tree.founder, times)
    return Lineages(times, born - died, born, died, clans, ancestors)


def last_needed(tree: Tree) -> Floats:
    """Return [n] until when each agent's life is part of the tree of the living, NaN when it is not."""
    until = np.where(tree.extant, tree.present, np.nan).tolist()
    parent, origin = tree.parent.tolist(), tree.origin_time.tolist()
    for row in range(len(parent) - 1, -1, -1):
        above = parent[row]
        if above >= 0 and until[row] == until[row] and not until[above] >= origin[row]:  # x != x: NaN
            until[above] = origin[row]
    return np.array(until, dtype=np.float64)


def _count(moments: Floats, times: Floats) -> Ints:
    """Return [t] how many moments are not after each time."""
    return np.searchsorted(np.sort(moments), times, side="right").astype(np.int64)


def _steps(tree: Tree, group: Ints) -> tuple[Floats, Ints, Ints]:
    """Return ([e] time, [e] size before, [e] size after) of every change of a group's size, ordered by time.

    Within one group and time births come before deaths, so no size is ever negative.
    """
    dead = np.flatnonzero(~tree.extant)
    time = np.concatenate((tree.origin_time, tree.destruction_time[dead]))
    which = np.concatenate((group, group[dead]))
    change = np.concatenate((np.ones(len(tree), dtype=np.int64), np.full(len(dead), -1)))
    order = np.lexsort((-change, time, which))
    time, which, change = time[order], which[order], change[order]
    total = np.cumsum(change)
    firsts = np.searchsorted(which, which, side="left")
    after = total - (total[firsts] - change[firsts]) if len(total) else total
    by_time = np.argsort(time, kind="stable")
    return time[by_time], (after - change)[by_time], after[by_time]


def _occupancy(tree: Tree, group: Ints, times: Floats) -> tuple[Ints, Ints]:
    """Return ([t] agents alive, [t] groups with somebody alive)."""
    time, before, after = _steps(tree, group)
    place = np.searchsorted(time, times, side="right")
    alive = np.concatenate(([0], np.cumsum(after - before)))[place]
    groups = np.concatenate(([0], np.cumsum((after > 0).astype(np.int64) - (before > 0))))[place]
    return alive.astype(np.int64), groups.astype(np.int64)


class Diversity(NamedTuple):
    """Diversity of clans at one time; undefined without anybody alive."""

    time: float
    alive: int
    clans: int
    shannon: Measure  # nats
    simpson: Measure  # probability that two, drawn with replacement, are of different clans
    effective_clans: Measure  # exp(shannon): as many equal clans would be as diverse (Jost 2006)
    largest_share: Measure


def diversity(tree: Tree, times: Floats) -> list[Diversity]:
    """Return the diversity of clans at each time.

    The sums over clans of n squared and n ln n change by known steps at births and deaths.
    """
    time, before, after = _steps(tree, tree.founder)
    place = np.searchsorted(time, times, side="right")

    def total(of_after: np.ndarray, of_before: np.ndarray) -> Floats:
        return np.concatenate(([0.0], np.cumsum(of_after - of_before)))[place].astype(np.float64)

    alive, clans = _occupancy(tree, tree.founder, times)
    squares, logs = total(after**2, before**2), total(_n_log_n(after), _n_log_n(before))
    largest = _largest(tree, times)
    rows = []
    for index, count in enumerate(alive.tolist()):
        if not count:
            none = Measure(None, "nobody is alive")
            rows.append(Diversity(float(times[index]), 0, 0, none, none, none, none))
            continue
        shannon = max(float(np.log(count) - logs[index] / count), 0.0) if clans[index] > 1 else 0.0
        rows.append(
            Diversity(
                float(times[index]), count, int(clans[index]), Measure(shannon),
                Measure(1.0 - float(squares[index]) / count**2), Measure(float(np.exp(shannon))),
                Measure(float(largest[index]) / count),
            )
        )  # fmt: skip
    return rows


def _n_log_n(counts: Ints) -> Floats:
    return (counts * np.log(np.maximum(counts, 1))).astype(np.float64)


def _largest(tree: Tree, times: Floats) -> Ints:
    """Return [t] the size of the largest clan alive, by keeping how many clans have each size."""
    time, before, after = _steps(tree, tree.founder)
    sizes = [0] * (len(tree) + 2)
    found, largest, step = [], 0, 0
    befores, afters, moments = before.tolist(), after.tolist(), time.tolist()
    for moment in times.tolist():
        while step < len(moments) and moments[step] <= moment:
            sizes[befores[step]] -= 1
            sizes[afters[step]] += 1
            largest = max(largest, afters[step])
            step += 1
        while largest > 0 and sizes[largest] <= 0:
            largest -= 1
        found.append(largest)
    return np.array(found, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Muller:
    """Sizes of groups through time, as ggmuller wants them: counts, and who descends from whom."""

    time: Floats  # [t]
    identity: Ints  # [g] agent_id of each group's founder, 0 for all groups that are not shown by themselves
    parent: Ints  # [g] identity of the group from which it came, 0 for none
    counts: Ints  # [t,g] agents alive


def muller(tree: Tree, times: Floats, *, clade_of: int | None = None, most: int = 12) -> Muller:
    """Return the sizes of clans through time; with `clade_of` (a row), of the clades of that agent's children.

    The `most` largest groups (by lives, then by id) are shown by themselves, the others together as identity 0.
    """
    group = tree.founder if clade_of is None else _clades(tree, clade_of)
    members = np.bincount(group[group >= 0], minlength=len(tree))
    ranked = np.argsort(-members, kind="stable")
    shown = np.sort(ranked[: int(min(most, (members > 0).sum()))])
    column = np.full(len(tree) + 1, len(shown))  # the last column: everybody else
    column[shown] = np.arange(len(shown))
    place = np.where(group >= 0, column[np.maximum(group, 0)], -1)
    counts = np.zeros((len(times), len(shown) + 1), dtype=np.int64)
    for index in range(len(shown) + 1):
        inside = place == index
        counts[:, index] = _count(tree.origin_time[inside], times)
        counts[:, index] -= _count(tree.destruction_time[inside & ~tree.extant], times)
    above = np.zeros(len(shown), dtype=np.int64)
    if clade_of is not None:
        above[shown != clade_of] = tree.ids[clade_of]
    others = [NOBODY] if (place == len(shown)).any() else []
    keep = len(shown) + len(others)
    identity = np.concatenate((tree.ids[shown], np.zeros(len(others), dtype=np.int64)))
    return Muller(times, identity, np.concatenate((above, np.zeros(len(others), dtype=np.int64))), counts[:, :keep])


def _clades(tree: Tree, row: int) -> Ints:
    """Return [n] the child of `row` from whom an agent descends, `row` for itself, NOBODY for all others."""
    offsets, children = children_lists(tree.parent)
    clade = np.full(len(tree), NOBODY)
    clade[row] = row
    sons = children[offsets[row] : offsets[row + 1]]
    clade[sons] = sons
    found, parent = clade.tolist(), tree.parent.tolist()
    for place in range(row + 1, len(found)):
        above = parent[place]
        if above >= 0 and above != row and found[above] >= 0:
            found[place] = found[above]
    return np.array(found, dtype=np.int64)
