"""Who comes into the world, and with what: founders, heirs, immigrants.

A child gets its parent's genome, mutated; a share of its damage; its endowment, paid by the parent in cash;
and, by the one switch `lineage.inheritance`, nothing of its mind, its birth weights or its learned weights.
"""

from typing import TYPE_CHECKING

from agents.mind import kind_of
from agents.scripted import STRATEGIES
from arena.body import births, lifecycle
from lineage.record.events import Birth, Event

if TYPE_CHECKING:
    from lineage.world import World


def cents(cash: float) -> int:
    """Return cash units as integer cents, the only money that enters a hash."""
    return round(float(cash) * 100.0)


def found(world: "World") -> None:
    """Seat the founders of every market: scripted strategies first, learners in the other seats."""
    config = world.config
    kinds = [name for name in STRATEGIES for _ in range(getattr(config.population, name))]
    founders = max(len(kinds), lifecycle.founders_of(config.life, config.arena.seats))
    for market in range(config.arena.markets):
        for offset in range(founders):
            kind = kinds[offset] if offset < len(kinds) else "dqn"
            _arrive(world, market * config.arena.seats + offset, kind, "founder")


def _arrive(world: "World", seat: int, kind: str, inheritance: str) -> int:
    """Seat an agent without a parent and return its id."""
    agent_id = world.take_id()
    world.minds.new_founder(seat, agent_id, kind_of(kind))
    _incarnate(world, seat, agent_id, None, inheritance, world.config.life.founder_apprentice_rounds, birthmark=0)
    return agent_id


def _incarnate(
    world: "World", seat: int, agent_id: int, parent: int | None, inheritance: str, apprentice: int, *, birthmark: int
) -> None:
    """Give a mind that already sits in `seat` its body, its record and its view."""
    genes, mind = world.minds.genes_of(seat), world.minds.kind_name(seat)
    learns = mind == "dqn"
    apprentice = apprentice if learns else 0
    lifecycle.seat_newborn(
        world.bodies,
        seat,
        agent_id,
        endowment=world.config.body.endowment,
        birthmark=birthmark,
        apprentice_rounds=apprentice,
        birth_round=world.round,
        genes=lifecycle.BodyGenes(
            genes["position_scale"],
            genes["stop_atr"],
            (genes["drawdown_weight"], genes["scar_weight"], genes["ruin_weight"]),
        ),
    )
    world.register_birth(
        Birth(
            agent_id=agent_id,
            parent_id=parent,
            market=seat // world.config.arena.seats,
            seat=seat,
            tick=world.tick,
            mind=mind,
            inheritance=inheritance,
            endowment_cents=cents(world.config.body.endowment),
            birthmark=birthmark,
            apprentice_rounds=apprentice,
            genes=genes,
            weights_sha256=world.minds.weights_sha256(seat) if learns else "",
        )
    )


def breed(world: "World") -> None:
    """Let this round's fit parents have a child each, richest first, while seats are free."""
    config, bodies = world.config, world.bodies
    sections = (config.arena, config.body, config.scars, config.life)
    for parent in lifecycle.eligible_parents(bodies, world.round, config.life, config.body):
        claim = births.claim_birth(bodies, world.accounts, parent, world.round, world.keys["dispersal"], sections)
        if claim is not None:
            _bear(world, claim)


def _bear(world: "World", claim: births.Claim) -> None:
    """Give a child that is paid for its mind, its body and its record."""
    config = world.config
    parent_id = int(world.bodies.agent_id[claim.parent])
    child_id = world.take_id()
    payload: dict[str, int | str] = {
        "child": child_id,
        "child_market": claim.seat // config.arena.seats,
        "endowment_cents": cents(config.body.endowment),
        "equity_before_cents": cents(claim.equity_before),
        "cash_before_cents": cents(claim.cash_before),
    }
    world.emit(Event("spawn", parent_id, world.tick, payload))
    inheritance = config.lineage
    world.minds.new_heir(
        claim.seat,
        child_id,
        claim.parent,
        inheritance.inheritance,
        weight_mutation=inheritance.weight_mutation,
        inherit_moments=inheritance.inherit_moments,
        inherit_replay=inheritance.inherit_replay,
    )
    rounds = config.life.heir_apprentice_rounds
    _incarnate(world, claim.seat, child_id, parent_id, inheritance.inheritance, rounds, birthmark=claim.birthmark)


def immigrate(world: "World") -> None:
    """Let immigrants take free seats: the estate pays, or the patron where the scenario allows it."""
    config, endowment = world.config, world.config.body.endowment
    asking = births.arrivals_of_round(config.life, config.arena.markets, world.round, world.keys["immigration"])
    for market, arrivals in enumerate(asking):
        for _ in range(arrivals):
            place = births.claim_arrival(world.bodies, world.accounts, market, config.arena, config.body, config.life)
            if place is None:
                break
            flow = "flow_immigration" if place.payer == "estate" else "flow_patron"
            world.flows[flow][market] += endowment
            payload: dict[str, int | str] = {
                "child": world.next_agent_id,
                "payer": place.payer,
                "market": market,
                "endowment_cents": cents(endowment),
            }
            world.emit(Event("immigration", None, world.tick, payload))
            _arrive(world, place.seat, "dqn", "immigrant")
