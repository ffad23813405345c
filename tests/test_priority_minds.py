"""Prioritised replay in living minds and in the kernel: independence, inheritance, checkpoints, failures, use."""

import ctypes
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import brains as brain
from agents.config import MindConfig
from agents.fused import FusedLearner
from agents.learn import Rates
from agents.learn_fast import FastLearner
from agents.priority import Priorities, beta_at, raised
from agents.qnet import forward
from agents.replay import CUT, DONE, GOES_ON, Draws, Replay, Rows
from arena.rng import purpose_key, stream, uniforms
from lineage import engine
from tests import runs
from tests.kernels import built_with, every_build, needs_kernel
from tests.test_fused import A, P, founders, rates_of
from tests.test_mind import World, differing, lived, population, seat_bytes

POWER_SHA256 = "7c8ff4286f4e1ed7d98e010391f47bb1c84db3baf3c6db82f21aae05f63cfb81"
CONFIG = MindConfig(
    hidden=(16, 24), batch=8, replay_capacity=48, learn_start=10, n_step=2, prioritised=True, priority_beta_updates=20
)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_agents_life_does_not_depend_on_its_seat_or_its_neighbours(threads: int) -> None:
    """The same id in another seat, among others, with more threads: every byte the same, priorities included."""
    one, two = lived([1, 2, 3], 70, CONFIG), lived([9, 3, 1, 2], 70, CONFIG, threads)
    for seat, other in ((0, 2), (1, 3), (2, 1)):
        assert differing(seat_bytes(one.minds, seat), seat_bytes(two.minds, other)) == set()
    assert "priorities.leaf" in seat_bytes(one.minds, 0)


def test_a_restored_mind_goes_on_identically() -> None:
    """Leaves, largest and what is waiting are saved; the sums are built again."""
    first = lived([1, 2, 3], 55, CONFIG)
    second = World(population(3, CONFIG))
    second.minds.restore({name: value.copy() for name, value in first.minds.state_arrays().items()})
    second.ids[:], second.tick = first.ids, first.tick
    assert first.step(30) == second.step(30)
    for seat in range(3):
        assert differing(seat_bytes(first.minds, seat), seat_bytes(second.minds, seat)) == set()
    for minds in (first.minds, second.minds):
        assert minds.priorities is not None
        assert minds.priorities.check_valid() == (True, "")


def test_a_newborn_in_a_used_seat_equals_one_in_a_fresh_seat() -> None:
    """Nothing of the dead stays in the tree, sums that were out of date included."""
    world, fresh = lived([1, 2, 3], 40, CONFIG), World(population(3, CONFIG))
    fresh.tick = world.tick
    for place in (world, fresh):
        place.ids[:] = -1
        place.found(1, 77)
    assert world.step(40) == fresh.step(40)
    assert differing(seat_bytes(world.minds, 1), seat_bytes(fresh.minds, 1)) == set()
    assert world.minds.priorities is not None and world.minds.priorities.check_valid() == (True, "")


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_an_heir_inherits_the_priorities_of_the_rows_that_it_inherits(share: float) -> None:
    """Row by row; the newest n wait for successors and the seam is never drawn."""
    minds = lived([1, 2], 70, CONFIG).minds
    minds.new_heir(1, 50, 0, "lamarckian", inherit_replay=share)
    priorities, replay = minds.priorities, minds.replay
    assert priorities is not None
    count = int(share * 48)
    rows = (replay.write[0] - count + np.arange(count)) % 48
    assert np.array_equal(priorities.leaf[1, : count - 2], priorities.leaf[0, rows[:-2]])
    assert len(set(priorities.leaf[1, : count - 2].tolist())) > 3, "nothing was learned from: the test is empty"
    assert not priorities.leaf[1, count - 2 :].any()
    assert priorities.largest[1] == priorities.largest[0] > 0
    world = World(minds)
    world.ids[:] = (1, 50)
    world.tick = 70
    world.step(5)
    assert priorities.leaf[1, count - 1 if count < 48 else 47] == 0.0, "the seam"


