"""Digests of whatever an environment returns: equal content, equal digest, in every process."""

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np


def digest(value: Any) -> str:
    """Return the SHA-256 hex of nested dictionaries, sequences, arrays and plain values.

    The order of a dictionary's keys does not count; types do: 1, 1.0 and True differ.
    """
    hasher = hashlib.sha256()
    _feed(hasher, value)
    return hasher.hexdigest()


def _feed(hasher: "hashlib._Hash", value: Any) -> None:
    if isinstance(value, Mapping):
        hasher.update(f"map {len(value)}".encode())
        for key in sorted(value, key=repr):
            _feed(hasher, key)
            _feed(hasher, value[key])
    elif isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        hasher.update(f"array {array.dtype.str} {array.shape}".encode())
        if array.dtype.hasobject:
            _feed(hasher, array.tolist())
        else:
            hasher.update(np.ascontiguousarray(array).tobytes())
    elif isinstance(value, list | tuple):
        hasher.update(f"sequence {len(value)}".encode())
        for item in value:
            _feed(hasher, item)
    elif isinstance(value, float):
        hasher.update(b"float" + struct.pack("<d", value))
    elif value is None or isinstance(value, bool | int | str | bytes):
        hasher.update(f"{type(value).__name__} {value!r}".encode())
    else:
        hasher.update(f"object {type(value).__qualname__}".encode())  # its repr may hold an address
