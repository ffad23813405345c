"""Bodies that are born, live and die in an arena, steered from outside: what every environment is a view of.

The order of a tick and of a round's end is that of `lineage.world`, from the same functions; where the world
asks minds for genes, a population asks `genes_of`.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec
import numpy as np

from arena import rng
from arena.body import accounting, births, lifecycle
from arena.body.state import TRADING
from arena.config import ArenaConfig, BodyConfig, LifeConfig, MarketConfig, RewardConfig, ScarConfig, Section
from arena.core import Arena, RoundEnd, Tick, WorldConfig
from arena.errors import ConfigError
from arena.market.tape import Tape

TYPICAL_GENES: Final = lifecycle.BodyGenes(position_scale=10.0, stop_atr=10.0, reward_weights=(0.1, 0.05, 1.0))
"""The body genes of an agent whose policy comes from outside: the typical values of agents.config.GenomeConfig."""

GenesOf = Callable[[int, int | None], lifecycle.BodyGenes]
"""(agent id, parent id or None) -> the genes that its body feels."""


class PopulationConfig(Section, frozen=True):
    """The sections of a scenario that bodies need; every default is the scenario's default."""

    arena: ArenaConfig = ArenaConfig()
    market: MarketConfig = MarketConfig()
    body: BodyConfig = BodyConfig()
    scars: ScarConfig = ScarConfig()
    life: LifeConfig = LifeConfig(founder_apprentice_rounds=0, heir_apprentice_rounds=0)
    """No apprenticeship by default: a learner from outside has its own ways to practise."""
    reward: RewardConfig = RewardConfig()

    def founders(self) -> int:
        """Return how many founders each market has."""
        return lifecycle.founders_of(self.life, self.arena.seats)

    def with_seats(self, seats: int) -> "PopulationConfig":
        """Return the same with `seats` seats a market."""
        return msgspec.structs.replace(self, arena=msgspec.structs.replace(self.arena, seats=seats))

    def world(self) -> WorldConfig:
        """Return the sections as the arena takes them."""
        return WorldConfig(self.arena, self.market, self.body, self.scars, self.life, self.reward)


class Newborn(NamedTuple):
    """An agent that has just got its seat."""

    seat: int
    agent_id: int
    parent_id: int | None  # None: founder or immigrant


class Step(NamedTuple):
    """What one tick brought, and the end of the round where it fell on one."""

    tick: Tick
    ended: RoundEnd | None
    died: list[tuple[int, int, str]]  # (seat, agent id, cause), in seat order
    born: list[Newborn]


