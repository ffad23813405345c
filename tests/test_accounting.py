"""Money moves between accounts and is neither made nor lost; trading costs what it must."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena import spec
from arena.body import accounting
from arena.config import BodyConfig, LifeConfig, MarketConfig
from arena.errors import InvariantError
from tests.arenas import end_round, legal_choices, make_arena, play, quiet_market


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    markets=st.integers(1, 3),
    seats=st.integers(1, 12),
    impact=st.sampled_from([0.0, 1.0, 5.0, 80.0, 500.0]),
    fee=st.sampled_from([0.0, 10.0, 300.0]),
    cost=st.sampled_from([0.0, 50.0, 900.0]),
    apprentice=st.integers(0, 2),
    source=st.sampled_from(["franke_westerhoff", "gbm"]),
)
def test_no_scenario_makes_or_loses_money(
    seed: int, markets: int, seats: int, impact: float, fee: float, cost: float, apprentice: int, source: str
) -> None:
    """Whatever the market, the costs and the (random, partly illegal) actions: the identity holds every tick."""
    arena = make_arena(
        markets,
        seats,
        seed=seed,
        apprentice_rounds=apprentice,
        market=MarketConfig(source=source, impact_bps=impact, warmup_bars=128, crisis_hazard=0.02),  # type: ignore[arg-type]
        body=BodyConfig(fee_bps=fee, living_cost_bps=cost),
    )
    chooser = np.random.default_rng(seed)
    for round_index in range(4):
        for _ in range(20):
            arena.observe()
            arena.step(chooser.integers(0, spec.N_ACTIONS, markets * seats).astype(np.int8))
            accounting.check_conservation(arena.accounts, arena.bodies)
            ok, reason = arena.bodies.check_valid()
            assert ok, reason
        end_round(arena, round_index)


@pytest.mark.parametrize("account", ["house_cash", "fees", "estate", "house_shares"])
def test_a_minted_cent_is_found(account: str) -> None:
    """Sabotage: money or shares from nowhere stop the run and the message names the market."""
    arena = make_arena(2, 4)
    getattr(arena.accounts, account)[1] += 0.01
    with pytest.raises(InvariantError, match="market 1"):
        accounting.check_conservation(arena.accounts, arena.bodies)


def test_a_lost_cent_in_a_body_is_found() -> None:
    """Sabotage: cash that disappears from an agent is found at the next tick."""
    arena = make_arena(seats=4)
    arena.bodies.cash[2] -= 0.01
    with pytest.raises(InvariantError):
        play(arena, [0, 0, 0, 0])


@settings(max_examples=40, deadline=None)
@given(action=st.sampled_from([1, 2, 3]), fee=st.floats(0.0, 200.0), impact=st.sampled_from([0.0, 5.0, 100.0]))
def test_round_trip_at_constant_reservation_price_loses_at_least_both_fees(
    action: int, fee: float, impact: float
) -> None:
    """Buying and selling again at an unmoved market costs two fees and never less."""
    market = msgspec.structs.replace(quiet_market(), impact_bps=impact)
    arena = make_arena(seats=1, market=market, body=BodyConfig(fee_bps=fee))
    tick = play(arena, [action])
    paid = float(tick.fills.fee[0])  # type: ignore[attr-defined]
    tick = play(arena, [spec.SELL_ALL])
    paid += float(tick.fills.fee[0])  # type: ignore[attr-defined]
    assert 10_000.0 - arena.bodies.cash[0] >= paid - 1e-6
    assert paid >= 0.0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), members=st.integers(1, 6), steps=st.integers(1, 12))
def test_no_coalition_earns_from_a_closed_loop(seed: int, members: int, steps: int) -> None:
    """However a group trades at an unmoved market without fees, once all are flat it has not gained."""
    market = MarketConfig(source="gbm", volatility=1e-12, drift=0.0, warmup_bars=128, impact_bps=200.0)
    arena = make_arena(seats=members, market=market, body=BodyConfig(fee_bps=0.0))
    chooser = np.random.default_rng(seed)
    for _ in range(steps):
        _, mask = arena.observe()
        arena.step(legal_choices(mask, chooser))
    play(arena, [spec.SELL_ALL] * members)
    while (arena.bodies.shares > 0.0).any():
        play(arena, [spec.SELL_ALL] * members)
    assert arena.bodies.cash.sum() <= members * 10_000.0 + 1e-5


def test_paper_orders_never_reach_the_auction_but_cost_the_same() -> None:
    """An apprentice's order leaves the price alone, and its paper account pays fee and own impact."""
    market = MarketConfig(source="gbm", volatility=1e-12, drift=0.0, warmup_bars=128, impact_bps=100.0)
    paper = make_arena(seats=1, market=market, apprentice_rounds=5)
    real = make_arena(seats=1, market=market)
    house_before = paper.accounts.house_cash.copy()
    on_paper, in_cash = play(paper, [spec.BUY_LARGE]), play(real, [spec.BUY_LARGE])
    assert np.array_equal(paper.accounts.house_cash, house_before)
    assert on_paper.clearing.price[0] < in_cash.clearing.price[0]  # type: ignore[attr-defined]
    assert paper.bodies.shares[0] == pytest.approx(real.bodies.shares[0], rel=1e-12)
    assert paper.bodies.trust[0] == 10_000.0


