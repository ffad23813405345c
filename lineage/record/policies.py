"""Reading policies out of a run: fossils from the database, the living from the newest checkpoint."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agents.genome import GENES
from agents.layout import layout_of
from arena.body.state import APPRENTICE, TRADING
from arena.errors import ConfigError, DataError, StoreError
from arena.spec import N_ACTIONS, OBS_DIM
from lineage.record.checkpoint import read_checkpoint
from lineage.record.leaves import is_closed
from lineage.record.policy import Policy, Reason, untrained_weights
from lineage.record.policy_files import parse_policy
from lineage.record.schema import version_of

__all__ = ["Policy", "Who", "birth_policies", "load_policy", "policies_of", "untrained_weights"]

Who = Literal["fossils", "alive"]
"""All learners that died; or all learners that live: at the run's end, or at the newest checkpoint of an open run."""

_AGENT = "SELECT clan, mind, birth_round FROM agent WHERE agent_id = ?"
_END = "SELECT kind, round FROM event WHERE agent_id = ? AND kind IN ('death', 'censored')"
_BLOB = (
    "SELECT b.bytes FROM policy p JOIN policy_blob b ON b.sha256 = p.blob_sha256"
    " WHERE p.agent_id = ? AND p.reason IN ('death', 'end')"
)
_OF_REASON = "SELECT agent_id FROM policy WHERE reason = ? ORDER BY agent_id"
_BIRTHS = (
    "SELECT p.agent_id, b.bytes FROM policy p JOIN policy_blob b ON b.sha256 = p.blob_sha256"
    " WHERE p.reason = 'birth' ORDER BY p.agent_id"
)
_DEAD = "SELECT 1 FROM event WHERE agent_id = ? AND kind = 'death'"


def load_policy(connection: sqlite3.Connection, agent_id: int, directory: Path | None = None) -> Policy:
    """Return the last policy of an agent: its fossil, or, while it lives, that of the newest checkpoint.

    connection: from `schema.connect_reader`; directory: the run's, needed for the living only. A scripted agent has a
    policy without weights. Raises ConfigError when the agent was never born, DataError when it has left no policy.
    """
    row = connection.execute(_AGENT, (agent_id,)).fetchone()
    if row is None:
        raise ConfigError(f"agent {agent_id}: was never born in this run; name one that was")
    clan, mind, birth_round = row
    end = connection.execute(_END, (agent_id,)).fetchone()
    if mind != "dqn":
        return _scripted(connection, agent_id, clan, mind, end)
    kept = connection.execute(_BLOB, (agent_id,)).fetchone() if version_of(connection) >= 2 else None
    if kept is not None:
        return parse_policy(kept[0], f"policy of agent {agent_id}")
    if end is not None:
        raise DataError(
            f"agent {agent_id}: has left no fossil: {_why_none(connection)}; run again with record.fossils=true"
        )
    if directory is None:
        raise DataError(f"agent {agent_id}: lives, and no checkpoint was named to read its policy from")
    return _Moment.newest(connection, directory).policy(agent_id, clan, birth_round)


def policies_of(
    connection: sqlite3.Connection, who: Who | Sequence[int], directory: Path | None = None
) -> list[Policy]:
    """Return the policies of many, by agent_id: of all fossils, of the living, or of the ids that are given.

    Raises ConfigError and DataError as `load_policy`, and DataError when nobody is there.
    """
    if not isinstance(who, str):
        return [load_policy(connection, agent_id, directory) for agent_id in who]
    closed = is_closed(connection)
    if who == "alive" and not closed:
        if directory is None:
            raise DataError("alive: the run is open, and no checkpoint was named to read the policies of the living")
        found = _Moment.newest(connection, directory).policies(connection)
    else:
        reason = "death" if who == "fossils" else "end"
        rows = connection.execute(_OF_REASON, (reason,)).fetchall() if version_of(connection) >= 2 else []
        found = [load_policy(connection, agent_id) for (agent_id,) in rows]
    if not found:
        nobody = "no learner has died yet" if who == "fossils" else "no learner is alive"
        kept = _keeps(connection)
        raise DataError(f"{who}: {nobody if kept else _why_none(connection)}; see `policy list`")
    return found


