"""The PettingZoo environment: births are new names, deaths terminations, and wrong actions leave the world unharmed."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pettingzoo
import pytest
import supersuit
from hypothesis import given, settings
from hypothesis import strategies as st
from pettingzoo.test import parallel_api_test
from pettingzoo.utils.conversions import aec_to_parallel

from arena import spec
from arena.arrays import fingerprint
from arena.checks import contract
from arena.checks.target import LIVELY
from arena.envs import lineage_arena_v0, parallel
from arena.envs.parallel import LineageArena
from arena.errors import ActionError, ConfigError
from arena.market.tape import read_tape
from tests.commands import tape_text
from tests.crowds import QUIET, lively_arena, lives


def bytes_of(env: LineageArena) -> str:
    """Return a fingerprint of everything that a step could change."""
    population = env.population
    assert population is not None
    arena = population.arena
    clock = {"tick": np.array([population.tick, population.round, population.next_agent_id, len(env.agents)])}
    return fingerprint(arena.state_arrays() | {"obs": arena.obs, "mask": arena.mask} | clock)


def test_births_and_deaths_keep_the_contract() -> None:
    """Five dictionaries, new names, no resurrection, builtin bools: watched with many births and deaths."""
    seen = contract.parallel(lively_arena(), 1, 200)
    born, died = (int(number) for number in re.findall(r"(\d+) (?:births|departures)", seen))
    assert born > 10
    assert died > 10


def test_the_newborn_and_the_dead_are_announced_once() -> None:
    """A birth note names id and parent; a death is a termination with a cause and a last look; rewards are in parts."""
    env = lively_arena()
    heirs = dead = 0
    for before, (observations, rewards, terminations, truncations, infos) in lives(env, 1):
        for name in set(observations) - set(before):
            assert infos[name]["agent_id"] == int(name[6:])
            assert rewards[name] == 0.0
            heirs += infos[name]["parent_id"] is not None
        for name in before:
            assert "agent_id" not in infos[name]
            total = float(np.clip(infos[name]["reward_parts"].sum(), -5, 5))
            assert rewards[name] == pytest.approx(total, abs=1e-5)
            assert infos[name]["reward_parts"].shape == (len(env.reward_parts),)
            if terminations[name]:
                dead += 1
                assert infos[name]["cause"] in spec.DEATH_CAUSES
                assert not truncations[name]
                assert observations[name].any()
    assert heirs > 5
    assert dead > 20


def test_everybody_is_truncated_at_the_end() -> None:
    """After max_cycles nobody is left, and nobody was born into the last tick."""
    env = lively_arena(max_cycles=40)
    played = list(lives(env, 2))
    assert len(played) == 40
    before, (observations, _, terminations, truncations, _) = played[-1]
    assert env.agents == []
    assert set(observations) == set(before)
    assert all(truncations[name] != terminations[name] for name in before)


def test_rows_of_one_array_that_may_be_kept() -> None:
    """Observations and masks of a step share one buffer, and the next step does not change them."""
    env = lively_arena()
    observations, infos = env.reset(seed=1)
    rows = list(observations.values())
    assert all(row.base is rows[0].base and row.dtype == np.float32 for row in rows)
    kept = [row.copy() for row in rows]
    env.step(dict.fromkeys(env.agents, spec.BUY_SMALL))
    assert all(np.array_equal(row, copy) for row, copy in zip(rows, kept, strict=True))
    assert all(set(np.unique(info["action_mask"])) <= {0, 1} for info in infos.values())


def test_the_mask_moves_into_the_observation_on_request() -> None:
    """The same world: observation and mask side by side instead of the mask in the info."""
    beside, inside = lively_arena(), lively_arena(action_mask="obs")
    seen, infos = beside.reset(seed=4)
    both, none = inside.reset(seed=4)
    for name in beside.agents:
        assert inside.observation_space(name).contains(both[name])
        assert np.array_equal(both[name]["observation"], seen[name])
        assert np.array_equal(both[name]["action_mask"], infos[name]["action_mask"])
        assert "action_mask" not in none[name]


def test_one_space_object_for_ever() -> None:
    """The same object for every agent and call, before and after births."""
    env = lively_arena()
    first = env.observation_space("agent_1"), env.action_space("agent_1")
    for _ in lives(env, 1, steps=30):
        assert all(env.observation_space(name) is first[0] for name in env.agents)
        assert all(env.action_space(name) is first[1] for name in env.agents)


def test_possible_agents_bound_the_names() -> None:
    """With a limit nobody is born beyond it; without one there is no possible_agents, and PettingZoo only warns."""
    few = lively_arena(max_births=5)
    for _ in lives(few, 1):
        assert set(few.agents) <= set(few.possible_agents)
    assert few.population is not None
    assert few.population.next_agent_id == len(few.possible_agents) + 1
    free = lively_arena(max_births=None, max_cycles=60)
    assert not hasattr(free, "possible_agents")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        parallel_api_test(free, num_cycles=40)
    assert {str(one.message).split(".")[0] for one in caught} <= {
        "This environment does not have possible_agents defined"
    }


def test_a_seed_is_an_episode_and_none_continues() -> None:
    """The same seed repeats; None goes on with the sequence that the last seed began."""
    env = lively_arena()

    def first(seed: int | None) -> bytes:
        observations, _ = env.reset(seed=seed)
        return b"".join(row.tobytes() for row in observations.values())

    sequence = [first(5), first(None), first(None)]
    assert [first(5), first(None), first(None)] == sequence
    assert len(set(sequence)) == 3
    assert env.reset(seed=5, options={"anything": 1})[0].keys() == env.reset(seed=5)[0].keys()


def test_state_is_what_all_seats_see() -> None:
    """[P*D] f32 within its space; a copy."""
    env = lively_arena()
    observations, _ = env.reset(seed=1)
    state = env.state()
    assert env.state_space.contains(state)
    assert np.array_equal(state[: spec.OBS_DIM], observations["agent_1"])
    env.step(dict.fromkeys(env.agents, spec.HOLD))
    assert not np.array_equal(state, env.state())


def test_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    """human prints, ansi returns the text, rgb_array a picture that changes; without a mode there is nothing."""
    text = lively_arena(render_mode="ansi")
    text.reset(seed=1)
    shown = text.render()
    assert isinstance(shown, str)
    assert "agent_1 " in shown
    picture = lively_arena(render_mode="rgb_array")
    picture.reset(seed=1)
    before = picture.render()
    picture.step(dict.fromkeys(picture.agents, spec.BUY_LARGE))
    after = picture.render()
    assert isinstance(before, np.ndarray)
    assert isinstance(after, np.ndarray)
    assert before.shape == after.shape
    assert before.dtype == np.uint8
    assert not np.array_equal(before, after)
    human = lively_arena(render_mode="human")
    human.reset(seed=1)
    human.step(dict.fromkeys(human.agents, spec.HOLD))
    assert "tick 1" in capsys.readouterr().out
    silent = lively_arena()
    silent.reset(seed=1)
    assert silent.render() is None
    silent.close()
    silent.close()


_ODD = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=3), st.none(), st.booleans(),
    st.lists(st.integers(0, 6), max_size=3), st.just(np.array([1])), st.just(np.array([], dtype=np.int64)),
    st.just(object()), st.just({1: 2}),
)  # fmt: skip
WORLD = lively_arena()
WORLD.reset(seed=1)


@settings(max_examples=60, deadline=None)
@given(wrong=_ODD, place=st.integers(0, 8), kind=st.sampled_from(["value", "missing", "foreign", "whole"]))
def test_a_refused_step_leaves_every_byte(wrong: Any, place: int, kind: str) -> None:
    """Out of range, of a wrong type, missing, for the dead or unknown: ActionError with a cure, and nothing moved."""
    env = WORLD
    actions: Any = dict.fromkeys(env.agents, spec.HOLD)
    name = env.agents[place % len(env.agents)]
    if kind == "value":
        if parallel._is_action(wrong) or isinstance(wrong, bool):
            return
        actions[name] = wrong
    elif kind == "missing":
        del actions[name]
    elif kind == "foreign":
        actions["agent_0" if isinstance(wrong, float | list | dict | np.ndarray) else str(wrong)] = spec.HOLD
    else:
        actions = wrong
    before = bytes_of(env)
    with pytest.raises(ActionError, match=r"^step: .*"):
        env.step(actions)
    assert bytes_of(env) == before


def test_the_dead_cannot_act() -> None:
    """An action for somebody who died is refused by name."""
    env = lively_arena()
    for before, (_, _, terminations, _, _) in lives(env, 1):
        gone = [name for name in before if terminations[name]]
        if gone:
            state = bytes_of(env)
            with pytest.raises(ActionError, match=f"'{gone[0]}' is not alive"):
                env.step(dict.fromkeys([*env.agents, gone[0]], spec.HOLD))
            assert bytes_of(env) == state
            return
    pytest.fail("nobody died")


def test_integers_of_every_kind_are_actions() -> None:
    """Python's, numpy's signed and unsigned, alone and mixed."""
    env = lively_arena()
    env.reset(seed=1)
    kinds: list[Any] = [1, np.int8(1), np.uint64(1), np.array(1), np.int64(1)]
    env.step({name: kinds[place % len(kinds)] for place, name in enumerate(env.agents)})


def test_out_of_turn() -> None:
    """A step before reset, after the end or after close is refused with the cure; so are reset's wrong seeds."""
    env = lively_arena(max_cycles=1)
    with pytest.raises(ActionError, match="reset first"):
        env.step({})
    with pytest.raises(ActionError, match="reset first"):
        env.state()
    env.reset(seed=1)
    env.step(dict.fromkeys(env.agents, spec.HOLD))
    with pytest.raises(ActionError, match="reset to begin another"):
        env.step({})
    env.close()
    with pytest.raises(ActionError, match="reset first"):
        env.step({})
    for seed in (-1, 2**63, 1.5, "x"):
        with pytest.raises(ConfigError, match=r"0\.\.2\^63-1"):
            env.reset(seed=seed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given_", "word"),
    [
        ({"max_cycles": 0}, "max_cycles"), ({"action_mask": "nowhere"}, "action_mask"),
        ({"render_mode": "video"}, "render_mode"), ({"config": {"arena": {"chairs": 1}}}, "chairs"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(given_: dict[str, Any], word: str) -> None:
    """Before anything is made."""
    with pytest.raises(ConfigError, match=word):
        parallel.parallel_env(**given_)


def test_the_name_and_the_registry() -> None:
    """The module is called what metadata say, and PettingZoo's own `make` finds both interfaces where it has one."""
    assert LineageArena.metadata["name"] == lineage_arena_v0.__name__.rpartition(".")[2]
    if not hasattr(pettingzoo, "make"):
        pytest.skip("this pettingzoo has no registry")
    env = pettingzoo.make("parallel", lineage_arena_v0.ID, max_cycles=3, config=LIVELY)
    assert isinstance(env, LineageArena)
    turns = pettingzoo.make("aec", lineage_arena_v0.ID, max_cycles=3, config=LIVELY)
    turns.reset(seed=1)
    assert turns.agents == [f"agent_{number}" for number in range(1, 10)]


def test_there_and_back_through_turns() -> None:
    """parallel -> AEC -> parallel plays the same episode without births."""
    straight = LineageArena(QUIET, max_cycles=20)
    round_trip = aec_to_parallel(lineage_arena_v0.raw_env(config=QUIET, max_cycles=20))
    straight.reset(seed=3)
    round_trip.reset(seed=3)
    while straight.agents:
        actions = {name: int(name[6:]) % 4 for name in straight.agents}
        here, there = straight.step(actions), round_trip.step(actions)
        assert here[1] == {name: pytest.approx(value) for name, value in there[1].items()}
        assert all(np.array_equal(here[0][name], there[0][name]) for name in here[0])
        assert straight.agents == round_trip.agents


def test_supersuit_wraps_a_market_without_births() -> None:
    """Frame stacking, reward clipping and the vector conversion of SuperSuit, one after another, through an end."""
    env = LineageArena(QUIET, max_cycles=15, max_births=0)
    env = supersuit.clip_reward_v0(supersuit.frame_stack_v1(env, 3), -1, 1)
    slots = supersuit.pettingzoo_env_to_vec_env_v1(env)
    assert slots.num_envs == 8
    observations, _ = slots.reset(seed=1)
    assert np.shape(observations) == (8, spec.OBS_DIM * 3)
    for _ in range(20):
        observations, rewards, *_ = slots.step(np.full(8, spec.BUY_SMALL))
        assert np.abs(rewards).max() <= 1.0
    slots.close()


def test_supersuit_fills_in_for_the_dead() -> None:
    """Black death keeps a row for everybody who has died: what works with deaths, as long as nobody is born."""
    deadly = QUIET | {
        "scars": {"fatal_points": 1, "drawdown_step": 0.02}, "body": {"fee_bps": 900, "living_cost_bps": 0},
    }  # fmt: skip
    env = supersuit.black_death_v3(LineageArena(deadly, max_cycles=500, max_births=0))
    env.reset(seed=1)
    roles = {name: spec.HOLD if int(name[6:]) % 2 else spec.BUY_LARGE for name in env.possible_agents}
    for _ in range(40):
        observations, *_ = env.step(roles)
        assert len(observations) == 8
    assert [name for name, row in observations.items() if row.any()] == [name for name in roles if int(name[6:]) % 2]


def test_a_tape_ends_the_episode(tmp_path: Path) -> None:
    """Everybody is truncated when no whole round of recorded bars is left, and nobody is born into the last tick."""
    file = tmp_path / "prices.csv"
    file.write_text(tape_text(128 + 23))
    config = QUIET | {"market": {"source": "tape", "warmup_bars": 128}}
    env = LineageArena(config, tape=read_tape(file))
    played = list(lives(env, 1))
    assert len(played) == 20, "four whole rounds of five ticks"
    assert all(played[-1][1][3].values())
    assert not env.agents
    with pytest.raises(ConfigError, match="tape"):
        LineageArena(config).reset(seed=1)
