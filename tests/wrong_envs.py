"""Environments that break one rule each, so that the checks can be seen to fail. Made by MODULE:NAME."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from arena.checks.target import LIVELY
from arena.envs.parallel import LineageArena


class Planted(LineageArena):
    """The parallel environment on the lively market, for one thing to be wrong with."""

    def __init__(self, **given: Any) -> None:
        """Make it lively."""
        super().__init__(LIVELY, **{"max_cycles": 120, "max_births": 900, **given})

    def next_noise(self) -> float:
        """Return what moves the next bar: nobody may know it yet."""
        assert self.population is not None
        market = self.population.arena.market
        drawn = market._drawn() if market._bar < market._ticks else None
        return float(drawn.noise[market._bar, 0, 0, -1]) if drawn else 0.0


class RandomLater(Planted):
    """Deterministic in its first step, random from the second on: PettingZoo's own seed test sees the first only."""

    def step(self, actions: Mapping[str, Any]) -> Any:
        """Add what no seed governs."""
        result = super().step(actions)
        if self._cycle >= 2:
            for name in result[1]:
                result[1][name] += id(object()) % 997 + float(np.frombuffer(_entropy(), dtype=np.uint16)[0])
        return result


def _entropy() -> bytes:
    import os

    return os.urandom(2)


class LeakInFeature(Planted):
    """A column of the observation is the next bar's move."""

    def step(self, actions: Mapping[str, Any]) -> Any:
        """Put it into the first column."""
        result = super().step(actions)
        for row in result[0].values():
            row[0] = np.clip(self.next_noise() * 50, -5, 5)
        return result


class LeakInReward(Planted):
    """The reward has a part of the next bar in it."""

    def step(self, actions: Mapping[str, Any]) -> Any:
        """Add it."""
        result = super().step(actions)
        for name in result[1]:
            result[1][name] += self.next_noise()
        return result


class LeakInFill(Planted):
    """Orders fill at a price that knows where the bar after this one goes."""

    def step(self, actions: Mapping[str, Any]) -> Any:
        """Move the reservation price by the next bar's noise while the auction clears."""
        assert self.population is not None
        market = self.population.arena.market
        reserve = market.reserve

        def knowing() -> np.ndarray:
            price = reserve()
            following = market._bar + 1
            ahead = market._drawn().noise[following, 0, 0, -1] if following < market._ticks else 0.0
            return price + ahead

        market.reserve = knowing  # type: ignore[method-assign]
        try:
            return super().step(actions)
        finally:
            market.reserve = reserve  # type: ignore[method-assign]


class WholeEpisodeScale(Planted):
    """Observations are scaled by how long the episode is going to be."""

    def step(self, actions: Mapping[str, Any]) -> Any:
        """Scale every row."""
        result = super().step(actions)
        for row in result[0].values():
            row *= 1.0 - 1.0 / self._max_cycles
        return result


class Mint(Planted):
    """A cent a step comes from nowhere."""

    def books(self) -> dict[str, tuple[float, float]]:
        """Say so."""
        return {name: (have + 0.01, should) for name, (have, should) in super().books().items()}


class FirstServed(Planted):
    """What an agent earns depends on where its action was listed."""

    def step(self, actions: Mapping[str, Any]) -> Any:
        """Give the first one more."""
        first = next(iter(actions))
        result = super().step(actions)
        result[1][first] += 1.0
        return result


class Favourite(Planted):
    """agent_1 is dearer to the market than others who do the same."""

    def step(self, actions: Mapping[str, Any]) -> Any:
        """Give it more."""
        result = super().step(actions)
        if "agent_1" in result[1]:
            result[1]["agent_1"] += 1.0
        return result


class Forgetful(Planted):
    """The newborn are missing from the rewards."""

    def step(self, actions: Mapping[str, Any]) -> Any:
        """Leave them out."""
        result = super().step(actions)
        for name in set(result[1]) - set(actions):
            del result[1][name]
        return result


class NumpyBools(Planted):
    """Terminations are numpy's booleans."""

    def step(self, actions: Mapping[str, Any]) -> Any:
        """Convert them."""
        result = super().step(actions)
        return result[0], result[1], {name: np.bool_(flag) for name, flag in result[2].items()}, *result[3:]


class Lingering(Planted):
    """The dead stay in env.agents."""

    def step(self, actions: Mapping[str, Any]) -> Any:
        """Bring the dead back into the list."""
        result = super().step({name: actions[name] for name in self._seat_of})
        self.agents = [*self.agents, *(name for name, over in result[2].items() if over and name not in self.agents)]
        return result


class HashOrder(Planted):
    """Something is decided by the order of a set of strings."""

    def step(self, actions: Mapping[str, Any]) -> Any:
        """Reward whoever comes first in it."""
        result = super().step(actions)
        result[1][next(iter(set(actions)))] += 1.0
        return result


class Broken(Planted):
    """It raises in its third step."""

    def step(self, actions: Mapping[str, Any]) -> Any:
        """Fail."""
        if self._cycle >= 2:
            raise RuntimeError("the third step is too much")
        return super().step(actions)


class Cart(gymnasium.Env[np.ndarray, np.int64]):
    """A Gymnasium environment whose reset ignores its seed and returns another type than it says."""

    observation_space = gymnasium.spaces.Box(0.0, 1.0, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Begin anywhere."""
        super().reset(seed=seed)
        return np.frombuffer(_entropy(), dtype=np.uint8) / 255.0, {}

    def step(self, action: Any) -> Any:
        """Go nowhere."""
        return np.zeros(2), 0.0, False, False, {}


def no_environment() -> object:
    """Return something else."""
    return object()
