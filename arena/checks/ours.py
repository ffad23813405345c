"""Our own checks: what the libraries' tests do not ask. Each returns what it saw, or raises CheckFailed.

Every check plays whole episodes with legal actions that are a function of (seed, step, agent's place) alone.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any, Final

import numpy as np

from arena.checks import contract as contracts
from arena.checks.digest import digest
from arena.checks.hooks import hook
from arena.checks.outcome import CheckFailed, OtherInterface
from arena.checks.play import chooser, episode, kind_of
from arena.checks.target import Target
from arena.errors import ArenaError

TOLERANCE: Final = 1e-9
"""Largest relative gap in the books."""
_PROCESSES: Final = ("0", "1", "1")
"""PYTHONHASHSEED of each process."""
_SEEDED: Final = "take every random number from a generator that reset(seed=...) makes anew"


def records(env: Any, seed: int, steps: int, **more: Any) -> list[dict[str, str]]:
    """Return one digest a step and part of an episode."""
    choose = more.pop("choose", None) or chooser(seed)
    played = episode(env, seed, steps, choose, **more)
    return [{name: digest(value) for name, value in record.items()} for record in played]


def episode_hash(target: Target, seed: int, steps: int) -> str:
    """Return one digest of a whole episode of a new environment."""
    env = target.make()
    try:
        return digest(records(env, seed, steps))
    finally:
        env.close()


def _compare(one: Sequence[dict[str, str]], other: Sequence[dict[str, str]], what: str, cure: str) -> None:
    """Raise CheckFailed naming the first step and part in which two episodes differ."""
    nothing: dict[str, str] = {}
    for step, (here, there) in enumerate(zip_longest(one, other, fillvalue=nothing)):
        if here != there:
            parts = [name for name in {**here, **there} if here.get(name) != there.get(name)]
            raise CheckFailed(f"{what}: {' and '.join(parts)} differ from step {step} on", cure)


def contract(target: Target, seed: int, steps: int) -> str:
    """Ask for the contract of births and deaths (parallel) or of autoreset (vector)."""
    env = target.make()
    kind = kind_of(env)
    try:
        if kind == "parallel":
            return contracts.parallel(env, seed, steps)
        if kind == "vector":
            return contracts.vector(env, seed, steps)
    finally:
        env.close()
    raise OtherInterface


def determinism(target: Target, seed: int, steps: int) -> str:
    """Play the same episode twice in one environment, and once in another one, to the end."""
    env, other = target.make(), target.make()
    first = records(env, seed, steps)
    records(env, seed + 1, steps)
    _compare(first, records(env, seed, steps), "the same seed twice in one environment", _SEEDED)
    _compare(first, records(other, seed, steps), "the same seed in two environments", _SEEDED)
    env.close()
    other.close()
    return f"{len(first) - 1} steps, every part of each, byte for byte"


def processes(target: Target, seed: int, steps: int) -> str:
    """Play the same episode in three fresh processes with two hash seeds and compare the whole."""
    request = json.dumps({"name": target.name, "keywords": dict(target.keywords), "seed": seed, "steps": steps})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    running = [
        subprocess.Popen(  # noqa: S603 - this interpreter, our own module
            [sys.executable, "-m", "arena.checks.child", request], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**environment, "PYTHONHASHSEED": hash_seed},
        )
        for hash_seed in _PROCESSES
    ]  # fmt: skip
    answers = []
    for process in running:
        out, err = process.communicate()
        if process.returncode:
            raise CheckFailed(
                f"a fresh process cannot play it: {err.strip().splitlines()[-1:] or ['it said nothing']}",
                "let it be imported and made without anything that this process did before",
            )
        answers.append(out.split()[-1])
    if len(set(answers)) > 1:
        same = "two hash seeds" if answers[1] == answers[2] else "two equal processes"
        raise CheckFailed(
            f"{same} give different episodes", "let no order of a set, no id, no time and no global state count"
        )
    return f"three processes, two hash seeds: {answers[0][:12]}"


def prefix(target: Target, seed: int, steps: int) -> str:
    """What happened up to a step depends on no later action, and not on how long the episode will be."""
    middle = max(steps // 2, 1)
    whole = records(target.make(), seed, steps)
    turned = records(target.make(), seed, steps, choose=chooser(seed, turns_at=middle))
    cure = "compute nothing from what is not yet known"
    _compare(whole[: middle + 1], turned[: middle + 1], f"other actions from step {middle} on", cure)
    seen = f"other actions after step {middle}"
    for keyword in ("max_cycles", "max_steps", "max_episode_steps"):
        if target.accepts(keyword):
            try:
                brief = records(target.make(**{keyword: middle + 1}), seed, steps)
            except (TypeError, ArenaError):
                continue
            _compare(brief[: middle + 1], whole[: middle + 1], f"{keyword}={middle + 1}", cure)
            return f"{seen}; {keyword}={middle + 1}"
    return seen


def look_ahead(target: Target, seed: int, steps: int) -> str:
    """Change everything that the world does after a step: what was returned up to that step stays identical."""
    moments = sorted({1, max(steps // 3, 1), max(steps // 2, 1)})
    whole = records(target.make(), seed, steps)
    moved = False
    for after in moments:
        env = target.make()
        change = hook(env, "change_future", "(after): let it replace all later data right after reset")
        other = records(env, seed, steps, began=lambda change=change, after=after: change(after))
        what = f"the world was changed after step {after}"
        cure = "use nothing of the next bar: not in a feature, a scale, a mask, a fill or a reward"
        _compare(whole[: after + 1], other[: after + 1], what, cure)
        moved |= whole[after + 1 :] != other[after + 1 :]
    if not moved:
        raise CheckFailed("change_future changes nothing at all", "let it replace all data after the given step")
    return f"the world changed after steps {', '.join(map(str, moments))}: nothing earlier moved"


def conservation(target: Target, seed: int, steps: int) -> str:
    """Add up the books after every step: money and shares only move between accounts."""
    env = target.make()
    books: Callable[[], dict[str, tuple[float, float]]] = hook(
        env, "books", "(): let it return {account: (have, should)} after any step"
    )
    accounts = 0
    for step, _ in enumerate(episode(env, seed, steps, chooser(seed))):
        for name, (have, should) in books().items():
            accounts += 1
            if not math.isfinite(have) or abs(have - should) > TOLERANCE * max(abs(should), 1.0):
                raise CheckFailed(
                    f"step {step}: {name} is {have!r}, not {should!r}", "move money between accounts, never make it"
                )
    return f"{accounts:,} sums of accounts, each right to {TOLERANCE:g}"


def permutation(target: Target, seed: int, steps: int) -> str:
    """The order in which actions are listed means nothing; equal agents who swap actions swap what comes of them."""
    env = target.make()
    if kind_of(env) != "parallel":
        raise OtherInterface
    listed = records(env, seed, steps)
    backwards = records(target.make(), seed, steps, arrange=lambda actions: dict(reversed(actions.items())))
    _compare(listed, backwards, "actions listed backwards", "look actions up by name, and iterate env.agents")
    if not env.metadata.get("exchangeable_founders"):
        return "actions listed backwards"
    return f"actions listed backwards; {_swapped(target, seed)}"


def _swapped(target: Target, seed: int) -> str:
    """Let founders swap roles for some steps: they are equal, so what a role gets stays the same, to rounding."""
    rounds = 4
    straight, crossed = target.make(), target.make()
    straight.reset(seed=seed)
    crossed.reset(seed=seed)
    names = list(straight.agents)
    order = dict(zip(names, names[1:] + names[:1], strict=True))
    choose = chooser(seed)
    for step in range(rounds):
        roles = {name: choose(straight.action_space(name), None, step, place) for place, name in enumerate(names)}
        here = straight.step(roles)
        there = crossed.step({order[name]: action for name, action in roles.items()})
        for name in names:
            gap = _gap(here, there, name, order[name])
            if gap > 1e-4:
                raise CheckFailed(
                    f"step {step}: {order[name]} in the place of {name} gets something else (by {gap:.2g})",
                    "treat equal agents alike, whatever their names and seats",
                )
        if set(straight.agents) != set(names) or set(crossed.agents) != set(names):
            break
    return f"{len(names)} founders swapped places"


def _gap(here: Sequence[Any], there: Sequence[Any], name: str, other: str) -> float:
    seen, swapped = here[0][name], there[0][other]
    if isinstance(seen, dict):
        seen, swapped = seen["observation"], swapped["observation"]
    looks = float(np.abs(np.asarray(seen) - np.asarray(swapped)).max())
    return max(looks, abs(float(here[1][name]) - float(there[1][other])))


OURS: Final[dict[str, Callable[[Target, int, int], str]]] = {
    "contract": contract,
    "determinism": determinism,
    "processes": processes,
    "prefix": prefix,
    "look-ahead": look_ahead,
    "conservation": conservation,
    "permutation": permutation,
}
"""By name, in the order in which they are asked."""
