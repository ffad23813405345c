"""Traders for tests: bars without a market, tapes without a file, environments that are quick to open."""

from typing import Any

import numpy as np

from arena.envs.solo import TraderEnv
from arena.envs.trader.columns import N_FEATURES, REGIME
from arena.envs.trader.features import FeatureBook
from arena.envs.trader.features_one import OneFeatureBook
from arena.market.bars import Bars
from arena.market.tape import Tape

BRIEF: dict[str, Any] = {"window": 32, "max_steps": 60}
"""A configuration whose features need little warm-up."""


def bars_of(count: int, markets: int = 1, seed: int = 0) -> list[Bars]:
    """Return heavy-tailed bars with volume."""
    draw = np.random.default_rng(seed)
    moves = 0.004 * draw.standard_t(4, (count * 4, markets))
    prices = 100.0 * np.exp(np.cumsum(moves, axis=0)).reshape(count, 4, markets)
    volume = draw.lognormal(7.0, 0.4, (count, markets))
    return [
        Bars(bar[0], bar.max(axis=0), bar.min(axis=0), bar[3], traded, bar.mean(axis=0))
        for bar, traded in zip(prices, volume, strict=True)
    ]


def tape_of(count: int, seed: int = 0, first_day: str = "2010-01-01") -> Tape:
    """Return a tape of daily bars."""
    bars = bars_of(count, 1, seed)
    columns = {name: np.array([float(getattr(bar, name)[0]) for bar in bars]) for name in Bars._fields[:5]}
    days = np.datetime64(first_day) + np.arange(count)
    return Tape("bars.csv", "0" * 64, [str(day) for day in days], **columns, skipped=0)


def played(bars: list[Bars], *, one: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return raw features [T,23,M] and regime [T,M,10] of bars; `one`: by the book of a single market."""
    markets = len(bars[0].close)
    book = OneFeatureBook() if one else FeatureBook(markets)
    raw, regime = np.zeros((len(bars), N_FEATURES, markets)), np.zeros((len(bars), markets, len(REGIME)))
    for number, bar in enumerate(bars):
        book.update(bar, np.zeros(markets), (0.0, 1.0))
        raw[number], regime[number] = book.raw, book.regime
    return raw, regime


def column(bars: list[Bars], name: str) -> np.ndarray:
    """Return [T] one column of the first market."""
    return np.array([float(getattr(bar, name)[0]) for bar in bars])


def opened(seed: int = 1, **config: Any) -> TraderEnv:
    """Return a trader's environment after its reset."""
    env = TraderEnv(BRIEF | config)
    env.reset(seed=seed)
    return env
