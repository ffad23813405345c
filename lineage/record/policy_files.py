"""Policy files from anywhere: read as if somebody meant harm, and checked whole before a single weight is used.

A file is a small safetensors file (see `policy`). Nothing in it is code, and nothing of it is believed: its size, its
header, every name, type, shape and offset, every number of the metadata, that all weights are finite and that they
hash to what the metadata says. What passes can be played; whether it plays well is for `evaluate`.
"""

import errno
import json
import math
import os
import re
import stat
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from agents.layout import Layout, layout_of
from arena.errors import DataError
from arena.spec import N_ACTIONS, OBS_DIM, OBSERVATION_VERSION
from lineage.record.policy import FORMAT, Policy, Reason, row_sha256, tensor_shapes
from lineage.settings_rules import GENE_LIMITS

LARGEST_FILE: Final = 32 << 20
LARGEST_HEADER: Final = 64 << 10
SUFFIX: Final = ".safetensors"

_KEYS: Final = frozenset((
    "agent_id", "clan", "genes", "mind", "mind_config", "observation_version", "policy_format", "reason", "round",
    "run_id", "seed", "weights_sha256",
))  # fmt: skip
_WIDEST_LAYER: Final = 4096
_MOST_SETTINGS: Final = 64
_PATTERNS: Final = {
    "agent_id": re.compile(r"[1-9][0-9]{0,17}"),
    "clan": re.compile(r"[a-z]{1,20}-[a-z]{1,20}(-[1-9][0-9]{0,17})?"),
    "mind": re.compile(r"dqn"),
    "observation_version": re.compile(r"[0-9]{1,9}"),
    "policy_format": re.compile(r"[0-9]{1,9}"),
    "reason": re.compile("|".join(get_args(Reason))),
    "round": re.compile(r"0|[1-9][0-9]{0,17}"),
    "run_id": re.compile(r"[0-9a-f]{16}"),
    "seed": re.compile(r"0|-?[1-9][0-9]{0,18}"),
    "weights_sha256": re.compile(r"[0-9a-f]{64}"),
}


class _Refused(ValueError):
    """What is wrong with the bytes, in words, with the cure."""


def read_policy(path: Path) -> Policy:
    """Return the policy in a file. Raises DataError, one line, when it is not a policy file that can be played here."""
    return parse_policy(read_bytes(path), str(path))


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a regular file of acceptable size. Raises DataError; opens no link, waits for no pipe."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        code = getattr(error, "errno", None)
        link = "a symbolic link; name the file that it points to"
        problem = link if code == errno.ELOOP else f"cannot be read ({getattr(error, 'strerror', error)})"
        raise DataError(f"{path}: {problem}") from None
    try:
        size = _regular_size(handle, path)
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    finally:
        os.close(handle)
    if len(data) != size:
        raise DataError(f"{path}: changed while it was read; copy it first")
    return data


def _regular_size(handle: int, path: Path) -> int:
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise DataError(f"{path}: {kind}; name a policy file (*{SUFFIX})")
    if status.st_size > LARGEST_FILE:
        raise DataError(f"{path}: {status.st_size} bytes, a policy file has at most {LARGEST_FILE}; check the name")
    return status.st_size


def parse_policy(data: bytes, place: str) -> Policy:
    """Return the policy that the bytes of a file hold; `place` names them in errors. Raises DataError."""
    try:
        header, body = _split(data)
        tree = _json(header, "the header")
        metadata = _metadata(tree)
        layout = layout_of(OBS_DIM, N_ACTIONS, *_shape_of(metadata["mind_config"]))
        _check_tensors(tree, layout, len(body))
        weights = _weights(data, layout)
        if (found := row_sha256(weights.astype("<f4").tobytes(), layout)) != metadata["weights_sha256"]:
            raise _Refused(
                f"damaged: its weights hash to {found[:16]}..., not to {metadata['weights_sha256'][:16]}... "
                "as its metadata says; get the file again"
            )
    except _Refused as problem:
        raise DataError(f"{place}: {problem}") from None
    return Policy(
        agent_id=int(metadata["agent_id"]),
        clan=metadata["clan"],
        round=int(metadata["round"]),
        reason=metadata["reason"],
        mind=metadata["mind"],
        genes=metadata["genes"],
        mind_config=metadata["mind_config"],
        weights=weights,
        run_id=metadata["run_id"],
        seed=int(metadata["seed"]),
    )


