"""SQL on a run, by anybody, without harm: strictly reading, bounded in time, rows, bytes and memory.

Several walls, each enough: the file is opened read-only, the connection is `query_only`, an authorizer lets nothing but
reading through (no ATTACH, no PRAGMA that sets anything, no extension), the schema of the file is not trusted to call
functions, and a handler stops whatever takes too long.
"""

import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from arena.errors import ArenaError, ConfigError
from lineage.ask.reading import open_run
from lineage.record.schema import named_error
from lineage.record.store import FILE_NAME
from lineage.settings_text import shown

Cell = int | float | str | bytes | None
Row = tuple[Cell, ...]

MAX_BYTES: Final = 64 * 2**20
"""Most bytes of text and blobs in one answer."""
_EVERY: Final = 2_000  # virtual-machine steps between two looks at the clock

_READ_PRAGMAS: Final = {
    "table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list",
    "database_list", "collation_list", "function_list", "compile_options", "user_version", "application_id",
    "page_count", "page_size", "freelist_count", "encoding", "journal_mode", "schema_version",
}  # fmt: skip
_NAMED_TABLE: Final = {
    "table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list",
}  # fmt: skip
_ALLOWED: Final = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_BANNED_FUNCTIONS: Final = {"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"}
_TABLE_FUNCTIONS: Final = (
    "SELECT 1 FROM json_each('[]')", "SELECT 1 FROM json_tree('[]')", "SELECT 1 FROM pragma_table_info('agent')",
    "SELECT 1 FROM pragma_table_list", "SELECT 1 FROM pragma_index_list('agent')",
    "SELECT 1 FROM pragma_index_info('agent_by_parent')", "SELECT 1 FROM pragma_foreign_key_list('agent')",
)  # fmt: skip
_DOING: Final = {
    sqlite3.SQLITE_INSERT: "write to", sqlite3.SQLITE_UPDATE: "change", sqlite3.SQLITE_DELETE: "delete from",
    sqlite3.SQLITE_ATTACH: "attach", sqlite3.SQLITE_DETACH: "detach", sqlite3.SQLITE_PRAGMA: "set",
    sqlite3.SQLITE_TRANSACTION: "open or close a transaction", sqlite3.SQLITE_SAVEPOINT: "set a savepoint",
    sqlite3.SQLITE_FUNCTION: "call",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement returned; `more` when rows were left behind at the limit."""

    columns: tuple[str, ...]
    rows: list[Row]
    more: bool


def run_query(
    directory: Path, sql: str, parameters: Mapping[str, Cell] | None = None, *, limit: int = 1000,
    timeout_seconds: float = 10.0,
) -> Answer:  # fmt: skip
    """Run one reading statement on a run and return at most `limit` rows.

    parameters: values of :name in the statement. Raises ConfigError for a statement that is wrong, wants to change
    anything, or exceeds time, bytes or memory; StoreError for a damaged file.
    """
    with open_run(directory) as connection:
        place = directory / FILE_NAME
        return ask(connection, sql, parameters, limit=limit, timeout_seconds=timeout_seconds, path=place)


def ask(
    connection: sqlite3.Connection, sql: str, parameters: Mapping[str, Cell] | None = None, *, limit: int = 1000,
    timeout_seconds: float = 10.0, path: Path = Path(FILE_NAME),
) -> Answer:  # fmt: skip
    """Run one reading statement on a read-only connection, as `run_query`; its authorizer is gone afterwards."""
    if not sql.strip():
        raise ConfigError("the statement is empty; give SQL, the name of a canned query, or - to read it from stdin")
    bound = _parameters(sql, parameters or {})
    denied: list[str] = []
    deadline = time.monotonic() + timeout_seconds
    with _walls(connection, denied, deadline):
        try:
            with closing(connection.execute(sql, bound)) as cursor:
                if cursor.description is None:
                    raise ConfigError("the statement returns nothing; only statements that read are of use here")
                columns = tuple(str(column[0]) for column in cursor.description)
                rows, more = _take(cursor, limit)
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, MemoryError) as error:
            raise _explained(error, denied, deadline, timeout_seconds, path) from error
    return Answer(columns, rows, more)


@contextmanager
def _walls(connection: sqlite3.Connection, denied: list[str], deadline: float) -> Iterator[None]:
    """Put up the walls and take them down again."""

    def allow(action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if action in _ALLOWED:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() not in _BANNED_FUNCTIONS:
            return sqlite3.SQLITE_OK
        # a value after a pragma's name sets it, but for those whose argument is the name of a table
        pragma = (first or "").lower()
        reads = pragma in _READ_PRAGMAS and (second is None or pragma in _NAMED_TABLE)
        if action == sqlite3.SQLITE_PRAGMA and reads:
            return sqlite3.SQLITE_OK
        target = second if action == sqlite3.SQLITE_FUNCTION else first
        denied.append(f"{_DOING.get(action, 'change the schema')} {shown(target) if target else ''}".strip())
        return sqlite3.SQLITE_DENY

    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 16 * 2**20)
    connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 2**20)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000)
    connection.execute("PRAGMA query_only = ON")
    for statement in _TABLE_FUNCTIONS:  # declared at first use, which the authorizer would take for a change
        connection.execute(statement).fetchone()
    connection.set_progress_handler(lambda: int(time.monotonic() > deadline), _EVERY)
    connection.set_authorizer(allow)
    try:
        yield
    finally:
        connection.set_authorizer(None)
        connection.set_progress_handler(None, 0)


def _take(cursor: sqlite3.Cursor, limit: int) -> tuple[list[Row], bool]:
    """Return (at most `limit` rows, whether there are more). Raises ConfigError beyond MAX_BYTES."""
    rows: list[Row] = []
    size = 0
    for row in cursor:
        if len(rows) == limit:
            return rows, True
        size += sum(len(cell) for cell in row if isinstance(cell, str | bytes))
        if size > MAX_BYTES:
            raise ConfigError(f"the answer exceeds {MAX_BYTES >> 20} MiB after {len(rows)} rows; ask for less")
        rows.append(row)
    return rows, False


_PLACEHOLDER: Final = re.compile(r"[:@$]([A-Za-z_][A-Za-z0-9_]*)")
_LITERAL: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)


def placeholders(sql: str) -> list[str]:
    """Return the names of the parameters of a statement, each once, in order."""
    return list(dict.fromkeys(_PLACEHOLDER.findall(_LITERAL.sub(" ", sql))))


def _parameters(sql: str, given: Mapping[str, Cell]) -> dict[str, Cell]:
    wanted = placeholders(sql)
    for name in given:
        if name not in wanted:
            has = f"it has {', '.join(f':{one}' for one in wanted)}" if wanted else "it has none"
            raise ConfigError(f"--param {shown(name)}: the statement has no such parameter; {has}")
    for name in wanted:
        if name not in given:
            raise ConfigError(f"the statement needs a value for :{name}; add --param {name}=VALUE")
    return dict(given)


_NOT_THE_STATEMENT: Final = (
    "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR", "SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_FULL",
)  # fmt: skip


def limit_memory(connection: sqlite3.Connection) -> None:
    """Let SQLite take at most 1 GiB, in this whole process and for good: SQLite cannot lift this limit again."""
    connection.execute("PRAGMA hard_heap_limit = 1073741824")


def _explained(
    error: Exception, denied: list[str], deadline: float, timeout_seconds: float, path: Path
) -> ArenaError:
    """Return what an error of the statement means, in one line."""
    text = " ".join(str(error).split())
    name = getattr(error, "sqlite_errorname", "") or ""
    if denied:
        return ConfigError(f"the statement wants to {denied[0]}; only reading is allowed here, on this run alone")
    if name == "SQLITE_AUTH":  # our authorizer refuses with a reason; without one, Ctrl-C came while it was asked
        raise KeyboardInterrupt from error
    if name == "SQLITE_INTERRUPT":
        if time.monotonic() < deadline:  # the clock did not stop it: somebody at the keyboard did
            raise KeyboardInterrupt from error
        return ConfigError(f"the statement took longer than {timeout_seconds:g} s; ask for less, or raise --timeout")
    if isinstance(error, MemoryError) or name == "SQLITE_NOMEM":
        return ConfigError("the statement needs more memory than it is given; ask for less")
    if name.startswith(_NOT_THE_STATEMENT):
        return named_error(error, path, "read")
    if name == "SQLITE_READONLY" or "may not be modified" in text or "because it is a view" in text:
        return ConfigError("the statement wants to write; only reading is allowed here")
    if "one statement" in text:
        return ConfigError("more than one statement; give one at a time")
    if "binding" in text.lower() and "supplied" in text:
        return ConfigError("positional parameters (?) cannot be given here; write :name and add --param name=VALUE")
    return ConfigError(f"SQL: {text}; examples: `lineage-arena query RUN list`, tables: docs/data-model.md")


def value_of(text: str) -> Cell:
    """Return a parameter's value: an integer or a decimal number where the text is one, else the text."""
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    if re.fullmatch(r"[+-]?([0-9]+\.[0-9]*|\.?[0-9]+)([eE][+-]?[0-9]{1,3})?", text):
        return float(text)
    return text


def plain(cell: Cell) -> Any:
    """Return a cell as JSON can hold it: blobs as hex digits, infinities as text."""
    if isinstance(cell, bytes):
        return cell.hex()
    if isinstance(cell, float) and cell in (float("inf"), float("-inf")):
        return "Infinity" if cell > 0 else "-Infinity"
    return cell
