"""Checkpoints: all state arrays in one file, written atomically and read strictly. No pickle.

The layout is that of safetensors (8 bytes header length, JSON header, raw little-endian bytes), so
any safetensors reader opens the file; it is written here because the SHA-256 is taken while the
bytes go by, and arrays of hundreds of megabytes are neither copied nor read twice.
The same arrays and metadata give the same bytes, so a recomputed checkpoint has the same hash.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from arena.errors import EnvironmentFault, StoreError
from lineage.record.digests import canonical

DIRECTORY: Final = "checkpoints"
"""Folder of the checkpoints inside a run's directory."""

_CODES: Final = {
    "float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32", "int16": "I16",
    "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
_DTYPES: Final = {code: np.dtype(name).newbyteorder("<") for name, code in _CODES.items()}
_LARGEST_HEADER: Final = 16_000_000
_KEY: Final = "lineage_arena"

Metadata = dict[str, int | str]


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """A finished checkpoint: where it lies and what its bytes hash to."""

    round: int
    file: str  # path relative to the run's directory, with forward slashes
    sha256: str


def checkpoint_name(round_index: int) -> str:
    """Return the path of a round's checkpoint, relative to the run's directory."""
    return f"{DIRECTORY}/round-{round_index:06d}.ckpt"


def _header(arrays: Mapping[str, np.ndarray], order: list[str], metadata: Mapping[str, int | str]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": {_KEY: canonical(metadata, "checkpoint metadata")}}
    offset = 0
    for name in order:
        value = arrays[name]
        if value.dtype.name not in _CODES:
            raise TypeError(f"checkpoint: array {name!r} is {value.dtype}, which has no place in the format")
        end = offset + value.nbytes
        entries[name] = {
            "dtype": _CODES[value.dtype.name],
            "shape": list(value.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def _stream(file: BinaryIO, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, int | str]) -> str:
    """Write header and arrays; return the SHA-256 of all bytes."""
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # keeps every array aligned
    header = _header(arrays, order, metadata)
    digest = hashlib.sha256()
    for part in (len(header).to_bytes(8, "little"), header):
        digest.update(part)
        file.write(part)
    for name in order:
        value = np.ascontiguousarray(arrays[name], dtype=arrays[name].dtype.newbyteorder("<"))
        if value.size:
            raw = value.reshape(-1).view(np.uint8).data
            digest.update(raw)
            file.write(raw)
    return digest.hexdigest()


def write_checkpoint(
    directory: Path, round_index: int, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, int | str]
) -> CheckpointFile:
    """Write one checkpoint of a run's directory: complete under its name, or not there at all.

    metadata: integers and printable ASCII; no wall-clock times, so that bytes are reproducible.
    Raises EnvironmentFault when the disk refuses.
    """
    name = checkpoint_name(round_index)
    path = directory / name
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(exist_ok=True)
        with partial.open("wb") as file:
            sha256 = _stream(file, arrays, metadata)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        cure = "free space" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "check the disk"
        raise EnvironmentFault(f"{path}: write the checkpoint: {error.strerror}; {cure}, then resume") from error
    return CheckpointFile(round_index, name, sha256)


def _sync_directory(directory: Path) -> None:
    """Make a rename durable: the directory's own entry has to reach the disk too."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _entries(header: bytes) -> tuple[Metadata, list[tuple[str, np.dtype[Any], tuple[int, ...], int]]]:
    """Return the metadata and (name, dtype, shape, bytes) in file order. Raises ValueError."""
    try:
        tree = json.loads(header)
        metadata = json.loads(tree.pop("__metadata__")[_KEY])
        if not isinstance(metadata, dict) or not all(isinstance(v, int | str) for v in metadata.values()):
            raise ValueError("the metadata is not a table of integers and strings")
        found, position = [], 0
        for name, entry in sorted(tree.items(), key=lambda item: item[1]["data_offsets"]):
            dtype, shape = _DTYPES[entry["dtype"]], tuple(entry["shape"])
            begin, end = entry["data_offsets"]
            if not all(type(axis) is int and axis >= 0 for axis in shape):
                raise ValueError(f"array {name!r} has the shape {shape}")
            if begin != position or end - begin != math.prod(shape) * dtype.itemsize:
                raise ValueError(f"array {name!r} does not fill bytes {begin} to {end}")
            found.append((name, dtype, shape, end - begin))
            position = end
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"the header is malformed ({type(error).__name__})") from error
    return metadata, found


def _read(file: BinaryIO, size: int) -> tuple[dict[str, np.ndarray], Metadata, str]:
    """Return arrays, metadata and the SHA-256 of the whole file. Raises ValueError."""
    digest = hashlib.sha256()
    prefix = file.read(8)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or not 2 <= length <= min(_LARGEST_HEADER, size - 8):
        raise ValueError("the header is cut short")
    header = file.read(length)
    digest.update(prefix)
    digest.update(header)
    metadata, entries = _entries(header)
    wanted = 8 + length + sum(count for *_, count in entries)
    if wanted != size:  # before anything is allocated
        raise ValueError(f"it has {size} bytes, its header promises {wanted}")
    arrays = {}
    for name, dtype, shape, count in entries:
        raw = np.empty(count, dtype=np.uint8)
        if count:
            view = raw.data
            if file.readinto(view) != count:  # type: ignore[attr-defined]
                raise ValueError(f"array {name!r} is cut short")
            digest.update(view)
        arrays[name] = raw.view(dtype).reshape(shape)
    return arrays, metadata, digest.hexdigest()


def read_checkpoint(path: Path, sha256: str | None = None) -> tuple[dict[str, np.ndarray], Metadata]:
    """Return the arrays and the metadata of a checkpoint.

    sha256: what the file's bytes must hash to, if known. Raises StoreError when the file is
    missing, cut short, damaged or not the expected one; the caller then takes an older checkpoint.
    """
    try:
        with path.open("rb") as file:
            arrays, metadata, found = _read(file, os.fstat(file.fileno()).st_size)
    except (ValueError, MemoryError) as error:
        raise StoreError(f"{path}: damaged checkpoint: {error}; remove it and resume from an older one") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}); resume from an older checkpoint") from error
    if sha256 is not None and found != sha256:
        raise StoreError(
            f"{path}: its SHA-256 is {found[:16]}..., not {sha256[:16]}...; resume from an older checkpoint"
        )
    return arrays, metadata


def file_sha256(path: Path) -> str:
    """Return the SHA-256 hex of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_checkpoints(directory: Path) -> list[tuple[int, Path]]:
    """Return (round, path) of the checkpoint files of a run's directory, newest first."""
    found = []
    for path in (directory / DIRECTORY).glob("round-*.ckpt"):
        digits = path.stem.removeprefix("round-")
        if digits.isdecimal():
            found.append((int(digits), path))
    return sorted(found, reverse=True)


def prune_checkpoints(directory: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, and what interrupted writes left behind."""
    with contextlib.suppress(OSError):  # an old shortcut that stays does no harm
        for _, path in list_checkpoints(directory)[keep:]:
            path.unlink(missing_ok=True)
        for path in (directory / DIRECTORY).glob("*.partial"):
            path.unlink(missing_ok=True)
