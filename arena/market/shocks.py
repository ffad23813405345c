"""Everything random in one round of a synthetic market, drawn at once before its first tick.

Each market and round has its own stream, so a market does not notice its neighbours and a round can be
drawn again from the state that it started with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from arena.config import MarketConfig
from arena.rng import stream

_VOLUME_SPREAD = 0.35
"""Standard deviation of the log of the background volume."""


class Path(NamedTuple):
    """Which of all possible histories a market follows; markets on the same path get the same shocks."""

    seed: int
    number: int  # of the market among those of its seed
    first_bar: int = 0  # tape only: the bar at which the warm-up begins


def paths_of(seed: int, markets: int) -> list[Path]:
    """Return the paths of an arena whose markets all differ: one seed, counted through."""
    return [Path(seed, market) for market in range(markets)]


@dataclass(slots=True)
class Shocks:
    """The exogenous part of T ticks; a row per tick, regime and crisis one row more."""

    noise: np.ndarray  # [T,F,M,K] f64 log moves of F shock families: the opening, then summed from the opening
    volume: np.ndarray  # [T,M] f64 log-normal factor with mean 1
    regime: np.ndarray  # [T+1,M] i8 sign of the drift of each bar, 0 without drift
    drift: np.ndarray  # [T,M] f64 log drift of each bar
    crisis: np.ndarray  # [T+1,M] bool, whether a crisis goes on from the bar before
    jump: np.ndarray | None  # [T,M] f64 log jump at each opening; None when crises cannot happen


def first_regime(config: MarketConfig, paths: Sequence[Path]) -> np.ndarray:
    """Return [M] i8: the sign of the drift of the first bar, either with probability one half."""
    if config.drift == 0.0:
        return np.zeros(len(paths), dtype=np.int8)
    signs = [1 if stream(path.seed, "market regime", path.number).random() < 0.5 else -1 for path in paths]
    return np.array(signs, dtype=np.int8)


def draw(
    config: MarketConfig,
    scales: np.ndarray,
    ticks: int,
    paths: Sequence[Path],
    round_index: int,
    start: tuple[np.ndarray, np.ndarray],
) -> Shocks:
    """Draw one round for every market.

    scales: [F] f64 standard deviation of a bar's log move per shock family, heavy-tailed with
    config.tail_df degrees of freedom when F > 1 (the gbm source has one Gaussian family).
    paths: [M], drawn once each. start: regime [M] i8 and crisis [M] bool of the first bar.
    """
    regime, crisis = start
    distinct = {path: order for order, path in enumerate(dict.fromkeys(paths))}
    markets, families, k = len(distinct), len(scales), config.sub_ticks
    noise = np.empty((ticks, families, markets, k))
    volume = np.empty((ticks, markets))
    uniform = np.empty((ticks, 3, markets))
    for path, market in distinct.items():
        rng = stream(path.seed, "market", path.number, round_index)
        normal = rng.standard_normal((ticks, families, k))
        if families > 1:
            # One scale for a whole bar: a heavy tail that each sub-tick drew for itself would average out.
            df = config.tail_df
            normal *= np.sqrt((df - 2.0) / rng.chisquare(df, (ticks, families, 1)))
        noise[:, :, market] = normal
        volume[:, market] = rng.standard_normal(ticks)
        uniform[:, :, market] = rng.random((ticks, 3))
    if markets < len(paths):
        twin = [distinct[path] for path in paths]
        noise, volume, uniform = noise[:, :, twin], volume[:, twin], uniform[:, :, twin]
    noise *= (scales / np.sqrt(k))[:, None, None]
    regimes = _regimes(config, regime, uniform[:, 0])
    crises, onset = _crises(config, crisis, uniform[:, 1], uniform[:, 2])
    jump = None
    if config.crisis_hazard > 0.0:
        noise *= np.where(crises[:-1] | onset, config.crisis_volatility, 1.0)[:, None, :, None]
        jump = np.where(onset, config.crisis_jump, 0.0)
    np.cumsum(noise[..., 1:], axis=-1, out=noise[..., 1:])
    volume *= _VOLUME_SPREAD
    volume -= 0.5 * _VOLUME_SPREAD**2
    return Shocks(noise, np.exp(volume), regimes, config.drift * regimes[:-1], crises, jump)


def _regimes(config: MarketConfig, first: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return [T+1,M] i8: a two-state Markov chain of signs (Hamilton 1989); u: [T,M] uniforms."""
    signs = np.empty((len(u) + 1, len(first)), dtype=np.int8)
    signs[0] = first
    signs[1:] = np.where(u < config.drift_stay, 1, -1)
    np.multiply.accumulate(signs, axis=0, out=signs)
    return signs


def _crises(
    config: MarketConfig, first: np.ndarray, u_on: np.ndarray, u_off: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return [T+1,M] bool, a crisis goes on from the bar before, and [T,M] bool, one begins at this opening."""
    on = np.empty((len(u_on) + 1, len(first)), dtype=bool)
    on[0] = first
    onset = u_on < config.crisis_hazard
    if config.crisis_hazard == 0.0:
        on[1:] = False
        return on, onset
    stays = u_off >= min(1.0, 1.0 / config.crisis_ticks)
    for t in range(len(u_on)):
        onset[t] &= ~on[t]
        on[t + 1] = (on[t] | onset[t]) & stays[t]
    return on, onset
