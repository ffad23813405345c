"""Proof files: what is in them, and how anybody checks one without a database, with this module and a hash function.

A proof is one JSON object with exactly one spelling. It carries the events as they were hashed, the way from each of
them to the root (RFC 9162), and the root as a checkpoint. `claim` is a sentence that follows from the rest and is
compared with it, so a proof cannot say one thing and show another. `sha256` covers everything else: it finds
accidents (a size that was mistyped can lead to the same root), it stops nobody who recomputes it.

What a proof shows hangs on its root: compare it with a checkpoint that you kept.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from arena.errors import ConfigError, DataError, EnvironmentFault, TamperedError
from lineage.record.digests import canonical, sha256_text
from lineage.record.merkle import is_consistent, leaf_hash, root_from_inclusion
from lineage.record.note import Checkpoint, parse_checkpoint

FORMAT: Final = "lineage-arena proof 1"
Kind = Literal["event", "scar", "ancestor", "consistency"]

_LARGEST: Final = 1 << 29
_LEAF: Final = {
    "agent": int, "event_id": int, "kind": str, "payload": dict, "prev": str, "round": int, "run": str, "seq": int,
    "tick": int,
}  # fmt: skip
_INCLUSION: Final = {"format", "kind", "claim", "checkpoint", "tree_size", "root", "events", "sha256"}
_CONSISTENCY: Final = {"format", "kind", "claim", "from", "checkpoint", "proof", "sha256"}


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof shows, once it holds."""

    kind: str
    claim: str
    checkpoint: Checkpoint  # the root it hangs on
    older: Checkpoint | None  # of a consistency proof: what is extended
    events: list[dict[str, Any]]  # as they were hashed: agent, event_id, kind, payload, prev, round, run, seq, tick


@dataclass(frozen=True, slots=True)
class Leaf:
    """One event and its way to the root."""

    text: str  # canonical JSON; SHA-256(0x00 || text) is the leaf
    path: list[bytes]


def _text_of(body: Mapping[str, Any]) -> str:
    """Return the one spelling of a proof, a field or an event a line; `body` comes without its sha256."""
    plain = json.dumps(body, sort_keys=True, separators=(",", ":"))
    fields = []
    for name, value in {**body, "sha256": sha256_text(plain)}.items():
        if name == "events" and isinstance(value, list):
            fields.append('"events": [\n' + ",\n".join(map(json.dumps, value)) + "\n]")
        else:
            fields.append(f"{json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(fields) + "\n}\n"


def inclusion_text(kind: Kind, leaves: Sequence[Leaf], checkpoint: Checkpoint) -> str:
    """Return the text of a proof that these events are under the checkpoint's root."""
    events = [_read_leaf(leaf.text, checkpoint) for leaf in leaves]
    return _text_of(
        {
            "format": FORMAT,
            "kind": kind,
            "claim": _claim(kind, events, checkpoint),
            "checkpoint": checkpoint.note,
            "tree_size": checkpoint.size,
            "root": checkpoint.root,
            "events": [
                {"index": event["event_id"], "leaf": leaf.text, "path": [node.hex() for node in leaf.path]}
                for leaf, event in zip(leaves, events, strict=True)
            ],
        }
    )


def consistency_text(older: Checkpoint, checkpoint: Checkpoint, proof: Sequence[bytes]) -> str:
    """Return the text of a proof that a history only grew since an older checkpoint."""
    return _text_of(
        {
            "format": FORMAT,
            "kind": "consistency",
            "claim": _consistency_claim(older, checkpoint),
            "from": older.note,
            "checkpoint": checkpoint.note,
            "proof": [node.hex() for node in proof],
        }
    )


