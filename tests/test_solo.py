"""The solo trading environment: its contract, its masks, its seeds, and what it does with wrong input."""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from arena.arrays import fingerprint
from arena.checks import ours
from arena.checks.outcome import CheckFailed
from arena.checks.target import Target
from arena.envs import factories
from arena.envs.registration import TRADER, register
from arena.envs.solo import TraderEnv
from arena.envs.solo_vector import TraderVectorEnv
from arena.envs.trader.columns import BLOCKS, N_ROWS
from arena.envs.trader.config import PRESETS, trader_config, warmup_bars
from arena.errors import ActionError, ConfigError, DataError
from arena.spec import ADD_TO_POSITION, BUY_LARGE, BUY_MEDIUM, BUY_SMALL, HOLD, SELL_ALL, SELL_PARTIAL
from tests.traders import BRIEF, opened, tape_of

TAPE = tape_of(400)


def test_gymnasium_makes_it_by_name() -> None:
    """Registered once by importing arena.envs, with a batched form; doing it again changes nothing."""
    register()
    env = gymnasium.make(TRADER, config=BRIEF)
    observation, _ = env.reset(seed=1)
    shapes = {name: block.shape for name, block in observation.items()}
    assert shapes == {
        "technical": (24, 23), "sl_probs": (3,), "position": (5,), "portfolio": (8,), "regime": (10,),
    }  # fmt: skip
    assert all(block.dtype == np.float32 for block in observation.values())
    assert isinstance(gymnasium.make(f"arena.envs:{TRADER}").unwrapped, TraderEnv)
    assert isinstance(gymnasium.make_vec(TRADER, num_envs=3, config=BRIEF), TraderVectorEnv)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_gymnasiums_checker_has_nothing_to_say(preset: str) -> None:
    """Warnings are errors; the test command makes them so, and this makes sure."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(TRADER, config=preset, max_steps=20, render_mode="ansi").unwrapped)


def test_stable_baselines_checker_only_wants_it_flat() -> None:
    """It recommends flattening the (24,23) block, which its own extractor does."""
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*unconventional shape.*")
        checker.check_env(TraderEnv(BRIEF))


@pytest.mark.parametrize("mode", ["zscore", "minmax", "robust"])
@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_observation_lies_in_its_space(mode: str, preset: str) -> None:
    """Also with positions ten times as large, through ruin."""
    loud = {"position_scale": 10.0, "body": {"max_weight": 1.0, "fee_bps": 100.0}, "normalisation": mode}
    env = TraderEnv(BRIEF | PRESETS[preset] | loud | {"max_steps": 250})
    observation, info = env.reset(seed=3)
    draw, over = np.random.default_rng(0), False
    while not over:
        assert env.observation_space.contains(observation)
        action = int(draw.choice(np.flatnonzero(info["action_mask"])))
        observation, _, terminated, truncated, info = env.step(action)
        over = terminated or truncated
    assert env.observation_space.contains(observation)


def test_every_action_does_what_it_says() -> None:
    """Sizes of .025, .06, .09 and .03 of equity; half, and all."""
    for action, size in ((BUY_SMALL, 0.025), (BUY_MEDIUM, 0.06), (BUY_LARGE, 0.09)):
        env = opened()
        info = env.step(action)[4]
        assert info["fee"] == pytest.approx(size * 10_000.0 * 2e-4)
        assert env.action_masks().tolist() == [True, False, False, False, True, True, True]
    assert env.desk is not None
    shares = float(env.desk.bodies.shares[0])
    equity = float(env.desk.bodies.equity[0])
    assert env.step(ADD_TO_POSITION)[4]["fee"] == pytest.approx(0.03 * equity * 2e-4)
    more = float(env.desk.bodies.shares[0])
    assert more > shares
    env.step(SELL_PARTIAL)
    assert float(env.desk.bodies.shares[0]) == pytest.approx(more / 2.0)
    env.step(SELL_ALL)
    assert float(env.desk.bodies.shares[0]) == 0.0
    assert env.action_masks().tolist() == [True, True, True, True, False, False, False]


def test_a_masked_action_is_a_hold_that_is_counted() -> None:
    """The same bytes as HOLD, but `invalid` says so."""
    one, other = opened(), opened()
    seen, _, _, _, info = one.step(SELL_ALL)
    held, _, _, _, plain = other.step(HOLD)
    assert info["invalid"] and not plain["invalid"]
    assert fingerprint(seen) == fingerprint(held)


def test_own_orders_move_the_price() -> None:
    """The auction clears above what it would have without the buy."""
    assert opened().step(BUY_LARGE)[4]["price"] > opened().step(HOLD)[4]["price"]


def test_the_same_seed_is_the_same_episode_and_none_goes_on() -> None:
    """Seeds give episodes; None continues the sequence that a seed began."""

    def history(env: TraderEnv, seed: int | None) -> str:
        observation, _ = env.reset(seed=seed)
        return fingerprint(observation) + fingerprint(env.step(BUY_LARGE)[0])

    env = TraderEnv(BRIEF)
    first = [history(env, 5), history(env, None), history(env, None)]
    assert len(set(first)) == 3
    assert [history(env, 5), history(env, None), history(env, None)] == first
    assert history(TraderEnv(BRIEF), 6) not in first


def test_an_episode_ends_by_time_or_by_ruin() -> None:
    """Truncated after max_steps; terminated under the ruin line; then nobody may step."""
    env = opened(max_steps=5)
    ends = [env.step(HOLD)[2:4] for _ in range(5)]
    assert ends == [(False, False)] * 4 + [(False, True)]
    with pytest.raises(ActionError, match="over; reset first"):
        env.step(HOLD)
    env = opened(ruin_fraction=1.0, max_steps=50)
    assert env.step(BUY_LARGE)[2] or env.step(SELL_ALL)[2]
    env.reset()
    env.step(HOLD)


@pytest.mark.parametrize("action", [7, -1, 2.0, "BUY", None, [1], np.array([1, 2]), True, np.float32(1)])
def test_wrong_actions_are_refused_and_change_nothing(action: Any) -> None:
    """The message says what is allowed; the episode goes on as if nothing had been said."""
    env, other = opened(), opened()
    with pytest.raises(ActionError, match=r"0\.\.6"):
        env.step(action)
    assert fingerprint(env.step(BUY_LARGE)[0]) == fingerprint(other.step(BUY_LARGE)[0])


def test_nothing_works_before_reset() -> None:
    """One sentence each, with the cure."""
    env = TraderEnv(BRIEF, render_mode="ansi")
    for use in (lambda: env.step(0), env.action_masks, env.render, env.books):
        with pytest.raises(ActionError, match="reset first"):
            use()
    env.close()
    env.close()
    batch = TraderVectorEnv(2, BRIEF)
    with pytest.raises(ActionError, match="reset first"):
        batch.step(np.zeros(2, dtype=int))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"window": 8}, "window"), ({"window": 1.5}, "window"), ({"normalisation": "z"}, "normalisation"),
        ({"features": 23}, "features"), ({"max_steps": 0}, "max_steps"), ({"risk": {"stop_loss": 2.0}}, "stop_loss"),
        ({"market": {"drift": -1.0}}, "drift"), ({"market": {"source": "tape"}}, "needs recorded bars"),
        ("hard", "preset"),
        ({"risk": {"var_confidence": 1.0}}, "var_confidence"), ({"position_scale": 0.0}, "position_scale"),
    ],
)  # fmt: skip
def test_wrong_configurations_are_refused(given: Any, named: str) -> None:
    """The field is named."""
    with pytest.raises(ConfigError, match=named):
        TraderEnv(given)


def test_other_wrong_arguments_are_refused() -> None:
    """Seeds, sizes and render modes."""
    wrong: Any
    for wrong, named in (({"config": 5}, "config"), ({"tape": "bars.csv"}, "read_tape"), ({"signals": 0.5}, "signals")):
        with pytest.raises(ConfigError, match=named):
            TraderEnv(**wrong)
    with pytest.raises(ConfigError, match="render_mode"):
        TraderEnv(render_mode="human")
    with pytest.raises(ConfigError, match="seed -1"):
        TraderEnv(BRIEF).reset(seed=-1)
    with pytest.raises(ConfigError, match="num_envs"):
        TraderVectorEnv(0)
    with pytest.raises(ConfigError, match="num_envs"):
        factories.make_sequential_env(0)
    for seed in (-1, "one", 1.5):
        with pytest.raises(ConfigError, match="seed"):
            TraderVectorEnv(2, BRIEF).reset(seed=seed)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="2 seeds for 3"):
        TraderVectorEnv(3, BRIEF).reset(seed=[1, 2])
    with pytest.raises(ConfigError, match="sentiment"):
        TraderEnv(BRIEF, sentiment=np.zeros(3))


def test_a_tape_is_played_in_windows() -> None:
    """Fills are at recorded opens; each seed has its own window; the last bar truncates."""
    env = TraderEnv(BRIEF, tape=TAPE)
    starts = set()
    for seed in range(8):
        env.reset(seed=seed)
        assert env.desk is not None
        last = int(np.flatnonzero(TAPE.close == env.desk.sight.close[0])[0])
        starts.add(last)
        assert warmup_bars(env.config) - 1 <= last < len(TAPE.times) - 60
        for step in range(1, 61):
            _, _, terminated, truncated, info = env.step(BUY_SMALL if step % 2 else SELL_ALL)
            assert info["price"] == TAPE.open[last + step]
            assert truncated == (step == 60) and not terminated
    assert len(starts) > 4


def test_a_tape_too_short_is_refused_with_the_cure() -> None:
    """One bar after the warm-up is enough, none is not."""
    need = warmup_bars(trader_config(BRIEF))
    with pytest.raises(DataError, match=f"{need} bars are too few, the warm-up takes {need}"):
        TraderEnv(BRIEF, tape=tape_of(need))
    env = TraderEnv(BRIEF, tape=tape_of(need + 1))
    env.reset(seed=1)
    assert env.step(HOLD)[3]
    with pytest.raises(DataError, match="sentiment"):
        TraderEnv(BRIEF, tape=TAPE, sentiment=np.zeros(3))
    mood = TraderEnv(BRIEF, tape=TAPE, sentiment=np.linspace(-1.0, 1.0, 400))
    mood.reset(seed=1)
    assert mood.desk is not None and -1.0 <= float(mood.desk.sight.raw[20, 0]) <= 1.0


def test_rows_of_a_tape_are_those_that_streaming_gives() -> None:
    """Computed once for all, each row equals what a tape cut off at that bar gives."""
    whole = TraderEnv(BRIEF, tape=TAPE)
    whole.reset(seed=2)
    assert whole.desk is not None
    last = int(np.flatnonzero(TAPE.close == whole.desk.sight.close[0])[0])
    columns = {name: getattr(TAPE, name)[: last + 2] for name in ("open", "high", "low", "close", "volume")}
    cut = TraderEnv(BRIEF | {"max_steps": 1}, tape=dataclasses.replace(TAPE, times=TAPE.times[: last + 2], **columns))
    for seed in range(200):
        observation, _ = cut.reset(seed=seed)
        assert cut.desk is not None
        if cut.desk.sight.close[0] == TAPE.close[last]:
            break
    assert np.array_equal(observation["technical"], whole.desk.observe()["technical"][0])
    assert np.array_equal(observation["regime"], whole.desk.observe()["regime"][0])


def _next_noise(env: TraderEnv) -> float:
    """Return what nobody may know yet: the next bar's shock, or its recorded open."""
    assert env.desk is not None
    market = env.desk.market
    if market._tape is not None:
        return float(np.log(market._tape.open[min(market._first_bar[0] + market._bar, 399)])) - 4.0
    return float(market._drawn().noise[market._bar, 0, 0, 0]) * 50.0


