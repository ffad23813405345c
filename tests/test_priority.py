"""Prioritised replay: what is drawn, how often, with what weight, and that the trees always add up."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from agents import sum_tree
from agents.config import MindConfig
from agents.learn import LearnStats, learn_step
from agents.learn_fast import FastLearner
from agents.priority import Priorities, beta_at
from agents.replay import CUT, Replay
from tests.test_learn import BOTH, P, Step, batch_for, copies, make, rates_for, same_rows, small

CONFIG = MindConfig(prioritised=True, priority_alpha=0.7, priority_epsilon=0.1)
PLAIN = np.nextafter(1.0, 0.0)


def grown(capacity: int, rows: list[int], n_step: int = 1) -> tuple[Replay, Priorities]:
    """Return a seat for each entry of `rows`, with so many rows; obs[0] counts a seat's rows."""
    replay, priorities = Replay.allocate(len(rows), capacity, 1), Priorities.allocate(len(rows), capacity)
    for tick in range(max(rows)):
        add(replay, priorities, np.array([tick < count for count in rows]), tick)
    priorities._see(replay, n_step, np.arange(len(rows)))
    return replay, priorities


def add(replay: Replay, priorities: Priorities, who: np.ndarray, tick: int) -> None:
    """Remember one row of each of `who`."""
    seats = len(who)
    obs, ones = np.full((seats, 1), tick, dtype=np.float32), np.ones(seats, dtype=np.uint8)
    replay.add(who, obs, ones, np.zeros(seats, np.int8), np.zeros(seats), np.zeros(seats, bool))
    priorities.added(who)


def drawable(replay: Replay, seat: int, n_step: int) -> set[int]:
    """Return the rows that may be drawn, by the rule itself: filled, n successors, no seam."""
    ranks = range(n_step + 1, int(replay.filled[seat]) + 1)
    rows = {int(replay.write[seat] - rank) % replay.capacity for rank in ranks}
    return {row for row in rows if replay.done[seat, row] != CUT}


def test_rows_are_drawn_in_proportion_to_their_priority() -> None:
    """Chi-square over 64,000 independent draws from 29 rows of very different priority, in a ring of odd size."""
    replay, priorities = grown(31, [80, 50])
    rng = np.random.default_rng(4)
    seats, row = np.array([1]), np.array(sorted(drawable(replay, 1, 1)))[None]
    td_error = rng.exponential(2.0, row.shape).astype(np.float32)
    priorities.update(seats, row, td_error, CONFIG)
    wanted = (td_error[0].astype(np.float64) + 0.1) ** 0.7
    counts = np.zeros(31)
    for _ in range(64_000 // 32):  # one draw in 32 is kept: those of one batch are spread evenly on purpose
        u = rng.random((1, 32))
        drawn, _ = priorities.sample(u, np.array([0.5]), replay, 1, seats)
        counts += np.bincount(drawn[0, rng.integers(32, size=32)], minlength=31)
    found = counts[row[0]]
    assert counts.sum() == found.sum() == 64_000
    assert stats.chisquare(found, wanted / wanted.sum() * found.sum()).pvalue > 1e-3
    even = np.full(len(found), found.mean())
    assert stats.chisquare(found, even).pvalue < 1e-9, "uniform draws would have passed as well"


@settings(deadline=None)  # the first call may compile
@given(alpha=st.sampled_from([0.0, 0.5, 1.0]), count=st.integers(3, 40), seed=st.integers(0, 2**32 - 1))
def test_an_even_grid_of_draws_gives_each_row_its_share(alpha: float, count: int, seed: int) -> None:
    """4,096 draws, one in the middle of each part: every row comes as often as its share, to one draw at either end."""
    replay, priorities = grown(40, [count])
    row = np.array(sorted(drawable(replay, 0, 1)))[None]
    td_error = np.random.default_rng(seed).random(row.shape).astype(np.float32)
    config = MindConfig(priority_alpha=alpha, priority_epsilon=1e-3)
    priorities.update(np.array([0]), row, td_error, config)
    drawn, _ = priorities.sample(np.full((1, 4096), 0.5), np.array([1.0]), replay, 1, np.array([0]))
    share = (td_error[0].astype(np.float64) + 1e-3) ** alpha
    expected = 4096 * share / share.sum()
    assert np.all(np.abs(np.bincount(drawn[0], minlength=40)[row[0]] - expected) <= 2.0)


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[str, int]]:
    """Return a history of one ring: adding rows, learning from a batch, inheriting from a neighbour."""
    step = st.tuples(st.sampled_from(["add", "add", "learn", "inherit"]), st.integers(1, 9))
    return draw(st.lists(step, min_size=3, max_size=30))


