"""The seven reward components: the weights as given, every component reachable and of the right sign."""

from typing import Any

import numpy as np
import pytest

from arena.envs.rewards7 import COMPONENTS, Bar, components, weights_of
from arena.envs.solo import TraderEnv
from arena.envs.trader.config import RewardWeights, TraderConfig, trader_config
from arena.errors import ConfigError
from arena.spec import BUY_LARGE, HOLD, SELL_ALL, SELL_PARTIAL
from tests.traders import BRIEF, opened

CONFIG = TraderConfig()
DULL = Bar(*(np.array([value]) for value in (1e4, 1e4, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.01, 0.0)))
"""A bar in which nothing happened."""


def part(name: str, **changed: float) -> float:
    """Return one component of a dull bar with something changed."""
    bar = DULL._replace(**{key: np.array([value]) for key, value in changed.items()})
    return float(components(bar, CONFIG)[COMPONENTS.index(name), 0])


def test_weights_are_as_given_and_sum_to_nine_tenths() -> None:
    """Literal, and nothing rescales them."""
    given = [0.40, 0.15, 0.15, 0.05, 0.10, 0.05, 0.0]
    assert weights_of(CONFIG)[:, 0].tolist() == given
    assert sum(given) == pytest.approx(0.90)
    assert COMPONENTS == (
        "profit_and_loss", "transaction_cost", "time_efficiency", "sharpe", "drawdown", "position_sizing", "holding",
    )  # fmt: skip


def test_a_dull_bar_pays_nothing() -> None:
    """All seven are 0."""
    assert np.abs(components(DULL, CONFIG)).max() == 0.0


def test_each_component_has_its_formula_and_sign() -> None:
    """One number changed at a time."""
    assert part("profit_and_loss", equity=1.01e4) == pytest.approx(np.log(1.01) / 0.01)
    assert part("profit_and_loss", equity=0.99e4) == pytest.approx(np.log(0.99) / 0.01)
    assert part("transaction_cost", costs=10.0) == pytest.approx(-0.1)
    assert part("time_efficiency", trade_return=0.02, held_bars=4.0) == pytest.approx(np.tanh(1.0))
    assert part("time_efficiency", trade_return=-0.02, held_bars=4.0) == pytest.approx(-np.tanh(1.0))
    assert part("sharpe", sharpe=1.0) == pytest.approx(np.tanh(1.0 / 3.0))
    assert part("sharpe", sharpe_before=1.0) == pytest.approx(-np.tanh(1.0 / 3.0))
    assert part("drawdown", deeper=0.01) == pytest.approx(-1.0)
    assert part("drawdown", deeper=-0.01) == 0.0
    assert part("position_sizing", weight=0.15) == pytest.approx(-0.5)
    assert part("position_sizing", weight=0.10) == 0.0
    assert part("position_sizing", weight=0.12, rms_20=0.02) == pytest.approx(-1.4)
    assert part("holding", idle=25.0) == -1.0
    assert part("holding", idle=24.0) == 0.0
    assert part("profit_and_loss", equity=1e5) == 5.0


def test_every_component_is_reached_in_play() -> None:
    """Trading now and then, and doing nothing for a while, brings each of them, and the sum is the reward."""
    env = opened(max_steps=400, rewards={"holding": 0.1})
    draw, seen = np.random.default_rng(0), {name: [0.0] for name in COMPONENTS}
    weights = dict(zip(COMPONENTS, weights_of(env.config)[:, 0], strict=True))
    for step in range(400):
        legal = np.flatnonzero(env.action_masks())
        action = int(draw.choice(legal)) if step < 300 else SELL_ALL if step == 300 else HOLD
        _, reward, _, _, info = env.step(action)
        assert reward == pytest.approx(sum(weights[name] * value for name, value in info["reward"].items()), abs=1e-12)
        for name, value in info["reward"].items():
            seen[name].append(value)
    for name in ("profit_and_loss", "time_efficiency", "sharpe"):
        assert min(seen[name]) < 0.0 < max(seen[name]), name
    for name in ("transaction_cost", "drawdown", "position_sizing", "holding"):
        assert min(seen[name]) < 0.0 == max(seen[name]), name


def test_time_efficiency_comes_with_every_sale_and_only_then() -> None:
    """A partial sale counts too."""
    env = opened()
    for action, paid in ((BUY_LARGE, False), (HOLD, False), (SELL_PARTIAL, True), (HOLD, False), (SELL_ALL, True)):
        assert (env.step(action)[4]["reward"]["time_efficiency"] != 0.0) is paid


def test_profit_is_the_growth_of_equity_and_costs_are_counted_once_more() -> None:
    """Over an episode the component adds up to ln(last/first) / unit."""
    env = opened()
    env.reset(seed=4)
    draw, total, costs = np.random.default_rng(1), 0.0, 0.0
    for _ in range(60):
        info = env.step(int(draw.integers(7)))[4]
        total += info["reward"]["profit_and_loss"]
        costs += info["reward"]["transaction_cost"]
    assert total == pytest.approx(np.log(info["equity"] / 10_000.0) / 0.01, abs=1e-9)
    assert costs < 0.0


def test_weights_can_be_changed() -> None:
    """Only what is asked for is paid."""
    only = dict.fromkeys(COMPONENTS, 0.0) | {"drawdown": 2.0}
    env = TraderEnv(BRIEF | {"rewards": only})
    env.reset(seed=1)
    for action in (BUY_LARGE, *[HOLD] * 20):
        _, reward, _, _, info = env.step(action)
        assert reward == 2.0 * info["reward"]["drawdown"]


@pytest.mark.parametrize(
    "rewards",
    [
        {"profit_and_loss": -0.1}, {"profit_and_loss": float("nan")}, {"profit": 1.0}, {"sharpe": "much"},
        {"sharpe": float("inf")}, dict.fromkeys(COMPONENTS, 0.0),
    ],
)  # fmt: skip
def test_wrong_weights_are_refused(rewards: dict[str, Any]) -> None:
    """Named, with the rule, before anything is opened."""
    with pytest.raises(ConfigError, match=r"rewards|profit|sharpe"):
        trader_config({"rewards": rewards})
    assert TraderConfig().rewards == RewardWeights()
