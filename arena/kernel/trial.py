"""The trial that lets a compiled kernel in: random bodies, bars and markets played by it and by numpy, byte by byte.

A kernel that a compiler or a damaged source made wrong is refused before the first tick, in some ten milliseconds.
tests/test_kernel.py plays the same games by the hundred.
"""

import copy
import ctypes
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from arena import rng, spec
from arena.body import accounting, reward
from arena.body.state import APPRENTICE, EMPTY, ESTATE, TRADING, Accounts, Bodies
from arena.config import BodyConfig, LifeConfig, MarketConfig, RewardConfig, ScarConfig
from arena.errors import InvariantError
from arena.kernel.market import KernelMarket
from arena.kernel.phases import KernelPhases
from arena.kernel.senses import KernelSenses
from arena.market.background import Market
from arena.market.bars import Bars
from arena.market.clearing import Clearing
from arena.phases import NumpyPhases, Rules
from arena.senses.indicators import LOOKBACK, MarketSenses

_REWARD: Final = RewardConfig(benchmark_weight=0.5, reference_volatility=0.013)
RULES: Final = Rules(BodyConfig(max_weight=0.8, min_notional=800.0), ScarConfig(), LifeConfig(), _REWARD)
PRICE: Final = 100.0
CRISES: Final = MarketConfig(crisis_hazard=0.2, crisis_ticks=3.0, collar=0.004, warmup_bars=128, drift=0.001)

Story = Iterator[tuple[str, Any]]
"""(phase, what came of it), in the order of a tick."""


def random_bodies(draw: np.random.Generator, markets: int, seats: int) -> Bodies:
    """Return bodies of every kind, whose columns need not fit each other: a phase takes what it finds."""
    count = markets * seats
    bodies = Bodies.allocate(count)
    bodies.status[:] = draw.choice((EMPTY, APPRENTICE, TRADING, TRADING, ESTATE), count)
    bodies.agent_id[:] = np.where(bodies.status == EMPTY, -1, np.arange(count) + 1)

    def some(share: float, values: np.ndarray) -> np.ndarray:
        return np.where(draw.random(count) < share, values, 0)

    bodies.cash[:] = some(0.9, 1e4 * draw.lognormal(size=count))
    bodies.shares[:] = some(0.6, 50.0 * draw.lognormal(size=count))
    bodies.entry_price[:] = some(0.9, PRICE * draw.lognormal(0.0, 0.1, count))
    bodies.trust[bodies.status == APPRENTICE] = 1e4
    bodies.arrears[:] = some(0.2, 100.0 * draw.random(count))
    bodies.equity[:] = 2e4 * draw.lognormal(size=count) - 5e3
    bodies.reward_equity[:] = bodies.equity * draw.lognormal(0.0, 0.05, count)
    bodies.peak_equity[:] = some(0.9, np.abs(bodies.equity) * (0.9 + draw.random(count)))
    bodies.drawdown[:] = draw.random(count)
    for column, top in (
        (bodies.damage, 130), (bodies.drawdown_step, 4), (bodies.closed_trades, 30), (bodies.won_trades, 20),
        (bodies.paper_trades, 9), (bodies.paper_wins, 5), (bodies.holding_ticks, 70), (bodies.age_rounds, 700),
    ):  # fmt: skip
        column[:] = draw.integers(0, top, count)
    bodies.pending_scar_points[:] = some(0.2, draw.integers(1, 20, count))
    bodies.trade_profit[:] = some(0.5, 100.0 * draw.standard_normal(count))
    bodies.round_fees[:] = draw.random(count)
    bodies.position_scale[:] = 10.0 * draw.lognormal(size=count)
    bodies.stop_atr[:] = draw.choice((0.5, 3.0, 1e15), count)
    bodies.reward_weights[:] = draw.random((count, 3))
    return bodies


def tick(phases: NumpyPhases, senses: MarketSenses, draw: np.random.Generator) -> Story:
    """Yield what every phase of one tick leaves behind; equal draws give equal inputs."""
    markets, population = phases.markets, phases.population
    bodies, accounts = phases.bodies, phases.accounts
    phases.observe(senses)
    phases.allow(senses.close)
    yield "observe", (phases.obs, phases.mask, *phases.limits)
    past, any_action = reward.before(bodies, phases.rules.reward), draw.integers(0, spec.N_ACTIONS, population)
    legal = (draw.random(phases.mask.shape) * phases.mask).argmax(axis=1)
    actions = np.where(draw.random(population) < 0.8, legal, any_action)
    stop = phases.stops(senses.close, senses.atr)
    orders = phases.decide(actions.astype(np.int8), senses.close, stop)
    yield "decide", (*orders, bodies.invalid_actions)
    yield "totals", phases.totals(orders)
    noise = draw.standard_normal((2, population))  # sums near 0 show in which order they were added up
    yield "totals", phases.totals(orders._replace(buy_cash=noise[0], sell_shares=noise[1]))
    price, fills = PRICE * draw.lognormal(0.0, 0.1, markets), draw.random((2, markets))
    collared = draw.random((2, markets)) < 0.3
    buy_fill, sell_fill = np.where(collared, fills, 1.0)
    clearing = Clearing(price, np.log(price), buy_fill, sell_fill, collared[0] | collared[1])
    try:
        yield "settle", (*phases.settle(orders, clearing, np.full(markets, 2e7)), *_all(bodies), *_all(accounts))
    except InvariantError as error:
        yield "settle", str(error)
    yield "pay_arrears", (phases.pay_arrears(), *_all(bodies), *_all(accounts))
    phases.mark(price * draw.lognormal(0.0, 0.05, markets))
    yield "mark", _all(bodies)
    for tampered in (False, True):
        if not tampered:
            accounting.seal_totals(accounts, bodies)
            accounts.cash_total -= accounts.patron + accounts.transfers
        else:
            accounts.fees += 0.01
        try:
            phases.check()
            yield "check", "balanced"
        except InvariantError as error:
            yield "check", str(error)
    yield "reward", (*phases.reward(past, draw.normal(0.0, 0.02, markets)), *_all(bodies))


