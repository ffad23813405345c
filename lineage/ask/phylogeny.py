"""Metrics of the tree of the living, each in O(nodes); an undefined one is None with a reason, never 0 or -1.

Faith 1992 (phylogenetic diversity), Isaac et al. 2007 (evolutionary distinctiveness as fair proportion),
Webb 2000 and Tsirogiannis & Sandel 2014 (mean pairwise distance in linear time), Sackin 1972 and Shao & Sokal 1990,
Mir et al. 2018 (Colless-like index). Which trees and lengths: lineage/ask/branches.py. How these numbers differ from
those of other programs: docs/phylogeny.md.
"""

import math
from typing import NamedTuple

import numpy as np

from lineage.ask.branches import Branches, Lengths, Treatment, living_branches, sum_down
from lineage.ask.kinship import children_lists
from lineage.ask.tree import Bools, Floats, Ints, Tree


class Measure(NamedTuple):
    """A number, or None and why there is none."""

    value: float | None
    reason: str = ""


NOBODY_ALIVE = Measure(None, "nobody is alive")
NO_PAIR = Measure(None, "no two of the living share an ancestor")


def phylogenetic_diversity(branches: Branches) -> Measure:
    """Return Faith's PD: the total length of all branches of the tree of the living (a forest: of all its trees)."""
    return Measure(float(branches.length.sum())) if len(branches) else NOBODY_ALIVE