@pytest.mark.parametrize("mode", ["darwinian", "baldwinian"])
def test_other_heirs_start_without_priorities(mode: str) -> None:
    """Where no replay is inherited, nothing of its order is."""
    minds = lived([1, 2], 40, CONFIG).minds
    minds.new_heir(1, 50, 0, mode)  # type: ignore[arg-type]
    assert minds.priorities is not None
    assert not minds.priorities.leaf[1].any() and minds.priorities.largest[1] == 0


def test_whoever_cannot_learn_keeps_its_priorities() -> None:
    """An error that is not finite never enters a tree; the neighbour's tree moves on."""
    world = lived([1, 2], 40, CONFIG)
    priorities = world.minds.priorities
    assert priorities is not None
    world.minds.brains.params[0, 0] = torch.nan
    largest = priorities.largest.copy()
    world.step(20)
    assert np.all(np.isfinite(priorities.leaf)) and priorities.largest[0] == largest[0]
    assert world.minds.end_round()["failed"][0] == 20
    assert priorities.check_valid() == (True, "")


def test_without_the_switch_there_are_no_trees() -> None:
    """Memory and state are those of the plain learner."""
    minds = lived([1], 12).minds
    assert minds.priorities is None and not [name for name in minds.state_arrays() if "priorit" in name]


@settings(deadline=None)
@given(
    x=st.lists(st.floats(0.0, 1e300), min_size=1, max_size=40),
    exponent=st.one_of(st.sampled_from([0.0, 0.4, 0.6, 1.0]), st.floats(0.0, 1.0)),
)
def test_our_power_is_a_power(x: list[float], exponent: float) -> None:
    """To 2e-13 of the library's over the whole range, 0 as the smallest number; exactly 1 where it must be."""
    base = np.array(x)
    wanted = np.maximum(base, np.finfo(np.float64).tiny) ** exponent
    assert np.allclose(raised(base, np.array(exponent)), wanted, rtol=2e-13, atol=0.0)
    assert np.all(raised(base, np.array(0.0)) == 1.0) and raised(np.ones(1), np.array(exponent)) == 1.0


def test_the_power_has_the_same_bits_on_every_machine() -> None:
    """Its bytes over 60 orders of magnitude, as they were when it was written."""
    x = np.ldexp(1.0 + np.arange(4096) / 4096.0, np.arange(4096) % 200 - 100)
    digest = hashlib.sha256(b"".join(raised(x, np.array(exponent)).tobytes() for exponent in (0.4, 0.6, 1.0)))
    assert digest.hexdigest() == POWER_SHA256


