"""Rules between the values of a configuration, beyond the type and range of each one."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import msgspec

from arena.errors import ConfigError
from lineage.config import RunConfig

MAX_SEATS = 1 << 20

GENE_LIMITS: dict[str, tuple[float, float]] = {
    "learning_rate": (0.0, 1.0),
    "gamma": (0.0, 1.0),
    "epsilon_final": (0.0, 1.0),
    "epsilon_decay_ticks": (1.0, 1e9),
    "tau": (0.0, 1.0),
    "drawdown_weight": (0.0, 1e6),
    "scar_weight": (0.0, 1e6),
    "ruin_weight": (0.0, 1e6),
    "position_scale": (0.0, 1e3),
    "stop_atr": (0.0, 1e6),
    "mutation_strength": (0.0, 10.0),
}
"""What a gene can mean at all: probabilities and discounts end at 1."""

Breach = tuple[tuple[str, ...], str]
"""The keys involved and, in words, the rule with its values and the cure."""


def check_rules(config: RunConfig, places: Mapping[str, str]) -> None:
    """Raise ConfigError for the first rule that the configuration breaks.

    places: {key: where it was given}; the message names the place of the first involved key that somebody gave.
    """
    for keys, text in breaches(config):
        place = next((places[key] for key in keys if key in places), keys[0])
        raise ConfigError(f"{place}: {text}")


def breaches(config: RunConfig) -> Iterator[Breach]:
    """Yield every broken rule of a configuration."""
    yield from _sizes(config)
    yield from _learning(config)
    yield from _bodies(config)
    yield from _genes(config)
    yield from _limits(config)
    yield from _tape(config)


def _sizes(config: RunConfig) -> Iterator[Breach]:
    arena, people = config.arena, config.population
    counts: dict[str, int] = msgspec.to_builtins(people)
    scripted = sum(counts.values())
    if scripted > arena.seats:
        given = tuple(f"population.{name}" for name in counts if counts[name])
        yield (*given, "arena.seats"), (
            f"{scripted} scripted agents do not fit the {arena.seats} seats of a market; "
            f"raise arena.seats or lower {given[0]}"
        )
    if arena.markets * arena.seats > MAX_SEATS:
        yield ("arena.seats", "arena.markets"), (
            f"{arena.markets} markets x {arena.seats} seats are more than {MAX_SEATS:,}; lower arena.seats"
        )


def _learning(config: RunConfig) -> Iterator[Breach]:
    mind = config.mind
    if mind.learn_start >= mind.replay_capacity:
        yield ("mind.learn_start", "mind.replay_capacity"), (
            f"learn_start {mind.learn_start} is not below replay_capacity {mind.replay_capacity}, so nobody would "
            "ever learn; lower mind.learn_start"
        )
    if mind.batch > mind.learn_start:
        yield ("mind.batch", "mind.learn_start"), (
            f"batch {mind.batch} is larger than learn_start {mind.learn_start}; raise mind.learn_start to the batch"
        )
    if mind.n_step >= mind.learn_start:
        yield ("mind.n_step", "mind.learn_start"), (
            f"n_step {mind.n_step} is not below learn_start {mind.learn_start}; lower mind.n_step"
        )
    if mind.prioritised and not mind.replay:
        yield ("mind.prioritised", "mind.replay"), (
            "prioritised says which memories to draw, and mind.replay is off; set mind.replay = true"
        )
    for name in ("adam_beta1", "adam_beta2"):
        if getattr(mind, name) >= 1.0:
            yield (f"mind.{name}",), f"{name} 1.0 never forgets, the step would divide by zero; give less than 1"


def _bodies(config: RunConfig) -> Iterator[Breach]:
    scars, life = config.scars, config.life
    points = ("minor_points", "moderate_points", "severe_points", "fatal_points")
    for low, high in pairwise(points):
        if getattr(scars, low) > getattr(scars, high):
            yield (f"scars.{low}", f"scars.{high}"), (
                f"{low} {getattr(scars, low)} is above {high} {getattr(scars, high)}; "
                "order the points minor <= moderate <= severe <= fatal"
            )
    if scars.fatal_points < 1:
        yield ("scars.fatal_points",), "fatal_points 0 kills the newborn; give at least 1"
    if life.spawn_wealth - 1.0 <= life.ruin_fraction:
        yield ("life.spawn_wealth", "life.ruin_fraction"), (
            f"spawn_wealth {life.spawn_wealth:g} less one endowment leaves a parent at or under ruin_fraction "
            f"{life.ruin_fraction:g}: giving birth would kill it; raise life.spawn_wealth"
        )


def _genes(config: RunConfig) -> Iterator[Breach]:
    for name, (floor, ceiling) in GENE_LIMITS.items():
        low, typical, high = getattr(config.genome, name)
        key = f"genome.{name}"
        if not low <= typical <= high:
            yield (key,), f"({low:g}, {typical:g}, {high:g}) is out of order; write lowest <= typical <= highest"
        elif low < floor or high > ceiling:
            yield (key,), f"({low:g}, {typical:g}, {high:g}) leaves [{floor:g}, {ceiling:g}]; move the bounds inside"


_LARGEST: dict[str, float] = {
    "market.drift": 0.1,
    "market.volatility": 1.0,
    "market.start_price": 1e9,
    "market.impact_bps": 10_000.0,
    "market.tail_df": 1e6,
    "market.crisis_ticks": 1e9,
    "body.endowment": 1e12,
    "body.min_notional": 1e12,
    "scars.slippage_limit": 10.0,
    "scars.fee_burden_bps": 10_000.0,
    "life.spawn_wealth": 1e6,
    "life.immigration_per_round": 65_536.0,
    "reward.reference_volatility": 10.0,
    "reward.clip": 1e6,
    "mind.n_step": 1000,
    "mind.batch": 65_536,
    "mind.replay_capacity": 100_000_000,
    "mind.updates_per_phase": 1000,
    "lineage.weight_mutation": 100.0,
    "genome.founder_spread": 10.0,
}
_SMALLEST: dict[str, float] = {"market.start_price": 1e-6, "body.endowment": 1.0, "reward.reference_volatility": 1e-9}
"""Beyond these, float64 arithmetic or the integer cents of the ledger lose their meaning."""


def _limits(config: RunConfig) -> Iterator[Breach]:
    for table, word in ((_LARGEST, "above"), (_SMALLEST, "below")):
        for key, limit in table.items():
            section, _, name = key.partition(".")
            value = getattr(getattr(config, section), name)
            if value > limit if word == "above" else value < limit:
                yield (key,), f"{value:g} is {word} {limit:g}, where the arithmetic ends; give a value nearer to 1"
    if max(config.mind.hidden) > 65_536:
        yield ("mind.hidden",), f"{max(config.mind.hidden)} units in a layer are above 65536; give fewer"


def _tape(config: RunConfig) -> Iterator[Breach]:
    market = config.market
    named = bool(market.tape_name and market.tape_sha256)
    if market.source == "tape" and not named:
        yield ("market.source",), "'tape' needs recorded bars; name the file with --tape FILE"
    if market.source != "tape" and (market.tape_name or market.tape_sha256):
        yield ("market.tape_name", "market.tape_sha256", "market.source"), (
            f"a tape is named but the source is {market.source!r}; give --tape FILE, or take the tape's name away"
        )
