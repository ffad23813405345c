"""Birth is a transfer, apprenticeship is on paper, death is final."""

import numpy as np
import pytest

from arena import spec
from arena.body import accounting, lifecycle
from arena.config import BodyConfig, LifeConfig
from arena.errors import InvariantError
from tests.arenas import GENES, end_round, make_arena, play, quiet_market


def _enrich(arena: object, seat: int, cash: float) -> None:
    """Make a seat rich at the expense of its house."""
    market = seat // arena.seats  # type: ignore[attr-defined]
    arena.bodies.cash[seat] += cash  # type: ignore[attr-defined]
    arena.accounts.house_cash[market] -= cash  # type: ignore[attr-defined]
    arena.bodies.equity[seat] += cash  # type: ignore[attr-defined]
    arena.bodies.peak_equity[seat] += cash  # type: ignore[attr-defined]


def _fit(arena: object, seat: int) -> None:
    """Give a seat everything that a parent needs."""
    _enrich(arena, seat, 15_000.0)
    arena.bodies.closed_trades[seat] = 20  # type: ignore[attr-defined]
    arena.bodies.won_trades[seat] = 12  # type: ignore[attr-defined]


def test_apprentice_graduates_with_its_endowment_whatever_it_did_on_paper() -> None:
    """Paper results do not touch the trust account; the real account opens with exactly the endowment."""
    arena = make_arena(seats=1, apprentice_rounds=2)
    for round_index in range(2):
        play(arena, [spec.BUY_LARGE])
        play(arena, [spec.SELL_ALL])
        assert arena.bodies.trust[0] == 10_000.0
        end_round(arena, round_index)
    assert arena.bodies.trust[0] == 0.0
    assert arena.bodies.cash[0] == 10_000.0
    assert arena.bodies.shares[0] == 0.0
    assert arena.bodies.closed_trades[0] == 0
    assert arena.bodies.paper_trades[0] == 2


def test_lost_paper_account_is_reopened_and_counted() -> None:
    """Ruin on paper ends an episode for the learner, not the life."""
    arena = make_arena(seats=1, apprentice_rounds=5)
    arena.bodies.cash[0] = 4000.0
    tick = play(arena, [spec.HOLD])
    assert tick.done[0]  # type: ignore[attr-defined]
    assert arena.bodies.cash[0] == 10_000.0
    assert arena.bodies.paper_ruins[0] == 1


@pytest.mark.parametrize("cause", spec.DEATH_CAUSES)
def test_each_cause_of_death(cause: str) -> None:
    """Too poor, too damaged or too old: each ends a life under its own name."""
    life = LifeConfig(max_age_rounds=1 if cause == "retired" else 0)
    arena = make_arena(seats=2, life=life, body=BodyConfig(living_cost_bps=0.0))
    if cause == "bankrupt":
        _enrich(arena, 0, -5001.0)
    if cause == "terminal_damage":
        arena.bodies.damage[0] = 100
    deaths = end_round(arena, 0)
    assert (deaths[0].seat, deaths[0].cause) == (0, cause)
    assert len(deaths) == (2 if cause == "retired" else 1)


def test_equity_just_above_the_ruin_line_lives() -> None:
    """Sabotage of the bankruptcy test: a cent above half the endowment is not ruin."""
    arena = make_arena(seats=1, body=BodyConfig(living_cost_bps=0.0))
    _enrich(arena, 0, -4999.99)
    assert end_round(arena, 0) == []


def test_the_dead_do_not_act() -> None:
    """Between death and the sale of its position a seat may only be sold."""
    arena = make_arena(seats=1)
    arena.bodies.damage[0] = 100
    end_round(arena, 0)
    _, mask = arena.observe()
    assert mask[0].tolist() == [True] + [False] * 6
    assert not arena.living().any()
    assert not arena.obs.any()


def test_parent_pays_the_endowment_in_cash_and_money_is_conserved() -> None:
    """The child's trust holds exactly what left the parent's cash."""
    arena = make_arena(seats=4, empty=1)
    _fit(arena, 0)
    total = accounting.agent_totals(arena.accounts, arena.bodies)
    lifecycle.pay_endowment(arena.bodies, arena.accounts, 0, 0, 10_000.0)
    lifecycle.seat_newborn(arena.bodies, 3, 99, endowment=10_000.0, birthmark=3, apprentice_rounds=5,
                           birth_round=0, genes=GENES)  # fmt: skip
    after = accounting.agent_totals(arena.accounts, arena.bodies)
    assert after["agents_cash"][0] == total["agents_cash"][0] - 10_000.0
    assert after["trust"][0] == 10_000.0
    accounting.check_conservation(arena.accounts, arena.bodies)


