"""The ALife data standard for phylogenies: one CSV row an agent, out and in.

Columns `id, ancestor_list, ancestor_id, origin_time, destruction_time, taxon_label`, then whatever else is known,
sorted by id. Founders have `[none]` and name themselves in `ancestor_id`; the extant have `inf` as destruction time.
Reading takes what trackers write: any order of rows and columns, `[None]`, `[none]`, `[NONE]`, `[]` or nothing for
founders, `ancestor_id` alone, and `inf`, `nan` or nothing for the extant; every row has one parent at most.
"""

import csv
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import numpy as np

from arena.errors import DataError, EnvironmentFault
from lineage.ask.export import COLUMNS, Row, Rows, original_cell, write_cells
from lineage.ask.tree import TimeUnit, Tree, tree_from_arrays

_AT: Final = {name: place for place, name in enumerate(COLUMNS)}
_MORE: Final = tuple(name for name in COLUMNS if name not in ("agent_id", "parent_id", "clan"))
HEADER: Final = ("id", "ancestor_list", "ancestor_id", "origin_time", "destruction_time", "taxon_label", *_MORE)

_LIST: Final = re.compile(r"\[\s*(?:|none|([0-9]{1,18}))\s*\]", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WIDEST: Final = 1 << 20


def write_alife(rows: Rows, file: IO[bytes], unit: TimeUnit = "tick") -> None:
    """Write the standard CSV; times in ticks (the last tick of a round) or in rounds."""
    write_cells(file, HEADER, _standard_rows(rows, unit))


def _standard_rows(rows: Rows, unit: TimeUnit) -> Iterator[Row]:
    origin, end, fate = _AT[f"birth_{unit}"], _AT[f"end_{unit}"], _AT["fate"]
    more = [_AT[name] for name in _MORE]
    for row in rows:
        extant = row[fate] in (None, "censored")
        yield (
            row[0],
            "[none]" if row[1] is None else f"[{row[1]}]",
            row[0] if row[1] is None else row[1],
            row[origin],
            "inf" if extant else row[end],
            row[_AT["clan"]],
            *(row[place] for place in more),
        )


def read_alife(path: Path) -> Tree:
    """Return the tree of an ALife standard CSV. Raises DataError naming file, line, value and cure.

    Without `origin_time` the generation stands for it.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; give a phylogeny in the ALife standard (CSV)")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read(path, file)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text; save it as CSV with that encoding") from error
    except OSError as error:
        raise EnvironmentFault(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def _read(path: Path, file: IO[str]) -> Tree:
    csv.field_size_limit(_WIDEST)
    reader = csv.reader(file, strict=True)
    ids: list[int] = []
    parents: list[int] = []
    times: dict[str, list[float]] = {"origin_time": [], "destruction_time": []}
    labels: dict[int, str] = {}
    try:
        columns = _columns(path, next(reader, []))
        for cells in reader:
            if not cells:
                continue
            place = f"{path}:{reader.line_num}"
            if len(cells) != columns["width"]:
                raise DataError(f"{place}: {len(cells)} cells, the header has {columns['width']}; mend the row")
            ids.append(_id(place, "id", cells[columns["id"]]))
            parents.append(_parent(place, columns, cells, ids[-1]))
            for name, values in times.items():
                if name in columns:
                    values.append(_time(place, name, cells[columns[name]]))
            if "taxon_label" in columns and parents[-1] == -1:
                labels[ids[-1]] = original_cell(cells[columns["taxon_label"]])
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: {error}; save it as CSV again") from error
    return _tree(path, ids, parents, times, labels)


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    places = {name.strip().lower(): place for place, name in enumerate(header)}
    if "id" not in places or not {"ancestor_list", "ancestor_id"} & places.keys():
        raise DataError(
            f"{path}:1: columns {', '.join(header)[:100]!r}: the ALife standard needs id and ancestor_list; "
            "name the columns so, or export the file again"
        )
    return {**places, "width": len(header)}


def _id(place: str, name: str, text: str) -> int:
    text = text.strip()
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise DataError(f"{place}: {name} {text[:40]!r} is not a whole number from 0; give one")
    return int(text)


def _parent(place: str, columns: dict[str, int], cells: list[str], own: int) -> int:
    """Return the parent's id, -1 for a founder."""
    if "ancestor_list" not in columns:
        text = cells[columns["ancestor_id"]].strip()
        parent = _id(place, "ancestor_id", text) if text else own
        return -1 if parent == own else parent
    text = cells[columns["ancestor_list"]].strip()
    match = _LIST.fullmatch(text)
    if match is None and text:
        rule = "more than one parent is not supported" if "," in text else "a founder has [none], others [PARENT]"
        raise DataError(f"{place}: ancestor_list {text[:40]!r}: {rule}; correct it")
    return int(match[1]) if match and match[1] else -1


def _time(place: str, name: str, text: str) -> float:
    text = text.strip().lower()
    if name == "destruction_time" and text in ("", "inf", "+inf", "infinity", "nan", "none", "null"):
        return math.nan
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise DataError(f"{place}: {name} {text[:40]!r} is not a number; give one")
    return float(text)


def _tree(
    path: Path, ids: list[int], parents: list[int], times: dict[str, list[float]], labels: dict[int, str]
) -> Tree:
    """Build the tree; whatever does not fit together is an error of the file."""
    zeros = np.zeros(len(ids))
    keys = np.array(ids, dtype=np.int64), np.array(parents, dtype=np.int64)
    ends = np.array(times["destruction_time"]) if times["destruction_time"] else zeros + math.nan
    try:
        if times["origin_time"]:
            return tree_from_arrays(*keys, np.array(times["origin_time"]), ends, time_unit="time", clans=labels)
        plain = tree_from_arrays(*keys, zeros, zeros + math.nan, clans=labels)
        return tree_from_arrays(
            plain.ids, np.where(plain.parent < 0, -1, plain.ids[plain.parent]), plain.depth.astype(np.float64),
            np.full(len(plain), math.nan), time_unit="generation", clans=labels,
        )  # fmt: skip
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
