"""The bodies of all seats as plain arrays, and the money accounts of each market.

`P = M*S` seats; seat p belongs to market p // S. `[M,S]` is a free reshape of `[P]`.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

EMPTY, APPRENTICE, TRADING, ESTATE = 0, 1, 2, 3
"""Seat states: free; trading on paper; trading real money; dead, position being sold."""

NO_AGENT = -1


@dataclass(slots=True)
class Bodies:
    """Everything that one life accumulates, one column a seat."""

    agent_id: np.ndarray  # [P] i64, NO_AGENT when empty
    status: np.ndarray  # [P] i8, EMPTY | APPRENTICE | TRADING | ESTATE
    cash: np.ndarray  # [P] f64, cash units; paper money while APPRENTICE
    shares: np.ndarray  # [P] f64; paper while APPRENTICE
    entry_price: np.ndarray  # [P] f64, average cost of a held share incl. fee, 0 when flat
    trust: np.ndarray  # [P] f64, the real endowment while APPRENTICE
    arrears: np.ndarray  # [P] f64, living cost owed but not yet paid
    equity: np.ndarray  # [P] f64, cash + shares * close - arrears
    reward_equity: np.ndarray  # [P] f64, equity that the next reward is measured from
    peak_equity: np.ndarray  # [P] f64, highest equity of this account
    drawdown: np.ndarray  # [P] f64, 1 - equity/peak at the last mark
    drawdown_step: np.ndarray  # [P] i32, drawdown steps already scarred below this peak
    damage: np.ndarray  # [P] i32, points; only grows
    severe_scars: np.ndarray  # [P] i32
    scars: np.ndarray  # [P] i32, scars received in life, birthmark not counted
    pending_scar_points: np.ndarray  # [P] f64, scar points not yet felt by the reward
    closed_trades: np.ndarray  # [P] i32, real (not paper) trades fully closed
    won_trades: np.ndarray  # [P] i32
    paper_trades: np.ndarray  # [P] i32
    paper_wins: np.ndarray  # [P] i32
    paper_ruins: np.ndarray  # [P] i32, paper accounts lost and reopened
    trade_profit: np.ndarray  # [P] f64, realised profit of the open trade so far
    closed_profit: np.ndarray  # [P] f64, profit booked by closes in the latest tick
    holding_ticks: np.ndarray  # [P] i32, ticks since the position was opened, 0 when flat
    round_fees: np.ndarray  # [P] f64, fees paid since the round began
    invalid_actions: np.ndarray  # [P] i32
    birth_round: np.ndarray  # [P] i32
    apprentice_rounds: np.ndarray  # [P] i32, rounds of apprenticeship left
    age_rounds: np.ndarray  # [P] i32
    offspring: np.ndarray  # [P] i32
    next_birth_round: np.ndarray  # [P] i32, first round in which this agent may breed again
    position_scale: np.ndarray  # [P] f64, gene: multiplies order sizes
    stop_atr: np.ndarray  # [P] f64, gene: stop distance in ATRs
    reward_weights: np.ndarray  # [P,3] f64, genes: drawdown, scar, ruin

    @classmethod
    def allocate(cls, seats_total: int) -> "Bodies":
        """Return `seats_total` empty seats."""
        columns: dict[str, np.ndarray] = {
            field.name: np.zeros(seats_total, dtype=_DTYPES.get(field.name, np.float64))
            for field in dataclasses.fields(cls)
        }
        columns["reward_weights"] = np.zeros((seats_total, 3))
        columns["agent_id"][:] = NO_AGENT
        return cls(**columns)

    def clear_seat(self, seat: int) -> None:
        """Empty one seat; every column returns to its value in a fresh arena."""
        for field in dataclasses.fields(self):
            getattr(self, field.name)[seat] = 0
        self.agent_id[seat] = NO_AGENT

    def check_valid(self) -> tuple[bool, str]:
        """Return (ok, reason) for the invariants that hold after every phase."""
        taken = self.status != EMPTY
        if np.any((self.agent_id >= 0) != taken):
            return False, "agent_id and status disagree about which seats are taken"
        ids = self.agent_id[taken]
        if len(np.unique(ids)) != len(ids):
            return False, "two seats share an agent_id"
        for name in ("cash", "shares", "trust", "arrears"):
            value = getattr(self, name)
            if not np.all(np.isfinite(value)):
                return False, f"{name} is not finite"
            if np.any(value < 0.0):
                return False, f"{name} is negative in seat {int(np.argmin(value))}"
        if np.any(self.trust[self.status != APPRENTICE] != 0.0):
            return False, "a trust account outlived its apprenticeship"
        return True, ""


def living(bodies: Bodies) -> np.ndarray:
    """Return [P] bool: apprentices and real traders; not the free seats, not the estates of the dead."""
    alive: np.ndarray = (bodies.status == TRADING) | (bodies.status == APPRENTICE)
    return alive


def some(flags: np.ndarray) -> bool:
    """Return whether any of the flags is set; several times as fast as `any` on small arrays."""
    return bool(np.count_nonzero(flags))


def spread(per_market: np.ndarray, seats_total: int) -> np.ndarray:
    """Return [P] from [M]: each market's value for each of its seats (numpy broadcasts one element more slowly)."""
    return per_market.repeat(seats_total // len(per_market))


@dataclass(slots=True)
class Accounts:
    """The accounts of each market that are nobody's body; cash units and shares, all [M] f64."""

    house_cash: np.ndarray  # the background liquidity's cash
    house_shares: np.ndarray
    fees: np.ndarray  # trading fees collected
    estate: np.ndarray  # the money of the dead and the living costs of the living
    patron: np.ndarray  # injected so far by the patron, who may only give
    transfers: np.ndarray  # net endowments received from other markets
    cash_total: np.ndarray  # C0: cash of the market at its start
    shares_total: np.ndarray  # X0: shares of the market at its start

    @classmethod
    def allocate(cls, markets: int) -> "Accounts":
        """Return empty accounts for `markets` markets."""
        return cls(**{field.name: np.zeros(markets) for field in dataclasses.fields(cls)})


_INTS = (
    "drawdown_step damage severe_scars scars closed_trades won_trades paper_trades paper_wins paper_ruins "
    "holding_ticks invalid_actions birth_round apprentice_rounds age_rounds offspring next_birth_round"
)
_DTYPES: dict[str, type] = dict.fromkeys(_INTS.split(), np.int32) | {
    "agent_id": np.int64,
    "status": np.int8,
}
