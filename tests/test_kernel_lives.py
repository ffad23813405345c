"""Whole lives with the C kernel and without: every view of the arena gives the same bytes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import arena.envs
from arena import rng
from arena.arrays import fingerprint
from arena.body.lifecycle import BodyGenes
from arena.envs.parallel import LineageArena
from arena.envs.population import Population, PopulationConfig, population_config
from arena.envs.vector import LineageVectorEnv
from arena.kernel import binding
from arena.market.tape import Tape
from tests import runs
from tests.test_lookahead import tape_of

FOUND = binding.find()
pytestmark = pytest.mark.skipif(isinstance(FOUND, str), reason=f"no kernel here: {FOUND}")
TICKS = 96
NERVOUS = BodyGenes(position_scale=10.0, stop_atr=1.0, reward_weights=(0.1, 0.05, 1.0))

BUSY: dict[str, dict[str, Any]] = {
    "arena": {"seats": 9, "ticks_per_round": 8},
    "market": {"warmup_bars": 128, "drift": 0.01, "drift_stay": 0.95, "collar": 0.0015},
    "body": {"living_cost_bps": 400.0, "fee_bps": 20.0, "min_notional": 300.0},
    "scars": {"drawdown_step": 0.02, "slippage_limit": 0.0005, "crash_return": -0.01, "minor_points": 3},
    "life": {
        "founders_fraction": 0.8, "founder_apprentice_rounds": 2, "heir_apprentice_rounds": 1, "max_age_rounds": 7,
        "ruin_fraction": 0.9, "spawn_wealth": 1.001, "spawn_min_trades": 0, "spawn_min_win_rate": 0.0,
        "spawn_cooldown_rounds": 1, "immigration_per_round": 2.0, "patron": True,
    },
}  # fmt: skip
"""Everything happens: short lives, dear living, narrow collars, scars of every kind, paper accounts that are lost."""


def busy(**changes: dict[str, Any]) -> PopulationConfig:
    """Return BUSY with other values in some sections."""
    return population_config({name: BUSY.get(name, {}) | changes.get(name, {}) for name in BUSY | changes})


WORLDS: dict[str, tuple[PopulationConfig, Tape | None]] = {
    "one market": (busy(), None),
    "one seat": (busy(arena={"seats": 1}, life={"founders_fraction": 1.0}), None),
    "five markets with crises": (busy(arena={"markets": 5}, market={"crisis_hazard": 0.1}), None),
    "many seats": (busy(arena={"seats": 150, "markets": 2}, body={"living_cost_bps": 5.0}), None),
    "gbm": (busy(market={"source": "gbm"}), None),
    "a tape": (busy(market={"source": "tape"}, arena={"markets": 2}), tape_of(3)),
    "lineage5": (busy(reward={"preset": "lineage5"}), None),
    "nobody matters": (busy(market={"impact_bps": 0.0, "collar": 1.0, "sub_ticks": 1}), None),
}


def lived(config: PopulationConfig, tape: Tape | None) -> Iterator[tuple[str, Any]]:
    """Yield what every tick and every round's end brought, and all that is remembered after it."""
    population = Population(config, 11, tape, genes_of=lambda agent_id, parent_id: NERVOUS)
    draw = rng.stream(11, "lives")
    for tick in range(TICKS if tape is None else 8 * 14):
        obs, mask = population.observe()
        chosen = (draw.random(mask.shape) * mask).argmax(axis=1)
        actions = np.where(draw.random(len(mask)) < 0.9, chosen, draw.integers(0, 7, len(mask))).astype(np.int8)
        seen = {"obs": obs.copy(), "mask": mask.copy()}
        step = population.step(actions)
        ours = step.tick
        groups: dict[str, Any] = {"bar": ours.bars, "clearing": ours.clearing, "order": ours.orders, "fill": ours.fills}
        for name, group in groups.items():
            seen |= {f"{name} {field}": getattr(group, field) for field in group._fields}
        for name in ("reward_parts", "reward", "done", "estate_costs", "estate_deaths"):
            seen[name] = getattr(ours, name)
        yield fingerprint(seen | population.arena.state_arrays()), (
            tick, ours.scars, ours.freed_seats, step.ended and step.ended.deaths, step.born,
            bool(ours.clearing.collared.any()), bool(ours.done.any()), bool(ours.orders.liquidated.any()),
        )  # fmt: skip


