"""Exports of everybody who ever lived, row by row: CSV, GraphML, Parquet, and the rows that other formats share.

Rows are streamed from the database in the order of ids, as they were known at the end of a round: later births do
not exist, later deaths have not happened. The run stays as it is.
"""

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import IO, Any, Final
from xml.sax.saxutils import escape

from arena.errors import EnvironmentFault
from lineage.ask.reading import check_round
from lineage.ask.tree import Tree

Row = tuple[Any, ...]
Rows = Iterable[Row]
Columns = Mapping[str, type]

COLUMNS: Final = {
    "agent_id": int, "parent_id": int, "founder_id": int, "clan": str, "depth": int, "market": int, "mind": str,
    "inheritance": str, "birth_round": int, "birth_tick": int, "birthmark": int, "graduation_round": int,
    "end_round": int, "end_tick": int, "fate": str, "scars": int, "damage": int, "offspring": int,
}  # fmt: skip
"""Columns of a life and their types; None is not known or has not happened (docs/data-model.md, view agent_life)."""

_TIMES: Final = ("birth_round", "birth_tick", "end_round", "end_tick")
TREE_COLUMNS: Final = {name: float if name in _TIMES else kind for name, kind in COLUMNS.items()}
"""The same for a tree from a file, whose times are anything."""

_LIVES = """
SELECT
    a.agent_id, a.parent_id, a.founder_id, a.clan, a.depth, a.market, a.mind, a.inheritance,
    a.birth_round, a.birth_tick, a.birthmark,
    (SELECT g.round FROM event g WHERE g.kind = 'graduation' AND g.agent_id = a.agent_id AND g.round <= :at),
    e.round, e.tick,
    CASE WHEN e.kind = 'death' THEN json_extract(e.payload, '$.cause') ELSE e.kind END,
    (SELECT count(*) FROM event s WHERE s.kind = 'scar' AND s.agent_id = a.agent_id AND s.round <= :at),
    a.birthmark + (
        SELECT coalesce(sum(json_extract(s.payload, '$.damage')), 0)
        FROM event s WHERE s.kind = 'scar' AND s.agent_id = a.agent_id AND s.round <= :at
    ),
    (SELECT count(*) FROM agent c WHERE c.parent_id = a.agent_id AND c.birth_round <= :at)
FROM agent a
LEFT JOIN event e ON e.agent_id = a.agent_id AND e.kind IN ('death', 'censored') AND e.round <= :at
WHERE a.birth_round <= :at ORDER BY a.agent_id
"""


def life_rows(connection: sqlite3.Connection, at: int | None = None) -> Iterator[Row]:
    """Yield one row an agent, values in the order of COLUMNS, as known at the end of round `at`.

    Raises ConfigError when the run has no such round.
    """
    yield from connection.execute(_LIVES, {"at": check_round(connection, at)})


def tree_rows(tree: Tree) -> Iterator[Row]:
    """Yield the same rows for a tree that came from a file: what it does not know is None, times are its own."""
    ids, founders = tree.ids.tolist(), tree.ids[tree.founder].tolist()
    parents, ends = tree.parent.tolist(), tree.destruction_time.tolist()
    offspring = [0] * len(tree)
    for parent in parents:
        if parent >= 0:
            offspring[parent] += 1
    for row, agent_id in enumerate(ids):
        parent = ids[parents[row]] if parents[row] >= 0 else None
        dead = ends[row] == ends[row]
        born = tree.origin_time[row].item()
        yield (
            agent_id, parent, founders[row], tree.clans.get(founders[row]), tree.depth[row].item(), None, None, None,
            born, born, None, None, ends[row] if dead else None, ends[row] if dead else None,
            "dead" if dead else None, None, None, offspring[row],
        )  # fmt: skip


_QUOTED: Final = re.compile(r'[",\r\n]|^\s|\s$')
_FORMULA: Final = re.compile(r"[=+\-@\t\r']")


def plain_cell(value: object) -> object:
    """Return a CSV cell that a spreadsheet takes for what it is: text that could be a formula gets a `'` in front."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def original_cell(text: str) -> str:
    """Undo `plain_cell`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text, 1) else text


def _spelt(value: object) -> str:
    """Return one cell as RFC 4180 spells it; the csv module would leave a lone carriage return unquoted."""
    if value is None:
        return ""
    text = str(plain_cell(value))
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


def write_cells(file: IO[bytes], header: Iterable[str], rows: Rows) -> None:
    """Write rows as CSV: UTF-8, comma, quotes where needed, formulas neutralised; None is an empty cell."""
    for row in chain([tuple(header)], rows):
        file.write(f"{','.join(map(_spelt, row))}\n".encode("utf-8", "surrogateescape"))


def write_csv(rows: Rows, file: IO[bytes], columns: Columns = COLUMNS) -> None:
    """Write all columns as CSV."""
    write_cells(file, columns, rows)


_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """Return text for XML: markup escaped; characters that XML does not know are written as \\x.. escapes."""
    clean = _NOT_XML.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
    return escape(clean, {"\r": "&#13;", '"': "&quot;"})


_GRAPHML_TYPES: Final = {int: "long", float: "double", str: "string"}
_GRAPHML_HEAD: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://graphml.graphdrawing.org/xmlns'
    ' http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd">\n'
)


def write_graphml(rows: Rows, file: IO[bytes], columns: Columns = COLUMNS) -> None:
    """Write a directed graph: a node an agent with all its columns, an edge from each parent to its child."""
    head = [_GRAPHML_HEAD]
    for name, kind in columns.items():
        told = _GRAPHML_TYPES[kind]
        head.append(f'<key id="{name}" for="node" attr.name="{name}" attr.type="{told}"/>\n')
    file.write("".join([*head, '<graph edgedefault="directed">\n']).encode())
    for row in rows:
        cells = "".join(
            f'<data key="{name}">{xml_text(str(value))}</data>'
            for name, value in zip(columns, row, strict=True)
            if value is not None
        )
        edge = f'<edge source="{row[1]}" target="{row[0]}"/>\n' if row[1] is not None else ""
        file.write(f'<node id="{row[0]}">{cells}</node>\n{edge}'.encode("utf-8", "replace"))
    file.write(b"</graph>\n</graphml>\n")


def write_parquet(rows: Rows, file: IO[bytes], columns: Columns = COLUMNS) -> None:
    """Write all columns as Parquet, in blocks. Raises EnvironmentFault when the extra is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise EnvironmentFault(
            "--format parquet: package pyarrow is missing; install it with: pip install 'lineage-arena[parquet]'"
        ) from error
    types = {int: pyarrow.int64(), float: pyarrow.float64(), str: pyarrow.string()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for block in _blocks(rows, 65_536):
            arrays = [
                pyarrow.array(values, type=kind)
                for values, kind in zip(zip(*block, strict=True), schema.types, strict=True)
            ]
            writer.write_batch(pyarrow.record_batch(arrays, schema=schema))


def _blocks(rows: Rows, size: int) -> Iterator[list[Row]]:
    block: list[Row] = []
    for row in rows:
        block.append(row)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block


TABLES: Final[dict[str, Callable[[Rows, IO[bytes], Columns], None]]] = {
    "csv": write_csv,
    "graphml": write_graphml,
    "parquet": write_parquet,
}
"""Formats that are written row by row."""
