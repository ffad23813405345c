"""`export`: a run, or a phylogeny in the ALife standard, in the formats of the tools that people have."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from arena.errors import ConfigError
from lineage.ask import export, export_alife, export_muller, export_newick, picture, picture_svg
from lineage.ask.reading import check_round, open_run
from lineage.ask.tree import TimeUnit, Tree, read_tree
from tui.diagnostics import ExitCode, say
from tui.outputs import target

PICTURES: Final = ("svg", "html")
FORMATS: Final = ("alife", "newick", "nexus", "graphml", "parquet", "csv", "muller", *PICTURES)


@dataclass(frozen=True, slots=True)
class Source:
    """What is exported: a run up to a round, or a tree that was read from a file."""

    connection: sqlite3.Connection | None
    tree: Tree | None
    at: int | None

    def read_tree(self, unit: TimeUnit) -> Tree:
        """Return the tree; one from a file keeps its own times."""
        if self.tree is not None:
            return self.tree
        return read_tree(cast(sqlite3.Connection, self.connection), self.at, unit)

    def rows(self) -> export.Rows:
        """Return one row an agent."""
        if self.tree is not None:
            return export.tree_rows(self.tree)
        return export.life_rows(cast(sqlite3.Connection, self.connection), self.at)


@contextmanager
def open_source(path: Path, at: int | None) -> Iterator[Source]:
    """Open a run, or a file that ends in .csv. Raises ConfigError, DataError or StoreError."""
    if path.suffix.lower() == ".csv":
        if at is not None:
            raise ConfigError(f"--at {at}: {path} is a file without rounds; leave --at out")
        yield Source(None, export_alife.read_alife(path), None)
        return
    with open_run(path) as connection:
        check_round(connection, at)
        yield Source(connection, None, at)


def export_run(
    path: Path, *, form: str, out: Path | None, at: int | None, unit: str | None, lives: bool, most: int
) -> int:
    """Write an export to a new file or stdout."""
    if lives and form not in ("newick", "nexus"):
        raise ConfigError(f"--lives: only newick and nexus have tips; leave it out for {form}")
    with open_source(path, at) as source, target(out) as file:
        _write(source, path, form, cast(TimeUnit, unit or "tick"), "lives" if lives else "agents", most, file)
    if out is not None:
        say(f"wrote {out} ({out.stat().st_size:,} bytes)")
    return ExitCode.OK


def _write(
    source: Source, path: Path, form: str, unit: TimeUnit, style: export_newick.Style, most: int, file: IO[bytes]
) -> None:
    if form in export.TABLES:
        export.TABLES[form](source.rows(), file, export.COLUMNS if source.tree is None else export.TREE_COLUMNS)
    elif form == "alife":
        export_alife.write_alife(source.rows(), file, unit)
    elif form == "newick":
        export_newick.write_newick(source.read_tree(unit), file, style)
    elif form == "nexus":
        export_newick.write_nexus(source.read_tree(unit), file, style)
    elif form == "muller":
        export_muller.write_muller(source.read_tree("round"), file)
    else:
        _draw(source, path, form, most, file)


def _draw(source: Source, path: Path, form: str, most: int, file: IO[bytes]) -> None:
    tree = source.read_tree("round")
    layout = picture.arrange(tree, most)
    marks, title = picture.Marks(), f"Lineages of {path.name}"
    if source.connection is not None:
        marks = picture.read_marks(source.connection, tree, layout.rows)
        run_id, scenario, seed = source.connection.execute("SELECT run_id, scenario, seed FROM run").fetchone()
        title = f"Lineages of run {run_id} ({scenario}, seed {seed}), round {tree.present:g}"
    draw = picture_svg.write_svg if form == "svg" else picture_svg.write_html
    draw(tree, layout, marks, title, file)
