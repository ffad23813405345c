"""One book with several instruments: a trader for each, and limits over all of them together.

Recorded bars are played at the times that all tapes have, so that what happens in one step happened at one time.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from arena.envs.episodes import Episodes, fresh_root
from arena.envs.risk_manager import EVENTS
from arena.envs.solo import with_steps
from arena.envs.solo_vector import TraderVectorEnv
from arena.envs.trader.columns import BLOCKS, Observation
from arena.envs.trader.config import TraderConfig, trader_config
from arena.envs.trader.desk import Desk
from arena.envs.trader.portfolio import PortfolioRisk
from arena.envs.vector import checked_actions
from arena.errors import ActionError, ConfigError, DataError
from arena.market.tape import Tape

Symbol = Tape | Mapping[str, Any] | None
"""A tape, or the market of a synthetic instrument: fields of MarketConfig; None: as the configuration says."""


class SymbolsVectorEnv(VectorEnv[Observation, np.ndarray, np.ndarray]):
    """A vector environment with one named instrument a sub-environment, as `TraderVectorEnv` with limits over all.

    symbols: {name: a Tape, or fields of MarketConfig of a synthetic instrument}; all tapes or none. Every instrument
    has an account of its own; `max_exposure`, `max_correlation` and `value_at_risk` of config.risk hold for the sum of
    them (the last one for each of them as well). A buy that they forbid is masked and executes as HOLD; `risk_events`
    says so.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - the base class declares it so
        "autoreset_mode": AutoresetMode.NEXT_STEP,
        "render_modes": [],
    }

    def __init__(
        self,
        symbols: Mapping[str, Symbol],
        config: TraderConfig | Mapping[str, Any] | str | None = None,
        *,
        max_steps: int | None = None,
    ) -> None:
        """Check everything; the first markets are opened by `reset`."""
        if not symbols:
            raise ConfigError("symbols: there is none; give {name: tape} or {name: {field of market: value}}")
        self.config = with_steps(trader_config(config), max_steps)
        self.symbols = tuple(symbols)
        tapes = {name: symbol for name, symbol in symbols.items() if isinstance(symbol, Tape)}
        if tapes and len(tapes) < len(symbols):
            raise ConfigError("symbols: tapes and synthetic instruments share no clock; give tapes only, or none")
        self._taped = bool(tapes)
        if tapes:
            self._traders = [TraderVectorEnv(1, self.config, tape=tape) for tape in aligned(tapes)]
        else:
            self._traders = [TraderVectorEnv(1, _market(self.config, name, symbols[name])) for name in symbols]
        first = self._traders[0]
        self.num_envs = len(self._traders)
        self.single_observation_space, self.single_action_space = (
            first.single_observation_space, first.single_action_space,
        )  # fmt: skip
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._risk: PortfolioRisk | None = None

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin new episodes. Tapes share one seed, so that all have the same window; synthetic i gets seed + i."""
        if isinstance(seed, list):
            raise ConfigError("reset: the instruments are one book, so they share one seed; give an integer")
        first = None if seed is None else Episodes().next_seed(seed)
        super().reset(seed=first)
        given = [None if first is None else first + (0 if self._taped else place) for place in range(self.num_envs)]
        if first is None and self._risk is None and self._taped:
            given = [fresh_root()] * self.num_envs
        seen = [trader.reset(seed=one) for trader, one in zip(self._traders, given, strict=True)]
        self._risk = PortfolioRisk(self.config, given[0] or 0)
        infos = _merged([info for _, info in seen])
        infos["action_mask"] = self.action_masks().astype(np.int8)
        return _stacked([observation for observation, _ in seen]), infos

    def step(self, actions: np.ndarray) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Play one bar with actions [K]; returns as TraderVectorEnv.step does."""
        chosen = checked_actions(actions, self.num_envs)
        desks, risk = self._opened()
        legal = np.concatenate([desk.mask for desk in desks])
        allowed, vetoed = risk.veto(chosen, legal, *_book(desks, self.config))
        played = [trader.step(allowed[place : place + 1]) for place, trader in enumerate(self._traders)]
        infos = _merged([result[4] for result in played])
        if "risk_events" in infos:
            infos["risk_events"] = {
                name: infos["risk_events"][name] | vetoed[:, place] for place, name in enumerate(EVENTS)
            }
            infos["invalid"] = infos["invalid"] | vetoed.any(axis=1)
        infos["action_mask"] = self.action_masks().astype(np.int8)
        rewards, terminations, truncations = (np.concatenate([result[part] for result in played]) for part in (1, 2, 3))
        return _stacked([result[0] for result in played]), rewards, terminations, truncations, infos

    def action_masks(self) -> np.ndarray:
        """Return [K,7] bool, what is legal now, were it the only order."""
        desks, risk = self._opened()
        legal = np.concatenate([desk.mask for desk in desks])
        found: np.ndarray = legal & (risk.refused(*_book(desks, self.config)) < 0)
        return found

    def change_future(self, after: int) -> None:
        """Right after `reset`: let everything later than tick `after` be different (see arena.envs.auditing)."""
        self._opened()
        for trader in self._traders:
            trader.change_future(after)

    def books(self) -> dict[str, tuple[float, float]]:
        """Return {account: (have, should)} of every instrument."""
        return {
            f"{name}: {account}": sums
            for name, trader in zip(self.symbols, self._traders, strict=True)
            for account, sums in trader.books().items()
        }

    def _opened(self) -> tuple[list[Desk], PortfolioRisk]:
        desks = [trader.desk for trader in self._traders if trader.desk is not None]
        if self._risk is None or len(desks) < self.num_envs:
            raise ActionError("the markets are not open: reset first")
        return desks, self._risk

    def close_extras(self, **kwargs: Any) -> None:
        """Let go of the markets."""
        for trader in self._traders:
            trader.close()