def _split(data: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 10 or not 2 <= length <= len(data) - 8:
        raise _Refused("not a policy file, or cut short: its header does not fit the file")
    if length > LARGEST_HEADER:
        raise _Refused(f"a header of {length} bytes; a policy file has at most {LARGEST_HEADER}")
    header = data[8 : 8 + length]
    if not header.startswith(b"{"):
        raise _Refused("not a policy file: its header does not begin with '{'")
    return header, data[8 + length :]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused("a name stands twice in one table of its header")
    return found


def _no_constant(text: str) -> Any:
    raise _Refused(f"{text} stands where a number is needed")


def _json(text: bytes | str, what: str) -> dict[str, Any]:
    """Return a JSON object without repeated names, NaN or infinity."""
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        value = json.loads(decoded, object_pairs_hook=_unique, parse_constant=_no_constant)
    except _Refused:
        raise
    except UnicodeDecodeError:
        raise _Refused(f"{what} is not UTF-8 text; this is no policy file or a damaged one") from None
    except (ValueError, RecursionError):
        raise _Refused(f"{what} is not valid JSON; this is no policy file or a damaged one") from None
    if not isinstance(value, dict):
        raise _Refused(f"{what} is not a JSON object; this is no policy file")
    return value


def _shown(value: object) -> str:
    return ascii(value)[:60]


def _metadata(tree: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata with genes and mind_config parsed."""
    given = tree.get("__metadata__")
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise _Refused("it has no metadata of a policy; only files of `policy export` can be played")
    if odd := sorted(_KEYS ^ given.keys()):
        state = "is missing" if odd[0] in _KEYS else "does not belong here"
        raise _Refused(f"metadata: {_shown(odd[0])} {state}; only files of `policy export` can be played")
    for name, pattern in _PATTERNS.items():
        if not pattern.fullmatch(given[name]):
            raise _Refused(f"metadata: {name} {_shown(given[name])} is not of the form {pattern.pattern[:60]}")
    if int(given["policy_format"]) != FORMAT:
        raise _Refused(f"policy format {given['policy_format']}, this build reads {FORMAT}; export it with this build")
    if int(given["observation_version"]) != OBSERVATION_VERSION:
        raise _Refused(
            f"made for observation version {given['observation_version']}, agents here see version "
            f"{OBSERVATION_VERSION}: it cannot play; use the build that it was exported with"
        )
    if not -(2**63) <= int(given["seed"]) < 2**63:
        raise _Refused(f"metadata: seed {given['seed']} does not fit 64 bits")
    genes = _json(given["genes"], "metadata: genes")
    config = _json(given["mind_config"], "metadata: mind_config")
    return {**given, "genes": _genes(genes), "mind_config": _settings(config)}


def _genes(genes: dict[str, Any]) -> dict[str, float]:
    if odd := sorted(GENE_LIMITS.keys() ^ genes.keys()):
        state = "is missing" if odd[0] in GENE_LIMITS else "is not one of this build"
        raise _Refused(f"metadata: gene {_shown(odd[0])} {state}")
    for name, value in genes.items():
        low, high = GENE_LIMITS[name]
        if type(value) not in (int, float) or not low <= value <= high:
            raise _Refused(f"metadata: gene {name} {_shown(value)} is not a number in [{low:g}, {high:g}]")
    return {name: float(value) for name, value in genes.items()}


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """Check that a mind's configuration is a flat table of plain values."""
    if len(config) > _MOST_SETTINGS:
        raise _Refused(f"metadata: mind_config has {len(config)} keys, at most {_MOST_SETTINGS} are allowed")
    for name, value in config.items():
        parts = value if isinstance(value, list) and len(value) <= 8 else [value]
        plain = all(isinstance(part, str | int | float) and _reasonable(part) for part in parts)
        if not plain or not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name):
            raise _Refused(f"metadata: mind_config.{_shown(name)[1:-1]} {_shown(value)} is not a setting of a mind")
    return config


def _reasonable(value: str | int | float) -> bool:
    if isinstance(value, str):
        return len(value) <= 40 and value.isascii() and value.isprintable()
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63


def _shape_of(config: dict[str, Any]) -> tuple[tuple[int, int], bool]:
    hidden, dueling = config.get("hidden"), config.get("dueling")
    if not (isinstance(hidden, list) and len(hidden) == 2 and all(type(width) is int for width in hidden)):
        raise _Refused(f"metadata: mind_config.hidden {_shown(hidden)} is not two widths")
    if not all(1 <= width <= _WIDEST_LAYER for width in hidden):
        raise _Refused(f"metadata: mind_config.hidden {_shown(hidden)} is not within 1 and {_WIDEST_LAYER}")
    if not isinstance(dueling, bool):
        raise _Refused(f"metadata: mind_config.dueling {_shown(dueling)} is neither true nor false")
    return (hidden[0], hidden[1]), dueling


def _check_tensors(tree: dict[str, Any], layout: Layout, size: int) -> None:
    """The tensors of the layout and no other, each where the next one is due, and not a byte besides."""
    shapes = tensor_shapes(layout)
    if odd := sorted((tree.keys() - {"__metadata__"}) ^ shapes.keys()):
        state = "is missing" if odd[0] in shapes else "does not belong here"
        raise _Refused(f"tensor {_shown(odd[0])} {state}")
    spans = []
    for name, shape in shapes.items():
        entry = tree[name]
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise _Refused(f"tensor {name}: its entry is not dtype, shape and data_offsets")
        if entry["dtype"] != "F32":
            raise _Refused(f"tensor {name}: dtype {_shown(entry['dtype'])}, F32 is needed")
        found = entry["shape"]
        if not isinstance(found, list) or [type(axis) for axis in found] != [int] * len(shape) or found != shape:
            raise _Refused(f"tensor {name}: shape {_shown(found)}, {shape} follows from mind_config")
        offsets = entry["data_offsets"]
        if not isinstance(offsets, list) or [type(offset) for offset in offsets] != [int, int]:
            raise _Refused(f"tensor {name}: data_offsets {_shown(offsets)} are not two integers")
        spans.append((offsets[0], offsets[1], name, 4 * math.prod(shape)))
    position = 0
    for begin, end, name, length in sorted(spans):
        if begin != position or end - begin != length:
            raise _Refused(f"tensor {name}: bytes {_shown(begin)} to {_shown(end)} leave a gap, overlap or do not fit")
        position = end
    if position != size:
        raise _Refused(f"{size} bytes of weights, its header promises {position}; cut short or padded")


def _weights(data: bytes, layout: Layout) -> np.ndarray:
    """Return the flat weights [n_weights] f32, read by the safetensors library after the header was checked."""
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise _Refused(f"not a safetensors file ({' '.join(str(error).split())[:80]})") from None
    flat = np.concatenate([tensors[name].ravel() for name, _, _ in layout.shapes]).astype(np.float32, copy=False)
    if not np.isfinite(flat).all():
        raise _Refused(f"{int((~np.isfinite(flat)).sum())} weights are not finite: such a network decides nothing")
    return flat
