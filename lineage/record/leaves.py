"""What readers ask of the events of a run of any schema: their hashes in order, and whether the run has ended."""

import sqlite3
from collections.abc import Iterator

from lineage.record.schema import version_of

_HEX = "SELECT event_id, hash FROM event WHERE event_id < ? ORDER BY event_id"
_BYTES = "SELECT event_id, hash FROM stored_event WHERE event_id < ? ORDER BY event_id"
_CLOSED = "SELECT kind = 'closed' FROM event ORDER BY event_id DESC LIMIT 1"


def leaf_hashes(connection: sqlite3.Connection, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield (event_id, stored hash of 32 bytes) of the events below `size`, in order; b"" where there is no hash.

    From the bytes of schema 3 where there are any: the hex of the view would be made and read again for nothing.
    """
    if version_of(connection) >= 3:
        yield from connection.execute(_BYTES, (size,))
        return
    for event_id, text in connection.execute(_HEX, (size,)):
        try:
            yield event_id, bytes.fromhex(text)
        except (ValueError, TypeError):
            yield event_id, b""


def is_closed(connection: sqlite3.Connection) -> bool:
    """Return whether the run has ended: nothing comes after `closed`, so one look at the newest event tells."""
    row = connection.execute(_CLOSED).fetchone()
    return row is not None and bool(row[0])
