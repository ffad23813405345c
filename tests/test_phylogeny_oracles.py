"""The same forests in phylotrackpy and phyloframe: equal to 1e-9, each difference of convention computed here.

The table of these differences for people is in docs/phylogeny.md.
"""

from typing import Any

import numpy as np
import pytest

from lineage.ask.branches import Lengths, living_branches
from lineage.ask.kinship import mrca
from lineage.ask.phylogeny import (
    colless_like,
    common_ancestor,
    evolutionary_distinctiveness,
    pairwise_distance,
    phylogenetic_diversity,
    sackin,
)
from lineage.ask.tree import Ints, Tree
from tests.forests import collapsed, random_forest

SEEDS = range(200)
pytestmark = [  # phyloframe works without numba, and asks pandas for what it will give up
    pytest.mark.filterwarnings("ignore:numba unavailable:ImportWarning"),
    pytest.mark.filterwarnings("ignore:The inplace keyword"),
]


def tracked(tree: Tree) -> Any:
    """Return phylotrackpy's record of the same births and deaths, each agent a taxon of its own."""
    systematics = pytest.importorskip("phylotrackpy.systematics")
    record = systematics.Systematics(lambda label: label, True, True, False, False)
    taxa: list[Any] = []
    for row, above in enumerate(tree.parent.tolist()):
        record.set_update(int(tree.origin_time[row]))
        label = str(tree.ids[row])
        taxa.append(record.add_org(label) if above < 0 else record.add_org(label, taxa[above]))
    for row in np.flatnonzero(~tree.extant).tolist():
        record.remove_org(taxa[row])
    record.set_update(int(tree.present))
    return record


def alife(parent: Ints, **columns: Any) -> Any:
    """Return a forest as phyloframe wants it: ids count up, a root is its own ancestor."""
    pandas = pytest.importorskip("pandas")
    ids = np.arange(len(parent))
    return pandas.DataFrame({"id": ids, "ancestor_id": np.where(parent < 0, ids, parent), **columns})


def test_diversity_and_distances_equal_phylotrackpy() -> None:
    """Unit branches, living agents as nodes. It adds one for every further root, and divides by pairs - 1."""
    for seed in SEEDS:
        tree = random_forest(seed)
        branches = living_branches(tree, "unit", "nodes")
        record, roots = tracked(tree), int((branches.parent < 0).sum())
        assert record.get_phylogenetic_diversity() == phylogenetic_diversity(branches).value + roots - 1  # type: ignore[operator]
        mean, variance = pairwise_distance(branches)
        distances = record.get_pairwise_distances(False)
        assert (mean.value is None) == (not distances)
        if mean.value is not None and variance.value is not None:
            assert record.get_mean_pairwise_distance(False) == pytest.approx(mean.value, abs=1e-9)
            if (pairs := len(distances)) > 1:
                theirs = record.get_variance_pairwise_distance(False)
                assert theirs == pytest.approx(variance.value * pairs / (pairs - 1), abs=1e-9, rel=1e-9)


def test_distinctiveness_equals_phylotrackpy() -> None:
    """It ends at the common ancestor (no stem), and shares the time since an agent's birth with its descendants."""
    compared = 0
    for seed in SEEDS:
        tree = random_forest(seed)
        common = common_ancestor(tree)
        if common is None:
            continue  # it returns -1 for a forest
        branches = living_branches(tree, "time", "nodes", stem=False)
        rows, shares = evolutionary_distinctiveness(branches)
        below = branches.below[branches.taxon]
        theirs = shares + np.where(rows == common, 0.0, (tree.present - tree.origin_time[rows]) / below)
        record = tracked(tree)
        assert record.get_mean_evolutionary_distinctiveness(tree.present) == pytest.approx(theirs.mean(), abs=1e-9)
        if len(theirs) > 1:
            variance = record.get_variance_evolutionary_distinctiveness(tree.present)
            assert variance == pytest.approx(theirs.var(ddof=1), abs=1e-9, rel=1e-9)
        assert int(record.get_mrca().get_info()) == tree.ids[common]
        compared += 1
    assert compared > 50


def test_sackin_equals_phylotrackpy() -> None:
    """It counts one more for every living agent, and the root of one tree only by that."""
    for seed in SEEDS:
        tree = random_forest(seed)
        branches = living_branches(tree, "unit", "nodes")
        ours, living = sackin(branches).value, int(branches.taxon.sum())
        assert ours is not None
        common = common_ancestor(tree)
        counted = 0
        if common is not None:
            node = int(np.flatnonzero(branches.agent == common)[0])
            if (branches.parent == node).sum() >= 2:
                counted = living - int(branches.taxon[node])
        assert tracked(tree).sackin_index() == ours + living - counted