def read_proof_file(path: Path) -> bytes:
    """Return the bytes of a proof file. Raises DataError when it is none, EnvironmentFault when it cannot be read."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; give a proof that `prove --out` wrote")
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError(f"{path}: more than {_LARGEST} bytes is no proof of ours; prove a shorter line of descent")
        return path.read_bytes()
    except OSError as error:
        raise EnvironmentFault(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def check_proof(data: bytes, kept: Checkpoint | None = None, place: str = "proof") -> Proven:
    """Return what a proof shows; with `kept`, that it shows it of the history you know.

    Raises DataError when it is no proof, TamperedError when it does not hold, ConfigError when `kept` is of
    another size: then another proof is needed.
    """
    body = _parse(data, place)
    try:
        proven = _check_consistency(body) if body["kind"] == "consistency" else _check_inclusion(body)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, ConfigError) as error:
        raise DataError(f"{place}: not a proof of ours ({type(error).__name__}: {error}); ask for it again") from error
    except TamperedError as error:
        raise TamperedError(f"{place}: {error}") from error
    if kept is not None:
        _compare(proven, kept, place)
    return proven


def _parse(data: bytes, place: str) -> dict[str, Any]:
    """Return the object without its sha256, which is right, in the one spelling that there is."""
    try:
        body = json.loads(data)
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            raise DataError(f"{place}: not a proof of the format {FORMAT!r}; give a file that `prove --out` wrote")
        if set(body) != (_CONSISTENCY if body.get("kind") == "consistency" else _INCLUSION):
            raise DataError(f"{place}: a field is missing or added; ask for the proof again")
        del body["sha256"]
        right = _text_of(body).encode()
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not JSON text; give a file that `prove --out` wrote") from error
    if right != data:
        raise TamperedError(f"{place}: its bytes are not as they were written; ask for the proof again")
    return body


def _check_inclusion(body: dict[str, Any]) -> Proven:
    checkpoint = parse_checkpoint(body["checkpoint"])
    if (body["checkpoint"], body["tree_size"], body["root"]) != (checkpoint.note, checkpoint.size, checkpoint.root):
        raise TamperedError("its checkpoint contradicts its tree size or root")
    events, root = [], bytes.fromhex(checkpoint.root)
    for entry in body["events"]:
        if set(entry) != {"index", "leaf", "path"}:
            raise ValueError("an event with other fields than index, leaf and path")
        event = _read_leaf(entry["leaf"], checkpoint)
        index = event["event_id"]
        if entry["index"] != index or type(entry["index"]) is not int:
            raise TamperedError(f"event {index} stands at another index")
        path = [_node(node) for node in entry["path"]]
        if root_from_inclusion(leaf_hash(entry["leaf"].encode()), index, checkpoint.size, path) != root:
            raise TamperedError(f"event {index} does not lead to the root: it is not in this history")
        events.append(event)
    claim = _claim(body["kind"], events, checkpoint)
    if claim != body["claim"]:
        raise TamperedError("it claims something else than it shows")
    return Proven(body["kind"], claim, checkpoint, None, events)


def _check_consistency(body: dict[str, Any]) -> Proven:
    older, newer = parse_checkpoint(body["from"]), parse_checkpoint(body["checkpoint"])
    if (older.note, newer.note) != (body["from"], body["checkpoint"]):
        raise ValueError("a checkpoint that is not in its three lines")
    if older.run_id != newer.run_id:
        raise TamperedError("its checkpoints are of two runs")
    roots = bytes.fromhex(older.root), bytes.fromhex(newer.root)
    path = [_node(node) for node in body["proof"]]
    if not is_consistent(older.size, roots[0], newer.size, roots[1], path):
        raise TamperedError("the older history is not the beginning of the newer one")
    claim = _consistency_claim(older, newer)
    if claim != body["claim"]:
        raise TamperedError("it claims something else than it shows")
    return Proven("consistency", claim, newer, older, [])


def _node(text: str) -> bytes:
    node = bytes.fromhex(text)
    if len(node) != 32 or node.hex() != text:
        raise ValueError(f"{text[:70]!r} is not a hash")
    return node


def _read_leaf(text: str, checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the event of a leaf's text, which has the one spelling that the ledger hashes."""
    event = json.loads(text)
    if not isinstance(event, dict) or {name: type(value) for name, value in event.items()} != _LEAF:
        raise ValueError(f"{text[:70]!r} is not an event")
    if canonical(event) != text:
        raise ValueError(f"event {event['event_id']} is spelt in another way than it was hashed")
    if event["run"] != checkpoint.run_id:
        raise TamperedError(f"event {event['event_id']} is of run {event['run']}, the root of {checkpoint.run_id}")
    return event


