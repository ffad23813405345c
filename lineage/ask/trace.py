"""What happened within one round, tick by tick: not recorded, but computed again and proven to be the same.

The record keeps rounds; what an agent saw, wanted and got in a tick follows from the checkpoint before it. The file
that `lineage.ask.retrace` writes holds a `Trace`; reading it needs neither the engine nor torch.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from arena import spec
from arena.errors import StoreError

Array = npt.NDArray[np.float32]

SEAT_FIELDS: Final = (
    "action", "executed", "illegal", "stopped", "liquidated", "spent", "proceeds", "sold", "fee", "equity", "cash",
    "shares", "reward", "epsilon", "drawdown",
)  # fmt: skip
"""Arrays [T,P] of a trace: what each seat wanted, did, got, and had at the tick's end."""

MARKET_FIELDS: Final = ("price", "close", "reservation", "crossed", "imbalance")
"""Arrays [T,M] of a trace."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One round of the whole population, computed again."""

    round: int
    origin: str  # where the computation began, in words
    identical: bool  # whether the round came out with the head that the ledger holds
    reward_names: tuple[str, ...]
    first_tick: int
    agent_id: npt.NDArray[np.int64]  # [T,P], -1 for an empty seat
    obs: Array  # [T,P,D]
    mask: npt.NDArray[np.bool_]  # [T,P,A]
    q: Array  # [T,P,A]
    reward_parts: Array  # [T,P,K]
    seats: Mapping[str, Array]  # SEAT_FIELDS
    markets: Mapping[str, Array]  # MARKET_FIELDS

    @property
    def note(self) -> str:
        """Return what the screens say beside these figures."""
        same = "identical to the ledger" if self.identical else "NOT identical to the ledger: run `verify --replay`"
        return f"round {self.round} recomputed from {self.origin}, {same}"

    def seat_of(self, agent_id: int) -> int | None:
        """Return the seat of an agent in this round, None when it had none."""
        found = np.flatnonzero((self.agent_id == agent_id).any(axis=0))
        return int(found[0]) if len(found) else None

    def decisions(self, agent_id: int) -> list["Decision"]:
        """Return what an agent decided in each tick of the round."""
        seat = self.seat_of(agent_id)
        if seat is None:
            return []
        ticks = np.flatnonzero(self.agent_id[:, seat] == agent_id)
        return [self._decision(int(t), seat) for t in ticks]

    def _decision(self, t: int, seat: int) -> "Decision":
        value = {name: float(column[t, seat]) for name, column in self.seats.items()}
        legal = self.mask[t, seat]
        q = self.q[t, seat]
        greedy = int(np.where(legal, q, -np.inf).argmax()) if np.isfinite(q).any() else -1
        market = seat // (self.agent_id.shape[1] // self.markets["price"].shape[1])
        action, executed = int(value["action"]), int(value["executed"])
        if value["stopped"]:
            reason = "the stop fired"
        elif value["liquidated"]:
            reason = "sold to pay living costs"
        elif value["illegal"]:
            reason = f"wanted {spec.ACTIONS[action].name}, which was forbidden"
        elif greedy < 0:
            reason = "a script decided"
        else:
            reason = "the best by Q" if action == greedy else f"explored (epsilon {value['epsilon']:.2f})"
        return Decision(
            tick=self.first_tick + t, action=executed, reason=reason, greedy=greedy,
            q=tuple(q.tolist()), legal=tuple(legal.tolist()), obs=tuple(self.obs[t, seat].tolist()),
            price=float(self.markets["price"][t, market]), close=float(self.markets["close"][t, market]),
            spent=value["spent"], proceeds=value["proceeds"], fee=value["fee"], sold=value["sold"],
            equity=value["equity"], shares=value["shares"], reward=value["reward"],
            parts=tuple(zip(self.reward_names, self.reward_parts[t, seat].tolist(), strict=True)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decision:
    """One agent in one tick: what it saw, what its network said, what it did and what came of it."""

    tick: int
    action: int  # that took effect
    reason: str
    greedy: int  # the best legal action by Q, -1 without a network
    q: tuple[float, ...]  # [A]
    legal: tuple[bool, ...]  # [A]
    obs: tuple[float, ...]  # [D]
    price: float  # of the auction
    close: float
    spent: float
    proceeds: float
    fee: float
    sold: float
    equity: float  # at the tick's end
    shares: float
    reward: float
    parts: tuple[tuple[str, float], ...]  # of the reward

    @property
    def traded(self) -> bool:
        """Return whether anything was filled."""
        return self.spent > 0.0 or self.proceeds > 0.0

    def strongest(self, count: int) -> list[tuple[str, float]]:
        """Return the observation columns furthest from zero."""
        order = np.argsort(-np.abs(np.array(self.obs)), kind="stable")[:count]
        return [(spec.COLUMNS[int(index)].name, self.obs[int(index)]) for index in order]


def read_trace(path: Path) -> Trace:
    """Return the trace in a file. Raises StoreError when it is none."""
    try:
        with safe_open(path, framework="numpy") as file:
            said = json.loads(file.metadata()["trace"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        return Trace(
            round=int(said["round"]), origin=str(said["origin"]), identical=bool(said["identical"]),
            reward_names=tuple(said["reward_names"]), first_tick=int(said["first_tick"]),
            agent_id=arrays["agent_id"], obs=arrays["obs"], mask=arrays["mask"], q=arrays["q"],
            reward_parts=arrays["reward_parts"], seats={name: arrays[name] for name in SEAT_FIELDS},
            markets={name: arrays[name] for name in MARKET_FIELDS},
        )  # fmt: skip
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: not a trace ({type(error).__name__}: {error}); compute it again") from error
