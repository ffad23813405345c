"""The libraries' own tests, with every warning an error and their chatter swallowed."""

import contextlib
import io
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
from gymnasium import spaces

from arena.checks.outcome import CheckFailed, NotApplicable, OtherInterface
from arena.checks.play import kind_of
from arena.checks.target import Target

_CYCLES: Final = 200
_HELP: Final = "pettingzoo.farama.org/content/environment_tests, gymnasium.farama.org/api/utils"


_MASKED: Final = ("Observation space for each agent probably should be", "Observation is not a NumPy array")
"""What api_test has against {"observation", "action_mask"}, PettingZoo's own form for masks."""
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


@contextlib.contextmanager
def _strict() -> Iterator[None]:
    """Make warnings errors, keep stdout for data, and turn whatever is raised into a verdict."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("error")
            for message in _MASKED:
                warnings.filterwarnings("ignore", message=message)
            yield
    except Exception as problem:
        text = " ".join(_COLOUR.sub("", str(problem)).split()) or "an assertion without a text"
        raise CheckFailed(f"{type(problem).__name__}: {text}", f"see what the test asks: {_HELP}") from None


def _only(target: Target, *kinds: str) -> Any:
    env = target.make()
    if kind_of(env) not in kinds:
        raise OtherInterface
    return env


def parallel_api(target: Target, seed: int, steps: int) -> str:
    """Run pettingzoo.test.parallel_api_test."""
    from pettingzoo.test import parallel_api_test

    env = _only(target, "parallel")
    with _strict():
        parallel_api_test(env, num_cycles=_CYCLES)
    return f"{_CYCLES} cycles"


def parallel_seeds(target: Target, seed: int, steps: int) -> str:
    """Run pettingzoo.test.parallel_seed_test, which looks at one step."""
    from pettingzoo.test import parallel_seed_test

    _only(target, "parallel")
    with _strict():
        parallel_seed_test(target.make, num_cycles=_CYCLES)
    return "one step (as the test is written)"


def turns(target: Target) -> Target:
    """Return the turn-taking face of a target: itself, or a parallel environment behind PettingZoo's conversion."""
    return Target("arena.checks.stock:taking_turns", {"name": target.name, "keywords": dict(target.keywords)})


def taking_turns(name: str, keywords: dict[str, Any], **more: Any) -> Any:
    """Make the environment `name` and, if it is parallel, let its agents take turns."""
    from pettingzoo.utils.conversions import parallel_to_aec

    env = Target(name, keywords).make(**more)
    return parallel_to_aec(env) if kind_of(env) == "parallel" else env


def api(target: Target, seed: int, steps: int) -> str:
    """Run pettingzoo.test.api_test."""
    from pettingzoo.test import api_test

    _only(target, "parallel", "aec")
    with _strict():
        api_test(turns(target).make(), num_cycles=_CYCLES)
    return f"{_CYCLES} turns"


def seeds(target: Target, seed: int, steps: int) -> str:
    """Run pettingzoo.test.seed_test, which stops at the first death."""
    from pettingzoo.test import seed_test

    _only(target, "parallel", "aec")
    with _strict():
        seed_test(turns(target).make, num_cycles=_CYCLES)
    return f"at most {_CYCLES} cycles, up to the first death"


def max_cycles(target: Target, seed: int, steps: int) -> str:
    """Run pettingzoo.test.max_cycles_test, where the environment takes max_cycles."""
    from pettingzoo.test.max_cycles_test import max_cycles_test

    env = _only(target, "parallel")
    if not target.accepts("max_cycles") or not hasattr(env, "possible_agents"):
        raise NotApplicable("it asks for a max_cycles keyword and possible_agents")
    env.reset(seed=seed)
    if 2 * len(env.agents) <= len(env.possible_agents):
        raise NotApplicable("it takes a median over possible_agents, and most of these are not born yet")
    with _strict():
        max_cycles_test(SimpleNamespace(parallel_env=target.make, env=turns(target).make))
    return "4 cycles"


def render(target: Target, seed: int, steps: int) -> str:
    """Run pettingzoo.test.render_test."""
    from pettingzoo.test import render_test

    env = _only(target, "parallel", "aec")
    if not env.metadata.get("render_modes"):
        raise NotApplicable("metadata['render_modes'] is empty")
    with _strict():
        render_test(turns(target).make)
    return f"modes {', '.join(env.metadata['render_modes'])}"


def state(target: Target, seed: int, steps: int) -> str:
    """Run pettingzoo.test.state_test, where there is a state."""
    from pettingzoo.test.state_test import test_parallel_env, test_state, test_state_space

    env = _only(target, "parallel", "aec")
    if not hasattr(env.unwrapped, "state_space"):
        raise NotApplicable("it asks for a state_space")
    with _strict():
        turning = turns(target).make()
        test_state_space(turning)
        test_state(turning, 10)
        if kind_of(env) == "parallel":
            test_parallel_env(env)
    return "10 cycles"


def save_observations(target: Target, seed: int, steps: int) -> str:
    """Run pettingzoo.test.test_save_obs, which is about pictures."""
    from pettingzoo.test import test_save_obs

    env = _only(target, "parallel", "aec")
    env.reset(seed=seed)
    space = env.observation_space(env.agents[0])
    if not (isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) in (2, 3)):
        raise NotApplicable("it asks for observations that are pictures")
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as scratch, _strict():
        os.chdir(scratch)
        try:
            test_save_obs(turns(target).make())
        finally:
            os.chdir(here)
    return "pictures of all agents"


def gymnasium_check(target: Target, seed: int, steps: int) -> str:
    """Run gymnasium.utils.env_checker.check_env on the unwrapped environment."""
    from gymnasium.utils.env_checker import check_env

    env = _only(target, "single")
    with _strict():
        check_env(env.unwrapped, skip_render_check=not env.metadata.get("render_modes"))
    return "one episode's first steps"


STOCK: Final[dict[str, Callable[[Target, int, int], str]]] = {
    "pettingzoo parallel_api_test": parallel_api,
    "pettingzoo parallel_seed_test": parallel_seeds,
    "pettingzoo api_test": api,
    "pettingzoo seed_test": seeds,
    "pettingzoo max_cycles_test": max_cycles,
    "pettingzoo render_test": render,
    "pettingzoo state_test": state,
    "pettingzoo test_save_obs": save_observations,
    "gymnasium check_env": gymnasium_check,
}
"""By name, in the order in which they are asked."""