def both_ways(life: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """Return what comes of a life with the kernel, and without."""
    with_kernel = life()
    with monkeypatch.context() as patch:
        patch.setattr(binding, "find", lambda: "switched off")
        return with_kernel, life()


@pytest.mark.parametrize("world", WORLDS)
def test_a_population_lives_the_same_life(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte of every tick, births, deaths and scars included."""
    ours, theirs = both_ways(lambda: list(lived(*WORLDS[world])), monkeypatch)
    for tick, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        assert one == other, f"tick {tick}"


def test_the_lives_are_eventful() -> None:
    """Births, deaths, freed estates, scars, collars, paper ruins and forced sales are among what was compared."""
    worlds = ("one market", "five markets with crises", "many seats", "a tape")
    notes = [note for world in worlds for _, note in lived(*WORLDS[world])]
    scars, freed, deaths, born, collared, ruined, liquidated = (
        [note[place] for note in notes if note[place]] for place in range(1, 8)
    )
    for happened in (freed, deaths, born, collared, ruined, liquidated):
        assert happened
    assert {mark.kind for marks in scars for mark in marks} >= {1, 3, 4, 5}
    assert any(newborn.parent_id is not None for newcomers in born for newborn in newcomers)


def played(env: Any, steps: int) -> list[str]:
    """Return the fingerprint of every step of an environment that returns arrays."""
    observation, info = env.reset(seed=3)
    draw, found = rng.stream(3, "played"), []
    for _ in range(steps):
        legal = np.atleast_2d(info["action_mask"])
        actions = (draw.random(legal.shape) * legal).argmax(axis=1)
        single = isinstance(env, gymnasium.Env)
        observation, reward, terminated, truncated, info = env.step(int(actions[0]) if single else actions)
        blocks = observation if isinstance(observation, dict) else {"": observation}
        ends = {"reward": reward, "terminated": terminated, "truncated": truncated, "mask": info["action_mask"]}
        found.append(fingerprint({name: np.asarray(value) for name, value in (blocks | ends).items()}))
        if single and (terminated or truncated):
            observation, info = env.reset()
    return found


TRADERS: dict[str, Callable[[], Any]] = {
    "solo": lambda: gymnasium.make("lineage/Trader-v0", config="easy", max_steps=120),
    "solo with every limit": lambda: gymnasium.make(
        "lineage/Trader-v0",
        config={"risk": {"stop_atr": 1.0, "value_at_risk": 0.02, "max_drawdown": 0.01}, "body": {"max_weight": 0.1}},
    ),
    "solo on a tape": lambda: gymnasium.make("lineage/Trader-v0", tape=tape_of(5, 900), max_steps=100),
    "batched": lambda: gymnasium.make_vec("lineage/Trader-v0", num_envs=5),
    "slots": lambda: LineageVectorEnv(busy(life={"dispersal": 0.0}), spare_seats=2),
}


@pytest.mark.parametrize("view", TRADERS)
def test_an_environment_plays_the_same_episode(view: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trading desk and the vector view."""
    assert arena.envs is not None  # registers the trader
    ours, theirs = both_ways(lambda: played(TRADERS[view](), 200), monkeypatch)
    assert ours == theirs


def episode() -> list[str]:
    """Return the fingerprint of every step of a PettingZoo episode."""
    env = LineageArena(busy(), max_cycles=TICKS, max_births=None)
    _, infos = env.reset(seed=2)
    draw, found = rng.stream(2, "episode"), []
    while env.agents:
        actions = {name: int(draw.choice(np.flatnonzero(infos[name]["action_mask"]))) for name in env.agents}
        observations, rewards, terminations, truncations, infos = env.step(actions)
        arrays = dict(observations)
        arrays |= {f"{name} {key}": np.asarray(value) for name, info in infos.items() for key, value in info.items()}
        found.append(fingerprint(arrays) + repr((rewards, terminations, truncations)))
    return found


def test_a_pettingzoo_episode_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, rewards and infos too."""
    ours, theirs = both_ways(episode, monkeypatch)
    assert ours == theirs


def test_a_run_has_the_same_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger of a run does not tell who played its ticks; so it is not recorded."""
    places = iter((tmp_path / "kernel", tmp_path / "numpy"))
    ours, theirs = both_ways(lambda: runs.play(next(places), runs.lively()).head, monkeypatch)
    assert ours == theirs
