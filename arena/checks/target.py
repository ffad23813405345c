"""Environments by name: MODULE:NAME, a Gymnasium id, or one of the built-in ones."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from arena.errors import ConfigError

LIVELY: Final[dict[str, dict[str, Any]]] = {
    "arena": {"markets": 1, "seats": 12, "ticks_per_round": 5},
    "market": {"drift": 0.006, "warmup_bars": 128},
    "life": {
        "spawn_wealth": 1.05, "spawn_min_trades": 0, "spawn_min_win_rate": 0.0, "spawn_cooldown_rounds": 3,
        "spawn_max_severe": 9, "ruin_fraction": 0.02, "immigration_per_round": 2.0, "patron": True,
        "founder_apprentice_rounds": 0, "heir_apprentice_rounds": 0,
    },
    "scars": {"fatal_points": 14, "drawdown_step": 0.01, "severe_points": 9},
}  # fmt: skip
"""A small market in which people are born and die every few rounds, so that births and deaths are checked."""


@dataclass(frozen=True, slots=True)
class Target:
    """An environment that can be made again and again, here and in another process."""

    name: str  # MODULE:NAME, or a Gymnasium id
    keywords: Mapping[str, Any] = field(default_factory=dict)  # plain values: they travel as JSON
    label: str = ""

    def make(self, **more: Any) -> Any:
        """Return a new environment; its own errors pass through."""
        return self.factory()(**{**self.keywords, **more})

    def factory(self) -> Callable[..., Any]:
        """Return what makes the environment. Raises ConfigError where the name leads nowhere."""
        module_name, colon, name = self.name.partition(":")
        if not colon:
            return _registered(self.name)
        try:
            found = importlib.import_module(module_name)
        except ImportError as problem:
            raise ConfigError(
                f"check {self.name}: cannot import {module_name!r} ({problem}); give MODULE:ENV"
            ) from None
        for part in name.split("."):
            if not hasattr(found, part):
                raise ConfigError(f"check {self.name}: {module_name!r} has no {name!r}; give MODULE:ENV")
            found = getattr(found, part)
        if not callable(found):
            raise ConfigError(f"check {self.name}: {name!r} cannot be called; name a class or a function")
        return found

    def accepts(self, keyword: str) -> bool:
        """Return whether the factory takes a keyword."""
        try:
            parameters = inspect.signature(self.factory()).parameters
        except (TypeError, ValueError):
            return False
        return keyword in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())

    @property
    def title(self) -> str:
        """What a report calls it."""
        return self.label or self.name


def _registered(name: str) -> Callable[..., Any]:
    """Return a maker of the environment that Gymnasium knows under `name`."""
    import gymnasium

    import arena.envs  # noqa: F401 - registers ours

    if name not in gymnasium.registry:
        raise ConfigError(f"check {name}: neither MODULE:ENV nor an id that Gymnasium knows")

    def make(**keywords: Any) -> Any:
        return gymnasium.make(name, **keywords)

    return make


def lively_vector(**keywords: Any) -> Any:
    """Return the vector environment on the lively market, which needs no patron: slots are kept full."""
    from arena.envs.population import population_config
    from arena.envs.vector import LineageVectorEnv

    life = LIVELY["life"] | {"immigration_per_round": 0.9, "patron": False}
    return LineageVectorEnv(population_config(LIVELY | {"life": life}), **keywords)


def built_in() -> list[Target]:
    """Return our own environments, on a market in which people are born and die."""
    import gymnasium

    import arena.envs  # noqa: F401 - registers ours

    lively: dict[str, Any] = {"config": LIVELY, "max_births": 900}
    module = "arena.envs.lineage_arena_v0"
    found = [
        Target(f"{module}:parallel_env", {}, "parallel, as it comes"),
        Target(f"{module}:parallel_env", lively, "parallel, births and deaths"),
        Target(f"{module}:parallel_env", lively | {"action_mask": "obs"}, "parallel, mask in the observation"),
        Target(f"{module}:env", lively, "turns (AEC)"),
        Target("arena.checks.target:lively_vector", {}, "vector"),
    ]
    return found + [Target(name) for name in ("lineage/Trader-v0",) if name in gymnasium.registry]
