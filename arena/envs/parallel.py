"""The arena as a PettingZoo environment, `lineage_arena_v0`: births are new names, a dead name never returns.

    from arena.envs import parallel
    env = parallel.parallel_env(config={"arena": {"seats": 16}}, max_cycles=500)
    observations, infos = env.reset(seed=1)

Observations, masks and reward parts are rows of one fresh array a step, so they may be kept. What a column means:
arena.spec. The world behind it is arena.envs.population, the same functions that lineage's own loop runs.
"""

import operator
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

import numpy as np
from gymnasium import spaces
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils import wrappers
from pettingzoo.utils.conversions import parallel_to_aec

from arena import spec
from arena.body.reward import PARTS
from arena.envs import auditing, render
from arena.envs.episodes import Episodes
from arena.envs.population import Newborn, Population, PopulationConfig, Step, as_config
from arena.errors import ActionError, ConfigError
from arena.market.tape import Tape

NAME: Final = "lineage_arena_v0"
RENDER_MODES: Final = ("human", "ansi", "rgb_array")
_NO_ACTION: Final = np.full(1, -1, dtype=np.int8)
MaskPlace = Literal["info", "obs"]
Observations = dict[str, Any]


def name_of(agent_id: int) -> str:
    """Return the name that an agent has in the dictionaries."""
    return f"agent_{agent_id}"


