"""From a record back to its world: at the beginning or at a checkpoint, and proven to compute the same here."""

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from agents.fused import LearnerName, resolve
from arena.errors import BuildError, DivergenceError, EnvironmentFault, StoreError
from arena.market.tape import Tape, read_tape
from lineage import rundir
from lineage.config import RunConfig
from lineage.record import checkpoint as files
from lineage.record.genesis import RunRow, genesis_of
from lineage.record.ledger import Ledger
from lineage.record.provenance import versions
from lineage.record.sealed import SealedRound
from lineage.record.store import Store
from lineage.world import World


def tape_of(path: Path | None, config: RunConfig) -> Tape | None:
    """Return the tape that a configuration names. Raises DataError, or StoreError when it is not the same file."""
    if path is None:
        return None
    read = read_tape(path, config.market.tape_skip_bad)
    if read.sha256 != config.market.tape_sha256:
        raise StoreError(
            f"{path}: SHA-256 {read.sha256[:16]}... is not the configuration's "
            f"{config.market.tape_sha256[:16]}...; put the original tape back"
        )
    return read


def open_world(directory: Path, row: RunRow, device: str, threads: int, kind: type[World] = World) -> World:
    """Return the world of a recorded run at its beginning, of a kind that may look on.

    Raises BuildError when other versions recorded it, StoreError when it cannot be played at all.
    """
    mine = versions()
    theirs = json.loads(row.versions_json)
    if mine != theirs:
        changed = ", ".join(f"{name} {theirs.get(name)} (here {mine.get(name)})"
                            for name in sorted(mine | theirs) if mine.get(name) != theirs.get(name))  # fmt: skip
        raise BuildError(
            f"{directory}: recorded with another build: {changed}; install those versions to resume or replay it"
        )
    if genesis_of(row.seed, row.config_json, row.versions_json, row.inputs_json) != row.genesis:
        raise StoreError(
            f"{directory}: configuration, seed or inputs were changed after the start: they do not lead to the "
            "genesis; restore the run from a copy"
        )
    config = config_of(row)
    name = config.market.tape_name
    read, learner = tape_of(directory / name if name else None, config), learner_of(directory, row, device)
    return kind(config, row.seed, read, device, threads, learner)


def learner_of(directory: Path, row: RunRow, device: str) -> LearnerName:
    """Return the learner that a run was played with. Raises EnvironmentFault when this machine has not got it."""
    recorded = json.loads(row.inputs_json).get("learner", "fast")
    try:
        return resolve(recorded, device)[0]
    except EnvironmentFault as reason:
        raise EnvironmentFault(
            f"{directory}: its history was made by the {recorded} learner and can only go on with it: {reason}"
        ) from None


def config_of(row: RunRow) -> RunConfig:
    """Return the configuration of a recorded run; what its build did not know yet stays switched off."""
    plain = json.loads(row.config_json)
    plain["record"].setdefault("fossils", False)
    config: RunConfig = msgspec.convert(plain, RunConfig)
    return config


def compare(directory: Path, store: Store, sealed: SealedRound) -> None:
    """Raise DivergenceError unless a recomputed round has the head that is recorded."""
    recorded = store.stored_head(sealed.round)
    if recorded != sealed.head:
        raise DivergenceError(
            f"{directory}: round {sealed.round} comes out differently ({sealed.head[:16]}... instead of "
            f"{str(recorded)[:16]}...): nothing was changed; resume with the build, device and thread count that "
            "the session table names, or run `verify` to see whether the history was edited"
        )


@dataclass(slots=True)
class Rewound:
    """Where a resumed run goes on."""

    ledger: Ledger
    damaged: dict[int, str] = field(default_factory=dict)  # round -> SHA-256 that its checkpoint file should have


def rewind(directory: Path, world: World, store: Store, row: RunRow) -> Rewound:
    """Set the world to the newest good checkpoint before the last recorded round, or leave it at the beginning.

    At least one recorded round is always computed again from what was loaded, before anything is written: that shows
    a machine that computes otherwise, and a checkpoint that somebody forged together with its row.
    """
    found = Rewound(Ledger(row.genesis))
    for noted in store.checkpoints():
        arrays = _read(directory, noted, found)
        if arrays is not None and noted.round < store.last_round():
            found.ledger = Ledger.from_store(store.connection, noted.round)
            world.restore(arrays, copy.deepcopy(found.ledger.family))
            break
    return found


def _read(directory: Path, noted: files.CheckpointFile, found: Rewound) -> dict[str, np.ndarray] | None:
    """Return a checkpoint's arrays, None when it is gone; a damaged one is remembered, to be written anew."""
    path = directory / noted.file
    if not path.exists():
        return None
    try:
        return files.read_checkpoint(path, noted.sha256)[0]
    except StoreError as error:
        found.damaged[noted.round] = noted.sha256
        rundir.note(directory, "checkpoint skipped", round=noted.round, reason=str(error))
        return None
