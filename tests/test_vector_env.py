"""Vector environments over a population: death = terminated, birth = the next episode of the slot, nothing padded."""

from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import vector as wrappers
from stable_baselines3 import DQN
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecMonitor

from arena import spec
from arena.arrays import fingerprint
from arena.checks import contract
from arena.checks.target import LIVELY
from arena.envs.population import population_config
from arena.envs.sb3 import LineageVecEnv
from arena.envs.vector import LineageVectorEnv, Slots
from arena.errors import ActionError, ConfigError
from tests.crowds import lively_slots


def open_env(**given: Any) -> LineageVectorEnv:
    """Return a lively vector environment after reset(seed=1)."""
    env = LineageVectorEnv(lively_slots(), **given)
    env.reset(seed=1)
    return env


def masked(mask: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Return [N] one random legal action a slot."""
    choice: np.ndarray = (draw.random(mask.shape) * mask).argmax(axis=1)
    return choice


def bytes_of(slots: Slots | None) -> str:
    """Return a fingerprint of all that a step could change."""
    assert slots is not None
    arena = slots.population.arena
    return fingerprint(arena.state_arrays() | {"obs": arena.obs, "seat": slots.seat, "id": slots.agent_id})


def test_the_interface_is_gymnasiums() -> None:
    """Spaces, metadata, shapes, dtypes, and the promised next-step autoreset, through many deaths."""
    env = LineageVectorEnv(lively_slots())
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert "episodes of 12 sub-environments" in contract.vector(env, 1, 200)


def test_gymnasiums_own_wrappers_fit() -> None:
    """Episode statistics, reward clipping and observation normalisation of gymnasium.wrappers.vector."""
    env = wrappers.RecordEpisodeStatistics(wrappers.ClipReward(LineageVectorEnv(lively_slots()), -1.0, 1.0))
    _, infos = env.reset(seed=1)
    draw = np.random.Generator(np.random.Philox(1))
    lengths: list[int] = []
    for _ in range(120):
        _, rewards, _, _, infos = env.step(masked(infos["action_mask"], draw))
        assert np.abs(rewards).max() <= 1.0
        if "episode" in infos:
            lengths += infos["episode"]["l"][infos["_episode"]].tolist()
    assert lengths
    assert min(lengths) > 0


def test_a_slot_is_one_life_after_another() -> None:
    """An id never returns, changes only after a termination, and ends with the dead agent's last look."""
    env = open_env()
    draw = np.random.Generator(np.random.Philox(1))
    _, infos = env.reset(seed=1)
    seen = set(infos["lineage_id"].tolist())
    ended = np.zeros(env.num_envs, dtype=bool)
    deaths = heirs = 0
    for _ in range(300):
        before = infos["lineage_id"]
        observations, rewards, terminations, truncations, infos = env.step(masked(infos["action_mask"], draw))
        assert infos["alive"].all()
        assert not truncations.any()
        changed = infos["lineage_id"] != before
        assert np.array_equal(changed, terminations)
        fresh = infos["lineage_id"][changed].tolist()
        assert not seen & set(fresh)
        assert (infos["parent_id"][changed] < infos["lineage_id"][changed]).all()
        heirs += int((infos["parent_id"][changed] > 0).sum())
        assert (rewards[ended] == 0.0).all()
        assert observations[terminations].any(axis=1).all()
        seen |= set(fresh)
        deaths += int(terminations.sum())
        ended = terminations
    assert deaths > 10
    assert heirs > 0


def test_the_action_of_a_newborn_slot_is_ignored() -> None:
    """In the step after a death whatever is asked of the slot means HOLD: two actions, one world."""
    draw = np.random.Generator(np.random.Philox(2))
    one, other = open_env(), open_env()
    _, infos = one.reset(seed=1)
    for _ in range(200):
        actions = masked(infos["action_mask"], draw)
        mischief = actions.copy()
        mischief[one._newborn] = spec.BUY_LARGE
        result, twin = one.step(actions), other.step(mischief)
        assert np.array_equal(result[0], twin[0])
        infos = result[4]
    assert bytes_of(one.slots) == bytes_of(other.slots)


def test_without_spare_seats_a_slot_waits_and_says_so() -> None:
    """alive is False, the observation zeros, the mask HOLD; later the slot lives again."""
    env = open_env(spare_seats=0)
    draw = np.random.Generator(np.random.Philox(1))
    _, infos = env.reset(seed=1)
    waited = lived_again = 0
    was_alive = infos["alive"]
    for _ in range(200):
        observations, rewards, _, _, infos = env.step(masked(infos["action_mask"], draw))
        gone = ~infos["alive"]
        waited += int(gone.sum())
        lived_again += int((infos["alive"] & ~was_alive).sum())
        idle = gone & ~was_alive
        assert not observations[idle].any()
        assert not rewards[idle].any()
        assert (infos["action_mask"][gone] == np.eye(spec.N_ACTIONS, dtype=np.int8)[spec.HOLD]).all()
        assert (infos["lineage_id"][gone] == -1).all()
        was_alive = infos["alive"]
    assert waited > 0
    assert lived_again > 0


def test_the_end_of_a_population_truncates_everybody() -> None:
    """At max_cycles all slots are truncated; the next step begins another population with reward 0."""
    env = open_env(max_cycles=7)
    for cycle in range(1, 22):
        _, rewards, terminations, truncations, infos = env.step(np.zeros(env.num_envs, dtype=np.int64))
        if cycle % 8 == 7:
            assert (terminations | truncations).all()
        elif cycle % 8 == 0:
            assert not rewards.any()
            assert not (terminations | truncations).any()
            assert infos["lineage_id"].tolist() == list(range(1, env.num_envs + 1))


def test_markets_side_by_side() -> None:
    """Slots stay in their market; dispersal, which would let a child leave, is refused."""
    sections: dict[str, Any] = LIVELY | {"arena": LIVELY["arena"] | {"markets": 3}}
    with pytest.raises(ConfigError, match="dispersal"):
        LineageVectorEnv(population_config(sections))
    still: dict[str, Any] = sections | {"life": LIVELY["life"] | {"dispersal": 0.0}}
    env = LineageVectorEnv(population_config(still))
    _, infos = env.reset(seed=1)
    draw = np.random.Generator(np.random.Philox(1))
    for _ in range(60):
        _, _, _, _, infos = env.step(masked(infos["action_mask"], draw))
        assert env.slots is not None
        assert np.array_equal(env.slots.seat // 24, np.arange(36) // 12)


@pytest.mark.parametrize(
    ("actions", "word"),
    [
        (np.zeros(3, dtype=np.int64), "shape"), (np.zeros((12, 1), dtype=np.int64), "shape"), (None, "shape"),
        (np.zeros(12), "float64"), (np.full(12, 7), "slot 0"), (np.array([0] * 11 + [-1]), "slot 11"),
        (["x"] * 12, "integers"), ([1] * 11 + [2**70], "integers"), ([[1]] * 11 + [1], "shape"),
    ],
)  # fmt: skip
def test_a_refused_step_leaves_every_byte(actions: Any, word: str) -> None:
    """Wrong shapes, types and ranges: ActionError, for gymnasium and for Stable-Baselines3, with nothing moved."""
    env, sb3 = open_env(), LineageVecEnv(lively_slots(), seed=1)
    sb3.reset()
    before = bytes_of(env.slots), bytes_of(sb3.slots)
    with pytest.raises(ActionError, match=word):
        env.step(actions)
    with pytest.raises(ActionError, match=word):
        sb3.step(actions)
    assert (bytes_of(env.slots), bytes_of(sb3.slots)) == before


def test_out_of_turn() -> None:
    """A step before reset or after close, a seed for each slot, wrong sizes."""
    env = LineageVectorEnv(lively_slots())
    with pytest.raises(ActionError, match="reset first"):
        env.step(np.zeros(12, dtype=np.int64))
    with pytest.raises(ConfigError, match="one seed"):
        env.reset(seed=[1] * 12)
    env.reset(seed=1)
    env.close()
    env.close()
    with pytest.raises(ActionError, match="reset first"):
        env.step(np.zeros(12, dtype=np.int64))
    with pytest.raises(ConfigError, match="max_cycles"):
        LineageVectorEnv(lively_slots(), max_cycles=0)
    with pytest.raises(ConfigError, match="spare_seats"):
        LineageVectorEnv(lively_slots(), spare_seats=-1)


def test_stable_baselines_sees_the_same_lives() -> None:
    """Same seed and actions: the same rewards tick by tick, and a done slot's next observation is the newborn's."""
    env = LineageVecEnv(lively_slots(), seed=1)
    env.reset()
    draw = np.random.Generator(np.random.Philox(1))
    lives = 0
    ticks = np.zeros(env.num_envs, dtype=np.int64)
    for _ in range(200):
        legal = np.stack(env.env_method("action_masks"))
        result = env.step(masked(legal, draw))
        observations, dones, infos = np.asarray(result[0]), result[2], result[3]
        ticks += 1
        assert observations.dtype == np.float32
        assert observations.any(axis=1).all()
        for slot in np.flatnonzero(dones):
            assert infos[slot]["terminal_observation"].shape == (spec.OBS_DIM,)
            assert infos[slot]["terminal_observation"].any()
            assert infos[slot]["TimeLimit.truncated"] is False
            assert infos[slot]["episode"]["l"] == ticks[slot]
            own = observations[slot, spec.N_MARKET :]
            assert own[spec.OWN_COLUMNS.index(_column("weight"))] == 0.0
            ticks[slot] = 0
            lives += 1
    assert lives > 5


def _column(name: str) -> spec.Column:
    return next(column for column in spec.OWN_COLUMNS if column.name == name)


def test_a_population_that_ends_is_truncated_for_stable_baselines() -> None:
    """Every slot is done, with its last observation, and the next population is there at once."""
    env = VecMonitor(LineageVecEnv(lively_slots(), seed=1, max_cycles=4))
    env.reset()
    for _ in range(4):
        _, _, dones, infos = env.step(np.zeros(12, dtype=np.int64))
    assert dones.all()
    assert all(info["TimeLimit.truncated"] is True and "terminal_observation" in info for info in infos)
    assert env.get_attr("num_envs") == [12] * 12
    assert env.env_is_wrapped(Monitor) == [False] * 12
    env.close()


def test_stable_baselines_trains_on_births_and_deaths() -> None:
    """DQN, unmodified, on a population in which people die and are born; whole lives arrive in its statistics."""
    env = LineageVecEnv(lively_slots(), seed=1)
    model = DQN("MlpPolicy", env, learning_starts=100, buffer_size=2_000, train_freq=8, seed=1, device="cpu")
    model.learn(1_200)
    assert len(model.ep_info_buffer or ()) > 2
    assert env.slots is not None
    assert env.slots.population.next_agent_id > 14
