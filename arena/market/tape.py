"""Recorded bars: a price file read strictly, row by row.

A row is good when its time can be read one way only and is new, its numbers are plain finite decimals,
prices are above 0, volume is not below 0, high >= max(open, close) and low <= min(open, close). The
first bad row stops the reader with `FILE:LINE: column: value rule; cure`, or is dropped and counted.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np

from arena.errors import DataError
from arena.market.tape_columns import PRICES, Header, find_header, split_line, stated_order
from arena.market.tape_times import Order, infer_order, read_time

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MISSING: Final = ("", "null", "none", "na", "n/a", "-")
_LARGEST: Final = 1e15
_SMALLEST: Final = 1e-12
_DROP: Final = "correct the row or drop it with --skip-bad"
_STATE_ORDER: Final = (
    "write ISO dates (2020-01-31) or say it in the column's name: 'Date (DD/MM/YYYY)' or 'Date (MM/DD/YYYY)'"
)


@dataclass(frozen=True)
class Tape:
    """Recorded bars of one instrument, oldest first."""

    name: str  # file name
    sha256: str  # of the file's bytes, hex
    times: list[str]  # [T] ISO 8601; date only when no row has a clock, Z when rows have a zone
    open: np.ndarray  # [T] f64, cash units
    high: np.ndarray  # [T] f64
    low: np.ndarray  # [T] f64
    close: np.ndarray  # [T] f64
    volume: np.ndarray  # [T] f64, zeros when the file has none
    skipped: int  # bad rows dropped


@dataclass(slots=True)
class _Row:
    """One data line of the file."""

    line: int  # 1-based
    fields: list[str]
    time: str
    fault: str = ""  # what is wrong with the line as a whole


class _BadRowError(Exception):
    """Carries (column label, value, rule, cure) of the first rule that a row breaks."""


def read_tape(path: Path, skip_bad: bool = False) -> Tape:
    """Read one CSV file of OHLCV bars, comma, semicolon, tab or bar separated, in any order of time.

    Raises DataError at the first bad row (unless skip_bad), and always when the file as a whole cannot be
    understood: no text, no header, dates that may be day-first or month-first, fewer than two good bars.
    """
    file = str(path)
    data = _bytes(path)
    lines = _text(file, data).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    header = find_header(file, lines)
    rows = _rows(lines, header)
    order = _order(file, header, rows)
    good: dict[datetime, tuple[int, list[float]]] = {}
    skipped, clocked = 0, False
    for row in rows:
        try:
            moment, has_clock = _moment(row, header, order)
            values = _values(row, header)
            _check_time(moment, row, header, good)
        except _BadRowError as bad:
            if not skip_bad:
                raise DataError(_message(f"{file}:{row.line}", *bad.args)) from None
            skipped += 1
            continue
        clocked |= has_clock
        good[moment] = (row.line, values)
    if len(good) < 2:
        dropped = f" ({skipped} bad rows dropped)" if skipped else ""
        raise DataError(f"{file}: {len(good)} usable bars{dropped}, a tape needs at least 2; use a longer file")
    moments = sorted(good)
    table = np.array([good[moment][1] for moment in moments]).T.copy()  # [5,T]
    times = [_iso(moment, clocked) for moment in moments]
    opened, high, low, close, volume = table
    return Tape(path.name, hashlib.sha256(data).hexdigest(), times, opened, high, low, close, volume, skipped)


def _bytes(path: Path) -> bytes:
    if not path.exists():
        raise DataError(f"{path}: there is no such file; give the path of a CSV file of OHLCV bars")
    if not path.is_file():
        raise DataError(f"{path}: is a directory or a device; give the path of a CSV file of OHLCV bars")
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def _text(file: str, data: bytes) -> str:
    if not data.strip():
        raise DataError(f"{file}: is empty; give a CSV file of OHLCV bars")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{file}: is UTF-16 text; save it as UTF-8")
    if (at := data.find(b"\0")) >= 0:
        line = data.count(b"\n", 0, at) + 1
        raise DataError(f"{file}:{line}: holds a NUL byte, so it is no text file; unpack it or save it as CSV in UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise DataError(f"{file}:{line}: byte 0x{byte:02x} is not UTF-8 text; save the file as CSV in UTF-8") from None


def _rows(lines: list[str], header: Header) -> list[_Row]:
    """Return the data rows below the header; blank lines are no rows."""
    rows = []
    width = len(header.labels)
    for number, line in enumerate(lines[header.line + 1 :], header.line + 2):
        if not line.strip():
            continue
        try:
            fields = split_line(line, header.delimiter)
        except ValueError:
            rows.append(_Row(number, [line], "", "has a quote that does not close"))
            continue
        if len(fields) < width or any(fields[width:]):
            rows.append(_Row(number, [line], "", f"has {len(fields)} fields, the header {width}"))
            continue
        rows.append(_Row(number, fields, " ".join(fields[column] for column in header.time)))
    return rows


def _order(file: str, header: Header, rows: list[_Row]) -> Order:
    """Return which of day and month comes first. Raises DataError when the file does not say, or says both."""
    label = header.labels[header.time[0]]
    stated = stated_order(label)
    if stated:
        return stated
    order, asking, contradiction = infer_order(row.time for row in rows)
    if contradiction is not None:
        row, other = rows[contradiction], "month" if order == "day" else "day"
        rule = f"is {other}-first, but the dates above it are {order}-first"
        raise DataError(_message(f"{file}:{row.line}", label, row.time, rule, _STATE_ORDER))
    if asking is not None and order is None:
        row = rows[asking]
        rule = "may be day-first or month-first and no other row decides"
        raise DataError(_message(f"{file}:{row.line}", label, row.time, rule, _STATE_ORDER))
    return order


def _moment(row: _Row, header: Header, order: Order) -> tuple[datetime, bool]:
    if row.fault:
        raise _BadRowError("row", row.fields[0], row.fault, _DROP)
    try:
        return read_time(row.time, order)
    except ValueError as error:
        raise _BadRowError(header.labels[header.time[0]] or "time", row.time, str(error), _DROP) from None


def _check_time(moment: datetime, row: _Row, header: Header, good: dict[datetime, tuple[int, list[float]]]) -> None:
    label = header.labels[header.time[0]] or "time"
    if moment in good:
        raise _BadRowError(label, row.time, f"repeats the time of line {good[moment][0]}", _DROP)
    first = next(iter(good), moment)
    if (first.tzinfo is None) != (moment.tzinfo is None):
        having = "has no time zone" if moment.tzinfo is None else "has a time zone"
        raise _BadRowError(label, row.time, f"{having}, unlike the rows above", _DROP)


def _values(row: _Row, header: Header) -> list[float]:
    """Return open, high, low, close, volume of a row that keeps every rule."""
    numbers = {name: _number(row.fields[column], header.labels[column]) for name, column in header.columns.items()}
    for name, number in numbers.items():
        text, label = row.fields[header.columns[name]], header.labels[header.columns[name]]
        if name == "volume" and number < 0.0:
            raise _BadRowError(label, text, "is below 0", _DROP)
        if name != "volume" and number <= 0.0:
            raise _BadRowError(label, text, "is not above 0", _DROP)
        if number > _LARGEST or 0.0 < number < _SMALLEST:
            rule = f"lies outside {_SMALLEST:g} to {_LARGEST:g}"
            raise _BadRowError(label, text, rule, "check its unit, or " + _DROP)
    opened, high, low, close = (numbers[name] for name in PRICES)
    for name, broken, rule in (
        ("high", high < max(opened, close), f"is below max(open, close) = {max(opened, close):.12g}"),
        ("low", low > min(opened, close), f"is above min(open, close) = {min(opened, close):.12g}"),
    ):
        if broken:
            raise _BadRowError(header.labels[header.columns[name]], row.fields[header.columns[name]], rule, _DROP)
    return [opened, high, low, close, numbers.get("volume", 0.0)]


def _number(text: str, label: str) -> float:
    if text.lower() in _MISSING:
        raise _BadRowError(label, text, "is missing", _DROP)
    if not _NUMBER.fullmatch(text):
        rule = "is no plain finite decimal (no separators, units, inf or nan)"
        raise _BadRowError(label, text, rule, "write it like 1234.56 or drop the row with --skip-bad")
    return float(text)


def _message(place: str, label: str, value: str, rule: str, cure: str) -> str:
    """Return the one-line message; ascii() keeps control characters of a foreign file off the terminal."""
    shown = value if len(value) <= 40 else value[:37] + "..."
    column = ascii(label)[1:-1]
    return f"{place}: {column}: value {shown!a} {rule}; {cure}"


def _iso(moment: datetime, clocked: bool) -> str:
    if not clocked:
        return moment.date().isoformat()
    text = moment.replace(tzinfo=None).isoformat()
    return text + "Z" if moment.tzinfo else text
