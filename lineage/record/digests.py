"""Canonical bytes: one text for a payload, one digest for a set of columns, one for a genome.

What is hashed must have exactly one spelling, so payloads hold integers and ASCII strings only, and
columns of floats are hashed as little-endian f64 with -0.0 written as 0.0 and one NaN for all.
"""

import hashlib
import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np

from arena.errors import InvariantError

ColumnKind = Literal["i", "f", "t", "o"]
"""64-bit integer, double (NaN is NULL in the database), text (None is NULL), or optional double.

An optional column came with a later schema: it may be left out, and enters a digest only when one of its rows holds
a value, so that digests made before it existed stay true and a value slipped in afterwards shows.
"""

Columns = Mapping[str, ColumnKind]
Table = dict[str, Any]
"""Column name -> [rows] i64 array, f64 array or list of strings, as `tidy` returns them."""

_LARGEST = 2**63
_SIMPLE = re.compile(r"[ !#-\[\]-~]*")  # printable ASCII that JSON does not escape
_NAN: Final = struct.pack("<d", math.nan)
_DTYPES = {"i": np.dtype("<i8"), "f": np.dtype("<f8"), "o": np.dtype("<f8")}


def sha256_text(text: str) -> str:
    """Return the SHA-256 hex of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object, place: str) -> object:
    if type(value) is int or isinstance(value, np.integer):
        number = int(value)
        if -_LARGEST <= number < _LARGEST:
            return number
        raise InvariantError(f"{place}: {number} does not fit 64 bits")
    if isinstance(value, str):
        if value.isascii() and value.isprintable():
            return str(value)
        raise InvariantError(f"{place}: {value!r} is not printable ASCII")
    if isinstance(value, Mapping):
        return {_key(key, place): _plain(item, f"{place}.{key}") for key, item in value.items()}
    raise InvariantError(f"{place}: {value!r} is a {type(value).__name__}; hashed payloads hold integers and strings")


def _key(key: object, place: str) -> str:
    if isinstance(key, str) and key.isascii() and key.isprintable():
        return key
    raise InvariantError(f"{place}: the key {key!r} is not a printable ASCII string")


def canonical(value: Mapping[str, Any], place: str = "payload") -> str:
    """Return canonical JSON: sorted keys, no spaces, integers and printable ASCII strings only.

    Raises InvariantError on floats, booleans, None, lists, other text and integers beyond 64 bits.
    """
    parts = []
    for key, label in _labels(tuple(value)):
        item = value[key]
        if type(item) is int and -_LARGEST <= item < _LARGEST:
            parts.append(f"{label}{item}")
        elif type(item) is str and _SIMPLE.fullmatch(item):
            parts.append(f'{label}"{item}"')
        else:
            break
    if len(parts) == len(value):
        return f"{{{','.join(parts)}}}"
    return json.dumps(_plain(value, place), sort_keys=True, separators=(",", ":"))  # nested, escaped, or refused


@lru_cache(maxsize=1024)
def _labels(keys: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return (key, its JSON text with the colon) in sorted order: payloads of a kind share it; () for odd keys."""
    if all(isinstance(key, str) and _SIMPLE.fullmatch(key) for key in keys):
        return tuple((key, f'"{key}":') for key in sorted(keys))
    return ()


def config_text(config: Mapping[str, Any]) -> str:
    """Return the one JSON text of a plain configuration; floats are written by repr, NaN is refused."""
    return json.dumps(config, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _float_column(values: np.ndarray) -> np.ndarray:
    column = np.asarray(values, dtype=np.float64) + 0.0  # -0.0 + 0.0 is 0.0
    column[np.isnan(column)] = np.nan
    return np.ascontiguousarray(column, dtype=_DTYPES["f"])


def tidy(spec: Columns, columns: Mapping[str, Any], place: str) -> Table:
    """Return the columns of `spec`, in its order and with its types; {} stands for no rows.

    Raises InvariantError on a missing, surplus, misshapen or mistyped column.
    """
    if not columns:
        return {name: [] if kind == "t" else np.zeros(0, dtype=_DTYPES[kind]) for name, kind in spec.items()}
    if unknown := sorted(set(columns) - set(spec)):
        raise InvariantError(f"{place}: column {unknown[0]!r} is not in the schema")
    table: Table = {}
    rows = -1
    for name, kind in spec.items():
        if name not in columns and kind == "o":
            columns = {**columns, name: np.full(rows, np.nan)}
        if name not in columns:
            raise InvariantError(f"{place}: column {name!r} is missing")
        value = columns[name]
        if kind == "t":
            table[name] = list(value)
        else:
            array = np.asarray(value)
            if array.ndim != 1:
                raise InvariantError(f"{place}: column {name!r} has shape {list(array.shape)}, one axis is needed")
            if kind == "i" and not (np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_):
                raise InvariantError(f"{place}: column {name!r} is {array.dtype}, integers are needed")
            table[name] = _float_column(array) if kind in "fo" else array.astype(_DTYPES["i"])
        if rows not in (-1, len(table[name])):
            raise InvariantError(f"{place}: column {name!r} has {len(table[name])} rows, the others have {rows}")
        rows = len(table[name])
    return table


def table_digest(spec: Columns, table: Table) -> str:
    """Return the SHA-256 hex over each column's name, kind, length and little-endian bytes."""
    digest = hashlib.sha256()
    for name, kind in spec.items():
        column = table[name]
        if kind == "o" and np.isnan(column).all():
            continue
        digest.update(f"{name}|{kind}|{len(column)}|".encode())
        digest.update(json.dumps(column).encode() if kind == "t" else column.tobytes())
    return digest.hexdigest()


def rows_of(table: Table) -> list[tuple[Any, ...]]:
    """Return the table as rows of plain Python values; NaN becomes None."""
    plain = []
    for column in table.values():
        if isinstance(column, list):
            plain.append(column)
        elif column.dtype.kind == "f" and np.isnan(column).any():
            plain.append([None if value != value else value for value in column.tolist()])
        else:
            plain.append(column.tolist())
    return list(zip(*plain, strict=True))


def table_from_rows(spec: Columns, rows: Sequence[Sequence[Any]]) -> Table:
    """Return what `tidy` would have returned for rows read back from the database."""
    if not rows:
        return tidy(spec, {}, "rows")
    columns: dict[str, Any] = {}
    present = list(spec.items())[: len(rows[0])]  # an older schema lacks the optional columns at the end
    for (name, kind), values in zip(present, zip(*rows, strict=True), strict=True):
        columns[name] = list(values) if kind == "t" else np.array(values, dtype=_DTYPES[kind])
    return tidy(spec, columns, "rows")


def genome_sha256(genes: Mapping[str, float]) -> str:
    """Return the SHA-256 hex over names and little-endian f64 values, sorted by name."""
    digest = hashlib.sha256()
    for name in sorted(genes):
        value = genes[name] + 0.0  # -0.0 + 0.0 is 0.0, as in columns
        digest.update(f"{name}|".encode() + (struct.pack("<d", value) if value == value else _NAN))
    return digest.hexdigest()