def _claim(kind: str, events: Sequence[dict[str, Any]], checkpoint: Checkpoint) -> str:
    """Return in words what these events show. Raises TamperedError when they do not show what the kind says."""
    where = f"in the first {checkpoint.size} events of run {checkpoint.run_id}"
    if kind == "event" and len(events) == 1:
        event = events[0]
        who = f"of agent {event['agent']}" if event["agent"] else "of the run"
        place = f"event {event['event_id']}, round {event['round']}, tick {event['tick']}"
        return f"{event['kind']} {who} ({place}) is {where}"
    if kind == "scar" and events:
        _check_scars(events)
        points = sum(event["payload"]["damage"] for event in events)
        scars = f"{len(events)} scar{'s' if len(events) > 1 else ''}"
        return f"agent {events[0]['agent']} took {scars}, {points} points of damage, {where}"
    if kind == "ancestor" and len(events) >= 3:
        births = _check_descent(events)
        apart = f"{births} birth{'s' if births > 1 else ''}"
        return f"agent {events[0]['agent']} is an ancestor of agent {events[-1]['agent']}, {apart} apart, {where}"
    raise ValueError(f"{len(events)} events for a proof of kind {str(kind)[:40]!r}")


def _check_scars(events: Sequence[dict[str, Any]]) -> None:
    for before, event in zip([None, *events], events, strict=False):
        if event["kind"] != "scar" or event["agent"] != events[0]["agent"]:
            raise TamperedError(f"event {event['event_id']} is not a scar of agent {events[0]['agent']}")
        if before is not None and before["event_id"] >= event["event_id"]:
            raise TamperedError(f"event {event['event_id']} is counted twice, or out of order")


def _check_descent(events: Sequence[dict[str, Any]]) -> int:
    """Check birth, spawn, birth, spawn, ..., birth down a line of descent; return how many births it has.

    The birth of a child names its parent, and its chain starts from the hash of the parent's spawn event.
    """
    if len(events) % 2 == 0 or events[0]["kind"] != "birth":
        raise TamperedError("a line of descent begins and ends with a birth")
    for at in range(0, len(events) - 2, 2):
        birth, spawn, child = events[at : at + 3]
        told = (spawn["kind"], spawn["agent"], spawn["payload"].get("child"))
        heard = (child["kind"], child["payload"].get("parent"))
        if told != ("spawn", birth["agent"], child["agent"]) or heard != ("birth", birth["agent"]):
            raise TamperedError(f"event {child['event_id']} is not the birth of a child of agent {birth['agent']}")
        if leaf_hash(canonical(spawn).encode()).hex() != child["prev"]:
            raise TamperedError(f"event {child['event_id']} does not follow its parent's spawn event")
    return len(events) // 2


def _consistency_claim(older: Checkpoint, newer: Checkpoint) -> str:
    return f"the first {older.size} of {newer.size} events of run {newer.run_id} are unchanged"


def _compare(proven: Proven, kept: Checkpoint, place: str) -> None:
    """Check that the proof hangs on what was kept. Raises TamperedError or, for another size, ConfigError."""
    roots = {proven.checkpoint.size: proven.checkpoint}
    if proven.older is not None:
        roots[proven.older.size] = proven.older
    if kept.run_id != proven.checkpoint.run_id:
        raise TamperedError(f"{place}: it is of run {proven.checkpoint.run_id}, your checkpoint of run {kept.run_id}")
    if kept.size not in roots:
        sizes = " and ".join(str(size) for size in sorted(roots))
        cure = "ask for one with `prove --checkpoint`, or for a consistency proof with `prove --from`"
        raise ConfigError(f"{place}: it is about {sizes} events, your checkpoint about {kept.size}; {cure}")
    if roots[kept.size] != kept:
        raise TamperedError(f"{place}: its root at {kept.size} events is not the one you kept: another history")
