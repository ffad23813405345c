"""`lineage`: questions about the whole tree, of a run at any round or of a phylogeny file."""

from typing import Any

import numpy as np

from arena.errors import ConfigError
from lineage.ask import phylogeny, population
from lineage.ask.branches import Lengths, Treatment, sum_up
from lineage.ask.neutral import Statistic, neutral_test
from lineage.ask.tree import Ints, Tree
from tui.asking import Asked, is_alife
from tui.diagnostics import emit, say
from tui.tables import Sheet, show, terminal_width
from tui.treetext import levels_for, marks, tree_lines, twigs

MOST_TIMES = 100_000


def tree(who: str | None, levels: int | None, **given: Any) -> int:
    """Draw a family tree, or list it."""
    asked = Asked.of(given)
    with asked.tree() as (found, row_of):
        roots = _largest_clans(found) if who is None else np.array([row_of(who)], dtype=np.int64)
    width = terminal_width()
    roots = roots[asked.skip :]
    fit = levels_for(width) if asked.form == "table" else len(found)
    drawn = twigs(found, roots, asked.most, fit if levels is None else min(levels, fit))
    hidden = len(roots) - sum(twig.level == 0 for twig in drawn)
    alive, dead = marks()
    remarks = [f"a line: clan, id, rounds of life; {alive} alive, {dead} dead"] if asked.form == "table" else []
    if hidden:
        remarks.append(f"{hidden} more clans; for more lines: --limit, for smaller clans: --skip")
    if asked.form == "table":
        for line in tree_lines(found, drawn, width):
            emit(line)
        for remark in remarks:
            say(remark)
        return 0
    columns = (
        "agent", "parent", "clan", "level", "born", "died", "alive", "folded", "aside", "hidden", "hidden_alive",
    )  # fmt: skip
    rows = [
        (
            int(found.ids[one.row]), _parent_id(found, one.row), found.name(one.row), one.level,
            _whole(found.origin_time[one.row]), _whole(found.destruction_time[one.row]), bool(found.extant[one.row]),
            one.folded, one.aside, one.hidden, one.hidden_alive,
        )
        for one in drawn
    ]  # fmt: skip
    show(Sheet(columns, rows, {"time": _whole(found.present), "clans_hidden": hidden}, remarks), asked.form)
    return 0


def _parent_id(tree_: Tree, row: int) -> int | None:
    above = int(tree_.parent[row])
    return None if above < 0 else int(tree_.ids[above])


def _largest_clans(tree_: Tree) -> Ints:
    """Return the rows of all founders, the largest clan first."""
    founders = np.flatnonzero(tree_.parent < 0)
    size = np.bincount(tree_.founder, minlength=len(tree_))[founders]
    return founders[np.argsort(-size, kind="stable")].astype(np.int64)


def clans(**given: Any) -> int:
    """Print the clans, the largest first."""
    asked = Asked.of(given)
    with asked.tree() as (found, _):
        founders = _largest_clans(found)
    alive = sum_up(found.parent, found.extant)
    members = np.bincount(found.founder, minlength=len(found))
    deepest = np.zeros(len(found), dtype=np.int64)
    np.maximum.at(deepest, found.founder, found.depth)
    last = np.full(len(found), -np.inf)
    np.maximum.at(last, found.founder, np.where(found.extant, np.inf, found.destruction_time))
    total = max(int(found.extant.sum()), 1)
    page, remarks = asked.page(founders.tolist())
    rows = [
        (
            found.name(row),
            int(found.ids[row]),
            int(members[row]),
            int(alive[row]),
            float(alive[row] / total),
            int(deepest[row]),
            _whole(found.origin_time[row]),
            None if alive[row] else _whole(last[row]),
        )
        for row in page
    ]
    columns = ("clan", "founder", "members", "alive", "share_alive", "deepest", "founded", "extinct")
    show(Sheet(columns, rows, {"time": _whole(found.present), "clans": len(founders)}, remarks), asked.form)
    return 0


def metrics(lengths: Lengths, living: Treatment, stem: bool, **given: Any) -> int:
    """Print all metrics of the tree of the living."""
    asked = Asked.of(given)
    with asked.tree() as (found, _):
        measured = phylogeny.metrics(found, lengths, living, stem=stem)
    rows = [(name, _whole(one.value), one.reason or None) for name, one in measured.items()]
    about = {"time": _whole(found.present), "unit": found.time_unit, "lengths": lengths, "living": living, "stem": stem}
    note = f"branches: {lengths}; living ancestors: {living}; stem {'counted' if stem else 'not counted'}"
    show(Sheet(("metric", "value", "reason"), rows, about, [note]), asked.form)
    return 0