class LineageArena(ParallelEnv):  # type: ignore[misc]  # pettingzoo ships no types
    """A population in a market that its own orders move; agents are born, scarred and die while others act.

    config: a PopulationConfig or nested plain values of its sections. max_cycles: ticks until everybody is truncated.
    max_births: births that an episode has names for, so that `possible_agents` is finite: by default one fewer than
    there are founders; None = no limit, and then no `possible_agents`. action_mask: "info" puts the legal actions
    [A] i8 under infos[agent]["action_mask"], "obs" makes each observation {"observation", "action_mask"}.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": NAME,
        "render_modes": list(RENDER_MODES),
        "render_fps": 10,
        "is_parallelizable": True,
        "exchangeable_founders": True,  # arena.checks: founders who swap actions swap what comes of them
    }

    def __init__(
        self,
        config: PopulationConfig | Mapping[str, Any] | None = None,
        *,
        max_cycles: int = 1000,
        max_births: int | Literal["founders"] | None = "founders",
        action_mask: MaskPlace = "info",
        tape: Tape | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Check everything; the first world is made by `reset`."""
        if max_cycles < 1:
            raise ConfigError(f"max_cycles: {max_cycles} is below 1; an episode needs a tick")
        if action_mask not in ("info", "obs"):
            raise ConfigError(f"action_mask: {action_mask!r} is neither 'info' nor 'obs'")
        if render_mode not in (None, *RENDER_MODES):
            raise ConfigError(f"render_mode: {render_mode!r} is none of {', '.join(RENDER_MODES)}")
        self.config = as_config(config)
        self._max_cycles = max_cycles
        self.render_mode = render_mode
        self._mask_place = action_mask
        self._tape = tape
        self._episodes = Episodes()
        founders = self.config.arena.markets * self.config.founders()
        births = founders - 1 if max_births == "founders" else max_births
        self._last_id = None if births is None else founders + births
        if self._last_id is not None:
            self.possible_agents = [name_of(agent_id) for agent_id in range(1, self._last_id + 1)]
        self._observation_space, self._action_space = _spaces(action_mask)
        population = self.config.arena.markets * self.config.arena.seats
        self.state_space = spaces.Box(-spec.CLIP, spec.CLIP, (population * spec.OBS_DIM,), np.float32)
        self.reward_parts = PARTS[self.config.reward.preset]
        self.agents: list[str] = []
        self.population: Population | None = None

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """Return the space of every agent: always the same object."""
        return self._observation_space

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """Return the space of every agent: always the same object."""
        return self._action_space

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, dict[str, Any]]]:
        """Begin an episode and return (observations, infos) of the founders.

        seed: the same seed gives the same episode; None continues the sequence that the last seed began. options: none
        are known and all are ignored, as PettingZoo asks. An info of `reset` and of the step in which an agent is born
        names its `agent_id` and `parent_id` (None: founder or immigrant).
        """
        self.population = Population(
            self.config, self._episodes.next_seed(seed), self._tape, last_agent_id=self._last_id
        )
        self._cycle = 0
        self._seat_of = {name_of(newborn.agent_id): newborn.seat for newborn in self.population.founders}
        self._refresh()
        observations, infos = self._look()
        for newborn in self.population.founders:
            infos[name_of(newborn.agent_id)] |= _birth_note(newborn)
        return observations, infos

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[Observations, dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Play one tick; each living agent needs an action 0..6, and an illegal one executes as HOLD.

        Returns observations, rewards, terminations, truncations and infos of everybody who acted, and of the
        newborn. Raises ActionError, with nothing changed, for actions that are missing, foreign or out of range.
        """
        population = self._running()
        orders = np.zeros(population.arena.population, dtype=np.int8)
        orders[self._seats] = self._checked(actions)
        step = population.step(orders)
        self._cycle += 1
        dead = {name_of(agent_id): cause for _, agent_id, cause in step.died}
        rewards = dict(zip(self.agents, step.tick.reward.take(self._seats).tolist(), strict=True))
        over = self._cycle >= self._max_cycles or population.over
        if over:
            step = step._replace(born=[])  # whoever is born into the last tick never appears
        self._admit(step)
        observations, infos = self._look(step)
        terminations = self._nobody.copy()
        truncations = dict.fromkeys(self.agents, True) if over else self._nobody.copy()
        self._close_books(step, dead, over, rewards, terminations, truncations, infos)
        if self.render_mode == "human":
            self.render()
        return observations, rewards, terminations, truncations, infos

    def _admit(self, step: Step) -> None:
        """Add the newborn to those who are looked at; the dead of this tick are still there."""
        for newborn in step.born:
            self._seat_of[name_of(newborn.agent_id)] = newborn.seat
        if step.born:
            self._refresh()

    def _close_books(
        self,
        step: Step,
        dead: dict[str, str],
        over: bool,
        rewards: dict[str, float],
        terminations: dict[str, bool],
        truncations: dict[str, bool],
        infos: dict[str, dict[str, Any]],
    ) -> None:
        """Say who was born, who died and whose episode ends, and let go of them."""
        for newborn in step.born:
            name = name_of(newborn.agent_id)
            rewards[name] = 0.0
            infos[name] |= _birth_note(newborn)
        for name, cause in dead.items():
            terminations[name], truncations[name] = True, False
            infos[name]["cause"] = cause
            del self._seat_of[name]
        if over:
            self._seat_of = {}
        if dead or not self._seat_of:
            self._refresh()

    def _refresh(self) -> None:
        """Make the lists of names and seats anew after a birth, a death or the end."""
        self.agents = list(self._seat_of)
        self._seats = np.fromiter(self._seat_of.values(), dtype=np.int64, count=len(self._seat_of))
        self._nobody = dict.fromkeys(self.agents, False)

    def _look(self, step: Step | None = None) -> tuple[Observations, dict[str, dict[str, Any]]]:
        """Return observations and infos of `self.agents`, rows of one fresh array each; after a step with reward parts.

        The newborn have no parts: they stand last, and have not acted.
        """
        arena = self._running(acting=False).arena
        obs, mask = arena.observe()
        rows, legal = obs.take(self._seats, axis=0), mask.view(np.int8).take(self._seats, axis=0)
        if step and step.died:
            gone = np.flatnonzero(np.isin(self._seats, [seat for seat, _, _ in step.died]))
            rows[gone] = arena.last_look(self._seats[gone])
        agents = self.agents
        inside = self._mask_place == "obs"
        if step is None:
            infos = {name: {} if inside else {"action_mask": bits} for name, bits in zip(agents, legal, strict=True)}
        else:
            acted = len(agents) - len(step.born)
            parts = step.tick.reward_parts.take(self._seats[:acted], axis=0)
            if inside:
                infos = {name: {"reward_parts": part} for name, part in zip(agents, parts, strict=False)}
            else:
                entries = zip(agents, legal, parts, strict=False)
                infos = {name: {"action_mask": bits, "reward_parts": part} for name, bits, part in entries}
            for name, bits in zip(agents[acted:], legal[acted:], strict=True):
                infos[name] = {} if inside else {"action_mask": bits}
        if not inside:
            return dict(zip(agents, rows, strict=True)), infos
        seen = zip(agents, rows, legal, strict=True)
        return {name: {"observation": row, "action_mask": bits} for name, row, bits in seen}, infos

    def _checked(self, actions: Mapping[str, Any]) -> np.ndarray:
        """Return the actions [N] of `self.agents` in order, or raise ActionError."""
        if not isinstance(actions, Mapping):
            raise ActionError(f"step: actions are {type(actions).__name__}, not a dictionary {{agent: action}}")
        if list(actions) == self.agents:
            chosen = list(actions.values())  # in our order already, as most are: half of the time of asking one by one
        else:
            chosen = self._in_order(actions)
        try:
            values = np.frombuffer(bytes(chosen), dtype=np.int8)  # bytes takes integers of any kind, and only those
        except (TypeError, ValueError, OverflowError):
            values = _NO_ACTION
        if values.view(np.uint8).max() < spec.N_ACTIONS:
            return values
        wrong = next(name for name in self.agents if not _is_action(actions[name]))
        raise ActionError(
            f"step: action {actions[wrong]!r} of {wrong} is not an integer in 0..{spec.N_ACTIONS - 1}; "
            "sample env.action_space(agent)"
        )

    def _in_order(self, actions: Mapping[str, Any]) -> list[Any]:
        """Return the actions of `self.agents` one by one, or raise ActionError for missing and foreign names."""
        try:
            chosen = list(map(actions.__getitem__, self.agents))
        except KeyError as missing:
            raise ActionError(
                f"step: no action for {missing.args[0]}; give one to each of env.agents ({len(self.agents)} now)"
            ) from None
        if len(actions) != len(chosen):
            foreign = next(name for name in actions if name not in self._seat_of)
            raise ActionError(f"step: {foreign!r} is not alive; act for env.agents only")
        return chosen

    def _running(self, acting: bool = True) -> Population:
        if self.population is None or (acting and not self.agents):
            why = "reset first" if self.population is None else "the episode is over; reset to begin another"
            raise ActionError(f"step: nobody is there to act: {why}")
        return self.population

    def state(self) -> np.ndarray:
        """Return what all seats see, [P*D] f32; zeros for free seats."""
        return self._running(acting=False).arena.obs.ravel().copy()

    def render(self) -> str | np.ndarray | None:
        """Return a picture (rgb_array) or a text (ansi) of now, or print the text (human)."""
        if self.render_mode is None:
            return None
        population = self._running(acting=False)
        if self.render_mode == "rgb_array":
            return render.picture(population)
        text = render.text(population)
        if self.render_mode == "ansi":
            return text
        print(text)
        return None

    def change_future(self, after: int) -> None:
        """Right after `reset`: let everything later than tick `after` be different (see arena.envs.auditing)."""
        auditing.change_future(self._running(acting=False).arena.market, after)

    def books(self) -> dict[str, tuple[float, float]]:
        """Return {account: (have, should)} of every market."""
        return auditing.books(self._running(acting=False).arena)

    def close(self) -> None:
        """Let go of the world; `reset` may follow."""
        self.agents = []
        self.population = None


def _is_action(value: Any) -> bool:
    try:
        return 0 <= operator.index(value) < spec.N_ACTIONS
    except TypeError:
        return False


def _birth_note(newborn: Newborn) -> dict[str, Any]:
    """Return what an info says of an agent in the step in which it appears."""
    return {"agent_id": newborn.agent_id, "parent_id": newborn.parent_id}


def _spaces(place: MaskPlace) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
    box = spaces.Box(-spec.CLIP, spec.CLIP, (spec.OBS_DIM,), np.float32)
    action = spaces.Discrete(spec.N_ACTIONS)
    if place == "info":
        return box, action
    mask = spaces.Box(0, 1, (spec.N_ACTIONS,), np.int8)
    return spaces.Dict({"observation": box, "action_mask": mask}), action


def parallel_env(**given: Any) -> LineageArena:
    """Return the environment; arguments: see LineageArena."""
    return LineageArena(**given)


def raw_env(**given: Any) -> AECEnv:
    """Return the environment with agents taking turns, unwrapped."""
    return parallel_to_aec(parallel_env(**given))


def env(**given: Any) -> AECEnv:
    """Return the environment with agents taking turns, guarded against wrong actions and order."""
    return wrappers.OrderEnforcingWrapper(wrappers.AssertOutOfBoundsWrapper(raw_env(**given)))
