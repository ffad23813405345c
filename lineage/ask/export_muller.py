"""Muller tables: how many members of each clan were alive at the end of each round, as plotting packages want it.

Columns `Generation, Identity, Parent, Population` are those of R's ggmuller (its `edges` are the distinct pairs of
Parent and Identity), and `Clan` is the name. Identity is the founder's agent_id; Parent is 0, the root of all clans.
A clan has a row for each round with living members, and one with 0 in the round of its extinction.
"""

from collections.abc import Iterator
from typing import IO, Final

import numpy as np

from lineage.ask.export import Row, write_cells
from lineage.ask.tree import Tree

HEADER: Final = ("Generation", "Identity", "Parent", "Population", "Clan")


def write_muller(tree: Tree, file: IO[bytes]) -> None:
    """Write the table of a tree whose times are rounds, by round and founder."""
    write_cells(file, HEADER, muller_rows(tree))


def muller_rows(tree: Tree) -> Iterator[Row]:
    """Yield the rows; what is kept in memory are the counts of the living clans only."""
    dead = np.flatnonzero(~np.isnan(tree.destruction_time))
    founders = tree.ids[tree.founder]
    times = np.concatenate((tree.origin_time, tree.destruction_time[dead]))
    clans = np.concatenate((founders, founders[dead]))
    change = np.concatenate((np.ones(len(tree), dtype=np.int64), -np.ones(len(dead), dtype=np.int64)))
    order = np.argsort(times, kind="stable")
    times, clan_of, change_of = times[order], clans[order].tolist(), change[order].tolist()
    counts: dict[int, int] = {}
    at = 0
    first = times[0] if len(times) else 0.0
    for index in np.arange(first, tree.present + 1.0).tolist():
        until = int(np.searchsorted(times, index, side="right"))
        for place in range(at, until):
            clan = clan_of[place]
            counts[clan] = counts.get(clan, 0) + change_of[place]
        at = until
        for clan in sorted(counts):
            yield int(index), clan, 0, counts[clan], tree.clans.get(clan, f"#{clan}")
        counts = {clan: alive for clan, alive in counts.items() if alive}
