"""The eight checks: a healthy mind passes them all, and each sabotage sets off its own alarm, once."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from agents import genome
from agents.checks import CHECKS, PATIENCE, Alarm, Checks
from agents.config import GenomeConfig, MindConfig
from agents.mind import DQN, Minds, kind_of
from arena.rng import stream
from arena.spec import HOLD, N_ACTIONS, OBS_DIM

ROUND = 5
CONFIG = MindConfig(hidden=(8, 8), batch=4, replay_capacity=4096, learn_start=10)


def minds_of(kinds: list[int], config: MindConfig = CONFIG) -> Minds:
    """Return one mind for each kind."""
    minds = Minds(config, GenomeConfig(), len(kinds), 5)
    for seat, kind in enumerate(kinds):
        minds.new_founder(seat, seat + 1, kind)
    return minds


def live(minds: Minds, rounds: int, disturb: Callable[[Minds, dict[str, np.ndarray]], None]) -> list[list[Alarm]]:
    """Live some rounds of random data; `disturb` may spoil the minds and the signs at each round's end."""
    seats = minds.seats
    ids, yes = np.arange(1, seats + 1), np.ones(seats, dtype=bool)
    told = []
    for number in range(rounds):
        for tick in range(number * ROUND, (number + 1) * ROUND):
            draw = stream(1, "checks", tick)
            obs = draw.normal(size=(seats, OBS_DIM)).astype(np.float32)
            mask = draw.random((seats, N_ACTIONS)) < 0.7
            mask[:, HOLD] = True
            actions = minds.act(obs, mask, ids, np.zeros(seats, np.int8), tick, yes)
            minds.remember(yes, obs, mask, actions, draw.normal(size=seats), ~yes)
            minds.learn(ids, tick, yes)
        signs = minds.end_round()
        disturb(minds, signs)
        told.append(minds.alarms(signs))
    return told


def nothing(minds: Minds, signs: dict[str, np.ndarray]) -> None:
    """Leave all as it is."""


def test_a_healthy_mind_raises_no_alarm() -> None:
    """Thirty rounds of learning from noise, beside an empty seat's worth of scripted minds."""
    minds = minds_of([DQN, DQN, kind_of("hold"), kind_of("random")])
    assert live(minds, 30, nothing) == [[] for _ in range(30)]


def no_learning(minds: Minds, signs: dict[str, np.ndarray]) -> None:
    """A learning rate of 0."""
    minds.genes[1, genome.LEARNING_RATE] = 0.0
    minds.brains.params[1] = minds.brains.birth_params[1]


def broken_weights(minds: Minds, signs: dict[str, np.ndarray]) -> None:
    """A weight that is not a number."""
    minds.brains.params[1, 0] = torch.nan


def explosion(minds: Minds, signs: dict[str, np.ndarray]) -> None:
    """Weights a hundred times too large: losses and values explode."""
    minds.brains.params[1] = 100.0 * minds.brains.birth_params[1]
    minds.brains.target[1] = minds.brains.params[1]


def one_action(minds: Minds, signs: dict[str, np.ndarray]) -> None:
    """A policy that holds, and only holds: what its histogram would say."""
    signs["entropy"][1] = 0.0


def lost_target(minds: Minds, signs: dict[str, np.ndarray]) -> None:
    """A target network that was never copied."""
    minds.genes[1, genome.TAU] = 0.0
    minds.brains.target[1] = 0.0


def forgetful(minds: Minds, signs: dict[str, np.ndarray]) -> None:
    """A ring that is emptied after every round; reported fill before that is the same each time."""
    minds.replay.clear_seat(1)


def worse_than_born(minds: Minds, signs: dict[str, np.ndarray]) -> None:
    """A probe on which learning has lost something."""
    signs["probe_gain"] = np.array([0.3, -0.6, np.nan])


SABOTAGE: dict[str, Callable[[Minds, dict[str, np.ndarray]], None]] = {
    "weights_move": no_learning,
    "gradients_flow": broken_weights,
    "loss_bounded": explosion,
    "q_bounded": explosion,
    "entropy": one_action,
    "target_follows": lost_target,
    "replay_fills": forgetful,
    "beats_birth": worse_than_born,
}


@pytest.mark.parametrize("check", CHECKS)
def test_each_check_can_fail_and_says_so_once(check: str) -> None:
    """The sabotaged seat alone, after the patience of the check, and never again in this life."""
    minds = minds_of([DQN, DQN, kind_of("trend")])
    rounds = int(PATIENCE.max()) + 6
    told = live(minds, rounds, SABOTAGE[check])
    raised = [(number, alarm) for number, alarms in enumerate(told) for alarm in alarms]
    assert {alarm.seat for _, alarm in raised} == {1}
    mine = [number for number, alarm in raised if alarm.check == check]
    assert len(mine) == 1
    assert mine[0] >= PATIENCE[CHECKS.index(check)] - 1


def test_a_newborn_starts_without_a_record() -> None:
    """Death wipes streaks and alarms: the next occupant is judged on its own."""
    minds = minds_of([DQN, DQN, DQN])
    live(minds, 4, broken_weights)
    assert minds.checks.raised[1].any()
    minds.new_founder(1, 50)
    assert not minds.checks.raised[1].any() and not minds.checks.streak[1].any()
    minds.brains.params[1, 0] = torch.nan
    assert [alarm.seat for alarms in live(minds, 4, nothing) for alarm in alarms] == [1]


def test_an_interrupted_illness_starts_anew() -> None:
    """Two ill rounds, a good one, two ill ones: no alarm where patience is three."""
    checks = Checks.allocate(1)
    names = ("loss", "td_error", "grad_norm", "q_max", "entropy", "weight_change", "target_gap")
    for number, loss in enumerate((99.0, 99.0, 1.0, 99.0, 99.0, 99.0)):
        signs = {name: np.array([0.5]) for name in names} | {
            "loss": np.array([loss]),
            "due": np.array([1]),
            "updates": np.array([1]),
            "failed": np.array([0]),
            "target_gap": np.array([0.1]),
            "replay_fill": np.array([0.1 * (number + 1)]),
        }
        alarms = checks.judge(signs, np.array([10.0]))
        assert alarms == ([Alarm(0, "loss_bounded", 99.0)] if number == 5 else [])
