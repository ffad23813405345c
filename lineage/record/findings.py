"""What verify finds: a short list for people, a full count, and reading errors that are findings too."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from arena.errors import ArenaError

KEPT: Final = 20
"""Findings of one level that are kept as text; the rest are only counted."""

_READING: Final = (
    sqlite3.Error, ArenaError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError,
    OSError,
)  # fmt: skip
"""What damaged rows make a reader raise: bad pages, bad UTF-8, bad JSON, wrong types, missing keys."""


@dataclass(slots=True)
class Findings:
    """The findings of one level of verification."""

    level: str
    texts: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, text: str) -> None:
        """Note one finding."""
        self.count += 1
        if len(self.texts) < KEPT:
            self.texts.append(printable(text))

    def expect(self, holds: object, text: str) -> None:
        """Note `text` unless `holds`."""
        if not holds:
            self.add(text)

    @contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Turn any error that damaged data can cause into a finding about `what`."""
        try:
            yield
        except _READING as error:
            self.add(f"{what}: cannot be read: {type(error).__name__}: {error}")


def printable(text: str) -> str:
    """Return one line of printable ASCII: damaged rows may hold anything."""
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in text)[:300]
