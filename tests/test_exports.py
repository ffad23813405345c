"""Exports come back exactly, by our reader and by the tools of the field; no name does harm, no depth breaks them."""

import csv
import io
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import dendropy
import networkx
import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena.errors import ConfigError, DataError, EnvironmentFault
from lineage.ask.export import (
    COLUMNS,
    TREE_COLUMNS,
    Row,
    life_rows,
    original_cell,
    plain_cell,
    tree_rows,
    write_csv,
    write_graphml,
    write_parquet,
)
from lineage.ask.export_alife import read_alife, write_alife
from lineage.ask.export_muller import muller_rows
from lineage.ask.export_newick import Style, label_of, newick_lines, write_newick, write_nexus
from lineage.ask.tree import Tree, read_tree, tree_from_arrays
from lineage.record.schema import connect_reader
from lineage.record.store import FILE_NAME
from tests.commands import call
from tests.forests import chain, random_forest
from tests.histories import write_history
from tests.runs import lively, play, python

HOSTILE = (
    "=1+1", "+cmd", "-2", "@SUM(A1)", "'quoted'", '"double"', "a,b;c", "line\nbreak", "\rreturn", "tab\there",
    "(x:1)[y]", "under_score", "<script>alert(1)</script>", "&amp;", "]]>", "''", "'", " blank ", "Ünïcødé", "日本",
    "\x1b[31m", "\0", "",
)  # fmt: skip

SLOW_IS_FINE = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run."""
    directory = tmp_path_factory.mktemp("exported") / "run"
    play(directory, lively("rounds=30"))
    return directory


def written(write: Callable[..., None], *arguments: Any) -> bytes:
    """Return what a writer writes."""
    file = io.BytesIO()
    write(*arguments[:1], file, *arguments[1:])
    return file.getvalue()


def rows_of(run: Path, at: int | None = None) -> list[Row]:
    """Return the rows of a run's lives."""
    with closing(connect_reader(run / FILE_NAME)) as connection:
        return list(life_rows(connection, at))


def tree_of(run: Path, at: int | None = None) -> Tree:
    """Return a run's tree in ticks."""
    with closing(connect_reader(run / FILE_NAME)) as connection:
        return read_tree(connection, at, "tick")


def named(tree: Tree, names: list[str]) -> Tree:
    """Return the same tree with other names for its clans."""
    founders = tree.ids[tree.parent < 0].tolist()
    clans = {founder: names[place % len(names)] for place, founder in enumerate(founders)}
    return tree_from_arrays(
        tree.ids, np.where(tree.parent < 0, -1, tree.ids[tree.parent]), tree.origin_time, tree.destruction_time,
        present=tree.present, time_unit=tree.time_unit, clans=clans,
    )  # fmt: skip


def same(one: Tree, other: Tree) -> bool:
    """Whether two trees are the same in ids, parents and times."""
    pairs = ((one.ids, other.ids), (one.parent, other.parent), (one.origin_time, other.origin_time))
    ends = np.array_equal(one.destruction_time, other.destruction_time, equal_nan=True)
    return ends and all(np.array_equal(mine, theirs) for mine, theirs in pairs)


NAMES = st.lists(st.text(max_size=12) | st.sampled_from(HOSTILE), min_size=1, max_size=4)


@SLOW_IS_FINE
@given(seed=st.integers(0, 10_000), names=NAMES)
def test_alife_comes_back_exactly(tmp_path_factory: pytest.TempPathFactory, seed: int, names: list[str]) -> None:
    """Any forest, any names: ids, parents, times and clans as they were."""
    tree = named(random_forest(seed), names)
    path = tmp_path_factory.mktemp("alife") / "tree.csv"
    path.write_bytes(written(write_alife, tree_rows(tree), "tick"))
    back = read_alife(path)
    assert same(back, tree)
    assert back.clans == tree.clans


@pytest.mark.parametrize("at", [None, 0, 7])
def test_a_run_comes_back_from_alife(run: Path, tmp_path: Path, at: int | None) -> None:
    """As it was known at a round; the survivors of a finished run are extant."""
    (tmp_path / "run.csv").write_bytes(written(write_alife, rows_of(run, at), "tick"))
    back, tree = read_alife(tmp_path / "run.csv"), tree_of(run, at)
    assert same(back, tree)
    assert back.clans == tree.clans


