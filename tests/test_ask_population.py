"""Lineages, clans and diversity through time, against counting at every time; and the neutral null."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.errors import ConfigError
from lineage.ask.kinship import ancestors
from lineage.ask.neutral import holm, neutral_test
from lineage.ask.population import diversity, lineages_through_time, muller, times_of
from lineage.ask.tree import Tree, tree_from_arrays
from tests.forests import random_forest


def alive_at(tree: Tree, time: float) -> np.ndarray:
    """Return who is alive after everything that happened at a time."""
    gone = tree.destruction_time <= time
    return (tree.origin_time <= time) & ~gone


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 100_000))
def test_counts_equal_counting(seed: int) -> None:
    """Alive, born, dead, clans, and lineages that lead to the living; diversity and Muller tables of the same."""
    tree = random_forest(seed, most=40)
    times = times_of(tree, 2)
    lines = lineages_through_time(tree, times)
    table = muller(tree, times, most=3)
    measured = diversity(tree, times)
    needed = {int(row) for row in np.flatnonzero(tree.extant)}
    for index, time in enumerate(times.tolist()):
        alive = alive_at(tree, time)
        clans = np.unique(tree.founder[alive], return_counts=True)[1]
        assert lines.alive[index] == alive.sum() == table.counts[index].sum() == measured[index].alive
        assert lines.born[index] == (tree.origin_time <= time).sum()
        assert lines.clans[index] == len(clans) == measured[index].clans
        lineages = set()  # who, at that time, was the line of somebody now alive
        for row in needed:
            line = [row, *ancestors(tree, row).tolist()]
            later = [one for one in line if tree.origin_time[one] <= time]
            lineages |= {later[0]} if later else set()
        assert lines.ancestors[index] == len(lineages)
        if not len(clans):
            assert measured[index].shannon == (None, "nobody is alive")
            continue
        share = clans / clans.sum()
        assert measured[index].shannon.value == pytest.approx(-(share * np.log(share)).sum(), abs=1e-9)
        assert measured[index].simpson.value == pytest.approx(1 - (share**2).sum(), abs=1e-9)
        assert measured[index].effective_clans.value == pytest.approx(math.exp(-(share * np.log(share)).sum()))
        assert measured[index].largest_share.value == pytest.approx(share.max())


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 100_000))
def test_clades_of_one_agent_are_its_childrens(seed: int) -> None:
    """The agent itself, one clade a child; nobody from elsewhere."""
    tree = random_forest(seed, most=40)
    row = int(np.argmax(np.bincount(tree.parent[tree.parent >= 0], minlength=len(tree))))
    times = times_of(tree, 3)
    table = muller(tree, times, clade_of=row, most=100)
    for column, identity in enumerate(table.identity.tolist()):
        founder = tree.row(identity)
        for index, time in enumerate(times.tolist()):
            expected = [
                one for one in np.flatnonzero(alive_at(tree, time)).tolist()
                if one == founder or (founder != row and founder in ancestors(tree, one))
            ]  # fmt: skip
            assert table.counts[index, column] == len(expected)
        assert table.parent[column] == (0 if founder == row else tree.ids[row])


def test_times_end_with_the_present() -> None:
    """Whatever the step."""
    tree = random_forest(3)
    for every in (1, 7, 10_000):
        times = times_of(tree, every)
        assert times[0] == 0.0
        assert times[-1] == tree.present
        assert np.all(np.diff(times) > 0)


def moran(seed: int, births: int, advantage: float = 1.0, founders: int = 12) -> Tree:
    """Return a history in which every birth's parent is drawn; the first clan's members `advantage` times as likely."""
    rng = np.random.default_rng(seed)
    parents, clan, deaths = [-1] * founders, list(range(founders)), [math.nan] * founders
    living = list(range(founders))
    for step in range(1, births + 1):
        dying = living.pop(int(rng.integers(len(living))))
        deaths[dying] = float(step)
        weight = np.array([advantage if clan[one] == 0 else 1.0 for one in living])
        parent = living[int(rng.choice(len(living), p=weight / weight.sum()))]
        living.append(len(parents))
        parents.append(parent)
        clan.append(clan[parent])
        deaths.append(math.nan)
    origin = np.concatenate((np.zeros(founders), np.arange(1.0, births + 1.0)))
    return tree_from_arrays(np.arange(len(parents)), np.array(parents), origin, np.array(deaths))


def test_chance_is_rarely_called_skill() -> None:
    """Calibration: under the null, a p-value is at most .05 in at most about 5 % of histories."""
    histories = 300
    tests = [neutral_test(moran(seed, 40), replicates=99, seed=seed) for seed in range(histories)]
    first = np.array([one.p_value[0] for one in tests])
    largest = np.array([one.largest_p for one in tests])
    three_sigma = 0.05 + 3 * math.sqrt(0.05 * 0.95 / histories)
    for found in (first, largest):
        assert (found <= 0.05).mean() <= three_sigma
        assert abs((found <= 0.5).mean() - 0.5) < 0.2  # discrete, so not exactly uniform
    assert np.mean([one.p_adjusted.min() <= 0.05 for one in tests]) <= three_sigma
    expected = np.mean([one.expected[0] for one in tests])
    observed = np.array([one.observed[0] for one in tests])
    assert abs(observed.mean() - expected) < 4 * observed.std() / math.sqrt(histories)


def test_a_planted_winner_is_found() -> None:
    """A clan four times as likely to have children stands out wherever it outlives its first births."""
    found = [neutral_test(moran(seed, 80, advantage=4.0), replicates=199, seed=1) for seed in range(20)]
    grown = [one for one in found if one.observed[0] > 40]
    assert len(grown) >= 10
    assert all(one.p_value[0] <= 0.02 and int(np.argmin(one.p_value)) == 0 for one in grown)
    alive = neutral_test(moran(2, 80, advantage=4.0), statistic="alive", replicates=199)
    assert alive.observed.sum() == 12
    assert alive.expected.sum() == pytest.approx(12)


def test_the_same_seed_gives_the_same_p_values() -> None:
    """And another seed others."""
    tree = moran(5, 60)
    one, same, other = (neutral_test(tree, replicates=99, seed=seed) for seed in (3, 3, 4))
    assert one.p_value.tolist() == same.p_value.tolist()
    assert one.expected.tolist() != other.expected.tolist()
    assert one.expected.sum() == pytest.approx(one.births)


def test_only_the_able_can_be_parents() -> None:
    """When nobody but the real parents had graduated, there is nothing to draw: every replicate is the history."""
    parents = np.array([-1, -1, 0, 0])
    tree = tree_from_arrays(np.arange(4), parents, np.array([0.0, 0.0, 5.0, 6.0]), np.full(4, np.nan))
    found = neutral_test(tree, np.array([1, -1, -1, -1]), replicates=50)
    assert found.expected.tolist() == [2.0, 0.0]
    assert found.p_value.tolist() == [1.0, 1.0]
    late = neutral_test(tree, np.array([-1, 6, -1, -1]), replicates=400)  # the second founder is able from round 6 on
    assert late.expected[0] == pytest.approx(1.5, abs=0.1)


def test_all_kinds_of_histories_have_a_null() -> None:
    """Agents that die at birth, no births at all, nobody at all."""
    for seed in range(60):
        tree = random_forest(seed)
        found = neutral_test(tree, replicates=19)
        assert found.observed.sum() == found.births == (tree.parent >= 0).sum()
        assert found.expected.sum() == pytest.approx(found.births)
        assert (found.largest_p is None) == (found.births == 0)
    stillborn = tree_from_arrays(
        np.arange(3), np.array([-1, 0, 0]), np.array([0.0, 1.0, 1.0]), np.array([np.nan, 1.0, np.nan])
    )
    assert neutral_test(stillborn, replicates=19).births == 2
    none = np.zeros(0, dtype=np.int64)
    with pytest.raises(ConfigError, match="at least one agent"):
        neutral_test(tree_from_arrays(none, none, np.zeros(0), np.zeros(0)))


def test_holm_is_step_down() -> None:
    """The textbook example."""
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
