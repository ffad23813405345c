"""A round after sealing: the values that the store writes, already hashed, sorted and typed."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from lineage.record.digests import Table
from lineage.record.events import SealedEvent


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One row of table `agent`; every value also follows from the birth event."""

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
    genome_sha256: str
    weights_sha256: str
    identity: str


agent_values: Callable[[AgentRow], tuple[Any, ...]] = attrgetter(*(column.name for column in fields(AgentRow)))
"""The values of an AgentRow in the order of the table's columns (`astuple` is ten times slower)."""


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