class LeakyFeature(TraderEnv):
    """Sees one bar too far."""

    def step(self, action: Any) -> Any:
        """Put the next bar into a feature."""
        result = super().step(action)
        result[0]["technical"][-1, 3] = np.clip(_next_noise(self), -5.0, 5.0)
        return result


class LeakyReward(TraderEnv):
    """Is paid for the next bar."""

    def step(self, action: Any) -> Any:
        """Add the next bar to the reward."""
        seen, reward, *rest = super().step(action)
        return seen, reward + _next_noise(self), *rest


class LeakyFill(TraderEnv):
    """Is filled at a price that knows the next bar."""

    def step(self, action: Any) -> Any:
        """Let the auction's price depend on the bar after."""
        assert self.desk is not None
        market, clear = self.desk.market, type(self.desk.market).clear

        def knowing(*given: Any) -> Any:
            market._bar += 1
            shift = np.exp(1e-3 * _next_noise(self))
            market._bar -= 1
            clearing = clear(market, *given)
            return clearing._replace(price=clearing.price * shift)

        market.clear = knowing  # type: ignore[assignment, method-assign]
        return super().step(action)


def _plain(**given: Any) -> TraderEnv:
    return TraderEnv(BRIEF, **given)


def on_a_tape(kind: type[TraderEnv] = TraderEnv, **given: Any) -> TraderEnv:
    """Return an environment on recorded bars."""
    return kind(BRIEF, tape=TAPE, **given)


