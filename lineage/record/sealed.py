"""A round after sealing: the values that the store writes, already hashed, sorted and typed."""

from dataclasses import dataclass, field
from typing import NamedTuple

from lineage.record.digests import Table
from lineage.record.events import SealedEvent


class AgentRow(NamedTuple):
    """One row of table `stored_agent`, columns in order; every value also follows from the birth event."""

    agent_id: int
    parent_id: int | None
    founder_id: int
    depth: int
    jump_id: int
    clan: str
    market: int
    seat: int
    birth_round: int
    birth_tick: int
    mind: str
    inheritance: str
    endowment_cents: int
    birthmark: int
    apprentice_rounds: int
    genome_sha256: bytes  # 32
    weights_sha256: bytes  # 32, none for scripted minds


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One row of table `policy`, and of `policy_blob`."""

    agent_id: int
    reason: str
    round: int
    blob_sha256: str
    weights_sha256: str
    blob: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SealedRound:
    """One round, hashed: exactly what the store writes."""

    round: int
    first_tick: int
    last_tick: int
    first_event_id: int
    events: list[SealedEvent]  # the last one is the `round` event
    agents: list[AgentRow]
    genes: list[tuple[int, str, float]]  # agent_id, name, value
    bars: Table
    markets: Table
    seats: Table  # rows of agent_round
    root: str  # hex, over all events before the `round` event
    head: str  # hex, hash of the `round` event
    policies: list[PolicyRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SealedClose:
    """The last events of a run: the censored agents, then `closed`."""

    events: list[SealedEvent]
    head: str
    root: str  # hex, over all events, `closed` included
    policies: list[PolicyRow] = field(default_factory=list)
