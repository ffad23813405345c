"""How fast this machine is: markets and bodies alone, and whole rounds with their time split by phase.

What is measured takes turns, so that whatever else the machine does meets all of it: the ratios of one call
stand where the speeds do not. Nobody dies meanwhile, so that every tick is work for every seat.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from agents.config import MindConfig
from agents.replay import Replay
from arena import rng
from arena.config import ArenaConfig, BodyConfig, LifeConfig, ScarConfig
from lineage import numerics
from lineage.config import RecordConfig, RunConfig, to_plain
from lineage.record.genesis import run_row
from lineage.record.ledger import Ledger
from lineage.record.provenance import versions
from lineage.record.store import FILE_NAME, Store
from lineage.world import PHASES, World

PARTS = (*PHASES, "seal", "write", "other")
"""Where the time of a round goes: the world's phases, the hashes, SQLite, and what lies between them."""

MINDS = ("act", "remember", "learn")
"""The phases that belong to the minds; the learner in the narrow sense is `learn` alone."""

POPULATIONS = ((8, 128), (1, 64))
"""(markets, seats a market) that are measured."""

LEARNER = MindConfig(
    hidden=(64, 64), batch=32, n_step=1, update_every=1, updates_per_phase=1, replay_capacity=2048, learn_start=32
)
"""One update an agent and tick; learning may start early, since the rings are filled by hand."""

_COUNTS = ("agent_steps", "updates")
_NO_MIND = MindConfig(hidden=(1, 1), replay_capacity=64)
_SEED = 1
_TURNS = 4


@dataclass(frozen=True, slots=True)
class WorldSpeed:
    """Markets and bodies under random legal actions."""

    seats: int
    markets: int
    ticks: int
    step_us: float  # one tick of market and bodies
    observe_us: float  # one observation of all seats
    agent_steps_per_s: float  # market and bodies
    agent_steps_per_s_with_observe: float


