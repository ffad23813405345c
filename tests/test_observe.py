"""Observations equal their formulas, stay in bounds, and hold nothing of bars to come."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from arena.body.state import APPRENTICE, EMPTY, ESTATE, TRADING, Bodies
from arena.market.bars import Bars
from arena.senses.indicators import MarketSenses
from arena.senses.observe import observe
from arena.spec import CLIP, COLUMN_INDEX, COLUMNS, N_MARKET, OBS_DIM, OWN_COLUMNS

ENDOWMENT = 10_000.0


def random_bodies(rng: np.random.Generator, seats: int) -> Bodies:
    """Return seats in every state and condition, rich, ruined, flat and invested."""
    bodies = Bodies.allocate(seats)
    bodies.status[:] = rng.choice([EMPTY, APPRENTICE, TRADING, TRADING, TRADING, ESTATE], seats)
    bodies.agent_id[:] = np.where(bodies.status == EMPTY, -1, np.arange(seats))
    bodies.cash[:] = ENDOWMENT * rng.lognormal(-1.0, 1.0, seats)
    bodies.shares[:] = rng.lognormal(3.0, 1.0, seats) * (rng.random(seats) < 0.6)
    bodies.entry_price[:] = np.where(bodies.shares > 0.0, 100.0 * rng.lognormal(0.0, 0.1, seats), 0.0)
    bodies.equity[:] = bodies.cash + bodies.shares * 100.0 - rng.choice([0.0, 50.0, 1e5], seats, p=[0.8, 0.1, 0.1])
    bodies.peak_equity[:] = np.maximum(bodies.equity, ENDOWMENT) * rng.uniform(1.0, 1.5, seats)
    bodies.damage[:] = rng.integers(0, 100, seats)
    bodies.closed_trades[:] = rng.integers(0, 60, seats)
    bodies.won_trades[:] = (bodies.closed_trades * rng.random(seats)).astype(np.int32)
    bodies.paper_trades[:] = rng.integers(0, 60, seats)
    bodies.paper_wins[:] = (bodies.paper_trades * rng.random(seats)).astype(np.int32)
    bodies.age_rounds[:] = rng.integers(0, 900, seats)
    bodies.holding_ticks[:] = rng.integers(0, 90, seats) * (bodies.shares > 0.0)
    return bodies


def reference_row(bodies: Bodies, seat: int, price: float, sd: float) -> dict[str, float]:
    """Return the own columns of one living seat, one scalar formula each."""
    equity = max(float(bodies.equity[seat]), 0.001 * ENDOWMENT)
    peak = max(float(bodies.peak_equity[seat]), equity)
    paper = bodies.status[seat] == APPRENTICE
    wins = int((bodies.paper_wins if paper else bodies.won_trades)[seat])
    trades = int((bodies.paper_trades if paper else bodies.closed_trades)[seat])
    shares, damage = float(bodies.shares[seat]), float(bodies.damage[seat])
    row = {
        "weight": shares * price / equity,
        "cash_share": float(bodies.cash[seat]) / equity,
        "unrealised": math.log(price / float(bodies.entry_price[seat])) / (10.0 * sd) if shares > 0.0 else 0.0,
        "drawdown": -10.0 * (1.0 - equity / peak),
        "log_wealth": math.log(equity / ENDOWMENT),
        "win_rate": 2.0 * (wins + 5) / (trades + 10) - 1.0,
        "age": min(int(bodies.age_rounds[seat]) / 500.0, 1.0),
        "damage": damage / 100.0,
        "fee_multiplier": 0.0 if paper else damage / 100.0,
        "holding_time": min(int(bodies.holding_ticks[seat]) / 50.0, 1.0),
        "apprentice": 1.0 if paper else 0.0,
    }
    return {name: max(-CLIP, min(CLIP, value)) for name, value in row.items()}


def scene(seed: int, markets: int, seats: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, Bodies]:
    """Return (columns, close, sigma, bodies) of a random moment."""
    rng = np.random.default_rng(seed)
    columns = rng.uniform(-CLIP, CLIP, (markets, N_MARKET)).astype(np.float32)
    close, sigma = 100.0 * rng.lognormal(0.0, 0.2, markets), rng.uniform(0.002, 0.03, markets)
    return columns, close, sigma, random_bodies(rng, markets * seats)


def seen(columns: np.ndarray, close: np.ndarray, sigma: np.ndarray, bodies: Bodies) -> np.ndarray:
    """Return the observation in a fresh array that was full of NaN."""
    out = np.full((len(bodies.cash), OBS_DIM), np.nan, dtype=np.float32)
    observe(columns, close, sigma, bodies, ENDOWMENT, out)
    return out


def test_every_own_column_equals_its_scalar_formula() -> None:
    """Each of the 11 own columns, in every living seat of 40 x 3."""
    columns, close, sigma, bodies = scene(1, markets=3, seats=40)
    out = seen(columns, close, sigma, bodies)
    living = np.flatnonzero((bodies.status == APPRENTICE) | (bodies.status == TRADING))
    assert {APPRENTICE, TRADING} == set(bodies.status[living].tolist())
    for seat in living.tolist():
        expected = reference_row(bodies, seat, float(close[seat // 40]), float(sigma[seat // 40]))
        assert list(expected) == [column.name for column in OWN_COLUMNS]
        for name, value in expected.items():
            assert out[seat, COLUMN_INDEX[name]] == pytest.approx(value, rel=1e-6, abs=1e-6), (seat, name)


def test_market_columns_are_those_of_the_own_market() -> None:
    """Seat p sees market p // S."""
    columns, close, sigma, bodies = scene(2, markets=4, seats=6)
    bodies.status[:] = TRADING
    out = seen(columns, close, sigma, bodies)
    assert np.array_equal(out[:, :N_MARKET], np.repeat(columns, 6, axis=0))