def _whole(value: float | None) -> float | int | None:
    return int(value) if value is not None and float(value).is_integer() and abs(value) < 2**53 else value


def _times(found: Tree, every: int | None) -> Any:
    step = every or max(1, int(found.present) // 20)
    if found.present / step > MOST_TIMES:
        raise ConfigError(f"--every {step}: more than {MOST_TIMES:,} times; choose a larger step")
    return population.times_of(found, step, first=int(found.origin_time.min(initial=found.present)))


def ltt(every: int | None, **given: Any) -> int:
    """Print lineages through time."""
    asked = Asked.of(given)
    with asked.tree() as (found, _):
        lines = population.lineages_through_time(found, _times(found, every))
    columns = ("time", "alive", "born", "died", "clans", "ancestors")
    every_row = zip(*(getattr(lines, name).tolist() for name in columns), strict=True)
    rows, remarks = asked.page([(_whole(time), *counts) for time, *counts in every_row])
    note = "ancestors: lineages that have living descendants now"
    show(Sheet(columns, rows, {"time": _whole(found.present), "unit": found.time_unit}, [note, *remarks]), asked.form)
    return 0


def diversity(every: int | None, **given: Any) -> int:
    """Print the diversity of clans through time."""
    asked = Asked.of(given)
    with asked.tree() as (found, _):
        measured = population.diversity(found, _times(found, every))
    rows, remarks = asked.page(
        [
            (_whole(row.time), *(one.value if isinstance(one, phylogeny.Measure) else one for one in row[1:]))
            for row in measured
        ]
    )
    about = {"time": _whole(found.present), "unit": found.time_unit}
    show(Sheet(population.Diversity._fields, rows, about, remarks), asked.form)
    return 0


def muller(every: int | None, top: int, who: str | None, **given: Any) -> int:
    """Print the sizes of clans, or of one agent's clades, through time."""
    asked = Asked.of(given)
    with asked.tree() as (found, row_of):
        row = None if who is None else row_of(who)
        table = population.muller(found, _times(found, every), clade_of=row, most=top)
    names = [found.name(found.row(one)) if one else "others" for one in table.identity.tolist()]
    rows = [
        (_whole(time), one, parent or None, name, count)
        for time, counts in zip(table.time.tolist(), table.counts.tolist(), strict=True)
        for one, parent, name, count in zip(table.identity.tolist(), table.parent.tolist(), names, counts, strict=True)
    ]
    page, remarks = asked.page(rows)
    columns = ("generation", "identity", "parent", "clan", "population")
    note = "identity: the founder of a clan or clade, 0 for all others; generation is the time, as ggmuller calls it"
    show(Sheet(columns, page, {"time": _whole(found.present), "unit": found.time_unit}, [note, *remarks]), asked.form)
    return 0


def neutral(statistic: Statistic, replicates: int, seed: int, **given: Any) -> int:
    """Print which clans did better than luck."""
    asked = Asked.of(given)
    if is_alife(asked.path):
        with asked.tree() as (found, _):
            test = neutral_test(found, statistic=statistic, replicates=replicates, seed=seed)
    else:
        with asked.run() as (connection, at):
            from lineage.ask.lives import read_graduations
            from lineage.ask.tree import read_tree

            found = read_tree(connection, at)
            graduation = read_graduations(connection, found, at)
        test = neutral_test(found, graduation, statistic=statistic, replicates=replicates, seed=seed)
    order = np.lexsort((test.founder, -test.observed, test.p_value)).tolist()
    page, remarks = asked.page(order)
    rows = [
        (
            found.name(int(test.founder[one])),
            int(found.ids[test.founder[one]]),
            int(test.observed[one]),
            test.expected[one],
            test.low[one],
            test.high[one],
            test.p_value[one],
            test.p_adjusted[one],
        )
        for one in page
    ]
    about = {
        "time": _whole(found.present), "statistic": statistic, "replicates": replicates, "seed": seed,
        "births": test.births, "largest_clan_p": test.largest_p,
    }  # fmt: skip
    what = "heirs ever born" if statistic == "born" else "members alive"
    luck = "no heir was born" if test.largest_p is None else f"p = {test.largest_p:.3g}"
    note = f"{what}, against {replicates} histories with drawn parents; a largest clan as large as this one: {luck}"
    columns = ("clan", "founder", statistic, "expected", "low", "high", "p", "p_holm")
    show(Sheet(columns, rows, about, [note, *remarks]), asked.form)
    return 0
