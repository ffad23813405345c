"""Opening a run to ask it questions: read-only, one snapshot, errors in one line."""

import difflib
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from arena.errors import ConfigError
from lineage.record.schema import connect_reader, store_errors
from lineage.record.store import FILE_NAME
from lineage.settings_text import shown

MAX_ID = 2**63 - 1


@contextmanager
def open_run(directory: Path) -> Iterator[sqlite3.Connection]:
    """Open the run in a directory (or its database file) read-only.

    Raises ConfigError when there is none; damage that SQLite meets inside the block comes out as StoreError.
    """
    path = directory if directory.is_file() else directory / FILE_NAME
    if not path.exists():
        raise ConfigError(f"{directory}: no run is recorded here (no {FILE_NAME}); give the directory of a run")
    with store_errors(path, "read"), closing(connect_reader(path)) as connection:
        yield connection


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Let several statements see the same state of a database that somebody may be writing; nests."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def check_round(connection: sqlite3.Connection, at: int | None) -> int:
    """Return `at`, or the newest round when it is None. Raises ConfigError when the run has no such round."""
    first, last = connection.execute("SELECT min(round), max(round) FROM round").fetchone()
    if last is None:
        raise ConfigError("no round is recorded yet; wait for the first, or `resume` the run")
    if at is not None and not first <= at <= last:
        raise ConfigError(f"--at {at}: the run holds rounds {first} to {last}; choose one of them")
    return int(last if at is None else at)


def fetch_integers(cursor: sqlite3.Cursor, width: int) -> npt.NDArray[np.int64]:
    """Return all rows of a query for integers, [n,width]; in blocks: a million tuples at once take a gigabyte."""
    blocks = [np.empty((0, width), dtype=np.int64)]
    while rows := cursor.fetchmany(100_000):
        blocks.append(np.array(rows, dtype=np.int64))
    return np.concatenate(blocks)


def resolve(connection: sqlite3.Connection, who: str, at: int | None = None) -> int:
    """Return the agent_id that a person means: `17`, `#17`, `teal-owl` (the clan's founder) or `teal-owl-17`.

    A clan's name wins over a member's: `teal-owl-2` is the second clan of that name. Raises ConfigError for
    nobody, naming the nearest clan; with `at`, also for somebody who was born later.
    """
    text = who.strip()
    number = re.fullmatch(r"#?[0-9]{1,19}", text)
    known = None if number else _by_name(connection, text)
    if number:
        known = _born(connection, min(int(text.removeprefix("#")), MAX_ID))
        if known is None:
            (newest,) = connection.execute("SELECT coalesce(max(agent_id), 0) FROM agent").fetchone()
            raise ConfigError(f"agent {text}: was never born; ids run from 1 to {newest}")
    if known is None:
        clans = [str(row[0]) for row in connection.execute(_SOME_CLANS)]
        close = difflib.get_close_matches(text.lower(), clans, n=1, cutoff=0.55)
        cure = f"did you mean {close[0]!r}?" if close else "see `lineage RUN clans`"
        raise ConfigError(f"agent {shown(who)}: neither an id nor the name of a clan; {cure}")
    agent_id, birth_round = known
    if at is not None and birth_round > at:
        raise ConfigError(f"agent {agent_id}: not born before round {birth_round}; ask at --at {birth_round} or later")
    return agent_id


def _born(connection: sqlite3.Connection, agent_id: int) -> tuple[int, int] | None:
    row = connection.execute("SELECT agent_id, birth_round FROM agent WHERE agent_id = ?", (agent_id,)).fetchone()
    return None if row is None else (int(row[0]), int(row[1]))


def _by_name(connection: sqlite3.Connection, name: str) -> tuple[int, int] | None:
    row = connection.execute(_FOUNDER, (name,)).fetchone()
    if row is not None:
        return int(row[0]), int(row[1])
    clan, _, number = name.rpartition("-")
    if re.fullmatch(r"[0-9]{1,18}", number):
        row = connection.execute(_MEMBER, (int(number), clan)).fetchone()
    return None if row is None else (int(row[0]), int(row[1]))


_SOME_CLANS = "SELECT clan FROM agent WHERE parent_id IS NULL LIMIT 5000"
_FOUNDER = "SELECT agent_id, birth_round FROM agent WHERE parent_id IS NULL AND clan = ? ORDER BY agent_id LIMIT 1"
_MEMBER = "SELECT agent_id, birth_round FROM agent WHERE agent_id = ? AND clan = ?"
