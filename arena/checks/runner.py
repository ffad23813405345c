"""Run every check on an environment and return the verdicts."""

import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import Final

from arena.checks.ours import OURS
from arena.checks.outcome import CheckFailed, NotApplicable, OtherInterface, Outcome
from arena.checks.play import kind_of
from arena.checks.stock import STOCK
from arena.checks.target import Target
from arena.errors import ConfigError

CHECKS: Final[dict[str, Callable[[Target, int, int], str]]] = {**STOCK, **OURS}
_FOREIGN: Final = "run it by hand and follow the traceback"


def check(target: Target, seed: int, steps: int, only: Collection[str] = tuple(CHECKS)) -> Iterator[Outcome]:
    """Yield the verdicts of the checks in `only`, in their own order; ConfigError when it cannot be made at all."""
    try:
        env = target.make()
    except ConfigError:
        raise
    except Exception as problem:
        raise ConfigError(
            f"check {target.name}: cannot make it: {type(problem).__name__}: {problem}; give what it needs in --kwargs"
        ) from problem
    try:
        kind_of(env)
    except NotApplicable as problem:
        raise ConfigError(f"check {target.name}: {problem}") from None
    for name, run in CHECKS.items():
        if name in only:
            with contextlib.suppress(OtherInterface):
                yield _outcome(name, run, target, seed, steps)


def _outcome(name: str, run: Callable[[Target, int, int], str], target: Target, seed: int, steps: int) -> Outcome:
    try:
        return Outcome(name, "passed", run(target, seed, steps))
    except NotApplicable as why:
        return Outcome(name, "skipped", str(why))
    except OtherInterface:
        raise
    except CheckFailed as failure:
        return Outcome(name, "failed", failure.reason, failure.cure)
    except Exception as problem:  # the environment's own: it is what is under test
        text = " ".join(str(problem).split())
        return Outcome(name, "failed", f"the environment raised {type(problem).__name__}: {text}", _FOREIGN)
