"""Policies that are kept: sealed with the event that they belong to, and checked against it by verify."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from arena.errors import InvariantError
from lineage.record.events import SealedEvent
from lineage.record.findings import Findings
from lineage.record.genesis import RunRow
from lineage.record.policy import Policy, Reason, header_bytes, metadata_of, row_sha256, to_bytes, weight_bytes
from lineage.record.sealed import PolicyRow

EVENT_OF: Final[dict[str, str]] = {"birth": "birth", "death": "death", "end": "censored"}
"""The event that seals the weights of a policy kept for this reason."""

_REASON_OF: Final[dict[str, Reason]] = {"birth": "birth", "death": "death", "censored": "end"}


def seal_policies(
    policies: Sequence[Policy], events: Sequence[SealedEvent], run_id: str, clan_of: Callable[[int], str]
) -> list[PolicyRow]:
    """Return the rows of the policies to keep; `events` are those just sealed.

    Raises InvariantError when a policy belongs to no event or has other weights than the event says.
    """
    if not policies:
        return []
    sealed = {(event.agent_id, event.kind): event for event in events}
    rows = []
    for policy in policies:
        event = sealed.get((policy.agent_id, EVENT_OF[policy.reason]))
        place = f"policy of agent {policy.agent_id} ({policy.reason})"
        if event is None:
            raise InvariantError(f"{place}: there is no event that seals it")
        weights_sha256 = row_sha256(weight_bytes(policy), policy.layout)
        if json.loads(event.payload).get("weights_sha256") != weights_sha256:
            raise InvariantError(f"{place}: its weights are not those that the event of round {event.round} seals")
        data = to_bytes(replace(policy, clan=clan_of(policy.agent_id), run_id=run_id, round=event.round))
        blob_sha256 = hashlib.sha256(data).hexdigest()
        rows.append(PolicyRow(policy.agent_id, policy.reason, event.round, blob_sha256, weights_sha256, data))
    return rows


class _Due(NamedTuple):
    """What an event says about the policy that has to be kept."""

    round: int
    weights_sha256: str


def check_policies(connection: sqlite3.Connection, run: RunRow, schema_version: int, out: Findings) -> None:
    """Check that exactly the policies that the run promises are there, whole, and those that the events seal.

    Trusts the events and the tables `agent` and `gene`, which the caller has checked against their hashes.
    """
    config = json.loads(run.config_json)
    promised = config.get("record", {})  # a run of schema 1 promises nothing
    kinds = [kind for kind, key in _PROMISED_BY.items() if promised.get(key, False)]
    if schema_version < 2:
        out.expect(not kinds, "table policy: the run promises policies, its schema has no place for them")
        return
    due = _due(connection, kinds)
    rows = connection.execute(
        "SELECT p.agent_id, p.reason, p.round, p.blob_sha256, p.weights_sha256, b.bytes, a.clan FROM policy p"
        " LEFT JOIN policy_blob b ON b.sha256 = p.blob_sha256 LEFT JOIN agent a ON a.agent_id = p.agent_id"
        " ORDER BY p.agent_id, p.reason"
    )
    for agent_id, reason, index, blob_sha256, weights_sha256, data, clan in rows:
        place = f"policy of agent {agent_id} ({reason})"
        with out.reading(place):
            expected = due.pop((agent_id, reason), None)
            if expected is None:
                out.add(f"{place}: no event seals it")
            elif expected != (index, weights_sha256):
                out.add(f"{place}: its row contradicts the event")
            elif not isinstance(data, bytes):
                out.add(f"{place}: its bytes are missing")
            elif hashlib.sha256(data).hexdigest() != blob_sha256:
                out.add(f"{place}: its bytes were changed")
            else:
                genes = _genes_of(connection, agent_id)
                policy = _bare(run, config["mind"], agent_id, reason, index, clan, genes)
                out.expect(_is_file_of(policy, weights_sha256, data), f"{place}: it is another than the event seals")
    for agent_id, reason in sorted(due):
        out.add(f"policy of agent {agent_id} ({reason}): it is missing")
    (strays,) = connection.execute(
        "SELECT count(*) FROM policy_blob WHERE sha256 NOT IN (SELECT blob_sha256 FROM policy)"
    ).fetchone()
    out.expect(strays == 0, f"table policy_blob: {strays} rows belong to no policy")


_PROMISED_BY: Final = {"birth": "birth_policies", "death": "fossils", "censored": "fossils"}


def _due(connection: sqlite3.Connection, kinds: list[str]) -> dict[tuple[int, str], _Due]:
    """Return the policies that have to be there, by agent and reason."""
    due: dict[tuple[int, str], _Due] = {}
    for kind in kinds:
        rows = connection.execute(
            "SELECT e.agent_id, e.round, e.payload FROM event e JOIN agent a ON a.agent_id = e.agent_id"
            " WHERE e.kind = ? AND a.mind = 'dqn'", (kind,)
        )  # fmt: skip
        for agent_id, index, payload in rows:
            due[agent_id, _REASON_OF[kind]] = _Due(index, str(json.loads(payload).get("weights_sha256", "")))
    return due


def _genes_of(connection: sqlite3.Connection, agent_id: int) -> dict[str, float]:
    return dict(connection.execute("SELECT name, value FROM gene WHERE agent_id = ?", (agent_id,)))


def _bare(
    run: RunRow, mind: dict[str, Any], agent_id: int, reason: Reason, index: int, clan: str, genes: dict[str, float]
) -> Policy:
    """Return the policy without its weights: what the metadata of its file must say."""
    empty = np.zeros(0, dtype=np.float32)
    return Policy(agent_id, clan, index, reason, "dqn", genes, mind, empty, run.run_id, run.seed)


def _is_file_of(policy: Policy, weights_sha256: str, data: bytes) -> bool:
    """Whether these bytes are the one file of this policy."""
    header = header_bytes(metadata_of(policy, weights_sha256), policy.layout)
    weights = data[len(header) :]
    whole = len(weights) == 4 * policy.layout.n_weights and data.startswith(header)
    return whole and row_sha256(weights, policy.layout) == weights_sha256