def test_lives_are_those_of_the_view(run: Path) -> None:
    """At the end the export says what agent_life says; earlier it knows nothing of what came later."""
    with closing(connect_reader(run / FILE_NAME)) as connection:
        columns = ", ".join(COLUMNS)
        assert rows_of(run) == connection.execute(f"SELECT {columns} FROM agent_life ORDER BY agent_id").fetchall()
    early = {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in rows_of(run, 5)}
    for row in rows_of(run):
        late = dict(zip(COLUMNS, row, strict=True))
        if late["birth_round"] > 5:
            assert late["agent_id"] not in early
            continue
        now = early[late["agent_id"]]
        assert (now["fate"] is None) == (late["end_round"] > 5)
        assert now["scars"] <= late["scars"]
        assert now["damage"] <= late["damage"]
        assert now["offspring"] <= late["offspring"]


def test_phyloframe_validates_it(run: Path, tmp_path: Path) -> None:
    """The validator of the standard, on a real run and on forests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that an optional accelerator is absent
        import pandas
        from phyloframe import legacy

        for number, rows in enumerate((rows_of(run), *(list(tree_rows(random_forest(seed))) for seed in range(8)))):
            path = tmp_path / f"{number}.csv"
            path.write_bytes(written(write_alife, rows, "tick"))
            frame = pandas.read_csv(path)
            assert legacy.alifestd_validate(frame)
            assert len(legacy.alifestd_to_working_format(frame)) == len(rows)


PHYLOTRACKPY = """
import sys
from phylotrackpy import systematics

tracker = systematics.Systematics(lambda taxon: taxon)
tracker.load_from_file(sys.argv[1], "taxon_label", False)
print(tracker.get_num_taxa(), tracker.get_num_active(), tracker.get_num_roots())
"""
"""In a process of its own: it fills the globals of its caller with numpy's names, `any` and `sum` among them."""


def test_phylotrackpy_loads_it(run: Path, tmp_path: Path) -> None:
    """The tracker of record counts the same taxa, living and roots."""
    path, tree = tmp_path / "run.csv", tree_of(run)
    path.write_bytes(written(write_alife, rows_of(run), "tick"))
    counted = [int(word) for word in python(PHYLOTRACKPY, str(path)).split()]
    assert counted == [len(tree), int(tree.extant.sum()), int((tree.parent < 0).sum())]


def test_what_other_trackers_write_is_read(tmp_path: Path) -> None:
    """Any order of rows and columns, all spellings of a root and of the living, no times at all."""
    path = tmp_path / "foreign.csv"
    path.write_text(
        "\ufefforigin_time,id,ancestor_list,destruction_time\n"
        "2,7,[3],inf\n0,3,[NONE],5\n1,4,[3],\n0.5,9,[],nan\n3,8,[ 7 ],Infinity\n\n1,1,,4\n",
        encoding="utf-8",
    )
    tree = read_alife(path)
    assert tree.ids.tolist() == [1, 3, 4, 7, 8, 9]
    assert [None if p < 0 else int(tree.ids[p]) for p in tree.parent] == [None, None, 3, 3, 7, None]
    assert tree.extant.tolist() == [False, False, True, True, True, True]
    path.write_text("id,ancestor_id\n0,0\n1,0\n2,1\n")
    bare = read_alife(path)
    assert (bare.origin_time.tolist(), bare.time_unit) == ([0.0, 1.0, 2.0], "generation")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs id"), ("a,b\n1,2\n", "needs id"), ("id,ancestor_list\nx,[none]\n", ":2: id 'x'"),
        ("id,ancestor_list\n1,[none]\n1,[none]\n", "occurs twice"), ("id,ancestor_list\n1,[2]\n", "is not there"),
        ("id,ancestor_list\n1,[2]\n2,[1]\n", "its own ancestor"), ("id,ancestor_list\n1,[2,3]\n", "cells"),
        ('id,ancestor_list\n1,"[2,3]"\n', "more than one parent"), ("id,ancestor_list\n1,(2)\n", ":2: ancestor_list"),
        ("id,ancestor_list,origin_time\n1,[none],soon\n", "'soon' is not a number"),
        ("id,ancestor_list,origin_time\n1,[none],1e999\n", "is not a number"),
        ("id,ancestor_list,origin_time\n1,[none],1_0\n", "is not a number"),
        ("id,ancestor_list,origin_time\n1,[none],5\n2,[1],4\n", "born before its parent"),
        ("id,ancestor_list,origin_time,destruction_time\n1,[none],5,4\n", "dies before"),
        ('id,ancestor_list\n1,"[none]\n', "unexpected end"), ("id,ancestor_list\n-1,[none]\n", "whole number"),
        ("id,ancestor_list\n" + "9" * 40 + ",[none]\n", "whole number"),
    ],
)  # fmt: skip
def test_a_bad_phylogeny_gets_one_line(tmp_path: Path, text: str, words: str) -> None:
    """Exit 3 with file, line, value and cure."""
    path = tmp_path / "bad.csv"
    path.write_text(text)
    done = call("export", path, "--format", "newick")
    assert (done.code, done.out, done.err.count("\n")) == (3, "", 1), done
    assert words in done.err
    assert "bad.csv" in done.err