def by_priority(
    config: MindConfig, numpy_draws: bool, threads: int = 1, library: ctypes.CDLL | None = None
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return leaves, sums, largest and weights after a long life with inheritance, and the rows that were drawn often.

    numpy_draws: drawn, weighed and remembered by priority.py around `step_rows`, else in the kernel.
    """
    ids, key, everybody = np.array([5, 99, 3, 1, 7]), purpose_key(1, "r"), np.ones(P, bool)
    replay, priorities, brains = (
        Replay.allocate(P, 70, 19),
        Priorities.allocate(P, 70),
        founders(config, 19, ids.tolist()),
    )
    learner, draw = FusedLearner(brains, config, threads, library), stream(0, "ring")
    gamma, rates, seats = np.linspace(0.5, 0.99, P), rates_of([1, 2, 3, 4, 5]), np.array([0, 1, 2, 4])
    for tick in range(200):
        obs, bits = draw.standard_normal((P, 19)).astype(np.float32), draw.integers(1, 128, P).astype(np.uint8)
        who = everybody if tick % 3 else everybody & (np.arange(P) != 1)
        replay.add(who, obs, bits, draw.integers(0, A, P), 3.0 * draw.standard_normal(P), draw.random(P) < 0.1)
        priorities.added(who)
        if tick == 60:
            priorities.inherit(replay, 0, 4, replay.copy_newest(0, 4, 33), config.n_step)
        if tick == 100:
            brains.params[2, 0] = torch.nan  # cannot be updated any more: its priorities stay
        if tick < 20 or tick % 4:
            continue
        if numpy_draws:
            u, beta = uniforms(key, ids[seats], tick, 22)[:, 11:], beta_at(brains.steps.numpy()[seats], config)
            row, weight = priorities.sample(u, beta, replay, config.n_step, seats)
            stats = learner.step_rows(replay, Rows(seats, row, weight), gamma[seats], rates, everybody)
            good = stats.updated[seats]
            assert stats.priority is not None
            priorities.update(seats[good], row[good], stats.priority[good], config)
        else:
            draws = Draws(seats, ids[seats], key, tick, 11)
            stats = learner.step_drawn(replay, draws, gamma[seats], rates, everybody, priorities)
    assert priorities.check_valid() == (True, "") and stats.failed.tolist() == [False, False, True, False, False]
    weights = brains.params.numpy()[seats[[0, 1, 3]]]
    return [*priorities._levels, priorities.largest, priorities.waiting, weights], priorities.leaf


LEANINGS = [(1, 0.6, 0.4), (3, 0.0, 0.0), (3, 1.0, 1.0)]


@needs_kernel
@pytest.mark.parametrize(("n_step", "alpha", "beta"), LEANINGS)
def test_the_kernel_draws_and_weighs_and_remembers_to_the_bit_of_numpy(n_step: int, alpha: float, beta: float) -> None:
    """Over wraps, seams, inheritance, an agent that cannot learn and one that waits; with more workers as well."""
    config = MindConfig(
        hidden=(20, 32), batch=11, n_step=n_step, prioritised=True, priority_alpha=alpha, priority_beta=beta,
        priority_beta_updates=30,
    )  # fmt: skip
    one, leaf = by_priority(config, numpy_draws=True)
    assert len(np.unique(leaf)) > (20 if alpha else 1)
    for threads in (1, 3):
        other, _ = by_priority(config, numpy_draws=False, threads=threads)
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@needs_kernel
@every_build
def test_priorities_depend_neither_on_the_vector_width_nor_on_the_optimiser(
    flags: tuple[str, ...], tmp_path: Path
) -> None:
    """The power function included."""
    library = built_with(flags, tmp_path)
    config = MindConfig(hidden=(20, 32), batch=11, prioritised=True, priority_beta_updates=30)
    one, other = by_priority(config, numpy_draws=True)[0], by_priority(config, numpy_draws=False, library=library)[0]
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@needs_kernel
def test_draws_that_rounding_leads_astray_are_led_back_in_the_kernel_as_well() -> None:
    """Sabotage of the sums, and a ring of seams only: the bits are still those of numpy, and nobody else notices."""
    config = MindConfig(hidden=(20, 32), batch=11, prioritised=True)
    ids, key, gamma, yes = np.arange(3), purpose_key(1, "r"), np.full(3, 0.9), np.ones(3, bool)
    replay, ones = Replay.allocate(3, 70, 19), np.ones(3, np.uint8)
    for _ in range(60):
        replay.add(yes, np.zeros((3, 19), np.float32), ones, np.zeros(3, np.int8), np.ones(3), ~yes)
    replay.done[1] = CUT
    told = []
    for in_kernel in (False, True):
        priorities, brains = Priorities.allocate(3, 70), founders(config, 19, [1, 2, 3])
        priorities.waiting[:] = 60
        priorities.sample(np.zeros((3, 1)), np.ones(3), replay, 1, ids)
        priorities._levels[0] *= 1.3
        learner = FusedLearner(brains, config)
        if in_kernel:
            learner.step_drawn(replay, Draws(ids, ids, key, 1, 0), gamma, rates_of([1, 2, 3]), yes, priorities)
        else:
            row, weight = priorities.sample(uniforms(key, ids, 1, 11), np.full(3, 0.4), replay, 1, ids)
            assert row[0].max() == row[2].max() == 58 and not weight[1].any()
            stats = learner.step_rows(replay, Rows(ids, row, weight), gamma, rates_of([1, 2, 3]), yes)
            assert stats.priority is not None
            priorities.update(ids, row, stats.priority, config)
        told.append([priorities.leaf, priorities.largest, brains.params.numpy()])
    assert all(np.array_equal(a, b) for a, b in zip(*told, strict=True))


STATES, WALKERS, LIMIT = 9, 4, 3000


def cliffwalk() -> Replay:
    """Return the blind cliffwalk of Schaul et al. 2016 (section 3.1) as it is remembered, once for each walker.

    Of two actions one goes on, the other ends the walk, and only the end of the whole way is rewarded. The memory
    holds each step as often as a random walker takes it: one row in 2^STATES carries the reward. Each row is
    followed by the state that it leads to, which is no transition of its own.
    """
    steps = [(state, action) for state in range(STATES) for action in (0, 1) for _ in range(2 ** (STATES - state - 1))]
    replay, eye = Replay.allocate(WALKERS, 2 * len(steps) + 2, STATES), np.eye(STATES)
    for walker in range(WALKERS):
        state, action = np.random.default_rng(walker).permutation(steps).T
        end = (action == 0) | (state == STATES - 1)
        odd, even = slice(1, 2 * len(steps), 2), slice(0, 2 * len(steps), 2)
        replay.obs[walker, even], replay.obs[walker, odd] = eye[state], eye[np.minimum(state + 1, STATES - 1)]
        replay.action[walker, even], replay.reward[walker, even] = action, (action == 1) & (state == STATES - 1)
        replay.done[walker, even], replay.done[walker, odd] = np.where(end, DONE, GOES_ON), CUT
    replay.mask[:] = 3
    replay.write[:] = replay.filled[:] = 2 * len(steps) + 1
    return replay


def updates_needed(prioritised: bool) -> np.ndarray:
    """Return after how many updates [WALKERS] every step on the way is valued right, to a quarter of the reward."""
    config = MindConfig(
        hidden=(16, 16), batch=8, dueling=False, prioritised=prioritised, priority_alpha=0.8,
        priority_beta_updates=10**6, priority_epsilon=1e-3,
    )  # fmt: skip
    replay, seats, yes = cliffwalk(), np.arange(WALKERS), np.ones(WALKERS, bool)
    priorities = Priorities.allocate(WALKERS, replay.capacity)
    priorities.waiting[:] = replay.capacity
    brains = brain.allocate(WALKERS, STATES, 7, config)
    for walker in range(WALKERS):
        brain.init_founder(brains, walker, 0, walker + 1)
    learner, rng, gamma = FastLearner(brains, config), np.random.default_rng(0), np.full(WALKERS, 0.9)
    rates = Rates(np.full(WALKERS, 5e-3, np.float32), np.full(WALKERS, 0.1, np.float32))
    x, network = torch.eye(STATES).expand(WALKERS, -1, -1), brain.views(brains.layout, brains.params)
    right, needed = 0.9 ** np.arange(STATES - 1, -1, -1), np.full(WALKERS, LIMIT)
    for update in range(LIMIT):
        u = rng.random((WALKERS, config.batch))
        if prioritised:
            row, weight = priorities.sample(u, beta_at(brains.steps.numpy(), config), replay, 1, seats)
            told = learner.step(replay.transitions(row, 1, gamma, seats, weight), rates, yes)
            assert told.priority is not None
            priorities.update(seats, row, told.priority, config)
        else:
            learner.step(replay.sample(u, 1, gamma), rates, yes)
        if update % 10 == 0:
            q = forward(network, x, None).numpy()[:, :, 1]
            found = (np.abs(q - right).max(axis=1) < 0.25) & (needed == LIMIT)
            needed[found] = update
            if np.all(needed < LIMIT):
                break
    return needed


def test_priorities_find_the_rare_reward_much_sooner() -> None:
    """Blind cliffwalk, one row in a thousand is rewarded: with priorities the median walker needs less than half."""
    uniform, prioritised = updates_needed(False), updates_needed(True)
    assert np.median(prioritised) < 0.5 * np.median(uniform), (prioritised, uniform)


def test_a_killed_run_goes_on_to_the_same_history(tmp_path: Path) -> None:
    """Births, deaths, probes and priorities through the engine: crashed and resumed, every row comes out equal."""
    config = runs.lively("mind.prioritised=true", "mind.n_step=2", "mind.probe_every=3")
    whole = runs.play(tmp_path / "whole", config)
    runs.crash_after(engine.start(tmp_path / "killed", config, runs.SEED), 12)
    assert runs.go_on(tmp_path / "killed").head == whole.head
    assert runs.history_of(tmp_path / "killed") == runs.history_of(tmp_path / "whole")
    born = {row[0] for row in runs.rows_of(tmp_path / "whole")["agent"] if row[1] is not None}
    assert born, "nobody was born: the test is empty"
    assert runs.verified(tmp_path / "whole", whole.head).ok
