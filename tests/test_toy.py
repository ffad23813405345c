"""A Markov chain whose Q* is known: every stacked agent finds it, whatever its gamma and its learner's switches.

Five states in a row, a jump with a price, actions that are legal in some states only. Behaviour is random, so
whoever looks further than one step learns the value of behaving randomly for n - 1 steps and optimally from then
on; that fixed point is computed from the very rows that the agent remembers.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import pytest
import torch

from agents import brains as brain
from agents import fused
from agents.brains import Brains
from agents.config import MindConfig
from agents.learn import LearnStats, Rates, learn_step
from agents.learn_fast import FastLearner
from agents.priority import Priorities, beta_at
from agents.qnet import forward, head_matrix
from agents.replay import Batch, Replay

A: Final = 7
STATES: Final = 5
GAMMAS: Final = (0.5, 0.8, 0.9, 0.95)
LEGAL: Final = [(0, 1, 2), (0, 1, 2), (0, 1, 2, 3), (0, 1, 2), (0, 1, 2)]
ROWS: Final = 1024
TOLERANCE: Final = {1: 0.02, 3: 0.06}
"""Largest error of any legal Q of any agent, by n: the values reach 6; the sums of n random steps scatter."""

Update = Callable[[Batch, Rates, np.ndarray], LearnStats]


def toy(state: int, action: int) -> tuple[int, float, bool]:
    """Return (next state, reward, end): 0 stay, 1 right, 2 left, 3 a jump with a price, only from state 2."""
    if action == 1 and state == STATES - 1:
        return state, 5.0, True
    if action == 2 and state == 0:
        return 0, 0.2, False
    if action == 3:
        return STATES - 1, -1.0, False
    return min(max(state + {0: 0, 1: 1, 2: -1}[action], 0), STATES - 1), 0.0, False


def optimal_q(gamma: float) -> np.ndarray:
    """Return Q* [STATES,A] by value iteration over legal actions; NaN where an action is illegal."""
    q = np.full((STATES, A), np.nan)
    value = np.zeros(STATES)
    for _ in range(1000):
        for state in range(STATES):
            for action in LEGAL[state]:
                after, reward, end = toy(state, action)
                q[state, action] = reward + (0.0 if end else gamma * value[after])
        value = np.nanmax(q, axis=1)
    return q


def remembered() -> Replay:
    """Return four rings full of random legal behaviour, one for each gamma."""
    seats = len(GAMMAS)
    replay, rng, state = Replay.allocate(seats, ROWS, STATES), np.random.default_rng(0), np.zeros(seats, dtype=int)
    for _ in range(ROWS):
        action = np.array([rng.choice(LEGAL[s]) for s in state])
        told = [toy(s, a) for s, a in zip(state, action, strict=True)]
        bits = np.array([sum(1 << a for a in LEGAL[s]) for s in state], dtype=np.uint8)
        done = np.array([end for _, _, end in told])
        reward = np.array([r for _, r, _ in told])
        replay.add(np.ones(seats, bool), np.eye(STATES, dtype=np.float32)[state], bits, action, reward, done)
        state = np.where(done, rng.integers(0, STATES, seats), [after for after, _, _ in told])
    return replay


def fixed_point(replay: Replay, n_step: int) -> list[np.ndarray]:
    """Return each agent's answer [STATES,A]: the mean n-step target over its own rows, iterated to the end."""
    seats = np.arange(len(GAMMAS))
    row = np.broadcast_to(np.arange(ROWS - n_step), (len(GAMMAS), ROWS - n_step)).copy()
    batch = replay.transitions(row, n_step, np.array(GAMMAS), seats)
    answers = []
    for seat in seats:
        before, after = (x[seat].argmax(dim=1).numpy() for x in (batch.s_tm1, batch.s_t))
        action, reward, discount = (x[seat].numpy() for x in (batch.a_tm1, batch.r_t, batch.discount_t))
        q, counts = np.zeros((STATES, A)), np.zeros((STATES, A))
        np.add.at(counts, (before, action), 1.0)
        for _ in range(1000):
            total = np.zeros((STATES, A))
            value = np.where(counts > 0, q, -np.inf).max(axis=1)
            np.add.at(total, (before, action), reward + discount * value[after])
            q = total / np.maximum(counts, 1.0)
        answers.append(np.where(counts > 0, q, np.nan))
    return answers


def learner_of(name: str, brains: Brains, config: MindConfig) -> Update:
    """Return the update of a learner by name; skip where this machine has none."""
    if name == "reference":
        return lambda batch, rates, active: learn_step(brains, batch, rates, active, config)
    if name == "fused":
        found, reason = fused.resolve("auto")
        if found != "fused":
            pytest.skip(f"no fused learner here: {reason}")
        return fused.FusedLearner(brains, config).step
    return FastLearner(brains, config).step