def _all(state: Any) -> list[np.ndarray]:
    return [getattr(state, field.name) for field in dataclasses.fields(state)]


def phases_differ(kernel: ctypes.CDLL, markets: int, seats: int, key: int, rules: Rules = RULES) -> str:
    """Return the first phase of a random tick that comes out otherwise in C, "" if none does."""
    draw = rng.stream(key, "trial", markets, seats)
    bodies, accounts, senses = random_bodies(draw, markets, seats), Accounts.allocate(markets), MarketSenses(markets)
    for column in _all(accounts):
        column[:] = 1e5 * draw.random(markets)
    for _ in range(3):
        senses.update(random_bars(draw, markets))
    state = draw.integers(2**31)
    ours = KernelPhases(copy.deepcopy(bodies), copy.deepcopy(accounts), rules, kernel)
    stories = [
        tick(phases, senses, rng.stream(int(state), "tick")) for phases in (ours, NumpyPhases(bodies, accounts, rules))
    ]
    return _first_difference(*stories)


def random_bars(draw: np.random.Generator, markets: int) -> Bars:
    """Return one bar of every market."""
    rows = np.sort(PRICE * draw.lognormal(0.0, 0.02, (5, markets)), axis=0)
    if draw.random() < 0.1:
        rows[:] = rows[0]  # nothing moves
    close = rows[draw.integers(0, 5), :].copy()
    return Bars(rows[1].copy(), rows[4].copy(), rows[0].copy(), close, 1e4 * draw.random(markets), rows[2].copy())


def senses_differ(kernel: ctypes.CDLL, markets: int, bars: int, key: int, seen: int = 0) -> str:
    """Return "senses" if bars are taken in otherwise in C; seen: bars that came before, made up."""
    draw = rng.stream(key, "trial senses", markets)
    slow, quick = MarketSenses(markets), KernelSenses(markets, kernel)
    if seen:
        state = slow.state
        state.bars_seen[0], state.close[:] = seen, PRICE
        state.history[:] = np.log(PRICE) + draw.normal(0.0, 0.1, state.history.shape)
        state.history[2] = 1e4 * draw.random(state.history.shape[1:])
        state.averages[:] = PRICE * draw.random(state.averages.shape)
        for name in state.__slots__:
            getattr(quick.state, name)[...] = getattr(state, name)
    for _ in range(bars):
        newest = random_bars(draw, markets)
        for senses in (slow, quick):
            senses.update(newest)
        if _bytes(_all(slow.state)) != _bytes(_all(quick.state)):
            return "senses"
    return ""


def market_differs(kernel: ctypes.CDLL, markets: int, ticks: int, key: int, config: MarketConfig = CRISES) -> str:
    """Return what is formed otherwise in C in one round under random orders, "" if nothing is."""
    slow = Market(config, markets, ticks, key, 1e4)
    quick = KernelMarket(config, markets, ticks, key, 1e4, None, kernel)

    def round_of(market: Market) -> Story:
        draw = rng.stream(key, "trial orders")
        market.begin_round(0)
        for _ in range(ticks):
            m = market.reserve()
            yield "reserve", m
            size = 10.0 ** draw.uniform(1.0, 7.5, (2, markets)) * (draw.random((2, markets)) < 0.8)
            clearing = market.clear(m, size[0], size[1] / PRICE)
            yield "clear", clearing
            yield "roll_bar", (*market.roll_bar(clearing, size[0], size[1]), *_all(market.state))

    return _first_difference(round_of(slow), round_of(quick))


def _first_difference(one: Story, other: Story) -> str:
    for (phase, ours), (_, theirs) in zip(one, other, strict=True):
        if _bytes(ours) != _bytes(theirs):
            return phase
    return ""


def _bytes(found: Any) -> Any:
    """Return what makes two outcomes equal: types, shapes and bytes of arrays."""
    if isinstance(found, np.ndarray):
        found = (found,)
    if isinstance(found, tuple | list):
        return [(array.dtype, array.shape, array.tobytes()) for array in found]
    return found


def differing(kernel: ctypes.CDLL) -> str:
    """Return what a compiled kernel computes otherwise than numpy, "" if nothing."""
    games: tuple[Callable[[], str], ...] = (
        lambda: phases_differ(kernel, 1, 7, 1),
        lambda: phases_differ(kernel, 2, 300, 2),
        lambda: senses_differ(kernel, 1, 12, 4),
        lambda: senses_differ(kernel, 3, 8, 5, 2 * LOOKBACK - 4),
        lambda: market_differs(kernel, 1, 8, 6),
        lambda: market_differs(kernel, 16, 4, 7, MarketConfig(collar=1.0)),
    )
    return next((found for game in games if (found := game())), "")
