"""What somebody could do to a run's database who wants to rewrite history, with its guards put back afterwards."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from lineage.record.schema import expected_objects
from lineage.record.store import FILE_NAME

Row = list[Any]


def opened(directory: Path) -> "closing[sqlite3.Connection]":
    """Open like somebody who wants to cheat."""
    connection = sqlite3.connect(directory / FILE_NAME, isolation_level=None)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute("PRAGMA synchronous = OFF")
    return closing(connection)


def without_guards(connection: sqlite3.Connection, cheat: Callable[[], object]) -> None:
    """Drop the guards, cheat, and put the guards back exactly as they were."""
    triggers = {name: sql for (kind, name), sql in expected_objects().items() if kind == "trigger"}
    connection.execute("BEGIN")
    for name in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    cheat()
    for sql in triggers.values():
        connection.execute(sql)
    connection.execute("COMMIT")


def key_of(connection: sqlite3.Connection, table: str) -> list[str]:
    """Return the columns of the primary key."""
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[5]]


def columns_of(connection: sqlite3.Connection, table: str) -> list[str]:
    """Return all columns."""
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def random_row(connection: sqlite3.Connection, table: str, dice: random.Random) -> tuple[str, Row]:
    """Return a WHERE clause that finds one row, and its key."""
    keys = key_of(connection, table)
    rows = connection.execute(f"SELECT {', '.join(keys)} FROM {table}").fetchall()
    return " AND ".join(f"{key} = ?" for key in keys), list(dice.choice(rows))


def changed_value(value: Any, dice: random.Random) -> Any:
    """Return the value with one byte changed."""
    if value is None:
        return dice.choice([0, 1, 0.5])
    if isinstance(value, bytes):
        place = dice.randrange(len(value))
        return value[:place] + bytes([value[place] ^ (1 << dice.randrange(8))]) + value[place + 1 :]
    if isinstance(value, int):
        return value ^ (1 << dice.randrange(0, 16))
    if isinstance(value, float):
        bits = np.float64(value).view(np.uint64) ^ np.uint64(1 << dice.randrange(64))
        return float(np.uint64(bits).view(np.float64))
    if not value:
        return "x"
    place = dice.randrange(len(value))
    return value[:place] + chr(ord(value[place]) ^ (1 << dice.randrange(6))) + value[place + 1 :]


def change_one_byte(connection: sqlite3.Connection, table: str, dice: random.Random) -> str | None:
    """Change one byte of one value; return what was done, None when SQLite cannot hold it."""
    where, key = random_row(connection, table, dice)
    column = dice.choice(columns_of(connection, table))
    (before,) = connection.execute(f"SELECT {column} FROM {table} WHERE {where}", key).fetchone()
    after = changed_value(before, dice)
    try:
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", [after, *key])
    except (sqlite3.IntegrityError, UnicodeEncodeError):
        return None  # a taken key, or NaN where NULL is refused
    return None if after == before else f"{table}.{column} {before!r} -> {after!r}"


def delete_row(connection: sqlite3.Connection, table: str, dice: random.Random) -> None:
    """Delete one random row."""
    where, key = random_row(connection, table, dice)
    connection.execute(f"DELETE FROM {table} WHERE {where}", key)


def delete_last_row(connection: sqlite3.Connection, table: str, dice: random.Random) -> None:
    """Delete the newest row."""
    keys = key_of(connection, table)
    newest = connection.execute(
        f"SELECT {', '.join(keys)} FROM {table} ORDER BY {' DESC, '.join(keys)} DESC"
    ).fetchone()
    connection.execute(f"DELETE FROM {table} WHERE {' AND '.join(f'{key} = ?' for key in keys)}", newest)


def swap_rows(connection: sqlite3.Connection, table: str, dice: random.Random) -> None:
    """Exchange everything but the keys of two rows that differ."""
    names, keys = columns_of(connection, table), key_of(connection, table)
    rows = connection.execute(f"SELECT * FROM {table}").fetchall()
    places = [index for index, name in enumerate(names) if name not in keys]

    def differ(one: Row, other: Row) -> bool:
        return [one[place] for place in places] != [other[place] for place in places]

    one, other = next(pair for pair in iter(lambda: dice.sample(rows, 2), None) if differ(*pair))
    mixed = [
        [theirs if name not in keys else mine for name, mine, theirs in zip(names, a, b, strict=True)]
        for a, b in ((one, other), (other, one))
    ]
    where = " AND ".join(f"{key} = ?" for key in keys)
    for row in (one, other):
        connection.execute(f"DELETE FROM {table} WHERE {where}", [row[names.index(key)] for key in keys])
    for row in mixed:
        connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def insert_row(connection: sqlite3.Connection, table: str, dice: random.Random) -> None:
    """Add a copy of a row under a key that is free."""
    names, keys = columns_of(connection, table), key_of(connection, table)
    row = list(dice.choice(connection.execute(f"SELECT * FROM {table}").fetchall()))
    for name in ("identity", "seq"):
        if name in names:
            value = row[names.index(name)]
            row[names.index(name)] = value + 10_000 if isinstance(value, int) else value[::-1]
    place = names.index(keys[-1])
    row[place] = row[place] + (10_000 if isinstance(row[place], int) else "x")
    connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def replace_row(connection: sqlite3.Connection, table: str, dice: random.Random) -> None:
    """REPLACE a row by one with another value in its last column that can take it."""
    names, keys = columns_of(connection, table), key_of(connection, table)
    row = list(dice.choice(connection.execute(f"SELECT * FROM {table}").fetchall()))
    place = max(index for index, name in enumerate(names) if name not in keys)
    value = row[place]
    if isinstance(value, bytes):
        row[place] = value[::-1] + b"x"
    elif isinstance(value, str):
        row[place] = value[::-1] + "x"
    else:
        row[place] = "2024" if table == "bar" else (value or 0) + 1
    connection.execute(f"REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)


CHEATS = (delete_row, delete_last_row, swap_rows, insert_row, replace_row)
