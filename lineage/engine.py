"""A run's lifetime: start it, play its rounds into the ledger and the store, stop it, resume it, replay it.

Resume is replay. A checkpoint is only a shortcut: from the newest good one, every round that the ledger
already holds is computed again and must come out identical, or the run stops with nothing changed.
"""

import copy
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import msgspec

from arena.errors import ConfigError, DivergenceError, StoreError
from arena.market.tape import Tape, read_tape
from lineage import numerics, rundir
from lineage.config import RunConfig, to_plain
from lineage.record import checkpoint as files
from lineage.record.genesis import RunRow, run_row
from lineage.record.ledger import Ledger
from lineage.record.provenance import session, versions
from lineage.record.sealed import SealedRound
from lineage.record.store import FILE_NAME, Store
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
        self, directory: Path, row: RunRow, world: World, ledger: Ledger, store: Store, lock: rundir.Lock
    ) -> None:
        self.directory = directory
        self.row = row
        self.world = world
        self.ledger = ledger
        self.store = store
        self.rounds_total = world.config.rounds
        self._lock = lock
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
            self._compare(sealed)
            return
        due = self.world.round % self.world.config.record.checkpoint_every == 0
        self.store.commit_round(sealed, self._write_checkpoint() if due else None)
        if due:
            self._drop_old_checkpoints()

    def _compare(self, sealed: SealedRound) -> None:
        recorded = self.store.stored_head(sealed.round)
        if recorded != sealed.head:
            raise DivergenceError(
                f"{self.directory}: round {sealed.round} comes out differently ({sealed.head[:16]}... instead of "
                f"{str(recorded)[:16]}...): nothing was changed; resume with the build, device and thread count that "
                "the session table names, or run `verify` to see whether the history was edited"
            )

    def _write_checkpoint(self) -> files.CheckpointFile:
        last = self.world.round - 1
        metadata: dict[str, int | str] = {"run": self.row.run_id, "round": last, "head": self.ledger.head}
        return files.write_checkpoint(self.directory, last, self.world.state_arrays(), metadata)

    def _drop_old_checkpoints(self) -> None:
        for _, path in files.list_checkpoints(self.directory)[self.world.config.record.checkpoints_kept :]:
            path.unlink(missing_ok=True)

    def _stop(self) -> None:
        """Leave a checkpoint behind for `resume`."""
        if self.world.round > self._last_recorded + 1 or self.world.round == self._last_recorded + 1 > 0:
            self.store.record_checkpoint(self._write_checkpoint())
            self._drop_old_checkpoints()
        rundir.note(self.directory, "interrupted", rounds=self.rounds_done)

    def _finish(self) -> None:
        """Seal the end: the living are censored and the run is closed."""
        sealed = self.ledger.seal_closed(self.world.tick - 1, self.world.censored_events())
        if self.store.is_closed():
            return
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
    directory: Path, config: RunConfig, seed: int, *, threads: int = 1, device: str = "cpu", tape: Path | None = None
) -> Engine:
    """Create a run in an empty or new directory.

    Raises ConfigError, DataError or EnvironmentFault; then nothing is left behind.
    """
    read = _read_tape(tape, config)
    inputs: dict[str, int | str] = {"tape_sha256": read.sha256} if read else {}
    row = run_row(to_plain(config), seed, versions(), inputs)
    created = rundir.claim(directory)
    lock: rundir.Lock | None = None
    try:
        lock = rundir.Lock(directory)
        numerics.set_threads(threads)
        world = World(config, seed, read, device)
        rundir.write_text(directory / rundir.CONFIG_NAME, to_toml(config))
        if tape is not None and read is not None:
            rundir.copy_file(tape, directory / read.name)
        store = Store.create(directory / FILE_NAME, row)
    except BaseException:
        if lock is not None:
            lock.release()
        rundir.unclaim(directory, created)
        raise
    fingerprint = numerics.probe(config.mind, config.genome, world.arena.population, device)
    store.record_session(session(threads, device, fingerprint, {"command": "run", "seed": seed}))
    rundir.note(directory, "started", run=row.run_id, seed=seed, threads=threads, device=device)
    return Engine(directory, row, world, Ledger(row.genesis), store, lock)


def _read_tape(tape: Path | None, config: RunConfig) -> Tape | None:
    if tape is None:
        return None
    read = read_tape(tape, config.market.tape_skip_bad)
    if read.sha256 != config.market.tape_sha256:
        raise StoreError(
            f"{tape}: SHA-256 {read.sha256[:16]}... is not the configuration's "
            f"{config.market.tape_sha256[:16]}...; put the original tape back"
        )
    return read


def open_world(directory: Path, row: RunRow, device: str) -> World:
    """Return the world of a recorded run at its beginning. Raises StoreError when this build cannot play it."""
    mine = versions()
    theirs = json.loads(row.versions_json)
    if mine != theirs:
        changed = ", ".join(f"{name} {theirs.get(name)} (here {mine.get(name)})"
                            for name in sorted(mine | theirs) if mine.get(name) != theirs.get(name))  # fmt: skip
        raise StoreError(
            f"{directory}: recorded with another build: {changed}; install those versions to resume or replay it"
        )
    config = msgspec.convert(json.loads(row.config_json), RunConfig)
    name = config.market.tape_name
    return World(config, row.seed, _read_tape(directory / name if name else None, config), device)


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
        numerics.set_threads(threads)
        world = open_world(directory, row, device)
        found = numerics.probe(world.config.mind, world.config.genome, world.arena.population, device)
        if found != first_numerics:
            raise DivergenceError(
                f"{directory}: with {threads} threads on {device} this machine computes other bits than the run was "
                f"started with ({first_threads} threads on {first_device}): the history would diverge; resume with "
                f"--threads {first_threads} --device {first_device} on a machine of the same kind"
            )
        ledger = _rewind(directory, world, store, row)
        store.record_session(session(threads, device, found, {"command": "resume"}))
    except BaseException:
        if store is not None:
            store.abandon()
        lock.release()
        raise
    rundir.note(directory, "resumed", run=row.run_id, from_round=world.round, threads=threads, device=device)
    return Engine(directory, row, world, ledger, store, lock)


def _rewind(directory: Path, world: World, store: Store, row: RunRow) -> Ledger:
    """Set the world to the newest good checkpoint before the last recorded round, or leave it at the beginning.

    At least one recorded round is always computed again, so that a divergence shows before anything is written.
    """
    for found in store.checkpoints():
        if found.round >= store.last_round():
            continue
        try:
            arrays, _ = files.read_checkpoint(directory / found.file, found.sha256)
        except StoreError as error:
            rundir.note(directory, "checkpoint skipped", round=found.round, reason=str(error))
            continue
        ledger = Ledger.from_store(store.connection, found.round)
        world.restore(arrays, copy.deepcopy(ledger.family))
        return ledger
    return Ledger(row.genesis)


def replay(directory: Path, *, on_round: Callable[[int], None] | None = None) -> tuple[bool, str]:
    """Play a recorded run again from its seed and compare every round; nothing is written.

    Returns (identical, what was found in words).
    """
    store = Store.open_reader(directory / FILE_NAME)
    try:
        row = store.run_row()
        threads, device, _ = store.first_session()
        numerics.set_threads(threads)
        world = open_world(directory, row, device)
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

