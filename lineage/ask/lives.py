"""What became of everybody: graduation, end, damage of one's own and from birth, children, money. As arrays."""

import sqlite3
from dataclasses import dataclass

import numpy as np

from arena.errors import StoreError
from lineage.ask.reading import check_round, fetch_integers, snapshot
from lineage.ask.tree import Bools, Floats, Ints, Tree, read_tree

ALIVE = -1
"""The index of no cause of death."""


@dataclass(frozen=True, slots=True, eq=False)
class Lives:
    """The n agents of a tree in rounds, with what they went through until `tree.present`."""

    tree: Tree
    graduation: Ints  # [n] round in which the real account opened, -1 before
    birthmark: Ints  # [n] damage points inherited
    own_damage: Ints  # [n] damage points from scars of one's own
    scars: Ints  # [n] how many
    offspring: Ints  # [n] children
    cause: Ints  # [n] index into causes, ALIVE for the living
    causes: tuple[str, ...]
    endowment: Floats  # [n] cash units
    given: Floats  # [n] cash units paid to endow children
    equity: Floats  # [n] cash units at death or now, NaN where it is not recorded
    scar_row: Ints  # [s] whose scar, sorted; within an agent in order of time
    scar_round: Ints  # [s]
    scar_damage: Ints  # [s]

    @property
    def graduated(self) -> Bools:
        """[n] whether the agent ever traded with real money."""
        return self.graduation >= 0

    @property
    def end(self) -> Floats:
        """[n] round of death, the present for the living."""
        return np.where(self.tree.extant, self.tree.present, self.tree.destruction_time)

    @property
    def trading_rounds(self) -> Floats:
        """[n] rounds lived since graduation, NaN without."""
        return np.where(self.graduated, self.end - self.graduation, np.nan)

    @property
    def damage(self) -> Ints:
        """[n] all damage points, birthmark included."""
        return self.birthmark + self.own_damage

    @property
    def growth(self) -> Floats:
        """[n] logarithmic growth a round since graduation; what children were given counts as earned.

        ln((equity + endowments given) / own endowment) / rounds; NaN when equity is not recorded, nothing was left,
        or no round has passed.
        """
        wealth, rounds = self.equity + self.given, self.trading_rounds
        known = (wealth > 0.0) & (rounds > 0.0) & (self.endowment > 0.0)
        ratio = np.where(known, wealth, 1.0) / np.where(known, self.endowment, 1.0)
        return np.where(known, np.log(ratio) / np.where(known, rounds, 1.0), np.nan)


_AGENTS = "SELECT birthmark, endowment_cents FROM agent WHERE birth_round <= :at ORDER BY agent_id"
_GRADUATIONS = "SELECT agent_id, round FROM event WHERE kind = 'graduation' AND round <= :at"
_SCARS = """
SELECT agent_id, round, CAST(substr(payload, instr(payload, '"damage":') + 9) AS INTEGER)
FROM event WHERE kind = 'scar' AND round <= :at ORDER BY +agent_id, event_id
"""
_DEATHS = """
SELECT agent_id, CAST(substr(payload, instr(payload, '"equity_cents":') + 15) AS INTEGER),
    substr(payload, instr(payload, '"cause":"') + 9, 40)
FROM event WHERE kind = 'death' AND round <= :at
"""
_EQUITY = "SELECT agent_id, equity FROM agent_round WHERE round = :at AND status = 2"


def read_lives(connection: sqlite3.Connection, at: int | None = None) -> Lives:
    """Return everybody's life as it was known at the end of round `at` (default: the newest).

    Raises ConfigError when the run has no such round, StoreError when the file contradicts itself.
    """
    with snapshot(connection):
        last = check_round(connection, at)
        tree = read_tree(connection, last)
        bound = {"at": last}
        agents = fetch_integers(connection.execute(_AGENTS, bound), 2)
        graduation = read_graduations(connection, tree, last)
        scars = fetch_integers(connection.execute(_SCARS, bound), 3)
        deaths = connection.execute(_DEATHS, bound).fetchall()
        worth = [row for row in connection.execute(_EQUITY, bound) if row[1] is not None]
    n = len(tree)
    equity, cause, causes = _ends(tree, deaths)
    equity[_rows(tree, np.array([row[0] for row in worth], dtype=np.int64))] = [row[1] for row in worth]
    born = tree.parent >= 0
    scar_row = _rows(tree, scars[:, 0])
    endowment = agents[:, 1] / 100.0
    return Lives(
        tree=tree, graduation=graduation, birthmark=agents[:, 0], cause=cause, causes=causes, endowment=endowment,
        own_damage=np.bincount(scar_row, weights=scars[:, 2], minlength=n).astype(np.int64),
        scars=np.bincount(scar_row, minlength=n),
        offspring=np.bincount(tree.parent[born], minlength=n),
        given=np.bincount(tree.parent[born], weights=endowment[born], minlength=n).astype(np.float64),
        equity=equity, scar_row=scar_row, scar_round=scars[:, 1], scar_damage=scars[:, 2],
    )  # fmt: skip


def read_graduations(connection: sqlite3.Connection, tree: Tree, at: int) -> Ints:
    """Return [n] the round in which each agent's real account opened, -1 before; much less than reading all lives."""
    rows = fetch_integers(connection.execute(_GRADUATIONS, {"at": at}), 2)
    graduation = np.full(len(tree), -1)
    graduation[_rows(tree, rows[:, 0])] = rows[:, 1]
    return graduation


def _rows(tree: Tree, ids: Ints) -> Ints:
    """Return the rows of ids that the file itself names."""
    rows = np.searchsorted(tree.ids, ids)
    if len(ids) and (rows.max(initial=0) >= len(tree) or np.any(tree.ids[np.minimum(rows, len(tree) - 1)] != ids)):
        raise StoreError("event: something happened to an agent that was never born; run verify on this directory")
    return rows.astype(np.int64)


def _ends(tree: Tree, deaths: list[tuple[int, int, str]]) -> tuple[Floats, Ints, tuple[str, ...]]:
    """Return ([n] equity left, [n] cause, names of the causes)."""
    equity, cause = np.full(len(tree), np.nan), np.full(len(tree), ALIVE)
    if not deaths:
        return equity, cause, ()
    rows = _rows(tree, np.array([row[0] for row in deaths], dtype=np.int64))
    equity[rows] = np.array([row[1] for row in deaths], dtype=np.float64) / 100.0
    names, index = np.unique([row[2].partition('"')[0] for row in deaths], return_inverse=True)
    cause[rows] = index
    return equity, cause, tuple(names.tolist())
