"""The runs in a directory, one line of figures each; whatever cannot be read is listed with its reason."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from arena.errors import ArenaError
from lineage.record.leaves import is_closed
from lineage.record.schema import connect_reader, store_errors
from lineage.record.store import FILE_NAME

_RUN = "SELECT run_id, seed, scenario FROM run"
_FIGURES = (
    "SELECT (SELECT coalesce(max(round), -1) + 1 FROM round), (SELECT count(*) FROM agent), "
    "(SELECT count(*) FROM event WHERE kind = 'death'), (SELECT count(*) FROM event WHERE kind = 'scar'), "
    "(SELECT coalesce(max(depth), -1) + 1 FROM agent), "
    "(SELECT coalesce(head, '') FROM round ORDER BY round DESC LIMIT 1), "
    "(SELECT avg(equity) FROM agent_round WHERE round = (SELECT max(round) FROM round) AND status = 2), "
    "(SELECT count(*) FROM agent_round WHERE round = (SELECT max(round) FROM round) AND status IN (1, 2))"
)

MOST = 500
"""Runs that are listed."""


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run of a directory."""

    directory: Path
    problem: str = ""  # why it cannot be read, "" when it can
    run_id: str = ""
    seed: int = 0
    scenario: str = ""
    rounds: int = 0
    born: int = 0
    died: int = 0
    scars: int = 0
    generations: int = 0
    closed: bool = False
    head: str = ""
    mean_equity: float | None = None
    alive: int = 0


def list_runs(parent: Path) -> list[RunLine]:
    """Return the runs directly below a directory, or the directory's own, the newest first."""
    try:
        found = [path for path in (parent, *parent.iterdir()) if (path / FILE_NAME).is_file()]
        found.sort(key=lambda path: -(path / FILE_NAME).stat().st_mtime)
    except OSError:
        return []
    return [read_line(path) for path in found[:MOST]]


def read_line(directory: Path) -> RunLine:
    """Return the figures of one run."""
    path = directory / FILE_NAME
    try:
        with closing(connect_reader(path)) as connection, store_errors(path, "read the run"):
            run = connection.execute(_RUN).fetchone()
            figures = connection.execute(_FIGURES).fetchone()
            closed = is_closed(connection)
    except ArenaError as error:
        return RunLine(directory, problem=str(error))
    if run is None:
        return RunLine(directory, problem="the start was cut short: no run is noted in it")
    rounds, born, died, scars, generations, head, equity, alive = figures
    return RunLine(
        directory, "", str(run[0]), int(run[1]), str(run[2]), rounds, born, died, scars, generations, closed,
        str(head or ""), equity, alive,
    )  # fmt: skip
