"""Metrics of the tree of the living: equal to other programs', to brute force, and undefined where they are."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.ask.branches import Branches, Lengths, Treatment, living_branches
from lineage.ask.phylogeny import (
    Measure,
    colless_like,
    common_ancestor,
    evolutionary_distinctiveness,
    metrics,
    pairwise_distance,
    phylogenetic_diversity,
    sackin,
)
from lineage.ask.tree import Tree, tree_from_arrays
from tests.forests import chain, collapsed, parents_of, random_forest

SEEDS = range(100)
CONVENTIONS: list[tuple[Lengths, Treatment]] = [
    ("time", "nodes"), ("unit", "nodes"), ("time", "tips"), ("unit", "tips"),
]  # fmt: skip


def value(measure: Measure) -> float:
    """Return a measure that must be defined."""
    assert measure.value is not None, measure.reason
    return measure.value


def line(parents: dict[int, int | None], agent: int) -> list[int]:
    """Return an agent's ids up to its founder, by walking."""
    found = [agent]
    while (above := parents[found[-1]]) is not None:
        found.append(above)
    return found


def brute_distance(tree: Tree, one: list[int], two: list[int], lengths: Lengths, living: Treatment) -> float | None:
    """Return the distance of two living agents from their lines of descent, for the conventions without branches."""
    common = next((agent for agent in one if agent in two), None)
    if common is None:
        return None
    up, down = one.index(common), two.index(common)
    if lengths == "unit":
        assert living == "nodes"
        return float(up + down)

    def born(agent: int) -> float:
        return float(tree.origin_time[tree.ids == agent][0])

    if living == "nodes":
        return born(one[0]) + born(two[0]) - 2 * born(common)
    budded = [born(line[place - 1]) for line, place in ((one, up), (two, down)) if place]
    return 2 * (tree.present - min(budded))


@pytest.mark.parametrize(("lengths", "living"), CONVENTIONS[:3])
def test_distances_equal_walking_both_lines(lengths: Lengths, living: Treatment) -> None:
    """Mean and variance over all pairs of each forest."""
    for seed in SEEDS:
        tree = random_forest(seed)
        parents = parents_of(tree)
        lines = [line(parents, agent) for agent in tree.ids[tree.extant].tolist()]
        found = [brute_distance(tree, one, two, lengths, living) for one, two in itertools.combinations(lines, 2)]
        known = [distance for distance in found if distance is not None]
        mean, variance = pairwise_distance(living_branches(tree, lengths, living))
        if not known:
            assert mean == (None, "no two of the living share an ancestor")
            continue
        assert mean.value == pytest.approx(np.mean(known), rel=1e-9, abs=1e-9), seed
        assert variance.value == pytest.approx(np.var(known), rel=1e-9, abs=1e-9), seed


def test_the_budding_tree_has_the_length_of_the_lives_that_matter() -> None:
    """tips, time: every agent counts from birth to its last child that matters, or to the present."""
    for seed in SEEDS:
        tree = random_forest(seed)
        parents = parents_of(tree)
        until = {int(i): tree.present for i in tree.ids[tree.extant]}
        for agent, born in sorted(zip(tree.ids.tolist(), tree.origin_time.tolist(), strict=True), reverse=True):
            above = parents[agent]
            if agent in until and above is not None:
                until[above] = max(until.get(above, born), born)
        origin = dict(zip(tree.ids.tolist(), tree.origin_time.tolist(), strict=True))
        total = sum(end - origin[agent] for agent, end in until.items())
        assert phylogenetic_diversity(living_branches(tree, "time", "tips")).value == pytest.approx(total), seed


@pytest.mark.parametrize(("lengths", "living"), CONVENTIONS)
def test_distinctiveness_adds_up_to_the_diversity(lengths: Lengths, living: Treatment) -> None:
    """Isaac et al. 2007: fair shares of all branches; one share for each of the living, in order of ids."""
    for seed, stem in itertools.product(SEEDS, (True, False)):
        tree = random_forest(seed)
        branches = living_branches(tree, lengths, living, stem=stem)
        rows, shares = evolutionary_distinctiveness(branches)
        assert rows.tolist() == np.flatnonzero(tree.extant).tolist()
        assert shares.sum() == pytest.approx(value(phylogenetic_diversity(branches)), rel=1e-9, abs=1e-9)


def newick(branches: Branches) -> str:
    """Return all trees under one root of branches without length; only the tests need it, so it may be slow."""
    sons: dict[int, list[int]] = {}
    for node, above in enumerate(branches.parent.tolist()):
        sons.setdefault(above, []).append(node)
    text: dict[int, str] = {}
    for node in reversed(range(len(branches))):
        inside = ",".join(text[son] for son in sons.get(node, []))
        text[node] = f"({inside})n{node}:{branches.length[node]}" if inside else f"n{node}:{branches.length[node]}"
    return f"({','.join(text[root] for root in sons[-1])});"


@pytest.mark.parametrize("lengths", ["time", "unit"])
def test_reconstructed_trees_equal_dendropy(lengths: Lengths) -> None:
    """tips: PD, distances and Sackin as dendropy computes them from the Newick text of one clan."""
    dendropy = pytest.importorskip("dendropy")
    for seed in SEEDS:
        branches = living_branches(random_forest(seed), lengths, "tips")
        if len(branches) < 3 or (branches.parent < 0).sum() != 1:
            continue
        tree = dendropy.Tree.get(data=newick(branches), schema="newick", suppress_internal_node_taxa=True)
        assert tree.length() == pytest.approx(value(phylogenetic_diversity(branches)), rel=1e-9)
        distances = tree.phylogenetic_distance_matrix()
        assert distances.mean_pairwise_distance() == pytest.approx(value(pairwise_distance(branches)[0]), rel=1e-9)
        tree.suppress_unifurcations()
        depths = [leaf.level() for leaf in tree.leaf_node_iter()]
        assert sum(depths) == value(sackin(branches))


