"""Ready-made environments for learners of other libraries: one line each."""

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

from arena.envs.registration import TRADER
from arena.envs.solo_symbols import Symbol, SymbolsVectorEnv
from arena.envs.solo_vector import TraderVectorEnv
from arena.envs.trader.config import TraderConfig
from arena.errors import ConfigError

__all__ = ["make_multi_symbol_vec_env", "make_parallel_env", "make_sequential_env", "make_vec_trading_env"]


def make_vec_trading_env(num_envs: int, **given: Any) -> TraderVectorEnv:
    """Return `num_envs` solo traders in one process, markets batched as arrays; arguments: see TraderVectorEnv."""
    return TraderVectorEnv(num_envs, **given)


def make_multi_symbol_vec_env(
    symbols: Mapping[str, Symbol],
    config: TraderConfig | Mapping[str, Any] | str | None = None,
    *,
    max_steps: int | None = None,
) -> SymbolsVectorEnv:
    """Return one trader an instrument, with exposure, correlation and value-at-risk limits over all of them."""
    return SymbolsVectorEnv(symbols, config, max_steps=max_steps)


def make_parallel_env(num_envs: int, **given: Any) -> AsyncVectorEnv:
    """Return `num_envs` solo traders in a process each: for learners whose own wrappers need `TraderEnv`."""
    return AsyncVectorEnv(_makers(num_envs, given))


def make_sequential_env(num_envs: int, **given: Any) -> SyncVectorEnv:
    """Return `num_envs` solo traders one after another in this process: the plain reference of the other two."""
    return SyncVectorEnv(_makers(num_envs, given))


def _makers(num_envs: int, given: dict[str, Any]) -> list[Callable[[], gymnasium.Env[Any, Any]]]:
    if num_envs < 1:
        raise ConfigError(f"num_envs: {num_envs} is below 1; ask for one market or more")
    # with the module's name, so that a spawned process registers it too
    return [lambda: gymnasium.make(f"arena.envs:{TRADER}", **given)] * num_envs