def pairwise_distance(branches: Branches) -> tuple[Measure, Measure]:
    """Return (mean, variance) of the distance between two of the living, over all pairs that share an ancestor.

    The mean is the sum over branches of length x s x (m - s) over the pairs, with s of the m living of that tree below
    the branch. The variance divides by the number of pairs; its sums of squares are merged from the tips to the roots.
    """
    roots = branches.parent < 0
    living = branches.below[branches.root]
    pairs = int((branches.below[roots] * (branches.below[roots] - 1) // 2).sum())
    if not pairs:
        return NO_PAIR, NO_PAIR
    total = float(np.sum(branches.length * branches.below * (living - branches.below)))
    mean = total / pairs
    squares = _squared_distances(branches.parent.tolist(), branches.length.tolist(), branches.taxon.tolist())
    return Measure(mean), Measure(max(squares / pairs - mean * mean, 0.0))


def _squared_distances(parent: list[int], length: list[float], taxa: list[bool]) -> float:
    """Return the sum of squared distances over all pairs of taxa of a tree."""
    count = [int(taxon) for taxon in taxa]  # taxa met so far at or below each node,
    first = [0.0] * len(parent)  # the sum of their distances to it,
    second = [0.0] * len(parent)  # and of the squares
    total = 0.0
    for node in range(len(parent) - 1, -1, -1):
        above = parent[node]
        if above < 0:
            continue
        branch, n = length[node], count[node]
        sum_1 = first[node] + branch * n
        sum_2 = second[node] + 2.0 * branch * first[node] + branch * branch * n
        total += second[above] * n + 2.0 * first[above] * sum_1 + count[above] * sum_2
        count[above] += n
        first[above] += sum_1
        second[above] += sum_2
    return total


def evolutionary_distinctiveness(branches: Branches) -> tuple[Ints, Floats]:
    """Return ([l] rows of the living, [l] their distinctiveness): every branch shared out among the living below it.

    With the stem, they add up to the phylogenetic diversity.
    """
    shares = sum_down(branches.parent, branches.length / np.maximum(branches.below, 1))
    tips = np.flatnonzero(branches.taxon)
    tips = tips[np.argsort(branches.agent[tips], kind="stable")]
    return branches.agent[tips], shares[tips]


def _branching(branches: Branches) -> tuple[Bools, Ints]:
    """Return ([k] nodes with two branches or more, [k] branches of each node)."""
    inner = branches.parent >= 0
    degree = np.bincount(branches.parent[inner], minlength=len(branches))
    return degree >= 2, degree


def sackin(branches: Branches) -> Measure:
    """Return Sackin's index: over all of the living, the branching points above them (Shao & Sokal 1990).

    A node with a single branch is none. A forest's index is the sum of its trees'.
    """
    if not len(branches):
        return NOBODY_ALIVE
    splits, _ = _branching(branches)
    above = sum_down(branches.parent, splits.astype(np.float64)) - splits
    return Measure(float(above[branches.taxon].sum()))


def colless_like(branches: Branches) -> Measure:
    """Return the Colless-like index with f = ln(n + e) and the mean deviation from the median (Mir et al. 2018).

    Nodes with a single branch are suppressed first, as the definition demands. A forest's is the sum of its trees'.
    """
    if not len(branches):
        return NOBODY_ALIVE
    splits, degree = _branching(branches)
    parent = _nearest_splits(branches.parent, splits)
    kept = np.flatnonzero(splits | (degree == 0))
    place = np.full(len(branches) + 1, -1)
    place[kept] = np.arange(len(kept))
    above = place[parent[kept]]
    size = np.log(degree[kept] + math.e).tolist()  # becomes the f-size of each clade, children first
    rows = above.tolist()
    for node in range(len(rows) - 1, -1, -1):
        if rows[node] >= 0:
            size[rows[node]] += size[node]
    offsets, children = children_lists(above)
    starts, counts = offsets[:-1][np.diff(offsets) > 0], np.diff(offsets)[np.diff(offsets) > 0]
    if not len(starts):
        return Measure(0.0)
    family = np.repeat(np.arange(len(starts)), counts)
    sizes = np.array(size)[children]
    sizes = sizes[np.lexsort((sizes, family))]  # within a family, smallest first
    median = (sizes[starts + (counts - 1) // 2] + sizes[starts + counts // 2]) / 2.0
    return Measure(float(np.sum(np.add.reduceat(np.abs(sizes - median[family]), starts) / counts)))


def _nearest_splits(parent: Ints, splits: Bools) -> Ints:
    """Return [k] the nearest branching point above each node, -1 for none."""
    above = parent.tolist()
    for node in range(len(above)):
        up = above[node]
        if up >= 0 and not splits[up]:
            above[node] = above[up]
    return np.array(above, dtype=np.int64)


def common_ancestor(tree: Tree) -> int | None:
    """Return the row of the most recent common ancestor of everybody alive, None when there is none."""
    branches = living_branches(tree, "unit", "nodes")
    roots = np.flatnonzero(branches.parent < 0)
    if len(roots) != 1:
        return None
    return int(branches.agent[branches.below == branches.below[roots[0]]][-1])  # the deepest with all below it


def metrics(
    tree: Tree, lengths: Lengths = "time", living: Treatment = "nodes", *, stem: bool = True
) -> dict[str, Measure]:
    """Return all metrics of the tree of the living under one convention, in the order in which people read them."""
    branches = living_branches(tree, lengths, living, stem=stem)
    mean, variance = pairwise_distance(branches)
    _, distinct = evolutionary_distinctiveness(branches)
    alive = np.flatnonzero(tree.extant)
    found = {
        "born": Measure(len(tree)),
        "extant": Measure(len(alive)),
        "founders": Measure(int((tree.parent < 0).sum())),
        "clans_extant": Measure(len(np.unique(tree.founder[alive]))),
        "deepest": Measure(int(tree.depth.max())) if len(tree) else Measure(None, "nobody was born"),
        "mean_depth_extant": Measure(float(tree.depth[alive].mean())) if len(alive) else NOBODY_ALIVE,
        "phylogenetic_diversity": phylogenetic_diversity(branches),
        "mean_pairwise_distance": mean,
        "variance_pairwise_distance": variance,
        "mean_distinctiveness": Measure(float(distinct.mean())) if len(distinct) else NOBODY_ALIVE,
        "variance_distinctiveness": Measure(float(distinct.var())) if len(distinct) else NOBODY_ALIVE,
        "sackin": sackin(branches),
        "colless_like": colless_like(branches),
    }
    return found | _coalescence(tree, alive)


def _coalescence(tree: Tree, alive: Ints) -> dict[str, Measure]:
    """Return the common ancestor of all the living, its depth, and how long ago it was born."""
    row = common_ancestor(tree)
    if row is None:
        why = NOBODY_ALIVE if not len(alive) else Measure(None, "the living descend from several founders")
        return {"mrca": why, "mrca_depth": why, "time_since_mrca": why}
    return {
        "mrca": Measure(int(tree.ids[row])),
        "mrca_depth": Measure(int(tree.depth[row])),
        "time_since_mrca": Measure(tree.present - float(tree.origin_time[row])),
    }