def test_a_phylogeny_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8, a directory, nothing."""
    (tmp_path / "bytes.csv").write_bytes(b"id,ancestor_list\n1,\xff\n")
    (tmp_path / "folder.csv").mkdir()
    for name in ("bytes.csv", "folder.csv", "nothing.csv"):
        with pytest.raises(DataError):
            read_alife(tmp_path / name)


def read_trees(tree: Tree, form: str, style: Style) -> "dendropy.TreeList":
    """Return what DendroPy reads."""
    write = write_newick if form == "newick" else write_nexus
    text = written(write, tree, style).decode()
    return dendropy.TreeList.get(data=text, schema=form, rooting="force-rooted", suppress_internal_node_taxa=False)


def nodes_of(trees: "dendropy.TreeList") -> Iterator[Any]:
    """Yield all nodes."""
    for tree in trees:
        yield from tree.preorder_node_iter()


@SLOW_IS_FINE
@given(seed=st.integers(0, 10_000), names=NAMES, form=st.sampled_from(["newick", "nexus"]))
def test_dendropy_reads_the_genealogy_exactly(seed: int, names: list[str], form: str) -> None:
    """Every agent a node with its label, its parent and the time since its parent's birth."""
    printable = ["".join(char for char in name if char.isprintable()) for name in names]
    tree = named(random_forest(seed, 30), printable)
    trees = read_trees(tree, form, "agents")
    assert len(trees) == int((tree.parent < 0).sum())
    found = {}
    for node in nodes_of(trees):
        above = node.parent_node.taxon.label if node.parent_node is not None else None
        found[node.taxon.label] = (above, node.edge.length)
    for row in range(len(tree)):
        parent = int(tree.parent[row])
        above = None if parent < 0 else label_of(tree, parent)
        length = 0.0 if parent < 0 else tree.origin_time[row] - tree.origin_time[parent]
        assert found.pop(label_of(tree, row)) == (above, length)
    assert not found


@SLOW_IS_FINE
@given(seed=st.integers(0, 10_000), form=st.sampled_from(["newick", "nexus"]))
def test_dendropy_reads_the_lives_exactly(seed: int, form: str) -> None:
    """Every agent a tip as far from its root as its end is from the founder's birth; two branches at each node."""
    tree = random_forest(seed, 30)
    trees = read_trees(tree, form, "lives")
    ends = np.where(tree.extant, tree.present, tree.destruction_time)
    lives = ends - tree.origin_time[tree.founder]
    wanted = {label_of(tree, row): lives[row] for row in range(len(tree))}
    found = {}
    for one in trees:
        for leaf in one.leaf_node_iter():
            found[leaf.taxon.label] = sum(node.edge.length for node in (leaf, *leaf.ancestor_iter()))
        assert all(len(node.child_nodes()) == 2 for node in one.internal_nodes())
    assert found == pytest.approx(wanted)


def test_a_line_of_100000_overflows_nothing() -> None:
    """Iterative throughout."""
    tree = chain(100_000, alive=True)
    for style, nodes in (("agents", 100_000), ("lives", 199_999)):
        ((_, text),) = newick_lines(tree, cast(Style, style))
        assert text.count(":") == nodes
        assert text.count("(") == text.count(")") == 99_999
    assert len(written(write_alife, tree_rows(tree), "tick").splitlines()) == 100_001


def test_networkx_reads_every_column(run: Path) -> None:
    """Nodes, edges and typed values; what is None is absent."""
    rows = rows_of(run)
    graph = networkx.read_graphml(io.BytesIO(written(write_graphml, rows)))
    assert graph.number_of_nodes() == len(rows)
    assert {(int(a), int(b)) for a, b in graph.edges} == {(row[1], row[0]) for row in rows if row[1] is not None}
    for row in rows:
        assert graph.nodes[str(row[0])] == {
            name: value for name, value in zip(COLUMNS, row, strict=True) if value is not None
        }


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_in_every_format(name: str) -> None:
    """Markup, formulas, quotes, control characters: they come back as text, or as a visible escape."""
    tree = named(random_forest(5), [name])
    rows = list(tree_rows(tree))
    graph = networkx.read_graphml(io.BytesIO(written(write_graphml, rows, TREE_COLUMNS)))
    known = {data.get("clan", "") for _, data in graph.nodes(data=True)}
    escaped = name in ("\x1b[31m", "\0")  # what XML cannot hold
    assert known == {name.encode("unicode_escape").decode() if escaped else name}
    text = written(write_csv, rows).decode()
    cells = [row["clan"] for row in csv.DictReader(io.StringIO(text, newline=""))]
    assert {original_cell(cell) for cell in cells} == {name}
    assert not any(cell.startswith(tuple("=+-@\t\r")) for cell in cells)
    for form in ("newick", "nexus"):
        assert len(read_trees(tree, form, "agents")) == int((tree.parent < 0).sum())


