"""Names of clans for a view: read from the run's database, never from the engine's memory."""

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from arena.errors import ArenaError
from lineage.record.schema import connect_reader


class ClanNames:
    """The names of founders' clans, each read once; a founder whose round is not written yet is `#id`."""

    def __init__(self, directory: Path) -> None:
        self._connection: sqlite3.Connection | None = None
        with contextlib.suppress(ArenaError):
            self._connection = connect_reader(directory / "run.sqlite")
        self._names: dict[int, str] = {}

    def of(self, founders: Sequence[int]) -> list[str]:
        """Return one name for each founder id."""
        for founder in founders:
            if founder not in self._names and (name := self._read(founder)):
                self._names[founder] = name
        return [self._names.get(founder, f"#{founder}") for founder in founders]

    def _read(self, founder: int) -> str:
        if self._connection is None:
            return ""
        try:
            row = self._connection.execute("SELECT clan FROM agent WHERE agent_id = ?", (founder,)).fetchone()
        except sqlite3.Error:
            return ""  # a view never stops the run that it watches
        return str(row[0]) if row else ""

    def close(self) -> None:
        """Close the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
