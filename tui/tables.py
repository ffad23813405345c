"""Rows for people and programs: an aligned table, JSON or CSV. Data can write neither to the terminal nor a formula."""

import io
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from lineage.ask.export import write_cells
from tui.diagnostics import emit, say

Form = Literal["table", "json", "csv"]
NOTHING: Final = "-"
"""How a table shows what is undefined or has not happened."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One answer: named columns, rows of plain values, facts about the whole, and remarks for people."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    about: dict[str, Any] = field(default_factory=dict)
    remarks: Sequence[str] = ()


def form_of(*, as_json: bool, as_csv: bool) -> Form:
    """Return the form that the flags ask for. Raises ConfigError for both."""
    if as_json and as_csv:
        from arena.errors import ConfigError

        raise ConfigError("--json and --csv: choose one of them")
    return "json" if as_json else "csv" if as_csv else "table"


def show(sheet: Sheet, form: Form) -> None:
    """Print a sheet on stdout; its remarks go to stderr, but into the JSON object."""
    if form == "json":
        rows = [dict(zip(sheet.columns, map(json_value, row), strict=True)) for row in sheet.rows]
        about = {name: json_value(value) for name, value in sheet.about.items()}
        emit(json.dumps(about | {"rows": rows}, indent=2, allow_nan=False))
        return
    if form == "csv":
        buffer = io.BytesIO()
        write_cells(buffer, sheet.columns, (tuple(json_value(cell) for cell in row) for row in sheet.rows))
        emit(buffer.getvalue().decode("utf-8", "surrogateescape").removesuffix("\n"))
    else:
        for line in table_lines(sheet.columns, sheet.rows):
            emit(line)
    for remark in sheet.remarks:
        say(remark)


def json_value(value: Any) -> Any:
    """Return a value that JSON and CSV can hold: numbers without NaN, blobs as hex digits."""
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None if value != value else "Infinity" if value > 0 else "-Infinity"
    return value


def cell_text(value: Any, widest: int = 80) -> str:
    """Return a value as one short run of printable characters."""
    value = json_value(value)
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(value))
    return text if len(text) <= widest else f"{text[: widest - 3]}..."


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[Any]], widest: int = 80) -> Iterable[str]:
    """Yield the lines of a table: two spaces between columns, numbers to the right, no line wider than it must be."""
    body = [[cell_text(cell, widest) for cell in row] for row in rows]
    heads = [cell_text(name, widest) for name in columns]
    width = [max(map(len, column)) for column in zip(heads, *body, strict=True)]
    right = [
        bool(rows) and all(json_value(row[place]) is None or _is_number(row[place]) for row in rows)
        for place in range(len(heads))
    ]
    for line in [heads, *body]:
        cells = [
            text.rjust(width[place]) if right[place] else text.ljust(width[place]) for place, text in enumerate(line)
        ]
        yield "  ".join(cells).rstrip()


def _is_number(value: Any) -> bool:
    value = json_value(value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def terminal_width() -> int:
    """Return how many columns a line may take; COLUMNS wins, 100 where nobody says."""
    return max(shutil.get_terminal_size((100, 24)).columns, 20)
