"""Eight faults planted into a real population, one for each check: the alarm stands in the run's own database.

Each run goes through the whole engine: ledger, store, verify. Only the planted fault differs from a healthy run.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents import brains as brain
from agents.checks import CHECKS, PATIENCE
from agents.learn import LearnStats, Rates
from agents.learner import Learner
from agents.mind import Minds
from agents.networks import Networks
from agents.replay import Batch, Draws, Replay
from arena import spec
from lineage.record.store import FILE_NAME
from tests import runs
from tests.worlds import tiny_config

Patch = pytest.MonkeyPatch


def empty_update(patch: Patch) -> None:
    """An update that does nothing."""

    def idle(learner: Learner, draws: Draws, gamma: np.ndarray, rates: Rates, active: np.ndarray) -> LearnStats:
        return LearnStats.allocate(len(active))

    patch.setattr(Learner, "uniformly", idle)


def zero_gradients(patch: Patch) -> None:
    """Every draw has lost its weight."""
    honest = Replay.transitions

    def weightless(*given: Any) -> Batch:
        batch = honest(*given)
        batch.weight = torch.zeros_like(batch.r_t)
        return batch

    patch.setattr(Replay, "transitions", weightless)


def collapse(patch: Patch) -> None:
    """A network whose best action is always to hold."""
    honest = Networks.q_values

    def holding(networks: Networks, obs: np.ndarray) -> np.ndarray:
        q = honest(networks, obs)
        q[..., spec.HOLD] = 1e6
        return q

    patch.setattr(Networks, "q_values", holding)


def replay_that_forgets(patch: Patch) -> None:
    """A ring that never holds more than forty rows."""
    honest = Replay.add

    def forgetful(replay: Replay, *given: Any) -> None:
        honest(replay, *given)
        np.minimum(replay.filled, 40, out=replay.filled)

    patch.setattr(Replay, "add", forgetful)


def overwritten_head(patch: Patch) -> None:
    """A head that something writes over: buy and sell, all day long."""
    honest = Minds.learn

    def spoiled(minds: Minds, *given: Any) -> int:
        done = honest(minds, *given)
        b3 = brain.views(minds.brains.layout, minds.brains.params).b3
        b3[:, spec.BUY_LARGE] += 1e3
        b3[:, spec.SELL_ALL] += 5e2
        return done

    patch.setattr(Minds, "learn", spoiled)


def nothing(patch: Patch) -> None:
    """No fault in the code: it lies in the scenario."""


EXPLODING = ("genome.learning_rate=[1.0, 1.0, 1.0]", "mind.grad_clip=1e9", 'mind.target="none"')
FROZEN = ("genome.tau=[0.0, 0.0, 0.0]", "genome.learning_rate=[0.05, 0.05, 0.05]")
NEVER_EXPLORING = ("genome.epsilon_final=[0.0, 0.0, 0.0]", "genome.epsilon_decay_ticks=[1.0, 1.0, 1.0]")

FAULTS: dict[str, tuple[Callable[[Patch], None], tuple[str, ...]]] = {
    "weights_move": (empty_update, ()),
    "gradients_flow": (zero_gradients, ()),
    "loss_bounded": (nothing, EXPLODING),
    "q_bounded": (nothing, EXPLODING),
    "entropy": (collapse, NEVER_EXPLORING),
    "target_follows": (nothing, FROZEN),
    "replay_fills": (replay_that_forgets, ()),
    "beats_birth": (overwritten_head, ("body.fee_bps=50", "mind.probe_every=4")),
}


def config_with(*more: str) -> Any:
    """Return a small population in which nobody dies before a check can speak."""
    calm = ("life.ruin_fraction=0.0", "arena.seats=4", "arena.ticks_per_round=12", "scars.fatal_points=100000")
    return tiny_config(*calm, "life.founder_apprentice_rounds=1000", "mind.probe_every=0", "rounds=14", *more)


def alarms_of(directory: Path) -> list[tuple[int, int, str]]:
    """Return (round, agent, check) of every alarm event in a run's database."""
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
        rows = connection.execute("SELECT round, agent_id, payload FROM event WHERE kind = 'alarm'").fetchall()
    return [(number, agent, json.loads(payload)["check"]) for number, agent, payload in rows]


@pytest.mark.parametrize("check", CHECKS)
def test_each_fault_sets_off_its_alarm_in_the_database(check: str, tmp_path: Path, monkeypatch: Patch) -> None:
    """Every agent once, not before the check's patience is over; the run goes on to its end and verifies."""
    plant, settings = FAULTS[check]
    rounds = ("rounds=64", "arena.ticks_per_round=4") if check == "entropy" else ()
    plant(monkeypatch)
    summary = runs.play(tmp_path, config_with(*settings, *rounds), 3, learner="fast")  # the faults are in Python
    assert summary.status == "finished"
    mine = [(number, agent) for number, agent, name in alarms_of(tmp_path) if name == check]
    ill = sorted(agent for _, agent in mine)
    assert ill == [1, 2, 3, 4] or (settings == EXPLODING and len(set(ill)) == len(ill) >= 2)  # dead ReLUs lie still
    readings_apart = 4 if check == "beats_birth" else 1
    assert min(number for number, _ in mine) >= (PATIENCE[CHECKS.index(check)] - 1) * readings_apart
    assert runs.verified(tmp_path, summary.head, replay=False).ok


def test_a_healthy_population_raises_no_alarm(tmp_path: Path) -> None:
    """The same population without a fault, long enough for every check but the entropy's to speak."""
    runs.play(tmp_path, config_with("mind.probe_every=4"), 3)
    assert alarms_of(tmp_path) == []


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("learning", ["mind.prioritised=false", "mind.prioritised=true"])
def test_a_loss_that_is_not_finite_stops_its_agent_and_not_the_run(
    poison: float, learning: str, tmp_path: Path, monkeypatch: Patch
) -> None:
    """Agent 3 meets rewards that are no numbers: it alone is alarmed and stops learning; the others learn on."""
    honest = Minds.remember

    def poisoned(minds: Minds, living: np.ndarray, obs: np.ndarray, mask: np.ndarray, actions: np.ndarray,
                 reward: np.ndarray, done: np.ndarray) -> None:  # fmt: skip
        spoiled = np.array(reward, dtype=np.float32)
        if minds.age_ticks[2] > 60:
            spoiled[2] = poison
        honest(minds, living, obs, mask, actions, spoiled, done)

    monkeypatch.setattr(Minds, "remember", poisoned)
    summary = runs.play(tmp_path, config_with(learning, "rounds=30", "mind.replay_capacity=64", "mind.learn_start=32"))
    assert summary.status == "finished"
    assert Counter((agent, name) for _, agent, name in alarms_of(tmp_path)) == {(3, "gradients_flow"): 1}
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        statement = "SELECT agent_id, updates FROM agent_round WHERE round = 29 ORDER BY agent_id"
        assert dict(connection.execute(statement).fetchall()) == {1: 12, 2: 12, 3: 0, 4: 12}
    assert runs.verified(tmp_path, summary.head, replay=False).ok