def learn_the_toy(learner: str, config: MindConfig, learning_rate: float, updates: int) -> tuple[np.ndarray, Replay]:
    """Return Q [4,STATES,A] after so many updates, and what was seen; the rate falls to a thousandth in the end."""
    seats = len(GAMMAS)
    brains, replay = brain.allocate(seats, STATES, A, config), remembered()
    for seat in range(seats):
        brain.init_founder(brains, seat, 1, seat + 1)
    update = learner_of(learner, brains, config)
    priorities, everybody = Priorities.allocate(seats, ROWS), np.arange(seats)
    priorities.waiting[:] = ROWS
    rng, gamma, active = np.random.default_rng(1), np.array(GAMMAS), np.ones(seats, bool)
    for step in range(updates):
        rate = learning_rate * 10.0 ** min(0.0, 3.0 - 6.0 * step / updates)  # Robbins & Monro 1951: the second half
        rates = Rates(np.full(seats, rate, np.float32), np.full(seats, 0.05, np.float32))
        u = rng.random((seats, config.batch))
        if not config.prioritised:
            update(replay.sample(u, config.n_step, gamma), rates, active)
            continue
        row, weight = priorities.sample(u, beta_at(brains.steps.numpy(), config), replay, config.n_step, everybody)
        told = update(replay.transitions(row, config.n_step, gamma, everybody, weight), rates, active)
        assert told.priority is not None
        priorities.update(everybody, row, told.priority, config)
    x = torch.eye(STATES).expand(seats, -1, -1)
    q: np.ndarray = forward(brain.views(brains.layout, brains.params), x, head_matrix(brains.layout)).numpy()
    return q, replay


def errors(q: np.ndarray, answers: list[np.ndarray]) -> np.ndarray:
    """Return each agent's largest error over legal actions [4]."""
    return np.array([np.nanmax(np.abs(mine - right)) for mine, right in zip(q, answers, strict=True)])


VARIANTS: dict[str, dict[str, object]] = {
    "plain": {"dueling": False, "double": False},
    "dueling": {"double": False},
    "double": {"dueling": False},
    "default": {},
    "hard": {"target": "hard", "hard_target_every": 10},
    "no target": {"target": "none"},
    "n-step": {"n_step": 3, "huber_delta": 50.0, "batch": 96},
    "prioritised": {"prioritised": True, "priority_beta_updates": 1000},
    "all": {"prioritised": True, "n_step": 3, "huber_delta": 50.0, "batch": 96, "priority_beta_updates": 500},
}


def config_of(variant: str) -> MindConfig:
    """Return the configuration of a variant; a Huber loss that is square here learns means, as the answer is one."""
    return MindConfig(**({"hidden": (32, 32), "batch": 32} | VARIANTS[variant]))  # type: ignore[arg-type]


QUICK = [("fused", variant) for variant in VARIANTS] + [("fast", "default"), ("fast", "all")]
SLOW = [("fast", variant) for variant in VARIANTS if variant not in ("default", "all")]
SLOW += [("reference", "plain"), ("reference", "all")]
CASES = [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]


@pytest.mark.parametrize(("learner", "variant"), CASES)
def test_every_agent_converges_to_the_known_answer(learner: str, variant: str) -> None:
    """Four gammas side by side: each Q within TOLERANCE of the known answer, and each policy the right one.

    Chasing its own tail, without a target network, takes longer.
    """
    config = config_of(variant)
    q, replay = learn_the_toy(learner, config, 3e-3, 3000 if config.target == "none" else 1800)
    answers = fixed_point(replay, config.n_step)
    assert np.all(errors(q, answers) < TOLERANCE[config.n_step]), errors(q, answers)
    for mine, right in zip(q, answers, strict=True):
        chosen = np.where(np.isnan(right), -np.inf, mine).argmax(axis=1)
        worth = right[np.arange(STATES), chosen]
        assert np.all(worth >= np.nanmax(right, axis=1) - TOLERANCE[config.n_step]), "not the right policy"


def test_the_fixed_point_of_one_step_is_q_star() -> None:
    """The computation from rows agrees with value iteration, and three random steps are worth less."""
    replay = remembered()
    for one, gamma in zip(fixed_point(replay, 1), GAMMAS, strict=True):
        assert np.allclose(one, optimal_q(gamma), atol=1e-4, equal_nan=True)
    gap = [np.nanmax(optimal_q(g) - three) for g, three in zip(GAMMAS, fixed_point(replay, 3), strict=True)]
    assert min(gap) > 2 * TOLERANCE[3], "the test could not tell one step from three"


def test_the_short_sighted_and_the_far_sighted_disagree() -> None:
    """So that learning one gamma for everybody would be noticed."""
    policies = [np.nanargmax(optimal_q(gamma), axis=1) for gamma in GAMMAS]
    assert policies[0][0] != policies[3][0]
    assert min(np.nanmax(np.abs(optimal_q(a) - optimal_q(b))) for a in GAMMAS for b in GAMMAS if a != b) > 0.1


@pytest.mark.parametrize(
    ("changes", "rate"), [({}, 0.0), ({"mask_bellman": False}, 3e-3), ({"n_step": 3}, 3e-3)], ids=str
)
def test_the_check_fails_without_learning_or_with_the_wrong_question(changes: dict[str, object], rate: float) -> None:
    """Sabotage: no learning, a maximum over illegal actions, three steps where the answer is for one."""
    config = MindConfig(**({"hidden": (32, 32), "batch": 32} | changes))  # type: ignore[arg-type]
    q, replay = learn_the_toy("fast", config, rate, 600 if rate else 20)
    assert errors(q, fixed_point(replay, 1)).max() > 10 * TOLERANCE[1]
