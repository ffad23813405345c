"""A population as a Stable-Baselines3 `VecEnv`: one policy lives many lives at once (extra `sb3`).

Every slot is bound to a living agent (arena.envs.vector). Stable-Baselines3 expects the first observation of the next
episode in the step that ends one: it gets the newborn's, and the dead agent's last look as `terminal_observation`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from arena import spec
from arena.envs.episodes import Episodes
from arena.envs.population import PopulationConfig, as_config
from arena.envs.vector import NOBODY, Slots, checked_actions, slotted
from arena.errors import ActionError, ConfigError, EnvironmentFault
from arena.market.tape import Tape

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError:
    raise EnvironmentFault("stable-baselines3 is missing; pip install 'lineage-arena[sb3]'") from None


class LineageVecEnv(VecEnv):
    """`arena.seats` x markets slots for Stable-Baselines3; `max_cycles` ticks a population, None = for ever.

    `env_method("action_masks")` gives sb3-contrib's MaskablePPO the legal actions.
    """

    def __init__(
        self,
        config: PopulationConfig | Mapping[str, object] | None = None,
        *,
        seed: int | None = None,
        max_cycles: int | None = None,
        tape: Tape | None = None,
    ) -> None:
        """Check everything; the first population is made by `reset`. A slot never waits: there is a spare seat each."""
        if max_cycles is not None and max_cycles < 1:
            raise ConfigError(f"max_cycles: {max_cycles} is below 1; an episode needs a tick")
        wanted = as_config(config)
        self._config, self._per_market = slotted(wanted, None)
        self._max_cycles, self._tape = max_cycles, tape
        self._episodes = Episodes()
        self._wanted_seed = seed
        self.slots: Slots | None = None
        self._actions: np.ndarray | None = None
        self.render_mode = None
        super().__init__(
            self._per_market * wanted.arena.markets,
            spaces.Box(-spec.CLIP, spec.CLIP, (spec.OBS_DIM,), np.float32),
            spaces.Discrete(spec.N_ACTIONS),
        )

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Let the next `reset` begin with this seed."""
        self._wanted_seed = seed
        return [seed] * self.num_envs

    def reset(self) -> np.ndarray:
        """Begin a new population and return observations [N,D] f32."""
        seed, self._wanted_seed = self._wanted_seed, None
        self.slots = Slots(self._config, self._episodes.next_seed(seed), self._per_market, self._tape)
        self._cycle = 0
        self._life_ticks = np.zeros(self.num_envs, dtype=np.int64)
        self._life_reward = np.zeros(self.num_envs)
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return self._look(self.slots)

    def step_async(self, actions: np.ndarray) -> None:
        """Take the actions [N] of the next step."""
        self._actions = checked_actions(actions, self.num_envs)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Play one tick; returns observations, rewards [N] f32, dones [N] and infos.

        A done info has `terminal_observation`, `TimeLimit.truncated`, and `episode` {r, l}: a whole life.
        """
        if self.slots is None or self._actions is None:
            raise ActionError("step: nobody is there to act: reset first, then step_async")
        slots, arena = self.slots, self.slots.population.arena
        orders = np.zeros(arena.population, dtype=np.int8)
        orders[slots.seat] = self._actions
        self._actions = None
        step = slots.population.step(orders)
        rewards = step.tick.reward[slots.seat]
        self._life_ticks += 1
        self._life_reward += rewards
        was = slots.seat.copy()
        dead, _ = slots.rebind(step)
        self._cycle += 1
        over = self._cycle == self._max_cycles or slots.population.over
        ended = np.arange(self.num_envs) if over else dead
        observations = self._look(slots)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        last = arena.last_look(was[dead]) if len(dead) else observations[:0]
        for slot, row in zip(dead, last, strict=True):
            infos[slot]["terminal_observation"] = row
        for slot in ended:
            infos[slot].setdefault("terminal_observation", observations[slot].copy())
            infos[slot]["TimeLimit.truncated"] = slot not in dead
            infos[slot]["episode"] = {"r": float(self._life_reward[slot]), "l": int(self._life_ticks[slot])}
        dones = np.zeros(self.num_envs, dtype=bool)
        dones[ended] = True
        self._life_ticks[ended] = 0
        self._life_reward[ended] = 0.0
        return (self.reset() if over else observations), rewards, dones, infos

    def _look(self, slots: Slots) -> np.ndarray:
        if (slots.seat == NOBODY).any():
            raise ActionError("a slot waits without an agent: a position could not be sold for a whole round")
        seen: np.ndarray = slots.population.observe()[0].take(slots.seat, axis=0)
        return seen

    def action_masks(self) -> np.ndarray:
        """Return the legal actions [N,A] bool of now."""
        if self.slots is None:
            raise ActionError("action_masks: nobody is there: reset first")
        legal: np.ndarray = self.slots.population.arena.mask[self.slots.seat]
        return legal

    def close(self) -> None:
        """Let go of the world."""
        self.slots = None

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute of the environment, once for each slot."""
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of the environment; the slots share one world."""
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method; `action_masks` returns each slot's row, others the same result for each slot."""
        result = getattr(self, method_name)(*args, **kwargs)
        chosen: Iterable[int] = self._get_indices(indices)
        return [result[slot] for slot in chosen] if method_name == "action_masks" else [result for _ in chosen]

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """Return False for each slot: nothing is wrapped around a single one."""
        return [False for _ in self._get_indices(indices)]