@given(st.text())
def test_neutralised_cells_come_back(text: str) -> None:
    """For any text."""
    told = plain_cell(text)
    assert isinstance(told, str)
    assert original_cell(told) == text or text.startswith("'")
    assert original_cell(str(plain_cell(told))) == told


def test_parquet_holds_all_columns(run: Path) -> None:
    """Typed, in the order of ids."""
    rows = rows_of(run)
    table = pyarrow.parquet.read_table(io.BytesIO(written(write_parquet, rows)))
    assert table.column_names == list(COLUMNS)
    assert [tuple(row.values()) for row in table.to_pylist()] == rows


def test_parquet_without_its_extra_says_what_to_install(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 5 with the cure; nothing is written."""
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(EnvironmentFault, match=r"pip install 'lineage-arena\[parquet\]'"):
        written(write_parquet, [])
    done = call("export", run, "--format", "parquet", "--out", run.parent / "x.parquet")
    assert done.code == 5
    assert not (run.parent / "x.parquet").exists()


@pytest.mark.parametrize("seed", range(5))
def test_muller_counts_are_the_living_of_each_round(seed: int) -> None:
    """Counted one by one, on random forests."""
    tree = random_forest(seed)
    for generation, identity, _, population, _ in muller_rows(tree):
        members = tree.ids[tree.founder] == identity
        alive = (tree.origin_time <= generation) & ~(tree.destruction_time <= generation)
        assert population == int((members & alive).sum())
    rows = list(muller_rows(tree))
    for generation in range(int(tree.origin_time.min()), int(tree.present) + 1):
        alive = (tree.origin_time <= generation) & ~(tree.destruction_time <= generation)
        assert sum(row[3] for row in rows if row[0] == generation) == int(alive.sum())


FORMATS = ("alife", "newick", "nexus", "graphml", "parquet", "csv", "muller", "svg", "html")


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_on_the_command_line(run: Path, tmp_path: Path, form: str) -> None:
    """To a new file that is never overwritten; the run is left as it was; a tree from a file too."""
    before = (run / FILE_NAME).read_bytes()
    out = tmp_path / f"out.{form}"
    assert call("export", run, "--format", form, "--out", out, "--at", "12").code == 0
    size = out.stat().st_size
    assert size > 100
    again = call("export", run, "--format", form, "--out", out)
    assert (again.code, out.stat().st_size) == (2, size)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    assert call("export", run, "--format", "alife", "--out", tmp_path / "tree.csv").code == 0
    assert call("export", tmp_path / "tree.csv", "--format", form, "--out", tmp_path / f"again.{form}").code == 0
    assert (run / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--format", "csv", "--lives"), 2), (("--format", "xls"), 2), ((), 2), (("--format", "csv", "--at", "999"), 2),
        (("--format", "csv", "--at", "-1"), 2), (("--format", "csv", "--out", "no/such/place"), 5),
        (("--format", "svg", "--rows", "0"), 2), (("--format", "alife", "--unit", "week"), 2),
    ],
)  # fmt: skip
def test_bad_calls_get_one_line(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int
) -> None:
    """Nothing on stdout, nothing half-written."""
    monkeypatch.chdir(tmp_path)
    done = call("export", run, *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1), done
    assert not list(tmp_path.iterdir())


def test_a_made_up_and_unfinished_run_exports_too(tmp_path: Path) -> None:
    """Nobody is censored yet: fate is empty, destruction time `inf`."""
    write_history(tmp_path, 8, close=False)
    rows = list(csv.DictReader(io.StringIO(written(write_alife, rows_of(tmp_path), "round").decode())))
    assert {row["destruction_time"] for row in rows if not row["fate"]} == {"inf"}
    assert json.loads("[" + rows[0]["origin_time"] + "]") == [0]


def test_a_round_that_is_not_there_is_named(run: Path) -> None:
    """For the functions as for the command."""
    with pytest.raises(ConfigError, match="rounds 0 to 29"):
        rows_of(run, 30)