@pytest.mark.parametrize("start_price", [0.5, 100.0, 20_000.0])
def test_paper_sale_pays_its_own_impact_at_any_price(start_price: float) -> None:
    """A paper sale of S shares gets p exp(-S p/Lambda): the auction's own price to second order, never better."""
    market = MarketConfig(source="gbm", volatility=1e-12, drift=0.0, warmup_bars=128, impact_bps=100.0,
                          start_price=start_price)  # fmt: skip
    paper = make_arena(seats=1, market=market, body=BodyConfig(fee_bps=0.0), apprentice_rounds=5)
    real = make_arena(seats=1, market=market, body=BodyConfig(fee_bps=0.0))
    received = []
    for arena in (paper, real):
        arena.bodies.cash[:], arena.bodies.shares[:] = 0.0, 9_000.0 / start_price
        accounting.seal_totals(arena.accounts, arena.bodies)
        play(arena, [spec.SELL_ALL])
        received.append(arena.bodies.cash[0])
    assert received[0] == pytest.approx(9_000.0 * np.exp(-0.01), rel=1e-9)
    assert received[0] <= received[1]
    assert received[0] == pytest.approx(received[1], rel=1.5e-4)


def test_dead_agents_position_is_sold_and_the_money_reaches_the_estate() -> None:
    """After death the next auction sells the shares; cash goes to the estate and the seat is free."""
    arena = make_arena(seats=2, body=BodyConfig(living_cost_bps=0.0), life=LifeConfig(ruin_fraction=1.0))
    play(arena, [spec.BUY_LARGE, spec.HOLD])
    while arena.bodies.equity[0] >= 10_000.0:
        play(arena, [spec.HOLD, spec.HOLD])
    deaths = end_round(arena, 0)
    assert [death.seat for death in deaths] == [0]
    tick = play(arena, [spec.BUY_LARGE, spec.HOLD])
    assert tick.freed_seats == [0]  # type: ignore[attr-defined]
    assert arena.bodies.agent_id.tolist() == [-1, 2]
    assert arena.accounts.estate[0] > 0.0


@pytest.mark.slow
def test_identity_holds_over_a_hundred_thousand_ticks_at_1024_seats() -> None:
    """10^5 ticks, 1,024 seats, deaths replaced by immigrants: the identity holds to 1e-9 relative at every tick."""
    from arena.body import lifecycle

    arena = make_arena(8, 128, life=LifeConfig(ruin_fraction=0.2), body=BodyConfig(living_cost_bps=5.0))
    chooser = np.random.default_rng(0)
    next_id = 2000
    for round_index in range(5000):
        for _ in range(20):
            _, mask = arena.observe()
            arena.step(legal_choices(mask, chooser))  # checks the identity itself
        end_round(arena, round_index)
        for market in range(8):
            while arena.accounts.estate[market] >= 10_000.0:
                seat = lifecycle.free_seat(arena.bodies, market, 128)
                if seat is None:
                    break
                arena.accounts.estate[market] -= 10_000.0
                next_id += 1
                lifecycle.seat_newborn(
                    arena.bodies, seat, next_id, endowment=10_000.0, birthmark=0, apprentice_rounds=1,
                    birth_round=round_index, genes=lifecycle.BodyGenes(10.0, 30.0, (0.1, 0.05, 1.0)),
                )  # fmt: skip
    assert next_id > 2100
