"""Canned queries: SQL files in data/sql, each with a line that says what it answers and its parameters.

    -- Who descends from an agent, the nearest first.
    -- :agent = who (an id or the name of a clan)
    -- :rows = how many at most [100]
    SELECT ...

A parameter named agent or other takes what people call agents by; a number in brackets is its default.
"""

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from arena.errors import ConfigError, EnvironmentFault
from lineage.ask.query import Cell, placeholders, value_of
from lineage.ask.reading import resolve
from lineage.scenarios import data_files
from lineage.settings_text import nearest, shown

AGENTS: Final = ("agent", "other")
"""Parameters that name an agent."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a canned query."""

    name: str
    meaning: str
    default: Cell  # None: it must be given


@dataclass(frozen=True, slots=True)
class Canned:
    """One canned query."""

    name: str
    title: str
    parameters: tuple[Parameter, ...]
    sql: str


@cache
def canned_queries() -> dict[str, Canned]:
    """Return {name: query} of all files in data/sql, by name."""
    files = {name: path for name, path in data_files().items() if re.fullmatch(r"sql/[a-z_]+\.sql", name)}
    return {name[4:-4]: read_canned(name[4:-4], path) for name, path in sorted(files.items())}


_PARAMETER: Final = re.compile(r"--\s*:(\w+) = ([^\[\]]+?)(?:\s*\[([^\[\]]+)\])?")


def read_canned(name: str, path: Path) -> Canned:
    """Return the query in a file. Raises EnvironmentFault when its header and its SQL disagree."""
    text = path.read_text(encoding="utf-8")
    header = [line for line in text.splitlines() if line.startswith("--")]
    parameters = tuple(
        Parameter(found[1], found[2], None if found[3] is None else value_of(found[3]))
        for line in header
        if (found := _PARAMETER.fullmatch(line.strip()))
    )
    if not header or [one.name for one in parameters] != placeholders(text):
        raise EnvironmentFault(f"{path}: its header does not name its parameters; install lineage-arena again")
    return Canned(name, header[0].removeprefix("--").strip(), parameters, text)


def canned(name: str) -> Canned:
    """Return one canned query. Raises ConfigError naming the nearest."""
    found = canned_queries().get(name)
    if found is None:
        raise ConfigError(f"query {name!r}: no canned query of that name; {nearest(name, canned_queries())}")
    return found


def bind(connection: sqlite3.Connection, query: Canned, given: Mapping[str, str]) -> dict[str, Cell]:
    """Return the values of a canned query's parameters; names of agents become ids.

    Raises ConfigError for one that is missing, unknown, no number where one is taken, or no agent of this run.
    """
    known = {parameter.name: parameter for parameter in query.parameters}
    for name in given:
        if name not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise ConfigError(f"--param {name}: query {query.name} has no such parameter; {has}")
    bound: dict[str, Cell] = {}
    for name, parameter in known.items():
        if name in given:
            value = resolve(connection, given[name]) if name in AGENTS else value_of(given[name])
            if isinstance(parameter.default, int) and isinstance(value, str):  # SQLite would compare it as text
                raise ConfigError(
                    f"--param {name}={shown(value)}: query {query.name} takes a number ({parameter.meaning}); "
                    f"give one, e.g. {parameter.default}"
                )
            bound[name] = value
        elif parameter.default is not None:
            bound[name] = parameter.default
        else:
            raise ConfigError(f"query {query.name} needs {name} ({parameter.meaning}); add --param {name}=...")
    return bound
