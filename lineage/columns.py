"""The rows that a round leaves in `market_round` and `agent_round`, gathered from the arrays."""

from typing import TYPE_CHECKING

import numpy as np

from arena.body.accounting import agent_totals
from arena.body.state import APPRENTICE, TRADING

if TYPE_CHECKING:
    from lineage.world import World

_ACCOUNTS = ("house_cash", "house_shares", "fees", "estate", "patron", "transfers", "cash_total", "shares_total")
_BODY = ("equity", "cash", "shares", "drawdown")
_BODY_COUNTS = (
    "age_rounds", "damage", "scars", "closed_trades", "won_trades", "offspring", "invalid_actions",
)  # fmt: skip
_VITALS = (
    "loss", "td_error", "grad_norm", "q_mean", "q_max", "entropy", "weight_change", "replay_fill", "epsilon",
    "probe_gain",
)  # fmt: skip


def market_rows(world: "World") -> dict[str, np.ndarray]:
    """Return one row a market, columns of `market_round`: [M] each."""
    status = world.bodies.status.reshape(world.config.arena.markets, -1)
    return (
        {name: getattr(world.accounts, name).copy() for name in _ACCOUNTS}
        | agent_totals(world.accounts, world.bodies)
        | {name: flow.copy() for name, flow in world.flows.items()}
        | {
            "close": world.arena.senses.close.copy(),
            "regime": world.market.regime.astype(np.int64),
            "trading": (status == TRADING).sum(axis=1),
            "apprentices": (status == APPRENTICE).sum(axis=1),
        }
    )


def agent_rows(
    world: "World", died: np.ndarray, reward_sum: np.ndarray, vitals: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return one row for everybody who lives or died this round, in id order: [N] each.

    died: seats of this round's dead; reward_sum: [P]; vitals: [P] each.
    """
    bodies = world.bodies
    seats = np.union1d(np.flatnonzero(world.arena.living()), died)
    seats = seats[np.argsort(bodies.agent_id[seats])]
    return (
        {
            "agent_id": bodies.agent_id[seats],
            "market": seats // world.config.arena.seats,
            "seat": seats,
            "status": bodies.status[seats].astype(np.int64),
            "reward": reward_sum[seats],
            "updates": vitals["updates"][seats].astype(np.int64),
        }
        | {name: getattr(bodies, name)[seats] for name in _BODY}
        | {name: getattr(bodies, name)[seats].astype(np.int64) for name in _BODY_COUNTS}
        | {name: vitals[name][seats].astype(np.float64) for name in _VITALS}
    )