MAKERS: dict[str, Callable[..., TraderEnv]] = {
    "plain": _plain,
    "tape": on_a_tape,
    "feature": lambda **given: LeakyFeature(BRIEF, **given),
    "reward": lambda **given: LeakyReward(BRIEF, **given),
    "fill": lambda **given: LeakyFill(BRIEF, **given),
    "tape feature": lambda **given: on_a_tape(LeakyFeature, **given),
    "tape reward": lambda **given: on_a_tape(LeakyReward, **given),
    "tape fill": lambda **given: on_a_tape(LeakyFill, **given),
}


def made(kind: str, **given: Any) -> TraderEnv:
    """Return an environment of MAKERS, for checks that make their own."""
    return MAKERS[kind](**given)


@pytest.mark.parametrize("kind", list(MAKERS))
def test_a_leak_of_one_bar_is_caught_wherever_it_is(kind: str) -> None:
    """In a feature, in a fill and in the reward; the honest ones pass."""
    target = Target("tests.test_solo:made", {"kind": kind})
    if kind in ("plain", "tape"):
        assert "nothing earlier moved" in ours.look_ahead(target, 3, 30)
    else:
        with pytest.raises(CheckFailed, match="the world was changed after step"):
            ours.look_ahead(target, 3, 30)


def test_a_whole_episode_is_the_same_in_three_processes() -> None:
    """Two hash seeds; also nothing depends on actions not yet chosen, or on the episode's length."""
    target = Target(TRADER, {"config": BRIEF})
    assert "three processes" in ours.processes(target, 4, 60)
    ours.determinism(target, 4, 60)
    ours.prefix(target, 4, 60)
    ours.conservation(target, 4, 60)


