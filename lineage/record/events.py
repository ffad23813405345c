"""What happens to agents and to the run, as plain values; sealing them is the ledger's work."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from lineage.record.policy import Policy

EventKind = Literal[
    "birth", "scar", "spawn", "graduation", "death", "censored", "alarm",  # of an agent
    "immigration", "round", "closed",  # of the run
]  # fmt: skip

Payload = dict[str, int | str]
"""Integers and strings only: cents, ticks, basis points, ids, hex digests."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `agent_id` is None for an event of the run itself."""

    kind: EventKind
    agent_id: int | None
    tick: int
    payload: Payload


class SealedEvent(NamedTuple):
    """An event with its place in the history and its hash: the values that the store binds, in that order."""

    event_id: int  # position in the whole log, from 0: also the Merkle leaf index
    round: int
    agent_id: int | None
    seq: int  # position in the agent's (or the run's) own chain, from 0
    tick: int
    kind: str
    payload: str  # canonical JSON
    hash: bytes  # SHA-256(0x00 || canonical JSON of everything above and the hash before): the RFC 9162 leaf hash


@dataclass(frozen=True, slots=True)
class Birth:
    """Everything the store writes into `agent` and `gene` for one newborn."""

    agent_id: int
    parent_id: int | None
    market: int
    seat: int
    tick: int
    mind: str  # "dqn" or the name of a scripted strategy
    inheritance: str  # "founder", "immigrant" or the inheritance mode
    endowment_cents: int
    birthmark: int  # damage points inherited
    apprentice_rounds: int
    genes: dict[str, float]
    weights_sha256: str  # "" for scripted minds


@dataclass(slots=True)
class RoundRecord:
    """One round as the world hands it to the ledger and the store; nothing here is written yet.

    Bars and accounts lead with the market axis; `agents` holds one structured row a taken seat.
    """

    round: int
    first_tick: int
    last_tick: int
    events: list[Event]
    births: list[Birth]
    bars: dict[str, np.ndarray]  # open high low close volume vwap: [T,M] f64; plus tick [T] i64
    bar_times: list[str] | None  # tape timestamps of the T bars, None for synthetic markets
    markets: dict[str, np.ndarray]  # per-market accounts and counts at the round's end: [M]
    agents: dict[str, np.ndarray]  # per-agent rows at the round's end: [N], "agent_id" among them
    state_sha256: str = ""  # fingerprint of the minds, at checkpoint rounds only
    extra: dict[str, int] = field(default_factory=dict)  # further integers of the round event
    policies: list[Policy] = field(default_factory=list)  # to keep; the ledger fills in clan and run_id
