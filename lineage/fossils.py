"""What is kept of a mind when its life ends, or begins: taken from the arrays, sealed and written by the record."""

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from arena.errors import InvariantError
from lineage.record.events import Event
from lineage.record.policy import Policy, Reason

if TYPE_CHECKING:
    from lineage.world import World


def keep(world: "World", seat: int, reason: Reason) -> list[Policy]:
    """Return the policy in a seat as a list of one, or none: scripted minds, and what the scenario does not keep."""
    record = world.config.record
    wanted = record.birth_policies if reason == "birth" else record.fossils
    if not wanted or world.minds.kind_name(seat) != "dqn":
        return []
    return [policy_in(world, seat, reason)]


def policy_in(world: "World", seat: int, reason: Reason) -> Policy:
    """Return the present policy of the learner in a seat; its clan and run are for the ledger to fill in."""
    brains = world.minds.brains
    row = brains.params[seat].cpu().numpy()  # [n_params] f32
    used = brains.layout.n_weights
    if row[used:].any():
        raise InvariantError(f"seat {seat}: the padding behind its weights is not zero; the learner wrote outside")
    return Policy(
        agent_id=int(world.bodies.agent_id[seat]),
        clan="",
        round=world.round,
        reason=reason,
        mind="dqn",
        genes={name: value + 0.0 for name, value in world.minds.genes_of(seat).items()},
        mind_config=msgspec.to_builtins(world.config.mind),
        weights=np.array(row[:used]),
        seed=world.seed,
    )


def last_policies(world: "World", events: list[Event]) -> list[Policy]:
    """Return what is kept of those whose `censored` events these are, in their order."""
    seats = {int(world.bodies.agent_id[seat]): int(seat) for seat in np.flatnonzero(world.arena.living())}
    return [policy for event in events if event.agent_id for policy in keep(world, seats[event.agent_id], "end")]