@dataclass(frozen=True, slots=True)
class LoopSpeed:
    """Whole recorded rounds."""

    seats: int
    markets: int
    rounds: int
    agent_steps_per_s: float
    updates_per_s: float
    updates_per_agent_step: float
    us_per_agent_step: float
    shares: dict[str, float]  # of the whole time, by PARTS; they sum to 1
    outside_learn: float  # share of the whole time that is not `learn`
    outside_minds: float  # share of the whole time that is neither act, remember nor learn
    storing: float  # share of the whole time that goes into sealing and writing; checkpoints are not measured
    bytes_per_round: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that one call measured."""

    threads: int
    world: list[WorldSpeed]
    loop: list[LoopSpeed]
    ratios: dict[str, float]


def immortal(markets: int, seats: int, mind: MindConfig) -> RunConfig:
    """Return a configuration in which everybody trades real money and nobody is born, scarred or buried."""
    return RunConfig(
        scenario="bench",
        rounds=10_000_000,
        arena=ArenaConfig(markets=markets, seats=seats),
        body=BodyConfig(living_cost_bps=0.0, wealth_cost_bps=0.0, fee_bps=1.0, min_notional=0.0),
        scars=ScarConfig(minor_points=0, moderate_points=0, severe_points=0, drawdown_step=0.99),
        life=LifeConfig(founders_fraction=1.0, founder_apprentice_rounds=0, ruin_fraction=0.0),
        mind=mind,
        record=RecordConfig(checkpoint_every=10_000_000),
    )


def play_for(seconds: float, play_round: Callable[[], None]) -> None:
    """Play whole rounds for about `seconds`, at least one."""
    end = time.perf_counter() + seconds
    play_round()
    while time.perf_counter() < end:
        play_round()


class WorldAlone:
    """One population without minds, and the time that its world has taken so far."""

    def __init__(self, markets: int, seats: int) -> None:
        """Seat everybody and warm up."""
        self._arena = World(immortal(markets, seats, _NO_MIND), _SEED).arena
        self._draw = rng.stream(_SEED, "bench")
        self._rounds = 0
        self._forget()
        self._play_round()
        self._forget()

    def _forget(self) -> None:
        self._ticks, self._step, self._observe = 0, 0.0, 0.0

    def play(self, seconds: float) -> None:
        """Play whole rounds for about `seconds`, at least one."""
        play_for(seconds, self._play_round)

    def _play_round(self) -> None:
        """Play one round; the choice of actions is not timed."""
        arena, clock = self._arena, time.perf_counter
        began = clock()
        arena.market.begin_round(self._rounds)
        step, observe = clock() - began, 0.0
        for _ in range(arena.config.arena.ticks_per_round):
            began = clock()
            _, mask = arena.observe()
            observe += clock() - began
            actions = (self._draw.random(mask.shape) * mask).argmax(axis=1).astype(np.int8)
            began = clock()
            arena.step(actions)
            step += clock() - began
        self._rounds += 1
        self._ticks += arena.config.arena.ticks_per_round
        self._step += step
        self._observe += observe

    def speed(self) -> WorldSpeed:
        """Return the means over everything played since the warm-up."""
        arena, ticks = self._arena, self._ticks
        steps = arena.population * ticks
        return WorldSpeed(
            seats=arena.population,
            markets=arena.markets,
            ticks=ticks,
            step_us=1e6 * self._step / ticks,
            observe_us=1e6 * self._observe / ticks,
            agent_steps_per_s=steps / self._step,
            agent_steps_per_s_with_observe=steps / (self._step + self._observe),
        )


class WholeLoop:
    """One population of learners with its ledger and its database, and where its time has gone so far."""

    def __init__(self, markets: int, seats: int, directory: Path, threads: int, mind: MindConfig = LEARNER) -> None:
        """Play until everybody learns, fill the rings, and warm up; `directory` takes the database."""
        config = immortal(markets, seats, mind)
        row = run_row(to_plain(config), _SEED, versions(), {})
        self._world = World(config, _SEED, threads=threads)
        self._ledger = Ledger(row.genesis)
        self._store = Store.create(directory / FILE_NAME, row)
        self._spent = dict.fromkeys(("seal", "write", "total"), 0.0)
        while not self._world.counts["updates"]:
            self._play_round()
        minds = self._world.minds
        fill(minds.replay)
        if minds.priorities is not None:
            minds.priorities.waiting[:] = minds.replay.capacity
        self._play_round()
        self._start = self._so_far()

    @property
    def rounds(self) -> int:
        """Rounds played so far."""
        return self._world.round

    def play(self, seconds: float) -> None:
        """Play, seal and write whole rounds for about `seconds`, at least one."""
        play_for(seconds, self._play_round)

    def _play_round(self) -> None:
        marks = [time.perf_counter()]
        record = self._world.play_round()
        marks.append(time.perf_counter())
        sealed = self._ledger.seal_round(record)
        marks.append(time.perf_counter())
        self._store.commit_round(sealed)
        marks.append(time.perf_counter())
        self._spent["seal"] += marks[2] - marks[1]
        self._spent["write"] += marks[3] - marks[2]
        self._spent["total"] += marks[3] - marks[0]

    def _so_far(self) -> dict[str, float]:
        """Return all clocks in seconds, all counts, and the bytes of the database."""
        world = self._world
        run = self._store.connection.execute
        (size,) = run("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()
        counts = {"rounds": world.round, "bytes": size}
        return counts | {name: world.counts[name] for name in _COUNTS} | world.phase_seconds | self._spent

    def speed(self) -> LoopSpeed:
        """Return the means over everything played since the warm-up."""
        end = self._so_far()
        spent = {name: end[name] - self._start[name] for name in end}
        total, steps, rounds = spent["total"], spent["agent_steps"], int(spent["rounds"])
        parts = {name: spent[name] / total for name in PARTS if name != "other"}
        parts["other"] = 1.0 - sum(parts.values())
        config = self._world.config.arena
        return LoopSpeed(
            seats=config.markets * config.seats,
            markets=config.markets,
            rounds=rounds,
            agent_steps_per_s=steps / total,
            updates_per_s=spent["updates"] / total,
            updates_per_agent_step=spent["updates"] / steps,
            us_per_agent_step=1e6 * total / steps,
            shares=parts,
            outside_learn=1.0 - parts["learn"],
            outside_minds=1.0 - sum(parts[name] for name in MINDS),
            storing=parts["seal"] + parts["write"],
            bytes_per_round=int(spent["bytes"]) // rounds,
        )

    def close(self) -> None:
        """Let go of the database."""
        self._store.abandon()


def fill(replay: Replay) -> None:
    """Repeat what every seat remembers until its ring is full: samples then come from all of a grown memory."""
    rows = np.arange(replay.capacity) % int(replay.filled.min())
    for column in (replay.obs, replay.action, replay.reward, replay.done, replay.mask):
        column[:] = column[:, rows]
    replay.filled[:] = replay.capacity
    replay.write[:] = 0


def measure(
    what: Literal["world", "loop", "all"], seconds: float, threads: int, tell: Callable[[str], object]
) -> Figures:
    """Measure every population for about `seconds`, in turns; `tell` hears what is being done."""
    numerics.pin_torch()
    with ExitStack() as stack:
        worlds: list[WorldAlone] = []
        loops: list[WholeLoop] = []
        for markets, seats in POPULATIONS:
            tell(f"seating {markets * seats:,} agents")
            if what != "loop":
                worlds.append(WorldAlone(markets, seats))
            if what != "world":
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="lineage-arena-bench-")))
                loops.append(WholeLoop(markets, seats, folder, threads))
                stack.callback(loops[-1].close)
        populations: list[WorldAlone | WholeLoop] = [*worlds, *loops]
        tell(f"measuring for about {seconds * len(populations):.0f} s")
        for _ in range(_TURNS):
            for population in populations:
                population.play(seconds / _TURNS)
        world, loop = [alone.speed() for alone in worlds], [whole.speed() for whole in loops]
    return Figures(threads, world, loop, ratios(world, loop))


def ratios(world: Sequence[WorldSpeed], loop: Sequence[LoopSpeed]) -> dict[str, float]:
    """Return what an agent's step costs here in units of what it costs there; observing is part of the world's cost."""
    cost = {("world", speed.seats): 1e6 / speed.agent_steps_per_s_with_observe for speed in world}
    cost |= {("loop", speed.seats): speed.us_per_agent_step for speed in loop}
    sizes = [markets * seats for markets, seats in POPULATIONS]
    pairs = [((kind, sizes[1]), (kind, sizes[0])) for kind in ("world", "loop")]
    pairs += [(("loop", size), ("world", size)) for size in sizes]
    return {
        f"{here[0]}_{here[1]}_over_{there[0]}_{there[1]}": cost[here] / cost[there]
        for here, there in pairs
        if here in cost and there in cost
    }
