"""One round of the world on one page: ticks, then costs, scars, deaths, births, and the record of it all."""

import math
import time
from collections import Counter
from itertools import pairwise
from typing import Any

import mesa
import numpy as np

from agents.fused import LearnerName
from agents.mind import Minds
from arena import rng, spec
from arena.body import accounting, lifecycle, scars
from arena.body.state import APPRENTICE, EMPTY, ESTATE, TRADING, Accounts, Bodies
from arena.core import Arena, Tick, WorldConfig
from arena.errors import InvariantError
from arena.market.background import Market
from arena.market.bars import Bars
from arena.market.tape import Tape
from lineage import fossils, inherit, probe
from lineage.columns import agent_rows, market_rows
from lineage.config import RunConfig
from lineage.inherit import cents
from lineage.record.events import Birth, Event, RoundRecord
from lineage.record.family import Family
from lineage.record.policy import Policy
from lineage.view import AgentView

PHASES = ("observe", "act", "world", "remember", "learn", "round_end")
_FLOWS = ("flow_living_costs", "flow_deaths", "flow_immigration", "flow_patron", "flow_fees")


class World(mesa.Model):  # type: ignore[misc]  # mesa ships no types
    """A population in its markets, from founders to the last survivor.

    `play_round()` advances one round and returns everything that happened in it as a RoundRecord;
    `step()` does the same for Mesa. `world.agents` holds an AgentView of every living agent.
    """

    def __init__(
        self,
        config: RunConfig,
        seed: int = 0,
        tape: Tape | None = None,
        device: str = "cpu",
        threads: int = 1,
        learner: LearnerName = "auto",
    ) -> None:
        """Open the markets and seat the founders; `threads` are the learner's, `learner` is as in `fused.resolve`."""
        super().__init__(seed=seed)
        self.config = config
        self.seed = seed
        self.arena = Arena(
            WorldConfig(config.arena, config.market, config.body, config.scars, config.life, config.reward), seed, tape
        )
        self.minds = Minds(config.mind, config.genome, self.arena.population, seed, device, learner, threads)
        self.probe = probe.Probe(config)
        self.family = Family()
        self.keys = {purpose: rng.purpose_key(seed, purpose) for purpose in ("dispersal", "immigration")}
        self.round = 0
        self.tick = 0
        self.next_agent_id = 1
        self.counts: Counter[str] = Counter()
        self.deaths_by_cause: Counter[str] = Counter()
        self.scars_by_kind: Counter[str] = Counter()
        self.phase_seconds = dict.fromkeys(PHASES, 0.0)
        self._views: dict[int, AgentView] = {}
        self.datacollector = mesa.DataCollector(model_reporters=_REPORTERS)
        self._start_record()
        self._bars += list(enumerate(self.arena.open_markets(), start=-config.market.warmup_bars))
        inherit.found(self)
        accounting.seal_totals(self.accounts, self.bodies)

    @property
    def bodies(self) -> Bodies:
        """The arrays of all bodies."""
        return self.arena.bodies

    @property
    def accounts(self) -> Accounts:
        """The accounts of houses, estates and the patron."""
        return self.arena.accounts

    @property
    def market(self) -> Market:
        """Price formation."""
        return self.arena.market

    def step(self) -> None:
        """Play one round (Mesa's name for it)."""
        self.play_round()
        self.datacollector.collect(self)

    def play_round(self) -> RoundRecord:
        """Play one round and return what happened; nothing is written here."""
        config, bodies, accounts = self.config, self.bodies, self.accounts
        began = time.perf_counter()
        self.market.begin_round(self.round)
        self.phase_seconds["world"] += time.perf_counter() - began
        fees_before = accounts.fees.copy()
        for _ in range(config.arena.ticks_per_round):
            self._play_tick()
            self.tick += 1
        self.tick -= 1  # the round's end belongs to its last tick
        began = time.perf_counter()
        ended = self.arena.end_round()
        self.flows["flow_living_costs"] += ended.living_costs
        self._graduate(ended.graduations)
        self._scar(ended.scars)
        self._bury(ended.deaths)
        inherit.breed(self)
        inherit.immigrate(self)
        accounting.check_conservation(accounts, bodies)
        self.flows["flow_fees"] += accounts.fees - fees_before
        record = self._finish_record()
        self.tick += 1
        self.round += 1
        self._start_record()
        self.phase_seconds["round_end"] += time.perf_counter() - began
        return record

    def _play_tick(self) -> None:
        """Observe, act, let the world answer, remember, learn."""
        arena, minds, ids = self.arena, self.minds, self.bodies.agent_id
        clock = [time.perf_counter()]
        living = arena.living()
        obs, mask = arena.observe()
        clock.append(time.perf_counter())
        actions = minds.act(obs, mask, ids, arena.per_seat(self.market.regime), self.tick, living)
        clock.append(time.perf_counter())
        tick = arena.step(actions)
        self._note(tick)
        clock.append(time.perf_counter())
        minds.remember(living, obs, mask, tick.orders.executed, tick.reward, tick.done)
        clock.append(time.perf_counter())
        self.counts["updates"] += minds.learn(ids, self.tick, living)
        self.counts["agent_steps"] += int(living.sum())
        clock.append(time.perf_counter())
        for phase, (start, end) in zip(PHASES, pairwise(clock), strict=False):
            self.phase_seconds[phase] += end - start

    def _note(self, tick: Tick) -> None:
        """Keep what the record needs of a tick."""
        self._bars.append((self.tick, tick.bars))
        self._reward_sum += tick.reward
        self.flows["flow_living_costs"] += tick.estate_costs
        self.flows["flow_deaths"] += tick.estate_deaths
        self._scar(tick.scars)
        for seat in tick.freed_seats:
            self.minds.clear_seat(seat)

    def take_id(self) -> int:
        """Return the next agent id; ids count up and never return."""
        self.next_agent_id += 1
        return self.next_agent_id - 1

    def emit(self, event: Event) -> None:
        """Add an event to the round's record."""
        self._events.append(event)
        self.counts[event.kind] += 1

    def register_birth(self, birth: Birth) -> None:
        """Enter a newborn into the family, the record and Mesa's agents."""
        kin = self.family.add(birth.agent_id, birth.parent_id)
        self._births.append(birth)
        self.emit(Event("birth", birth.agent_id, birth.tick, {}))  # the ledger fills it in from the Birth
        self.counts["deepest"] = max(self.counts["deepest"], kin.depth)
        self._policies += fossils.keep(self, birth.seat, "birth")
        self._views[birth.agent_id] = AgentView(self, birth.agent_id, birth.seat)

    def _graduate(self, graduations: list[tuple[int, float]]) -> None:
        """Record whose apprenticeship ended: (seat, paper equity)."""
        for seat, paper_equity in graduations:
            agent_id = int(self.bodies.agent_id[seat])
            payload: dict[str, int | str] = {
                "endowment_cents": cents(self.bodies.cash[seat]),
                "paper_equity_cents": cents(paper_equity),
                "market": seat // self.config.arena.seats,
            }
            self.emit(Event("graduation", agent_id, self.tick, payload))

    def _scar(self, marks: list[scars.ScarMark]) -> None:
        """Record new scars."""
        for mark in marks:
            kind = spec.SCAR_KINDS[mark.kind]
            payload: dict[str, int | str] = {
                "scar_kind": kind,
                "severity": spec.SEVERITIES[mark.severity],
                "damage": mark.points,
                "total_damage": mark.total_damage,
                "drawdown_bps": mark.drawdown_bps,
                "equity_cents": cents(self.bodies.equity[mark.seat]),
            }
            self.scars_by_kind[kind] += 1
            self.emit(Event("scar", int(self.bodies.agent_id[mark.seat]), self.tick, payload))

    def _bury(self, deaths: list[lifecycle.Death]) -> None:
        """Record this round's deaths; the dead act no more and their views turn stale."""
        config = self.config
        for death in deaths:
            agent_id = int(self.bodies.agent_id[death.seat])
            payload: dict[str, int | str] = {
                "cause": death.cause,
                "equity_cents": cents(death.equity),
                "ruin_cents": cents(death.ruin),
                "damage": int(self.bodies.damage[death.seat]),
                "age_rounds": int(self.bodies.age_rounds[death.seat]),
                "market": death.seat // config.arena.seats,
                "weights_sha256": self.minds.weights_sha256(death.seat),
            }
            self.deaths_by_cause[death.cause] += 1
            self.emit(Event("death", agent_id, self.tick, payload))
            self._policies += fossils.keep(self, death.seat, "death")
            self._died.append(death.seat)
            self._views.pop(agent_id).remove()

    def censored_events(self) -> list[Event]:
        """Return one `censored` event for everybody who lives when the run ends, in id order."""
        seats = np.flatnonzero(self.arena.living())
        seats = seats[np.argsort(self.bodies.agent_id[seats])]
        events = []
        for seat in map(int, seats):
            payload: dict[str, int | str] = {
                "equity_cents": cents(self.bodies.equity[seat]),
                "damage": int(self.bodies.damage[seat]),
            }
            if self.config.record.fossils and self.minds.kind_name(seat) == "dqn":
                payload["weights_sha256"] = self.minds.weights_sha256(seat)
            events.append(Event("censored", int(self.bodies.agent_id[seat]), self.tick - 1, payload))
        return events

    def _start_record(self) -> None:
        """Empty the collectors for a new round."""
        self._events: list[Event] = []
        self._births: list[Birth] = []
        self._policies: list[Policy] = []
        self._bars: list[tuple[int, Bars]] = []
        self._died: list[int] = []
        self._reward_sum = np.zeros(self.arena.population)
        self.flows = {name: np.zeros(self.config.arena.markets) for name in _FLOWS}

    def _finish_record(self) -> RoundRecord:
        """Gather the round from the collectors."""
        ticks = [tick for tick, _ in self._bars]
        bars = {name: np.stack([getattr(bar, name) for _, bar in self._bars]) for name in Bars._fields}
        checkpoint_due = (self.round + 1) % self.config.record.checkpoint_every == 0
        vitals = self.minds.end_round() | {"probe_gain": self._probe_gains()}
        self._raise_alarms(vitals)
        return RoundRecord(
            round=self.round,
            first_tick=ticks[0],
            last_tick=self.tick,
            events=self._events,
            births=self._births,
            bars=bars | {"tick": np.array(ticks, dtype=np.int64)},
            bar_times=self._bar_times(),
            markets=market_rows(self),
            agents=agent_rows(self, np.array(self._died, dtype=np.int64), self._reward_sum, vitals),
            state_sha256=self.minds.fingerprint() if checkpoint_due else "",
            policies=self._policies,
        )

    def _probe_gains(self) -> np.ndarray:
        """Return [P] what learners have gained since birth, NaN where none is asked: see lineage.probe."""
        every = self.config.mind.probe_every
        if not probe.due(every, self.round):
            return np.full(self.arena.population, np.nan)
        grown_up = self.arena.living() & (self.bodies.age_rounds >= every)
        return self.probe.gains(self.minds, self.bodies.agent_id, grown_up)

    def _raise_alarms(self, vitals: dict[str, np.ndarray]) -> None:
        """Record the living whose vital signs fail a check of agents.checks; each check alarms once a life."""
        living = self.arena.living()
        for alarm in self.minds.alarms(vitals, self.config.reward.clip):
            if living[alarm.seat]:
                value = round(alarm.value * 1e6) if math.isfinite(alarm.value) else str(alarm.value)
                payload: dict[str, int | str] = {"check": alarm.check, "value_millionths": value}
                self.emit(Event("alarm", int(self.bodies.agent_id[alarm.seat]), self.tick, payload))

    def _bar_times(self) -> list[str] | None:
        """Return the tape's timestamps of this round's bars; the first round has the warm-up's too."""
        times = self.market.bar_times(self.round)
        warm_up = self.market.bar_times(-1) if self.round == 0 else []
        return None if times is None or warm_up is None else warm_up + times

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Return all mutable state between two rounds for a checkpoint; views where possible."""
        clock = {"clock.round": np.array([self.round]), "clock.next_agent_id": np.array([self.next_agent_id])}
        counters = {
            f"count.{group}.{name}": np.array([value])
            for group, counter in self._counters().items()
            for name, value in sorted(counter.items())
        }
        return self.arena.state_arrays() | self.minds.state_arrays() | clock | counters

    def _counters(self) -> dict[str, "Counter[str]"]:
        return {"all": self.counts, "death": self.deaths_by_cause, "scar": self.scars_by_kind}

    def restore(self, saved: dict[str, np.ndarray], family: Family) -> None:
        """Continue from `state_arrays` of a checkpoint; `family` comes from the store."""
        self.arena.restore(saved)
        self.minds.restore(saved)
        self.family = family
        self.round = int(saved["clock.round"][0])
        self.next_agent_id = int(saved["clock.next_agent_id"][0])
        self.tick = self.round * self.config.arena.ticks_per_round
        for group, counter in self._counters().items():
            counter.clear()
            prefix = f"count.{group}."
            counter.update({key[len(prefix) :]: int(saved[key][0]) for key in saved if key.startswith(prefix)})
        self._start_record()
        for view in self._views.values():
            view.remove()
        living = self.arena.living()
        ids = self.bodies.agent_id
        self._views = {int(ids[seat]): AgentView(self, int(ids[seat]), int(seat)) for seat in np.flatnonzero(living)}
        ok, reason = self.bodies.check_valid()
        if not ok:
            raise InvariantError(f"checkpoint of round {self.round}: {reason}")

    def census(self) -> dict[str, int]:
        """Return how many seats hold traders, apprentices, estates, or nobody."""
        status = self.bodies.status
        names = {"trading": TRADING, "apprentices": APPRENTICE, "estates": ESTATE, "empty": EMPTY}
        return {name: int((status == code).sum()) for name, code in names.items()}


_REPORTERS: dict[str, Any] = {
    "alive": lambda world: int(world.arena.living().sum()),
    "born": lambda world: world.next_agent_id - 1,
    "died": lambda world: world.counts["death"],
    "scars": lambda world: world.counts["scar"],
    "mean_equity": lambda world: float(world.bodies.equity[world.arena.living()].mean())
    if world.arena.living().any()
    else None,
    "close": lambda world: float(world.arena.senses.close[0]),
}
