"""What a checked environment may offer beyond its interface, found through any wrappers around it."""

from typing import Any, Final

from arena.checks.outcome import NotApplicable

_INNER: Final = ("env", "par_env", "parallel_env", "aec_env", "unwrapped")


def hook(env: Any, name: str, use: str) -> Any:
    """Return the method `name` of an environment or of what it wraps. Raises NotApplicable where there is none."""
    seen: list[Any] = []
    waiting = [env]
    while waiting:
        candidate = waiting.pop(0)
        if candidate is None or any(candidate is other for other in seen):
            continue
        seen.append(candidate)
        if name in dir(type(candidate)):
            return getattr(candidate, name)
        waiting += [vars(candidate).get(inner) for inner in _INNER if hasattr(candidate, "__dict__")]
    raise NotApplicable(f"the environment has no {name}{use}")
