"""Random forests for the tests of phylogeny: several roots, polytomies, unifurcations, living ancestors."""

import numpy as np

from lineage.ask.tree import Ints, Tree, tree_from_arrays


def random_forest(seed: int, most: int = 60) -> Tree:
    """Return a forest whose shape varies with the seed: bushy, chain-like, one root or many, many alive or few."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, most))
    roots, dying = int(rng.integers(1, 5)), float(rng.choice([0.0, 0.3, 0.7, 0.95]))
    stickiness = float(rng.choice([0.0, 0.5, 0.9]))  # how often the newest of the living is the parent
    parents, origins, deaths = np.full(n, -1), np.zeros(n), np.full(n, np.nan)
    now = 0.0
    for child in range(n):
        now += float(rng.integers(0, 4))  # some are born at the same time
        alive = np.flatnonzero(np.isnan(deaths[:child]))
        if child >= roots and len(alive):
            parents[child] = alive[-1] if rng.random() < stickiness else rng.choice(alive)
        origins[child] = now
        if rng.random() < dying and len(alive) > 1:
            deaths[rng.choice(alive)] = now
    present = now + float(rng.integers(0, 10))
    ids = np.arange(n) * 3 + 5
    return tree_from_arrays(ids, np.where(parents < 0, -1, parents * 3 + 5), origins, deaths, present=present)


def chain(length: int, *, alive: bool) -> Tree:
    """Return one line of descent: each has one child; all alive, or only the last."""
    ids = np.arange(1, length + 1)
    origin = np.arange(length, dtype=np.float64)
    death = np.full(length, np.nan) if alive else np.append(origin[1:] + 1.0, np.nan)
    return tree_from_arrays(ids, ids - 2 + (ids > 1), origin, death, present=float(length + 1))


def parents_of(tree: Tree) -> dict[int, int | None]:
    """Return {id: parent's id, None for a founder}, for walking one step at a time."""
    ids = tree.ids.tolist()
    return {ids[i]: None if p < 0 else ids[p] for i, p in enumerate(tree.parent.tolist())}


def collapsed(parent: Ints) -> list[int]:
    """Return the parents of a forest after unifurcations are taken out one by one."""
    above = dict(enumerate(parent.tolist()))
    while True:
        sons: dict[int, list[int]] = {}
        for node, up in above.items():
            sons.setdefault(up, []).append(node)
        single = next((up for up, some in sons.items() if up >= 0 and len(some) == 1), None)
        if single is None:
            place = {node: index for index, node in enumerate(above)}
            return [place.get(up, -1) for up in above.values()]
        above[sons[single][0]] = above.pop(single)
