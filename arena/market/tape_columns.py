"""Which column of a price file is which: the header of a tape, found and read without guessing.

Names count without case, punctuation and digits: `Open`, `<OPEN>`, `1. open`, `BTC-USD_Open` and
`Open Price` are all the open. An exact name beats a prefixed one, which beats one with a suffix; two
columns of the best kind, or prices with different prefixes, are refused. Adjusted prices are never used.
"""

import csv
import re
from typing import Final, NamedTuple

from arena.errors import DataError

PRICES: Final = ("open", "high", "low", "close")
_NAMES: Final = {
    "open": {"open", "o"},
    "high": {"high", "h"},
    "low": {"low", "l"},
    "close": {"close", "last", "c"},
    "volume": {"volume", "vol", "v"},
}
_TIMES: Final = ("datetime", "timestamp", "date", "time", "unix", "t")
"""Names of a time column, the preferred first."""
_FOREIGN: Final = {"adj", "adjusted", "interest", "time", "date", "change", "quote", "taker"}
"""A column with one of these words is no price and no volume of the instrument."""
_HEADER_WITHIN: Final = 30
_DELIMITERS: Final = (",", ";", "\t", "|")
_CURE: Final = "name the columns like Date,Open,High,Low,Close,Volume"


class Header(NamedTuple):
    """Where the header is and what its columns mean."""

    line: int  # index of the header line
    delimiter: str
    labels: list[str]  # as written
    columns: dict[str, int]  # open, high, low, close and, where there is one, volume
    time: tuple[int, ...]  # one column, or a date and a time of day


def split_line(line: str, delimiter: str) -> list[str]:
    """Return the stripped fields of one line. Raises ValueError when its quotes do not close."""
    if '"' not in line:
        return [field.strip() for field in line.split(delimiter)]
    try:
        fields = next(csv.reader([line], delimiter=delimiter, strict=True, skipinitialspace=True))
    except csv.Error as error:
        raise ValueError(str(error)) from error
    return [field.strip() for field in fields]


def find_header(file: str, lines: list[str]) -> Header:
    """Return the first line that names a time and all four prices; banner lines above it are passed over.

    Raises DataError when there is none, or when a name fits two columns.
    """
    best: tuple[int, list[str]] | None = None
    for index, line in enumerate(lines[:_HEADER_WITHIN]):
        for delimiter in _DELIMITERS:
            try:
                labels = split_line(line, delimiter)
            except ValueError:
                continue
            words = [_words(label) for label in labels]
            missing = [name for name in PRICES if not _ranked(words, name)]
            if not _ranked_times(labels, words):
                missing.append("time")
            if not missing:
                return Header(index, delimiter, labels, *_resolve(f"{file}:{index + 1}", labels, words))
            if len(missing) < 4 and (best is None or len(missing) < len(best[1])):
                best = (index, missing)
    if best is None:
        raise DataError(f"{file}: no line among the first {_HEADER_WITHIN} is a header; {_CURE}")
    raise DataError(f"{file}:{best[0] + 1}: header: no column for {', '.join(best[1])}; {_CURE}")


def stated_order(label: str) -> str | None:
    """Return 'day' or 'month' when the time column's name states which comes first."""
    text = label.casefold()
    if re.search(r"d{1,2}[./-]m{1,2}[./-]y", text):
        return "day"
    return "month" if re.search(r"m{1,2}[./-]d{1,2}[./-]y", text) else None


def _words(label: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", label.casefold()) if word and not word.isdigit()]


def _rank(words: list[str], names: set[str]) -> int | None:
    """Return 0 for an exact name, 1 with a prefix, 2 with a suffix, None for another column."""
    if not words:
        return None
    if set(words) <= names:
        return 0
    if words[-1] in names:
        return 1
    return 2 if words[0] in names and len(words[0]) > 1 else None


def _ranked(words: list[list[str]], name: str) -> list[tuple[int, int]]:
    """Return (rank, column) of every column that may be `name`, the best first."""
    ranks = [(None if set(w) & _FOREIGN else _rank(w, _NAMES[name]), column) for column, w in enumerate(words)]
    return sorted((rank, column) for rank, column in ranks if rank is not None)


def _ranked_times(labels: list[str], words: list[list[str]]) -> list[tuple[int, int, int]]:
    """Return (rank, preference, column) of every column that may be the time, the best first."""
    found = []
    for column, w in enumerate(words):
        for preference, name in enumerate(_TIMES):
            rank = _rank(w, {name})
            # The time at which a bar closes is not its time; a bare t must stand alone.
            if rank is not None and w[0] != "close" and (rank == 0 or name != "t"):
                found.append((rank, preference, column))
    if not found and labels and not labels[0]:
        found.append((0, 0, 0))  # the nameless first column that a data frame's index leaves
    return sorted(found)


def _resolve(place: str, labels: list[str], words: list[list[str]]) -> tuple[dict[str, int], tuple[int, ...]]:
    """Return the columns of prices and volume, and of the time. Raises DataError when two fit."""
    columns, prefixes = {}, {}
    for name in PRICES:
        ranked = _ranked(words, name)
        if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
            raise DataError(_two(place, name, labels, ranked[0][1], ranked[1][1]))
        rank, column = ranked[0]
        columns[name] = column
        prefixes[name] = " ".join(words[column][:-1]) if rank == 1 else ""
    if len(set(prefixes.values())) > 1:
        other = next(name for name in PRICES if prefixes[name] != prefixes["open"])
        raise DataError(
            f"{place}: {labels[columns['open']]!a} and {labels[columns[other]]!a} carry different prefixes, "
            "a tape holds one instrument; keep the columns of one"
        )
    volumes = _ranked(words, "volume")
    if volumes:
        columns["volume"] = volumes[0][1]  # of several volumes the first is the instrument's own by convention
    times = _ranked_times(labels, words)
    exact = {_TIMES[preference]: column for rank, preference, column in reversed(times) if rank == 0}
    if "date" in exact and "time" in exact and times[0][1] >= _TIMES.index("date"):
        return columns, (exact["date"], exact["time"])
    if len(times) > 1 and times[0][:2] == times[1][:2]:
        raise DataError(_two(place, "time", labels, times[0][2], times[1][2]))
    return columns, (times[0][2],)


def _two(place: str, name: str, labels: list[str], first: int, second: int) -> str:
    return (
        f"{place}: columns {labels[first]!a} and {labels[second]!a} could both be the {name}; "
        "keep one, or rename the other"
    )
