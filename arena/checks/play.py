"""Play one episode of any environment with actions that are a function of (seed, step, place), and keep what came.

Kinds: "parallel" and "aec" (PettingZoo), "single" and "vector" (Gymnasium).
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from gymnasium import Env, spaces
from gymnasium.vector import VectorEnv
from pettingzoo import AECEnv, ParallelEnv

from arena import rng
from arena.checks.outcome import NotApplicable

Kind = Literal["parallel", "aec", "single", "vector"]
Record = dict[str, Any]
"""What one reset or step returned, by name: agents, observations, rewards, terminations, truncations, infos."""

Choose = Callable[[spaces.Space[Any], Any, int, int], Any]
"""(space, action mask or None, step, place among the agents) -> action."""

Arrange = Callable[[dict[str, Any]], dict[str, Any]]
_STEP = ("observations", "rewards", "terminations", "truncations", "infos")


def kind_of(env: Any) -> Kind:
    """Return which interface an environment has. Raises NotApplicable for none of the four."""
    kinds: tuple[tuple[type, Kind], ...] = (
        (ParallelEnv, "parallel"), (AECEnv, "aec"), (VectorEnv, "vector"), (Env, "single"),
    )  # fmt: skip
    for interface, kind in kinds:
        if isinstance(env, interface):
            return kind
    raise NotApplicable(
        f"{type(env).__name__} is no pettingzoo ParallelEnv or AECEnv and no gymnasium Env or VectorEnv; "
        "derive it from one of them"
    )


def chooser(seed: int, turns_at: int | None = None) -> Choose:
    """Return a policy without memory: legal actions by chance; from step `turns_at` on by other chances."""
    key = rng.purpose_key(seed, "check actions")

    def choose(space: spaces.Space[Any], mask: Any, step: int, place: int) -> Any:
        turn = 1_000_003 if turns_at is not None and step >= turns_at else 0
        (chance,) = rng.uniforms(key, np.array([place + turn]), step, 1)[0]
        if isinstance(space, spaces.Discrete):
            legal = np.arange(space.n) if mask is None else np.flatnonzero(mask)
            return int(space.start + legal[int(chance * len(legal))])
        if isinstance(space, spaces.MultiDiscrete) and mask is not None and np.ndim(mask) == 2:
            rows = rng.uniforms(key, np.arange(len(mask)) + turn, step, 1)[:, 0]
            order = np.cumsum(np.asarray(mask, dtype=np.int64), axis=1)
            return (order > (rows * order[:, -1]).astype(np.int64)[:, None]).argmax(axis=1) + space.start
        space.seed(zlib.crc32(f"{seed} {step} {place} {turn}".encode()))
        return space.sample()

    return choose


def mask_of(observation: Any, info: Any) -> Any:
    """Return the action mask that an observation or an info carries, or None."""
    for place in (observation, info):
        if isinstance(place, dict) and "action_mask" in place:
            return place["action_mask"]
    return None


def episode(
    env: Any,
    seed: int,
    steps: int,
    choose: Choose,
    *,
    began: Callable[[], None] = lambda: None,
    arrange: Arrange = dict,
) -> Iterator[Record]:
    """Yield what `reset` and up to `steps` steps return; `began` is called after the reset.

    arrange: what becomes of a parallel environment's dictionary of actions before it is given.
    """
    kind = kind_of(env)
    if kind == "parallel":
        yield from _parallel(env, seed, steps, choose, began, arrange)
    elif kind == "aec":
        yield from _turns(env, seed, steps, choose, began)
    else:
        yield from _gymnasium(env, kind, seed, steps, choose, began)


def _parallel(
    env: Any, seed: int, steps: int, choose: Choose, began: Callable[[], None], arrange: Arrange
) -> Iterator[Record]:
    observations, infos = env.reset(seed=seed)
    began()
    yield {"agents": list(env.agents), "observations": observations, "infos": infos}
    for step in range(steps):
        if not env.agents:
            return
        actions = {
            agent: choose(
                env.action_space(agent), mask_of(observations.get(agent), infos.get(agent)), step, place
            )
            for place, agent in enumerate(env.agents)
        }  # fmt: skip
        result = env.step(arrange(actions))
        observations, infos = result[0], result[4]
        yield dict(zip(_STEP, result, strict=True)) | {"agents": list(env.agents)}


def _turns(env: Any, seed: int, steps: int, choose: Choose, began: Callable[[], None]) -> Iterator[Record]:
    env.reset(seed=seed)
    began()
    for turn, agent in enumerate(env.agent_iter(steps)):
        observation, reward, terminated, truncated, info = env.last()
        yield {
            "agents": agent, "observations": observation, "rewards": reward, "terminations": terminated,
            "truncations": truncated, "infos": info,
        }  # fmt: skip
        gone = terminated or truncated
        env.step(None if gone else choose(env.action_space(agent), mask_of(observation, info), turn, 0))


def _gymnasium(
    env: Any, kind: Kind, seed: int, steps: int, choose: Choose, began: Callable[[], None]
) -> Iterator[Record]:
    observation, info = env.reset(seed=seed)
    began()
    yield {"observations": observation, "infos": info}
    for step in range(steps):
        result = env.step(choose(env.action_space, mask_of(observation, info), step, 0))
        observation, info = result[0], result[4]
        yield dict(zip(_STEP, result, strict=True))
        if kind == "single" and (result[2] or result[3]):
            return