@pytest.mark.parametrize(
    "target",
    [
        Target("arena.envs.solo_vector:TraderVectorEnv", {"num_envs": 3, "config": BRIEF}),
        Target(
            "arena.envs.solo_symbols:SymbolsVectorEnv", {"symbols": {"a": {}, "b": {"drift": 0.0}}, "config": BRIEF}
        ),
    ],
    ids=["batched", "symbols"],
)
def test_the_batched_forms_keep_the_same_promises(target: Target) -> None:
    """Autoreset, determinism, no later action and no later bar felt, balanced books."""
    ours.contract(target, 3, 70)
    ours.determinism(target, 3, 70)
    ours.prefix(target, 3, 40)
    assert "nothing earlier moved" in ours.look_ahead(target, 3, 30)
    ours.conservation(target, 3, 70)


def test_an_episode_longer_than_a_block_goes_on() -> None:
    """Bars are drawn 256 at a time; the first of a longer episode are those of a shorter one."""
    long, short = opened(max_steps=600), opened(max_steps=300)
    for _ in range(300):
        assert long.step(HOLD)[4]["price"] == short.step(HOLD)[4]["price"]
    for _ in range(300):
        truncated = long.step(HOLD)[3]
    assert truncated


def _close(one: Any, other: Any) -> bool:
    return all(np.allclose(one[block], other[block], atol=1e-6) for block in BLOCKS)


