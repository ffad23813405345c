"""What the solo examples share: a flat observation, two baselines, and scores on markets that nobody trained on."""

import argparse
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

import arena.envs  # noqa: F401 - registers lineage/Trader-v0
from arena.spec import ADD_TO_POSITION, BUY_LARGE, HOLD
from lineage.contest.statistics import Interval, paired_difference

EASY: dict[str, Any] = {
    "market": {"drift": 0.0028},
    "rewards": {
        "profit_and_loss": 10.0, "transaction_cost": 0.0, "time_efficiency": 0.0, "sharpe": 0.0, "drawdown": 0.0,
        "position_sizing": 0.0,
    },
}  # fmt: skip
"""The easy market, paid for profit alone: a learner of the seven-part default learns to close early instead."""
BARS = 500
"""Bars in an episode."""
FIRST_TEST_SEED = 10_000

Policy = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(observations [N,38], masks [N,7] bool) -> actions [N]."""


def flat(observation: dict[str, np.ndarray]) -> np.ndarray:
    """Return [...,38] f32: the newest row of `technical`, the position and the regime, out of 578 numbers."""
    newest = observation["technical"][..., -1, :]
    return np.concatenate((newest, observation["position"], observation["regime"]), axis=-1)


class Newest(gymnasium.ObservationWrapper[np.ndarray, Any, Any]):
    """A trader's environment that shows what `flat` keeps."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        """Wrap a trader's environment."""
        super().__init__(env)
        self.observation_space = spaces.Box(-5.0, 5.0, (23 + 5 + 10,), np.float32)

    def observation(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """Return [38] f32."""
        return flat(observation)

    def action_masks(self) -> np.ndarray:
        """Return [7] bool; sb3-contrib asks for it by this name."""
        masks: np.ndarray = self.env.unwrapped.action_masks()  # type: ignore[attr-defined]
        return masks


def read_options(description: str | None, arguments: list[str] | None) -> argparse.Namespace:
    """Return steps, episodes and seed from the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--episodes", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def make_env(bars: int = BARS) -> Newest:
    """Return a trader on the easy market."""
    return Newest(gymnasium.make("lineage/Trader-v0", config=EASY, max_steps=bars))


def scores(policy: Policy, episodes: int, bars: int = BARS) -> np.ndarray:
    """Return [episodes] log growth of the account, each on a market of its own that no training used."""
    markets = gymnasium.make_vec("lineage/Trader-v0", num_envs=episodes, config=EASY, max_steps=bars)
    observation, infos = markets.reset(seed=FIRST_TEST_SEED)
    for _ in range(bars):
        observation, _, ruined, _, infos = markets.step(policy(flat(observation), infos["action_mask"] > 0))
        if ruined.any():
            raise SystemExit("an account was ruined: its growth would be that of its successor")
    growth: np.ndarray = np.log(infos["equity"] / 10_000.0)
    return growth


def hold(observations: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Buy as much as is allowed, and keep it."""
    return np.where(masks[:, BUY_LARGE], BUY_LARGE, np.where(masks[:, ADD_TO_POSITION], ADD_TO_POSITION, HOLD))


def random_policy(seed: int = 0) -> Policy:
    """Return a policy that takes any legal action."""
    draw = np.random.default_rng(seed)
    return lambda observations, masks: (draw.random(masks.shape) * masks).argmax(axis=1)


def report(name: str, policy: Policy, episodes: int) -> dict[str, Interval]:
    """Print a policy's mean score and how it compares on the same markets; return the differences."""
    own = scores(policy, episodes)
    print(f"{name}: log growth {own.mean():+.4f} over {BARS} bars, mean of {episodes} unseen markets")
    found = {}
    for rival, other in (("random", random_policy()), ("hold", hold)):
        found[rival] = paired_difference(own, scores(other, episodes))
        low, high = found[rival].low, found[rival].high
        interval = "no interval: too few markets" if low is None else f"95 % interval {low:+.4f} to {high:+.4f}"
        print(f"  better than {rival} by {found[rival].estimate:+.4f}, {interval}")
    return found