def aligned(tapes: Mapping[str, Tape]) -> list[Tape]:
    """Return the tapes with only the bars at times that all of them have. Raises DataError when there are none."""
    common = set.intersection(*(set(tape.times) for tape in tapes.values()))
    if not common:
        raise DataError(f"symbols: {', '.join(tapes)} have no bar at the same time; give tapes of one period and clock")
    return [_only(tape, common) for tape in tapes.values()]


def _only(tape: Tape, times: set[str]) -> Tape:
    keep = np.array([time in times for time in tape.times])
    columns = {name: getattr(tape, name)[keep] for name in ("open", "high", "low", "close", "volume")}
    return dataclasses.replace(tape, times=[time for time in tape.times if time in times], **columns)


def _market(config: TraderConfig, name: str, symbol: Symbol) -> TraderConfig:
    """Return the configuration with a symbol's own market."""
    if symbol is None:
        return config
    if not isinstance(symbol, Mapping):
        raise ConfigError(f"symbols: {name!r} is {symbol!r}; give a tape, or {{field of market: value}}")
    plain: dict[str, Any] = msgspec.to_builtins(config)
    plain["market"] = plain["market"] | dict(symbol)
    return trader_config(plain)


def _book(desks: list[Desk], config: TraderConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return exposure [K], equity [K] and returns [K,n] of the instruments."""
    exposure = np.array([float(desk.bodies.shares[0] * desk.sight.close[0]) for desk in desks])
    equity = np.array([float(desk.bodies.equity[0]) for desk in desks])
    return exposure, equity, np.concatenate([desk.sight.returns(config.risk.var_bars) for desk in desks])


def _stacked(observations: list[Observation]) -> Observation:
    return {block: np.concatenate([observation[block] for observation in observations]) for block in BLOCKS}


def _merged(infos: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the infos of several vector environments as those of one."""
    merged: dict[str, Any] = {}
    for key in infos[0]:
        values = [info[key] for info in infos]
        merged[key] = _merged(values) if isinstance(values[0], dict) else np.concatenate(values)
    return merged
