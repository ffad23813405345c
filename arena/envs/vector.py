"""A population as a vector of single-agent environments: what learners of other libraries train on, births and all.

A sub-environment is a *slot*. Each slot is bound to one living agent; when that agent dies the slot's episode
terminates, and its next episode is the life of the newborn that is seated in the same round: an heir where a parent
is fit, else an immigrant. So nothing is padded and nothing is reset. Spare seats make room for a newborn while the
dead agent's position is still being sold.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from arena import spec
from arena.body.reward import PARTS
from arena.envs import auditing
from arena.envs.episodes import Episodes
from arena.envs.population import Newborn, Population, PopulationConfig, Step, as_config
from arena.errors import ActionError, ConfigError
from arena.market.tape import Tape

NOBODY: Final = -1


class Slots:
    """Which agent each slot is bound to, through deaths and births; shared by every vector interface."""

    def __init__(self, config: PopulationConfig, seed: int, slots: int, tape: Tape | None) -> None:
        """Open a population with `slots` agents a market."""
        self.population = Population(config, seed, tape, keep_full=slots)
        founders = self.population.founders
        self.seat = np.array([newborn.seat for newborn in founders])  # [N] seat, NOBODY while a slot waits
        self.agent_id = np.array([newborn.agent_id for newborn in founders])  # [N]
        self.parent_id = np.full(len(founders), NOBODY)  # [N]

    def rebind(self, step: Step) -> tuple[np.ndarray, np.ndarray]:
        """Bind the slots of the dead and those that wait to the newborn; return (slots of the dead, slots of newborn).

        A slot stays in its market. Without a spare seat a slot waits, bound to NOBODY.
        """
        seats = self.population.config.arena.seats
        dead = np.flatnonzero(np.isin(self.seat, [seat for seat, _, _ in step.died])) if step.died else _NONE
        self.seat[dead] = self.agent_id[dead] = self.parent_id[dead] = NOBODY
        per_market = len(self.seat) // self.population.config.arena.markets
        fresh = [self._bind(newborn, newborn.seat // seats * per_market, per_market) for newborn in step.born]
        return dead, np.array(sorted(fresh), dtype=np.int64)

    def _bind(self, newborn: Newborn, first: int, count: int) -> int:
        free = first + int(np.flatnonzero(self.seat[first : first + count] == NOBODY)[0])
        self.seat[free] = newborn.seat
        self.agent_id[free] = newborn.agent_id
        self.parent_id[free] = NOBODY if newborn.parent_id is None else newborn.parent_id
        return free


_NONE: Final = np.zeros(0, dtype=np.int64)


def slotted(config: PopulationConfig, spare_seats: int | None) -> tuple[PopulationConfig, int]:
    """Return the configuration with room for newborns, and the slots a market: `arena.seats` of the given one."""
    slots = config.arena.seats
    spare = slots if spare_seats is None else spare_seats
    if spare < 0:
        raise ConfigError(
            f"spare_seats: {spare} is negative; with 0 a slot waits until the dead agent's position is sold"
        )
    if config.life.dispersal > 0.0 and config.arena.markets > 1:
        raise ConfigError("life.dispersal: slots stay in their market; set it to 0")
    return config.with_seats(slots + spare), slots


class LineageVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """`gymnasium.vector.VectorEnv` over the slots of a population; death = terminated, birth = next-step autoreset.

    config: as for arena.envs.parallel, `arena.seats` being the slots of a market. max_cycles: ticks until everybody
    is truncated and a new population begins; None = never. In the step after its agent's death a slot's action is
    ignored, and it returns the newborn's observation with reward 0. infos: `action_mask` [N,A] i8, `lineage_id` [N]
    and `parent_id` [N] (-1: none), `alive` [N] bool (False while a slot waits for a spare seat; see `spare_seats`).
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - the base class declares it so
        "autoreset_mode": AutoresetMode.NEXT_STEP,
        "render_modes": [],
    }

    def __init__(
        self,
        config: PopulationConfig | Mapping[str, object] | None = None,
        *,
        max_cycles: int | None = None,
        spare_seats: int | None = None,
        tape: Tape | None = None,
    ) -> None:
        """Check everything; the first population is made by `reset`."""
        if max_cycles is not None and max_cycles < 1:
            raise ConfigError(f"max_cycles: {max_cycles} is below 1; an episode needs a tick")
        wanted = as_config(config)
        self.config, self._per_market = slotted(wanted, spare_seats)
        self._max_cycles = max_cycles
        self._tape = tape
        self._episodes = Episodes()
        self.num_envs = self._per_market * wanted.arena.markets
        self.single_observation_space = spaces.Box(-spec.CLIP, spec.CLIP, (spec.OBS_DIM,), np.float32)
        self.single_action_space = spaces.Discrete(spec.N_ACTIONS)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.reward_parts = PARTS[wanted.reward.preset]
        self.slots: Slots | None = None

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a new population and return (observations [N,D] f32, infos); one seed for all slots."""
        if isinstance(seed, list):
            raise ConfigError("reset: the slots share one world, so they share one seed; give an integer")
        super().reset(seed=seed)
        self.slots = Slots(self.config, self._episodes.next_seed(seed), self._per_market, self._tape)
        self._cycle = 0
        self._newborn = np.zeros(self.num_envs, dtype=bool)  # slots whose next step is an autoreset
        self._over = False
        return self._look(self.slots)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Play one tick with actions [N]; returns observations, rewards [N] f64, terminations, truncations, infos."""
        slots = self._opened()
        chosen = checked_actions(actions, self.num_envs)
        if self._over:
            observations, infos = self.reset()
            quiet = np.zeros(self.num_envs, dtype=bool)
            return observations, np.zeros(self.num_envs), quiet, quiet.copy(), infos
        arena = slots.population.arena
        orders = np.zeros(arena.population, dtype=np.int8)
        idle = (slots.seat == NOBODY) | self._newborn
        if np.count_nonzero(idle):
            orders[slots.seat[~idle]] = chosen[~idle]
        else:
            orders[slots.seat] = chosen
        step = slots.population.step(orders)
        rewards = step.tick.reward.take(slots.seat).astype(np.float64)
        rewards[idle] = 0.0
        was = slots.seat.copy()
        dead, fresh = slots.rebind(step)
        self._cycle += 1
        terminations = np.zeros(self.num_envs, dtype=bool)
        terminations[dead] = True
        self._over = self._cycle == self._max_cycles or slots.population.over
        truncations = ~terminations if self._over else np.zeros(self.num_envs, dtype=bool)
        observations, infos = self._look(slots)
        if len(dead):
            observations[dead] = arena.last_look(was[dead])
        self._newborn[:] = False
        self._newborn[np.intersect1d(dead, fresh)] = True
        return observations, rewards, terminations, truncations, infos

    def _look(self, slots: Slots) -> tuple[np.ndarray, dict[str, Any]]:
        """Return fresh observations [N,D] and infos; a waiting slot sees zeros."""
        obs, mask = slots.population.observe()
        alive = slots.seat != NOBODY
        seen, legal = obs.take(slots.seat, axis=0), mask.view(np.int8).take(slots.seat, axis=0)
        if not alive.all():
            seen[~alive] = 0.0
            legal[~alive] = 0
            legal[~alive, spec.HOLD] = 1
        infos = {
            "action_mask": legal,
            "lineage_id": slots.agent_id.copy(),
            "parent_id": slots.parent_id.copy(),
            "alive": alive,
        }
        return seen, infos

    def change_future(self, after: int) -> None:
        """Right after `reset`: let everything later than tick `after` be different (see arena.envs.auditing)."""
        auditing.change_future(self._opened().population.arena.market, after)

    def books(self) -> dict[str, tuple[float, float]]:
        """Return {account: (have, should)} of every market."""
        return auditing.books(self._opened().population.arena)

    def _opened(self) -> Slots:
        if self.slots is None:
            raise ActionError("step: nobody is there to act: reset first")
        return self.slots

    def close_extras(self, **kwargs: Any) -> None:
        """Let go of the world."""
        self.slots = None


def checked_actions(actions: Any, count: int) -> np.ndarray:
    """Return actions [N] as integers, or raise ActionError naming the first that is none of 0..6."""
    try:
        values = np.asarray(actions)
    except (ValueError, OverflowError):  # ragged
        values = np.empty(0)
    if values.shape != (count,):
        raise ActionError(f"step: actions have shape {values.shape}, not ({count},); one for each slot")
    if values.dtype.kind not in "iu":
        raise ActionError(f"step: actions are {values.dtype}, not integers 0..{spec.N_ACTIONS - 1}")
    wrong = np.flatnonzero((values < 0) | (values >= spec.N_ACTIONS))
    if len(wrong):
        raise ActionError(
            f"step: action {values[wrong[0]]} of slot {wrong[0]} is not in 0..{spec.N_ACTIONS - 1}; "
            "sample env.single_action_space"
        )
    return values