@settings(deadline=None)  # the first call may compile
@given(history=lives(), n_step=st.integers(1, 4), capacity=st.integers(6, 13), seed=st.integers(0, 2**32 - 1))
def test_only_rows_that_may_be_drawn_have_priority_whatever_happened(
    history: list[tuple[str, int]], n_step: int, capacity: int, seed: int
) -> None:
    """Leaves are exactly the drawable rows, sums add up, the root is the total, draws are valid, at any time."""
    rng = np.random.default_rng(seed)
    replay, priorities = Replay.allocate(3, capacity, 1), Priorities.allocate(3, capacity)
    for tick, (what, number) in enumerate(history):
        if what == "add":
            for _ in range(number):
                add(replay, priorities, np.array([True, number % 2 == 0, False]), tick)
        elif what == "inherit":
            source = number % 2
            copied = replay.copy_newest(source, 2, number)
            if copied:
                priorities.inherit(replay, source, 2, copied, n_step)
            else:
                priorities.clear_seat(2)
        seats = np.flatnonzero(replay.filled > n_step)
        if not len(seats):
            continue
        row, weight = priorities.sample(rng.random((len(seats), 5)), np.full(len(seats), 0.4), replay, n_step, seats)
        for index, seat in enumerate(seats):
            allowed = drawable(replay, int(seat), n_step)
            assert set(np.flatnonzero(priorities.leaf[seat]).tolist()) == allowed
            assert set(row[index].tolist()) <= allowed or not weight[index].any()
            assert not allowed or weight[index].max() == 1.0
        assert np.allclose(priorities._levels[0][:, 0], priorities.leaf.sum(axis=1), rtol=1e-12)
        assert priorities.check_valid() == (True, "")
        if what == "learn":
            priorities.update(seats, row, rng.exponential(size=row.shape).astype(np.float32), CONFIG)


def test_even_the_last_draw_lands_on_a_row() -> None:
    """The largest u below 1, with shares that differ by ten orders of magnitude and empty leaves behind them."""
    for seed in range(200):
        replay, priorities = grown(64, [37])
        row = np.array(sorted(drawable(replay, 0, 1)))[None]
        td_error = 10.0 ** np.random.default_rng(seed).uniform(-9, 1, row.shape)
        config = MindConfig(priority_alpha=1.0, priority_epsilon=1e-12)
        priorities.update(np.array([0]), row, td_error, config)
        drawn, weight = priorities.sample(np.full((1, 8), PLAIN), np.array([1.0]), replay, 1, np.array([0]))
        assert set(drawn[0].tolist()) <= set(row[0].tolist()) and np.all(weight > 0)


def test_a_draw_that_rounding_leads_astray_is_led_back() -> None:
    """Sabotage: sums a trifle too large end in empty leaves; the careful descent does not."""
    replay, priorities = grown(8, [6])
    priorities._refresh()
    for level in priorities._levels[:-1]:
        level *= 1.0 + 1e-3
    flat = sum_tree.descend(priorities._levels, np.zeros(4, dtype=np.int64), np.full(4, priorities._levels[0][0, 0]))
    assert not np.any(priorities.leaf[0, flat])
    row, _ = priorities.sample(np.full((1, 4), PLAIN), np.array([1.0]), replay, 1, np.array([0]))
    assert row[0, -1] == 4


def test_new_rows_enter_with_the_agents_largest_priority() -> None:
    """1 before the first update, then the largest leaf that an update ever wrote, of this agent alone."""
    replay, priorities = grown(16, [5, 5])
    assert priorities.leaf[0].tolist()[:5] == [1.0, 1.0, 1.0, 1.0, 0.0]
    row = np.array([[0, 1]])
    for td_error in ([[9.0, 0.2]], [[0.1, 0.2]]):
        priorities.update(np.array([0]), row, np.array(td_error), CONFIG)
    add(replay, priorities, np.ones(2, bool), 5)
    priorities._see(replay, 1, np.array([0, 1]))
    assert priorities.leaf[0, 4] == pytest.approx(9.1**0.7)
    assert priorities.leaf[0, 0] == pytest.approx(0.2**0.7)
    assert priorities.leaf[1, 4] == 1.0


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_importance_weights_are_those_of_the_paper(beta: float) -> None:
    """(C P(i))^-beta over the largest of the batch; with beta 1 they undo the preference in the mean."""
    replay, priorities = grown(32, [30])
    seats, row = np.array([0]), np.arange(29)[None]
    td_error = np.random.default_rng(1).exponential(size=row.shape)
    priorities.update(seats, row, td_error, CONFIG)
    share = (td_error[0] + 0.1) ** 0.7
    share /= share.sum()
    drawn, weight = priorities.sample(np.full((1, 2048), 0.5), np.array([beta]), replay, 1, seats)
    wanted = (29 * share[drawn[0]]) ** -beta
    assert np.allclose(weight[0], wanted / wanted.max(), rtol=1e-6)
    if beta == 1.0:
        values = np.arange(29.0)
        assert np.average(values[drawn[0]], weights=weight[0]) == pytest.approx(values.mean(), rel=0.02)