class Population:
    """One episode: an arena with bodies whose actions come from outside."""

    def __init__(
        self,
        config: PopulationConfig,
        seed: int,
        tape: Tape | None = None,
        genes_of: GenesOf = lambda agent_id, parent_id: TYPICAL_GENES,
        last_agent_id: int | None = None,
        keep_full: int | None = None,
    ) -> None:
        """Open the markets and seat the founders; after `last_agent_id` nobody is born any more.

        keep_full: a market begins with so many founders, has never more living agents, and at every round's end is
        filled up with immigrants, whom the patron pays where the estate cannot.
        """
        self.config = config
        self.genes_of = genes_of
        self.arena = Arena(config.world(), seed, tape)
        self.tick = 0
        self.round = 0
        self.next_agent_id = 1
        self.last_agent_id = last_agent_id
        self.closes: deque[float] = deque(maxlen=512)  # of the first market
        self._keys = {purpose: rng.purpose_key(seed, purpose) for purpose in ("dispersal", "immigration")}
        self.arena.open_markets()
        seats, markets = config.arena.seats, config.arena.markets
        if keep_full is not None and config.life.dispersal > 0.0 and markets > 1:
            raise ConfigError("life.dispersal: markets kept full have no room for children from elsewhere; set it to 0")
        self.keep_full = keep_full
        count = config.founders() if keep_full is None else keep_full
        if not count:
            raise ConfigError(
                f"life.founders_fraction: {config.life.founders_fraction} of {seats} seats is nobody; raise it"
            )
        self.founders = [
            self._arrive(market * seats + offset, None, config.life.founder_apprentice_rounds, 0)
            for market in range(markets)
            for offset in range(count)
        ]
        accounting.seal_totals(self.arena.accounts, self.arena.bodies)
        self.arena.market.begin_round(0)

    def observe(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (obs [P,D] f32, mask [P,A] bool) of now; the arrays are the arena's own."""
        return self.arena.observe()

    def step(self, actions: np.ndarray) -> Step:
        """Play one tick with actions [P] decided on the latest `observe()`; at a round's end also costs to births."""
        tick = self.arena.step(actions)
        self.tick += 1
        self.closes.append(float(tick.bars.close[0]))
        if self.tick % self.config.arena.ticks_per_round:
            return Step(tick, None, [], [])
        ids = self.arena.bodies.agent_id
        ended = self.arena.end_round()
        died = [(death.seat, int(ids[death.seat]), death.cause) for death in ended.deaths]
        born = self._breed() + self._immigrate()
        if self.keep_full is not None:
            born += self._fill_up(self.keep_full)
        accounting.check_conservation(self.arena.accounts, self.arena.bodies)
        self.round += 1
        if not self.over:
            self.arena.market.begin_round(self.round)
        return Step(tick, ended, died, born)

    @property
    def over(self) -> bool:
        """Whether a tape has no whole round left."""
        rounds = self.arena.market.tape_rounds
        return rounds is not None and self.round >= rounds

    def _breed(self) -> list[Newborn]:
        """Let this round's fit parents have a child each, richest first, while seats are free."""
        config, bodies, born = self.config, self.arena.bodies, []
        sections = (config.arena, config.body, config.scars, config.life)
        for parent in lifecycle.eligible_parents(bodies, self.round, config.life, config.body):
            if self.names_left() == 0:
                break
            if not self._room(parent // config.arena.seats):
                continue
            claim = births.claim_birth(
                bodies, self.arena.accounts, parent, self.round, self._keys["dispersal"], sections
            )
            if claim is not None:
                parent_id = int(bodies.agent_id[parent])
                rounds = config.life.heir_apprentice_rounds
                born.append(self._arrive(claim.seat, parent_id, rounds, claim.birthmark))
        return born

    def _immigrate(self) -> list[Newborn]:
        """Let immigrants take free seats that the estate or the patron pays for."""
        life, markets = self.config.life, self.config.arena.markets
        asking = births.arrivals_of_round(life, markets, self.round, self._keys["immigration"])
        born: list[Newborn] = []
        for market, arrivals in enumerate(asking):
            born += self._admit(market, min(arrivals, self.names_left(), self._room(market)), life)
        return born

    def _fill_up(self, full: int) -> list[Newborn]:
        """Let immigrants come until every market has `full` living agents, or no free seat."""
        generous = msgspec.structs.replace(self.config.life, patron=True)
        counts = self._alive()
        born: list[Newborn] = []
        for market in np.flatnonzero(counts < full):
            born += self._admit(int(market), full - int(counts[market]), generous)
        return born

    def _admit(self, market: int, arrivals: int, life: LifeConfig) -> list[Newborn]:
        """Seat up to `arrivals` immigrants in one market, while there is a seat and a payer."""
        config, born = self.config, []
        for _ in range(arrivals):
            place = births.claim_arrival(
                self.arena.bodies, self.arena.accounts, market, config.arena, config.body, life
            )
            if place is None:
                break
            born.append(self._arrive(place.seat, None, life.founder_apprentice_rounds, 0))
        return born

    def _alive(self) -> np.ndarray:
        """Return [M] living agents a market."""
        alive: np.ndarray = self.arena.living().reshape(self.config.arena.markets, -1).sum(axis=1)
        return alive

    def _room(self, market: int) -> int:
        """Return how many more agents may live in a market."""
        return 2**31 if self.keep_full is None else max(self.keep_full - int(self._alive()[market]), 0)

    def names_left(self) -> int:
        """Return how many may still be born."""
        return 2**31 if self.last_agent_id is None else self.last_agent_id - self.next_agent_id + 1

    def _arrive(self, seat: int, parent_id: int | None, apprentice_rounds: int, birthmark: int) -> Newborn:
        """Seat a newborn and return it."""
        agent_id = self.next_agent_id
        self.next_agent_id += 1
        lifecycle.seat_newborn(
            self.arena.bodies,
            seat,
            agent_id,
            endowment=self.config.body.endowment,
            birthmark=birthmark,
            apprentice_rounds=apprentice_rounds,
            birth_round=self.round,
            genes=self.genes_of(agent_id, parent_id),
        )
        return Newborn(seat, agent_id, parent_id)

    def trading(self) -> int:
        """Return how many trade real money now."""
        return int((self.arena.bodies.status == TRADING).sum())


def as_config(given: PopulationConfig | Mapping[str, object] | None) -> PopulationConfig:
    """Return what environments take as `config`: a configuration, its sections as plain values, or the default."""
    return given if isinstance(given, PopulationConfig) else population_config(dict(given or {}))


def population_config(sections: dict[str, object]) -> PopulationConfig:
    """Return a configuration from nested plain values, e.g. {"arena": {"seats": 16}}.

    Raises ConfigError naming the field that is unknown or out of its range.
    """
    try:
        return msgspec.convert(sections, PopulationConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"config: {error}; see `lineage-arena config schema` for names and ranges") from None