def brute_colless_like(parent: list[int]) -> float:
    """Return the Colless-like index of a forest without unifurcations, straight from Mir et al. 2018, eq. 1 to 3."""
    sons: dict[int, list[int]] = {node: [] for node in range(len(parent))}
    for node, above in enumerate(parent):
        if above >= 0:
            sons[above].append(node)

    def size(node: int) -> float:
        return math.log(len(sons[node]) + math.e) + sum(size(son) for son in sons[node])

    total = 0.0
    for node in sons:
        if len(sons[node]) >= 2:
            sizes = [size(son) for son in sons[node]]
            total += sum(abs(one - float(np.median(sizes))) for one in sizes) / len(sizes)
    return total


@pytest.mark.parametrize("living", ["nodes", "tips"])
def test_balance_equals_the_definition(living: Treatment) -> None:
    """Colless-like (Mir et al. 2018) and Sackin on random forests, unifurcations suppressed."""
    for seed in SEEDS:
        branches = living_branches(random_forest(seed), "unit", living)
        if not len(branches):
            continue
        expected = brute_colless_like(collapsed(branches.parent))
        assert value(colless_like(branches)) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_common_ancestor_is_the_nearest_that_all_share() -> None:
    """Compared with the intersection of all lines of descent."""
    for seed in SEEDS:
        tree = random_forest(seed)
        parents = parents_of(tree)
        lines = [line(parents, agent) for agent in tree.ids[tree.extant].tolist()]
        shared = [agent for agent in (lines[0] if lines else []) if all(agent in other for other in lines)]
        row = common_ancestor(tree)
        assert (None if row is None else int(tree.ids[row])) == (shared[0] if shared else None)


def test_undefined_is_none_with_a_reason() -> None:
    """Nobody alive, one alive, nobody related: no number stands in for what does not exist."""
    dead = tree_from_arrays(np.array([1]), np.array([-1]), np.zeros(1), np.ones(1))
    found = metrics(dead)
    assert found["phylogenetic_diversity"] == (None, "nobody is alive")
    assert found["mrca"].reason == "nobody is alive"
    assert found["extant"].value == 0
    strangers = tree_from_arrays(np.array([1, 2]), np.array([-1, -1]), np.zeros(2), np.full(2, np.nan))
    found = metrics(strangers)
    assert found["mean_pairwise_distance"].value is None
    assert found["mrca"].reason == "the living descend from several founders"
    none = np.zeros(0, dtype=np.int64)
    nobody = tree_from_arrays(none, none, np.zeros(0), np.zeros(0))
    assert all(measure.value is None or measure.value == 0 for measure in metrics(nobody).values())
    assert all(measure.reason for measure in metrics(nobody).values() if measure.value is None)


@pytest.mark.parametrize("alive", [True, False])
def test_a_line_a_hundred_thousand_deep_is_measured(alive: bool) -> None:
    """Nothing recurses: every metric of a chain has its closed form."""
    n = 100_000
    found = metrics(chain(n, alive=alive), "time", "nodes")
    assert value(found["phylogenetic_diversity"]) == n - 1
    assert value(found["deepest"]) == n - 1
    if alive:  # the mean distance of i and j on a line is (n + 1) / 3
        assert value(found["mean_pairwise_distance"]) == pytest.approx((n + 1) / 3)
        tips = metrics(chain(n, alive=True), "unit", "tips")
        assert value(tips["sackin"]) == n * (n + 1) / 2 - 1  # a caterpillar


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 1000.0), st.sampled_from(CONVENTIONS))
def test_a_longer_clock_scales_times_only(seed: int, factor: float, convention: tuple[Lengths, Treatment]) -> None:
    """Rounds or ticks: lengths in time scale with the unit, shapes do not change."""
    tree = random_forest(seed, most=20)
    scaled = tree_from_arrays(
        tree.ids, np.where(tree.parent < 0, -1, tree.ids[tree.parent]), tree.origin_time * factor,
        tree.destruction_time * factor, present=tree.present * factor,
    )  # fmt: skip
    lengths, living = convention
    before, after = metrics(tree, lengths, living), metrics(scaled, lengths, living)
    timed = {"phylogenetic_diversity", "mean_pairwise_distance", "mean_distinctiveness"} if lengths == "time" else set()
    for name in ("phylogenetic_diversity", "mean_pairwise_distance", "mean_distinctiveness", "sackin", "colless_like"):
        scale = factor if name in timed else 1.0
        if before[name].value is None:
            assert after[name] == before[name]
        else:
            assert value(after[name]) == pytest.approx(value(before[name]) * scale, rel=1e-9, abs=1e-9)


def test_a_wrong_metric_would_be_seen() -> None:
    """Sabotage: counting the living below as if they were nodes changes the mean distance of most forests."""
    wrong = 0
    for seed in range(50):
        branches = living_branches(random_forest(seed), "time", "nodes")
        bent = Branches(
            branches.parent, branches.length, branches.agent, branches.taxon, branches.below + (branches.below > 1),
            branches.root,
        )  # fmt: skip
        wrong += pairwise_distance(branches)[0] != pairwise_distance(bent)[0]
    assert wrong > 25