def test_beta_grows_with_the_agents_own_updates() -> None:
    """From priority_beta to 1, and no further."""
    config = MindConfig(priority_beta=0.4, priority_beta_updates=100)
    assert beta_at(np.array([0, 50, 100, 10**6]), config).tolist() == pytest.approx([0.4, 0.7, 1.0, 1.0])


def test_whoever_has_nothing_to_draw_gets_no_weight() -> None:
    """A ring of seams only."""
    replay, priorities = grown(8, [3, 5])
    replay.done[0] = CUT
    priorities.waiting[0] = 3
    row, weight = priorities.sample(np.full((2, 4), 0.5), np.full(2, 0.4), replay, 1, np.arange(2))
    assert weight[0].tolist() == [0.0] * 4 and weight[1].tolist() == [1.0] * 4
    assert np.all((row >= 0) & (row < 8))


def forget_parents(priorities: Priorities) -> None:
    """A refresh that stops one level too early."""
    flat = np.concatenate(priorities._stale) >> 1
    leaf, above = priorities.leaf.reshape(-1), priorities._levels[-2].reshape(-1)
    above[flat] = leaf[2 * flat] + leaf[2 * flat + 1]
    priorities._stale.clear()


def forget_everything(priorities: Priorities) -> None:
    """A refresh that does not happen."""
    priorities._stale.clear()


@pytest.mark.parametrize("sabotage", [forget_parents, forget_everything])
def test_a_tree_that_forgets_a_parent_is_caught(sabotage: Callable[[Priorities], None]) -> None:
    """check_valid names the node; an honest tree passes."""
    _, priorities = grown(32, [20, 30])
    assert priorities.check_valid() == (True, "")
    priorities.update(np.array([0, 1]), np.array([[3, 5], [7, 7]]), np.array([[4.0, 1.0], [3.0, 3.0]]), CONFIG)
    sabotage(priorities)
    ok, reason = priorities.check_valid()
    assert not ok and "is not the sum of its parts" in reason
    priorities.rebuild()
    assert priorities.check_valid() == (True, "")


def test_a_tree_built_step_by_step_equals_one_built_from_its_leaves() -> None:
    """So a checkpoint needs the leaves only."""
    replay, priorities = grown(64, [50, 64, 10])
    rng = np.random.default_rng(0)
    for tick in range(20):
        add(replay, priorities, np.array([True, tick % 3 == 0, False]), tick)
        row, _ = priorities.sample(rng.random((3, 8)), np.full(3, 0.4), replay, 1, np.arange(3))
        priorities.update(np.arange(3), row, rng.exponential(size=row.shape), CONFIG)
    priorities._refresh()
    grown_levels = [level.copy() for level in priorities._levels]
    priorities.rebuild()
    assert all(np.array_equal(one, two) for one, two in zip(grown_levels, priorities._levels, strict=True))


def fractional(batch_seed: int, config: MindConfig) -> tuple[np.ndarray, LearnStats, LearnStats, bool]:
    """Return importance weights, the figures of both learners, and whether their weights agree after one update."""
    ids = list(range(1, P + 1))
    one, two = make(config), make(config)
    batch = batch_for(ids, list(range(P)), batch_seed, config, weighted=True)
    weight = np.random.default_rng(batch_seed).random((P, config.batch)).astype(np.float32)
    batch.weight = torch.from_numpy(weight)
    active = np.ones(P, bool)
    slow = learn_step(one, batch, rates_for(ids), active, config)
    fast = FastLearner(two, config).step(batch, rates_for(ids), active)
    return weight, slow, fast, torch.allclose(one.params, two.params, atol=3e-6, rtol=1e-4)