def test_colless_like_equals_both() -> None:
    """phylotrackpy and phyloframe give unifurcations a size of their own: compared on trees that have none."""
    phyloframe = pytest.importorskip("phyloframe.legacy")
    compared = 0
    for seed in SEEDS:
        branches = living_branches(random_forest(seed), "unit", "tips")
        parent = np.array(collapsed(branches.parent), dtype=np.int64)
        if len(parent) < 3:
            continue
        marked = phyloframe.alifestd_mark_colless_like_index_mdm_asexual(alife(parent))
        theirs = marked["colless_like_index_mdm"].to_numpy()[parent < 0].sum()
        assert colless_like(branches).value == pytest.approx(theirs, abs=1e-9, rel=1e-9)
        if (parent < 0).sum() == 1:
            assert retold(parent).colless_like_index() == pytest.approx(theirs, abs=1e-9, rel=1e-9)
            compared += 1
    assert compared > 40


def retold(parent: Ints) -> Any:
    """Return phylotrackpy's record of an arbitrary tree whose tips are alive and whose inner nodes are not."""
    systematics = pytest.importorskip("phylotrackpy.systematics")
    record = systematics.Systematics(lambda label: label, True, True, False, False)
    taxa: list[Any] = []
    for node, above in enumerate(parent.tolist()):
        taxa.append(record.add_org(str(node)) if above < 0 else record.add_org(str(node), taxa[above]))
    for node in np.unique(parent[parent >= 0]).tolist():
        record.remove_org(taxa[node])
    return record


def test_sackin_of_reconstructed_trees_equals_phyloframe() -> None:
    """It counts unifurcations as branching points and leaves only: compared on trees without them."""
    phyloframe = pytest.importorskip("phyloframe.legacy")
    for seed in SEEDS:
        branches = living_branches(random_forest(seed), "unit", "tips")
        parent = np.array(collapsed(branches.parent), dtype=np.int64)
        marked = phyloframe.alifestd_mark_sackin_index_asexual(alife(parent))
        assert sackin(branches).value == marked["sackin_index"].to_numpy()[parent < 0].sum()


@pytest.mark.parametrize("lengths", ["time", "unit"])
def test_diversity_and_distances_equal_phyloframe(lengths: Lengths) -> None:
    """Both lengths, living agents as nodes: its distance matrix between the living, its PD of each root's clade."""
    phyloframe = pytest.importorskip("phyloframe.legacy")
    for seed in SEEDS:
        tree = random_forest(seed)
        branches = living_branches(tree, lengths, "nodes")
        if not len(branches):
            continue
        clock = tree.origin_time if lengths == "time" else tree.depth.astype(np.float64)
        frame = alife(branches.parent, origin_time=clock[branches.agent])
        matrix = phyloframe.alifestd_calc_distance_matrix_asexual(frame, criterion="origin_time")
        living = matrix[np.ix_(branches.taxon, branches.taxon)][np.triu_indices(int(branches.taxon.sum()), 1)]
        known = living[~np.isnan(living)]
        mean, variance = pairwise_distance(branches)
        if mean.value is None:
            assert not len(known)
        else:
            assert mean.value == pytest.approx(known.mean(), abs=1e-9, rel=1e-9)
            assert variance.value == pytest.approx(known.var(), abs=1e-9, rel=1e-9)
        marked = phyloframe.alifestd_mark_clade_faithpd_asexual(frame)
        theirs = marked["clade_faithpd"].to_numpy()[branches.parent < 0].sum()
        assert phylogenetic_diversity(branches).value == pytest.approx(theirs, abs=1e-9)


def test_common_ancestors_equal_phyloframe() -> None:
    """Jump pointers find what its matrix of common ancestors holds, for every pair of 60 forests."""
    phyloframe = pytest.importorskip("phyloframe.legacy")
    pandas = pytest.importorskip("pandas")
    for seed in range(60):
        tree = random_forest(seed, most=30)
        ids = np.arange(len(tree))
        frame = pandas.DataFrame({"id": ids, "ancestor_id": np.where(tree.parent < 0, ids, tree.parent)})
        matrix = phyloframe.alifestd_calc_mrca_id_matrix_asexual(frame)
        for first in ids.tolist():
            for second in ids.tolist():
                found = mrca(tree, first, second)
                assert (-1 if found is None else found) == matrix[first, second]