def test_the_batched_environment_plays_the_same_episodes() -> None:
    """Through an autoreset and into the second episode, observation by observation."""
    batch = TraderVectorEnv(3, BRIEF)
    alone = factories.make_sequential_env(3, config=BRIEF)
    draw = np.random.default_rng(0)
    assert _close(batch.reset(seed=7)[0], alone.reset(seed=7)[0])
    for step in range(100):
        actions = draw.integers(0, 7, 3)
        here, there = batch.step(actions), alone.step(actions)
        assert _close(here[0], there[0])
        np.testing.assert_allclose(here[1], there[1], atol=1e-9)
        assert np.array_equal(here[2], there[2]) and np.array_equal(here[3], there[3])
        assert batch.observation_space.contains(here[0])
        assert here[3].all() == (step == 59)


def test_a_ruined_trader_is_followed_by_a_fresh_one() -> None:
    """Terminated, then reset in the next step with a new endowment; the books stay right."""
    batch = TraderVectorEnv(4, BRIEF | {"ruin_fraction": 0.999, "position_scale": 10.0, "body": {"max_weight": 1.0}})
    batch.reset(seed=1)
    ends, gone = 0, np.zeros(4, dtype=bool)
    for _ in range(59):
        observation, rewards, terminations, _, infos = batch.step(np.full(4, BUY_LARGE))
        assert (infos["equity"][gone] == 10_000.0).all() and (rewards[gone] == 0.0).all()
        assert (observation["position"][gone] == 0.0).all() and not terminations[gone].any()
        assert all(have == pytest.approx(should) for have, should in batch.books().values())
        gone, ends = terminations, ends + int(terminations.sum())
    assert ends > 3


def test_factories_differ_only_in_how_they_run() -> None:
    """Batched, one after another, and in processes: the same numbers."""
    made_ones = [
        factories.make_vec_trading_env(2, config=BRIEF), factories.make_sequential_env(2, config=BRIEF),
        factories.make_parallel_env(2, config=BRIEF),
    ]  # fmt: skip
    try:
        seen = [env.reset(seed=2)[0] for env in made_ones]
        assert _close(seen[0], seen[1]) and _close(seen[0], seen[2])
        steps = [env.step(np.array([BUY_LARGE, HOLD])) for env in made_ones]
        for step in steps[1:]:
            assert _close(steps[0][0], step[0])
            np.testing.assert_allclose(steps[0][1], step[1], atol=1e-9)
    finally:
        for env in made_ones:
            env.close()
    book = factories.make_multi_symbol_vec_env({"calm": {"drift": 0.0}, "easy": {"drift": 0.0028}}, BRIEF)
    observation, _ = book.reset(seed=1)
    assert observation["technical"].shape == (2, N_ROWS, 23)
    assert book.symbols == ("calm", "easy")


def test_a_line_of_text_shows_the_account() -> None:
    """render_mode "ansi"; without one nothing is drawn."""
    env = TraderEnv(BRIEF, render_mode="ansi")
    env.reset(seed=1)
    env.step(BUY_LARGE)
    line = env.render()
    assert line is not None and "59 bars left" in line and "invested 9.0%" in line.replace("8.9%", "9.0%")
    assert opened().render() is None