def test_birth_in_another_market_is_a_transfer_between_markets() -> None:
    """Cash leaves one market and enters the other; both identities and their sum hold."""
    arena = make_arena(2, 2, empty=1)
    _fit(arena, 0)
    lifecycle.pay_endowment(arena.bodies, arena.accounts, 0, 1, 10_000.0)
    lifecycle.seat_newborn(arena.bodies, 3, 99, endowment=10_000.0, birthmark=0, apprentice_rounds=5,
                           birth_round=0, genes=GENES)  # fmt: skip
    assert arena.accounts.transfers.tolist() == [-10_000.0, 10_000.0]
    accounting.check_conservation(arena.accounts, arena.bodies)


def test_giving_birth_is_neither_a_drawdown_nor_a_loss() -> None:
    """The peak and the reward's base shrink with the payment."""
    arena = make_arena(seats=2, empty=1, body=BodyConfig(living_cost_bps=0.0))
    _fit(arena, 0)
    arena.bodies.reward_equity[0] = arena.bodies.equity[0]
    lifecycle.pay_endowment(arena.bodies, arena.accounts, 0, 0, 10_000.0)
    lifecycle.seat_newborn(arena.bodies, 1, 99, endowment=10_000.0, birthmark=0, apprentice_rounds=5,
                           birth_round=0, genes=GENES)  # fmt: skip
    tick = play(arena, [spec.HOLD, spec.HOLD])
    assert arena.bodies.drawdown[0] == pytest.approx(0.0, abs=1e-12)
    assert tick.reward[0] == pytest.approx(0.0, abs=1e-6)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("spoil", "value"),
    [("equity", 19_999.0), ("cash", 9_999.0), ("closed_trades", 9), ("won_trades", 1), ("severe_scars", 3),
     ("next_birth_round", 1), ("status", 1)],
)  # fmt: skip
def test_a_parent_needs_everything(spoil: str, value: float) -> None:
    """Wealth, cash, trades, win rate, few severe scars, patience and a real account: one lacking is enough."""
    arena = make_arena(seats=2, empty=1)
    _fit(arena, 0)
    assert lifecycle.eligible_parents(arena.bodies, 0, arena.config.life, arena.config.body) == [0]
    getattr(arena.bodies, spoil)[0] = value
    assert lifecycle.eligible_parents(arena.bodies, 0, arena.config.life, arena.config.body) == []


def test_parents_are_ordered_by_equity_then_id() -> None:
    """The richest breed first; ties go to the older agent."""
    arena = make_arena(seats=3, market=quiet_market())
    for seat in range(3):
        _fit(arena, seat)
    _enrich(arena, 2, 1.0)
    assert lifecycle.eligible_parents(arena.bodies, 0, arena.config.life, arena.config.body) == [2, 0, 1]


def test_a_taken_seat_takes_no_newborn() -> None:
    """Nobody is overwritten by a birth."""
    arena = make_arena(seats=1)
    with pytest.raises(InvariantError, match="taken by agent 1"):
        lifecycle.seat_newborn(arena.bodies, 0, 2, endowment=1.0, birthmark=0, apprentice_rounds=0,
                               birth_round=0, genes=GENES)  # fmt: skip


def test_newborn_in_a_dead_agents_seat_has_a_fresh_body() -> None:
    """Every column of the body is as in a seat that was never used, birthmark and genes apart."""
    used, fresh = make_arena(seats=1), make_arena(seats=1, empty=1)
    chooser = np.random.default_rng(1)
    for _ in range(40):
        used.observe()
        used.step(chooser.integers(0, 7, 1).astype(np.int8))
    used.bodies.clear_seat(0)
    for arena in (used, fresh):
        lifecycle.seat_newborn(arena.bodies, 0, 7, endowment=10_000.0, birthmark=2, apprentice_rounds=3,
                               birth_round=4, genes=GENES)  # fmt: skip
    for name in used.bodies.__slots__:
        assert np.array_equal(getattr(used.bodies, name), getattr(fresh.bodies, name)), name


def test_the_old_and_the_rich_pay_more_to_live_and_the_estate_receives_it() -> None:
    """Twice the cost at `aging_rounds`, a further part of what is above the endowment, all of it to the estate."""
    body = BodyConfig(living_cost_bps=20.0, wealth_cost_bps=10.0, aging_rounds=100.0)
    arena = make_arena(seats=3, body=body)
    arena.bodies.age_rounds[1] = 100
    _enrich(arena, 2, 30_000.0)
    before = arena.bodies.cash.copy()
    end_round(arena, 0)
    paid = before - arena.bodies.cash
    assert paid.tolist() == pytest.approx([20.0, 40.0, 20.0 + 30.0])
    assert arena.accounts.estate[0] == pytest.approx(paid.sum())
