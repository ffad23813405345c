"""A run's lifetime: start it, play its rounds into the ledger and the store, stop it, resume it, replay it.

Resume is replay. A checkpoint is only a shortcut: from the newest good one, every round that the ledger
already holds is computed again and must come out identical, or the run stops with nothing changed.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from agents.fused import LearnerName, resolve
from arena.errors import ConfigError, DivergenceError
from lineage import fossils, numerics, rundir
from lineage.config import RunConfig, to_plain
from lineage.record import checkpoint as files
from lineage.record.genesis import RunRow, run_row
from lineage.record.ledger import Ledger
from lineage.record.provenance import Session, session, versions
from lineage.record.store import FILE_NAME, Store
from lineage.rewind import Rewound, compare, open_world, rewind, tape_of
from lineage.settings_text import to_toml
from lineage.world import World


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run amounts to when it stops."""

    run: str
    seed: int
    scenario: str
    rounds: int
    status: str  # finished | interrupted
    head: str
    root: str
    checkpoint_line: str
    born: int
    died: int
    alive: int
    apprentices: int
    scars: int
    generations: int
    deaths_by_cause: dict[str, int]
    scars_by_kind: dict[str, int]
    agent_steps: int
    agent_steps_per_s: float
    learner: str
    updates: int
    updates_per_s: float
    seconds: float
    phase_seconds: dict[str, float]
    directory: str

    def as_dict(self) -> dict[str, object]:
        """Return the fields as plain values."""
        return asdict(self)


