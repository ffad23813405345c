"""`lineage`: questions about single agents, answered by look-ups in the run's database."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from arena.errors import ConfigError
from lineage.ask.facts import Fact, ancestors_of, common_ancestor_of, descendants_of, graves
from lineage.ask.reading import check_round, open_run, resolve, snapshot
from lineage.ask.tree import Tree
from tui.tables import Form, Sheet, form_of, show

T = TypeVar("T")

COLUMNS: Final = (
    "agent", "parent", "clan", "generation", "market", "born", "graduated", "died", "cause", "birthmark", "damage",
    "scars", "children", "equity",
)  # fmt: skip
"""Columns of a list of agents; rounds, damage points, cash units."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is the same for every question."""

    path: Path
    form: Form
    at: int | None
    most: int
    skip: int

    @classmethod
    def of(cls, given: dict[str, Any]) -> "Asked":
        """Take the common options out of a command's."""
        form = form_of(as_json=given.pop("as_json"), as_csv=given.pop("as_csv"))
        return cls(given.pop("path"), form, given.pop("at"), given.pop("most"), given.pop("skip"))

    @contextmanager
    def run(self) -> Iterator[tuple[sqlite3.Connection, int]]:
        """Open the run; yields the connection and the round that is asked about, in one snapshot."""
        if is_alife(self.path):
            raise ConfigError(f"{self.path}: a phylogeny file holds only a tree; this question needs a run's directory")
        with open_run(self.path) as connection, snapshot(connection):
            yield connection, check_round(connection, self.at)

    @contextmanager
    def tree(self) -> Iterator[tuple[Tree, Callable[[str], int]]]:
        """Yield the tree, of a run or of an ALife file, and what turns a person's word for an agent into its row."""
        if is_alife(self.path):
            from lineage.ask.export_alife import read_alife

            if self.at is not None:
                raise ConfigError("--at: a phylogeny file knows no rounds; leave it out")
            found = read_alife(self.path)
            yield found, lambda who: found.row(_id_of(who))
            return
        with self.run() as (connection, at):
            from lineage.ask.tree import read_tree

            recorded = read_tree(connection, at)
            yield recorded, lambda who: recorded.row(resolve(connection, who, at))

    def page(self, rows: Sequence[T]) -> tuple[Sequence[T], list[str]]:
        """Return the rows that are asked for, and what to say about the rest."""
        shown = rows[self.skip : self.skip + self.most]
        return shown, self.rest(len(shown), len(rows))

    def rest(self, shown: int, known: int) -> list[str]:
        """Return the remark about rows that were left out; `known` of them are known to exist."""
        if self.skip + shown >= known:
            return []
        return [f"{shown} rows shown; for the next: --skip {self.skip + shown}, for more at once: --limit"]


def is_alife(path: Path) -> bool:
    """Whether a path is a phylogeny file (CSV, ALife standard) rather than a run."""
    return path.suffix.lower() == ".csv" and path.is_file()


def _id_of(who: str) -> int:
    text = who.removeprefix("#")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ConfigError(f"agent {who!r}: a phylogeny file knows agents by id only; give a number")
    return int(text)


def _people(asked: Asked, at: int, found: list[Fact], **about: Any) -> Sheet:
    """Return a page of agents; one more than asked for was read, to know whether there are more."""
    remarks = asked.rest(min(len(found), asked.most), asked.skip + len(found))
    return Sheet(COLUMNS, found[: asked.most], {"round": at, **about}, remarks)


def _kin(asked: Asked, who: str, kin_of: Callable[..., list[Fact]]) -> int:
    """Print the agents that `kin_of` finds for an agent."""
    with asked.run() as (connection, at):
        agent = resolve(connection, who, at)
        found = kin_of(connection, agent, at, asked.most + 1, asked.skip)
    show(_people(asked, at, found, agent=agent), asked.form)
    return 0


def ancestors(who: str, **given: Any) -> int:
    """Print a line of descent."""
    return _kin(Asked.of(given), who, ancestors_of)


def descendants(who: str, **given: Any) -> int:
    """Print who descends from an agent."""
    return _kin(Asked.of(given), who, descendants_of)


def graveyard(**given: Any) -> int:
    """Print the dead, newest first."""
    asked = Asked.of(given)
    with asked.run() as (connection, at):
        found = graves(connection, at, asked.most + 1, asked.skip)
    show(_people(asked, at, found), asked.form)
    return 0


def mrca(whom: tuple[str, ...], **given: Any) -> int:
    """Print the most recent common ancestor of two or more agents."""
    asked = Asked.of(given)
    if len(whom) < 2:
        raise ConfigError("mrca: a common ancestor needs two agents at least; name another")
    with asked.run() as (connection, at):
        agents = [resolve(connection, who, at) for who in whom]
        common = common_ancestor_of(connection, agents, at)
    if common is None:
        reason = "they descend from different founders"
        about = {"round": at, "of": agents, "mrca": None, "reason": reason}
        show(Sheet(COLUMNS, [], about, [f"no common ancestor: {reason}"]), asked.form)
        return 0
    about = {"round": at, "of": agents, "mrca": common.agent_id, "rounds_ago": at - common.birth_round}
    show(Sheet(COLUMNS, [common], about, [f"born {at - common.birth_round} rounds ago"]), asked.form)
    return 0


