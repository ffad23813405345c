"""The contract of births and deaths, of spaces and of types, watched through whole episodes."""

import re
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from gymnasium.vector import AutoresetMode

from arena.checks.outcome import CheckFailed
from arena.checks.play import Record, chooser, episode

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*_[0-9]+")
_DICTIONARIES: Final = ("observations", "rewards", "terminations", "truncations", "infos")


def _demand(fine: bool, reason: str, cure: str) -> None:
    if not fine:
        raise CheckFailed(reason, cure)


def parallel(env: Any, seed: int, steps: int) -> str:
    """Watch one episode of a ParallelEnv and return how many were born and died; CheckFailed at the first breach."""
    alive: set[str] = set()
    dead: set[str] = set()
    born = died = 0
    for step, record in enumerate(episode(env, seed, steps, chooser(seed))):
        agents = record["agents"]
        _demand(len(set(agents)) == len(agents), f"step {step}: env.agents names somebody twice", "list each once")
        if step == 0:
            _names(env, agents)
            _spaces(env, agents, record, step)
            alive = set(agents)
            continue
        newborn = _membership(record, alive, dead, set(agents), step)
        _names(env, sorted(newborn))
        _types(record, step)
        _spaces(env, list(record["observations"]), record, step)
        gone = alive - set(agents)
        born, died = born + len(newborn), died + len(gone)
        dead |= gone
        alive = set(agents)
    seen = f"{born} births and {died} departures in {min(step, steps)} steps"
    return seen if born else f"{seen}; the contract of births was not put to the test"


def _membership(record: Record, alive: set[str], dead: set[str], now: set[str], step: int) -> set[str]:
    """Check who is in which dictionary; return the newborn."""
    newborn = now - alive
    back = (now | set(record["observations"])) & dead
    _demand(not back, f"step {step}: {_one(back)} is back from the dead", "give every newborn a name of its own")
    for name in _DICTIONARIES:
        keys = {key for key in record[name] if key not in ("common", "__all__")}
        missing = (alive | newborn) - keys
        _demand(
            not missing, f"step {step}: {_one(missing)} is not in the {name}",
            "put everybody who acted, and every newborn, into all five dictionaries",
        )  # fmt: skip
        extra = keys - alive - newborn
        _demand(
            not extra, f"step {step}: {_one(extra)} is in the {name} but was born and gone in one step",
            "let a newborn live until the next step, or leave it out",
        )  # fmt: skip
    for agent in sorted(alive | newborn):
        over = bool(record["terminations"][agent]) or bool(record["truncations"][agent])
        _demand(
            over != (agent in now),
            f"step {step}: {agent} is {'over but still' if over else 'not over but no longer'} in env.agents",
            "take agents out of env.agents in the step that terminates or truncates them, and in no other",
        )
        _demand(
            not (over and agent in newborn), f"step {step}: {agent} was born and died in one step",
            "let a newborn live until the next step",
        )  # fmt: skip
    return newborn


def _one(names: set[str]) -> str:
    return repr(min(names, key=str)) if names else ""


def _names(env: Any, agents: list[str]) -> None:
    for agent in agents:
        _demand(
            isinstance(agent, str) and _NAME.fullmatch(agent) is not None,
            f"agent {agent!r} is not named like agent_1", "use lower-case letters, an underscore and a number",
        )  # fmt: skip
        possible = getattr(env, "possible_agents", None)
        _demand(
            possible is None or agent in possible, f"{agent} is not in possible_agents",
            "list everybody who may ever be born, or leave possible_agents out",
        )  # fmt: skip
        for name in ("observation_space", "action_space"):
            space = getattr(env, name)
            _demand(
                space(agent) is space(agent), f"{name}({agent!r}) makes a new space at each call",
                "return the same object each time: seeds of spaces live in it",
            )  # fmt: skip


def _spaces(env: Any, agents: list[str], record: Record, step: int) -> None:
    for agent in agents:
        space = env.observation_space(agent)
        _demand(
            space.contains(record["observations"][agent]),
            f"step {step}: the observation of {agent} is not in its space {space}",
            "match shape, dtype and bounds; no NaN",
        )


def _types(record: Record, step: int) -> None:
    for name in ("terminations", "truncations"):
        for agent, value in record[name].items():
            _demand(
                isinstance(value, bool), f"step {step}: {name}[{agent!r}] is a {type(value).__name__}",
                "return Python's bool: numpy's is not `True`, and turn-taking wrappers ask `is True`",
            )  # fmt: skip
    for agent, reward in record["rewards"].items():
        _demand(
            np.ndim(reward) == 0 and bool(np.isfinite(reward)),
            f"step {step}: the reward of {agent} is {reward!r}", "return one finite number",
        )  # fmt: skip
    for agent, info in record["infos"].items():
        _demand(isinstance(info, dict), f"step {step}: the info of {agent} is no dictionary", "return a dictionary")


def vector(env: Any, seed: int, steps: int) -> str:
    """Watch a VectorEnv: shapes, types, spaces, and the next-step autoreset that its metadata promise."""
    count = env.num_envs
    mode = env.metadata.get("autoreset_mode")
    _demand(isinstance(mode, AutoresetMode), f"metadata['autoreset_mode'] is {mode!r}", "set a gymnasium AutoresetMode")
    ended = np.zeros(count, dtype=bool)
    ends = 0
    for step, record in enumerate(episode(env, seed, steps, chooser(seed))):
        _demand(
            env.observation_space.contains(record["observations"]),
            f"step {step}: the observations are not in {env.observation_space}", "match shape, dtype and bounds",
        )  # fmt: skip
        if step == 0:
            continue
        for problem in _vector_problems(record, count):
            raise CheckFailed(f"step {step}: {problem}", "return one value for each sub-environment")
        over = record["terminations"] | record["truncations"]
        if mode is AutoresetMode.NEXT_STEP and ended.any():
            _demand(
                not (over & ended).any() and not record["rewards"][ended].any(),
                f"step {step}: a sub-environment that is being reset ends again or earns a reward",
                "after an end, return the first observation of the next episode with reward 0 and both flags False",
            )
        ended, ends = over, ends + int(over.sum())
    return f"{ends} episodes of {count} sub-environments ended in {step} steps"


def _vector_problems(record: Record, count: int) -> Iterator[str]:
    rewards = np.asarray(record["rewards"])
    if rewards.shape != (count,) or rewards.dtype.kind != "f" or not np.isfinite(rewards).all():
        yield f"rewards are {rewards.dtype}{list(rewards.shape)}"
    for name in ("terminations", "truncations"):
        flags = record[name]
        if not isinstance(flags, np.ndarray) or flags.shape != (count,) or flags.dtype != np.bool_:
            yield f"{name} are no array of {count} truth values"
