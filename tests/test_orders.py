"""What is legal, how large an order is, and who is forced to sell."""

import numpy as np
import pytest

from arena import spec
from arena.config import BodyConfig
from tests.arenas import make_arena, play, quiet_market


def test_fresh_agent_may_open_but_not_sell_or_add() -> None:
    """A flat agent has the three buys and HOLD."""
    arena = make_arena(seats=1)
    _, mask = arena.observe()
    assert mask[0].tolist() == [True, True, True, True, False, False, False]


def test_invested_agent_may_sell_or_add_but_not_open() -> None:
    """An invested agent has HOLD, both sales and ADD."""
    arena = make_arena(seats=1)
    play(arena, [spec.BUY_MEDIUM])
    _, mask = arena.observe()
    assert mask[0].tolist() == [True, False, False, False, True, True, True]


def test_empty_seat_may_only_hold() -> None:
    """Nobody sits there, so nothing but HOLD is legal."""
    arena = make_arena(seats=2, empty=1)
    _, mask = arena.observe()
    assert mask[1].tolist() == [True] + [False] * 6


@pytest.mark.parametrize(("action", "fraction"), [(1, 0.25), (2, 0.6), (3, 0.9)])
def test_buy_sizes_are_fractions_of_scaled_equity(action: int, fraction: float) -> None:
    """BUY_SMALL, MEDIUM, LARGE open with .025, .06, .09 times position_scale 10 times equity."""
    arena = make_arena(seats=1, market=quiet_market())
    play(arena, [action])
    value = arena.bodies.shares[0] * arena.senses.close[0]
    assert value == pytest.approx(fraction * 10_000, rel=1e-3)


def test_sell_partial_sells_half_and_sell_all_sells_everything() -> None:
    """Half of the shares, then all of them."""
    arena = make_arena(seats=1)
    play(arena, [spec.BUY_MEDIUM])
    held = float(arena.bodies.shares[0])
    play(arena, [spec.SELL_PARTIAL])
    assert arena.bodies.shares[0] == pytest.approx(held / 2)
    play(arena, [spec.SELL_ALL])
    assert arena.bodies.shares[0] == 0.0


def test_sell_partial_sells_everything_when_the_rest_would_be_below_the_minimum() -> None:
    """No dust is left behind."""
    arena = make_arena(seats=1, body=BodyConfig(min_notional=1500.0), market=quiet_market())
    play(arena, [spec.BUY_SMALL])
    play(arena, [spec.SELL_PARTIAL])
    assert arena.bodies.shares[0] == 0.0


def test_illegal_action_becomes_hold_and_is_counted() -> None:
    """SELL_ALL while flat does nothing but raise the counter."""
    arena = make_arena(seats=2)
    tick = play(arena, [spec.SELL_ALL, spec.HOLD])
    assert tick.orders.executed.tolist() == [spec.HOLD, spec.HOLD]  # type: ignore[attr-defined]
    assert arena.bodies.invalid_actions.tolist() == [1, 0]


def test_an_order_never_spends_more_than_cash_allows() -> None:
    """Buying and adding until nothing is left keeps cash at zero or above."""
    arena = make_arena(seats=1, market=quiet_market())
    play(arena, [spec.BUY_LARGE])
    for _ in range(10):
        play(arena, [spec.ADD_TO_POSITION])
        assert arena.bodies.cash[0] >= 0.0
    assert arena.bodies.cash[0] < arena.config.body.min_notional


def test_unpaid_living_cost_forces_a_sale_at_the_next_auction() -> None:
    """An agent without cash cannot hold on: half of its position is sold and its arrears are paid."""
    arena = make_arena(seats=1, market=quiet_market())
    play(arena, [spec.BUY_LARGE])
    arena.accounts.estate[0] += arena.bodies.cash[0]  # its cash goes elsewhere, but not out of the world
    arena.bodies.cash[0] = 0.0
    arena.bodies.arrears[0] = 50.0
    held = float(arena.bodies.shares[0])
    tick = play(arena, [spec.HOLD])
    assert tick.orders.liquidated[0]  # type: ignore[attr-defined]
    assert arena.bodies.shares[0] == pytest.approx(held / 2)
    assert arena.bodies.arrears[0] == 0.0
    assert np.isclose(arena.bodies.damage[0], arena.config.scars.moderate_points)


def test_stop_sells_at_the_auction_and_not_at_the_stop_price() -> None:
    """A fallen market fires the stop; the fill is the next auction's price."""
    arena = make_arena(seats=1, market=quiet_market())
    play(arena, [spec.BUY_MEDIUM])
    arena.bodies.stop_atr[0] = 2.0
    arena.bodies.entry_price[0] = 1.2 * float(arena.senses.close[0])
    tick = play(arena, [spec.HOLD])
    assert tick.orders.stopped[0]  # type: ignore[attr-defined]
    sold_at = tick.fills.proceeds[0] / tick.fills.sold[0]  # type: ignore[attr-defined]
    assert sold_at == pytest.approx(float(tick.clearing.price[0]))  # type: ignore[attr-defined]
    assert arena.bodies.scars[0] == 1