class Engine:
    """One run being written; use it as a context manager so that lock and database are let go."""

    def __init__(
        self,
        directory: Path,
        row: RunRow,
        world: World,
        rewound: Rewound,
        store: Store,
        lock: rundir.Lock,
        session: Session | None = None,
    ) -> None:
        """Take over a claimed directory; `session` is noted before this process's first write."""
        self.directory = directory
        self.row = row
        self.world = world
        self.ledger = rewound.ledger
        self.store = store
        self.rounds_total = world.config.rounds
        self._damaged = rewound.damaged
        self._lock = lock
        self._session = session
        self._last_recorded = store.last_round()
        self._steps_before = world.counts["agent_steps"], world.counts["updates"]
        self.seconds = 0.0

    @property
    def rounds_done(self) -> int:
        """Rounds that this history holds so far."""
        return self.world.round

    def run(
        self,
        on_round: Callable[["Engine"], None] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> RunSummary:
        """Play until the last round or until `should_stop()` says so between two rounds.

        Raises DivergenceError when a recomputed round differs from the recorded one.
        """
        began = time.perf_counter()
        while self.rounds_done < self.rounds_total and not should_stop():
            self._play_round()
            self.seconds = time.perf_counter() - began
            if on_round is not None:
                on_round(self)
        if self.rounds_done < self.rounds_total:
            self._stop()
        elif not self.ledger.closed:
            self._finish()
        self.seconds = time.perf_counter() - began
        return self.summary()

    def _play_round(self) -> None:
        """Play, seal and write one round; a round that is recorded already must come out the same."""
        record = self.world.play_round()
        sealed = self.ledger.seal_round(record)
        if record.round <= self._last_recorded:
            compare(self.directory, self.store, sealed)
            self._mend_checkpoint(record.round)
            return
        self._begin_writing()
        due = record.state_sha256 != ""  # the world fingerprints the state where a checkpoint is due
        self.store.commit_round(sealed, self._write_checkpoint() if due else None)
        if due:
            files.prune_checkpoints(self.directory, self.world.config.record.checkpoints_kept)

    def _begin_writing(self) -> None:
        """Note who writes: not before the recorded rounds have come out identical."""
        if self._session is not None:
            self.store.record_session(self._session)
            self._session = None

    def _write_checkpoint(self) -> files.CheckpointFile:
        last = self.world.round - 1
        metadata: dict[str, int | str] = {"run": self.row.run_id, "round": last, "head": self.ledger.head}
        return files.write_checkpoint(self.directory, last, self.world.state_arrays(), metadata)

    def _mend_checkpoint(self, round_index: int) -> None:
        """Write a damaged checkpoint anew: the same state gives the same bytes."""
        if round_index in self._damaged:
            wanted = self._damaged.pop(round_index)
            written = self._write_checkpoint()
            if written.sha256 != wanted:
                raise DivergenceError(
                    f"{self.directory / written.file}: the state after round {round_index} is another than was "
                    "recorded, though the round came out identical; run `verify` on this directory"
                )

    def _stop(self) -> None:
        """Leave a checkpoint behind for `resume`, unless this history has one of this round or a later one."""
        noted = max((checkpoint.round for checkpoint in self.store.checkpoints()), default=-1)
        if self.world.round - 1 > noted and self.world.round > self._last_recorded:
            self._begin_writing()
            self.store.record_checkpoint(self._write_checkpoint())
            files.prune_checkpoints(self.directory, self.world.config.record.checkpoints_kept)
        rundir.note(self.directory, "interrupted", rounds=self.rounds_done)

    def _finish(self) -> None:
        """Seal the end: the living are censored and the run is closed; a recorded end must come out the same."""
        events = self.world.censored_events()
        kept = fossils.last_policies(self.world, events)
        sealed = self.ledger.seal_closed(self.world.tick - 1, events, policies=kept)
        if self.store.is_closed():
            if self.store.closed_head() != sealed.head:
                raise DivergenceError(
                    f"{self.directory}: the end of the run comes out differently: nothing was changed; run `verify` "
                    "to see whether the history was edited"
                )
            return
        self._begin_writing()
        self.store.commit_closed(sealed)
        rundir.note(self.directory, "finished", rounds=self.rounds_done, head=self.ledger.head)

    def summary(self) -> RunSummary:
        """Return the figures of the history so far; speeds are those of this process."""
        world, census = self.world, self.world.census()
        steps, updates = (world.counts[name] for name in ("agent_steps", "updates"))
        seconds = max(self.seconds, 1e-9)
        return RunSummary(
            run=self.row.run_id,
            seed=self.row.seed,
            scenario=self.row.scenario,
            rounds=self.rounds_done,
            status="finished" if self.ledger.closed else "interrupted",
            head=self.ledger.head,
            root=self.ledger.root,
            checkpoint_line=self.ledger.checkpoint_line(),
            born=world.next_agent_id - 1,
            died=world.counts["death"],
            alive=census["trading"] + census["apprentices"],
            apprentices=census["apprentices"],
            scars=world.counts["scar"],
            generations=world.counts["deepest"] + 1,
            deaths_by_cause=dict(sorted(world.deaths_by_cause.items())),
            scars_by_kind=dict(sorted(world.scars_by_kind.items())),
            agent_steps=steps,
            agent_steps_per_s=(steps - self._steps_before[0]) / seconds,
            learner=world.minds.learner.name,
            updates=updates,
            updates_per_s=(updates - self._steps_before[1]) / seconds,
            seconds=self.seconds,
            phase_seconds=dict(world.phase_seconds),
            directory=str(self.directory),
        )

    def close(self, *, fault: bool = False) -> None:
        """Let go of database and lock; after a fault without another write."""
        if fault:
            self.store.abandon()
        else:
            self.store.close()
        self._lock.release()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(fault=kind is not None)


def start(
    directory: Path,
    config: RunConfig,
    seed: int,
    *,
    threads: int = 1,
    device: str = "cpu",
    tape: Path | None = None,
    learner: LearnerName = "auto",
) -> Engine:
    """Create a run in an empty or new directory.

    The learner (`fused.resolve`) is chosen once and becomes part of the genesis: each has its own last bits.
    Raises ConfigError, DataError or EnvironmentFault; then nothing is left behind.
    """
    read = tape_of(tape, config)
    chosen, _ = resolve(learner, device)
    inputs: dict[str, int | str] = {"learner": chosen}
    if read:
        inputs["tape_sha256"] = read.sha256
    row = run_row(to_plain(config), seed, versions(), inputs)
    claimed = rundir.claim(directory)
    store: Store | None = None
    try:
        numerics.pin_torch()
        world = World(config, seed, read, device, threads, chosen)
        found = numerics.probe(config, device, threads, chosen)
        rundir.write_text(directory / rundir.CONFIG_NAME, to_toml(config))
        if tape is not None and read is not None:
            rundir.copy_file(tape, directory / read.name)
        rundir.note(directory, "started", run=row.run_id, seed=seed, threads=threads, device=device, learner=chosen)
        mine = session(threads, device, found, {"command": "run", "seed": seed})
        store = Store.create(directory / FILE_NAME, row, mine)
        return Engine(directory, row, world, Rewound(Ledger(row.genesis)), store, claimed.lock)
    except BaseException:
        if store is not None:
            store.abandon()
        claimed.undo()
        raise


def resume(directory: Path, *, threads: int | None = None, device: str | None = None) -> Engine:
    """Continue a run where its record ends, with the thread count and device that it was started with.

    Raises ConfigError when there is no run, StoreError when it is foreign, damaged or would diverge here.
    """
    if not (directory / FILE_NAME).exists():
        raise ConfigError(f"{directory}: no run is recorded here (no {FILE_NAME}); give the directory of a run")
    lock = rundir.Lock(directory)
    store: Store | None = None
    try:
        store = Store.open_writer(directory / FILE_NAME)
        row = store.run_row()
        first_threads, first_device, first_numerics = store.first_session()
        threads, device = threads or first_threads, device or first_device
        numerics.pin_torch()
        world = open_world(directory, row, device, threads)
        found = numerics.probe(world.config, device, threads, world.minds.learner.name)
        if found != first_numerics:
            raise DivergenceError(
                f"{directory}: with {threads} threads on {device} this machine computes other bits than the run was "
                f"started with ({first_threads} threads on {first_device}): the history would diverge; resume with "
                f"--threads {first_threads} --device {first_device} on a machine of the same kind"
            )
        rewound = rewind(directory, world, store, row)
        rundir.note(directory, "resumed", run=row.run_id, from_round=world.round, threads=threads, device=device)
        mine = session(threads, device, found, {"command": "resume"})
        return Engine(directory, row, world, rewound, store, lock, mine)
    except BaseException:
        if store is not None:
            store.abandon()
        lock.release()
        raise


def replay(directory: Path, *, on_round: Callable[[int], None] | None = None) -> tuple[bool, str]:
    """Play a recorded run again from its seed and compare every round; nothing is written.

    Returns (identical, what was found in words).
    """
    store = Store.open_reader(directory / FILE_NAME)
    try:
        row = store.run_row()
        threads, device, first_numerics = store.first_session()
        numerics.pin_torch()
        world = open_world(directory, row, device, threads)
        if numerics.probe(world.config, device, threads, world.minds.learner.name) != first_numerics:
            return False, (
                "this machine computes other bits than the one that the run was started on: a replay here proves "
                "nothing; replay it on a machine of the same kind"
            )
        ledger = Ledger(row.genesis)
        last = store.last_round()
        for index in range(last + 1):
            sealed = ledger.seal_round(world.play_round())
            if sealed.head != store.stored_head(index):
                return False, f"round {index} comes out differently: seed and code do not produce this history"
            if on_round is not None:
                on_round(index)
        if store.is_closed():
            ledger.seal_closed(world.tick - 1, world.censored_events())
            if ledger.head != store.closed_head():
                return False, "the end of the run comes out differently"
        return True, f"{last + 1} rounds played again from seed {row.seed}, every head identical"
    finally:
        store.abandon()
