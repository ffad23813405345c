"""`query`: SQL on a run, canned or your own, reading only."""

import sys
from pathlib import Path

from arena.errors import ConfigError, DataError
from lineage.ask.canned import bind, canned, canned_queries
from lineage.ask.query import ask, limit_memory, value_of
from lineage.ask.reading import open_run, snapshot
from lineage.record.store import FILE_NAME
from lineage.settings_text import shown
from tui.tables import Sheet, form_of, show

LONGEST_SQL = 2**20


def query(
    path: Path, statement: str, params: tuple[str, ...], *, limit: int, timeout: float, as_json: bool, as_csv: bool
) -> int:
    """Run a statement, or the canned one of that name, and print what it returns."""
    form = form_of(as_json=as_json, as_csv=as_csv)
    given = dict(_parameter(text) for text in params)
    if statement == "list":
        rows = [
            (one.name, one.title, ", ".join(_described(two.name, two.default) for two in one.parameters) or None)
            for one in canned_queries().values()
        ]
        show(Sheet(("name", "answers", "parameters"), rows), form)
        return 0
    named = statement.replace("_", "").isalnum() and statement.isascii()
    with open_run(path) as connection, snapshot(connection):
        limit_memory(connection)
        if named:
            one = canned(statement)
            sql, bound = one.sql, bind(connection, one, given)
        else:
            sql = _stdin() if statement == "-" else statement
            bound = {name: value_of(text) for name, text in given.items()}
        place = path if path.is_file() else path / FILE_NAME
        answer = ask(connection, sql, bound, limit=limit, timeout_seconds=timeout, path=place)
    remarks = [f"{len(answer.rows)} rows shown, there are more; --limit gives more"] if answer.more else []
    show(Sheet(_distinct(answer.columns), answer.rows, {"more": answer.more}, remarks), form)
    return 0


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ConfigError(f"--param {shown(text)}: not of the form NAME=VALUE")
    return name, value


def _described(name: str, default: object) -> str:
    return name if default is None else f"{name}={default}"


def _stdin() -> str:
    """Return the statement that waits on stdin. Raises DataError when it is no text or too long."""
    try:
        text = sys.stdin.read(LONGEST_SQL + 1)
    except UnicodeDecodeError as error:
        raise DataError(f"stdin: not UTF-8 at byte {error.start}; give text") from error
    if len(text) > LONGEST_SQL:
        raise DataError(f"stdin: longer than {LONGEST_SQL:,} characters; give one statement")
    return text


def _distinct(columns: tuple[str, ...]) -> list[str]:
    """Return the names of columns, numbered where several share one: JSON objects need different keys."""
    seen: dict[str, int] = {}
    found = []
    for name in columns:
        count = seen[name] = seen.get(name, 0) + 1
        found.append(name if count == 1 else f"{name}_{count}")
    return found