def test_observations_are_float32_finite_and_bounded() -> None:
    """Even for accounts that are worse than ruined."""
    out = seen(*scene(3, markets=2, seats=200))
    assert out.dtype == np.float32
    assert np.all(np.isfinite(out))
    assert np.abs(out).max() <= CLIP
    assert np.abs(out).max(axis=0).min() > 0.0, f"dead column: {COLUMNS[int(np.abs(out).max(axis=0).argmin())].name}"


def test_free_seats_and_estates_see_zeros() -> None:
    """And the living do not."""
    columns, close, sigma, bodies = scene(4, markets=2, seats=30)
    out = seen(columns, close, sigma, bodies)
    dead = (bodies.status == EMPTY) | (bodies.status == ESTATE)
    assert 0 < dead.sum() < 60
    assert not out[dead].any()
    assert out[~dead].any(axis=1).all()


def test_a_row_depends_on_neither_its_position_nor_its_neighbours() -> None:
    """A seat observed alone has the same bytes as among 24, and a market as among 3."""
    columns, close, sigma, bodies = scene(5, markets=3, seats=8)
    out = seen(columns, close, sigma, bodies)
    fields = Bodies.__dataclass_fields__
    for part, m in ((slice(8, 16), 1), (slice(21, 22), 2)):
        alone = Bodies(**{name: getattr(bodies, name)[part].copy() for name in fields})
        one = slice(m, m + 1)
        assert seen(columns[one], close[one], sigma[one], alone).tobytes() == out[part].tobytes()


Senses = Callable[[Bars], np.ndarray]


def walk(seed: int, ticks: int) -> Bars:
    """Return one market's bars, fields [T,1]."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(0.01 * rng.standard_normal((ticks, 1)), axis=0))
    spread = np.exp(0.004 * rng.random((ticks, 1)))
    return Bars(close, close * spread, close / spread, close, 1000.0 * rng.random((ticks, 1)), close)


def honest(path: Bars) -> np.ndarray:
    """Return [T,P,OBS_DIM]: what eight fixed bodies see after each bar."""
    senses, rows = MarketSenses(1), []
    bodies = random_bodies(np.random.default_rng(6), 8)
    bodies.status[:] = TRADING
    for t in range(len(path.close)):
        senses.update(Bars(*(field[t] for field in path)))
        rows.append(seen(senses.columns(np.full(1, 0.5)), senses.close, senses.sigma, bodies))
    return np.array(rows)


def leaking_columns(path: Bars) -> np.ndarray:
    """Return observations whose every row is already the next bar's."""
    rows = honest(path)
    return np.concatenate([rows[1:], rows[-1:]])


def leaking_high(path: Bars) -> np.ndarray:
    """Return observations of bars whose high knows the next bar's close."""
    ahead = np.concatenate([path.close[1:], path.close[-1:]])
    return honest(path._replace(high=np.maximum(path.high, ahead)))


def sees_the_future(senses: Senses, path: Bars, t: int) -> bool:
    """Say whether anything up to bar t changes when every later bar does."""
    rng = np.random.default_rng(7)
    factor = 1.02 + 0.1 * rng.random((len(path.close) - t - 1, 1))
    other = Bars(*(np.concatenate([field[: t + 1], field[t + 1 :] * factor]) for field in path))
    return senses(path)[: t + 1].tobytes() != senses(other)[: t + 1].tobytes()


@pytest.mark.parametrize("t", [0, 50, 130, 257])
def test_no_observation_sees_a_later_bar(t: int) -> None:
    """Perturb every bar after t: the observations up to t are the same bytes."""
    assert not sees_the_future(honest, walk(8, 300), t)


@pytest.mark.parametrize("leak", [leaking_columns, leaking_high])
def test_a_planted_leak_of_one_bar_is_caught(leak: Senses) -> None:
    """Sabotage: the same check fails when a row or a single field knows one bar too much."""
    assert all(sees_the_future(leak, walk(8, 300), t) for t in (0, 50, 130, 257))