def test_both_learners_agree_on_weights_and_tell_the_unweighted_error() -> None:
    """Loss and gradient are weighted, priorities are not, and without the switch there are none."""
    for seed in range(3):
        weight, slow, fast, agree = fractional(seed, small(prioritised=True, huber_delta=0.5))
        assert agree and slow.priority is not None and fast.priority is not None
        assert np.allclose(slow.priority, fast.priority, rtol=1e-4, atol=1e-6)
        assert np.allclose(slow.td_error, (slow.priority * weight).mean(axis=1), rtol=1e-4)
        huber = np.where(slow.priority < 0.5, 0.5 * slow.priority**2, 0.5 * (slow.priority - 0.25))
        for told in (slow, fast):
            assert np.allclose(told.loss, (weight * huber).mean(axis=1), rtol=1e-4)
    _, slow, fast, _ = fractional(0, small())
    assert slow.priority is None and fast.priority is None


@BOTH
def test_an_importance_weight_scales_the_clipped_error(step: Step) -> None:
    """A surprise of a hundred with weight 1/100 moves as much as one of 1, and not as one whose error was divided."""
    config = small(huber_delta=1.0, adam_beta1=0.0, adam_beta2=0.0, grad_clip=1e9)
    ids = list(range(1, P + 1))
    moved = []
    for reward, weight in ((-1e4, 0.01), (-2e4, 0.01), (-1e4, 0.02)):
        brains = make(config)
        batch = batch_for(ids, list(range(P)), 1, config)
        batch.r_t[:] = reward
        batch.weight = torch.full((P, config.batch), weight)
        step(brains, batch, rates_for(ids), np.ones(P, bool), config)
        moved.append(copies(brains)["moment1"])
    assert torch.allclose(moved[0], moved[1], rtol=1e-4)
    assert torch.allclose(2.0 * moved[0], moved[2], rtol=1e-4)


@BOTH
def test_changing_one_agents_weights_leaves_the_others_alone(step: Step) -> None:
    """Importance weights stay with their agent."""
    config = small(prioritised=True)
    ids = list(range(1, P + 1))
    one, two = make(config), make(config)
    batch = batch_for(ids, list(range(P)), 1, config, weighted=True)
    assert batch.weight is not None
    step(one, batch, rates_for(ids), np.ones(P, bool), config)
    batch.weight[4] *= 0.3
    step(two, batch, rates_for(ids), np.ones(P, bool), config)
    assert same_rows(two, copies(one), [seat for seat in range(P) if seat != 4])
    assert not same_rows(two, copies(one), [4])


def trees(seed: int) -> list[np.ndarray]:
    """Return the levels of five trees with some empty leaves, sums computed."""
    rng, levels = np.random.default_rng(seed), sum_tree.allocate(5, 100)
    levels[-1][:] = np.where(rng.random(levels[-1].shape) < 0.7, 10.0 ** rng.uniform(-6, 2, levels[-1].shape), 0.0)
    sum_tree.rebuild(levels)
    return levels


def test_the_compiled_loops_give_the_bits_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Descents and refreshed sums, with and without the kernel; so a run may go on where there is no compiler."""
    if sum_tree.kernel() is None:
        pytest.skip("no C compiler here: numpy does the work")
    for seed in range(20):
        rng, levels = np.random.default_rng(seed), trees(seed)
        start = np.broadcast_to(np.array([0, 2, 4])[:, None], (3, 70))
        mass = rng.random((3, 70)) * levels[0][[0, 2, 4]] * (1.0 + 1e-15)
        flat = rng.integers(0, levels[-1].size, 90)
        told = []
        for library in (sum_tree.kernel(), None):
            mine = sum_tree.allocate(5, 100)
            for copy, level in zip(mine, levels, strict=True):
                copy[:] = level
            mine[-1].reshape(-1)[flat] = np.arange(90.0)
            with monkeypatch.context() as patch:
                patch.setattr(sum_tree, "kernel", lambda library=library: library)
                before = sum_tree.descend(levels, start, mass)
                sum_tree.refresh(mine, flat)
            assert sum_tree.wrong_node(mine) is None
            told.append((before, mine))
        assert np.array_equal(told[0][0], told[1][0])
        assert all(np.array_equal(one, two) for one, two in zip(told[0][1], told[1][1], strict=True))


def test_without_a_compiler_numpy_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows that are drawn are the same."""
    drawn = []
    for library in (sum_tree.kernel(), None):
        with monkeypatch.context() as patch:
            patch.setattr(sum_tree, "kernel", lambda library=library: library)
            replay, priorities = grown(64, [60, 64])
            rng = np.random.default_rng(0)
            for _ in range(10):
                row, _ = priorities.sample(rng.random((2, 16)), np.full(2, 0.5), replay, 1, np.arange(2))
                priorities.update(np.arange(2), row, rng.exponential(size=row.shape), CONFIG)
            drawn.append((row, priorities.leaf.copy()))
    assert np.array_equal(drawn[0][0], drawn[1][0]) and np.array_equal(drawn[0][1], drawn[1][1])