def birth_policies(connection: sqlite3.Connection) -> list[Policy]:
    """Return what every learner was at birth, by agent_id. Raises DataError unless record.birth_policies was on."""
    rows = connection.execute(_BIRTHS).fetchall() if version_of(connection) >= 2 else []
    if not rows:
        raise DataError("births: this run keeps no birth policies; run it again with record.birth_policies=true")
    return [parse_policy(data, f"birth policy of agent {agent_id}") for agent_id, data in rows]


def _config(connection: sqlite3.Connection) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(connection.execute("SELECT config_json FROM run").fetchone()[0])
    return plain


def _keeps(connection: sqlite3.Connection) -> bool:
    return bool(_config(connection)["record"].get("fossils", False))


def _why_none(connection: sqlite3.Connection) -> str:
    if version_of(connection) < 2:
        return "this run was recorded with schema 1, which keeps none"
    return "record.fossils is off in this run" if not _keeps(connection) else "its row is gone, run verify"


def _genes(connection: sqlite3.Connection, agent_id: int) -> dict[str, float]:
    return dict(connection.execute("SELECT name, value FROM gene WHERE agent_id = ?", (agent_id,)))


def _scripted(
    connection: sqlite3.Connection, agent_id: int, clan: str, mind: str, end: tuple[str, int] | None
) -> Policy:
    run_id, seed = connection.execute("SELECT run_id, seed FROM run").fetchone()
    (newest,) = connection.execute("SELECT coalesce(max(round), 0) FROM round").fetchone()
    reason: Reason = "death" if end is not None and end[0] == "death" else "end"
    return Policy(
        agent_id, clan, newest if end is None else end[1], reason, mind, _genes(connection, agent_id),
        _config(connection)["mind"], np.zeros(0, dtype=np.float32), run_id, seed,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Moment:
    """The learners of one checkpoint."""

    round: int
    arrays: Mapping[str, np.ndarray]
    config: dict[str, Any]
    run_id: str
    seed: int

    @classmethod
    def newest(cls, connection: sqlite3.Connection, directory: Path) -> "_Moment":
        """Read the newest checkpoint that is there and whole. Raises DataError when there is none."""
        run_id, seed = connection.execute("SELECT run_id, seed FROM run").fetchone()
        for index, file, sha256 in connection.execute("SELECT round, file, sha256 FROM checkpoint ORDER BY round DESC"):
            path = directory / file
            try:
                arrays, _ = read_checkpoint(path, sha256)
            except StoreError:
                continue  # pruned or damaged: an older one will do
            return cls(index, arrays, _config(connection), run_id, seed)
        raise DataError(f"{directory}: there is no checkpoint to read the living from; wait for one, or press Ctrl-C")

    def seats(self) -> dict[int, int]:
        """Return {agent_id: seat} of the learners that lived at this moment."""
        status = self.arrays["bodies.status"]
        living = ((status == TRADING) | (status == APPRENTICE)) & (self.arrays["minds.kind"] == 0)
        return {int(self.arrays["bodies.agent_id"][seat]): int(seat) for seat in np.flatnonzero(living)}

    def policy(self, agent_id: int, clan: str, birth_round: int) -> Policy:
        """Return one of the living. Raises DataError when it was not born yet."""
        seat = self.seats().get(agent_id)
        if seat is None:
            raise DataError(
                f"agent {agent_id}: was born in round {birth_round}, after the newest checkpoint (round {self.round}); "
                "wait for the next one"
            )
        hidden, dueling = self.config["mind"]["hidden"], bool(self.config["mind"]["dueling"])
        layout = layout_of(OBS_DIM, N_ACTIONS, (hidden[0], hidden[1]), dueling)
        genes = dict(zip(GENES, (self.arrays["minds.genes"][seat] + 0.0).tolist(), strict=True))
        weights = np.array(self.arrays["brains.params"][seat][: layout.n_weights])
        return Policy(
            agent_id, clan, self.round, "checkpoint", "dqn", genes, self.config["mind"], weights, self.run_id, self.seed
        )

    def policies(self, connection: sqlite3.Connection) -> list[Policy]:
        """Return all learners that lived then and are not known to have died since."""
        found = []
        for agent_id in sorted(self.seats()):
            if connection.execute(_DEAD, (agent_id,)).fetchone() is None:
                clan, _, birth_round = connection.execute(_AGENT, (agent_id,)).fetchone()
                found.append(self.policy(agent_id, clan, birth_round))
        return found