def scars(who: str | None, **given: Any) -> int:
    """Print own and inherited damage: along an agent's line of descent, or by generation with correlations."""
    from lineage.ask.lives import read_lives
    from lineage.ask.scars import Correlation, Generation, Station, by_generation, heritability, line_of_scars

    asked = Asked.of(given)
    with asked.run() as (connection, at):
        lives = read_lives(connection, at)
        row = None if who is None else lives.tree.row(resolve(connection, who, at))
    if row is not None:
        line, remarks = asked.page(line_of_scars(lives, row))
        note = "handed_down: points of the last one's birthmark that go back to scars of this agent"
        whose = {"round": at, "agent": int(lives.tree.ids[row])}
        show(Sheet(Station._fields, line, whose, [note, *remarks]), asked.form)
        return 0
    found = heritability(lives)
    told = [_told(one) for one in found]
    about: dict[str, Any] = {"round": at}
    about["correlations"] = [dict(zip(Correlation._fields, one, strict=True)) for one in found]
    rows, remarks = asked.page(by_generation(lives))
    show(Sheet(Generation._fields, rows, about, [*told, *remarks]), asked.form)
    return 0


def _told(one: Any) -> str:
    if one.value is None:
        return f"{one.name}: undefined, {one.reason}"
    interval = one.reason if one.low is None else f"95 % {one.low:+.2f} to {one.high:+.2f}"
    return f"{one.name}: r = {one.value:+.2f} ({interval}; {one.pairs} pairs, {one.parents} parents)"


def champions(by: str, **given: Any) -> int:
    """Print the best of all times."""
    import numpy as np

    from lineage.ask.lives import read_lives

    asked = Asked.of(given)
    with asked.run() as (connection, at):
        lives = read_lives(connection, at)
    tree = lives.tree
    columns = {
        "growth": lives.growth, "children": lives.offspring.astype(float), "age": lives.trading_rounds,
        "damage": lives.damage.astype(float),
    }  # fmt: skip
    key = np.where(np.isnan(columns[by]), -np.inf, columns[by])
    order = [row for row in np.lexsort((tree.ids, -key)).tolist() if key[row] > -np.inf]
    rows, remarks = asked.page(order)
    names = ("agent", "clan", "generation", "born", "died", "rounds", "growth", "children", "damage", "equity")
    told = [
        (
            int(tree.ids[row]), tree.name(row), int(tree.depth[row]), int(tree.origin_time[row]),
            None if tree.extant[row] else int(tree.destruction_time[row]), lives.trading_rounds[row],
            lives.growth[row], int(lives.offspring[row]), int(lives.damage[row]), lives.equity[row],
        )
        for row in rows
    ]  # fmt: skip
    note = "rounds: of trading. growth: logarithmic, a round, what children were given included"
    show(Sheet(names, told, {"round": at, "by": by}, [note, *remarks]), asked.form)
    return 0


def survival(by: str, **given: Any) -> int:
    """Print a Kaplan-Meier curve or hazards."""
    from lineage.ask import survival as measure
    from lineage.ask.lives import read_lives

    asked = Asked.of(given)
    with asked.run() as (connection, at):
        lives = read_lives(connection, at)
    if by in ("damage", "birthmark"):
        found = measure.hazard_by_damage(lives) if by == "damage" else measure.hazard_by_birthmark(lives)
        note = f"rate: deaths a round at risk, by {by}, with a 95 % interval"
        show(Sheet(measure.Hazard._fields, found, {"round": at, "by": by}, [note]), asked.form)
        return 0
    curves = {"all": measure.survival_curve(lives)}
    if by != "all":
        level, bounds = (lives.tree.depth, (0, 1, 2, 3, 5)) if by == "generation" else (lives.birthmark, (0, 1, 5, 10))
        curves = measure.survival_by(lives, level, bounds)
    medians = {name: curve.median() for name, curve in curves.items()}
    rows, remarks = asked.page([row for name, curve in curves.items() for row in _curve_rows(name, curve)])
    told = [
        f"{name}: {curve.lives} lives, {curve.censored} censored, median "
        f"{medians[name].reason if medians[name].value is None else medians[name].value}"
        for name, curve in curves.items()
    ]
    about = {
        "round": at, "by": by,
        "groups": [
            {"group": name, "lives": curve.lives, "censored": curve.censored, "median": medians[name].value,
             "reason": medians[name].reason}
            for name, curve in curves.items()
        ],
    }  # fmt: skip
    columns = ("group", "rounds", "at_risk", "deaths", "survival", "low", "high")
    show(Sheet(columns, rows, about, [*told, *remarks]), asked.form)
    return 0


def _curve_rows(name: str, curve: Any) -> list[tuple[Any, ...]]:
    columns = (curve.time, curve.at_risk, curve.deaths, curve.survival, curve.low, curve.high)
    return [(name, *row) for row in zip(*(column.tolist() for column in columns), strict=True)]
